/* Exact pruning, in one walk forward and one back along each edge.
 *
 * With hops sorted by sent, an earlier g makes h redundant when key(g) <= key(h) for key = w - rho (sent + received):
 * when g was received later as well that is plain, and when it was received earlier than its order suggests, its w is
 * larger than h's and the test cannot pass. The walk back uses w + rho (sent + received). Redundancy is transitive
 * (triangle inequality), so dropped hops need not be remembered. A root's side does not drift and is left out. */
#include "solve/constants.h"
#include "solve/graph.h"
#include "solve/parallel.h"

typedef __int128 wide;

typedef struct {
    const tspi_hop_store *hops;
    const tspi_sides *sides;
    const uint8_t *root;
    int64_t rho_ppb;
    uint16_t without;
    bool prune;
    const uint8_t *only;
    uint8_t *keep;
} pruning;

/* Keys count from the edge's first hop, in 1e-9 ns. Where they all fit into 64 bits, which is nearly always, the walk
 * is several times as fast. */
typedef struct {
    int64_t rho_sent, rho_received, sent, received, slack;
} origin;

#define KEY_MOST (INT64_MAX / 8)

static bool fits(const origin *o, const tspi_stored_hop *hop)
{
    int64_t a, b, c;

    return !__builtin_sub_overflow(tspi_stored_slack(hop), o->slack, &a) &&
           !__builtin_mul_overflow(a, 1000000000, &a) &&
           !__builtin_mul_overflow(hop->sent - o->sent, o->rho_sent, &b) &&
           !__builtin_mul_overflow(hop->received - o->received, o->rho_received, &c) && a < KEY_MOST && a > -KEY_MOST &&
           b < KEY_MOST && b > -KEY_MOST && c < KEY_MOST && c > -KEY_MOST;
}

static void prune_narrow(const pruning *p, const tspi_stored_edge *edge, const origin *o)
{
    const int64_t margin = (int64_t)PRUNE_MARGIN_NS * 1000000000;
    const tspi_stored_hop *hops = p->hops->hops;

    for (int back = 0; back < 2; back++) {
        int64_t best = INT64_MAX / 2, sign = back ? 1 : -1;
        for (size_t k = 0; k < edge->n; k++) {
            size_t row = edge->first + (back ? edge->n - 1 - k : k);
            const tspi_stored_hop *hop = &hops[row];
            if (!p->keep[row])
                continue;
            int64_t reach = o->rho_sent * (hop->sent - o->sent) + o->rho_received * (hop->received - o->received);
            int64_t key = (tspi_stored_slack(hop) - o->slack) * 1000000000 + sign * reach;
            p->keep[row] = best + margin > key;
            best = key < best ? key : best;
        }
    }
}

/* The same in 128 bits, and between any nodes. */
typedef struct {
    wide best;
    uint32_t from_node, to_node;
    bool any;
} walk;

/* Judge one hop and let it stand for those to come; true: redundant. */
static bool step(walk *state, uint32_t from_node, uint32_t to_node, wide key)
{
    const wide margin = (wide)PRUNE_MARGIN_NS * 1000000000;

    if (!state->any || state->from_node != from_node || state->to_node != to_node)
        *state = (walk){key, from_node, to_node, true};
    else if (state->best + margin <= key)
        return true;
    else if (key < state->best)
        state->best = key;
    return false;
}

static void prune_wide(const pruning *p, const tspi_stored_edge *edge, const origin *o)
{
    const tspi_hop_store *hops = p->hops;

    for (int back = 0; back < 2; back++) {
        walk state = {0};
        for (size_t k = 0; k < edge->n; k++) {
            size_t row = edge->first + (back ? edge->n - 1 - k : k);
            const tspi_stored_hop *hop = &hops->hops[row];
            if (!p->keep[row])
                continue;
            wide reach = (wide)o->rho_sent * hop->sent + (wide)o->rho_received * hop->received;
            wide key = (wide)tspi_stored_slack(hop) * 1000000000 + (back ? reach : -reach);
            if (step(&state, tspi_sides_sent_node(p->sides, hops, row), tspi_sides_received_node(p->sides, hops, row),
                     key))
                p->keep[row] = 0;
        }
    }
}

static bool prune_edge(void *pruning_, size_t e, unsigned worker)
{
    const pruning *p = pruning_;
    const tspi_stored_edge *edge = &p->hops->edges[e];
    const tspi_stored_hop *hops = p->hops->hops + edge->first;
    const uint32_t *cuts = p->sides->first;
    bool narrow = cuts[edge->from] == cuts[edge->from + 1] && cuts[edge->to] == cuts[edge->to + 1];
    const origin o = {p->root[edge->from] ? 0 : p->rho_ppb, p->root[edge->to] ? 0 : p->rho_ppb, hops->sent,
                      hops->received, tspi_stored_slack(hops)};

    (void)worker;
    for (size_t k = edge->first; k < edge->first + edge->n; k++)
        p->keep[k] = !(p->hops->hops[k].flags & p->without) && (!p->only || p->only[k]);
    if (!p->prune)
        return true;
    for (size_t k = 0; k < edge->n && narrow; k++)
        narrow = fits(&o, &hops[k]);
    (narrow ? prune_narrow : prune_wide)(p, edge, &o);
    return true;
}

void tspi_prune(const tspi_hop_store *hops, const tspi_sides *sides, const uint8_t *root, int64_t rho_ppb,
                uint16_t without, bool prune, const uint8_t *only, uint8_t *keep)
{
    pruning each = {hops, sides, root, rho_ppb, without, prune, only, keep};

    tspi_parallel(hops->threads, hops->edges_n, prune_edge, &each);
}
