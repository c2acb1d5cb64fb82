#include "transport/fault.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/due_queue.h"

/* Messages held in all before send says TSP_EAGAIN. */
enum { HELD_MAX = 100000 };
/* How soon a refused message is offered again. */
static const int64_t retry_after_ns = TSP_NS_PER_MS;

/* One peer's way: what its delay is over for, but its queue refused. So a slow peer holds up nobody else. */
struct lane {
    int64_t last_due_ns;
    tspi_msg *first, *last;
};

struct fault_transport {
    tspi_transport base;
    tspi_transport *inner;
    tspi_fault_config config;
    tspi_random random;
    tspi_due_queue held; /* of messages */
    struct lane *lanes;  /* a peer */
    uint32_t lanes_n;
    size_t refused_n; /* messages in lanes */
    int64_t retry_ns; /* when to offer them again */
};

static int64_t time_ns(const struct fault_transport *t)
{
    struct timespec now;

    if (t->config.now_ns)
        return t->config.now_ns(t->config.ctx);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static tsp_status fault_listen(tspi_transport *transport, char *ret_address, size_t size, tsp_error *err)
{
    struct fault_transport *t = (struct fault_transport *)transport;
    return t->inner->ops->listen(t->inner, ret_address, size, err);
}

static tsp_status fault_connect(tspi_transport *transport, const char *address, uint32_t *ret_peer, tsp_error *err)
{
    struct fault_transport *t = (struct fault_transport *)transport;
    tsp_status rc = t->inner->ops->connect(t->inner, address, ret_peer, err);

    if (rc != TSP_OK || *ret_peer < t->lanes_n)
        return rc;
    struct lane *lanes = realloc(t->lanes, (*ret_peer + 1) * sizeof *lanes);
    if (!lanes)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a peer");
    t->lanes = lanes;
    while (t->lanes_n <= *ret_peer)
        lanes[t->lanes_n++] = (struct lane){0};
    return TSP_OK;
}

static tsp_status hold(struct fault_transport *t, uint32_t peer, tspi_msg *msg)
{
    double jitter = (double)t->config.jitter_ns * tspi_random_uniform(&t->random, -1.0, 1.0);
    int64_t due_ns = time_ns(t) + t->config.delay_ns + (int64_t)jitter;

    if (!t->config.reorder) {
        int64_t *last = &t->lanes[peer].last_due_ns;
        due_ns = due_ns < *last ? *last : due_ns;
        *last = due_ns;
    }
    return tspi_due_push(&t->held, due_ns, msg, peer) ? TSP_OK : TSP_ENOMEM;
}

static tsp_status fault_send(tspi_transport *transport, uint32_t peer, tspi_msg *msg, tsp_error *err)
{
    struct fault_transport *t = (struct fault_transport *)transport;

    if (peer >= t->lanes_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    if (t->held.n + t->refused_n >= HELD_MAX)
        return TSP_EAGAIN;
    if (t->config.loss > 0 && tspi_random_unit(&t->random) < t->config.loss) {
        tspi_msg_free(msg);
        return TSP_OK;
    }
    if (t->config.duplicate > 0 && tspi_random_unit(&t->random) < t->config.duplicate) {
        tspi_msg *twin = NULL;
        if (tspi_msg_parse(msg->frame, msg->len, &twin, err) != TSP_OK || hold(t, peer, twin) != TSP_OK) {
            tspi_msg_free(twin);
            return tsp_error_set(err, TSP_ENOMEM, "out of memory for a doubled message");
        }
        twin->key = msg->key;
    }
    if (hold(t, peer, msg) != TSP_OK)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a delayed message");
    return TSP_OK;
}

static tsp_status fault_recv(tspi_transport *transport, tspi_msg **ret_msg, tsp_error *err)
{
    struct fault_transport *t = (struct fault_transport *)transport;
    return t->inner->ops->recv(t->inner, ret_msg, err);
}

static tsp_status fault_deliver(tspi_transport *transport, uint32_t max, tspi_on_msg on_msg, void *ctx, uint32_t *ret_n,
                                tsp_error *err)
{
    struct fault_transport *t = (struct fault_transport *)transport;
    return tspi_transport_deliver(t->inner, max, on_msg, ctx, ret_n, err);
}

static int fault_wait_fd(tspi_transport *transport)
{
    struct fault_transport *t = (struct fault_transport *)transport;
    return t->inner->ops->wait_fd(t->inner);
}

static int64_t fault_due_ns(tspi_transport *transport)
{
    struct fault_transport *t = (struct fault_transport *)transport;
    int64_t due_ns = t->inner->ops->due_ns ? t->inner->ops->due_ns(t->inner) : INT64_MAX;

    const tspi_due *first = tspi_due_first(&t->held);
    if (first && first->due_ns < due_ns)
        due_ns = first->due_ns;
    return t->refused_n && t->retry_ns < due_ns ? t->retry_ns : due_ns;
}

/* Give the inner transport what waits for one peer, until it refuses. */
static tsp_status offer(struct fault_transport *t, uint32_t peer, tsp_error *err)
{
    struct lane *lane = &t->lanes[peer];
    tsp_status rc = TSP_OK;

    while (lane->first && rc == TSP_OK) {
        tspi_msg *msg = lane->first, *next = msg->next;
        rc = t->inner->ops->send(t->inner, peer, msg, err);
        if (rc == TSP_EAGAIN)
            return TSP_OK;
        lane->first = next;
        t->refused_n--;
        if (rc != TSP_OK && rc != TSP_ECLOSED)
            tspi_msg_free(msg);
    }
    return rc;
}

static tsp_status fault_poll(tspi_transport *transport, int64_t now_ns, tsp_error *err)
{
    struct fault_transport *t = (struct fault_transport *)transport;
    tsp_status rc = TSP_OK;

    for (const tspi_due *first; (first = tspi_due_first(&t->held)) && first->due_ns <= now_ns;) {
        struct lane *lane = &t->lanes[first->to];
        tspi_msg *msg = tspi_due_pop(&t->held).thing;
        msg->next = NULL;
        *(lane->first ? &lane->last->next : &lane->first) = msg;
        lane->last = msg;
        t->refused_n++;
    }
    for (uint32_t peer = 0; peer < t->lanes_n && t->refused_n && rc == TSP_OK; peer++)
        rc = offer(t, peer, err);
    t->retry_ns = now_ns + retry_after_ns;
    if (rc == TSP_OK && t->inner->ops->poll)
        rc = t->inner->ops->poll(t->inner, now_ns, err);
    return rc;
}

static void discard(void *msg)
{
    tspi_msg_free(msg);
}

static void fault_close(tspi_transport *transport)
{
    struct fault_transport *t = (struct fault_transport *)transport;

    tspi_due_release(&t->held, discard);
    for (uint32_t peer = 0; peer < t->lanes_n; peer++)
        for (tspi_msg *msg = t->lanes[peer].first, *next; msg; msg = next) {
            next = msg->next;
            tspi_msg_free(msg);
        }
    t->inner->ops->close(t->inner);
    free(t->lanes);
    free((void *)t->base.ops);
    free(t);
}

tsp_status tspi_fault_wrap(tspi_transport *take_inner, const tspi_fault_config *config, const tspi_random *random,
                           tspi_transport **ret_transport, tsp_error *err)
{
    struct fault_transport *t = calloc(1, sizeof *t);
    struct tspi_transport_ops *ops = malloc(sizeof *ops);

    if (!t || !ops) {
        free(t);
        free(ops);
        take_inner->ops->close(take_inner);
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a fault wrapper");
    }
    *ops = *take_inner->ops; /* its names stay; its calls are replaced */
    ops->open = NULL;
    ops->listen = fault_listen;
    ops->connect = fault_connect;
    ops->send = fault_send;
    ops->post = NULL;
    ops->recv = fault_recv;
    ops->deliver = fault_deliver;
    ops->wait_fd = fault_wait_fd;
    ops->due_ns = fault_due_ns;
    ops->poll = fault_poll;
    ops->close = fault_close;
    if (config->duplicate > 0)
        ops->at_least_once = true;
    t->base.ops = ops;
    t->inner = take_inner;
    t->config = *config;
    t->random = *random;
    *ret_transport = &t->base;
    return TSP_OK;
}
