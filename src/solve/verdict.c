/* Which clocks are wrong, and how surely. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/agree.h"
#include "solve/constants.h"
#include "solve/credible.h"
#include "solve/order.h"
#include "solve/parallel.h"
#include "solve/room.h"
#include "solve/solver.h"
#include "solve/suspect.h"

/* How far the bounds of a clock lie from 0, signed, where that is most; 0: they include it everywhere. */
typedef struct {
    int64_t ns, at; /* at: what the clock showed then */
} distance;

static distance distance_of(const tspi_graph *graph, const tspi_bounds *bounds, uint32_t first_node, uint32_t nodes)
{
    distance most = {0};

    for (uint32_t v = graph->first[first_node]; v < graph->first[first_node + nodes]; v++) {
        int64_t lo = bounds->lo[v] != TSP_UNBOUNDED_LO && bounds->lo[v] > 0 ? bounds->lo[v] : 0;
        int64_t hi = bounds->hi[v] != TSP_UNBOUNDED_HI && bounds->hi[v] < 0 ? bounds->hi[v] : 0;
        if (lo > llabs(most.ns) || -hi > llabs(most.ns))
            most = (distance){lo > -hi ? lo : hi, graph->at[v]};
    }
    return most;
}

static uint32_t pieces_of(const tsp_solver *solver, uint32_t clock)
{
    return 1 + solver->fit.sides.first[clock + 1] - solver->fit.sides.first[clock];
}

static void all_distances(const tsp_solver *solver, const tspi_graph *graph, const tspi_bounds *bounds, distance *ret)
{
    for (uint32_t c = 0; c < solver->clocks; c++)
        ret[c] = distance_of(graph, bounds, tspi_sides_first(&solver->fit.sides, c), pieces_of(solver, c));
}

typedef struct {
    const tsp_solver *solver;
    uint16_t flags;
} flags_search;

#define ARCS_PIECE 65536

/* False: one was found. */
static bool lacks_flags(void *search_, size_t piece, unsigned worker)
{
    const flags_search *search = search_;
    const tspi_graph *graph = &search->solver->graph;
    size_t end = (piece + 1) * ARCS_PIECE;
    uint16_t found = 0;

    (void)worker;
    for (size_t a = piece * ARCS_PIECE; a < end && a < graph->arcs_n; a++)
        found |= search->solver->hops.hops[graph->arcs[a].row].flags & search->flags;
    return !found;
}

static bool any_arc(const tsp_solver *solver, uint16_t flags)
{
    flags_search search = {solver, flags};

    return !tspi_parallel(solver->fit.threads, solver->graph.arcs_n / ARCS_PIECE + 1, lacks_flags, &search);
}

/* How far bounds without these hops lie from 0; nor with soft ones where all together are contradictory. */
static bool distances_without(tsp_solver *solver, uint16_t flags, distance *ret)
{
    uint16_t without =
        TSPI_STORED_LIES | TSPI_STORED_AMBIGUOUS | flags | (solver->summary.soft_excluded ? TSPI_STORED_SOFT : 0);
    tspi_graph graph = {0};
    tspi_bounds bounds = {0};
    tspi_link *links = NULL;
    size_t n;
    int64_t *pi = NULL;
    bool ok;

    if (!any_arc(solver, flags)) {
        all_distances(solver, &solver->graph, &solver->bounds, ret);
        return true;
    }
    ok = tspi_solver_graph(solver, without, ROUNDING_NS + TELESCOPE_NS, &graph);
    pi = tspi_room_take((size_t)graph.vertices_n + 1, sizeof *pi);
    if (ok && pi)
        tspi_solver_guess(solver, &graph, pi);
    tspi_feasibility found = ok && pi ? tspi_potential(&graph, pi, &links, &n) : TSPI_NO_MEMORY;
    ok = found != TSPI_NO_MEMORY;
    /* A part of what was feasible is; but not where sums leave 64 bits, and then nothing is proven. */
    if (found == TSPI_FEASIBLE) {
        ok = tspi_bounds_find(&graph, pi, solver->fit.threads, &bounds);
        if (ok)
            all_distances(solver, &graph, &bounds, ret);
    }
    tspi_room_give(pi, (size_t)graph.vertices_n + 1, sizeof *pi);
    free(links);
    tspi_bounds_release(&bounds);
    tspi_graph_release(&graph);
    return ok;
}

enum { LOWEST = SUSPECT_HOPS };

/* What speaks against the clocks; rows are clocks, owned. */
typedef struct {
    distance *proven;      /* of the bounds by credible hard hops */
    distance *informed;    /* and soft ones */
    uint64_t *in, *out;    /* credible hops */
    double *lowest;        /* LOWEST residual slacks into each clock, then as many out of it, ascending */
    double *offset, *half; /* typical ones */
    uint8_t *weak;         /* edges that convict nobody */
    uint8_t *accused;      /* by what was proven, or would be if soft hops were believed */
    uint8_t *suspects;     /* far off by their estimates */
} charges;

static void charges_release(charges *c)
{
    free(c->proven);
    free(c->informed);
    free(c->in);
    free(c->out);
    free(c->lowest);
    free(c->offset);
    free(c->half);
    free(c->weak);
    free(c->accused);
    free(c->suspects);
}

static bool charges_init(charges *c, uint32_t clocks, size_t edges)
{
    c->proven = calloc((size_t)clocks + 1, sizeof *c->proven);
    c->informed = calloc((size_t)clocks + 1, sizeof *c->informed);
    c->in = calloc((size_t)clocks + 1, sizeof *c->in);
    c->out = calloc((size_t)clocks + 1, sizeof *c->out);
    c->offset = calloc((size_t)clocks + 1, sizeof *c->offset);
    c->half = calloc((size_t)clocks + 1, sizeof *c->half);
    c->lowest = malloc(((size_t)clocks + 1) * 2 * LOWEST * sizeof *c->lowest);
    c->weak = calloc(edges + 1, 1);
    c->accused = calloc((size_t)clocks + 1, 1);
    c->suspects = calloc((size_t)clocks + 1, 1);
    for (size_t k = 0; c->lowest && k < (size_t)clocks * 2 * LOWEST; k++)
        c->lowest[k] = INFINITY;
    return c->proven && c->informed && c->in && c->out && c->offset && c->half && c->lowest && c->weak && c->accused &&
           c->suspects;
}

static void keep_lowest(double *lowest, double value)
{
    int k = LOWEST;

    if (!(value < lowest[LOWEST - 1]))
        return;
    for (k = LOWEST - 1; k > 0 && lowest[k - 1] > value; k--)
        lowest[k] = lowest[k - 1];
    lowest[k] = value;
}

/* An estimate stands on the fastest hops either way, and is no better than they are close together: where waits have no
 * floor, the fastest of them is a matter of chance (its mean distance from the floor is that between it and the next).
 */
static double grain(const charges *c, uint32_t clock)
{
    const double *in = c->lowest + (size_t)clock * 2 * LOWEST, *out = in + LOWEST;

    return fmax(in[LOWEST - 1] - in[0], out[LOWEST - 1] - out[0]) / (LOWEST - 1);
}

typedef struct {
    const tsp_solver *solver;
    const charges *charges;
    double *lowest; /* owned, LOWEST an edge */
} counting;

static bool is_counted(const counting *of, size_t e)
{
    const tspi_stored_edge *edge = &of->solver->hops.edges[e];
    uint32_t clocks = of->solver->config.clocks;

    return of->charges->weak[e] != TSPI_EDGE_VAGUE && edge->from < clocks && edge->to < clocks;
}

static bool find_lowest(void *counting_, size_t e, unsigned worker)
{
    const counting *of = counting_;
    const tspi_stored_edge *edge = &of->solver->hops.edges[e];
    double *lowest = of->lowest + e * LOWEST;

    (void)worker;
    for (int k = 0; k < LOWEST; k++)
        lowest[k] = INFINITY;
    for (size_t row = edge->first; is_counted(of, e) && row < edge->first + edge->n; row++)
        if (!(of->solver->hops.hops[row].flags & (TSPI_STORED_LATE | TSPI_STORED_CONFLICT | TSPI_STORED_UNCOUNTED)))
            keep_lowest(lowest, of->solver->fit.u[row]);
    return true;
}

static bool count_credible(const tsp_solver *solver, charges *c)
{
    size_t edges = solver->hops.edges_n;
    counting of = {solver, c, tspi_room_take(edges * LOWEST + 1, sizeof *of.lowest)};

    if (!of.lowest)
        return false;
    tspi_parallel(solver->fit.threads, edges, find_lowest, &of);
    for (size_t e = 0; e < edges; e++) {
        const tspi_stored_edge *edge = &solver->hops.edges[e];
        if (!is_counted(&of, e))
            continue;
        c->out[edge->from] += edge->n;
        c->in[edge->to] += edge->n;
        for (int k = 0; k < LOWEST; k++) {
            keep_lowest(c->lowest + (size_t)edge->to * 2 * LOWEST, of.lowest[e * LOWEST + k]);
            keep_lowest(c->lowest + ((size_t)edge->from * 2 + 1) * LOWEST, of.lowest[e * LOWEST + k]);
        }
    }
    tspi_room_give(of.lowest, edges * LOWEST + 1, sizeof *of.lowest);
    return true;
}

/* Convict from credible hard hops alone; soft ones inform. */
static bool charge(tsp_solver *solver, charges *c)
{
    bool any_weak, ok = true;

    if (solver->config.quorum == 1) { /* every hop is believed */
        all_distances(solver, &solver->graph, &solver->bounds, c->proven);
        all_distances(solver, &solver->graph, &solver->bounds, c->informed);
    } else {
        ok = tspi_credible(&solver->fit, c->weak, &any_weak) &&
             distances_without(solver, TSPI_STORED_SOFT | TSPI_STORED_WEAK, c->proven) &&
             distances_without(solver, TSPI_STORED_WEAK, c->informed);
    }
    return ok && count_credible(solver, c);
}

static double sigma_of(const tsp_solver *solver, uint32_t clock)
{
    uint32_t first = tspi_sides_first(&solver->fit.sides, clock);
    double most = 0;

    for (uint32_t k = 0; k < pieces_of(solver, clock); k++)
        if (!isnan(solver->fit.series[first + k].sigma))
            most = fmax(most, solver->fit.series[first + k].sigma);
    return most;
}

static void judge(tsp_solver *solver, uint32_t clock, charges *c)
{
    tspi_clock_row *row = &solver->rows[clock];
    tsp_clock_result *result = &row->result;
    uint64_t ways = row->in < row->out ? row->in : row->out;
    distance proven = c->proven[clock];
    bool known = solver->fit.joined[clock] && ways >= ESTIMATE_HOPS;
    double offset = c->offset[clock], half = c->half[clock];

    result->sigma_ns = known ? llround(sigma_of(solver, clock)) : 0;
    if (solver->root[clock]) { /* a silent clock is a group, and a frame, of its own, of which nothing is known */
        bool known_of = (row->in + row->out && solver->bounded) || clock == solver->config.reference;
        result->verdict =
            known_of || (solver->has_utc && clock == solver->config.clocks) ? TSP_CLOCK_OK : TSP_CLOCK_UNKNOWN;
        return;
    }
    if (!solver->bounded) {
        result->verdict = TSP_CLOCK_UNKNOWN;
        return;
    }
    if (proven.ns) {
        c->accused[clock] = 1;
        result->at_least_ns = solver->summary.contradictory ? 0 : proven.ns;
        result->verdict = !tspi_solver_agrees(solver, clock, proven.at, proven.ns) ? TSP_CLOCK_UNKNOWN
                          : solver->summary.contradictory                          ? TSP_CLOCK_SUSPECTED
                                                                                   : TSP_CLOCK_PROVEN;
        return;
    }
    if (!known) {
        result->verdict = TSP_CLOCK_UNKNOWN;
        return;
    }
    double noise = fmax(SUSPECT_SIGMA * sigma_of(solver, clock), SUSPECT_GRAINS * grain(c, clock));
    bool estimated =
        offset > fmax(noise, SUSPECT_PART * half) && c->in[clock] >= SUSPECT_HOPS && c->out[clock] >= SUSPECT_HOPS;
    bool bounded = c->informed[clock].ns && (c->in[clock] >= SUSPECT_HOPS || c->out[clock] >= SUSPECT_HOPS);
    int64_t at = bounded ? c->informed[clock].at : row->first / 2 + row->last / 2;
    bool accused = (estimated || bounded) && tspi_solver_agrees(solver, clock, at, c->informed[clock].ns);
    result->verdict = accused && bounded ? TSP_CLOCK_SUSPECTED : TSP_CLOCK_OK;
    c->accused[clock] = accused && bounded;
    c->suspects[clock] = accused && !bounded;
}

static bool suspect(tsp_solver *solver, charges *c)
{
    bool any = memchr(c->suspects, 1, solver->clocks) != NULL;

    if (any && !tspi_suspects_sift(solver, c->weak, c->offset, c->accused, c->suspects))
        return false;
    for (uint32_t k = 0; any && k < solver->clocks; k++)
        if (c->suspects[k])
            solver->rows[k].result.verdict = TSP_CLOCK_SUSPECTED;
    return true;
}

bool tspi_solver_judge(tsp_solver *solver)
{
    charges against = {0};
    bool ok =
        charges_init(&against, solver->clocks, solver->hops.edges_n) &&
        (!solver->bounded || (charge(solver, &against) && tspi_solver_typical(solver, against.offset, against.half)));

    for (uint32_t c = 0; ok && c < solver->clocks; c++)
        judge(solver, c, &against);
    ok = ok && suspect(solver, &against);
    charges_release(&against);
    return ok;
}
