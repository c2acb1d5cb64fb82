#include "solve/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/order.h"
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

/* Where the traffic is: stray stamps, decades away or only hours, must not stretch the run. */
static bool find_range(tspi_fit *fit)
{
    const tspi_hop_store *hops = fit->hops;
    size_t stride = hops->n / RANGE_SAMPLES + 1, n = 0, begin, kept;
    double *sample = malloc((hops->n / stride + 1) * sizeof *sample), first = INFINITY, last = -INFINITY;

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
        for (size_t row = 0; row < hops->n; row++) {
            double t = fit->t[row];
            if ((hops->hops[row].flags & fit->without) || t < low - reach || t > high + reach)
                continue;
            first = fmin(first, t);
            last = fmax(last, t);
        }
    }
    if (first <= last) {
        fit->t_first = first;
        fit->t_last = last;
    }
    free(sample);
    return true;
}

bool tspi_estimate_coarse(tspi_fit *fit)
{
    tspi_windows windows;
    const tspi_hop_store *hops = fit->hops;
    uint8_t *seen = calloc((size_t)fit->clocks + 1, 1);

    if (!seen)
        return false;
    for (size_t row = 0; row < hops->n; row++) {
        const tspi_stored_hop *hop = &hops->hops[row];
        if (!seen[hop->from] || hop->sent < fit->origin[hop->from])
            fit->origin[hop->from] = hop->sent;
        if (!seen[hop->to] || hop->received < fit->origin[hop->to])
            fit->origin[hop->to] = hop->received;
        seen[hop->from] = seen[hop->to] = 1;
    }
    free(seen);
    if (!tspi_fit_evaluate(fit))
        return false;
    fit->t_first = INFINITY;
    fit->t_last = -INFINITY;
    for (size_t row = 0; row < hops->n; row++) {
        fit->t_first = fmin(fit->t_first, fit->t[row]);
        fit->t_last = fmax(fit->t_last, fit->t[row]);
    }
    if (!hops->n)
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
    return tspi_fit_evaluate(fit) && find_range(fit);
}

/* The window that gives the median clock WINDOW_HOPS each way; how many hops an edge then has in it. */
static bool choose_base_window(tspi_fit *fit, double *ret_per_edge)
{
    const tspi_hop_store *hops = fit->hops;
    double *out = calloc(3 * ((size_t)fit->clocks + 1), sizeof *out), *in = out + fit->clocks, *rate = in + fit->clocks;
    double span = fmax(fit->t_last - fit->t_first, 1), used = 0, edges = 0;
    size_t n = 0;

    if (!out)
        return false;
    for (size_t e = 0; e < hops->edges_n; e++) {
        const tspi_stored_edge *edge = &hops->edges[e];
        double count = 0;
        for (size_t row = edge->first; row < edge->first + edge->n; row++)
            count += !(hops->hops[row].flags & fit->without);
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

static tally *tally_of(const tspi_fit *fit, tally *tallies, uint32_t windows, size_t row, bool sent)
{
    const tspi_stored_hop *hop = &fit->hops->hops[row];
    double part = (fit->t[row] - fit->t_first) / fmax(fit->t_last - fit->t_first, 1);
    uint32_t window = part <= 0 ? 0 : part >= 1 ? windows - 1 : (uint32_t)(part * windows);

    return &tallies[((size_t)(sent ? hop->from : hop->to) * windows + window) * 2 + sent];
}

/* Lies are scattered. What most hops of a clock do, one way, in one window, the clock does: before or after a step all
 * of them lie below the line, and without them there would be nothing to find it by. */
static bool take_back(tspi_fit *fit)
{
    double span = fit->t_last - fit->t_first;
    uint32_t windows = 1 + (uint32_t)fmin(span / fit->base_window, (double)(TALLIES_MOST / (fit->clocks + 1)));
    tally *tallies = calloc((size_t)fit->clocks * windows * 2 + 1, sizeof *tallies);

    if (!tallies)
        return false;
    for (size_t row = 0; row < fit->hops->n; row++)
        for (int sent = 0; sent < 2 && !(fit->hops->hops[row].flags & fit->without & ~TSPI_STORED_ASIDE); sent++) {
            tally *t = tally_of(fit, tallies, windows, row, sent);
            t->all++;
            t->aside += !!(fit->hops->hops[row].flags & TSPI_STORED_ASIDE);
        }
    for (size_t row = 0; row < fit->hops->n; row++)
        for (int sent = 0; sent < 2; sent++) {
            const tally *t = tally_of(fit, tallies, windows, row, sent);
            if (t->aside >= ESTIMATE_HOPS && 2 * t->aside > t->all)
                fit->hops->hops[row].flags &= (uint16_t)~TSPI_STORED_ASIDE;
        }
    free(tallies);
    return true;
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
