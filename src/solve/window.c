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
    double *values;
    size_t values_cap;
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

/* The value that stands for n slacks. */
static double edge_value(double *u, size_t n, double quantile, bool believe_all)
{
    size_t lowest = n < ISOLATED_MOST + 6 ? n : ISOLATED_MOST + 6, most, take = 0;

    if (quantile > 0) {
        size_t k = (size_t)(quantile * (double)n);
        tspi_select(u, n, k);
        return u[k];
    }
    tspi_select(u, n, lowest - 1);
    tspi_sort(u, lowest);
    most = (size_t)(ISOLATED_PART * (double)n) + 2;
    most = most < ISOLATED_MOST ? most : ISOLATED_MOST;
    for (size_t k = 0; !believe_all && k < most && n >= k + ISOLATED_LEAST; k++) {
        double spacing = (u[k + 5] - u[k + 1]) / 4;
        if (u[k + 1] - u[k] > ISOLATED_SPACINGS * spacing + ISOLATED_FLOOR_NS)
            take = k + 1;
    }
    return u[take];
}

static bool gather_edge(job *j, const tspi_stored_edge *edge, scratch *own, size_t *ret_n)
{
    const tspi_fit *fit = j->fit;
    bool cut = fit->sides.first[edge->from] != fit->sides.first[edge->from + 1] ||
               fit->sides.first[edge->to] != fit->sides.first[edge->to + 1];
    uint32_t from = tspi_sides_first(&fit->sides, edge->from), to = tspi_sides_first(&fit->sides, edge->to);
    bool in_order = true;
    size_t n = 0;

    if (!room((void **)&own->items, &own->items_cap, edge->n, sizeof *own->items) ||
        !room((void **)&own->values, &own->values_cap, edge->n, sizeof *own->values))
        return false;
    for (size_t k = edge->first; k < edge->first + edge->n; k++) {
        double at = (fit->t[k] - j->t0) / j->length;
        if ((fit->hops->hops[k].flags & fit->without) || !(at >= 0 && at < j->windows))
            continue;
        if (cut) {
            from = tspi_sides_sent_node(&fit->sides, fit->hops, k);
            to = tspi_sides_received_node(&fit->sides, fit->hops, k);
        }
        own->items[n] = (item){(uint32_t)at, from, to, fit->u[k]};
        in_order = in_order && (n == 0 || by_window(&own->items[n - 1], &own->items[n]) <= 0);
        n++;
    }
    if (!in_order)
        qsort(own->items, n, sizeof *own->items, by_window);
    *ret_n = n;
    return true;
}

static bool reduce_piece(void *job_, size_t p, unsigned worker)
{
    job *j = job_;
    scratch *own = &j->workers[worker];
    rows *out = &j->pieces[p];

    for (size_t e = j->piece_edge[p]; e < j->piece_edge[p + 1]; e++) {
        size_t n, k = 0;
        if (!gather_edge(j, &j->fit->hops->edges[e], own, &n))
            return false;
        while (k < n) {
            size_t first = k;
            const item *head = &own->items[first];
            for (; k < n && by_window(head, &own->items[k]) == 0; k++)
                own->values[k - first] = own->items[k].u;
            if (!room((void **)&out->rows, &out->cap, out->n + 1, sizeof *out->rows))
                return false;
            out->rows[out->n++] = (row){head->window, head->from, head->to, (uint32_t)(k - first),
                                        edge_value(own->values, k - first, j->quantile, j->fit->believe_all)};
        }
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
        void *owned[] = {own->items, own->values, own->local, own->seen, own->nodes, own->group,
                         own->root,  own->x,      own->level, own->out,  own->in,    own->edges};
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
