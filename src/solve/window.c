#include "solve/window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/balance.h"
#include "solve/constants.h"
#include "solve/order.h"
#include "solve/parallel.h"

#define PIECES 64 /* into which edges are dealt, whatever the number of threads */
#define MOST_WORKERS 64

/* A hop in its window, and the window's row for an edge. */
typedef struct {
    uint32_t window, from, to;
    double u;
} item;
typedef struct {
    uint32_t window, from, to, n;
    double value;
} row;

typedef struct {
    row *rows;
    size_t n, cap;
} rows;

typedef struct {
    item *items;
    size_t items_cap;
    double *values, *dealt;
    uint32_t *window_of;
    size_t values_cap, dealt_cap, window_of_cap;
    uint32_t *count; /* of an edge's windows */
    size_t count_cap;
    tspi_balancer balancer;
    uint32_t *local; /* node -> vertex of the window, valid where seen == window + 1 */
    uint32_t *seen;
    uint32_t *nodes; /* vertex -> node */
    uint32_t *group;
    uint8_t *root;
    double *x, *level, *out, *in;
    tspi_balance_edge *edges;
    size_t edges_cap;
} scratch;

typedef struct {
    const tspi_fit *fit;
    double t0, length, quantile;
    uint32_t windows;
    size_t piece_edge[PIECES + 1];
    rows pieces[PIECES];
    scratch workers[MOST_WORKERS];
    /* Second half. */
    row *sorted;
    size_t *row_first;   /* windows + 1 */
    size_t *sight_first; /* windows + 1: room for each window's */
    tspi_sight *sights;
    uint32_t *sights_n;  /* windows */
    uint32_t *root_node; /* group -> node of its root */
} job;

static bool room(void **array, size_t *cap, size_t n, size_t size)
{
    if (n <= *cap)
        return true;
    void *grown = realloc(*array, (n + n / 2) * size);
    if (!grown)
        return false;
    *array = grown;
    *cap = n + n / 2;
    return true;
}

static int by_window(const void *a_, const void *b_)
{
    const item *a = a_, *b = b_;

    if (a->window != b->window)
        return a->window < b->window ? -1 : 1;
    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->to < b->to ? -1 : a->to > b->to;
}

/* How many of n slacks lie far below the bulk of them: a few lies are more than a quantile of few hops stands. */
static size_t below_bulk(double *u, size_t n)
{
    const double parts[2] = {FENCE_BULK, 0.5};
    double at[2];
    size_t below = 0;

    if (n < BULK_LEAST)
        return 0;
    tspi_quantiles(u, n, parts, 2, at);
    for (size_t k = 0; k < n; k++)
        below += u[k] < at[0] - FENCE_REACH * (at[1] - at[0]);
    return below;
}

/* The value that stands for n slacks. */
static double edge_value(double *u, size_t n, double quantile, bool believe_all)
{
    size_t most = (size_t)(ISOLATED_PART * (double)n) + 2, take = 0;
    double low[ISOLATED_MOST + 5];

    if (quantile > 0) {
        size_t lies = believe_all ? 0 : below_bulk(u, n), k = lies + (size_t)(quantile * (double)(n - lies));
        tspi_select(u, n, k);
        return u[k];
    }
    most = most < ISOLATED_MOST ? most : ISOLATED_MOST;
    tspi_lowest(u, n, n < most + 5 ? n : most + 5, low);
    for (size_t k = 0; !believe_all && k < most && n >= k + ISOLATED_LEAST; k++) {
        double spacing = (low[k + 5] - low[k + 1]) / 4;
        if (low[k + 1] - low[k] > ISOLATED_SPACINGS * spacing + ISOLATED_FLOOR_NS)
            take = k + 1;
    }
    return low[take];
}

/* Hops of a clock that was cut may belong to any of its nodes. */
static bool gather_items(job *j, const tspi_stored_edge *edge, scratch *own, size_t *ret_n)
{
    const tspi_fit *fit = j->fit;
    bool in_order = true;
    size_t n = 0;

    if (!room((void **)&own->items, &own->items_cap, edge->n, sizeof *own->items))
        return false;
    for (size_t k = edge->first; k < edge->first + edge->n; k++) {
        double at = (fit->t[k] - j->t0) / j->length;
        if ((fit->hops->hops[k].flags & fit->without) || !(at >= 0 && at < j->windows))
            continue;
        own->items[n] = (item){(uint32_t)at, tspi_sides_sent_node(&fit->sides, fit->hops, k),
                               tspi_sides_received_node(&fit->sides, fit->hops, k), fit->u[k]};
        in_order = in_order && (n == 0 || by_window(&own->items[n - 1], &own->items[n]) <= 0);
        n++;
    }
    if (!in_order)
        qsort(own->items, n, sizeof *own->items, by_window);
    *ret_n = n;
    return true;
}

static bool add_row(job *j, rows *out, row head, double *values)
{
    if (!room((void **)&out->rows, &out->cap, out->n + 1, sizeof *out->rows))
        return false;
    head.value = edge_value(values, head.n, j->quantile, j->fit->believe_all);
    out->rows[out->n++] = head;
    return true;
}

static bool reduce_cut_edge(job *j, const tspi_stored_edge *edge, scratch *own, rows *out)
{
    size_t n, k = 0;

    if (!gather_items(j, edge, own, &n))
        return false;
    while (k < n) {
        size_t first = k;
        const item *head = &own->items[first];
        for (; k < n && by_window(head, &own->items[k]) == 0; k++)
            own->values[k - first] = own->items[k].u;
        if (!add_row(j, out, (row){head->window, head->from, head->to, (uint32_t)(k - first), 0}, own->values))
            return false;
    }
    return true;
}

/* Hops follow each other in about the order of windows, which lie close together: counted, then dealt. */
static bool deal_values(scratch *own, size_t n, uint32_t first, uint32_t windows)
{
    uint32_t at = 0;

    if (!room((void **)&own->count, &own->count_cap, (size_t)windows + 1, sizeof *own->count) ||
        !room((void **)&own->dealt, &own->dealt_cap, n, sizeof *own->dealt))
        return false;
    memset(own->count, 0, windows * sizeof *own->count);
    for (size_t k = 0; k < n; k++)
        own->count[own->window_of[k] - first]++;
    for (uint32_t w = 0; w < windows; w++) {
        uint32_t count = own->count[w];
        own->count[w] = at;
        at += count;
    }
    for (size_t k = 0; k < n; k++)
        own->dealt[own->count[own->window_of[k] - first]++] = own->values[k];
    return true;
}

static bool reduce_edge(job *j, const tspi_stored_edge *edge, scratch *own, rows *out)
{
    const tspi_fit *fit = j->fit;
    const tspi_stored_hop *hops = fit->hops->hops;
    uint32_t from = tspi_sides_first(&fit->sides, edge->from), to = tspi_sides_first(&fit->sides, edge->to);
    uint32_t first = UINT32_MAX, last = 0, begin = 0;
    size_t n = 0;

    if (!room((void **)&own->window_of, &own->window_of_cap, edge->n, sizeof *own->window_of))
        return false;
    for (size_t k = edge->first; k < edge->first + edge->n; k++) {
        double at = (fit->t[k] - j->t0) / j->length;
        if ((hops[k].flags & fit->without) || !(at >= 0 && at < j->windows))
            continue;
        uint32_t window = (uint32_t)at;
        first = window < first ? window : first;
        last = window > last ? window : last;
        own->window_of[n] = window;
        own->values[n++] = fit->u[k];
    }
    if (!n)
        return true;
    if (last - first > 8 * n + 1024) /* few hops, far apart */
        return reduce_cut_edge(j, edge, own, out);
    if (!deal_values(own, n, first, last - first + 1))
        return false;
    for (uint32_t w = first; w <= last; w++) {
        uint32_t end = own->count[w - first];
        if (end > begin && !add_row(j, out, (row){w, from, to, end - begin, 0}, own->dealt + begin))
            return false;
        begin = end;
    }
    return true;
}

static bool reduce_piece(void *job_, size_t p, unsigned worker)
{
    job *j = job_;
    const tspi_sides *sides = &j->fit->sides;
    scratch *own = &j->workers[worker];

    for (size_t e = j->piece_edge[p]; e < j->piece_edge[p + 1]; e++) {
        const tspi_stored_edge *edge = &j->fit->hops->edges[e];
        bool cut = sides->first[edge->from] != sides->first[edge->from + 1] ||
                   sides->first[edge->to] != sides->first[edge->to + 1];
        if (!room((void **)&own->values, &own->values_cap, edge->n, sizeof *own->values) ||
            !(cut ? reduce_cut_edge : reduce_edge)(j, edge, own, &j->pieces[p]))
            return false;
    }
    return true;
}

/* Deal the edges into pieces of about as many hops each. */
static void deal_edges(job *j)
{
    const tspi_hop_store *hops = j->fit->hops;
    size_t e = 0;

    for (size_t p = 0; p < PIECES; p++) {
        j->piece_edge[p] = e;
        while (e < hops->edges_n && hops->edges[e].first < (p + 1) * (hops->n / PIECES + 1))
            e++;
    }
    j->piece_edge[PIECES] = hops->edges_n;
}

/* All rows by window, in the order of edges within each. */
static bool sort_rows(job *j)
{
    size_t total = 0;

    j->row_first = calloc((size_t)j->windows + 2, sizeof *j->row_first);
    for (size_t p = 0; p < PIECES; p++)
        total += j->pieces[p].n;
    j->sorted = malloc((total + 1) * sizeof *j->sorted);
    if (!j->row_first || !j->sorted)
        return false;
    for (size_t p = 0; p < PIECES; p++)
        for (size_t k = 0; k < j->pieces[p].n; k++)
            j->row_first[j->pieces[p].rows[k].window + 2]++;
    for (uint32_t w = 1; w < j->windows; w++)
        j->row_first[w + 1] += j->row_first[w];
    for (size_t p = 0; p < PIECES; p++) {
        for (size_t k = 0; k < j->pieces[p].n; k++)
            j->sorted[j->row_first[j->pieces[p].rows[k].window + 1]++] = j->pieces[p].rows[k];
        free(j->pieces[p].rows);
        j->pieces[p] = (rows){0};
    }
    return true;
}

static bool scratch_init(scratch *own, uint32_t nodes)
{
    size_t n = (size_t)nodes + 1;

    own->local = malloc(n * sizeof *own->local);
    own->seen = calloc(n, sizeof *own->seen);
    own->nodes = malloc(n * sizeof *own->nodes);
    own->group = malloc(n * sizeof *own->group);
    own->root = malloc(n);
    own->x = malloc(n * sizeof *own->x);
    own->level = malloc(n * sizeof *own->level);
    own->out = malloc(n * sizeof *own->out);
    own->in = malloc(n * sizeof *own->in);
    return own->local && own->seen && own->nodes && own->group && own->root && own->x && own->level && own->out &&
           own->in;
}

static uint32_t vertex(scratch *own, const tspi_fit *fit, uint32_t window, uint32_t node, uint32_t *n)
{
    if (fit->root[fit->node_clock[node]]) /* whatever it did is in its curves */
        node = tspi_sides_first(&fit->sides, fit->node_clock[node]);
    if (own->seen[node] != window + 1) {
        uint32_t v = (*n)++;
        own->seen[node] = window + 1;
        own->local[node] = v;
        own->nodes[v] = node;
        own->root[v] = fit->root[fit->node_clock[node]];
        own->out[v] = own->in[v] = 0;
    }
    return own->local[node];
}

static bool balance_window(void *job_, size_t w, unsigned worker)
{
    job *j = job_;
    const tspi_fit *fit = j->fit;
    scratch *own = &j->workers[worker];
    size_t first = j->row_first[w], edges_n = j->row_first[w + 1] - first;
    uint32_t n = 0;

    j->sights_n[w] = 0;
    if (!edges_n)
        return true;
    if ((!own->local && !scratch_init(own, fit->nodes)) ||
        !room((void **)&own->edges, &own->edges_cap, edges_n, sizeof *own->edges))
        return false;
    for (size_t k = 0; k < edges_n; k++) {
        const row *r = &j->sorted[first + k];
        uint32_t from = vertex(own, fit, (uint32_t)w, r->from, &n), to = vertex(own, fit, (uint32_t)w, r->to, &n);
        own->edges[k] = (tspi_balance_edge){from, to, r->value};
        own->out[from] += r->n;
        own->in[to] += r->n;
    }
    if (!tspi_balance(&own->balancer, n, own->edges, edges_n, own->root, own->x, own->group, own->level))
        return false;
    for (uint32_t v = 0; v < n; v++) {
        uint32_t node = own->nodes[v], root = j->root_node[fit->group[fit->node_clock[node]]];
        if (own->seen[root] != w + 1 || own->root[v] || own->group[own->local[root]] != own->group[v])
            continue;
        j->sights[j->sight_first[w] + j->sights_n[w]++] =
            (tspi_sight){node, (uint32_t)w, own->x[v] - own->x[own->local[root]], own->level[v],
                         own->out[v] < own->in[v] ? own->out[v] : own->in[v]};
    }
    return true;
}

static bool balance_all(job *j)
{
    const tspi_fit *fit = j->fit;

    j->sight_first = calloc((size_t)j->windows + 1, sizeof *j->sight_first);
    j->sights_n = calloc((size_t)j->windows + 1, sizeof *j->sights_n);
    j->root_node = calloc((size_t)fit->clocks + 1, sizeof *j->root_node);
    if (!j->sight_first || !j->sights_n || !j->root_node)
        return false;
    for (uint32_t c = 0; c < fit->clocks; c++)
        if (fit->root[c])
            j->root_node[fit->group[c]] = tspi_sides_first(&fit->sides, c);
    for (uint32_t w = 0; w < j->windows; w++) {
        size_t most = 2 * (j->row_first[w + 1] - j->row_first[w]);
        j->sight_first[w + 1] = j->sight_first[w] + (most < fit->nodes ? most : fit->nodes);
    }
    j->sights = malloc((j->sight_first[j->windows] + 1) * sizeof *j->sights);
    return j->sights && tspi_parallel(fit->threads, j->windows, balance_window, j);
}

static bool sort_sights(const job *j, tspi_windows *ret)
{
    uint32_t nodes = j->fit->nodes;
    size_t total = 0;

    for (uint32_t w = 0; w < j->windows; w++)
        total += j->sights_n[w];
    ret->sights = malloc((total + 1) * sizeof *ret->sights);
    ret->first = calloc((size_t)nodes + 2, sizeof *ret->first);
    if (!ret->sights || !ret->first)
        return false;
    for (uint32_t w = 0; w < j->windows; w++)
        for (uint32_t k = 0; k < j->sights_n[w]; k++)
            ret->first[j->sights[j->sight_first[w] + k].node + 2]++;
    for (uint32_t node = 1; node < nodes; node++)
        ret->first[node + 1] += ret->first[node];
    for (uint32_t w = 0; w < j->windows; w++)
        for (uint32_t k = 0; k < j->sights_n[w]; k++) {
            const tspi_sight *sight = &j->sights[j->sight_first[w] + k];
            ret->sights[ret->first[sight->node + 1]++] = *sight;
        }
    return true;
}

bool tspi_windows_find(const tspi_fit *fit, double length, double quantile, tspi_windows *ret_windows)
{
    job *j = calloc(1, sizeof *j);
    double span = fit->t_last - fit->t_first;
    bool ok = false;

    memset(ret_windows, 0, sizeof *ret_windows);
    if (!j)
        return false;
    double windows = round(span / length);
    j->fit = fit;
    j->windows = windows < 1 ? 1 : windows > 1e8 ? 100000000 : (uint32_t)windows;
    j->t0 = fit->t_first;
    j->length = (span > 0 ? span : 1) / j->windows * (1 + 1e-9); /* the last hop belongs to the last window */
    j->quantile = quantile;
    deal_edges(j);
    ok = tspi_parallel(fit->threads, PIECES, reduce_piece, j) && sort_rows(j) && balance_all(j) &&
         sort_sights(j, ret_windows);
    ret_windows->t0 = j->t0;
    ret_windows->length = j->length;
    for (size_t p = 0; p < PIECES; p++)
        free(j->pieces[p].rows);
    for (unsigned k = 0; k < MOST_WORKERS; k++) {
        scratch *own = &j->workers[k];
        void *owned[] = {own->items, own->values, own->dealt, own->window_of, own->count,
                         own->local, own->seen,   own->nodes, own->group,     own->root,
                         own->x,     own->level,  own->out,   own->in,        own->edges};
        for (size_t q = 0; q < sizeof owned / sizeof *owned; q++)
            free(owned[q]);
        tspi_balancer_release(&own->balancer);
    }
    free(j->sorted);
    free(j->row_first);
    free(j->sight_first);
    free(j->sights);
    free(j->sights_n);
    free(j->root_node);
    free(j);
    if (!ok)
        tspi_windows_release(ret_windows);
    return ok;
}

void tspi_windows_release(tspi_windows *windows)
{
    free(windows->sights);
    free(windows->first);
    memset(windows, 0, sizeof *windows);
}
