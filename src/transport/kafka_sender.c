/* A node's producer: a partition a peer, and the reports of what became of each message. */
#include <stdio.h>
#include <stdlib.h>

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

static rd_kafka_resp_err_t produce(const tspi_kafka_sender *sender, const struct tspi_kafka_peer *peer, tspi_msg *msg)
{
    uint8_t key[TSPI_KAFKA_KEY_BYTES];
    size_t len;
    const void *payload = tspi_msg_payload(msg, &len);
    rd_kafka_headers_t *headers = make_headers(msg);

    if (!headers)
        return RD_KAFKA_RESP_ERR__INVALID_ARG;
    for (int k = 0; k < TSPI_KAFKA_KEY_BYTES; k++)
        key[k] = (uint8_t)(msg->key >> 8 * (TSPI_KAFKA_KEY_BYTES - 1 - k));
    rd_kafka_resp_err_t got =
        rd_kafka_producev(sender->producer, RD_KAFKA_V_RKT(peer->topic), RD_KAFKA_V_PARTITION(peer->partition),
                          RD_KAFKA_V_MSGFLAGS(is_copied(msg) ? RD_KAFKA_MSG_F_COPY : 0),
                          RD_KAFKA_V_KEY(key, sizeof key), RD_KAFKA_V_VALUE((void *)payload, len),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(is_copied(msg) ? NULL : msg), RD_KAFKA_V_END);
    if (got)
        rd_kafka_headers_destroy(headers);
    return got;
}

tsp_status tspi_kafka_sender_send(tspi_kafka_sender *sender, uint32_t peer, tspi_msg *msg, tsp_error *err)
{
    if (peer >= sender->peers_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    rd_kafka_resp_err_t got = produce(sender, &sender->peers[peer], msg);
    if (got == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        /* Messages with a report that nobody has read yet still count: read them. */
        rd_kafka_poll(sender->producer, 0);
        got = produce(sender, &sender->peers[peer], msg);
    }
    if (got == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return TSP_EAGAIN;
    if (got)
        return tsp_error_set(err, TSP_EIO, "Kafka: cannot send %zu bytes: %s", msg->len, rd_kafka_err2str(got));
    sender->out++;
    if (is_copied(msg))
        tspi_msg_free(msg);
    return TSP_OK;
}
