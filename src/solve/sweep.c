#include "solve/sweep.h"

#include <stdlib.h>

#include "base/saturate.h"
#include "solve/bound.h"
#include "solve/constants.h"
#include "solve/heap.h"

#define UNREACHED INT64_MAX
#define FAR (INT64_MAX / 2) /* labels from here on are left to Dijkstra: below, a wait cannot overflow */

/* The vertices of a node that were lowered since its turn. */
typedef struct {
    uint32_t first, end; /* none: UINT32_MAX, 0 */
} stretch;

typedef struct {
    const tspi_graph *graph;
    const int64_t *pi;
    bool forward;
    const uint32_t *arcs_first, *arcs; /* borrowed: those that lead on from a vertex */
    int64_t *label;
    uint32_t *via;
    stretch *lowered; /* owned, nodes */
    tspi_heap heap;   /* owned: nodes with anything lowered, by the least reduced label offered */
    uint64_t work;    /* vertices and arcs looked at */
    bool whole;       /* no label was too large */
} sweep;

static void note(sweep *s, uint32_t v)
{
    uint32_t node = s->graph->node[v];
    int64_t key = s->forward ? tspi_sub_most(s->label[v], s->pi[v]) : tspi_add_most(s->label[v], s->pi[v]);
    stretch *of = &s->lowered[node];

    of->first = v < of->first ? v : of->first;
    of->end = v >= of->end ? v + 1 : of->end;
    if (s->heap.at[node] != UINT32_MAX && key >= s->heap.key[node])
        return;
    s->heap.key[node] = key;
    tspi_heap_lower(&s->heap, node);
}

/* Lower `to` by a wait from its neighbour `from`. Without a branch: at first nobody could guess which way it goes. */
static inline bool lower_by_wait(sweep *s, uint32_t from, uint32_t to, int64_t tie, uint32_t code)
{
    int64_t label = s->label[from], old = s->label[to], reach = label < FAR ? label + tie : UNREACHED;
    bool better = reach < old;

    s->label[to] = better ? reach : old;
    s->via[to] = better ? code : s->via[to];
    return better;
}

/* All waits on a node, which may widen the stretch. */
static stretch settle(sweep *s, uint32_t node, stretch of)
{
    const tspi_graph *graph = s->graph;
    uint32_t first = graph->first[node], end = graph->first[node + 1], v;

    for (v = of.first + 1; v < of.end; v++)
        lower_by_wait(s, v - 1, v, tspi_graph_tie(graph, v - 1), TSPI_VIA_BEFORE);
    while (v < end && lower_by_wait(s, v - 1, v, tspi_graph_tie(graph, v - 1), TSPI_VIA_BEFORE))
        v++;
    s->work += 2 * (v - of.first);
    of.end = v;
    for (v = of.end - 1; v > of.first; v--)
        lower_by_wait(s, v, v - 1, tspi_graph_tie(graph, v - 1), TSPI_VIA_AFTER);
    while (v > first && lower_by_wait(s, v, v - 1, tspi_graph_tie(graph, v - 1), TSPI_VIA_AFTER))
        v--;
    s->work += of.first - v;
    of.first = v;
    return of;
}

static void offer_hops(sweep *s, stretch of)
{
    const tspi_graph *graph = s->graph;

    for (uint32_t v = of.first; v < of.end; v++) {
        int64_t label = s->label[v], reach;
        if (label >= FAR) {
            s->whole = s->whole && label == UNREACHED;
            continue;
        }
        for (uint32_t k = s->arcs_first[v]; k < s->arcs_first[v + 1]; k++) {
            const tspi_arc *arc = &graph->arcs[s->arcs[k]];
            uint32_t to = s->forward ? arc->to : arc->from;
            if (__builtin_add_overflow(label, arc->limit, &reach)) {
                s->whole = false;
            } else if (reach < s->label[to]) {
                s->label[to] = reach;
                s->via[to] = s->arcs[k];
                note(s, to);
            }
        }
    }
    s->work += s->arcs_first[of.end] - s->arcs_first[of.first];
}

static bool init(sweep *s)
{
    uint32_t nodes = s->graph->nodes_n;
    size_t room = (size_t)nodes + 1;

    s->lowered = malloc(room * sizeof *s->lowered);
    s->heap.key = malloc(room * sizeof *s->heap.key);
    s->heap.at = malloc(room * sizeof *s->heap.at);
    s->heap.heap = malloc(room * sizeof *s->heap.heap);
    if (!s->lowered || !s->heap.key || !s->heap.at || !s->heap.heap)
        return false;
    for (uint32_t node = 0; node < nodes; node++) {
        s->lowered[node] = (stretch){UINT32_MAX, 0};
        s->heap.at[node] = UINT32_MAX;
    }
    for (uint32_t v = 0; v < s->graph->vertices_n; v++)
        if (s->label[v] != UNREACHED)
            note(s, v);
    return true;
}

bool tspi_sweep(const tspi_graph *graph, const int64_t *pi, bool forward, int64_t *label, uint32_t *via, bool *ret_done)
{
    sweep s = {.graph = graph,
               .pi = pi,
               .forward = forward,
               .arcs_first = forward ? graph->out_first : graph->in_first,
               .arcs = forward ? graph->out : graph->in,
               .label = label,
               .via = via,
               .whole = true};
    uint64_t most = SWEEPS_MOST * ((uint64_t)graph->vertices_n + graph->arcs_n);
    bool ok = init(&s);

    while (ok && s.heap.n > 0 && s.work <= most) {
        uint32_t node = tspi_heap_pop(&s.heap);
        stretch of = s.lowered[node];
        s.lowered[node] = (stretch){UINT32_MAX, 0};
        offer_hops(&s, settle(&s, node, of));
    }
    *ret_done = ok && s.whole && s.heap.n == 0;
    free(s.lowered);
    free(s.heap.key);
    free(s.heap.at);
    free(s.heap.heap);
    return ok;
}
