#include "solve/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/order.h"
#include "solve/parallel.h"
#include "solve/relax.h"
#include "solve/step.h"
#include "solve/window.h"

#define RANGE_SAMPLES 20000
#define TALLIES_MOST (1 << 22) /* some 64 MiB */

/* Of sorted times, the largest cluster that no silence of STRAY_GAP_NS divides. */
static void largest_cluster(const double *t, size_t n, size_t *ret_first, size_t *ret_n)
{
    size_t start = 0;

    *ret_first = *ret_n = 0;
    for (size_t k = 1; k <= n; k++)
        if (k == n || t[k] - t[k - 1] > STRAY_GAP_NS) {
            if (k - start > *ret_n) {
                *ret_first = start;
                *ret_n = k - start;
            }
            start = k;
        }
}

/* What a pass finds in an edge: earliest stamps, the span of corrected time within limits, hops that estimate. */
typedef struct {
    int64_t sent, received;
    double first, last;
    size_t used;
} extent;

typedef struct {
    const tspi_fit *fit;
    uint16_t without;
    double low, high;
    extent *extents; /* owned, edges */
} survey;

static bool survey_stamps(void *survey_, size_t e, unsigned worker)
{
    const survey *s = survey_;
    const tspi_stored_edge *edge = &s->fit->hops->edges[e];
    const tspi_stored_hop *hops = s->fit->hops->hops + edge->first;
    extent *of = &s->extents[e];

    (void)worker;
    of->sent = hops[0].sent; /* the edge's are in that order */
    of->received = hops[0].received;
    for (size_t k = 1; k < edge->n; k++)
        of->received = hops[k].received < of->received ? hops[k].received : of->received;
    return true;
}

static bool survey_times(void *survey_, size_t e, unsigned worker)
{
    const survey *s = survey_;
    const tspi_stored_edge *edge = &s->fit->hops->edges[e];
    extent found = s->extents[e];

    (void)worker;
    found.first = INFINITY;
    found.last = -INFINITY;
    found.used = 0;
    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        double t = s->fit->t[row];
        if (s->fit->hops->hops[row].flags & s->without)
            continue;
        found.used++;
        if (t < s->low || t > s->high)
            continue;
        found.first = fmin(found.first, t);
        found.last = fmax(found.last, t);
    }
    s->extents[e] = found;
    return true;
}

/* t_first and t_last from what is within the limits; false: nothing is. */
static bool set_range(tspi_fit *fit, survey *s)
{
    double first = INFINITY, last = -INFINITY;

    tspi_parallel(fit->threads, fit->hops->edges_n, survey_times, s);
    for (size_t e = 0; e < fit->hops->edges_n; e++) {
        first = fmin(first, s->extents[e].first);
        last = fmax(last, s->extents[e].last);
    }
    if (!(first <= last))
        return false;
    fit->t_first = first;
    fit->t_last = last;
    return true;
}

/* Where the traffic is: stray stamps, decades away or only hours, must not stretch the run. */
static bool find_range(tspi_fit *fit, survey *s)
{
    const tspi_hop_store *hops = fit->hops;
    size_t stride = hops->n / RANGE_SAMPLES + 1, n = 0, begin, kept;
    double *sample = malloc((hops->n / stride + 1) * sizeof *sample);

    fit->t_first = fit->t_last = 0;
    if (!sample)
        return false;
    for (size_t row = 0; row < hops->n; row += stride)
        if (!(hops->hops[row].flags & fit->without))
            sample[n++] = fit->t[row];
    if (n) {
        tspi_sort(sample, n);
        largest_cluster(sample, n, &begin, &kept);
        double low = sample[begin + (size_t)((double)(kept - 1) * STRAY_PART)];
        double high = sample[begin + (size_t)((double)(kept - 1) * (1 - STRAY_PART))], reach = high - low + 1e9;
        s->without = fit->without;
        s->low = low - reach;
        s->high = high + reach;
        set_range(fit, s);
    }
    free(sample);
    return true;
}

/* Each clock's origin is its first stamp. */
static bool set_origins(tspi_fit *fit, survey *s)
{
    const tspi_hop_store *hops = fit->hops;
    uint8_t *seen = calloc((size_t)fit->clocks + 1, 1);

    if (!seen)
        return false;
    tspi_parallel(fit->threads, hops->edges_n, survey_stamps, s);
    for (size_t e = 0; e < hops->edges_n; e++) {
        uint32_t i = hops->edges[e].from, j = hops->edges[e].to;
        if (!seen[i] || s->extents[e].sent < fit->origin[i])
            fit->origin[i] = s->extents[e].sent;
        seen[i] = 1;
        if (!seen[j] || s->extents[e].received < fit->origin[j])
            fit->origin[j] = s->extents[e].received;
        seen[j] = 1;
    }
    free(seen);
    return true;
}

static bool coarse(tspi_fit *fit, survey *s)
{
    tspi_windows windows;

    if (!set_origins(fit, s) || !tspi_fit_evaluate(fit))
        return false;
    s->low = -INFINITY;
    s->high = INFINITY;
    s->without = 0;
    if (!set_range(fit, s))
        fit->t_first = fit->t_last = 0;
    if (!tspi_windows_find(fit, INFINITY, fmin(0.5, 2 * fit->quantile), &windows))
        return false;
    for (uint32_t c = 0; c < fit->clocks; c++) {
        fit->joined[c] = fit->root[c];
        if (windows.first[c] < windows.first[c + 1]) {
            double x = windows.sights[windows.first[c]].y, most = 2.0 * (double)TSP_STAMP_MAX;
            fit->joined[c] = 1;
            int64_t moved = tspi_add_most(fit->origin[c], (int64_t)fmin(fmax(x, -most), most));
            fit->origin[c] = moved < -2 * TSP_STAMP_MAX  ? -2 * TSP_STAMP_MAX
                             : moved > 2 * TSP_STAMP_MAX ? 2 * TSP_STAMP_MAX
                                                         : moved;
        }
    }
    tspi_windows_release(&windows);
    return tspi_fit_evaluate(fit) && find_range(fit, s);
}

bool tspi_estimate_coarse(tspi_fit *fit)
{
    survey s = {.fit = fit, .extents = calloc(fit->hops->edges_n + 1, sizeof *s.extents)};
    bool ok = s.extents && coarse(fit, &s);

    free(s.extents);
    return ok;
}

/* The window that gives the median clock WINDOW_HOPS each way; how many hops an edge then has in it. */
static bool choose_base_window(tspi_fit *fit, double *ret_per_edge)
{
    const tspi_hop_store *hops = fit->hops;
    double *out = calloc(3 * ((size_t)fit->clocks + 1), sizeof *out), *in = out + fit->clocks, *rate = in + fit->clocks;
    double span = fmax(fit->t_last - fit->t_first, 1), used = 0, edges = 0;
    survey s = {.fit = fit, .without = fit->without, .extents = calloc(hops->edges_n + 1, sizeof *s.extents)};
    size_t n = 0;

    if (!out || !s.extents) {
        free(out);
        free(s.extents);
        return false;
    }
    tspi_parallel(fit->threads, hops->edges_n, survey_times, &s);
    for (size_t e = 0; e < hops->edges_n; e++) {
        const tspi_stored_edge *edge = &hops->edges[e];
        double count = (double)s.extents[e].used;
        out[edge->from] += count;
        in[edge->to] += count;
        used += count;
        edges += count > 0;
    }
    for (uint32_t c = 0; c < fit->clocks; c++)
        if (fit->joined[c] && (out[c] > 0 || in[c] > 0))
            rate[n++] = fmin(out[c], in[c]) / span;
    double median = n ? tspi_median(rate, n) : 0;
    free(out);
    free(s.extents);
    fit->base_window = fmin(fmax(WINDOW_HOPS / fmax(median, 1e-18), WINDOW_LEAST_NS), span / WINDOW_PARTS);
    fit->base_window = fmax(fit->base_window, 1);
    for (uint32_t node = 0; node < fit->nodes; node++)
        fit->window_of[node] = fit->base_window;
    *ret_per_edge = edges > 0 ? used / edges / span * fit->base_window : 0;
    return true;
}

/* Hops of one clock, one way, in one window. */
typedef struct {
    uint32_t all, aside;
} tally;

typedef struct {
    tspi_fit *fit;
    uint32_t windows;
    tally *tallies; /* owned, clocks * windows, received and sent */
} tallying;

static tally *tally_of(const tallying *t, size_t row, bool sent)
{
    const tspi_fit *fit = t->fit;
    const tspi_stored_hop *hop = &fit->hops->hops[row];
    double part = (fit->t[row] - fit->t_first) / fmax(fit->t_last - fit->t_first, 1);
    uint32_t window = part <= 0 ? 0 : part >= 1 ? t->windows - 1 : (uint32_t)(part * t->windows);

    return &t->tallies[((size_t)(sent ? hop->from : hop->to) * t->windows + window) * 2 + sent];
}

/* Several edges of a clock may count at once. */
static bool count_edge(void *tallying_, size_t e, unsigned worker)
{
    const tallying *t = tallying_;
    const tspi_fit *fit = t->fit;
    const tspi_stored_edge *edge = &fit->hops->edges[e];

    (void)worker;
    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        uint16_t flags = fit->hops->hops[row].flags;
        for (int sent = 0; sent < 2 && !(flags & fit->without & ~TSPI_STORED_ASIDE); sent++) {
            tally *of = tally_of(t, row, sent);
            __atomic_fetch_add(&of->all, 1, __ATOMIC_RELAXED);
            if (flags & TSPI_STORED_ASIDE)
                __atomic_fetch_add(&of->aside, 1, __ATOMIC_RELAXED);
        }
    }
    return true;
}

static bool take_back_edge(void *tallying_, size_t e, unsigned worker)
{
    const tallying *t = tallying_;
    const tspi_stored_edge *edge = &t->fit->hops->edges[e];
    tspi_stored_hop *hops = t->fit->hops->hops;

    (void)worker;
    for (size_t row = edge->first; row < edge->first + edge->n; row++)
        for (int sent = 0; sent < 2 && hops[row].flags & TSPI_STORED_ASIDE; sent++) {
            const tally *of = tally_of(t, row, sent);
            if (of->aside >= ESTIMATE_HOPS && 2 * of->aside > of->all)
                hops[row].flags &= (uint16_t)~TSPI_STORED_ASIDE;
        }
    return true;
}

/* Lies are scattered. What most hops of a clock do, one way, in one window, the clock does: before or after a step all
 * of them lie below the line, and without them there would be nothing to find it by. */
static bool take_back(tspi_fit *fit)
{
    double span = fit->t_last - fit->t_first;
    uint32_t windows = 1 + (uint32_t)fmin(span / fit->base_window, (double)(TALLIES_MOST / (fit->clocks + 1)));
    tallying t = {fit, windows, calloc((size_t)fit->clocks * windows * 2 + 1, sizeof *t.tallies)};
    bool ok = t.tallies && tspi_parallel(fit->threads, fit->hops->edges_n, count_edge, &t) &&
              tspi_parallel(fit->threads, fit->hops->edges_n, take_back_edge, &t);

    free(t.tallies);
    return ok;
}

static bool refine(tspi_fit *fit)
{
    /* Bends are measured on short windows. */
    if (fit->bends_n && !tspi_relax(fit, fit->believe_all ? fit->quantile : 0))
        return false;
    for (int round = 0; round < REFINEMENTS; round++) {
        tspi_relax_windows(fit);
        if (!tspi_relax(fit, fit->believe_all ? fit->quantile : 0))
            return false;
        if (round > 0)
            continue;
        if (!tspi_steps_settle(fit) || !tspi_fence(fit) || !tspi_steps_ambiguous(fit))
            return false;
    }
    return true;
}

bool tspi_estimate(tspi_fit *fit)
{
    bool with_soft = !(fit->without & TSPI_STORED_SOFT), clean = false;
    double per_edge;

    fit->limit_rates = false;
    if (!tspi_estimate_coarse(fit) || !choose_base_window(fit, &per_edge))
        return false;
    if (per_edge < SPARSE_HOPS && (!tspi_sparse_start(fit) || !tspi_fit_evaluate(fit) ||
                                   !tspi_fence_sparse(fit, TSPI_STORED_ASIDE, false) || !take_back(fit)))
        return false;
    if (!tspi_relax(fit, fmin(0.4, 2 * fit->quantile)) || !tspi_changes_find(fit))
        return false;
    fit->limit_rates = true;
    if (!tspi_fence(fit))
        return false;
    if (!with_soft && !tspi_soft_is_clean(fit, &clean))
        return false;
    if (clean)
        fit->without &= (uint16_t) ~(TSPI_STORED_SOFT | TSPI_STORED_ASIDE);
    return refine(fit);
}
