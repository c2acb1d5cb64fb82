/* One subscription: every sender is a session of it. Frames are put together here and not by Aeron's own assembler: the
 * first fragment tells the length of the whole, so each byte is copied once, to where it stays. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/grow.h"
#include "transport/aeron_stream.h"

enum { FRAGMENT_BEGIN = 0x80, FRAGMENT_END = 0x40, FRAGMENT_WHOLE = FRAGMENT_BEGIN | FRAGMENT_END };
/* Fragments taken in one look. */
enum { LOOK_FRAGMENTS = 32 };
static const int64_t add_timeout_ns = 5 * TSP_NS_PER_S;

static tspi_aeron_partial *find_partial(tspi_aeron_inbox *inbox, int32_t session)
{
    for (size_t k = 0; k < inbox->partials_n; k++)
        if (inbox->partials[k].session == session)
            return &inbox->partials[k];
    return NULL;
}

static void forget_partial(tspi_aeron_inbox *inbox, tspi_aeron_partial *partial)
{
    tspi_msg_free(partial->msg);
    *partial = inbox->partials[--inbox->partials_n];
}

static tspi_aeron_partial *add_partial(tspi_aeron_inbox *inbox, int32_t session, size_t total)
{
    tspi_aeron_partial *partials =
        tspi_grown(inbox->partials, inbox->partials_n, &inbox->partials_cap, sizeof *partials);
    if (!partials)
        return NULL;
    inbox->partials = partials;
    tspi_msg *msg = tspi_msg_for_frame(total);
    if (!msg)
        return NULL;
    tspi_aeron_partial *partial = &inbox->partials[inbox->partials_n++];
    *partial = (tspi_aeron_partial){.session = session, .msg = msg};
    return partial;
}

static bool is_taken_at_once(const tspi_aeron_inbox *inbox)
{
    return inbox->on_msg && !inbox->first && inbox->given < inbox->max;
}

static void give(tspi_aeron_inbox *inbox, const tspi_msg *msg)
{
    inbox->given++;
    if (!inbox->on_msg(inbox->ctx, msg))
        inbox->on_msg = NULL;
}

/* A frame is whole: give it away, or keep it. */
static void pass_on(tspi_aeron_inbox *inbox, tspi_msg *take_msg)
{
    if (tspi_msg_check(take_msg, NULL) != TSP_OK)
        inbox->refused++;
    else if (is_taken_at_once(inbox))
        give(inbox, take_msg);
    else {
        take_msg->next = NULL;
        *(inbox->first ? inbox->end : &inbox->first) = take_msg;
        inbox->end = &take_msg->next;
        return;
    }
    tspi_msg_free(take_msg);
}

/* A whole frame where Aeron has it. */
static void on_whole(tspi_aeron_inbox *inbox, const uint8_t *bytes, size_t len)
{
    if (is_taken_at_once(inbox)) {
        tspi_msg msg = {.frame = (uint8_t *)bytes, .len = len};
        if (tspi_msg_check(&msg, NULL) == TSP_OK)
            give(inbox, &msg);
        else
            inbox->refused++;
        return;
    }
    tspi_msg *msg = tspi_msg_for_frame(len);
    inbox->no_memory |= !msg;
    if (!msg)
        return;
    memcpy(msg->frame, bytes, len);
    pass_on(inbox, msg);
}

/* Where a fragment belongs that is not a whole frame, or NULL: it is dropped. That happens to the rest of a message
 * whose beginning went to an inbox that was here before. */
static tspi_aeron_partial *partial_of(tspi_aeron_inbox *inbox, int32_t session, uint8_t flags, int64_t part)
{
    tspi_aeron_partial *partial = find_partial(inbox, session);
    uint32_t total = (uint32_t)part, begins_at = (uint32_t)((uint64_t)part >> 32);

    if (!(flags & FRAGMENT_BEGIN))
        return partial && partial->part == part ? partial : NULL;
    if (partial && (begins_at == 0 || partial->got != begins_at || partial->msg->len != total)) {
        forget_partial(inbox, partial);
        partial = NULL;
    }
    if (!partial && begins_at == 0) {
        if (total > TSPI_MSG_MAX_BYTES) {
            inbox->refused++;
            return NULL;
        }
        partial = add_partial(inbox, session, total);
        inbox->no_memory |= !partial;
    }
    if (partial)
        partial->part = part;
    return partial;
}

static void on_fragment(void *ctx, const uint8_t *bytes, size_t len, aeron_header_t *header)
{
    tspi_aeron_inbox *inbox = ctx;
    aeron_header_values_t values;

    aeron_header_values(header, &values);
    uint8_t flags = values.frame.flags;
    if ((flags & FRAGMENT_WHOLE) == FRAGMENT_WHOLE && values.frame.reserved_value == 0) {
        on_whole(inbox, bytes, len);
        return;
    }
    tspi_aeron_partial *partial = partial_of(inbox, values.frame.session_id, flags, values.frame.reserved_value);
    if (!partial)
        return;
    if (len > partial->msg->len - partial->got) {
        inbox->refused++;
        forget_partial(inbox, partial);
        return;
    }
    memcpy(partial->msg->frame + partial->got, bytes, len);
    partial->got += len;
    if (partial->got == partial->msg->len && flags & FRAGMENT_END) {
        tspi_msg *msg = partial->msg;
        partial->msg = NULL;
        forget_partial(inbox, partial);
        pass_on(inbox, msg);
    }
}

/* On the client's own thread. */
static void on_sender_gone(void *ctx, aeron_subscription_t *subscription, aeron_image_t *image)
{
    tspi_aeron_inbox *inbox = ctx;
    (void)subscription, (void)image;
    atomic_store(&inbox->sender_gone, true);
}

static void forget_the_gone(tspi_aeron_inbox *inbox)
{
    for (size_t k = inbox->partials_n; k-- > 0;) {
        aeron_image_t *image = aeron_subscription_image_by_session_id(inbox->subscription, inbox->partials[k].session);
        if (image)
            aeron_image_release(image);
        else
            forget_partial(inbox, &inbox->partials[k]);
    }
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

tsp_status tspi_aeron_inbox_open(tspi_aeron_inbox *inbox, aeron_t *client, const char *channel, int32_t stream,
                                 tsp_error *err)
{
    aeron_async_add_subscription_t *adding;
    int64_t deadline_ns = monotonic_ns() + add_timeout_ns;
    char what[400];
    int added = 0;

    snprintf(what, sizeof what, "cannot listen on %s", channel);
    if (aeron_async_add_subscription(&adding, client, channel, stream, NULL, NULL, on_sender_gone, inbox) < 0)
        return tspi_aeron_fail(err, what);
    while ((added = aeron_async_add_subscription_poll(&inbox->subscription, adding)) == 0) {
        if (aeron_is_closed(client) || monotonic_ns() > deadline_ns)
            return tsp_error_set(err, TSP_EIO, "Aeron: %s: the media driver does not answer", what);
        nanosleep(&(struct timespec){0, TSP_NS_PER_MS / 5}, NULL);
    }
    return added < 0 ? tspi_aeron_fail(err, what) : TSP_OK;
}

static tsp_status look(tspi_aeron_inbox *inbox, size_t fragments, tsp_error *err)
{
    if (aeron_subscription_poll(inbox->subscription, on_fragment, inbox, fragments) < 0)
        return tspi_aeron_fail(err, "cannot receive");
    if (inbox->partials_n && atomic_exchange(&inbox->sender_gone, false))
        forget_the_gone(inbox);
    return inbox->no_memory ? tsp_error_set(err, TSP_ENOMEM, "out of memory for a message") : TSP_OK;
}

static tsp_status tell_refused(tspi_aeron_inbox *inbox, tsp_error *err)
{
    inbox->refused--;
    return tsp_error_set(err, TSP_EPARSE, "a message is no frame");
}

static tspi_msg *take_kept(tspi_aeron_inbox *inbox)
{
    tspi_msg *msg = inbox->first;

    inbox->first = msg->next;
    return msg;
}

tsp_status tspi_aeron_inbox_recv(tspi_aeron_inbox *inbox, tspi_msg **ret_msg, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    if (!inbox->subscription)
        return TSP_EAGAIN;
    if (!inbox->first)
        rc = look(inbox, LOOK_FRAGMENTS, err);
    if (rc != TSP_OK)
        return rc;
    if (inbox->refused)
        return tell_refused(inbox, err);
    if (!inbox->first)
        return TSP_EAGAIN;
    *ret_msg = take_kept(inbox);
    return TSP_OK;
}

tsp_status tspi_aeron_inbox_deliver(tspi_aeron_inbox *inbox, uint32_t max, tspi_on_msg on_msg, void *ctx,
                                    uint32_t *ret_n, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    if (!inbox->subscription)
        return TSP_EAGAIN;
    if (inbox->refused)
        return tell_refused(inbox, err);
    inbox->on_msg = on_msg;
    inbox->ctx = ctx;
    inbox->given = 0;
    inbox->max = max;
    while (inbox->first && inbox->given < max && inbox->on_msg) {
        tspi_msg *msg = take_kept(inbox);
        give(inbox, msg);
        tspi_msg_free(msg);
    }
    if (inbox->given < max && inbox->on_msg)
        rc = look(inbox, max - inbox->given, err);
    inbox->on_msg = NULL;
    *ret_n = inbox->given;
    if (rc != TSP_OK || inbox->given)
        return rc;
    return inbox->refused ? tell_refused(inbox, err) : TSP_EAGAIN;
}

void tspi_aeron_inbox_close(tspi_aeron_inbox *inbox)
{
    if (inbox->subscription)
        aeron_subscription_close(inbox->subscription, NULL, NULL);
    inbox->subscription = NULL;
    while (inbox->partials_n)
        forget_partial(inbox, inbox->partials);
    free(inbox->partials);
    inbox->partials = NULL;
    for (tspi_msg *msg = inbox->first, *next; msg; msg = next) {
        next = msg->next;
        tspi_msg_free(msg);
    }
    inbox->first = NULL;
}
