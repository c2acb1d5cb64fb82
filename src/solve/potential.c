/* Feasibility by label correction. A good guess contradicts nothing, which threads can tell. Else sweep every tie and
 * arc once, then follow a queue of lowered vertices. Each lowered vertex remembers through what; when as many vertices
 * have been lowered as there are, the remembered steps are searched for a loop, which exists if and only if the stamps
 * are contradictory. */
#include <stdlib.h>
#include <string.h>

#include "base/saturate.h"
#include "solve/bound.h"
#include "solve/parallel.h"
#include "solve/room.h"

#define PIECE 65536 /* vertices and arcs that a thread takes at a time */

typedef struct {
    const tspi_graph *graph;
    const int64_t *pi;
} test;

/* False: something in the piece contradicts the guess. */
static bool test_piece(void *test_, size_t piece, unsigned worker)
{
    const test *t = test_;
    const tspi_graph *graph = t->graph;
    const int64_t *pi = t->pi;
    size_t first = piece * PIECE, end = first + PIECE;
    bool holds = true;

    (void)worker;
    for (size_t v = first; v < end && v < graph->vertices_n; v++) {
        int64_t tie = graph->tied[v] ? tspi_graph_tie(graph, (uint32_t)v) : 0;
        int64_t rise = graph->tied[v] ? tspi_sub_most(pi[v + 1], pi[v]) : 0;
        holds = holds && rise <= tie && rise >= -tie;
    }
    for (size_t a = first; a < end && a < graph->arcs_n; a++)
        holds = holds && tspi_add_most(pi[graph->arcs[a].from], graph->arcs[a].limit) >= pi[graph->arcs[a].to];
    return holds;
}

static bool is_potential(const tspi_graph *graph, const int64_t *pi)
{
    test t = {graph, pi};
    size_t n = graph->vertices_n > graph->arcs_n ? graph->vertices_n : graph->arcs_n;

    return tspi_parallel(graph->threads, n / PIECE + 1, test_piece, &t);
}

typedef struct {
    const tspi_graph *graph;
    int64_t *pi;
    uint32_t *via;
    uint32_t *queue; /* a ring */
    uint8_t *queued;
    uint32_t head, tail_n;
} search;

static uint32_t source(const tspi_graph *graph, uint32_t v, uint32_t via)
{
    return via == TSPI_VIA_BEFORE ? v - 1 : via == TSPI_VIA_AFTER ? v + 1 : graph->arcs[via].from;
}

/* Lower `to` to at most from's offset + limit; true when that changed it. Offsets that would leave the range of stamps
 * by far belong to a negative cycle, which the caller looks for often enough to find. */
static bool lower(search *s, uint32_t from, uint32_t to, int64_t limit, uint32_t via)
{
    int64_t reach;

    if (__builtin_add_overflow(s->pi[from], limit, &reach))
        reach = limit < 0 ? INT64_MIN : INT64_MAX;
    if (reach >= s->pi[to])
        return false;
    s->pi[to] = reach;
    s->via[to] = via;
    if (!s->queued[to]) {
        uint32_t at = s->head + s->tail_n;
        s->queue[at >= s->graph->vertices_n ? at - s->graph->vertices_n : at] = to;
        s->tail_n++;
        s->queued[to] = 1;
    }
    return true;
}

static uint32_t lower_from(search *s, uint32_t v)
{
    const tspi_graph *graph = s->graph;
    uint32_t lowered = 0;

    if (graph->tied[v])
        lowered += lower(s, v, v + 1, tspi_graph_tie(graph, v), TSPI_VIA_BEFORE);
    if (v > 0 && graph->tied[v - 1])
        lowered += lower(s, v, v - 1, tspi_graph_tie(graph, v - 1), TSPI_VIA_AFTER);
    for (uint32_t k = graph->out_first[v]; k < graph->out_first[v + 1]; k++) {
        const tspi_arc *arc = &graph->arcs[graph->out[k]];
        lowered += lower(s, v, arc->to, arc->limit, graph->out[k]);
    }
    return lowered;
}

/* A vertex on a loop of via steps, or UINT32_MAX. mark is scratch, vertices_n. */
static uint32_t find_loop(const search *s, uint32_t *mark)
{
    memset(mark, 0, s->graph->vertices_n * sizeof *mark);
    for (uint32_t v = 0; v < s->graph->vertices_n; v++) {
        uint32_t u = v;
        while (!mark[u] && s->via[u] != TSPI_VIA_NONE) {
            mark[u] = v + 1;
            u = source(s->graph, u, s->via[u]);
        }
        if (s->via[u] != TSPI_VIA_NONE && mark[u] == v + 1)
            return u;
        mark[u] = v + 1;
    }
    return UINT32_MAX;
}

static bool copy_loop(const search *s, uint32_t v, tspi_link **ret_links, size_t *ret_n)
{
    size_t n = 0;
    tspi_link *links;
    uint32_t u = v;

    do {
        u = source(s->graph, u, s->via[u]);
        n++;
    } while (u != v);
    links = malloc(n * sizeof *links);
    if (!links)
        return false;
    for (size_t k = n; k-- > 0;) {
        uint32_t from = source(s->graph, u, s->via[u]);
        links[k] = (tspi_link){from, u, s->via[u]};
        u = from;
    }
    *ret_links = links;
    *ret_n = n;
    return true;
}

tspi_feasibility tspi_potential(const tspi_graph *graph, int64_t *pi, tspi_link **ret_links, size_t *ret_n)
{
    uint32_t n = graph->vertices_n, *mark = NULL;
    uint64_t lowered = 0;
    search s = {.graph = graph, .pi = pi};
    tspi_feasibility result = TSPI_NO_MEMORY;

    if (is_potential(graph, pi))
        return TSPI_FEASIBLE;
    s.via = tspi_room_take(n, sizeof *s.via);
    s.queue = tspi_room_take(n, sizeof *s.queue);
    s.queued = tspi_room_zero(n, 1);
    mark = tspi_room_take(n, sizeof *mark);
    if (!s.via || !s.queue || !s.queued || !mark)
        goto out;
    for (uint32_t v = 0; v < n; v++)
        s.via[v] = TSPI_VIA_NONE;
    for (uint32_t v = 0; v < n; v++)
        lower_from(&s, v);
    while (s.tail_n > 0) {
        uint32_t v = s.queue[s.head];
        s.head = s.head + 1 == n ? 0 : s.head + 1;
        s.tail_n--;
        s.queued[v] = 0;
        lowered += lower_from(&s, v);
        if (lowered < n && pi[v] > INT64_MIN / 2)
            continue;
        lowered = 0;
        uint32_t loop = find_loop(&s, mark);
        if (loop != UINT32_MAX) {
            result = copy_loop(&s, loop, ret_links, ret_n) ? TSPI_CYCLE : TSPI_NO_MEMORY;
            goto out;
        }
    }
    result = TSPI_FEASIBLE;
out:
    tspi_room_give(s.via, n, sizeof *s.via);
    tspi_room_give(s.queue, n, sizeof *s.queue);
    tspi_room_give(s.queued, n, 1);
    tspi_room_give(mark, n, sizeof *mark);
    return result;
}
