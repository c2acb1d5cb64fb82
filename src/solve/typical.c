/* What is typical of a clock: the median of its estimate's distance from 0 and of its bounds' half-width, over an even
 * sample of its hops, so that it depends neither on which of them bind nor on how many there are. */
#include <math.h>
#include <stdlib.h>

#include "solve/order.h"
#include "solve/solver.h"

#define SAMPLES 1000 /* of a clock, about: the median is then known to some 3 % of the hops */

typedef struct {
    uint32_t stride, wait; /* every so many hops; how many go by before the next */
    size_t first, n;       /* of the clock's samples */
} share;

typedef struct {
    const tsp_solver *solver;
    share *shares;    /* owned, clocks */
    double *x, *half; /* owned */
} sampling;

static bool init(sampling *s)
{
    const tsp_solver *solver = s->solver;
    size_t total = 0;

    s->shares = calloc((size_t)solver->clocks + 1, sizeof *s->shares);
    if (!s->shares)
        return false;
    for (uint32_t c = 0; c < solver->clocks; c++) {
        uint64_t hops = solver->rows[c].in + solver->rows[c].out, stride = hops / SAMPLES + 1;
        s->shares[c] = (share){.stride = (uint32_t)stride, .first = total};
        total += hops / stride + 1;
    }
    s->x = malloc(2 * (total + 1) * sizeof *s->x);
    s->half = s->x ? s->x + total + 1 : NULL;
    return s->x != NULL;
}

static void take(sampling *s, uint32_t clock, uint32_t node, int64_t stamp)
{
    const tsp_solver *solver = s->solver;
    size_t at = s->shares[clock].first + s->shares[clock].n++;
    int64_t lo, hi;

    tspi_bounds_at(&solver->graph, &solver->bounds, node, stamp, &lo, &hi);
    s->x[at] = fabs((double)tspi_track_piece_offset(solver->rows[clock].estimate,
                                                    node - tspi_sides_first(&solver->fit.sides, clock), stamp));
    s->half[at] = lo == TSP_UNBOUNDED_LO || hi == TSP_UNBOUNDED_HI ? INFINITY : ((double)hi - (double)lo) / 2;
}

/* The samples of an edge, at one of its ends. */
static void take_edge(sampling *s, const tspi_stored_edge *edge, bool sent)
{
    const tspi_hop_store *hops = &s->solver->hops;
    const tspi_sides *sides = &s->solver->fit.sides;
    uint32_t clock = sent ? edge->from : edge->to;
    share *of = &s->shares[clock];
    size_t row = edge->first + of->wait, end = edge->first + edge->n;

    for (; row < end; row += of->stride)
        if (!(hops->hops[row].flags & (TSPI_STORED_LIES | TSPI_STORED_AMBIGUOUS)))
            take(s, clock, (sent ? tspi_sides_sent_node : tspi_sides_received_node)(sides, hops, row),
                 sent ? hops->hops[row].sent : hops->hops[row].received);
    of->wait = (uint32_t)(row - end);
}

bool tspi_solver_typical(const tsp_solver *solver, double *ret_offset, double *ret_half)
{
    sampling s = {.solver = solver};
    bool ok = init(&s);

    for (size_t e = 0; ok && e < solver->hops.edges_n; e++) {
        take_edge(&s, &solver->hops.edges[e], true);
        take_edge(&s, &solver->hops.edges[e], false);
    }
    for (uint32_t c = 0; ok && c < solver->clocks; c++) {
        const share *of = &s.shares[c];
        ret_offset[c] = of->n ? tspi_median(s.x + of->first, of->n) : 0;
        ret_half[c] = of->n ? tspi_median(s.half + of->first, of->n) : 0;
    }
    free(s.shares);
    free(s.x);
    return ok;
}
