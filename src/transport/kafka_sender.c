/* A node's producer: a partition a peer, and the reports of what became of each message. */
#include <stdio.h>
#include <stdlib.h>

#include "transport/content.h"
#include "transport/kafka_inside.h"

/* How long close waits for queued messages to leave. */
enum { LINGER_MS = 2000, FLUSH_MS = 50, PURGE_MS = 200 };
/* Records from this size on are not copied. */
enum { ZERO_COPY_BYTES = 8 * 1024 };

/* ------------------------------------------------------------------ delivery reports */

static void on_delivery(rd_kafka_t *client, const rd_kafka_message_t *record, void *opaque)
{
    tspi_kafka_sender *sender = opaque;
    tspi_kafka_news *news = sender->news;

    (void)client;
    tspi_msg_free(record->_private);
    sender->out--;
    if (!record->err) {
        news->down_ns = 0;
        return;
    }
    news->undelivered++;
    if (!news->loss[0])
        snprintf(news->loss, sizeof news->loss, "%s%s%s", rd_kafka_err2str(record->err), news->trouble[0] ? "; " : "",
                 news->trouble);
}

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    tspi_kafka_note_error(((tspi_kafka_sender *)opaque)->news, client, code, reason);
}

/* ------------------------------------------------------------------ life */

tsp_status tspi_kafka_sender_open(tspi_kafka_sender *sender, const tspi_kafka_settings *settings, tspi_kafka_news *news,
                                  tsp_error *err)
{
    rd_kafka_conf_t *conf = tspi_kafka_conf_producer(settings, err);

    if (!conf)
        return TSP_EINVAL;
    sender->news = news;
    rd_kafka_conf_set_opaque(conf, sender);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return tspi_kafka_client(RD_KAFKA_PRODUCER, conf, settings, &sender->producer, err);
}

void tspi_kafka_sender_close(tspi_kafka_sender *sender)
{
    int64_t deadline_ns = tspi_kafka_monotonic_ns() + LINGER_MS * TSP_NS_PER_MS;

    if (!sender->producer)
        return;
    rd_kafka_poll(sender->producer, 0);
    while (sender->out && !sender->news->down_ns && tspi_kafka_monotonic_ns() < deadline_ns)
        rd_kafka_flush(sender->producer, FLUSH_MS);
    if (sender->out) {
        rd_kafka_purge(sender->producer, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(sender->producer, PURGE_MS);
    }
    for (uint32_t k = 0; k < sender->peers_n; k++)
        rd_kafka_topic_destroy(sender->peers[k].topic);
    rd_kafka_destroy(sender->producer);
    free(sender->peers);
    *sender = (tspi_kafka_sender){0};
}

tsp_status tspi_kafka_sender_add(tspi_kafka_sender *sender, const char *topic, int32_t partition, uint32_t *ret_peer,
                                 tsp_error *err)
{
    struct tspi_kafka_peer *peers = realloc(sender->peers, (sender->peers_n + 1) * sizeof *peers);

    if (!peers)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a peer");
    sender->peers = peers;
    struct tspi_kafka_peer peer = {rd_kafka_topic_new(sender->producer, topic, NULL), partition};
    if (!peer.topic)
        return tsp_error_set(err, TSP_EIO, "Kafka: cannot use topic %s: %s", topic,
                             rd_kafka_err2str(rd_kafka_last_error()));
    *ret_peer = sender->peers_n;
    peers[sender->peers_n++] = peer;
    return TSP_OK;
}

/* ------------------------------------------------------------------ sending */

enum { HEADERS_EXPECTED = 4 };

static rd_kafka_headers_t *headers_of_msg(const tspi_msg *msg)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(HEADERS_EXPECTED);
    tspi_msg_header_view header;

    for (size_t at = 0; tspi_msg_next_header(msg, &at, &header);)
        if (rd_kafka_header_add(headers, header.name, (ssize_t)header.name_len, header.value, (ssize_t)header.len)) {
            rd_kafka_headers_destroy(headers);
            return NULL;
        }
    return headers;
}

static rd_kafka_headers_t *headers_of_content(const tspi_content *content)
{
    rd_kafka_headers_t *headers = rd_kafka_headers_new(HEADERS_EXPECTED);

    for (size_t k = 0; k < content->headers_n; k++) {
        const tspi_msg_header_view *header = &content->headers[k];
        if (rd_kafka_header_add(headers, header->name, (ssize_t)header->name_len, header->value,
                                (ssize_t)header->len)) {
            rd_kafka_headers_destroy(headers);
            return NULL;
        }
    }
    return headers;
}

/* What becomes a record. */
struct record {
    uint64_t key;
    rd_kafka_headers_t *headers; /* owned; NULL: they are none that Kafka takes, or there was no memory */
    const void *payload;
    size_t len;
    /* Whose bytes the payload is, which must not move: it is freed after the delivery report. NULL = they are copied.
     */
    tspi_msg *owner;
};

static rd_kafka_resp_err_t produce_once(const tspi_kafka_sender *sender, const struct tspi_kafka_peer *peer,
                                        const struct record *record)
{
    uint8_t key[TSPI_KAFKA_KEY_BYTES];
    int flags = record->owner ? 0 : RD_KAFKA_MSG_F_COPY;

    for (int k = 0; k < TSPI_KAFKA_KEY_BYTES; k++)
        key[k] = (uint8_t)(record->key >> 8 * (TSPI_KAFKA_KEY_BYTES - 1 - k));
    return rd_kafka_producev(sender->producer, RD_KAFKA_V_RKT(peer->topic), RD_KAFKA_V_PARTITION(peer->partition),
                             RD_KAFKA_V_MSGFLAGS(flags), RD_KAFKA_V_KEY(key, sizeof key),
                             RD_KAFKA_V_VALUE((void *)record->payload, record->len),
                             RD_KAFKA_V_HEADERS(record->headers), RD_KAFKA_V_OPAQUE(record->owner), RD_KAFKA_V_END);
}

/* As tspi_transport_ops.send; takes the headers. */
static tsp_status produce(tspi_kafka_sender *sender, uint32_t peer, const struct record *record, tsp_error *err)
{
    rd_kafka_resp_err_t got = RD_KAFKA_RESP_ERR__INVALID_ARG;

    if (record->headers)
        got = produce_once(sender, &sender->peers[peer], record);
    if (got == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        /* Messages with a report that nobody has read yet still count: read them. */
        rd_kafka_poll(sender->producer, 0);
        got = produce_once(sender, &sender->peers[peer], record);
    }
    if (!got) {
        sender->out++;
        return TSP_OK;
    }
    if (record->headers)
        rd_kafka_headers_destroy(record->headers);
    return got == RD_KAFKA_RESP_ERR__QUEUE_FULL
               ? TSP_EAGAIN
               : tsp_error_set(err, TSP_EIO, "Kafka: cannot send %zu bytes: %s", record->len, rd_kafka_err2str(got));
}

/* A large record's bytes stay where they are, in the message, which the delivery report frees; a small one's are
 * copied, which costs less than to keep the message until then. */
tsp_status tspi_kafka_sender_send(tspi_kafka_sender *sender, uint32_t peer, tspi_msg *msg, tsp_error *err)
{
    bool is_copied = msg->len < ZERO_COPY_BYTES;

    if (peer >= sender->peers_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    struct record record = {.key = msg->key, .headers = headers_of_msg(msg), .owner = is_copied ? NULL : msg};
    record.payload = tspi_msg_payload(msg, &record.len);
    tsp_status rc = produce(sender, peer, &record, err);
    if (rc == TSP_OK && is_copied)
        tspi_msg_free(msg);
    return rc;
}

tsp_status tspi_kafka_sender_post(tspi_kafka_sender *sender, uint32_t peer, const tspi_content *content, tsp_error *err)
{
    if (peer >= sender->peers_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    if (tspi_content_len(content) == SIZE_MAX)
        return tsp_error_set(err, TSP_EINVAL, "a message of %zu bytes is over the limit of %d", content->payload_len,
                             TSPI_MSG_MAX_BYTES);
    return produce(sender, peer,
                   &(struct record){.key = content->key,
                                    .headers = headers_of_content(content),
                                    .payload = content->payload,
                                    .len = content->payload_len},
                   err);
}
