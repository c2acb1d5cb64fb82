/* Apache Kafka by librdkafka. A topic an edge (RUN.FROM.TO, or RUN.TO where an inbox hears whoever has its address), a
 * partition a worker of the receiving stage, a consumer group a stage. The sender picks the worker, so it names the
 * partition; the group gives each worker the partition of its own number, and an inbox is open once that is so.
 * A message is one record: its headers are the record's, its key is the record's key as eight bytes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "transport/kafka_inside.h"

/* How long listen waits for the broker to come up and for its place in the group. */
enum { LISTEN_MS = 45000 };
/* How long close waits for queued messages to leave, and for the group to be left. */
enum { LINGER_MS = 2000, FLUSH_MS = 50, LEAVE_MS = 1000, PURGE_MS = 200 };
/* How long a question to a broker that seems gone may take. */
enum { LAST_WORD_MS = 500 };
/* Records from this size on are not copied. */
enum { ZERO_COPY_BYTES = 8 * 1024 };
enum { KEY_BYTES = 8, NAME_MAX_BYTES = 250 };
/* Delivery reports are looked at this often: while messages are out, and otherwise. */
static const int64_t report_every_ns = 5 * TSP_NS_PER_MS, idle_every_ns = 200 * TSP_NS_PER_MS;

static const char scheme[] = "kafka:";

struct peer {
    rd_kafka_topic_t *topic;
    int32_t partition;
};

struct kafka_transport {
    tspi_transport base;
    tspi_kafka_settings settings; /* copies, owned */
    char run[64], stage[64];
    uint32_t worker, workers;
    char **topics; /* of the inbox */
    uint32_t topics_n;
    rd_kafka_t *producer, *consumer;
    struct peer *peers;
    uint32_t peers_n;
    int wait_fd;                  /* an eventfd that librdkafka signals */
    tspi_msg *early, **early_end; /* what came while listen still waited for its place */
    bool in_place, misplaced;     /* in the group: as wanted; otherwise than wanted, after it was as wanted */
    uint64_t out;                 /* messages without a delivery report yet */
    uint64_t undelivered;
    int64_t next_poll_ns;
    int64_t down_ns;   /* when all connections were found lost; 0 = they are not */
    char trouble[256]; /* the last thing that went wrong on a connection */
    char loss[640];    /* why the first message was not delivered, or the client is beyond help */
};

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

/* ------------------------------------------------------------------ what librdkafka tells */

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    struct kafka_transport *t = opaque;
    char text[256];

    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(client, text, sizeof text);
        snprintf(t->loss, sizeof t->loss, "%s", text);
    } else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        t->down_ns = t->down_ns ? t->down_ns : monotonic_ns();
    else
        snprintf(t->trouble, sizeof t->trouble, "%s", reason);
}

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *record, void *opaque)
{
    struct kafka_transport *t = opaque;

    (void)client;
    tspi_msg_free(record->_private);
    t->out--;
    if (!record->err) {
        t->down_ns = 0;
        return;
    }
    t->undelivered++;
    if (!t->loss[0])
        snprintf(t->loss, sizeof t->loss, "%s%s%s", rd_kafka_err2str(record->err), t->trouble[0] ? "; " : "",
                 t->trouble);
}

/* Whether the group gave exactly the partition of this worker's number, of every topic. */
static bool is_as_wanted(const struct kafka_transport *t, const rd_kafka_topic_partition_list_t *given)
{
    if (given->cnt != (int)t->topics_n)
        return false;
    for (int k = 0; k < given->cnt; k++)
        if (given->elems[k].partition != (int32_t)t->worker)
            return false;
    return true;
}

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *given,
                         void *opaque)
{
    struct kafka_transport *t = opaque;

    if (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_assign(client, NULL);
        return;
    }
    rd_kafka_assign(client, given);
    bool wanted = is_as_wanted(t, given);
    t->misplaced = t->in_place && !wanted;
    t->in_place = t->in_place || wanted;
}

/* What ends a run: a message that was not delivered, a place in the group that was lost. */
static tsp_status verdict(const struct kafka_transport *t, tsp_error *err)
{
    if (t->undelivered)
        return tsp_error_set(err, TSP_EIO, "Kafka: %" PRIu64 " messages were not delivered: %s", t->undelivered,
                             t->loss);
    if (t->loss[0])
        return tsp_error_set(err, TSP_EIO, "Kafka: %s", t->loss);
    if (t->misplaced)
        return tsp_error_set(err, TSP_EIO,
                             "Kafka: the group gave the partition of %s's worker %" PRIu32 " to another worker",
                             t->stage, t->worker);
    return TSP_OK;
}

/* ------------------------------------------------------------------ life */

static char *copy_text(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void settings_release(tspi_kafka_settings *settings)
{
    for (uint32_t k = 0; settings->extra && k < settings->extra_n; k++)
        free((char *)settings->extra[k]);
    free((void *)settings->extra);
    free((char *)settings->broker);
    free((char *)settings->acks);
}

static bool settings_copy(const tspi_kafka_settings *from, tspi_kafka_settings *to)
{
    const char **extra = calloc(from->extra_n + 1, sizeof *extra);

    *to = *from;
    to->broker = copy_text(from->broker);
    to->acks = copy_text(from->acks);
    to->extra = extra;
    if (!extra || !to->broker || (from->acks && !to->acks))
        return false;
    for (uint32_t k = 0; k < from->extra_n; k++)
        if (!(extra[k] = strdup(from->extra[k])))
            return false;
    return true;
}

/* Without the group's leave, or when nobody is there to hear it, the member times out on the broker's side. */
static void leave_group(struct kafka_transport *t)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(t->consumer);
    int64_t deadline_ns = monotonic_ns() + LEAVE_MS * TSP_NS_PER_MS;

    rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
    rd_kafka_error_t *refused = t->down_ns ? NULL : rd_kafka_consumer_close_queue(t->consumer, queue);
    if (refused)
        rd_kafka_error_destroy(refused);
    else
        while (!t->down_ns && !rd_kafka_consumer_closed(t->consumer) && monotonic_ns() < deadline_ns) {
            rd_kafka_message_t *record = rd_kafka_consume_queue(queue, 10);
            if (record)
                rd_kafka_message_destroy(record);
        }
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy_flags(t->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
}

static void close_producer(struct kafka_transport *t)
{
    int64_t deadline_ns = monotonic_ns() + LINGER_MS * TSP_NS_PER_MS;

    rd_kafka_poll(t->producer, 0);
    while (t->out && !t->down_ns && monotonic_ns() < deadline_ns)
        rd_kafka_flush(t->producer, FLUSH_MS);
    if (t->out) {
        rd_kafka_purge(t->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(t->producer, PURGE_MS);
    }
    for (uint32_t k = 0; k < t->peers_n; k++)
        rd_kafka_topic_destroy(t->peers[k].topic);
    rd_kafka_destroy(t->producer);
}

static void kafka_close(tspi_transport *transport)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;

    if (t->producer)
        close_producer(t);
    if (t->consumer)
        leave_group(t);
    for (tspi_msg *msg = t->early, *next; msg; msg = next) {
        next = msg->next;
        tspi_msg_free(msg);
    }
    for (uint32_t k = 0; k < t->topics_n; k++)
        free(t->topics[k]);
    free(t->topics);
    free(t->peers);
    settings_release(&t->settings);
    if (t->wait_fd >= 0)
        close(t->wait_fd);
    free(t);
}

static tsp_status make_producer(struct kafka_transport *t, tsp_error *err)
{
    rd_kafka_conf_t *conf = tspi_kafka_conf_producer(&t->settings, err);

    if (!conf)
        return TSP_EINVAL;
    rd_kafka_conf_set_opaque(conf, t);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return tspi_kafka_client(RD_KAFKA_PRODUCER, conf, &t->settings, &t->producer, err);
}

/* Names of the inbox's topics: an edge each, or one for everybody. */
static tsp_status name_topics(struct kafka_transport *t, const tspi_transport_config *config, tsp_error *err)
{
    uint32_t n = config->from ? config->from_n : 1;
    char name[NAME_MAX_BYTES];

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
    t->early_end = &t->early;
    t->worker = config->worker;
    t->workers = config->workers ? config->workers : 1;
    snprintf(t->run, sizeof t->run, "%s", config->run ? config->run : "truespan");
    snprintf(t->stage, sizeof t->stage, "%s", config->stage ? config->stage : config->inbox);
    t->wait_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (t->wait_fd < 0)
        rc = tsp_error_sys(err, errno, "Kafka: cannot make a descriptor");
    else if (!config->kafka || !config->kafka->broker)
        rc = tsp_error_set(err, TSP_EINVAL, "Kafka: no broker is named");
    else if (!settings_copy(config->kafka, &t->settings))
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory for settings");
    if (rc == TSP_OK)
        rc = name_topics(t, config, err);
    if (rc == TSP_OK)
        rc = make_producer(t, err);
    if (rc != TSP_OK)
        kafka_close(&t->base);
    else
        *ret_transport = &t->base;
    return rc;
}

/* ------------------------------------------------------------------ receiving */

static tsp_status copy_headers(const rd_kafka_message_t *record, tspi_msg *msg)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t len;
    tsp_status rc = TSP_OK;

    if (rd_kafka_message_headers(record, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return TSP_OK; /* it has none */
    for (size_t k = 0; rc == TSP_OK && !rd_kafka_header_get_all(headers, k, &name, &value, &len); k++)
        rc = tspi_msg_add_header(msg, name, value, len);
    return rc;
}

static tsp_status unpack(const rd_kafka_message_t *record, tspi_msg **ret_msg, tsp_error *err)
{
    uint64_t key = 0;

    if (record->key_len == KEY_BYTES)
        for (int k = 0; k < KEY_BYTES; k++)
            key = key << 8 | ((const uint8_t *)record->key)[k];
    tspi_msg *msg = tspi_msg_new(key);
    tsp_status rc = msg ? copy_headers(record, msg) : TSP_ENOMEM;
    if (rc == TSP_OK)
        rc = tspi_msg_set_payload(msg, record->payload, record->len);
    if (rc == TSP_OK) {
        *ret_msg = msg;
        return TSP_OK;
    }
    tspi_msg_free(msg);
    return tsp_error_set(err, rc == TSP_EINVAL ? TSP_EPARSE : rc, "Kafka: a record of %zu bytes is no message",
                         record->len);
}

/* An error that comes in place of a record. Most are of a connection that will be made anew; how long that may take is
 * poll's business. */
static tsp_status read_trouble(struct kafka_transport *t, const rd_kafka_message_t *record, tsp_error *err)
{
    switch (record->err) {
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        return tsp_error_set(err, TSP_EIO, "Kafka: cannot receive: %s", rd_kafka_message_errstr(record));
    default:
        snprintf(t->trouble, sizeof t->trouble, "%s", rd_kafka_message_errstr(record));
        return TSP_EAGAIN;
    }
}

/* One record, or TSP_EAGAIN after timeout_ms. */
static tsp_status consume(struct kafka_transport *t, int timeout_ms, tspi_msg **ret_msg, tsp_error *err)
{
    rd_kafka_message_t *record = rd_kafka_consumer_poll(t->consumer, timeout_ms);
    tsp_status rc = TSP_EAGAIN;

    if (!record)
        return verdict(t, err) == TSP_OK ? TSP_EAGAIN : TSP_EIO;
    if (record->err)
        rc = read_trouble(t, record, err);
    else {
        t->down_ns = 0;
        rc = unpack(record, ret_msg, err);
    }
    rd_kafka_message_destroy(record);
    return rc;
}

static tsp_status kafka_recv(tspi_transport *transport, tspi_msg **ret_msg, tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;
    uint64_t signals;

    if (t->early) {
        *ret_msg = t->early;
        t->early = t->early->next;
        if (!t->early)
            t->early_end = &t->early;
        return TSP_OK;
    }
    if (!t->consumer)
        return TSP_EAGAIN;
    tsp_status rc = consume(t, 0, ret_msg, err);
    /* A signal may be for what was just read, or for what came behind it: so look once more. */
    while (rc == TSP_EAGAIN && read(t->wait_fd, &signals, sizeof signals) == sizeof signals)
        rc = consume(t, 0, ret_msg, err);
    return rc;
}

/* ------------------------------------------------------------------ listening */

static tsp_status subscribe(struct kafka_transport *t, tsp_error *err)
{
    char group[NAME_MAX_BYTES], member[NAME_MAX_BYTES];

    snprintf(group, sizeof group, "%s.%s", t->run, t->stage);
    /* A group's members are sorted by ids that begin with this: the k-th worker is the k-th member. */
    snprintf(member, sizeof member, "%s.%s-%05" PRIu32, t->run, t->stage, t->worker);
    rd_kafka_conf_t *conf = tspi_kafka_conf_consumer(&t->settings, group, member, err);
    if (!conf)
        return TSP_EINVAL;
    rd_kafka_conf_set_opaque(conf, t);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    tsp_status rc = tspi_kafka_client(RD_KAFKA_CONSUMER, conf, &t->settings, &t->consumer, err);
    if (rc != TSP_OK)
        return rc;
    rd_kafka_poll_set_consumer(t->consumer);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new((int)t->topics_n);
    for (uint32_t k = 0; k < t->topics_n; k++)
        rd_kafka_topic_partition_list_add(topics, t->topics[k], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t got = rd_kafka_subscribe(t->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return got ? tsp_error_set(err, TSP_EIO, "Kafka: cannot subscribe: %s", rd_kafka_err2str(got)) : TSP_OK;
}

static tsp_status await_place(struct kafka_transport *t, int64_t deadline_ns, tsp_error *err)
{
    while (!t->in_place) {
        tspi_msg *msg = NULL;
        tsp_status rc = consume(t, 10, &msg, err);
        if (rc == TSP_OK) {
            msg->next = NULL;
            *t->early_end = msg;
            t->early_end = &msg->next;
        } else if (rc != TSP_EAGAIN)
            return rc;
        if (monotonic_ns() > deadline_ns)
            return tsp_error_set(err, TSP_EIO, "Kafka: no place in the group %s.%s within %d s%s%s", t->run, t->stage,
                                 LISTEN_MS / 1000, t->trouble[0] ? ": " : "", t->trouble);
    }
    return TSP_OK;
}

static void wake_by_eventfd(struct kafka_transport *t)
{
    static const uint64_t one = 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(t->consumer);

    rd_kafka_queue_io_event_enable(queue, t->wait_fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
}

static tsp_status kafka_listen(tspi_transport *transport, char *ret_address, size_t size, tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;
    int64_t deadline_ns = monotonic_ns() + LISTEN_MS * TSP_NS_PER_MS;
    bool by_edge = t->topics_n != 1 || strchr(t->topics[0] + strlen(t->run) + 1, '.');

    if (t->consumer)
        return tsp_error_set(err, TSP_EINVAL, "Kafka: the inbox is open already");
    tsp_status rc = tspi_kafka_make_topics(t->producer, t->topics, t->topics_n, t->workers, LISTEN_MS, err);
    rd_kafka_poll(t->producer, 0);
    if (rc != TSP_OK && t->trouble[0])
        tsp_error_note(err, "%s", t->trouble);
    if (rc == TSP_OK)
        rc = subscribe(t, err);
    if (rc == TSP_OK)
        rc = await_place(t, deadline_ns, err);
    if (rc != TSP_OK)
        return rc;
    t->down_ns = 0;
    wake_by_eventfd(t);
    int n = snprintf(ret_address, size, "%s%s%s.%s/%" PRIu32, scheme, t->run, by_edge ? ".*" : "", t->stage, t->worker);
    return n < 0 || (size_t)n >= size ? tsp_error_set(err, TSP_ERANGE, "Kafka: the inbox's address is too long")
                                      : TSP_OK;
}

static int kafka_wait_fd(tspi_transport *transport)
{
    return ((struct kafka_transport *)transport)->wait_fd;
}

/* ------------------------------------------------------------------ sending */

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
    char topic[NAME_MAX_BYTES];
    struct peer peer;
    tsp_status rc = read_address(t, address, topic, sizeof topic, &peer.partition, err);

    if (rc != TSP_OK)
        return rc;
    struct peer *peers = realloc(t->peers, (t->peers_n + 1) * sizeof *peers);
    if (!peers)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a peer");
    t->peers = peers;
    peer.topic = rd_kafka_topic_new(t->producer, topic, NULL);
    if (!peer.topic)
        return tsp_error_set(err, TSP_EIO, "Kafka: cannot use topic %s: %s", topic,
                             rd_kafka_err2str(rd_kafka_last_error()));
    *ret_peer = t->peers_n;
    peers[t->peers_n++] = peer;
    return TSP_OK;
}

static rd_kafka_headers_t *make_headers(const tspi_msg *msg)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(4);
    tspi_msg_header_view header;

    for (size_t at = 0; tspi_msg_next_header(msg, &at, &header);)
        if (rd_kafka_header_add(headers, header.name, (ssize_t)header.name_len, header.value, (ssize_t)header.len)) {
            rd_kafka_headers_destroy(headers);
            return NULL;
        }
    return headers;
}

/* A large record's bytes stay where they are, in the message, which the delivery report frees; a small one's are
 * copied, which costs less than to keep the message until then. */
static bool is_copied(const tspi_msg *msg)
{
    return msg->len < ZERO_COPY_BYTES;
}

static rd_kafka_resp_err_t produce(struct kafka_transport *t, const struct peer *peer, tspi_msg *msg)
{
    uint8_t key[KEY_BYTES];
    size_t len;
    const void *payload = tspi_msg_payload(msg, &len);
    rd_kafka_headers_t *headers = make_headers(msg);

    if (!headers)
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
    for (int k = 0; k < KEY_BYTES; k++)
        key[k] = (uint8_t)(msg->key >> 8 * (KEY_BYTES - 1 - k));
    rd_kafka_resp_err_t got =
        rd_kafka_producev(t->producer, RD_KAFKA_V_RKT(peer->topic), RD_KAFKA_V_PARTITION(peer->partition),
                          RD_KAFKA_V_MSGFLAGS(is_copied(msg) ? RD_KAFKA_MSG_F_COPY : 0),
                          RD_KAFKA_V_KEY(key, sizeof key), RD_KAFKA_V_VALUE((void *)payload, len),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(is_copied(msg) ? NULL : msg), RD_KAFKA_V_END);
    if (got)
        rd_kafka_headers_destroy(headers);
    return got;
}

static tsp_status kafka_send(tspi_transport *transport, uint32_t peer, tspi_msg *msg, tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;

    if (peer >= t->peers_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    rd_kafka_resp_err_t got = produce(t, &t->peers[peer], msg);
    if (got == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        /* Messages with a report that nobody has read yet still count: read them. */
        rd_kafka_poll(t->producer, 0);
        got = produce(t, &t->peers[peer], msg);
    }
    if (got == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return verdict(t, err) == TSP_OK ? TSP_EAGAIN : TSP_EIO;
    if (got)
        return tsp_error_set(err, TSP_EIO, "Kafka: cannot send %zu bytes: %s", msg->len, rd_kafka_err2str(got));
    t->out++;
    if (is_copied(msg))
        tspi_msg_free(msg);
    return TSP_OK;
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
    rd_kafka_resp_err_t got = rd_kafka_metadata(t->producer, 0, NULL, &metadata, LAST_WORD_MS);

    if (got)
        return tsp_error_set(err, TSP_EIO, "Kafka: the broker at %s is gone: %s", t->settings.broker,
                             t->trouble[0] ? t->trouble : rd_kafka_err2str(got));
    rd_kafka_metadata_destroy(metadata);
    t->down_ns = 0;
    return TSP_OK;
}

static tsp_status kafka_poll(tspi_transport *transport, int64_t now_ns, tsp_error *err)
{
    struct kafka_transport *t = (struct kafka_transport *)transport;

    if (now_ns < t->next_poll_ns)
        return TSP_OK;
    rd_kafka_poll(t->producer, 0);
    t->next_poll_ns = now_ns + (t->out ? report_every_ns : idle_every_ns);
    tsp_status rc = verdict(t, err);
    if (rc == TSP_OK && t->down_ns && now_ns - t->down_ns > TSPI_KAFKA_PATIENCE_MS * TSP_NS_PER_MS)
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
    .recv = kafka_recv,
    .wait_fd = kafka_wait_fd,
    .due_ns = kafka_due_ns,
    .poll = kafka_poll,
    .close = kafka_close,
};
