#include "solve/graph.h"

#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/drift.h"
#include "solve/parallel.h"

void tspi_graph_release(tspi_graph *graph)
{
    free(graph->first);
    free(graph->is_root);
    free(graph->is_time);
    free(graph->at);
    free(graph->drift);
    free(graph->tied);
    free(graph->node);
    free(graph->arcs);
    free(graph->out_first);
    free(graph->out);
    free(graph->in_first);
    free(graph->in);
    memset(graph, 0, sizeof *graph);
}

/* One end of an arc, before instants that several hops share have become one vertex. */
typedef struct {
    int64_t at;
    uint32_t end; /* 2 * arc, + 1 for its head */
} arc_end;

static int by_instant(const void *a_, const void *b_)
{
    const arc_end *a = a_, *b = b_;

    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

static void sort_ends(arc_end *ends, size_t n)
{
    bool in_order = true;

    for (size_t k = 1; k < n && in_order; k++)
        in_order = ends[k - 1].at <= ends[k].at;
    if (!in_order)
        qsort(ends, n, sizeof *ends, by_instant);
}

typedef struct {
    const uint32_t *first; /* of a node's ends */
    const uint8_t *is_time;
    arc_end *ends;
} sorting;

static bool sort_node(void *sorting_, size_t node, unsigned worker)
{
    const sorting *s = sorting_;

    (void)worker;
    if (!s->is_time[node])
        sort_ends(s->ends + s->first[node], s->first[node + 1] - s->first[node]);
    return true;
}

/* Arcs with their nodes in from and to. */
static bool collect_arcs(tspi_graph *graph, const tspi_hop_store *hops, const tspi_sides *sides, const uint8_t *keep,
                         int64_t allowance)
{
    size_t n = 0;

    for (size_t k = 0; k < hops->n; k++)
        n += keep[k];
    graph->arcs = malloc((n + 1) * sizeof *graph->arcs);
    if (!graph->arcs || n > UINT32_MAX / 2 - 1)
        return false;
    for (size_t k = 0; k < hops->n; k++)
        if (keep[k])
            graph->arcs[graph->arcs_n++] =
                (tspi_arc){tspi_sides_sent_node(sides, hops, k), tspi_sides_received_node(sides, hops, k),
                           tspi_stored_slack(&hops->hops[k]) + allowance, k};
    return true;
}

/* Turn ends, grouped by node and sorted, into vertices; arcs' from and to become vertices. */
static void make_vertices(tspi_graph *graph, const uint32_t *ends_first, const arc_end *ends)
{
    uint32_t v = 0;

    for (uint32_t node = 0; node < graph->nodes_n; node++) {
        graph->first[node] = v;
        for (uint32_t k = ends_first[node]; k < ends_first[node + 1]; k++) {
            bool is_new = k == ends_first[node] || (!graph->is_time[node] && ends[k].at != ends[k - 1].at);
            if (is_new) {
                graph->at[v] = ends[k].at;
                graph->drift[v] = tspi_drift_at(graph->rho_ppb, ends[k].at);
                graph->node[v] = node;
                graph->tied[v] = 0;
                if (v > graph->first[node])
                    graph->tied[v - 1] = 1;
                v++;
            }
            tspi_arc *arc = &graph->arcs[ends[k].end / 2];
            *(ends[k].end & 1 ? &arc->to : &arc->from) = v - 1;
        }
    }
    graph->first[graph->nodes_n] = graph->vertices_n = v;
}

static bool index_arcs(tspi_graph *graph)
{
    uint32_t n = graph->vertices_n, m = graph->arcs_n;

    graph->out_first = calloc((size_t)n + 2, sizeof(uint32_t));
    graph->in_first = calloc((size_t)n + 2, sizeof(uint32_t));
    graph->out = malloc(((size_t)m + 1) * sizeof(uint32_t));
    graph->in = malloc(((size_t)m + 1) * sizeof(uint32_t));
    if (!graph->out_first || !graph->in_first || !graph->out || !graph->in)
        return false;
    /* Counted two places up, so that filling leaves each start where it belongs. */
    for (uint32_t a = 0; a < m; a++) {
        graph->out_first[graph->arcs[a].from + 2]++;
        graph->in_first[graph->arcs[a].to + 2]++;
    }
    for (uint32_t v = 1; v <= n; v++) {
        graph->out_first[v + 1] += graph->out_first[v];
        graph->in_first[v + 1] += graph->in_first[v];
    }
    for (uint32_t a = 0; a < m; a++) {
        graph->out[graph->out_first[graph->arcs[a].from + 1]++] = a;
        graph->in[graph->in_first[graph->arcs[a].to + 1]++] = a;
    }
    return true;
}

bool tspi_graph_build_of(tspi_graph *graph, const tspi_hop_store *hops, const tspi_sides *sides, const uint8_t *root,
                         int64_t rho_ppb, uint16_t without, int64_t allowance, bool prune, const uint8_t *only)
{
    uint32_t nodes_n = tspi_sides_nodes(sides), *ends_first = NULL;
    uint8_t *keep = malloc(hops->n + 1);
    arc_end *ends = NULL;
    bool ok = false;

    memset(graph, 0, sizeof *graph);
    graph->rho_ppb = rho_ppb;
    graph->nodes_n = nodes_n;
    if (!keep)
        goto out;
    tspi_prune(hops, sides, root, rho_ppb, without, prune, only, keep);
    if (!collect_arcs(graph, hops, sides, keep, allowance))
        goto out;
    size_t ends_n = 2 * (size_t)graph->arcs_n + nodes_n; /* a root always has its vertex */
    graph->first = malloc(((size_t)nodes_n + 1) * sizeof(uint32_t));
    graph->is_root = calloc((size_t)nodes_n + 1, 1);
    graph->is_time = calloc((size_t)nodes_n + 1, 1);
    ends_first = calloc((size_t)nodes_n + 2, sizeof(uint32_t));
    ends = malloc((ends_n + 1) * sizeof *ends);
    graph->at = malloc((ends_n + 1) * sizeof *graph->at);
    graph->drift = malloc((ends_n + 1) * sizeof *graph->drift);
    graph->tied = calloc(ends_n + 1, 1);
    graph->node = malloc((ends_n + 1) * sizeof *graph->node);
    if (!graph->first || !graph->is_root || !graph->is_time || !ends_first || !ends || !graph->at || !graph->drift ||
        !graph->tied || !graph->node)
        goto out;
    for (uint32_t c = 0; c < sides->clocks; c++)
        if (root[c]) {
            memset(graph->is_time + tspi_sides_first(sides, c), 1, 1 + sides->first[c + 1] - sides->first[c]);
            graph->is_root[tspi_sides_first(sides, c) + root[c] - 1] = 1;
        }
    for (uint32_t a = 0; a < graph->arcs_n; a++) {
        ends_first[graph->arcs[a].from + 1]++;
        ends_first[graph->arcs[a].to + 1]++;
    }
    for (uint32_t node = 0; node < nodes_n; node++)
        ends_first[node + 1] += ends_first[node];
    for (uint32_t a = 0; a < graph->arcs_n; a++) {
        const tspi_stored_hop *hop = &hops->hops[graph->arcs[a].row];
        ends[ends_first[graph->arcs[a].from]++] = (arc_end){hop->sent, 2 * a};
        ends[ends_first[graph->arcs[a].to]++] = (arc_end){hop->received, 2 * a + 1};
    }
    memmove(ends_first + 1, ends_first, nodes_n * sizeof *ends_first);
    ends_first[0] = 0;
    sorting each = {ends_first, graph->is_time, ends};
    tspi_parallel(hops->threads, nodes_n, sort_node, &each);
    make_vertices(graph, ends_first, ends);
    ok = index_arcs(graph);
out:
    free(keep);
    free(ends);
    free(ends_first);
    if (!ok)
        tspi_graph_release(graph);
    return ok;
}

bool tspi_graph_build(tspi_graph *graph, const tspi_hop_store *hops, const tspi_sides *sides, const uint8_t *root,
                      int64_t rho_ppb, uint16_t without, int64_t allowance, bool prune)
{
    return tspi_graph_build_of(graph, hops, sides, root, rho_ppb, without, allowance, prune, NULL);
}

int64_t tspi_graph_before(const tspi_graph *graph, uint32_t node, int64_t stamp)
{
    uint32_t lo = graph->first[node], hi = graph->first[node + 1];

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;
        if (graph->at[mid] <= stamp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return (int64_t)lo - 1;
}
