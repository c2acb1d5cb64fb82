/* From hops to proofs: is there any set of clocks that explains the stamps, and what does it prove? */
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/parallel.h"
#include "solve/room.h"
#include "solve/solver.h"

typedef struct {
    const tsp_solver *solver;
    const tspi_graph *graph;
    int64_t *pi;
} guessing;

static bool guess_node(void *guessing_, size_t node_, unsigned worker)
{
    const guessing *g = guessing_;
    const tspi_fit *fit = &g->solver->fit;
    uint32_t node = (uint32_t)node_, clock = fit->node_clock[node], piece = node - tspi_sides_first(&fit->sides, clock);
    const tsp_track *track = g->solver->rows[clock].estimate;
    size_t hint = 0;

    (void)worker;
    for (uint32_t v = g->graph->first[node]; v < g->graph->first[node + 1]; v++)
        g->pi[v] = g->graph->is_root[node] ? 0 : tspi_track_near(track, piece, g->graph->at[v], &hint);
    return true;
}

void tspi_solver_guess(const tsp_solver *solver, const tspi_graph *graph, int64_t *ret_pi)
{
    guessing g = {solver, graph, ret_pi};

    tspi_parallel(solver->fit.threads, graph->nodes_n, guess_node, &g);
}

/* The hop of a cycle that the tracks believe least: soft before hard. UINT32_MAX: none left to blame. */
static uint32_t worst_arc(const tsp_solver *solver, const tspi_graph *graph, const tspi_link *links, size_t n)
{
    uint32_t worst = UINT32_MAX;

    for (size_t k = 0; k < n; k++) {
        if (links[k].via >= graph->arcs_n)
            continue;
        if (worst == UINT32_MAX) {
            worst = links[k].via;
            continue;
        }
        size_t a = graph->arcs[links[k].via].row, b = graph->arcs[worst].row;
        int soft_a = solver->hops.hops[a].flags & TSPI_STORED_SOFT,
            soft_b = solver->hops.hops[b].flags & TSPI_STORED_SOFT;
        if (soft_a > soft_b || (soft_a == soft_b && solver->fit.u[a] < solver->fit.u[b]))
            worst = links[k].via;
    }
    return worst;
}

static bool keep_conflict(tsp_solver *solver, const tspi_graph *graph, const tspi_link *links, size_t n)
{
    if (solver->conflict)
        return true;
    return tspi_solver_links(solver, graph, links, n, &solver->conflict, &solver->conflict_n);
}

typedef enum { FEASIBLE, INFEASIBLE, NO_MEMORY } outcome;

/* A potential of the graph of all hops without these flags. aside: hops that may be set aside on the way, counted
 * down; a disabled arc can never bind again. */
static outcome find_potential(tsp_solver *solver, uint16_t without, uint32_t *aside, tspi_graph *graph,
                              int64_t **ret_pi)
{
    const int64_t never = INT64_MAX / 4;
    int64_t *pi = NULL;
    bool set_aside = false;

    if (!tspi_solver_graph(solver, without, ROUNDING_NS + TELESCOPE_NS, graph))
        return NO_MEMORY;
    pi = tspi_room_take((size_t)graph->vertices_n + 1, sizeof *pi);
    if (!pi)
        return NO_MEMORY;
    for (;;) {
        tspi_link *links = NULL;
        size_t n = 0;
        tspi_solver_guess(solver, graph, pi);
        tspi_feasibility result = tspi_potential(graph, pi, &links, &n);
        if (result == TSPI_FEASIBLE && !set_aside) {
            *ret_pi = pi;
            return FEASIBLE;
        }
        if (result == TSPI_FEASIBLE) { /* what the hops set aside had made redundant comes back */
            tspi_room_give(pi, (size_t)graph->vertices_n + 1, sizeof *pi);
            tspi_graph_release(graph);
            return find_potential(solver, without, aside, graph, ret_pi);
        }
        uint32_t arc = result == TSPI_CYCLE ? worst_arc(solver, graph, links, n) : UINT32_MAX;
        bool ok = result == TSPI_CYCLE && keep_conflict(solver, graph, links, n);
        free(links);
        if (!ok || arc == UINT32_MAX || *aside == 0) {
            tspi_room_give(pi, (size_t)graph->vertices_n + 1, sizeof *pi);
            tspi_graph_release(graph);
            return ok ? INFEASIBLE : NO_MEMORY;
        }
        --*aside;
        set_aside = true;
        solver->hops.hops[graph->arcs[arc].row].flags |= TSPI_STORED_CONFLICT;
        graph->arcs[arc].limit = never;
    }
}

/* A potential may be shifted by group: make it 0 at the roots. */
static bool count_from_roots(const tsp_solver *solver, const tspi_graph *graph, int64_t *pi)
{
    int64_t *shift = calloc((size_t)solver->groups_n + 1, sizeof *shift);

    if (!shift)
        return false;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t node = 0; node < graph->nodes_n; node++) {
            uint32_t first = graph->first[node], end = graph->first[node + 1];
            int64_t *of_group = &shift[solver->group[solver->fit.node_clock[node]]];
            if (pass == 0 && graph->is_root[node] && first < end)
                *of_group = pi[end - 1];
            for (uint32_t v = first; pass == 1 && *of_group && v < end; v++)
                pi[v] -= *of_group;
        }
    free(shift);
    return true;
}

tsp_status tspi_solver_prove(tsp_solver *solver, bool last_try, bool *ret_feasible, tsp_error *err)
{
    const uint16_t without = TSPI_STORED_LIES | TSPI_STORED_AMBIGUOUS;
    uint32_t aside = 0;
    int64_t *pi = NULL;
    outcome result;
    bool ok;

    tspi_graph_release(&solver->graph);
    tspi_bounds_release(&solver->bounds);
    solver->bounded = false;
    free(solver->conflict);
    solver->conflict = NULL;
    solver->conflict_n = 0;
    solver->summary.soft_excluded = solver->summary.contradictory = false;
    result = find_potential(solver, without, &aside, &solver->graph, &pi);
    if (result == INFEASIBLE) {
        result = find_potential(solver, without | TSPI_STORED_SOFT, &aside, &solver->graph, &pi);
        solver->summary.soft_excluded = result == FEASIBLE;
    }
    *ret_feasible = result == FEASIBLE;
    if (result == INFEASIBLE && last_try) {
        solver->summary.contradictory = true;
        aside = CONFLICTS_MOST;
        result = find_potential(solver, without, &aside, &solver->graph, &pi);
    }
    if (result == NO_MEMORY)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    if (result == INFEASIBLE)
        return TSP_OK;                                                      /* no bounds: said in the summary */
    tspi_room_give(solver->fit.t, solver->fit.rows, sizeof *solver->fit.t); /* has served; the bounds want room */
    solver->fit.t = NULL;
    ok = count_from_roots(solver, &solver->graph, pi) &&
         tspi_bounds_find(&solver->graph, pi, solver->fit.threads, &solver->bounds);
    tspi_room_give(pi, (size_t)solver->graph.vertices_n + 1, sizeof *pi);
    if (!ok)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    solver->bounded = true;
    return TSP_OK;
}
