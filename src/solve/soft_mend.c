/* Soft hops that bound nothing, and yet are to hold once stamps are corrected.
 *
 * A quorum keeps answers that may be lies out of the proofs, and so it must where nothing is known of how often they
 * lie. A mended trace is no proof: an answer that some clocks explain together with all that must hold is no lie that
 * anyone could show, and is not left violated. So all such answers are asked to hold at once. Where that contradicts
 * what must hold, the one of the contradiction that is furthest below the tracks has lied, and with it what its edge
 * has that is further below; where those are not few, all of the edge. A handful of answers and answers of operations
 * that were seen to lie where no skew is possible are not asked. */
#include <stdlib.h>

#include "solve/constants.h"
#include "solve/room.h"
#include "solve/solver.h"

uint16_t tspi_solver_may_break(const tsp_solver *solver)
{
    return TSPI_STORED_LIES | (solver->summary.soft_excluded && !solver->taken_back ? TSPI_STORED_SOFT : 0);
}

static bool is_known_liar(const tspi_hop_store *hops, uint32_t operation)
{
    const tspi_lies *lies = tspi_hop_store_lies(hops, operation);

    return lies && lies->lies && lies->calls >= SOFT_CALLS_LEAST;
}

static bool is_refused(const tsp_solver *solver, const tspi_stored_hop *hop)
{
    return hop->flags & TSPI_STORED_SOFT && !(hop->flags & (TSPI_STORED_LATE | TSPI_STORED_CONFLICT)) &&
           (hop->flags & TSPI_STORED_UNCOUNTED || solver->summary.soft_excluded) &&
           !is_known_liar(&solver->hops, hop->operation);
}

/* Does the tracks' correction break one that could be asked? */
static bool any_broken(const tsp_solver *solver, const tspi_edge_test *tests)
{
    for (size_t e = 0; e < solver->hops.edges_n; e++)
        for (size_t k = 0; tests[e].lies && k < solver->hops.edges[e].n; k++)
            if (is_refused(solver, &solver->hops.hops[solver->hops.edges[e].first + k]))
                return true;
    return false;
}

static void ask_edge(tsp_solver *solver, const tspi_stored_edge *edge)
{
    tspi_stored_hop *hops = solver->hops.hops + edge->first;
    size_t n = 0;

    for (size_t k = 0; k < edge->n; k++)
        n += is_refused(solver, &hops[k]);
    for (size_t k = 0; k < edge->n; k++) {
        if (n >= SOFT_ASKED_LEAST && is_refused(solver, &hops[k]))
            hops[k].flags = (uint16_t)((hops[k].flags & ~TSPI_STORED_UNCOUNTED) | TSPI_STORED_TAKEN_BACK);
        else if (hops[k].flags & TSPI_STORED_SOFT && solver->summary.soft_excluded)
            hops[k].flags |= TSPI_STORED_UNCOUNTED;
    }
}

static void ask_all(tsp_solver *solver)
{
    for (size_t e = 0; e < solver->hops.edges_n; e++)
        ask_edge(solver, &solver->hops.edges[e]);
    solver->taken_back = true;
}

static void refuse(tspi_stored_hop *hop)
{
    hop->flags = (uint16_t)((hop->flags & ~TSPI_STORED_TAKEN_BACK) | TSPI_STORED_UNCOUNTED);
}

/* The hop of a cycle that was asked and is furthest below the tracks; SIZE_MAX: none was asked. */
static size_t least_believed(const tsp_solver *solver, const tspi_graph *graph, const tspi_link *links, size_t n)
{
    size_t least = SIZE_MAX;

    for (size_t k = 0; k < n; k++) {
        if (links[k].via >= graph->arcs_n)
            continue;
        size_t row = graph->arcs[links[k].via].row;
        if (solver->hops.hops[row].flags & TSPI_STORED_TAKEN_BACK &&
            (least == SIZE_MAX || solver->fit.u[row] < solver->fit.u[least]))
            least = row;
    }
    return least;
}

static const tspi_stored_edge *edge_of(const tspi_hop_store *hops, size_t row)
{
    size_t lo = 0, hi = hops->edges_n - 1;

    while (lo < hi) {
        size_t mid = lo + (hi - lo + 1) / 2;
        if (hops->edges[mid].first <= row)
            lo = mid;
        else
            hi = mid - 1;
    }
    return &hops->edges[lo];
}

/* What has lied once has not lied alone: as low on the same edge, or, where those are not few, all of it. */
static void refuse_like(tsp_solver *solver, size_t liar)
{
    const tspi_stored_edge *edge = edge_of(&solver->hops, liar);
    tspi_stored_hop *hops = solver->hops.hops;
    double most = solver->fit.u[liar];
    size_t asked = 0, refused = 0;

    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        if (hops[row].flags & TSPI_STORED_TAKEN_BACK && solver->fit.u[row] <= most)
            refuse(&hops[row]);
        bool was_asked = is_refused(solver, &hops[row]);
        refused += was_asked && hops[row].flags & TSPI_STORED_UNCOUNTED;
        asked += was_asked || hops[row].flags & TSPI_STORED_TAKEN_BACK;
    }
    for (size_t row = edge->first; (double)refused > SOFT_REFUSED_PART * (double)asked && row < edge->first + edge->n;
         row++)
        if (hops[row].flags & TSPI_STORED_TAKEN_BACK)
            refuse(&hops[row]);
}

/* A disabled arc can never bind again. */
static void leave_out(const tsp_solver *solver, tspi_graph *graph)
{
    for (uint32_t a = 0; a < graph->arcs_n; a++)
        if (solver->hops.hops[graph->arcs[a].row].flags & TSPI_STORED_UNCOUNTED)
            graph->arcs[a].limit = INT64_MAX / 4;
}

static void refuse_all(tsp_solver *solver)
{
    for (size_t row = 0; row < solver->hops.n; row++)
        if (solver->hops.hops[row].flags & TSPI_STORED_TAKEN_BACK)
            refuse(&solver->hops.hops[row]);
}

/* One graph: refuses what contradicts the rest. ret_done: nothing did, so nothing that was left out of the graph as
 * redundant is needed back. */
static bool sift(tsp_solver *solver, uint32_t *left, bool *ret_done)
{
    tspi_graph graph = {0};
    bool ok = tspi_solver_graph(solver, TSPI_STORED_LIES | TSPI_STORED_AMBIGUOUS, ROUNDING_NS + TELESCOPE_NS, &graph);
    size_t room = (size_t)graph.vertices_n + 1;
    int64_t *pi = ok ? tspi_room_take(room, sizeof *pi) : NULL;
    tspi_feasibility result = pi ? TSPI_CYCLE : TSPI_NO_MEMORY;

    *ret_done = true;
    while (result == TSPI_CYCLE) {
        tspi_link *links = NULL;
        size_t n = 0, row;
        tspi_solver_guess(solver, &graph, pi);
        result = tspi_potential(&graph, pi, &links, &n);
        if (result == TSPI_CYCLE) {
            row = least_believed(solver, &graph, links, n);
            *ret_done = row == SIZE_MAX || *left == 0;
            if (!*ret_done) {
                refuse_like(solver, row);
                leave_out(solver, &graph);
            } else {
                refuse_all(solver);
                result = TSPI_FEASIBLE;
            }
            *left -= !*ret_done;
        }
        free(links);
    }
    tspi_room_give(pi, room, sizeof *pi);
    tspi_graph_release(&graph);
    return result != TSPI_NO_MEMORY;
}

bool tspi_solver_take_back(tsp_solver *solver, bool *ret_any)
{
    tspi_edge_test *tests = malloc((solver->hops.edges_n + 1) * sizeof *tests);
    uint32_t left = SOFT_REFUSED_MOST;
    bool ok = tests && tspi_solver_inspect(solver, tests, 0, NULL), done = false;

    *ret_any = ok && solver->bounded && !solver->summary.contradictory && any_broken(solver, tests);
    free(tests);
    if (ok && *ret_any)
        ask_all(solver);
    while (ok && *ret_any && !done)
        ok = sift(solver, &left, &done);
    return ok;
}
