/* Hops that bound nothing, and yet are to hold once stamps are corrected.
 *
 * A quorum keeps answers that may be lies out of the proofs, and so it must where nothing is known of how often they
 * lie; a fence keeps out what is far faster than the rest of its edge. A mended trace is no proof: a hop that some
 * clocks explain together with all that must hold is no lie that anyone could show, and is not left violated. So all
 * such hops are asked to hold at once. Where that contradicts what must hold, the one of the contradiction that is
 * furthest below the tracks has lied, and with it what its edge has that is further below; where those are not few, all
 * of the edge.
 *
 * Not asked are a handful of answers, answers of operations that were seen to lie where no skew is possible, and late
 * stamps, unless one edge has far more of them than all others: then its hops are of two sorts, as where some messages
 * wait for others and some do not. A handful of those are asked only of clocks that are corrected anyhow. */
#include <math.h>
#include <stdlib.h>

#include "solve/constants.h"
#include "solve/room.h"
#include "solve/soft.h"
#include "solve/solver.h"

static bool is_known_liar(const tspi_hop_store *hops, uint32_t operation)
{
    const tspi_lies *lies = tspi_hop_store_lies(hops, operation);

    return lies && lies->lies && lies->calls >= SOFT_CALLS_LEAST;
}

static bool is_doubted_answer(const tsp_solver *solver, const tspi_stored_hop *hop)
{
    return hop->flags & TSPI_STORED_SOFT && !(hop->flags & (TSPI_STORED_LATE | TSPI_STORED_CONFLICT)) &&
           (hop->flags & TSPI_STORED_UNCOUNTED || solver->summary.soft_excluded) &&
           !is_known_liar(&solver->hops, hop->operation);
}

static bool is_request(const tspi_stored_hop *hop)
{
    return !(hop->flags & (TSPI_STORED_SOFT | TSPI_STORED_BOUND));
}

static bool is_late_request(const tspi_stored_hop *hop)
{
    return is_request(hop) && hop->flags & TSPI_STORED_LATE && !(hop->flags & TSPI_STORED_CONFLICT);
}

/* Hops of an edge, or of all. */
typedef struct {
    uint64_t requests, late, answers; /* late requests, doubted answers */
} tally;

static tally count(const tsp_solver *solver, const tspi_stored_edge *edge)
{
    tally n = {0};

    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        const tspi_stored_hop *hop = &solver->hops.hops[row];
        n.requests += is_request(hop);
        n.late += is_late_request(hop);
        n.answers += is_doubted_answer(solver, hop);
    }
    return n;
}

/* More of an edge's requests are late than are at the rate of all others; half a lie is always assumed. Of clocks that
 * stay where they are: more than fall on one edge by chance, however many there are in all. Every edge has its chance.
 */
static bool is_odd(const tsp_solver *solver, const tspi_stored_edge *edge, const tally *n, const tally *all)
{
    bool fixed = solver->rows[edge->from].result.untouched && solver->rows[edge->to].result.untouched;
    double edges = (double)solver->hops.edges_n;

    if (n->late < (fixed ? SOFT_ASKED_LEAST : 1) || all->requests > UINT32_MAX || n->requests == all->requests)
        return false;
    if (fixed)
        return tspi_soft_exceeds((uint32_t)all->late, (double)n->requests / (double)all->requests, SOFT_CHANCE / edges,
                                 (uint32_t)n->late);
    double rate = ((double)(all->late - n->late) + 0.5) / ((double)(all->requests - n->requests) + 1);
    return tspi_soft_exceeds((uint32_t)n->requests, fmin(rate, 0.5), CREDIBLE_CHANCE / edges, (uint32_t)n->late);
}

/* Flags what could be asked. Does the tracks' correction break any, or what is beside it on its edge? */
static bool choose(tsp_solver *solver, const tspi_edge_test *tests)
{
    tally all = {0};
    bool any = false;

    for (size_t e = 0; e < solver->hops.edges_n; e++) {
        tally n = count(solver, &solver->hops.edges[e]);
        all.requests += n.requests;
        all.late += n.late;
    }
    for (size_t e = 0; e < solver->hops.edges_n; e++) {
        const tspi_stored_edge *edge = &solver->hops.edges[e];
        tally n = count(solver, edge);
        bool late = is_odd(solver, edge, &n, &all), answers = n.answers >= SOFT_ASKED_LEAST;
        for (size_t row = edge->first; row < edge->first + edge->n && (late || answers); row++) {
            tspi_stored_hop *hop = &solver->hops.hops[row];
            if ((late && is_late_request(hop)) || (answers && is_doubted_answer(solver, hop)))
                hop->flags |= TSPI_STORED_ASKED;
        }
        any = any || (tests[e].lies && (late || answers));
    }
    return any;
}

static void ask(tsp_solver *solver)
{
    for (size_t row = 0; row < solver->hops.n; row++) {
        tspi_stored_hop *hop = &solver->hops.hops[row];
        if (hop->flags & TSPI_STORED_ASKED)
            hop->flags = (uint16_t)((hop->flags & ~TSPI_STORED_LIES) | TSPI_STORED_TAKEN_BACK);
        else if (hop->flags & TSPI_STORED_SOFT && solver->summary.soft_excluded)
            hop->flags |= TSPI_STORED_UNCOUNTED;
    }
    solver->taken_back = true;
}

static void refuse(tspi_stored_hop *hop)
{
    hop->flags &= (uint16_t)~TSPI_STORED_TAKEN_BACK;
    hop->flags |= hop->flags & TSPI_STORED_SOFT ? TSPI_STORED_UNCOUNTED : TSPI_STORED_LATE;
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

/* What has lied once has not lied alone: as low on the same edge, or, where those are not few of their kind (a handful
 * of late requests stands beside hundreds of answers), all of it. */
static void refuse_like(tsp_solver *solver, size_t liar)
{
    const tspi_stored_edge *edge = edge_of(&solver->hops, liar);
    tspi_stored_hop *hops = solver->hops.hops;
    double most = solver->fit.u[liar];
    uint16_t soft = hops[liar].flags & TSPI_STORED_SOFT;
    size_t asked = 0, refused = 0;

    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        if (hops[row].flags & TSPI_STORED_TAKEN_BACK && solver->fit.u[row] <= most)
            refuse(&hops[row]);
        if ((hops[row].flags & TSPI_STORED_SOFT) != soft || !(hops[row].flags & TSPI_STORED_ASKED))
            continue;
        asked++;
        refused += !(hops[row].flags & TSPI_STORED_TAKEN_BACK);
    }
    for (size_t row = edge->first; (double)refused > SOFT_REFUSED_PART * (double)asked && row < edge->first + edge->n;
         row++)
        if (hops[row].flags & TSPI_STORED_TAKEN_BACK && (hops[row].flags & TSPI_STORED_SOFT) == soft)
            refuse(&hops[row]);
}

/* A disabled arc can never bind again. */
static void leave_out(const tsp_solver *solver, tspi_graph *graph)
{
    for (uint32_t a = 0; a < graph->arcs_n; a++)
        if (solver->hops.hops[graph->arcs[a].row].flags & TSPI_STORED_LIES)
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
        size_t n = 0;
        tspi_solver_guess(solver, &graph, pi);
        result = tspi_potential(&graph, pi, &links, &n);
        size_t liar = result == TSPI_CYCLE && *left ? least_believed(solver, &graph, links, n) : SIZE_MAX;
        free(links);
        if (liar != SIZE_MAX) {
            --*left;
            *ret_done = false;
            refuse_like(solver, liar);
            leave_out(solver, &graph);
        } else if (result == TSPI_CYCLE) {
            refuse_all(solver);
            *ret_done = true;
            result = TSPI_FEASIBLE;
        }
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

    *ret_any = ok && solver->bounded && !solver->summary.contradictory && choose(solver, tests);
    free(tests);
    if (ok && *ret_any)
        ask(solver);
    while (ok && *ret_any && !done)
        ok = sift(solver, &left, &done);
    return ok;
}
