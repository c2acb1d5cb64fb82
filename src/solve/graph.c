#include "solve/graph.h"

#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/drift.h"
#include "solve/parallel.h"
#include "solve/room.h"

void tspi_graph_release(tspi_graph *graph)
{
    size_t vertices = graph->vertices_room, arcs = graph->arcs_room;

    free(graph->first);
    free(graph->is_root);
    free(graph->is_time);
    tspi_room_give(graph->at, vertices, sizeof *graph->at);
    tspi_room_give(graph->drift, vertices, sizeof *graph->drift);
    tspi_room_give(graph->tied, vertices, sizeof *graph->tied);
    tspi_room_give(graph->node, vertices, sizeof *graph->node);
    tspi_room_give(graph->out_first, vertices, sizeof *graph->out_first);
    tspi_room_give(graph->in_first, vertices, sizeof *graph->in_first);
    tspi_room_give(graph->arcs, arcs, sizeof *graph->arcs);
    tspi_room_give(graph->out, arcs, sizeof *graph->out);
    tspi_room_give(graph->in, arcs, sizeof *graph->in);
    memset(graph, 0, sizeof *graph);
}

/* One end of an arc, before instants that several hops share have become one vertex. */
typedef struct {
    int64_t at;
    uint32_t end; /* 2 * arc, + 1 for its head */
} arc_end;

static inline bool is_earlier(const arc_end *a, const arc_end *b)
{
    return a->at != b->at ? a->at < b->at : a->end < b->end;
}

/* Two neighbouring runs, into to. */
static void merge_runs(const arc_end *a, const arc_end *a_end, const arc_end *b, const arc_end *b_end, arc_end *to)
{
    while (a < a_end && b < b_end)
        *to++ = is_earlier(b, a) ? *b++ : *a++;
    memcpy(to, a, (size_t)(a_end - a) * sizeof *to);
    memcpy(to + (a_end - a), b, (size_t)(b_end - b) * sizeof *to);
}

/* The ends of an edge come in the order of time, or nearly: runs are merged two by two. */
static bool sort_ends(arc_end *ends, uint32_t n)
{
    uint32_t runs_n = 0, *runs;
    arc_end *from = ends, *to, *other;

    for (uint32_t k = 1; k < n; k++)
        runs_n += is_earlier(&ends[k], &ends[k - 1]);
    if (!runs_n)
        return true;
    runs = malloc(((size_t)runs_n + 2) * sizeof *runs);
    other = to = malloc(n * sizeof *other);
    if (!runs || !other) {
        free(runs);
        free(other);
        return false;
    }
    runs[0] = runs_n = 0;
    for (uint32_t k = 1; k < n; k++)
        if (is_earlier(&ends[k], &ends[k - 1]))
            runs[++runs_n] = k;
    runs[++runs_n] = n;
    while (runs_n > 1) {
        uint32_t left = 0;
        for (uint32_t k = 0; k < runs_n; k += 2) {
            uint32_t a = runs[k], b = runs[k + 1], c = k + 2 <= runs_n ? runs[k + 2] : b;
            merge_runs(from + a, from + b, from + b, from + c, to + a);
            runs[left++] = a;
        }
        runs[left] = n;
        runs_n = left;
        arc_end *swap = from;
        from = to;
        to = swap;
    }
    if (from != ends)
        memcpy(ends, from, n * sizeof *ends);
    free(runs);
    free(other);
    return true;
}

/* The hops are dealt in parts, each a range of rows: what a part holds, then where it puts it. */
#define PARTS 16
#define PARTED_NODES ((uint32_t)1 << 16) /* with more nodes than that, counting them in each part would take longer */

typedef struct {
    tspi_graph *graph;
    const tspi_hop_store *hops;
    const tspi_sides *sides;
    const uint8_t *keep;
    int64_t allowance;
    uint32_t parts;
    size_t arcs_n[PARTS];
    uint32_t *count;      /* owned, parts * nodes: ends */
    uint32_t *first;      /* owned, nodes + 1: of a node's ends */
    arc_end *ends;        /* owned */
    uint32_t *vertices_n; /* owned, nodes */
    uint32_t *outs, *ins; /* owned, nodes + 1: arcs from earlier nodes, and into them */
} building;

static size_t part_row(const building *b, size_t part)
{
    return b->hops->n / b->parts * part + (part == b->parts ? b->hops->n % b->parts : 0);
}

static bool count_part(void *building_, size_t part, unsigned worker)
{
    building *b = building_;
    uint32_t *count = b->count + part * b->graph->nodes_n;
    size_t n = 0;

    (void)worker;
    for (size_t row = part_row(b, part); row < part_row(b, part + 1); row++)
        if (b->keep[row]) {
            n++;
            count[tspi_sides_sent_node(b->sides, b->hops, row)]++;
            count[tspi_sides_received_node(b->sides, b->hops, row)]++;
        }
    b->arcs_n[part] = n;
    return true;
}

static bool deal_part(void *building_, size_t part, unsigned worker)
{
    const building *b = building_;
    uint32_t *next = b->count + part * b->graph->nodes_n, a = 0;

    (void)worker;
    for (size_t k = 0; k < part; k++)
        a += (uint32_t)b->arcs_n[k];
    for (size_t row = part_row(b, part); row < part_row(b, part + 1); row++) {
        const tspi_stored_hop *hop = &b->hops->hops[row];
        if (!b->keep[row])
            continue;
        uint32_t from = tspi_sides_sent_node(b->sides, b->hops, row);
        uint32_t to = tspi_sides_received_node(b->sides, b->hops, row);
        b->graph->arcs[a] = (tspi_arc){0, 0, tspi_stored_slack(hop) + b->allowance, row};
        b->ends[next[from]++] = (arc_end){hop->sent, 2 * a};
        b->ends[next[to]++] = (arc_end){hop->received, 2 * a + 1};
        a++;
    }
    return true;
}

/* From counts to places: parts follow each other within a node. */
static void place_ends(building *b)
{
    uint32_t at = 0;

    for (uint32_t node = 0; node < b->graph->nodes_n; node++) {
        b->first[node] = at;
        for (uint32_t part = 0; part < b->parts; part++) {
            uint32_t *place = &b->count[(size_t)part * b->graph->nodes_n + node], n = *place;
            *place = at;
            at += n;
        }
    }
    b->first[b->graph->nodes_n] = at;
}

static bool begins_vertex(const building *b, uint32_t node, uint32_t k)
{
    return k == b->first[node] || (!b->graph->is_time[node] && b->ends[k].at != b->ends[k - 1].at);
}

static bool sort_node(void *building_, size_t node_, unsigned worker)
{
    building *b = building_;
    uint32_t node = (uint32_t)node_, first = b->first[node], vertices = 0, outs = 0;

    (void)worker;
    if (!b->graph->is_time[node] && !sort_ends(b->ends + first, b->first[node + 1] - first))
        return false;
    for (uint32_t k = first; k < b->first[node + 1]; k++) {
        vertices += begins_vertex(b, node, k);
        outs += !(b->ends[k].end & 1);
    }
    b->vertices_n[node] = vertices;
    b->outs[node + 1] = outs;
    b->ins[node + 1] = b->first[node + 1] - first - outs;
    return true;
}

/* Turn a node's ends into vertices, and the arcs' ends into theirs. */
static bool fill_node(void *building_, size_t node_, unsigned worker)
{
    const building *b = building_;
    tspi_graph *graph = b->graph;
    uint32_t node = (uint32_t)node_, v = graph->first[node], out = b->outs[node], in = b->ins[node];

    (void)worker;
    for (uint32_t k = b->first[node]; k < b->first[node + 1]; k++) {
        const arc_end *end = &b->ends[k];
        tspi_arc *arc = &graph->arcs[end->end / 2];
        if (begins_vertex(b, node, k)) {
            graph->at[v] = end->at;
            graph->drift[v] = tspi_drift_at(graph->rho_ppb, end->at);
            graph->node[v] = node;
            graph->tied[v] = v + 1 < graph->first[node + 1];
            graph->out_first[v] = out;
            graph->in_first[v] = in;
            v++;
        }
        if (end->end & 1) {
            arc->to = v - 1;
            graph->in[in++] = end->end / 2;
        } else {
            arc->from = v - 1;
            graph->out[out++] = end->end / 2;
        }
    }
    return true;
}

static bool make_vertices(building *b)
{
    tspi_graph *graph = b->graph;
    size_t n = 0;

    for (uint32_t node = 0; node < graph->nodes_n; node++) {
        graph->first[node] = (uint32_t)n;
        n += b->vertices_n[node];
        b->outs[node + 1] += b->outs[node];
        b->ins[node + 1] += b->ins[node];
    }
    graph->first[graph->nodes_n] = graph->vertices_n = (uint32_t)n;
    graph->vertices_room = ++n;
    graph->at = tspi_room_take(n, sizeof *graph->at);
    graph->drift = tspi_room_take(n, sizeof *graph->drift);
    graph->tied = tspi_room_take(n, sizeof *graph->tied);
    graph->node = tspi_room_take(n, sizeof *graph->node);
    graph->out_first = tspi_room_take(n, sizeof *graph->out_first);
    graph->in_first = tspi_room_take(n, sizeof *graph->in_first);
    if (!graph->at || !graph->drift || !graph->tied || !graph->node || !graph->out_first || !graph->in_first)
        return false;
    graph->tied[graph->vertices_n] = 0;
    graph->out_first[graph->vertices_n] = graph->in_first[graph->vertices_n] = graph->arcs_n;
    return tspi_parallel(b->hops->threads, graph->nodes_n, fill_node, b);
}

static void mark_roots(tspi_graph *graph, const tspi_sides *sides, const uint8_t *root)
{
    for (uint32_t c = 0; c < sides->clocks; c++)
        if (root[c]) {
            memset(graph->is_time + tspi_sides_first(sides, c), 1, 1 + sides->first[c + 1] - sides->first[c]);
            graph->is_root[tspi_sides_first(sides, c) + root[c] - 1] = 1;
        }
}

/* Arcs and their ends, by node. */
static bool deal_hops(building *b)
{
    tspi_graph *graph = b->graph;
    size_t n = 0;

    if (!tspi_parallel(b->hops->threads, b->parts, count_part, b))
        return false;
    for (uint32_t part = 0; part < b->parts; part++)
        n += b->arcs_n[part];
    if (n > UINT32_MAX / 2 - 1)
        return false;
    graph->arcs_n = (uint32_t)n;
    graph->arcs_room = n + 1;
    graph->arcs = tspi_room_take(n + 1, sizeof *graph->arcs);
    graph->out = tspi_room_take(n + 1, sizeof *graph->out);
    graph->in = tspi_room_take(n + 1, sizeof *graph->in);
    b->ends = tspi_room_take(2 * n + 1, sizeof *b->ends);
    if (!graph->arcs || !graph->out || !graph->in || !b->ends)
        return false;
    place_ends(b);
    return tspi_parallel(b->hops->threads, b->parts, deal_part, b);
}

bool tspi_graph_build_of(tspi_graph *graph, const tspi_hop_store *hops, const tspi_sides *sides, const uint8_t *root,
                         int64_t rho_ppb, uint16_t without, int64_t allowance, bool prune, const uint8_t *only)
{
    size_t nodes_n = tspi_sides_nodes(sides);
    uint8_t *keep = tspi_room_take(hops->n + 1, 1);
    building b = {.graph = graph,
                  .hops = hops,
                  .sides = sides,
                  .keep = keep,
                  .allowance = allowance,
                  .parts = nodes_n <= PARTED_NODES ? PARTS : 1};
    bool ok;

    *graph = (tspi_graph){.rho_ppb = rho_ppb, .threads = hops->threads, .nodes_n = (uint32_t)nodes_n};
    graph->first = malloc((nodes_n + 1) * sizeof *graph->first);
    graph->is_root = calloc(nodes_n + 1, 1);
    graph->is_time = calloc(nodes_n + 1, 1);
    b.count = calloc(b.parts * nodes_n + 1, sizeof *b.count);
    b.first = malloc((nodes_n + 1) * sizeof *b.first);
    b.vertices_n = malloc((nodes_n + 1) * sizeof *b.vertices_n);
    b.outs = calloc(nodes_n + 1, sizeof *b.outs);
    b.ins = calloc(nodes_n + 1, sizeof *b.ins);
    ok = keep && graph->first && graph->is_root && graph->is_time && b.count && b.first && b.vertices_n && b.outs &&
         b.ins;
    if (ok) {
        mark_roots(graph, sides, root);
        tspi_prune(hops, sides, root, rho_ppb, without, prune, only, keep);
        ok = deal_hops(&b) && tspi_parallel(hops->threads, nodes_n, sort_node, &b) && make_vertices(&b);
    }
    tspi_room_give(keep, hops->n + 1, 1);
    tspi_room_give(b.ends, 2 * (size_t)graph->arcs_n + 1, sizeof *b.ends);
    free(b.count);
    free(b.first);
    free(b.vertices_n);
    free(b.outs);
    free(b.ins);
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
