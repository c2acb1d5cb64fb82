/* What is typical of a clock: the median of its estimate's distance from 0 and of its bounds' half-width, over an even
 * sample of its hops, so that it depends neither on which of them bind nor on how many there are. */
#include <math.h>
#include <stdlib.h>

#include "solve/order.h"
#include "solve/parallel.h"
#include "solve/solver.h"

#define SAMPLES 1000 /* of a clock, about: the median is then known to some 3 % of the hops */

typedef struct {
    uint32_t stride, wait; /* every so many hops; how many go by before the next */
    size_t first, n;       /* of the clock's samples */
} share;

/* Where an edge's samples at one of its ends begin: in the edge, and among the clock's. */
typedef struct {
    uint32_t wait;
    size_t first;
} start;

typedef struct {
    const tsp_solver *solver;
    share *shares;    /* owned, clocks */
    start *starts;    /* owned, 2 an edge: sent, received */
    double *x, *half; /* owned; half < 0: the hop bounds nothing, no sample */
    double *ret_x, *ret_half;
} sampling;

/* Samples are dealt to the edges first, in turn. */
static bool init(sampling *s)
{
    const tsp_solver *solver = s->solver;
    size_t total = 0, edges_n = solver->hops.edges_n;

    s->shares = calloc((size_t)solver->clocks + 1, sizeof *s->shares);
    s->starts = malloc((2 * edges_n + 1) * sizeof *s->starts);
    if (!s->shares || !s->starts)
        return false;
    for (uint32_t c = 0; c < solver->clocks; c++) {
        uint64_t hops = solver->rows[c].in + solver->rows[c].out, stride = hops / SAMPLES + 1;
        s->shares[c] = (share){.stride = (uint32_t)stride, .first = total};
        total += hops / stride + 1;
    }
    for (size_t k = 0; k < 2 * edges_n; k++) {
        const tspi_stored_edge *edge = &solver->hops.edges[k / 2];
        share *of = &s->shares[k % 2 ? edge->to : edge->from];
        size_t taken = edge->n > of->wait ? (edge->n - of->wait - 1) / of->stride + 1 : 0;
        s->starts[k] = (start){of->wait, of->first + of->n};
        of->wait = (uint32_t)(of->wait + taken * of->stride - edge->n);
        of->n += taken;
    }
    s->x = malloc(2 * (total + 1) * sizeof *s->x);
    s->half = s->x ? s->x + total + 1 : NULL;
    return s->x != NULL;
}

static void take(const sampling *s, size_t at, uint32_t clock, uint32_t node, int64_t stamp, int64_t *hint)
{
    const tsp_solver *solver = s->solver;
    int64_t lo, hi;

    tspi_bounds_near(&solver->graph, &solver->bounds, node, stamp, hint, &lo, &hi);
    s->x[at] = fabs((double)tspi_track_piece_offset(solver->rows[clock].estimate,
                                                    node - tspi_sides_first(&solver->fit.sides, clock), stamp));
    s->half[at] = lo == TSP_UNBOUNDED_LO || hi == TSP_UNBOUNDED_HI ? INFINITY : ((double)hi - (double)lo) / 2;
}

/* The samples of an edge, at one of its ends. */
static bool take_end(void *sampling_, size_t k, unsigned worker)
{
    const sampling *s = sampling_;
    const tspi_hop_store *hops = &s->solver->hops;
    const tspi_sides *sides = &s->solver->fit.sides;
    const tspi_stored_edge *edge = &hops->edges[k / 2];
    bool sent = k % 2 == 0;
    uint32_t clock = sent ? edge->from : edge->to;
    size_t at = s->starts[k].first, end = edge->first + edge->n;
    int64_t hint = -2;

    (void)worker;
    for (size_t row = edge->first + s->starts[k].wait; row < end; row += s->shares[clock].stride, at++)
        if (hops->hops[row].flags & (TSPI_STORED_LIES | TSPI_STORED_AMBIGUOUS))
            s->half[at] = -1;
        else
            take(s, at, clock, (sent ? tspi_sides_sent_node : tspi_sides_received_node)(sides, hops, row),
                 sent ? hops->hops[row].sent : hops->hops[row].received, &hint);
    return true;
}

static bool find_medians(void *sampling_, size_t clock, unsigned worker)
{
    const sampling *s = sampling_;
    const share *of = &s->shares[clock];
    double *x = s->x + of->first, *half = s->half + of->first;
    size_t n = 0;

    (void)worker;
    for (size_t k = 0; k < of->n; k++) {
        if (half[k] < 0)
            continue;
        x[n] = x[k];
        half[n++] = half[k];
    }
    s->ret_x[clock] = n ? tspi_median(x, n) : 0;
    s->ret_half[clock] = n ? tspi_median(half, n) : 0;
    return true;
}

bool tspi_solver_typical(const tsp_solver *solver, double *ret_offset, double *ret_half)
{
    sampling s = {.solver = solver, .ret_x = ret_offset, .ret_half = ret_half};
    unsigned threads = solver->fit.threads;
    bool ok = init(&s) && tspi_parallel(threads, 2 * solver->hops.edges_n, take_end, &s) &&
              tspi_parallel(threads, solver->clocks, find_medians, &s);

    free(s.shares);
    free(s.starts);
    free(s.x);
    return ok;
}
