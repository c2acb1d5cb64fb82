#include "transport/virtual.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/due_queue.h"
#include "base/hash.h"

/* When the last message of a pair of inboxes arrives, so that the next does not overtake it. */
struct lane {
    uint64_t pair; /* from << 32 | to, plus 1; 0 = a free row */
    int64_t last_due_ns;
};

struct virtual_transport {
    tspi_transport base;
    tspi_virtual_net *net;
    uint32_t inbox;
    uint32_t *peers; /* inboxes, a row a handle */
    uint32_t peers_n;
    tspi_msg *first, **end; /* arrived */
    int wait_fd;            /* -1 = nobody asked for it yet */
};

struct tspi_virtual_net {
    tspi_virtual_config config;
    tspi_due_queue under_way;
    struct lane *lanes; /* open addressing; a power of two */
    size_t lanes_cap, lanes_n;
    struct inbox {
        char *name;
        struct virtual_transport *transport; /* NULL = closed, or not open yet */
    } * inboxes;
    uint32_t inboxes_n;
};

tspi_virtual_net *tspi_virtual_net_new(const tspi_virtual_config *config)
{
    tspi_virtual_net *net = calloc(1, sizeof *net);

    if (net)
        net->config = *config;
    return net;
}

static void discard(void *msg)
{
    tspi_msg_free(msg);
}

void tspi_virtual_net_free(tspi_virtual_net *net)
{
    if (!net)
        return;
    tspi_due_release(&net->under_way, discard);
    for (uint32_t k = 0; k < net->inboxes_n; k++)
        free(net->inboxes[k].name);
    free(net->inboxes);
    free(net->lanes);
    free(net);
}

/* ------------------------------------------------------------------ sending */

static struct lane *find_row(struct lane *lanes, size_t cap, uint64_t pair)
{
    size_t k = tspi_hash_mix(pair) & (cap - 1);

    while (lanes[k].pair && lanes[k].pair != pair)
        k = (k + 1) & (cap - 1);
    return &lanes[k];
}

static bool grow(tspi_virtual_net *net)
{
    size_t cap = net->lanes_cap ? 2 * net->lanes_cap : 64;
    struct lane *lanes = calloc(cap, sizeof *lanes);

    if (!lanes)
        return false;
    for (size_t k = 0; k < net->lanes_cap; k++)
        if (net->lanes[k].pair)
            *find_row(lanes, cap, net->lanes[k].pair) = net->lanes[k];
    free(net->lanes);
    net->lanes = lanes;
    net->lanes_cap = cap;
    return true;
}

static struct lane *lane_of(tspi_virtual_net *net, uint32_t from, uint32_t to)
{
    uint64_t pair = ((uint64_t)from << 32 | to) + 1;

    if (2 * net->lanes_n >= net->lanes_cap && !grow(net))
        return NULL;
    struct lane *lane = find_row(net->lanes, net->lanes_cap, pair);
    if (!lane->pair) {
        *lane = (struct lane){.pair = pair, .last_due_ns = INT64_MIN};
        net->lanes_n++;
    }
    return lane;
}

static bool is_under_way(tspi_virtual_net *net, uint32_t from, uint32_t to, tspi_msg *msg, int64_t sent_ns)
{
    struct lane *lane = lane_of(net, from, to);
    int64_t due_ns = sent_ns;

    if (!lane)
        return false;
    if (net->config.delay_ns)
        due_ns += net->config.delay_ns(net->config.ctx, from, to, msg->len, sent_ns);
    if (due_ns < lane->last_due_ns)
        due_ns = lane->last_due_ns;
    lane->last_due_ns = due_ns;
    return tspi_due_push(&net->under_way, due_ns, msg, to);
}

tsp_status tspi_virtual_send(tspi_virtual_net *net, uint32_t from, uint32_t to, tspi_msg *take_msg, int64_t sent_ns,
                             tsp_error *err)
{
    if (is_under_way(net, from, to, take_msg, sent_ns))
        return TSP_OK;
    tspi_msg_free(take_msg);
    return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message under way");
}

int64_t tspi_virtual_due_ns(const tspi_virtual_net *net)
{
    const tspi_due *first = tspi_due_first(&net->under_way);
    return first ? first->due_ns : INT64_MAX;
}

tspi_msg *tspi_virtual_next(tspi_virtual_net *net, uint32_t *ret_to)
{
    tspi_due due = tspi_due_pop(&net->under_way);

    *ret_to = due.to;
    return due.thing;
}

/* ------------------------------------------------------------------ an inbox as a transport */

/* A row for a name; it stays, so that messages can be sent before the inbox opens. UINT32_MAX: out of memory. */
static uint32_t inbox_of(tspi_virtual_net *net, const char *name)
{
    for (uint32_t k = 0; k < net->inboxes_n; k++)
        if (!strcmp(net->inboxes[k].name, name))
            return k;
    struct inbox *inboxes = realloc(net->inboxes, (net->inboxes_n + 1) * sizeof *inboxes);
    if (!inboxes)
        return UINT32_MAX;
    net->inboxes = inboxes;
    inboxes[net->inboxes_n] = (struct inbox){.name = strdup(name)};
    return inboxes[net->inboxes_n].name ? net->inboxes_n++ : UINT32_MAX;
}

static tsp_status virtual_listen(tspi_transport *transport, char *ret_address, size_t size, tsp_error *err)
{
    struct virtual_transport *t = (struct virtual_transport *)transport;
    size_t len = strlen(t->net->inboxes[t->inbox].name);

    if (len >= size)
        return tsp_error_set(err, TSP_EINVAL, "the inbox's name is too long");
    memcpy(ret_address, t->net->inboxes[t->inbox].name, len + 1);
    return TSP_OK;
}

static tsp_status virtual_connect(tspi_transport *transport, const char *address, uint32_t *ret_peer, tsp_error *err)
{
    struct virtual_transport *t = (struct virtual_transport *)transport;
    uint32_t inbox = inbox_of(t->net, address);
    uint32_t *peers = realloc(t->peers, (t->peers_n + 1) * sizeof *peers);

    if (peers)
        t->peers = peers;
    if (!peers || inbox == UINT32_MAX)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a peer");
    peers[t->peers_n] = inbox;
    *ret_peer = t->peers_n++;
    return TSP_OK;
}

static tsp_status virtual_send(tspi_transport *transport, uint32_t peer, tspi_msg *msg, tsp_error *err)
{
    struct virtual_transport *t = (struct virtual_transport *)transport;

    if (peer >= t->peers_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    msg->next = NULL;
    if (is_under_way(t->net, t->inbox, t->peers[peer], msg, t->net->config.now_ns(t->net->config.ctx)))
        return TSP_OK;
    return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message under way");
}

/* Hand every message whose time has come to its inbox; one that is closed loses it. */
static void arrive(tspi_virtual_net *net)
{
    int64_t now_ns = net->config.now_ns(net->config.ctx);

    while (tspi_virtual_due_ns(net) <= now_ns) {
        uint32_t to;
        tspi_msg *msg = tspi_virtual_next(net, &to);
        struct virtual_transport *t = net->inboxes[to].transport;
        if (!t) {
            tspi_msg_free(msg);
            continue;
        }
        msg->next = NULL;
        *t->end = msg;
        t->end = &msg->next;
    }
}

static tsp_status virtual_recv(tspi_transport *transport, tspi_msg **ret_msg, tsp_error *err)
{
    struct virtual_transport *t = (struct virtual_transport *)transport;

    (void)err;
    arrive(t->net);
    if (!t->first)
        return TSP_EAGAIN;
    *ret_msg = t->first;
    t->first = t->first->next;
    if (!t->first)
        t->end = &t->first;
    (*ret_msg)->next = NULL;
    return TSP_OK;
}

/* Nobody outside of the process announces a message, so the descriptor is always readable: who sleeps on it asks again.
 */
static int virtual_wait_fd(tspi_transport *transport)
{
    struct virtual_transport *t = (struct virtual_transport *)transport;

    if (t->wait_fd < 0)
        t->wait_fd = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
    return t->wait_fd;
}

static int64_t virtual_due_ns(tspi_transport *transport)
{
    return tspi_virtual_due_ns(((struct virtual_transport *)transport)->net);
}

static tsp_status virtual_poll(tspi_transport *transport, int64_t now_ns, tsp_error *err)
{
    (void)now_ns;
    (void)err;
    arrive(((struct virtual_transport *)transport)->net);
    return TSP_OK;
}

static void virtual_close(tspi_transport *transport)
{
    struct virtual_transport *t = (struct virtual_transport *)transport;

    t->net->inboxes[t->inbox].transport = NULL;
    for (tspi_msg *msg = t->first, *next; msg; msg = next) {
        next = msg->next;
        tspi_msg_free(msg);
    }
    if (t->wait_fd >= 0)
        close(t->wait_fd);
    free(t->peers);
    free(t);
}

static const struct tspi_transport_ops virtual_ops = {
    .scheme = "virtual",
    .semconv = "virtual",
    .listen = virtual_listen,
    .connect = virtual_connect,
    .send = virtual_send,
    .recv = virtual_recv,
    .wait_fd = virtual_wait_fd,
    .due_ns = virtual_due_ns,
    .poll = virtual_poll,
    .close = virtual_close,
};

tsp_status tspi_virtual_open(tspi_virtual_net *net, const tspi_transport_config *config, tspi_transport **ret_transport,
                             tsp_error *err)
{
    struct virtual_transport *t = calloc(1, sizeof *t);
    uint32_t inbox = t ? inbox_of(net, config->inbox) : UINT32_MAX;

    if (inbox == UINT32_MAX || net->inboxes[inbox].transport) {
        free(t);
        return inbox == UINT32_MAX ? tsp_error_set(err, TSP_ENOMEM, "out of memory for an inbox")
                                   : tsp_error_set(err, TSP_EINVAL, "two inboxes are called '%s'", config->inbox);
    }
    t->base.ops = &virtual_ops;
    t->net = net;
    t->inbox = inbox;
    t->end = &t->first;
    t->wait_fd = -1;
    net->inboxes[inbox].transport = t;
    *ret_transport = &t->base;
    return TSP_OK;
}
