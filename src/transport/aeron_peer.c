/* One exclusive publication a peer. While nobody is there, messages wait in a queue of ours; while the receiver is
 * slow, Aeron's own window is the queue, and a short one before it takes what was begun. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "transport/aeron_stream.h"
#include "transport/content.h"

/* Messages that wait for a receiver that is not there (yet): some seconds of the lab's busiest edge. */
enum { QUEUE_MAX = 16 * 1024, QUEUE_MAX_BYTES = 64 * 1024 * 1024 };
/* And for one that is slow, whose window is the queue. Few: each holds memory that the next message could use again. */
enum { BACKLOG_MAX = 32 };
/* A term ends at some message: Aeron turns to the next one and asks to be offered the message again. */
enum { ADMIN_RETRIES = 8 };
/* A media driver that lives answers within milliseconds; one that is dead never does. */
static const int64_t add_timeout_ns = 5 * TSP_NS_PER_S;
/* A stream whose positions are used up is closed, and the next one opened only when what was under way has arrived:
 * between two streams there is no order. */
static const int64_t settle_ns = TSP_NS_PER_S;

/* Aeron's message has a line "(number) name" and below it lines "[function, file:line] what"; a media driver's answer
 * comes as a second such block, which says more than the first. */
tsp_status tspi_aeron_fail(tsp_error *err, const char *what)
{
    const char *name = aeron_errmsg(), *detail;

    for (const char *next; (next = strstr(name, "\n(")) != NULL;)
        name = next + 1;
    if (strstr(name, "insufficient storage"))
        return tsp_error_set(err, TSP_EIO,
                             "Aeron: %s: the shared memory is too full for another stream of three terms: make room in "
                             "/dev/shm, or choose smaller terms (aeron.term_bytes)",
                             what);
    detail = strstr(name, "] ");
    detail = detail ? detail + 2 : "";
    name += strcspn(name, " ");
    name += *name == ' ';
    return tsp_error_set(err, TSP_EIO, "Aeron: %s: %.*s (%.*s)", what, (int)strcspn(detail, "\n"), detail,
                         (int)strcspn(name, "\n"), name);
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

tsp_status tspi_aeron_peer_open(tspi_aeron_peer *peer, tsp_error *err)
{
    peer->open_at_ns = 0;
    peer->adding_since_ns = monotonic_ns();
    if (aeron_async_add_exclusive_publication(&peer->adding, peer->client, peer->channel, peer->stream) == 0)
        return TSP_OK;
    peer->adding = NULL;
    return tspi_aeron_fail(err, "cannot ask for a publication");
}

static tsp_status see_whether_added(tspi_aeron_peer *peer, tsp_error *err)
{
    aeron_publication_constants_t constants;
    char what[400];
    int added = aeron_async_add_exclusive_publication_poll(&peer->publication, peer->adding);

    if (added == 0 && monotonic_ns() - peer->adding_since_ns < add_timeout_ns)
        return TSP_OK;
    snprintf(what, sizeof what, "cannot send to %s", peer->channel);
    if (added == 0)
        return tsp_error_set(err, TSP_EIO, "Aeron: %s: the media driver does not answer", what);
    peer->adding = NULL; /* freed by the poll that ended it */
    if (added < 0 || aeron_exclusive_publication_constants(peer->publication, &constants) < 0)
        return tspi_aeron_fail(err, what);
    peer->part_max = constants.max_message_length;
    peer->whole_max = constants.max_payload_length;
    return TSP_OK;
}

static int64_t reserved_value(void *part, uint8_t *buffer, size_t len)
{
    (void)buffer, (void)len;
    return *(int64_t *)part;
}

/* This publication is used up or closed under us. */
static tsp_status reopen(tspi_aeron_peer *peer, tsp_error *err)
{
    if (aeron_is_closed(peer->client))
        return tsp_error_set(err, TSP_EIO, "Aeron: the media driver is gone");
    aeron_exclusive_publication_close(peer->publication, NULL, NULL);
    peer->publication = NULL;
    peer->whole_max = 0;
    peer->sent_bytes = 0; /* a part of a message in one stream and the rest in another would be two halves */
    peer->open_at_ns = monotonic_ns() + settle_ns;
    return TSP_EAGAIN;
}

/* One part, or a whole frame that needs no mark of its place. */
static int64_t offer_part(tspi_aeron_peer *peer, const tspi_msg *msg, size_t len)
{
    int64_t part = (int64_t)((uint64_t)peer->sent_bytes << 32 | msg->len);

    if (msg->len <= peer->whole_max)
        return aeron_exclusive_publication_offer(peer->publication, msg->frame, len, NULL, NULL);
    return aeron_exclusive_publication_offer(peer->publication, msg->frame + peer->sent_bytes, len, reserved_value,
                                             &part);
}

/* What an offer's answer below 0 means. TSP_OK: offer again at once. */
static tsp_status refused(tspi_aeron_peer *peer, int64_t answer, int *tries, tsp_error *err)
{
    switch (answer) {
    case AERON_PUBLICATION_ADMIN_ACTION:
        return ++*tries < ADMIN_RETRIES ? TSP_OK : TSP_EAGAIN;
    case AERON_PUBLICATION_BACK_PRESSURED:
    case AERON_PUBLICATION_NOT_CONNECTED:
        return TSP_EAGAIN;
    case AERON_PUBLICATION_CLOSED:
    case AERON_PUBLICATION_MAX_POSITION_EXCEEDED:
        return reopen(peer, err);
    default:
        return tspi_aeron_fail(err, "cannot send");
    }
}

/* Offer what is left of msg. TSP_OK: all of it is on its way. */
static tsp_status offer(tspi_aeron_peer *peer, const tspi_msg *msg, tsp_error *err)
{
    int tries = 0;

    while (peer->sent_bytes < msg->len) {
        size_t left = msg->len - peer->sent_bytes, len = left < peer->part_max ? left : peer->part_max;
        int64_t answer = offer_part(peer, msg, len);
        if (answer >= 0)
            peer->sent_bytes += len;
        else {
            tsp_status rc = refused(peer, answer, &tries, err);
            if (rc != TSP_OK)
                return rc;
        }
    }
    peer->sent_bytes = 0;
    return TSP_OK;
}

static tsp_status send_queued(tspi_aeron_peer *peer, tsp_error *err)
{
    while (peer->first) {
        tspi_msg *msg = peer->first;
        tsp_status rc = offer(peer, msg, err);
        if (rc == TSP_EAGAIN)
            return TSP_OK;
        if (rc != TSP_OK)
            return rc;
        peer->first = msg->next;
        peer->queued--;
        peer->queued_bytes -= msg->len;
        tspi_msg_free(msg);
    }
    return TSP_OK;
}

tsp_status tspi_aeron_peer_turn(tspi_aeron_peer *peer, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    if (peer->open_at_ns && monotonic_ns() >= peer->open_at_ns)
        rc = tspi_aeron_peer_open(peer, err);
    if (rc == TSP_OK && peer->adding)
        rc = see_whether_added(peer, err);
    if (rc == TSP_OK && peer->publication)
        rc = send_queued(peer, err);
    return rc;
}

static bool has_room(const tspi_aeron_peer *peer, size_t len)
{
    bool connected = peer->publication && aeron_exclusive_publication_is_connected(peer->publication);

    if (!peer->first)
        return true;
    return peer->queued < (connected ? BACKLOG_MAX : QUEUE_MAX) && peer->queued_bytes + len <= QUEUE_MAX_BYTES;
}

static void queue(tspi_aeron_peer *peer, tspi_msg *take_msg)
{
    take_msg->next = NULL;
    *(peer->first ? peer->end : &peer->first) = take_msg;
    peer->end = &take_msg->next;
    peer->queued++;
    peer->queued_bytes += take_msg->len;
}

tsp_status tspi_aeron_peer_send(tspi_aeron_peer *peer, tspi_msg *msg, tsp_error *err)
{
    tsp_status rc = tspi_aeron_peer_is_waiting(peer) ? tspi_aeron_peer_turn(peer, err) : TSP_OK;

    if (rc != TSP_OK)
        return rc;
    rc = peer->first || !peer->publication ? TSP_EAGAIN : offer(peer, msg, err);
    if (rc == TSP_OK) {
        tspi_msg_free(msg);
        return TSP_OK;
    }
    if (rc != TSP_EAGAIN || !has_room(peer, msg->len))
        return rc;
    queue(peer, msg);
    return TSP_OK;
}

/* A frame that fits one fragment is written where Aeron will read it. */
static tsp_status write_through(tspi_aeron_peer *peer, const tspi_content *content, size_t len, tsp_error *err)
{
    aeron_buffer_claim_t claim;
    tsp_status rc = TSP_OK;
    int64_t answer;

    for (int tries = 0; (answer = aeron_exclusive_publication_try_claim(peer->publication, len, &claim)) < 0;)
        if ((rc = refused(peer, answer, &tries, err)) != TSP_OK)
            return rc;
    tspi_content_write(content, claim.data);
    ((aeron_header_values_frame_t *)claim.frame_header)->reserved_value = 0;
    aeron_buffer_claim_commit(&claim);
    return TSP_OK;
}

tsp_status tspi_aeron_peer_post(tspi_aeron_peer *peer, const tspi_content *content, tsp_error *err)
{
    size_t len = tspi_content_len(content);
    tsp_status rc = tspi_aeron_peer_is_waiting(peer) ? tspi_aeron_peer_turn(peer, err) : TSP_OK;

    if (rc == TSP_OK && !peer->first && len <= peer->whole_max) {
        rc = write_through(peer, content, len, err);
        if (rc == TSP_OK)
            return TSP_OK;
    } else if (rc == TSP_OK && peer->first && !has_room(peer, len))
        return TSP_EAGAIN;
    if (rc != TSP_OK && rc != TSP_EAGAIN)
        return rc;
    tspi_msg *msg = tspi_msg_of(content);
    if (!msg)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message of %zu bytes", content->payload_len);
    rc = tspi_aeron_peer_send(peer, msg, err);
    if (rc != TSP_OK)
        tspi_msg_free(msg);
    return rc;
}

void tspi_aeron_peer_close(tspi_aeron_peer *peer)
{
    if (peer->publication)
        aeron_exclusive_publication_close(peer->publication, NULL, NULL);
    for (tspi_msg *msg = peer->first, *next; msg; msg = next) {
        next = msg->next;
        tspi_msg_free(msg);
    }
    *peer = (tspi_aeron_peer){0};
}
