#include "solve/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "solve/bound.h"
#include "solve/constants.h"

#define UNREACHED UINT32_MAX
#define NO_PLACE UINT32_MAX
#define SAMPLES 4096
#define MOST_ARCS UINT8_MAX
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

/* Dealt into buckets of time, some four to each. */
static bool find_order(tspi_timeline *line)
{
    const tspi_graph *graph = line->graph;
    uint32_t n = graph->vertices_n, buckets = n / 4 + 1;
    uint32_t *first = calloc((size_t)buckets + 2, sizeof *first), *bucket_of = line->place_of;
    double from, to, scale;

    if (!first)
        return false;
    find_span(graph, line->pi, &from, &to);
    scale = buckets / (to - from);
    for (uint32_t v = 0; v < n; v++) {
        double at = (time_of(graph, line->pi, v) - from) * scale;
        bucket_of[v] = at <= 0 ? 0 : at >= buckets ? buckets - 1 : (uint32_t)at;
        first[bucket_of[v] + 1]++;
    }
    for (uint32_t b = 0; b < buckets; b++)
        first[b + 1] += first[b];
    for (uint32_t v = 0; v < n; v++) {
        uint32_t k = first[bucket_of[v]]++;
        line->order[k] = v;
        line->place_of[v] = k;
    }
    free(first);
    return true;
}

/* A length reduced by the potential, which makes it non-negative. */
static inline uint32_t reduced(const tspi_timeline *line, uint32_t from, uint32_t to, int64_t limit)
{
    __int128 length = (__int128)limit + line->pi[from] - line->pi[to];

    return length < 0 || length >= UNREACHED ? UNREACHED : (uint32_t)length;
}

bool tspi_timeline_init(tspi_timeline *line, const tspi_graph *graph, const int64_t *pi)
{
    uint32_t n = graph->vertices_n;

    *line = (tspi_timeline){.graph = graph, .pi = pi, .whole = true};
    line->order = malloc(((size_t)n + 1) * sizeof *line->order);
    line->place_of = malloc(((size_t)n + 1) * sizeof *line->place_of);
    line->places = malloc(((size_t)n + 1) * sizeof *line->places);
    if (!line->order || !line->place_of || !line->places || (n && !find_order(line))) {
        tspi_timeline_release(line);
        return false;
    }
    for (uint32_t v = 0; v < n; v++) {
        tspi_place *place = &line->places[line->place_of[v]];
        *place = (tspi_place){NO_PLACE, UNREACHED, UNREACHED};
        if (v == 0 || !graph->tied[v - 1])
            continue;
        int64_t tie = tspi_graph_tie(graph, v - 1);
        place->up = reduced(line, v - 1, v, tie);
        place->down = reduced(line, v, v - 1, tie);
        if (place->up < UNREACHED && place->down < UNREACHED)
            place->before = line->place_of[v - 1];
        else
            line->whole = false;
    }
    return true;
}

void tspi_timeline_release(tspi_timeline *line)
{
    free(line->order);
    free(line->place_of);
    free(line->places);
    memset(line, 0, sizeof *line);
}

/* The arcs in the order in which a sweep meets the ends that they lower. */
typedef struct {
    uint32_t other;  /* place at the other end */
    uint32_t length; /* reduced */
    uint32_t arc;
} way;

typedef struct {
    const tspi_timeline *line;
    bool forward;
    uint32_t *label, *via; /* by place */
    uint8_t *count;        /* owned: ways into each place */
    way *ways;             /* owned */
    size_t ways_n;
    bool whole; /* every arc is there */
} sweep;

/* Dealt to the places of the ends that they lower. The arcs are walked as they lie: those of an edge are neighbours,
 * and so are their ends. at: room for a number a place. */
static void collect_ways(sweep *s, uint32_t *at)
{
    const tspi_graph *graph = s->line->graph;
    const uint32_t *place_of = s->line->place_of;
    uint32_t n = graph->vertices_n, total = 0;

    memset(s->count, 0, n);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t node = graph->node[s->line->order[k]];
        s->label[k] = graph->is_root[node] ? 0 : UNREACHED;
        s->via[k] = TSPI_VIA_NONE;
    }
    for (int round = 0; round < 2; round++) { /* count them, then deal them */
        for (uint32_t a = 0; a < graph->arcs_n; a++) {
            const tspi_arc *arc = &graph->arcs[a];
            uint32_t from = place_of[arc->from], to = place_of[arc->to];
            uint32_t end = s->forward ? to : from, other = s->forward ? from : to;
            uint32_t length = reduced(s->line, arc->from, arc->to, arc->limit);
            if (!s->label[end]) /* a root is never lowered: it is where all ways begin */
                continue;
            if (length == UNREACHED || s->count[end] == MOST_ARCS) {
                s->whole = false;
                continue;
            }
            s->count[end]++;
            if (round)
                s->ways[at[end]++] = (way){other, length, a};
        }
        for (uint32_t k = 0; k < n && !round; k++) {
            at[k] = total;
            total += s->count[k];
            s->count[k] = 0;
        }
    }
    s->ways_n = total;
}

static inline uint32_t lower(sweep *s, uint32_t from, uint32_t to, uint32_t length, uint32_t via)
{
    uint64_t reach = (uint64_t)s->label[from] + length;

    if (reach >= s->label[to]) {
        /* What is reached only beyond 32 bits is left to Dijkstra. */
        if (reach >= UNREACHED && s->label[from] < UNREACHED && s->label[to] == UNREACHED)
            s->whole = false;
        return 0;
    }
    s->label[to] = (uint32_t)reach;
    s->via[to] = via;
    return 1;
}

/* From the first place to the last: hops and waits forward. */
static uint32_t sweep_forward(sweep *s)
{
    uint32_t n = s->line->graph->vertices_n, changed = 0;
    const way *w = s->ways;

    for (uint32_t k = 0; k < n; k++) {
        const tspi_place *place = &s->line->places[k];
        if (place->before != NO_PLACE)
            changed += lower(s, place->before, k, s->forward ? place->up : place->down, TSPI_VIA_BEFORE);
        for (uint32_t q = s->forward ? s->count[k] : 0; q > 0; q--, w++)
            changed += lower(s, w->other, k, w->length, w->arc);
    }
    return changed;
}

/* From the last place to the first. */
static uint32_t sweep_back(sweep *s)
{
    uint32_t changed = 0;
    const way *w = s->ways + s->ways_n;

    for (uint32_t k = s->line->graph->vertices_n; k-- > 0;) {
        const tspi_place *place = &s->line->places[k];
        for (uint32_t q = s->forward ? 0 : s->count[k]; q > 0; q--) {
            w--;
            changed += lower(s, w->other, k, w->length, w->arc);
        }
        if (place->before != NO_PLACE)
            changed += lower(s, k, place->before, s->forward ? place->down : place->up, TSPI_VIA_AFTER);
    }
    return changed;
}

/* From labels by place, which live in the room of ret_label, to labels by vertex. */
static bool hand_out(sweep *s, int64_t *ret_label, uint32_t *ret_via)
{
    const tspi_timeline *line = s->line;
    uint32_t n = line->graph->vertices_n;
    uint32_t *copy = malloc(2 * ((size_t)n + 1) * sizeof *copy);

    if (!copy)
        return false;
    memcpy(copy, s->label, n * sizeof *copy);
    memcpy(copy + n, s->via, n * sizeof *copy);
    for (uint32_t k = 0; k < n; k++) {
        uint32_t v = line->order[k];
        int64_t pi = s->forward ? line->pi[v] : -line->pi[v];
        ret_label[v] = copy[k] == UNREACHED ? INT64_MAX : copy[k] + pi;
        ret_via[v] = copy[n + k];
    }
    free(copy);
    return true;
}

bool tspi_sweep(const tspi_timeline *line, bool forward, int64_t *ret_label, uint32_t *ret_via, bool *ret_done)
{
    const tspi_graph *graph = line->graph;
    uint32_t n = graph->vertices_n, *room = (uint32_t *)ret_label;
    sweep s = {.line = line, .forward = forward, .label = room, .via = room + n, .whole = line->whole};
    uint32_t changed = 1;

    s.count = malloc((size_t)n + 1);
    s.ways = malloc(((size_t)graph->arcs_n + 1) * sizeof *s.ways);
    bool ok = s.count && s.ways;
    if (ok)
        collect_ways(&s, ret_via);
    for (int round = 0; ok && changed && round < SWEEPS_MOST; round++)
        changed = forward ? sweep_back(&s) + sweep_forward(&s) : sweep_forward(&s) + sweep_back(&s);
    free(s.count);
    free(s.ways);
    *ret_done = s.whole && !changed;
    return ok && hand_out(&s, ret_label, ret_via);
}
