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

typedef struct {
    const tspi_hop_store *hops;
    const tspi_sides *sides;
    const uint8_t *root;
    int64_t rho_ppb;
    uint8_t *keep;
} pruning;

static bool prune_edge(void *pruning_, size_t e, unsigned worker)
{
    const pruning *p = pruning_;
    const tspi_hop_store *hops = p->hops;
    const tspi_sides *sides = p->sides;
    const tspi_stored_edge *edge = &hops->edges[e];
    const uint8_t *root = p->root;
    int64_t rho_ppb = p->rho_ppb;
    uint8_t *keep = p->keep;
    const wide rho_sent = root[edge->from] ? 0 : rho_ppb, rho_received = root[edge->to] ? 0 : rho_ppb;

    (void)worker;
    for (int back = 0; back < 2; back++) {
        walk state = {0};
        for (size_t k = 0; k < edge->n; k++) {
            size_t row = edge->first + (back ? edge->n - 1 - k : k);
            const tspi_stored_hop *hop = &hops->hops[row];
            if (!keep[row])
                continue;
            wide reach = rho_sent * hop->sent + rho_received * hop->received;
            wide key = (wide)tspi_stored_slack(hop) * 1000000000 + (back ? reach : -reach);
            if (step(&state, tspi_sides_sent_node(sides, hops, row), tspi_sides_received_node(sides, hops, row), key))
                keep[row] = 0;
        }
    }
    return true;
}

void tspi_prune(const tspi_hop_store *hops, const tspi_sides *sides, const uint8_t *root, int64_t rho_ppb,
                uint16_t without, bool prune, const uint8_t *only, uint8_t *keep)
{
    for (size_t k = 0; k < hops->n; k++)
        keep[k] = !(hops->hops[k].flags & without) && (!only || only[k]);
    pruning each = {hops, sides, root, rho_ppb, keep};
    tspi_parallel(hops->threads, prune ? hops->edges_n : 0, prune_edge, &each);
}
