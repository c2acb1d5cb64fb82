/* Dijkstra with potentials (Johnson 1977) over hops and drift ties, both ways; for the bounds, sweeps go before it. */
#include "solve/bound.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/drift.h"
#include "solve/heap.h"
#include "solve/room.h"
#include "solve/sweep.h"

#define UNREACHED INT64_MAX

typedef struct {
    const tspi_graph *graph;
    const int64_t *pi;
    bool forward;
    tspi_heap heap; /* vertices by reduced label */
    uint32_t *via;
} run;

static void relax(run *r, uint32_t from, uint32_t to, int64_t limit, uint32_t via)
{
    /* Reduced weight of the arc as it is walked: never negative, by the potential. */
    __int128 reduced =
        r->forward ? (__int128)limit + r->pi[from] - r->pi[to] : (__int128)limit + r->pi[to] - r->pi[from];
    __int128 label = r->heap.key[from] + reduced;

    /* Of clocks that lie centuries apart sums may leave 64 bits: what cannot be said is not. */
    if (label >= r->heap.key[to] || label < INT64_MIN)
        return;
    r->heap.key[to] = (int64_t)label;
    if (r->via)
        r->via[to] = via;
    tspi_heap_lower(&r->heap, to);
}

static void relax_from(run *r, uint32_t v)
{
    const tspi_graph *graph = r->graph;
    const uint32_t *first = r->forward ? graph->out_first : graph->in_first;
    const uint32_t *arcs = r->forward ? graph->out : graph->in;

    if (graph->tied[v])
        relax(r, v, v + 1, tspi_graph_tie(graph, v), TSPI_VIA_BEFORE);
    if (v > 0 && graph->tied[v - 1])
        relax(r, v, v - 1, tspi_graph_tie(graph, v - 1), TSPI_VIA_AFTER);
    for (uint32_t k = first[v]; k < first[v + 1]; k++) {
        const tspi_arc *arc = &graph->arcs[arcs[k]];
        relax(r, v, r->forward ? arc->to : arc->from, arc->limit, arcs[k]);
    }
}

/* Between labels and reduced labels: forward label - pi, backward label + pi. */
static void shift_labels(const run *r, bool reduce)
{
    for (uint32_t v = 0; v < r->graph->vertices_n; v++) {
        int64_t *label = &r->heap.key[v];
        if (*label == UNREACHED || !(reduce == r->forward ? __builtin_sub_overflow(*label, r->pi[v], label)
                                                          : __builtin_add_overflow(*label, r->pi[v], label)))
            continue;
        *label = UNREACHED;
        if (r->via)
            r->via[v] = TSPI_VIA_NONE;
    }
}

bool tspi_reach(const tspi_graph *graph, const int64_t *pi, bool forward, int64_t *label, uint32_t *via)
{
    uint32_t n = graph->vertices_n;
    run r = {.graph = graph, .pi = pi, .forward = forward, .via = via};
    bool ok;

    r.heap.key = label;
    r.heap.at = tspi_room_take((size_t)n + 1, sizeof *r.heap.at);
    r.heap.heap = tspi_room_take((size_t)n + 1, sizeof *r.heap.heap);
    ok = r.heap.at && r.heap.heap;
    for (uint32_t v = 0; ok && v < n; v++)
        r.heap.at[v] = UINT32_MAX;
    if (ok) {
        shift_labels(&r, true);
        /* Where labels are given everywhere and little has to change, little enters the heap. */
        for (uint32_t v = 0; v < n; v++)
            if (label[v] != UNREACHED)
                relax_from(&r, v);
        /* With a potential each vertex comes once; one that was cut off at 64 bits is none. */
        for (uint64_t turns = REACH_TURNS * (uint64_t)n; r.heap.n > 0 && turns; turns--)
            relax_from(&r, tspi_heap_pop(&r.heap));
        shift_labels(&r, false);
    }
    tspi_room_give(r.heap.at, (size_t)n + 1, sizeof *r.heap.at);
    tspi_room_give(r.heap.heap, (size_t)n + 1, sizeof *r.heap.heap);
    return ok;
}

typedef struct {
    const tspi_graph *graph;
    const int64_t *pi;
    bool forward;
    int64_t *label;
    uint32_t *via;
    bool ok;
} one_way;

/* One piece of drift more than there are hops on the way. */
static void make_bounds(const one_way *way)
{
    const tspi_graph *graph = way->graph;

    for (uint32_t v = 0; v < graph->vertices_n; v++) {
        int64_t *label = &way->label[v];
        if (*label == UNREACHED ||
            __builtin_add_overflow(*label, graph->is_root[graph->node[v]] ? 0 : TELESCOPE_NS, label))
            *label = way->forward ? TSP_UNBOUNDED_HI : TSP_UNBOUNDED_LO;
        else if (!way->forward)
            *label = -*label;
    }
}

static bool begin_at_roots(one_way *way)
{
    const tspi_graph *graph = way->graph;
    size_t room = (size_t)graph->vertices_n + 1;

    way->label = tspi_room_take(room, sizeof *way->label);
    way->via = tspi_room_take(room, sizeof *way->via);
    for (uint32_t v = 0; way->label && way->via && v < graph->vertices_n; v++) {
        way->label[v] = graph->is_root[graph->node[v]] ? 0 : UNREACHED;
        way->via[v] = TSPI_VIA_NONE;
    }
    return way->label && way->via;
}

static void *reach_roots(void *way_)
{
    one_way *way = way_;
    const tspi_graph *graph = way->graph;
    bool done = false;

    way->ok = begin_at_roots(way) && tspi_sweep(graph, way->pi, way->forward, way->label, way->via, &done) &&
              (done || tspi_reach(graph, way->pi, way->forward, way->label, way->via));
    if (way->ok)
        make_bounds(way);
    return NULL;
}

static void reach_both(one_way *up, one_way *down, unsigned threads)
{
    pthread_t other;
    bool started = threads > 1 && pthread_create(&other, NULL, reach_roots, down) == 0;

    reach_roots(up);
    if (started)
        pthread_join(other, NULL);
    else
        reach_roots(down);
}

bool tspi_bounds_find(const tspi_graph *graph, const int64_t *pi, unsigned threads, tspi_bounds *ret_bounds)
{
    one_way up = {graph, pi, true, NULL, NULL, false}, down = {graph, pi, false, NULL, NULL, false};

    reach_both(&up, &down, threads);
    tspi_bounds b = {(size_t)graph->vertices_n + 1, up.label, down.label, up.via, down.via};
    if (!up.ok || !down.ok) {
        tspi_bounds_release(&b);
        return false;
    }
    *ret_bounds = b;
    return true;
}

void tspi_bounds_release(tspi_bounds *bounds)
{
    tspi_room_give(bounds->hi, bounds->room, sizeof *bounds->hi);
    tspi_room_give(bounds->lo, bounds->room, sizeof *bounds->lo);
    tspi_room_give(bounds->via_hi, bounds->room, sizeof *bounds->via_hi);
    tspi_room_give(bounds->via_lo, bounds->room, sizeof *bounds->via_lo);
    memset(bounds, 0, sizeof *bounds);
}

void tspi_bounds_at(const tspi_graph *graph, const tspi_bounds *bounds, uint32_t node, int64_t stamp, int64_t *ret_lo,
                    int64_t *ret_hi)
{
    int64_t before = tspi_graph_before(graph, node, stamp);

    tspi_bounds_near(graph, bounds, node, stamp, &before, ret_lo, ret_hi);
}

/* tspi_graph_before, from a vertex that is near: steps out from it, twice as far each time, then halves. */
static int64_t before_near(const tspi_graph *graph, uint32_t node, int64_t stamp, int64_t near)
{
    int64_t first = graph->first[node], end = graph->first[node + 1], lo = near, hi = near + 1;

    if (near < first - 1 || near >= end)
        return tspi_graph_before(graph, node, stamp);
    for (int64_t step = 1; lo >= first && graph->at[lo] > stamp; step *= 2) {
        hi = lo;
        lo -= step;
    }
    for (int64_t step = 1; hi < end && graph->at[hi] <= stamp; step *= 2) {
        lo = hi;
        hi += step;
    }
    lo = lo < first - 1 ? first - 1 : lo;
    hi = hi > end ? end : hi;
    while (hi - lo > 1) {
        int64_t mid = lo + (hi - lo) / 2;
        if (graph->at[mid] <= stamp)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

void tspi_bounds_near(const tspi_graph *graph, const tspi_bounds *bounds, uint32_t node, int64_t stamp, int64_t *hint,
                      int64_t *ret_lo, int64_t *ret_hi)
{
    int64_t before = *hint = before_near(graph, node, stamp, *hint), drift = tspi_drift_at(graph->rho_ppb, stamp);
    int64_t lo = TSP_UNBOUNDED_LO, hi = TSP_UNBOUNDED_HI, reach;

    if (graph->is_root[node]) {
        *ret_lo = *ret_hi = 0;
        return;
    }
    if (graph->is_time[node]) {
        before = graph->first[node];
        drift = before < graph->first[node + 1] ? graph->drift[before] : 0;
    }
    for (int64_t v = before; v <= before + 1; v++) {
        if (v < graph->first[node] || v >= graph->first[node + 1])
            continue;
        int64_t tie = v == before ? drift - graph->drift[v] : graph->drift[v] - drift;
        if (bounds->hi[v] != TSP_UNBOUNDED_HI && !__builtin_add_overflow(bounds->hi[v], tie, &reach) && reach < hi)
            hi = reach;
        if (bounds->lo[v] != TSP_UNBOUNDED_LO && !__builtin_sub_overflow(bounds->lo[v], tie, &reach) && reach > lo)
            lo = reach;
    }
    *ret_lo = lo;
    *ret_hi = hi;
}

bool tspi_bounds_chain(const tspi_graph *graph, const tspi_bounds *bounds, uint32_t v, bool upper,
                       tspi_link **ret_links, size_t *ret_n)
{
    const uint32_t *via = upper ? bounds->via_hi : bounds->via_lo;
    size_t n = 0, cap = 16;
    tspi_link *links = malloc(cap * sizeof *links);

    /* Where sums left 64 bits, a way may come back to itself. */
    while (links && via[v] != TSPI_VIA_NONE && n < graph->vertices_n) {
        uint32_t back = via[v] == TSPI_VIA_BEFORE  ? v - 1
                        : via[v] == TSPI_VIA_AFTER ? v + 1
                        : upper                    ? graph->arcs[via[v]].from
                                                   : graph->arcs[via[v]].to;
        if (n == cap) {
            tspi_link *grown = realloc(links, 2 * cap * sizeof *links);
            if (!grown)
                free(links);
            links = grown;
            cap *= 2;
            if (!links)
                break;
        }
        uint32_t step = via[v];
        if (!upper && step == TSPI_VIA_BEFORE)
            step = TSPI_VIA_AFTER;
        else if (!upper && step == TSPI_VIA_AFTER)
            step = TSPI_VIA_BEFORE;
        links[n++] = upper ? (tspi_link){back, v, step} : (tspi_link){v, back, step};
        v = back;
    }
    if (!links)
        return false;
    for (size_t k = 0; upper && k < n / 2; k++) {
        tspi_link swap = links[k];
        links[k] = links[n - 1 - k];
        links[n - 1 - k] = swap;
    }
    *ret_links = links;
    *ret_n = n;
    return true;
}
