/* A node's consumer: its place in the group, and what it receives. Records are taken from librdkafka by the batch, and
 * count as read when they are given to the caller: the rest of a batch is left for whoever opens the inbox next. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "transport/kafka_inside.h"

/* How long close waits for the group to be left. */
enum { LEAVE_MS = 1000 };
/* How long open waits for word of the group before it looks at the time. */
enum { LOOK_MS = 10 };

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    tspi_kafka_note_error(((tspi_kafka_inbox *)opaque)->news, client, code, reason);
}

/* ------------------------------------------------------------------ the group */

/* Whether the group gave exactly the partition of this worker's number, of every topic. */
static bool is_as_wanted(const tspi_kafka_inbox *inbox, const rd_kafka_topic_partition_list_t *given)
{
    if (given->cnt != (int)inbox->topics_n)
        return false;
    for (int k = 0; k < given->cnt; k++)
        if (given->elems[k].partition != (int32_t)inbox->worker)
            return false;
    return true;
}

static void on_rebalance(rd_kafka_t *client, rd_kafka_resp_err_t what, rd_kafka_topic_partition_list_t *given,
                         void *opaque)
{
    tspi_kafka_inbox *inbox = opaque;

    if (what != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        rd_kafka_assign(client, NULL);
        return;
    }
    rd_kafka_assign(client, given);
    bool wanted = is_as_wanted(inbox, given);
    inbox->misplaced = inbox->in_place && !wanted;
    inbox->in_place = inbox->in_place || wanted;
}

static tsp_status subscribe(tspi_kafka_inbox *inbox, const tspi_kafka_settings *settings, tsp_error *err)
{
    rd_kafka_conf_t *conf = tspi_kafka_conf_consumer(settings, inbox->group, inbox->member, err);

    if (!conf)
        return TSP_EINVAL;
    rd_kafka_conf_set_opaque(conf, inbox);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    tsp_status rc = tspi_kafka_client(RD_KAFKA_CONSUMER, conf, settings, &inbox->consumer, err);
    if (rc != TSP_OK)
        return rc;
    rd_kafka_poll_set_consumer(inbox->consumer);
    inbox->queue = rd_kafka_queue_get_consumer(inbox->consumer);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new((int)inbox->topics_n);
    for (uint32_t k = 0; k < inbox->topics_n; k++)
        rd_kafka_topic_partition_list_add(topics, inbox->topics[k], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t got = rd_kafka_subscribe(inbox->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    return got ? tsp_error_set(err, TSP_EIO, "Kafka: cannot subscribe: %s", rd_kafka_err2str(got)) : TSP_OK;
}

/* ------------------------------------------------------------------ records */

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

    if (record->key_len == TSPI_KAFKA_KEY_BYTES)
        for (int k = 0; k < TSPI_KAFKA_KEY_BYTES; k++)
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
 * the business of who reads the news. */
static tsp_status read_trouble(tspi_kafka_inbox *inbox, const rd_kafka_message_t *record, tsp_error *err)
{
    switch (record->err) {
    case RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED:
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        return tsp_error_set(err, TSP_EIO, "Kafka: cannot receive: %s", rd_kafka_message_errstr(record));
    default:
        snprintf(inbox->news->trouble, sizeof inbox->news->trouble, "%s", rd_kafka_message_errstr(record));
        return TSP_EAGAIN;
    }
}

static bool take_batch(tspi_kafka_inbox *inbox, int timeout_ms)
{
    ssize_t n = rd_kafka_consume_batch_queue(inbox->queue, timeout_ms, inbox->batch, TSPI_KAFKA_BATCH);

    inbox->batch_at = 0;
    inbox->batch_n = n > 0 ? (uint32_t)n : 0;
    return n > 0;
}

static bool is_same_partition(const rd_kafka_message_t *a, const rd_kafka_message_t *b)
{
    return a->rkt == b->rkt && a->partition == b->partition;
}

/* The group's offsets go on to behind this record. Nobody minds where they lie within a batch: so only the last record
 * of a run from one partition is noted. A partition that was taken away meanwhile has a reader of its own. */
static void note_read(const rd_kafka_message_t *record)
{
    if (!record->err)
        rd_kafka_offset_store(record->rkt, record->partition, record->offset);
}

static void leave_batch(tspi_kafka_inbox *inbox)
{
    if (inbox->batch_at < inbox->batch_n && !inbox->batch[inbox->batch_at]->err) {
        const rd_kafka_message_t *first = inbox->batch[inbox->batch_at];
        rd_kafka_offset_store(first->rkt, first->partition, first->offset - 1); /* it takes the last one read */
    }
    while (inbox->batch_at < inbox->batch_n)
        rd_kafka_message_destroy(inbox->batch[inbox->batch_at++]);
}

/* The next record of the batch that is a message; TSP_EAGAIN when there is none left. */
static tsp_status next_of_batch(tspi_kafka_inbox *inbox, tspi_msg **ret_msg, tsp_error *err)
{
    tsp_status rc = TSP_EAGAIN;

    while (rc == TSP_EAGAIN && inbox->batch_at < inbox->batch_n) {
        rd_kafka_message_t *record = inbox->batch[inbox->batch_at++];
        if (record->err)
            rc = read_trouble(inbox, record, err);
        else {
            inbox->news->down_ns = 0;
            rc = unpack(record, ret_msg, err);
        }
        if (inbox->batch_at == inbox->batch_n || !is_same_partition(record, inbox->batch[inbox->batch_at]))
            note_read(record);
        rd_kafka_message_destroy(record);
    }
    return rc;
}

tsp_status tspi_kafka_inbox_recv(tspi_kafka_inbox *inbox, tspi_msg **ret_msg, tsp_error *err)
{
    uint64_t signals;

    if (inbox->early) {
        *ret_msg = inbox->early;
        inbox->early = inbox->early->next;
        return TSP_OK;
    }
    if (!inbox->consumer)
        return TSP_EAGAIN;
    tsp_status rc = next_of_batch(inbox, ret_msg, err);
    if (rc == TSP_EAGAIN && take_batch(inbox, 0))
        rc = next_of_batch(inbox, ret_msg, err);
    /* A signal may be for what was just read, or for what came behind it: so look once more. */
    while (rc == TSP_EAGAIN && read(inbox->wait_fd, &signals, sizeof signals) == sizeof signals)
        if (take_batch(inbox, 0))
            rc = next_of_batch(inbox, ret_msg, err);
    return rc;
}

static tsp_status next_at_hand(tspi_kafka_inbox *inbox, tspi_msg **ret_msg, tsp_error *err)
{
    if (!inbox->early)
        return next_of_batch(inbox, ret_msg, err);
    *ret_msg = inbox->early;
    inbox->early = inbox->early->next;
    return TSP_OK;
}

/* A look into librdkafka's queue costs more than a message: so what one look brings is enough for one call. */
tsp_status tspi_kafka_inbox_deliver(tspi_kafka_inbox *inbox, uint32_t max, tspi_on_msg on_msg, void *ctx,
                                    uint32_t *ret_n, tsp_error *err)
{
    uint64_t signals;
    tsp_status rc = TSP_EAGAIN;

    if (!inbox->consumer)
        return TSP_EAGAIN;
    for (;;) {
        tspi_msg *msg;
        bool more = true;
        while (more && *ret_n < max && (rc = next_at_hand(inbox, &msg, err)) == TSP_OK) {
            more = on_msg(ctx, msg);
            tspi_msg_free(msg);
            ++*ret_n;
        }
        if (*ret_n)
            return rc == TSP_EAGAIN ? TSP_OK : rc;
        if (rc != TSP_EAGAIN ||
            (!take_batch(inbox, 0) && (read(inbox->wait_fd, &signals, sizeof signals) < 0 || !take_batch(inbox, 0))))
            return rc;
    }
}

/* ------------------------------------------------------------------ life */

static tsp_status await_place(tspi_kafka_inbox *inbox, int64_t deadline_ns, tsp_error *err)
{
    const tspi_kafka_news *news = inbox->news;

    inbox->early_end = &inbox->early;
    while (!inbox->in_place) {
        tspi_msg *msg = NULL;
        tsp_status rc;
        take_batch(inbox, LOOK_MS);
        while ((rc = next_of_batch(inbox, &msg, err)) == TSP_OK) {
            msg->next = NULL;
            *inbox->early_end = msg;
            inbox->early_end = &msg->next;
        }
        if (rc != TSP_EAGAIN)
            return rc;
        if (news->loss[0])
            return tsp_error_set(err, TSP_EIO, "Kafka: %s", news->loss);
        if (!inbox->in_place && tspi_kafka_monotonic_ns() > deadline_ns)
            return tsp_error_set(err, TSP_EIO, "Kafka: no place in the group %s in time%s%s", inbox->group,
                                 news->trouble[0] ? ": " : "", news->trouble);
    }
    return TSP_OK;
}

tsp_status tspi_kafka_inbox_open(tspi_kafka_inbox *inbox, const tspi_kafka_settings *settings, int64_t deadline_ns,
                                 tsp_error *err)
{
    static const uint64_t one = 1;
    tsp_status rc = subscribe(inbox, settings, err);

    if (rc == TSP_OK)
        rc = await_place(inbox, deadline_ns, err);
    if (rc == TSP_OK)
        rd_kafka_queue_io_event_enable(inbox->queue, inbox->wait_fd, &one, sizeof one);
    return rc;
}

/* Without the group's leave, or when nobody is there to hear it, the member times out on the broker's side. */
static void leave_group(tspi_kafka_inbox *inbox)
{
    int64_t deadline_ns = tspi_kafka_monotonic_ns() + LEAVE_MS * TSP_NS_PER_MS;
    const tspi_kafka_news *news = inbox->news;

    rd_kafka_queue_io_event_enable(inbox->queue, -1, NULL, 0);
    rd_kafka_error_t *refused = news->down_ns ? NULL : rd_kafka_consumer_close_queue(inbox->consumer, inbox->queue);
    if (refused) {
        rd_kafka_error_destroy(refused);
        return;
    }
    while (!news->down_ns && !rd_kafka_consumer_closed(inbox->consumer) && tspi_kafka_monotonic_ns() < deadline_ns) {
        rd_kafka_message_t *record = rd_kafka_consume_queue(inbox->queue, LOOK_MS);
        if (record)
            rd_kafka_message_destroy(record);
    }
}

void tspi_kafka_inbox_close(tspi_kafka_inbox *inbox)
{
    if (inbox->consumer) {
        leave_batch(inbox);
        leave_group(inbox);
        rd_kafka_queue_destroy(inbox->queue);
        rd_kafka_destroy_flags(inbox->consumer, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    }
    for (tspi_msg *msg = inbox->early, *next; msg; msg = next) {
        next = msg->next;
        tspi_msg_free(msg);
    }
    *inbox = (tspi_kafka_inbox){0};
}
