#include "transport/virtual.h"

#include <stdlib.h>

#include "base/due_queue.h"
#include "base/hash.h"

/* When the last message of a pair of inboxes arrives, so that the next does not overtake it. */
struct lane {
    uint64_t pair; /* from << 32 | to, plus 1; 0 = a free row */
    int64_t last_due_ns;
};

struct tspi_virtual_net {
    tspi_virtual_config config;
    tspi_due_queue under_way;
    struct lane *lanes; /* open addressing; a power of two */
    size_t lanes_cap, lanes_n;
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
