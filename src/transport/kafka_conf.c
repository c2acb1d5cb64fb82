/* librdkafka's settings: low latency first, a message once and in order, failures soon. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/kafka_inside.h"

struct setting {
    const char *name, *value;
};

static char *copy_text(const char *text)
{
    return text ? strdup(text) : NULL;
}

void tspi_kafka_settings_release(tspi_kafka_settings *settings)
{
    for (uint32_t k = 0; settings->extra && k < settings->extra_n; k++)
        free((char *)settings->extra[k]);
    free((void *)settings->extra);
    free((char *)settings->broker);
    free((char *)settings->acks);
}

bool tspi_kafka_settings_copy(const tspi_kafka_settings *from, tspi_kafka_settings *ret_to)
{
    const char **extra = calloc(from->extra_n + 1, sizeof *extra);

    *ret_to = *from;
    ret_to->broker = copy_text(from->broker);
    ret_to->acks = copy_text(from->acks);
    ret_to->extra = extra;
    if (!extra || !ret_to->broker || (from->acks && !ret_to->acks))
        return false;
    for (uint32_t k = 0; k < from->extra_n; k++)
        if (!(extra[k] = strdup(from->extra[k])))
            return false;
    return true;
}

/* Connections come back within tens of milliseconds; a fetch that failed or found its queue full is repeated after 10
 * ms (librdkafka's own 500 ms would be a hole in the hop delays); Nagle's algorithm would hold a small record back. */
static const struct setting common[] = {
    {"socket.nagle.disable", "true"},
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.ms", "10"},
    {"reconnect.backoff.max.ms", "50"},
    {"retry.backoff.ms", "10"},
    {"topic.metadata.refresh.fast.interval.ms", "50"},
    {"topic.metadata.refresh.interval.ms", "5000"}, /* a topic that a broker of several hears of late is found then */
    {"log.connection.close", "false"},
};

/* queue.buffering: what a producer holds before send says TSP_EAGAIN. */
static const struct setting producer[] = {
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "262144"},
};

/* A consumer that is silent for session.timeout.ms loses its place; it is well again before that or its run has failed
 * anyway. range: the k-th member of a group gets the k-th partition of every topic. */
static const struct setting consumer[] = {
    {"partition.assignment.strategy", "range"},
    {"auto.offset.reset", "earliest"},
    {"enable.auto.commit", "true"},
    {"enable.auto.offset.store", "false"}, /* but only what was noted as read (kafka_inbox.c) */
    {"auto.commit.interval.ms", "1000"},
    {"fetch.error.backoff.ms", "10"},
    {"heartbeat.interval.ms", "200"},
    {"session.timeout.ms", "6000"},
};

static tsp_status set(rd_kafka_conf_t *conf, const char *name, const char *value, tsp_error *err)
{
    char why[256];

    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_OK)
        return TSP_OK;
    return tsp_error_set(err, TSP_EINVAL, "Kafka: setting '%s=%s': %s", name, value, why);
}

static tsp_status set_number(rd_kafka_conf_t *conf, const char *name, int64_t number, tsp_error *err)
{
    char value[32];

    snprintf(value, sizeof value, "%" PRId64, number);
    return set(conf, name, value, err);
}

/* linger.ms takes fractions. */
static tsp_status set_linger(rd_kafka_conf_t *conf, int64_t linger_ns, tsp_error *err)
{
    char value[32];

    snprintf(value, sizeof value, "%.3f", (double)linger_ns / (double)TSP_NS_PER_MS);
    return set(conf, "linger.ms", value, err);
}

static tsp_status set_all(rd_kafka_conf_t *conf, const struct setting *settings, size_t n, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < n && rc == TSP_OK; k++)
        rc = set(conf, settings[k].name, settings[k].value, err);
    return rc;
}

/* What goes wrong is told by error_cb and by delivery reports; a client that waits for its broker to come up would fill
 * pages with refused connections. */
static void no_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    (void)level;
    (void)facility;
    (void)text;
}

rd_kafka_conf_t *tspi_kafka_conf_common(const tspi_kafka_settings *settings, tsp_error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();

    rd_kafka_conf_set_log_cb(conf, no_log);
    tsp_status rc = set(conf, "bootstrap.servers", settings->broker, err);
    if (rc == TSP_OK)
        rc = set_all(conf, common, sizeof common / sizeof *common, err);
    if (rc == TSP_OK)
        rc = set_number(conf, "message.max.bytes", TSPI_KAFKA_MESSAGE_MAX_BYTES, err);
    if (rc == TSP_OK)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

/* With acks=all the producer is idempotent: a repeated request is written once, and in its place. With fewer, a repeat
 * could overtake: so none is made, and what is lost is reported. */
rd_kafka_conf_t *tspi_kafka_conf_producer(const tspi_kafka_settings *settings, tsp_error *err)
{
    rd_kafka_conf_t *conf = tspi_kafka_conf_common(settings, err);
    const char *acks = settings->acks ? settings->acks : "all";
    bool all = !strcmp(acks, "all") || !strcmp(acks, "-1");

    if (!conf)
        return NULL;
    tsp_status rc = set_all(conf, producer, sizeof producer / sizeof *producer, err);
    if (rc == TSP_OK)
        rc = set(conf, "acks", acks, err);
    if (rc == TSP_OK)
        rc = all ? set(conf, "enable.idempotence", "true", err) : set(conf, "message.send.max.retries", "0", err);
    if (rc == TSP_OK)
        rc = set_linger(conf, settings->linger_ns, err);
    if (rc == TSP_OK)
        rc = set_number(conf, "delivery.timeout.ms", TSPI_KAFKA_PATIENCE_MS, err);
    if (rc == TSP_OK)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

rd_kafka_conf_t *tspi_kafka_conf_consumer(const tspi_kafka_settings *settings, const char *group, const char *client,
                                          tsp_error *err)
{
    rd_kafka_conf_t *conf = tspi_kafka_conf_common(settings, err);

    if (!conf)
        return NULL;
    tsp_status rc = set_all(conf, consumer, sizeof consumer / sizeof *consumer, err);
    if (rc == TSP_OK)
        rc = set(conf, "group.id", group, err);
    if (rc == TSP_OK)
        rc = set(conf, "client.id", client, err);
    if (rc == TSP_OK && settings->fetch_wait_max_ns)
        rc = set_number(conf, "fetch.wait.max.ms", settings->fetch_wait_max_ns / TSP_NS_PER_MS, err);
    if (rc == TSP_OK)
        return conf;
    rd_kafka_conf_destroy(conf);
    return NULL;
}

static tsp_status set_extra(rd_kafka_conf_t *conf, const char *setting, tsp_error *err)
{
    const char *equals = strchr(setting, '=');
    char name[128];

    if (!equals || equals == setting || (size_t)(equals - setting) >= sizeof name)
        return tsp_error_set(err, TSP_EINVAL, "Kafka: '%s' is no setting: write NAME=VALUE", setting);
    snprintf(name, sizeof name, "%.*s", (int)(equals - setting), setting);
    return set(conf, name, equals + 1, err);
}

tsp_status tspi_kafka_client(rd_kafka_type_t type, rd_kafka_conf_t *take_conf, const tspi_kafka_settings *settings,
                             rd_kafka_t **ret_client, tsp_error *err)
{
    char why[256];
    tsp_status rc = TSP_OK;

    for (uint32_t k = 0; k < settings->extra_n && rc == TSP_OK; k++)
        rc = set_extra(take_conf, settings->extra[k], err);
    if (rc == TSP_OK && (*ret_client = rd_kafka_new(type, take_conf, why, sizeof why)) != NULL)
        return TSP_OK;
    if (rc == TSP_OK)
        rc = tsp_error_set(err, TSP_EINVAL, "Kafka: librdkafka refuses its settings: %s", why);
    rd_kafka_conf_destroy(take_conf);
    return rc;
}

tsp_status tspi_kafka_check(const tspi_kafka_settings *settings, tsp_error *err)
{
    rd_kafka_conf_t *conf = tspi_kafka_conf_producer(settings, err);
    tsp_status rc = conf ? TSP_OK : TSP_EINVAL;

    for (uint32_t k = 0; k < settings->extra_n && rc == TSP_OK; k++)
        rc = set_extra(conf, settings->extra[k], err);
    if (conf)
        rd_kafka_conf_destroy(conf);
    return rc;
}
