#include "solve/fit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/parallel.h"
#include "solve/room.h"

static bool set_grains(tspi_fit *fit)
{
    const tspi_hop_store *hops = fit->hops;
    uint32_t *n = calloc((size_t)fit->clocks + 1, sizeof *n);

    for (size_t row = 0; n && row < hops->n; row++) {
        const uint32_t ends[2] = {hops->hops[row].from, hops->hops[row].to};
        for (int end = 0; end < 2; end++) {
            fit->grain[ends[end]] += hops->hops[row].quantum;
            n[ends[end]]++;
        }
    }
    for (uint32_t c = 0; n && c < fit->clocks; c++)
        fit->grain[c] /= n[c] ? n[c] : 1;
    free(n);
    return n != NULL;
}

bool tspi_fit_init(tspi_fit *fit, tspi_hop_store *hops, uint32_t clocks)
{
    memset(fit, 0, sizeof *fit);
    fit->hops = hops;
    fit->clocks = fit->nodes = clocks;
    fit->threads = 1;
    fit->still = TSP_NO_CLOCK;
    fit->origin = calloc((size_t)clocks + 1, sizeof *fit->origin);
    fit->grain = calloc((size_t)clocks + 1, sizeof *fit->grain);
    fit->joined = calloc((size_t)clocks + 1, 1);
    fit->node_clock = malloc(((size_t)clocks + 1) * sizeof *fit->node_clock);
    fit->curves = calloc((size_t)clocks + 1, sizeof *fit->curves);
    fit->series = calloc((size_t)clocks + 1, sizeof *fit->series);
    fit->window_of = calloc((size_t)clocks + 1, sizeof *fit->window_of);
    fit->rows = hops->n + 1;
    fit->u = tspi_room_take(fit->rows, sizeof *fit->u);
    fit->t = tspi_room_take(fit->rows, sizeof *fit->t);
    if (!fit->origin || !fit->grain || !fit->joined || !fit->node_clock || !fit->curves || !fit->series ||
        !fit->window_of || !fit->u || !fit->t || !set_grains(fit) || !tspi_sides_init(&fit->sides, clocks)) {
        tspi_fit_release(fit);
        return false;
    }
    tspi_sides_clocks(&fit->sides, fit->node_clock);
    return true;
}

static void series_release(tspi_series *series)
{
    free(series->local);
    free(series->total);
    free(series->noise);
    free(series->at);
    memset(series, 0, sizeof *series);
}

void tspi_fit_release(tspi_fit *fit)
{
    for (uint32_t node = 0; fit->curves && node < fit->nodes; node++) {
        free(fit->curves[node].t);
        free(fit->curves[node].x);
    }
    for (uint32_t node = 0; fit->series && node < fit->nodes; node++)
        series_release(&fit->series[node]);
    free(fit->origin);
    free(fit->grain);
    free(fit->joined);
    free(fit->node_clock);
    free(fit->curves);
    free(fit->series);
    free(fit->window_of);
    tspi_room_give(fit->u, fit->rows, sizeof *fit->u);
    tspi_room_give(fit->t, fit->rows, sizeof *fit->t);
    free(fit->jumps);
    free(fit->bends);
    tspi_sides_release(&fit->sides);
    memset(fit, 0, sizeof *fit);
}

bool tspi_curve_set(tspi_curve *curve, const double *t, const double *x, uint32_t n)
{
    double *copy_t = malloc((n + 1) * sizeof *copy_t), *copy_x = malloc((n + 1) * sizeof *copy_x);

    if (!copy_t || !copy_x) {
        free(copy_t);
        free(copy_x);
        return false;
    }
    if (n) {
        memcpy(copy_t, t, n * sizeof *t);
        memcpy(copy_x, x, n * sizeof *x);
    }
    free(curve->t);
    free(curve->x);
    *curve = (tspi_curve){copy_t, copy_x, n};
    return true;
}

/* The piece of the curve for t: from hint on, which is where the last one was. */
static double curve_near(const tspi_curve *curve, double t, uint32_t *hint)
{
    uint32_t k = *hint, n = curve->n;

    if (n < 2)
        return n ? curve->x[0] : 0;
    if (k > n - 2)
        k = n - 2;
    while (k > 0 && t < curve->t[k])
        k--;
    while (k < n - 2 && t >= curve->t[k + 1])
        k++;
    *hint = k;
    return curve->x[k] + (curve->x[k + 1] - curve->x[k]) / (curve->t[k + 1] - curve->t[k]) * (t - curve->t[k]);
}

double tspi_curve_at(const tspi_curve *curve, double t)
{
    uint32_t lo = 0, hi = curve->n;

    while (lo < hi) {
        uint32_t mid = (lo + hi) / 2;
        if (curve->t[mid] <= t)
            lo = mid + 1;
        else
            hi = mid;
    }
    lo = lo ? lo - 1 : 0;
    return curve_near(curve, t, &lo);
}

/* Make room for one more node at `at`; the arrays shift up. */
static bool insert_node(tspi_fit *fit, uint32_t at)
{
    uint32_t n = fit->nodes + 1;
    void *curves, *series, *windows, *clocks;

    curves = realloc(fit->curves, n * sizeof *fit->curves);
    if (curves)
        fit->curves = curves;
    series = realloc(fit->series, n * sizeof *fit->series);
    if (series)
        fit->series = series;
    windows = realloc(fit->window_of, n * sizeof *fit->window_of);
    if (windows)
        fit->window_of = windows;
    clocks = realloc(fit->node_clock, n * sizeof *fit->node_clock);
    if (clocks)
        fit->node_clock = clocks;
    if (!curves || !series || !windows || !clocks)
        return false;
    memmove(fit->curves + at + 1, fit->curves + at, (fit->nodes - at) * sizeof *fit->curves);
    memmove(fit->series + at + 1, fit->series + at, (fit->nodes - at) * sizeof *fit->series);
    memmove(fit->window_of + at + 1, fit->window_of + at, (fit->nodes - at) * sizeof *fit->window_of);
    memset(&fit->curves[at], 0, sizeof *fit->curves);
    memset(&fit->series[at], 0, sizeof *fit->series);
    fit->nodes = n;
    return true;
}

bool tspi_fit_cut(tspi_fit *fit, uint32_t clock, int64_t cut)
{
    uint32_t node = tspi_sides_node(&fit->sides, clock, cut); /* a cut on a cut makes an empty node: harmless */

    if (!insert_node(fit, node + 1))
        return false;
    fit->window_of[node + 1] = fit->window_of[node];
    if (!tspi_curve_set(&fit->curves[node + 1], fit->curves[node].t, fit->curves[node].x, fit->curves[node].n) ||
        !tspi_sides_cut(&fit->sides, clock, cut))
        return false;
    tspi_sides_clocks(&fit->sides, fit->node_clock);
    return true;
}

bool tspi_fit_uncut(tspi_fit *fit, uint32_t clock, int64_t cut)
{
    uint32_t after = tspi_sides_node(&fit->sides, clock, cut), before = after - 1;
    tspi_curve *a = &fit->curves[before], *b = &fit->curves[after];
    uint32_t n = a->n + b->n, q = 0, i = 0, j = 0;
    double *t = malloc((n + 1) * sizeof *t), *x = malloc((n + 1) * sizeof *x);
    bool ok = t && x;

    while (ok && (i < a->n || j < b->n)) { /* merge by time; of two knots at one time the first stays */
        const tspi_curve *from = j == b->n || (i < a->n && a->t[i] <= b->t[j]) ? a : b;
        uint32_t k = from == a ? i++ : j++;
        if (q && from->t[k] <= t[q - 1])
            continue;
        t[q] = from->t[k];
        x[q++] = from->x[k];
    }
    ok = ok && tspi_curve_set(a, t, x, q);
    free(t);
    free(x);
    if (!ok)
        return false;
    free(b->t);
    free(b->x);
    series_release(&fit->series[after]);
    memmove(b, b + 1, (fit->nodes - after - 1) * sizeof *b);
    memmove(&fit->series[after], &fit->series[after + 1], (fit->nodes - after - 1) * sizeof *fit->series);
    memmove(&fit->window_of[after], &fit->window_of[after + 1], (fit->nodes - after - 1) * sizeof *fit->window_of);
    fit->nodes--;
    tspi_sides_uncut(&fit->sides, clock, cut);
    tspi_sides_clocks(&fit->sides, fit->node_clock);
    return true;
}

/* A curve at times that follow each other: the piece in hand holds from .. to. */
typedef struct {
    const tspi_curve *curve;
    uint32_t k;
    double from, to, t, x, slope;
} cursor;

static void cursor_seek(cursor *c, double t)
{
    const tspi_curve *curve = c->curve;
    uint32_t k = c->k, n = curve->n;

    while (k > 0 && t < curve->t[k])
        k--;
    while (k < n - 2 && t >= curve->t[k + 1])
        k++;
    c->k = k;
    c->from = k > 0 ? curve->t[k] : -INFINITY;
    c->to = k < n - 2 ? curve->t[k + 1] : INFINITY;
    c->t = curve->t[k];
    c->x = curve->x[k];
    c->slope = (curve->x[k + 1] - curve->x[k]) / (curve->t[k + 1] - curve->t[k]);
}

static void cursor_set(cursor *c, const tspi_curve *curve)
{
    if (c->curve == curve)
        return;
    *c = (cursor){.curve = curve, .from = -INFINITY, .to = INFINITY, .x = curve->n ? curve->x[0] : 0};
    if (curve->n > 1)
        cursor_seek(c, curve->t[0]);
}

static inline double cursor_at(cursor *c, double t)
{
    if (t < c->from || t >= c->to)
        cursor_seek(c, t);
    return c->x + c->slope * (t - c->t);
}

static bool evaluate_edge(void *fit_, size_t e, unsigned worker)
{
    tspi_fit *fit = fit_;
    const tspi_stored_edge *edge = &fit->hops->edges[e];
    const tspi_stored_hop *hops = fit->hops->hops;
    uint32_t i = edge->from, j = edge->to;
    bool cut_i = fit->sides.first[i] != fit->sides.first[i + 1], cut_j = fit->sides.first[j] != fit->sides.first[j + 1];
    cursor ci = {0}, cj = {0};

    (void)worker;
    cursor_set(&ci, &fit->curves[tspi_sides_first(&fit->sides, i)]);
    cursor_set(&cj, &fit->curves[tspi_sides_first(&fit->sides, j)]);
    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        const tspi_stored_hop *hop = &hops[row];
        if (cut_i)
            cursor_set(&ci, &fit->curves[tspi_sides_sent_node(&fit->sides, fit->hops, row)]);
        if (cut_j)
            cursor_set(&cj, &fit->curves[tspi_sides_received_node(&fit->sides, fit->hops, row)]);
        double s = tspi_fit_local(fit, i, hop->sent), r = tspi_fit_local(fit, j, hop->received);
        double xi = cursor_at(&ci, s), xj = cursor_at(&cj, r);
        fit->u[row] = r - s + hop->quantum - xj + xi;
        fit->t[row] = (s - xi + (r - xj)) / 2;
    }
    return true;
}

bool tspi_fit_evaluate(tspi_fit *fit)
{
    return tspi_parallel(fit->threads, fit->hops->edges_n, evaluate_edge, fit);
}
