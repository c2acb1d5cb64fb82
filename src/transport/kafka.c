/* Apache Kafka by librdkafka. A topic an edge (RUN.FROM.TO, or RUN.TO where an inbox hears whoever has its address), a
 * partition a worker of the receiving stage, a consumer group a stage. The sender picks the worker, so it names the
 * partition; the group gives each worker the partition of its own number, and an inbox is open once that is so.
 * A message is one record: its headers are the record's, its key is the record's key as eight bytes.
 *
 * This file is the transport around its two halves, kafka_sender.c and kafka_inbox.c. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "transport/kafka_inside.h"

/* How long listen waits for the broker to come up and for its place in the group. */
enum { LISTEN_MS = 45000 };
/* How long a question to a broker that seems gone may take. */
enum { LAST_WORD_MS = 500 };
/* Delivery reports are looked at this often: while messages are out, and otherwise. */
static const int64_t report_every_ns = 5 * TSP_NS_PER_MS, idle_every_ns = 200 * TSP_NS_PER_MS;

static const char scheme[] = "kafka:";

struct kafka_transport {
    tspi_transport base;
    tspi_kafka_settings settings; /* owned */
    char run[64], stage[64];
    uint32_t worker, workers;
    char **topics; /* of the inbox */
    uint32_t topics_n;
    int wait_fd;
    tspi_kafka_sender sender;
    tspi_kafka_inbox inbox;
    tspi_kafka_news news;
    int64_t next_poll_ns;
};

/* What ends a run: a message that was not delivered, a place in the group that was lost. */
static tsp_status verdict(const struct kafka_transport *t, tsp_error *err)
{
    if (t->news.undelivered)
        return tsp_error_set(err, TSP_EIO, "Kafka: %" PRIu64 " messages were not delivered: %s", t->news.undelivered,
                             t->news.loss);
    if (t->news.loss[0])
        return tsp_error_set(err, TSP_EIO, "Kafka: %s", t->news.loss);
    if (t->inbox.misplaced)
        return tsp_error_set(err, TSP_EIO,
                             "Kafka: the group gave the partition of %s's worker %" PRIu32 " to another worker",
                             t->stage, t->worker);
    return TSP_OK;
}

/* ------------------------------------------------------------------ life */

static void kafka_close(tspi_transport *transport)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;

    tspi_kafka_sender_close(&t->sender);
    tspi_kafka_inbox_close(&t->inbox);
    for (uint32_t k = 0; k < t->topics_n; k++)
        free(t->topics[k]);
    free(t->topics);
    tspi_kafka_settings_release(&t->settings);
    if (t->wait_fd >= 0)
        close(t->wait_fd);
    free(t);
}

/* Names of the inbox's topics: an edge each, or one for everybody. */
static tsp_status name_topics(struct kafka_transport *t, const tspi_transport_config *config, tsp_error *err)
{
    uint32_t n = config->from ? config->from_n : 1;
    char name[TSPI_KAFKA_NAME_BYTES];

    t->topics = calloc(n + 1, sizeof *t->topics);
    for (uint32_t k = 0; t->topics && k < n; k++) {
        if (config->from)
            snprintf(name, sizeof name, "%s.%s.%s", t->run, config->from[k], t->stage);
        else
            snprintf(name, sizeof name, "%s.%s", t->run, t->stage);
        if (!(t->topics[t->topics_n++] = strdup(name)))
            return tsp_error_set(err, TSP_ENOMEM, "out of memory for a topic's name");
    }
    return t->topics ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory for topics");
}

static tsp_status kafka_open(const tspi_transport_config *config, tspi_transport **ret_transport, tsp_error *err)
{
    struct kafka_transport *t = calloc(1, sizeof *t);
    tsp_status rc = TSP_OK;

    if (!t)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a transport");
    t->base.ops = &tspi_transport_kafka;
    t->worker = config->worker;
    t->workers = config->workers ? config->workers : 1;
    snprintf(t->run, sizeof t->run, "%s", config->run ? config->run : "truespan");
    snprintf(t->stage, sizeof t->stage, "%s", config->stage ? config->stage : config->inbox);
    t->wait_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (t->wait_fd < 0)
        rc = tsp_error_sys(err, errno, "Kafka: cannot make a descriptor");
    else if (!config->kafka || !config->kafka->broker)
        rc = tsp_error_set(err, TSP_EINVAL, "Kafka: no broker is named");
    else if (!tspi_kafka_settings_copy(config->kafka, &t->settings))
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory for settings");
    if (rc == TSP_OK)
        rc = name_topics(t, config, err);
    if (rc == TSP_OK)
        rc = tspi_kafka_sender_open(&t->sender, &t->settings, &t->news, err);
    if (rc != TSP_OK)
        kafka_close(&t->base);
    else
        *ret_transport = &t->base;
    return rc;
}

/* ------------------------------------------------------------------ both halves */

static tsp_status open_inbox(struct kafka_transport *t, int64_t deadline_ns, tsp_error *err)
{
    tspi_kafka_inbox *inbox = &t->inbox;

    snprintf(inbox->group, sizeof inbox->group, "%s.%s", t->run, t->stage);
    snprintf(inbox->member, sizeof inbox->member, "%s.%s-%05" PRIu32, t->run, t->stage, t->worker);
    inbox->worker = t->worker;
    inbox->topics = t->topics;
    inbox->topics_n = t->topics_n;
    inbox->wait_fd = t->wait_fd;
    inbox->news = &t->news;
    return tspi_kafka_inbox_open(inbox, &t->settings, deadline_ns, err);
}

static tsp_status kafka_listen(tspi_transport *transport, char *ret_address, size_t size, tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;
    int64_t deadline_ns = tspi_kafka_monotonic_ns() + LISTEN_MS * TSP_NS_PER_MS;
    bool by_edge = t->topics_n != 1 || strchr(t->topics[0] + strlen(t->run) + 1, '.');

    if (t->inbox.consumer)
        return tsp_error_set(err, TSP_EINVAL, "Kafka: the inbox is open already");
    tsp_status rc = tspi_kafka_make_topics(t->sender.producer, t->topics, t->topics_n, t->workers, LISTEN_MS, err);
    rd_kafka_poll(t->sender.producer, 0);
    if (rc != TSP_OK && t->news.trouble[0])
        tsp_error_note(err, "%s", t->news.trouble);
    if (rc == TSP_OK)
        rc = open_inbox(t, deadline_ns, err);
    if (rc != TSP_OK)
        return rc;
    t->news.down_ns = 0;
    int n = snprintf(ret_address, size, "%s%s%s.%s/%" PRIu32, scheme, t->run, by_edge ? ".*" : "", t->stage, t->worker);
    return n < 0 || (size_t)n >= size ? tsp_error_set(err, TSP_ERANGE, "Kafka: the inbox's address is too long")
                                      : TSP_OK;
}

/* "kafka:RUN.*.STAGE/WORKER" with the star replaced by the stage that sends; without a star as it is. */
static tsp_status read_address(const struct kafka_transport *t, const char *address, char *ret_topic, size_t size,
                               int32_t *ret_partition, tsp_error *err)
{
    const char *slash = strrchr(address, '/'), *star = strchr(address, '*');
    char *end = NULL;
    long partition = slash ? strtol(slash + 1, &end, 10) : -1;

    if (strncmp(address, scheme, sizeof scheme - 1) != 0 || !slash || end == slash + 1 || *end || partition < 0 ||
        partition > INT32_MAX || (star && star > slash))
        return tsp_error_set(err, TSP_EINVAL, "Kafka: '%s' is no address of an inbox", address);
    const char *name = address + sizeof scheme - 1;
    int n = star ? snprintf(ret_topic, size, "%.*s%s%.*s", (int)(star - name), name, t->stage, (int)(slash - star - 1),
                            star + 1)
                 : snprintf(ret_topic, size, "%.*s", (int)(slash - name), name);
    if (n <= 0 || (size_t)n >= size)
        return tsp_error_set(err, TSP_EINVAL, "Kafka: '%s' is no address of an inbox", address);
    *ret_partition = (int32_t)partition;
    return TSP_OK;
}

static tsp_status kafka_connect(tspi_transport *transport, const char *address, uint32_t *ret_peer, tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;
    char topic[TSPI_KAFKA_NAME_BYTES];
    int32_t partition = 0;
    tsp_status rc = read_address(t, address, topic, sizeof topic, &partition, err);

    return rc == TSP_OK ? tspi_kafka_sender_add(&t->sender, topic, partition, ret_peer, err) : rc;
}

static tsp_status kafka_send(tspi_transport *transport, uint32_t peer, tspi_msg *msg, tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;
    tsp_status rc = tspi_kafka_sender_send(&t->sender, peer, msg, err);

    return rc == TSP_EAGAIN && verdict(t, err) != TSP_OK ? TSP_EIO : rc;
}

static tsp_status kafka_post(tspi_transport *transport, uint32_t peer, const tspi_content *content, tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;
    tsp_status rc = tspi_kafka_sender_post(&t->sender, peer, content, err);

    return rc == TSP_EAGAIN && verdict(t, err) != TSP_OK ? TSP_EIO : rc;
}

static tsp_status kafka_recv(tspi_transport *transport, tspi_msg **ret_msg, tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;
    tsp_status rc = tspi_kafka_inbox_recv(&t->inbox, ret_msg, err);

    return rc == TSP_EAGAIN && verdict(t, err) != TSP_OK ? TSP_EIO : rc;
}

static tsp_status kafka_deliver(tspi_transport *transport, uint32_t max, tspi_on_msg on_msg, void *ctx, uint32_t *ret_n,
                                tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;
    tsp_status rc = tspi_kafka_inbox_deliver(&t->inbox, max, on_msg, ctx, ret_n, err);

    return rc == TSP_EAGAIN && verdict(t, err) != TSP_OK ? TSP_EIO : rc;
}

static int kafka_wait_fd(tspi_transport *transport)
{
    return ((struct kafka_transport *)transport)->wait_fd;
}

/* ------------------------------------------------------------------ keeping watch */

static int64_t kafka_due_ns(tspi_transport *transport)
{
    return ((struct kafka_transport *)transport)->next_poll_ns;
}

/* All connections are lost, and nothing has passed for a while: ask once more, and believe the answer. */
static tsp_status check_broker(struct kafka_transport *t, tsp_error *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t got = rd_kafka_metadata(t->sender.producer, 0, NULL, &metadata, LAST_WORD_MS);

    if (got)
        return tsp_error_set(err, TSP_EIO, "Kafka: the broker at %s is gone: %s", t->settings.broker,
                             t->news.trouble[0] ? t->news.trouble : rd_kafka_err2str(got));
    rd_kafka_metadata_destroy(metadata);
    t->news.down_ns = 0;
    return TSP_OK;
}

static tsp_status kafka_poll(tspi_transport *transport, int64_t now_ns, tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;

    if (now_ns < t->next_poll_ns)
        return TSP_OK;
    rd_kafka_poll(t->sender.producer, 0);
    t->next_poll_ns = now_ns + (t->sender.out ? report_every_ns : idle_every_ns);
    tsp_status rc = verdict(t, err);
    if (rc == TSP_OK && t->news.down_ns && now_ns - t->news.down_ns > TSPI_KAFKA_PATIENCE_MS * TSP_NS_PER_MS)
        rc = check_broker(t, err);
    return rc;
}

const struct tspi_transport_ops tspi_transport_kafka = {
    .scheme = "kafka",
    .semconv = "kafka",
    .at_least_once = true,
    .open = kafka_open,
    .listen = kafka_listen,
    .connect = kafka_connect,
    .send = kafka_send,
    .post = kafka_post,
    .recv = kafka_recv,
    .deliver = kafka_deliver,
    .wait_fd = kafka_wait_fd,
    .due_ns = kafka_due_ns,
    .poll = kafka_poll,
    .close = kafka_close,
};
