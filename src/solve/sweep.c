#include "solve/sweep.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "solve/bound.h"
#include "solve/constants.h"
#include "solve/parallel.h"
#include "solve/room.h"

#define UNREACHED UINT32_MAX
#define NO_PLACE UINT32_MAX
#define SAMPLES 4096
#define DOUBLE_GRAIN_NS 2048.0 /* differences of stamps of 10^18 ns that a double surely shows */

static int by_time(const void *a_, const void *b_)
{
    double a = *(const double *)a_, b = *(const double *)b_;

    return a < b ? -1 : a > b;
}

/* A vertex's time by the potential. Clocks can be further apart than 64 bits hold. */
static double time_of(const tspi_graph *graph, const int64_t *pi, size_t v)
{
    return (double)graph->at[v] - (double)pi[v];
}

/* Where most of the vertices lie, so that a stray stamp decades away does not put all others into one bucket. */
static void find_span(const tspi_graph *graph, const int64_t *pi, double *ret_first, double *ret_last)
{
    double sample[SAMPLES];
    size_t n = 0, stride = graph->vertices_n / SAMPLES + 1;

    for (size_t v = 0; v < graph->vertices_n; v += stride)
        sample[n++] = time_of(graph, pi, v);
    qsort(sample, n, sizeof *sample, by_time);
    double low = sample[n / 100], high = sample[n - 1 - n / 100], margin = (high - low) / 20 + DOUBLE_GRAIN_NS;
    *ret_first = low - margin;
    *ret_last = high + margin;
}

/* Vertices are dealt into buckets of time, some four to each, slice by slice: within a bucket they stay in order,
 * however many slices there are. */
#define MOST_SLICES 8
#define PIECE_PLACES 65536

typedef struct {
    tspi_timeline *line;
    double from, scale;
    uint32_t buckets, slices;
    uint32_t *next; /* owned, slices * buckets: vertices, then where the next goes */
    atomic_bool whole;
} ordering;

static uint32_t slice_first(const ordering *o, size_t slice)
{
    return (uint32_t)((uint64_t)o->line->graph->vertices_n * slice / o->slices);
}

static bool count_slice(void *ordering_, size_t slice, unsigned worker)
{
    const ordering *o = ordering_;
    const tspi_timeline *line = o->line;
    uint32_t *count = o->next + slice * o->buckets, end = slice_first(o, slice + 1);

    (void)worker;
    for (uint32_t v = slice_first(o, slice); v < end; v++) {
        double at = (time_of(line->graph, line->pi, v) - o->from) * o->scale;
        uint32_t bucket = at <= 0 ? 0 : at >= o->buckets ? o->buckets - 1 : (uint32_t)at;
        line->place_of[v] = bucket; /* for now */
        count[bucket]++;
    }
    return true;
}

static bool deal_slice(void *ordering_, size_t slice, unsigned worker)
{
    const ordering *o = ordering_;
    const tspi_timeline *line = o->line;
    uint32_t *next = o->next + slice * o->buckets, end = slice_first(o, slice + 1);

    (void)worker;
    for (uint32_t v = slice_first(o, slice); v < end; v++) {
        uint32_t k = next[line->place_of[v]]++;
        line->order[k] = v;
        line->place_of[v] = k;
    }
    return true;
}

static bool find_order(ordering *o, unsigned threads)
{
    const tspi_graph *graph = o->line->graph;
    uint32_t at = 0;
    double from, to;

    o->buckets = graph->vertices_n / 4 + 1;
    o->slices = threads < 1 ? 1 : threads > MOST_SLICES ? MOST_SLICES : threads;
    o->next = tspi_room_zero((size_t)o->slices * o->buckets, sizeof *o->next);
    if (!o->next)
        return false;
    find_span(graph, o->line->pi, &from, &to);
    o->from = from;
    o->scale = o->buckets / (to - from);
    tspi_parallel(threads, o->slices, count_slice, o);
    for (uint32_t b = 0; b < o->buckets; b++)
        for (uint32_t k = 0; k < o->slices; k++) {
            uint32_t *next = &o->next[(size_t)k * o->buckets + b], n = *next;
            *next = at;
            at += n;
        }
    tspi_parallel(threads, o->slices, deal_slice, o);
    tspi_room_give(o->next, (size_t)o->slices * o->buckets, sizeof *o->next);
    return true;
}

/* A length reduced by the potential, which makes it non-negative. */
static inline uint32_t reduced(const tspi_timeline *line, uint32_t from, uint32_t to, int64_t limit)
{
    int64_t length;

    if (__builtin_add_overflow(limit, line->pi[from], &length) ||
        __builtin_sub_overflow(length, line->pi[to], &length) || length < 0 || length >= UNREACHED)
        return UNREACHED;
    return (uint32_t)length;
}

/* In the order of places: what a node's neighbours hold is read again soon. */
static bool tie_piece(void *ordering_, size_t piece, unsigned worker)
{
    ordering *o = ordering_;
    const tspi_timeline *line = o->line;
    const tspi_graph *graph = line->graph;
    uint32_t first = (uint32_t)piece * PIECE_PLACES, n = graph->vertices_n - first;
    bool whole = true;

    (void)worker;
    n = n < PIECE_PLACES ? n : PIECE_PLACES;
    for (uint32_t k = first; k < first + n; k++) {
        uint32_t v = line->order[k];
        tspi_place *place = &line->places[k];
        *place = (tspi_place){k, 0, 0};
        if (v == 0 || !graph->tied[v - 1])
            continue;
        int64_t tie = tspi_graph_tie(graph, v - 1);
        uint32_t up = reduced(line, v - 1, v, tie), down = reduced(line, v, v - 1, tie);
        if (up < UNREACHED && down < UNREACHED)
            *place = (tspi_place){line->place_of[v - 1], up, down};
        else
            whole = false;
    }
    if (!whole)
        atomic_store(&o->whole, false);
    return true;
}

bool tspi_timeline_init(tspi_timeline *line, const tspi_graph *graph, const int64_t *pi, unsigned threads)
{
    size_t n = graph->vertices_n, room = n + 1;
    ordering o = {.line = line, .whole = true};

    *line = (tspi_timeline){.graph = graph, .pi = pi};
    line->order = tspi_room_take(room, sizeof *line->order);
    line->place_of = tspi_room_take(room, sizeof *line->place_of);
    line->places = tspi_room_take(room, sizeof *line->places);
    if (!line->order || !line->place_of || !line->places || (n && !find_order(&o, threads))) {
        tspi_timeline_release(line);
        return false;
    }
    tspi_parallel(threads, (n + PIECE_PLACES - 1) / PIECE_PLACES, tie_piece, &o);
    line->whole = atomic_load(&o.whole);
    return true;
}

void tspi_timeline_release(tspi_timeline *line)
{
    size_t room = (size_t)line->graph->vertices_n + 1;

    tspi_room_give(line->order, room, sizeof *line->order);
    tspi_room_give(line->place_of, room, sizeof *line->place_of);
    tspi_room_give(line->places, room, sizeof *line->places);
    memset(line, 0, sizeof *line);
}

/* The arcs that lower a place. The first into a vertex, which is nearly always the only one, has a row of its own, and
 * so has a place without any (from itself): a sweep need not ask how many there are. */
typedef struct {
    uint32_t other;  /* place at the other end */
    uint32_t length; /* reduced */
} way;

typedef struct {
    uint32_t place; /* that it lowers */
    uint32_t code;
    way way;
} spare;

/* How a place was lowered last; an arc, by its number among those of the vertex. */
enum { LOWERED_NOT, LOWERED_BEFORE, LOWERED_AFTER, LOWERED_ARC };
#define MOST_ARCS (UINT8_MAX - LOWERED_ARC)

typedef struct {
    const tspi_timeline *line;
    bool forward;
    const uint32_t *arcs_first, *arcs; /* borrowed: those that lower a vertex */
    uint32_t *label;                   /* owned, by place */
    uint8_t *via;                      /* owned, by place */
    way *ways;                         /* owned, by place */
    spare *spares;                     /* owned, by place: the other ways */
    size_t spares_n, spares_cap;
    bool whole; /* every arc is there */
} sweep;

static bool add_spare(sweep *s, spare more)
{
    if (s->spares_n == s->spares_cap) {
        size_t cap = s->spares_cap ? 2 * s->spares_cap : 1024;
        spare *grown = tspi_room_grow(s->spares, s->spares_cap, cap, sizeof *grown);
        if (!grown)
            return false;
        s->spares = grown;
        s->spares_cap = cap;
    }
    s->spares[s->spares_n++] = more;
    return true;
}

static bool collect_of(sweep *s, uint32_t k, uint32_t v)
{
    const tspi_graph *graph = s->line->graph;
    uint32_t n = s->arcs_first[v + 1] - s->arcs_first[v];

    if (n > MOST_ARCS) {
        n = MOST_ARCS;
        s->whole = false;
    }
    for (uint32_t q = 0; q < n; q++) {
        const tspi_arc *arc = &graph->arcs[s->arcs[s->arcs_first[v] + q]];
        way w = {s->line->place_of[s->forward ? arc->from : arc->to], reduced(s->line, arc->from, arc->to, arc->limit)};
        if (w.length == UNREACHED)
            s->whole = false;
        else if (q == 0)
            s->ways[k] = w;
        else if (!add_spare(s, (spare){k, LOWERED_ARC + q, w}))
            return false;
    }
    return true;
}

/* Places whose vertices are asked for before their turn: the arrays of vertices and arcs are read at as many places as
 * there are nodes and edges, and no machine guesses that. */
#define AHEAD 16

static const tspi_arc *arc_ahead(const sweep *s, uint32_t k)
{
    uint32_t v = k < s->line->graph->vertices_n ? s->line->order[k] : 0, first = s->arcs_first[v];

    return first < s->arcs_first[v + 1] ? &s->line->graph->arcs[s->arcs[first]] : NULL;
}

static void fetch_ahead(const sweep *s, uint32_t k)
{
    const tspi_arc *far = arc_ahead(s, k + 2 * AHEAD), *near = arc_ahead(s, k + AHEAD);
    uint32_t other = !near ? 0 : s->forward ? near->from : near->to;

    __builtin_prefetch(far);
    __builtin_prefetch(&s->line->pi[other]);
    __builtin_prefetch(&s->line->place_of[other]);
}

/* In the order of places, where neighbours in time of one edge lie together. */
static bool collect_ways(sweep *s)
{
    const tspi_graph *graph = s->line->graph;
    bool ok = true;

    for (uint32_t k = 0; ok && k < graph->vertices_n; k++) {
        uint32_t v = s->line->order[k];
        bool is_root = graph->is_root[graph->node[v]];
        fetch_ahead(s, k);
        s->label[k] = is_root ? 0 : UNREACHED;
        s->via[k] = LOWERED_NOT;
        s->ways[k] = (way){k, 0};
        ok = is_root || collect_of(s, k, v); /* a root is never lowered: it is where all ways begin */
    }
    return ok && add_spare(s, (spare){.place = NO_PLACE});
}

/* Without a branch: at first nobody could guess which way it goes. */
static inline uint32_t lower(uint32_t *restrict label, uint8_t *restrict via, uint32_t from, uint32_t to,
                             uint32_t length, uint32_t code)
{
    uint64_t reach = (uint64_t)label[from] + length;
    uint32_t old = label[to];
    bool better = reach < old;

    label[to] = better ? (uint32_t)reach : old;
    via[to] = better ? (uint8_t)code : via[to];
    return better;
}

/* From the first place to the last: hops and waits forward. */
static uint32_t sweep_forward(const sweep *s)
{
    uint32_t n = s->line->graph->vertices_n, changed = 0, *restrict label = s->label;
    uint8_t *restrict via = s->via;
    const tspi_place *restrict places = s->line->places;
    const way *restrict ways = s->ways;
    const spare *restrict more = s->spares;

    if (!s->forward) {
        for (uint32_t k = 0; k < n; k++)
            changed += lower(label, via, places[k].before, k, places[k].down, LOWERED_BEFORE);
        return changed;
    }
    for (uint32_t k = 0; k < n; k++) {
        changed += lower(label, via, places[k].before, k, places[k].up, LOWERED_BEFORE);
        changed += lower(label, via, ways[k].other, k, ways[k].length, LOWERED_ARC);
        for (; more->place == k; more++)
            changed += lower(label, via, more->way.other, k, more->way.length, more->code);
    }
    return changed;
}

/* From the last place to the first. */
static uint32_t sweep_back(const sweep *s)
{
    uint32_t n = s->line->graph->vertices_n, changed = 0, *restrict label = s->label;
    uint8_t *restrict via = s->via;
    const tspi_place *restrict places = s->line->places;
    const way *restrict ways = s->ways;
    const spare *restrict more = s->spares + s->spares_n - 1;

    if (s->forward) {
        for (uint32_t k = n; k-- > 0;) {
            changed += lower(label, via, k, places[k].before, places[k].down, LOWERED_AFTER);
        }
        return changed;
    }
    for (uint32_t k = n; k-- > 0;) {
        for (; more > s->spares && more[-1].place == k; more--)
            changed += lower(label, via, more[-1].way.other, k, more[-1].way.length, more[-1].code);
        changed += lower(label, via, ways[k].other, k, ways[k].length, LOWERED_ARC);
        changed += lower(label, via, k, places[k].before, places[k].up, LOWERED_AFTER);
    }
    return changed;
}

static bool misses(const sweep *s, uint32_t from, uint32_t to)
{
    return s->label[to] == UNREACHED && s->label[from] != UNREACHED;
}

/* What is reached only beyond 32 bits is left to Dijkstra: a place that has not been reached, next to one that has. */
static bool is_cut_short(const sweep *s)
{
    for (uint32_t k = 0; k < s->line->graph->vertices_n; k++) {
        uint32_t before = s->line->places[k].before;
        if (misses(s, before, k) || misses(s, k, before) || misses(s, s->ways[k].other, k))
            return true;
    }
    for (size_t q = 0; q + 1 < s->spares_n; q++)
        if (misses(s, s->spares[q].way.other, s->spares[q].place))
            return true;
    return false;
}

/* From labels by place to labels by vertex. */
static void hand_out(const sweep *s, int64_t *ret_label, uint32_t *ret_via)
{
    static const uint32_t ties[] = {TSPI_VIA_NONE, TSPI_VIA_BEFORE, TSPI_VIA_AFTER};
    const tspi_timeline *line = s->line;

    for (uint32_t k = 0; k < line->graph->vertices_n; k++) {
        uint32_t v = line->order[k], code = s->via[k];
        int64_t pi = s->forward ? line->pi[v] : -line->pi[v];
        ret_label[v] = s->label[k] == UNREACHED ? INT64_MAX : s->label[k] + pi;
        ret_via[v] = code < LOWERED_ARC ? ties[code] : s->arcs[s->arcs_first[v] + code - LOWERED_ARC];
    }
}

static void release(sweep *s)
{
    size_t room = (size_t)s->line->graph->vertices_n + 1;

    tspi_room_give(s->label, room, sizeof *s->label);
    tspi_room_give(s->via, room, sizeof *s->via);
    tspi_room_give(s->ways, room, sizeof *s->ways);
    tspi_room_give(s->spares, s->spares_cap, sizeof *s->spares);
}

bool tspi_sweep(const tspi_timeline *line, bool forward, int64_t **ret_label, uint32_t **ret_via, bool *ret_done)
{
    const tspi_graph *graph = line->graph;
    size_t room = (size_t)graph->vertices_n + 1;
    sweep s = {.line = line,
               .forward = forward,
               .arcs_first = forward ? graph->in_first : graph->out_first,
               .arcs = forward ? graph->in : graph->out,
               .label = tspi_room_take(room, sizeof *s.label),
               .via = tspi_room_take(room, sizeof *s.via),
               .ways = tspi_room_take(room, sizeof *s.ways),
               .whole = line->whole};
    bool ok = s.label && s.via && s.ways && collect_ways(&s);
    uint32_t changed = 1;

    for (int round = 0; ok && changed && round < SWEEPS_MOST; round++) {
        changed = forward ? sweep_forward(&s) : sweep_back(&s);
        changed += forward ? sweep_back(&s) : sweep_forward(&s);
    }
    *ret_done = ok && s.whole && !changed && !is_cut_short(&s);
    /* The ways have served; the labels take their room. */
    tspi_room_give(s.ways, room, sizeof *s.ways);
    s.ways = NULL;
    *ret_label = ok ? tspi_room_take(room, sizeof **ret_label) : NULL;
    *ret_via = ok ? tspi_room_take(room, sizeof **ret_via) : NULL;
    ok = *ret_label && *ret_via;
    if (ok)
        hand_out(&s, *ret_label, *ret_via);
    release(&s);
    return ok;
}
