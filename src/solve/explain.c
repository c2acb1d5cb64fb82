/* Proofs in the caller's words. */
#include <stdlib.h>

#include "solve/constants.h"
#include "solve/drift.h"
#include "solve/solver.h"

static tsp_proof_link make_link(const tsp_solver *solver, const tspi_graph *graph, const tspi_link *link)
{
    uint32_t a = link->from, b = link->to;
    tsp_proof_link out = {.hop = TSP_NO_HOP,
                          .from = solver->fit.node_clock[graph->node[a]],
                          .to = solver->fit.node_clock[graph->node[b]],
                          .from_ns = graph->at[a],
                          .to_ns = graph->at[b]};

    if (link->via < graph->arcs_n) {
        const tspi_stored_hop *hop = &solver->hops.hops[graph->arcs[link->via].row];
        out.hop = hop->index == UINT32_MAX ? TSP_NO_HOP : hop->index;
        out.tag = hop->tag;
        out.from_ns = hop->sent; /* a root's vertex stands for all its instants */
        out.to_ns = hop->received;
        out.limit_ns = tspi_stored_slack(hop) + ROUNDING_NS + TELESCOPE_NS;
    } else
        out.limit_ns = link->via == TSPI_VIA_BEFORE ? tspi_graph_tie(graph, a) : tspi_graph_tie(graph, b);
    return out;
}

/* Ties that follow each other on one clock are one tie. */
static size_t merge_ties(tsp_proof_link *links, size_t n)
{
    size_t kept = 0;

    for (size_t k = 0; k < n; k++) {
        tsp_proof_link *last = kept ? &links[kept - 1] : NULL;
        bool is_tie = links[k].from == links[k].to;
        if (last && is_tie && last->from == last->to && last->to == links[k].from) {
            last->to_ns = links[k].to_ns;
            last->limit_ns += links[k].limit_ns;
        } else
            links[kept++] = links[k];
    }
    return kept;
}

bool tspi_solver_links(const tsp_solver *solver, const tspi_graph *graph, const tspi_link *links, size_t n,
                       tsp_proof_link **ret_links, size_t *ret_n)
{
    tsp_proof_link *out = malloc((2 * n + 2) * sizeof *out); /* room for the tie to the instant that was asked for */
    size_t q = 0;

    if (!out)
        return false;
    for (size_t k = 0; k < n; k++) {
        tsp_proof_link next = make_link(solver, graph, &links[k]);
        const tsp_proof_link *last = q ? &out[q - 1] : NULL;
        if (last &&
            last->to_ns != next.from_ns) { /* between two steps a reference's clock does not drift from itself */
            out[q] = (tsp_proof_link){TSP_NO_HOP, 0, next.from, next.from, last->to_ns, next.from_ns, 0};
            q++;
        }
        out[q++] = next;
    }
    *ret_links = out;
    *ret_n = q;
    return true;
}

/* The vertex of the node whose bound, carried to `at`, is the bound there. */
static bool carrying_vertex(const tsp_solver *solver, uint32_t node, int64_t at, bool upper, uint32_t *ret_v)
{
    const tspi_graph *graph = &solver->graph;
    int64_t lo, hi, before = tspi_graph_before(graph, node, at), drift = tspi_drift_at(graph->rho_ppb, at);

    tspi_bounds_at(graph, &solver->bounds, node, at, &lo, &hi);
    for (int64_t v = before; v <= before + 1; v++) {
        if (v < graph->first[node] || v >= graph->first[node + 1])
            continue;
        int64_t tie = v == before ? drift - graph->drift[v] : graph->drift[v] - drift;
        *ret_v = (uint32_t)v;
        if (upper
                ? hi != TSP_UNBOUNDED_HI && solver->bounds.hi[v] != TSP_UNBOUNDED_HI && solver->bounds.hi[v] + tie == hi
                : lo != TSP_UNBOUNDED_LO && solver->bounds.lo[v] != TSP_UNBOUNDED_LO &&
                      solver->bounds.lo[v] - tie == lo)
            return true;
    }
    return false;
}

tsp_status tsp_solver_why(const tsp_solver *solver, uint32_t clock, int64_t at_ns, bool upper,
                          tsp_proof_link **ret_links, size_t *ret_n, tsp_error *err)
{
    tspi_link *links = NULL;
    tsp_proof_link *out = NULL;
    size_t n = 0;
    uint32_t v;

    if (!solver->done || clock >= solver->config.clocks || at_ns < -TSP_STAMP_MAX || at_ns > TSP_STAMP_MAX)
        return tsp_error_set(err, TSP_EINVAL, "no such clock or instant, or the solver has not run");
    uint32_t node = tspi_sides_node(&solver->fit.sides, clock, at_ns);
    if (!solver->bounded || solver->root[clock] || !carrying_vertex(solver, node, at_ns, upper, &v))
        return tsp_error_set(err, TSP_ERANGE, "nothing bounds this clock on that side");
    if (!tspi_bounds_chain(&solver->graph, &solver->bounds, v, upper, &links, &n) ||
        !tspi_solver_links(solver, &solver->graph, links, n, &out, &n)) {
        free(links);
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    }
    free(links);
    int64_t vertex_at = solver->graph.at[v], bound = upper ? solver->bounds.hi[v] : -solver->bounds.lo[v], sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += out[k].limit_ns;
    /* The last piece of drift: from the vertex to the instant, with the rounding that the bound carries. */
    tsp_proof_link tie = {.hop = TSP_NO_HOP, .from = clock, .to = clock};
    tie.from_ns = upper ? vertex_at : at_ns;
    tie.to_ns = upper ? at_ns : vertex_at;
    tie.limit_ns = bound - sum + llabs(tspi_drift_at(solver->rho_ppb, at_ns) - solver->graph.drift[v]);
    if (upper)
        out[n] = tie;
    else {
        for (size_t k = n; k > 0; k--)
            out[k] = out[k - 1];
        out[0] = tie;
    }
    *ret_n = merge_ties(out, n + 1);
    *ret_links = out;
    return TSP_OK;
}

const tsp_proof_link *tsp_solver_conflict(const tsp_solver *solver, size_t *ret_n)
{
    *ret_n = solver->conflict_n;
    return solver->conflict;
}
