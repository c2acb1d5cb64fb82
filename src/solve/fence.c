/* The fence: a stamp written late makes its hop look faster than any hop of its edge can be. The shape of the edge's
 * own low tail tells such lies from skew, which moves all its hops alike. */
#include <math.h>
#include <stdlib.h>

#include "solve/constants.h"
#include "solve/estimate.h"
#include "solve/order.h"

/* External bounds are not traffic and are believed. */
static bool is_judged(const tspi_fit *fit, size_t row, bool soft)
{
    uint16_t flags = fit->hops->hops[row].flags;

    return !(flags & TSPI_STORED_BOUND) && !(flags & TSPI_STORED_SOFT) == !soft;
}

static size_t gather(const tspi_fit *fit, const tspi_stored_edge *edge, bool soft, double *values)
{
    size_t n = 0;

    for (size_t row = edge->first; row < edge->first + edge->n; row++)
        if (is_judged(fit, row, soft))
            values[n++] = fit->u[row];
    return n;
}

static void flag_below(tspi_fit *fit, const tspi_stored_edge *edge, bool soft, double least)
{
    for (size_t row = edge->first; row < edge->first + edge->n; row++)
        if (is_judged(fit, row, soft) && fit->u[row] < least)
            fit->hops->hops[row].flags |= TSPI_STORED_LATE;
}

/* Lies may be so many that the low quantile is one of them. What lies far below the bulk is left out of the quantiles,
 * so that the fence stands where it would without them. */
static size_t drop_gross(double *values, size_t n)
{
    double low = tspi_quantile(values, n, FENCE_BULK), middle = tspi_median(values, n);
    double least = low - FENCE_REACH * (middle - low);
    size_t kept = 0;

    for (size_t k = 0; k < n; k++)
        if (values[k] >= least)
            values[kept++] = values[k];
    return kept;
}

bool tspi_fence(tspi_fit *fit)
{
    size_t most = 0;
    double *values, part = fit->quantile, next = fmin(0.5, FENCE_STEP * part);

    for (size_t row = 0; row < fit->hops->n; row++)
        fit->hops->hops[row].flags &= (uint16_t)~TSPI_STORED_LATE;
    if (fit->believe_all)
        return true;
    for (size_t e = 0; e < fit->hops->edges_n; e++)
        most = fit->hops->edges[e].n > most ? fit->hops->edges[e].n : most;
    values = malloc((most + 1) * sizeof *values);
    if (!values)
        return false;
    for (size_t e = 0; e < fit->hops->edges_n; e++)
        for (int soft = 0; soft < 2; soft++) {
            const tspi_stored_edge *edge = &fit->hops->edges[e];
            size_t n = gather(fit, edge, soft, values);
            if (n < FENCE_LEAST)
                continue;
            n = drop_gross(values, n);
            double low = tspi_quantile(values, n, part), high = tspi_quantile(values, n, next);
            flag_below(fit, edge, soft, low - FENCE_REACH * (high - low));
        }
    free(values);
    return tspi_fence_sparse(fit, TSPI_STORED_LATE, true);
}

typedef struct {
    uint64_t pair;
    double u;
    size_t row;
    double deviation;
} pooled;

static int by_pair(const void *a_, const void *b_)
{
    const pooled *a = a_, *b = b_;

    if (a->pair != b->pair)
        return a->pair < b->pair ? -1 : 1;
    if (a->u != b->u)
        return a->u < b->u ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* Deviations from the pair's median, of pairs with three hops or more; pairs with fewer against the median of medians
 * (NAN until it is known). Returns how many deviate from a median of their own. */
static size_t deviate(pooled *all, size_t n, double *medians, size_t *ret_medians_n)
{
    size_t own = 0, medians_n = 0;

    qsort(all, n, sizeof *all, by_pair);
    for (size_t first = 0, end; first < n; first = end) {
        for (end = first; end < n && all[end].pair == all[first].pair; end++)
            ;
        double median = all[first + (end - first) / 2].u;
        medians[medians_n++] = median;
        for (size_t k = first; k < end; k++)
            all[k].deviation = end - first >= 3 ? all[k].u - median : NAN;
        own += end - first >= 3 ? end - first : 0;
    }
    *ret_medians_n = medians_n;
    return own;
}

static void judge_pool(tspi_fit *fit, pooled *all, size_t n, double *values, uint16_t flag)
{
    size_t medians_n, own = deviate(all, n, values, &medians_n), q = 0;
    double middle = tspi_median(values, medians_n), low, median;

    for (size_t k = 0; k < n; k++)
        if (own < FENCE_LEAST || !isnan(all[k].deviation))
            values[q++] = isnan(all[k].deviation) ? all[k].u - middle : all[k].deviation;
    low = tspi_quantile(values, q, fit->quantile);
    median = tspi_median(values, q);
    for (size_t k = 0; k < n; k++) {
        double v = isnan(all[k].deviation) ? all[k].u - middle : all[k].deviation;
        if (v < low - FENCE_SPARSE_REACH * (median - low))
            fit->hops->hops[all[k].row].flags |= flag;
    }
}

bool tspi_fence_sparse(tspi_fit *fit, uint16_t flag, bool only_small_edges)
{
    const tspi_hop_store *hops = fit->hops;
    pooled *all = NULL;
    double *values = NULL;
    bool ok = true;

    for (int soft = 0; ok && soft < 2; soft++) {
        size_t n = 0, cap = 0;
        for (int fill = 0; ok && fill < 2; fill++) { /* count, then fill */
            n = 0;
            for (size_t e = 0; e < hops->edges_n; e++) {
                const tspi_stored_edge *edge = &hops->edges[e];
                size_t judged = 0;
                for (size_t row = edge->first; only_small_edges && row < edge->first + edge->n; row++)
                    judged += is_judged(fit, row, soft);
                if (judged >= FENCE_LEAST)
                    continue;
                uint64_t pair = edge->from < edge->to ? (uint64_t)edge->from << 32 | edge->to
                                                      : (uint64_t)edge->to << 32 | edge->from;
                for (size_t row = edge->first; row < edge->first + edge->n; row++) {
                    if (!is_judged(fit, row, soft) || (!only_small_edges && hops->hops[row].flags & fit->without))
                        continue;
                    if (fill)
                        all[n] = (pooled){pair, fit->u[row], row, 0};
                    n++;
                }
            }
            if (!fill && n >= FENCE_LEAST) {
                cap = n;
                all = malloc(cap * sizeof *all);
                values = malloc(cap * sizeof *values);
                ok = all && values;
            } else if (!fill)
                break;
        }
        if (ok && cap)
            judge_pool(fit, all, n, values, flag);
        free(all);
        free(values);
        all = NULL;
        values = NULL;
    }
    return ok;
}
