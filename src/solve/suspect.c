#include "solve/suspect.h"

#include <stdlib.h>

#include "solve/credible.h"

static bool is_violated(const tspi_hop_store *hops, const tspi_stored_edge *edge)
{
    for (size_t row = edge->first; row < edge->first + edge->n; row++)
        if (!(hops->hops[row].flags & (TSPI_STORED_LIES | TSPI_STORED_AMBIGUOUS | TSPI_STORED_BOUND)) &&
            tspi_stored_slack(&hops->hops[row]) < 0)
            return true;
    return false;
}

typedef struct {
    uint32_t clock;
    double offset;
} suspect;

static int furthest_first(const void *a_, const void *b_)
{
    const suspect *a = a_, *b = b_;

    if (a->offset != b->offset)
        return a->offset > b->offset ? -1 : 1;
    return a->clock < b->clock ? -1 : a->clock > b->clock;
}

/* An edge that speaks against both its clocks, from one of them. */
typedef struct {
    uint32_t clock, other;
} witness;

static int by_clock(const void *a_, const void *b_)
{
    const witness *a = a_, *b = b_;

    if (a->clock != b->clock)
        return a->clock < b->clock ? -1 : 1;
    return a->other < b->other ? -1 : a->other > b->other;
}

/* Of edges that touch a suspect, by clock. ret has room for two an edge. */
static size_t find_witnesses(const tsp_solver *solver, const uint8_t *weak, const uint8_t *accused,
                             const uint8_t *suspects, witness *ret)
{
    const tspi_hop_store *hops = &solver->hops;
    size_t n = 0;

    for (size_t e = 0; e < hops->edges_n; e++) {
        uint32_t from = hops->edges[e].from, to = hops->edges[e].to;
        if (weak[e] == TSPI_EDGE_VAGUE || accused[from] || accused[to] || !(suspects[from] || suspects[to]) ||
            !is_violated(hops, &hops->edges[e]))
            continue;
        ret[n++] = (witness){from, to};
        ret[n++] = (witness){to, from};
    }
    qsort(ret, n, sizeof *ret, by_clock);
    return n;
}

static bool any_against(const witness *all, size_t n, uint32_t clock, const uint8_t *accused)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (all[mid].clock < clock)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < n && all[lo].clock == clock; lo++)
        if (!accused[all[lo].other])
            return true;
    return false;
}

bool tspi_suspects_sift(const tsp_solver *solver, const uint8_t *weak, const double *offset, uint8_t *accused,
                        uint8_t *suspects)
{
    suspect *order = malloc(((size_t)solver->clocks + 1) * sizeof *order);
    witness *all = malloc((solver->hops.edges_n + 1) * 2 * sizeof *all);
    bool ok = order && all;
    size_t n = 0, all_n = ok ? find_witnesses(solver, weak, accused, suspects, all) : 0;

    for (uint32_t c = 0; ok && c < solver->clocks; c++)
        if (suspects[c])
            order[n++] = (suspect){c, offset[c]};
    if (ok)
        qsort(order, n, sizeof *order, furthest_first);
    for (size_t k = 0; k < n; k++) {
        uint32_t clock = order[k].clock;
        accused[clock] = suspects[clock] = any_against(all, all_n, clock, accused);
    }
    free(order);
    free(all);
    return ok;
}
