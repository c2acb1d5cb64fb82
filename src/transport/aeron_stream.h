/* The two halves of the Aeron driver (aeron.c): what a node sends to one inbox, and what its own inbox receives.
 *
 * A message's frame travels as one or more Aeron messages, its parts: one, unless the frame is longer than the largest
 * message that the stream takes (an eighth of a term). Each fragment's reserved value says which part it belongs to:
 * the low half is the frame's length, the high half where the part begins in it. A frame that fits one fragment, as
 * nearly all do, needs none: 0. */
#ifndef TSPI_TRANSPORT_AERON_STREAM_H
#define TSPI_TRANSPORT_AERON_STREAM_H

#include <aeronc.h>
#include <stdatomic.h>

#include "transport/transport.h"

/* The last error of Aeron on this thread, as one line. */
tsp_status tspi_aeron_fail(tsp_error *err, const char *what);

/* ------------------------------------------------------------------ sending */

typedef struct {
    aeron_t *client; /* borrowed */
    aeron_exclusive_publication_t *publication;
    aeron_async_add_exclusive_publication_t *adding; /* asked of the media driver, not answered yet */
    char channel[320];
    int32_t stream;
    size_t part_max, whole_max;              /* bytes that one Aeron message takes, and one fragment */
    tspi_msg *first, **end;                  /* accepted, not sent yet; end is valid while first is not NULL */
    size_t queued, queued_bytes, sent_bytes; /* sent_bytes: of the first one's frame */
    int64_t adding_since_ns, open_at_ns;     /* open_at_ns: not before; 0 = no need to open anew */
} tspi_aeron_peer;

tsp_status tspi_aeron_peer_open(tspi_aeron_peer *peer, tsp_error *err);
/* As tspi_transport_ops.send. */
tsp_status tspi_aeron_peer_send(tspi_aeron_peer *peer, tspi_msg *msg, tsp_error *err);
/* As tspi_transport_ops.post. */
tsp_status tspi_aeron_peer_post(tspi_aeron_peer *peer, const tspi_content *content, tsp_error *err);
/* Go on with what is under way: registration, the queue. */
tsp_status tspi_aeron_peer_turn(tspi_aeron_peer *peer, tsp_error *err);
static inline bool tspi_aeron_peer_is_waiting(const tspi_aeron_peer *peer)
{
    return peer->adding || peer->open_at_ns || peer->first;
}
void tspi_aeron_peer_close(tspi_aeron_peer *peer);

/* ------------------------------------------------------------------ receiving */

/* A frame of which some fragments have come. */
typedef struct {
    int32_t session;
    int64_t part; /* reserved value of the part under way */
    tspi_msg *msg;
    size_t got;
} tspi_aeron_partial;

typedef struct {
    aeron_subscription_t *subscription;
    tspi_msg *first, **end; /* whole, not taken yet; end is valid while first is not NULL */
    tspi_aeron_partial *partials;
    size_t partials_n, partials_cap;
    uint32_t refused; /* messages that are no frames, not reported yet */
    bool no_memory;
    /* While somebody takes messages where they lie; NULL = they are kept. */
    tspi_on_msg on_msg;
    void *ctx;
    uint32_t given, max;      /* to on_msg since it was asked for */
    _Atomic bool sender_gone; /* set by the client's thread: some partial may never be whole */
} tspi_aeron_inbox;

/* Blocks until the media driver has answered, a few seconds at most. */
tsp_status tspi_aeron_inbox_open(tspi_aeron_inbox *inbox, aeron_t *client, const char *channel, int32_t stream,
                                 tsp_error *err);
/* As tspi_transport_ops.recv. */
tsp_status tspi_aeron_inbox_recv(tspi_aeron_inbox *inbox, tspi_msg **ret_msg, tsp_error *err);
/* As tspi_transport_ops.deliver. */
tsp_status tspi_aeron_inbox_deliver(tspi_aeron_inbox *inbox, uint32_t max, tspi_on_msg on_msg, void *ctx,
                                    uint32_t *ret_n, tsp_error *err);
void tspi_aeron_inbox_close(tspi_aeron_inbox *inbox);

#endif
