/* What is sent to an inbox that is not open (yet) waits for it, as it would at a sender's end elsewhere; what an inbox
 * had received and not given out when it closes is lost. */
#include "transport/inproc.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Messages on their way to one inbox or in it before send says TSP_EAGAIN. */
enum { INBOX_MAX = 16 * 1024 };

/* A name; the row stays once there is one. */
struct inbox {
    char *name;
    bool is_open;
    uint32_t waiting;       /* messages sent and not given out */
    tspi_msg *first, *last; /* arrived */
};

struct tspi_inproc {
    tspi_virtual_net *under_way;
    int64_t (*now_ns)(void *ctx);
    void *ctx;
    struct inbox *inboxes;
    uint32_t inboxes_n;
};

struct inproc_transport {
    tspi_transport base;
    tspi_inproc *net;
    uint32_t inbox;
    bool listens;
    uint32_t *peers; /* inboxes, a row a handle */
    uint32_t peers_n;
};

static int64_t monotonic_ns(void *ctx)
{
    struct timespec now;

    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static void empty(struct inbox *inbox)
{
    while (inbox->first) {
        tspi_msg *msg = inbox->first;
        inbox->first = msg->next;
        inbox->waiting--;
        tspi_msg_free(msg);
    }
}

tspi_inproc *tspi_inproc_new(const tspi_virtual_config *config, int64_t (*now_ns)(void *ctx))
{
    tspi_inproc *net = calloc(1, sizeof *net);

    if (!net)
        return NULL;
    net->under_way = tspi_virtual_net_new(config);
    net->now_ns = now_ns ? now_ns : monotonic_ns;
    net->ctx = config->ctx;
    if (net->under_way)
        return net;
    free(net);
    return NULL;
}

void tspi_inproc_free(tspi_inproc *net)
{
    if (!net)
        return;
    for (uint32_t k = 0; k < net->inboxes_n; k++) {
        empty(&net->inboxes[k]);
        free(net->inboxes[k].name);
    }
    free(net->inboxes);
    tspi_virtual_net_free(net->under_way);
    free(net);
}

/* UINT32_MAX: out of memory. */
static uint32_t inbox_of(tspi_inproc *net, const char *name)
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

static tsp_status inproc_listen(tspi_transport *transport, char *ret_address, size_t size, tsp_error *err)
{
    struct inproc_transport *t = (struct inproc_transport *)transport;
    struct inbox *inbox = &t->net->inboxes[t->inbox];
    size_t len = strlen(inbox->name);

    if (inbox->is_open)
        return tsp_error_set(err, TSP_EIO, "the inbox's name '%s' is taken: choose another", inbox->name);
    if (len >= size)
        return tsp_error_set(err, TSP_EINVAL, "the inbox's name is too long");
    memcpy(ret_address, inbox->name, len + 1);
    t->listens = inbox->is_open = true;
    return TSP_OK;
}

static tsp_status inproc_connect(tspi_transport *transport, const char *address, uint32_t *ret_peer, tsp_error *err)
{
    struct inproc_transport *t = (struct inproc_transport *)transport;
    uint32_t inbox = *address ? inbox_of(t->net, address) : 0;
    uint32_t *peers = realloc(t->peers, (t->peers_n + 1) * sizeof *peers);

    if (peers)
        t->peers = peers;
    if (!*address)
        return tsp_error_set(err, TSP_EINVAL, "'' is no name of an inbox");
    if (!peers || inbox == UINT32_MAX)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a peer");
    peers[t->peers_n] = inbox;
    *ret_peer = t->peers_n++;
    return TSP_OK;
}

static tsp_status inproc_send(tspi_transport *transport, uint32_t peer, tspi_msg *msg, tsp_error *err)
{
    struct inproc_transport *t = (struct inproc_transport *)transport;
    tspi_inproc *net = t->net;

    if (peer >= t->peers_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    struct inbox *inbox = &net->inboxes[t->peers[peer]];
    if (inbox->waiting >= INBOX_MAX)
        return TSP_EAGAIN;
    if (tspi_virtual_send(net->under_way, t->inbox, t->peers[peer], msg, net->now_ns(net->ctx), err) != TSP_OK)
        return TSP_ECLOSED; /* it took the message all the same */
    inbox->waiting++;
    return TSP_OK;
}

/* Hand every message whose time has come to its inbox. */
static void arrive(tspi_inproc *net)
{
    if (tspi_virtual_due_ns(net->under_way) == INT64_MAX)
        return;
    int64_t now_ns = net->now_ns(net->ctx);
    while (tspi_virtual_due_ns(net->under_way) <= now_ns) {
        uint32_t to;
        tspi_msg *msg = tspi_virtual_next(net->under_way, &to);
        struct inbox *inbox = &net->inboxes[to];
        msg->next = NULL;
        *(inbox->first ? &inbox->last->next : &inbox->first) = msg;
        inbox->last = msg;
    }
}

static tsp_status inproc_recv(tspi_transport *transport, tspi_msg **ret_msg, tsp_error *err)
{
    struct inproc_transport *t = (struct inproc_transport *)transport;
    struct inbox *inbox = &t->net->inboxes[t->inbox];

    (void)err;
    if (!t->listens)
        return TSP_EAGAIN;
    arrive(t->net);
    if (!inbox->first)
        return TSP_EAGAIN;
    *ret_msg = inbox->first;
    inbox->first = inbox->first->next;
    inbox->waiting--;
    (*ret_msg)->next = NULL;
    return TSP_OK;
}

/* The thread that would wait is the one that sends: there is nothing to wait for but time. */
static int inproc_wait_fd(tspi_transport *transport)
{
    (void)transport;
    return -1;
}

static int64_t inproc_due_ns(tspi_transport *transport)
{
    struct inproc_transport *t = (struct inproc_transport *)transport;

    if (t->listens && t->net->inboxes[t->inbox].first)
        return 0;
    return tspi_virtual_due_ns(t->net->under_way);
}

static tsp_status inproc_poll(tspi_transport *transport, int64_t now_ns, tsp_error *err)
{
    (void)now_ns;
    (void)err;
    arrive(((struct inproc_transport *)transport)->net);
    return TSP_OK;
}

static void inproc_close(tspi_transport *transport)
{
    struct inproc_transport *t = (struct inproc_transport *)transport;
    struct inbox *inbox = &t->net->inboxes[t->inbox];

    if (t->listens) {
        arrive(t->net);
        empty(inbox);
        inbox->is_open = false;
    }
    free(t->peers);
    free(t);
}

static const struct tspi_transport_ops inproc_ops = {
    .scheme = "inproc",
    .semconv = "inproc",
    .listen = inproc_listen,
    .connect = inproc_connect,
    .send = inproc_send,
    .recv = inproc_recv,
    .wait_fd = inproc_wait_fd,
    .due_ns = inproc_due_ns,
    .poll = inproc_poll,
    .close = inproc_close,
};

tsp_status tspi_inproc_open(tspi_inproc *net, const tspi_transport_config *config, tspi_transport **ret_transport,
                            tsp_error *err)
{
    struct inproc_transport *t = calloc(1, sizeof *t);
    uint32_t inbox = t ? inbox_of(net, config->inbox) : UINT32_MAX;

    if (inbox == UINT32_MAX) {
        free(t);
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for an inbox");
    }
    t->base.ops = &inproc_ops;
    t->net = net;
    t->inbox = inbox;
    *ret_transport = &t->base;
    return TSP_OK;
}
