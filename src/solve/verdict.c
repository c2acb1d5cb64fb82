/* Which clocks are wrong, and how surely. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/order.h"
#include "solve/solver.h"

/* The largest distance of the bounds from 0 over a clock's vertices, signed; 0: they include it everywhere. */
static int64_t distance(const tspi_graph *graph, const tspi_bounds *bounds, uint32_t first_node, uint32_t nodes)
{
    int64_t most = 0;

    for (uint32_t v = graph->first[first_node]; v < graph->first[first_node + nodes]; v++) {
        if (bounds->lo[v] != TSP_UNBOUNDED_LO && bounds->lo[v] > 0 && bounds->lo[v] > llabs(most))
            most = bounds->lo[v];
        if (bounds->hi[v] != TSP_UNBOUNDED_HI && bounds->hi[v] < 0 && -bounds->hi[v] > llabs(most))
            most = bounds->hi[v];
    }
    return most;
}

static uint32_t pieces_of(const tsp_solver *solver, uint32_t clock)
{
    return 1 + solver->fit.sides.first[clock + 1] - solver->fit.sides.first[clock];
}

/* Convict from hard hops alone: soft ones inform. */
static bool convict(tsp_solver *solver, int64_t *ret_proven)
{
    tspi_graph graph = {0};
    tspi_bounds bounds = {0};
    tspi_link *links = NULL;
    size_t n;
    bool any_soft = false, ok;
    int64_t *pi = NULL;

    for (uint32_t a = 0; a < solver->graph.arcs_n && !any_soft; a++)
        any_soft = solver->hops.hops[solver->graph.arcs[a].row].flags & TSPI_STORED_SOFT;
    if (!any_soft || solver->config.quorum == 1) {
        for (uint32_t c = 0; c < solver->clocks; c++)
            ret_proven[c] = distance(&solver->graph, &solver->bounds, tspi_sides_first(&solver->fit.sides, c),
                                     pieces_of(solver, c));
        return true;
    }
    ok =
        tspi_graph_build(&graph, &solver->hops, &solver->fit.sides, solver->root, solver->rho_ppb,
                         TSPI_STORED_LIES | TSPI_STORED_AMBIGUOUS | TSPI_STORED_SOFT, ROUNDING_NS + TELESCOPE_NS, true);
    pi = malloc(((size_t)graph.vertices_n + 1) * sizeof *pi);
    ok = ok && pi && tspi_solver_guess(solver, &graph, pi) &&
         tspi_potential(&graph, pi, &links, &n) == TSPI_FEASIBLE && /* a part of what was feasible is */
         tspi_bounds_find(&graph, pi, solver->fit.threads, &bounds);
    for (uint32_t c = 0; ok && c < solver->clocks; c++)
        ret_proven[c] = distance(&graph, &bounds, tspi_sides_first(&solver->fit.sides, c), pieces_of(solver, c));
    free(pi);
    free(links);
    tspi_bounds_release(&bounds);
    tspi_graph_release(&graph);
    return ok;
}

/* Median |estimate| and median half-width of the bounds over the clock's vertices. */
static bool typical(const tsp_solver *solver, uint32_t clock, double *ret_offset, double *ret_half)
{
    const tspi_graph *graph = &solver->graph;
    uint32_t first = tspi_sides_first(&solver->fit.sides, clock), pieces = pieces_of(solver, clock);
    uint32_t begin = graph->first[first], end = graph->first[first + pieces], n = end - begin;
    double *x = malloc(2 * ((size_t)n + 1) * sizeof *x), *half = x + n;

    if (!x)
        return false;
    *ret_offset = *ret_half = 0;
    for (uint32_t v = begin; v < end; v++) {
        bool open = solver->bounds.lo[v] == TSP_UNBOUNDED_LO || solver->bounds.hi[v] == TSP_UNBOUNDED_HI;
        x[v - begin] =
            fabs((double)tspi_track_piece_offset(solver->rows[clock].estimate, graph->node[v] - first, graph->at[v]));
        half[v - begin] = open ? INFINITY : ((double)solver->bounds.hi[v] - (double)solver->bounds.lo[v]) / 2;
    }
    if (n) {
        *ret_offset = tspi_median(x, n);
        *ret_half = tspi_median(half, n);
    }
    free(x);
    return true;
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

static bool judge(tsp_solver *solver, uint32_t clock, int64_t proven)
{
    tspi_clock_row *row = &solver->rows[clock];
    tsp_clock_result *result = &row->result;
    uint64_t ways = row->in < row->out ? row->in : row->out;
    bool known = solver->fit.joined[clock] && ways >= ESTIMATE_HOPS;
    double offset, half;

    result->sigma_ns = known ? llround(sigma_of(solver, clock)) : 0;
    if (solver->root[clock]) { /* a silent clock is a group, and a frame, of its own, of which nothing is known */
        result->verdict = row->in + row->out || clock == solver->config.reference ? TSP_CLOCK_OK : TSP_CLOCK_UNKNOWN;
        return true;
    }
    if (!solver->bounded) {
        result->verdict = TSP_CLOCK_UNKNOWN;
        return true;
    }
    if (proven) {
        result->verdict = solver->summary.contradictory ? TSP_CLOCK_SUSPECTED : TSP_CLOCK_PROVEN;
        result->at_least_ns = solver->summary.contradictory ? 0 : proven;
        return true;
    }
    if (!known) {
        result->verdict = TSP_CLOCK_UNKNOWN;
        return true;
    }
    if (!typical(solver, clock, &offset, &half))
        return false;
    bool off = offset > fmax(SUSPECT_SIGMA * sigma_of(solver, clock), SUSPECT_PART * half) ||
               distance(&solver->graph, &solver->bounds, tspi_sides_first(&solver->fit.sides, clock),
                        pieces_of(solver, clock)) != 0;
    result->verdict = off && ways >= SUSPECT_HOPS ? TSP_CLOCK_SUSPECTED : TSP_CLOCK_OK;
    return true;
}

bool tspi_solver_judge(tsp_solver *solver)
{
    int64_t *proven = calloc((size_t)solver->clocks + 1, sizeof *proven);
    bool ok = proven && (!solver->bounded || convict(solver, proven));

    for (uint32_t c = 0; ok && c < solver->clocks; c++)
        ok = judge(solver, c, proven[c]);
    free(proven);
    return ok;
}
