/* The fence: a stamp written late makes its hop look faster than any hop of its edge can be. The shape of the edge's
 * own low tail tells such lies from skew, which moves all its hops alike. */
#include <math.h>
#include <stdlib.h>

#include "solve/constants.h"
#include "solve/estimate.h"
#include "solve/order.h"
#include "solve/parallel.h"

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

/* Where the fence stands. Lies may be so many that the low quantile is one of them: what lies far below the bulk is
 * left out of the quantiles, so that the fence stands where it would without them. */
static double find_fence(double *values, size_t n, double part, double next)
{
    const double bulk[2] = {FENCE_BULK, 0.5}, parts[2] = {part, next};
    double at[2], least;
    size_t kept = 0;

    tspi_quantiles(values, n, bulk, 2, at);
    least = at[0] - FENCE_REACH * (at[1] - at[0]);
    for (size_t k = 0; k < n; k++)
        if (values[k] >= least)
            values[kept++] = values[k];
    tspi_quantiles(values, kept, parts, 2, at);
    return at[0] - FENCE_REACH * (at[1] - at[0]);
}

static bool fence_edge(void *fit_, size_t e, unsigned worker)
{
    tspi_fit *fit = fit_;
    const tspi_stored_edge *edge = &fit->hops->edges[e];
    double part = fit->quantile, next = fmin(0.5, FENCE_STEP * part);

    (void)worker;
    if (edge->n < FENCE_LEAST)
        return true;
    double *values = malloc(edge->n * sizeof *values);
    for (int soft = 0; values && soft < 2; soft++) {
        size_t n = gather(fit, edge, soft, values);
        if (n < FENCE_LEAST)
            continue;
        flag_below(fit, edge, soft, find_fence(values, n, part, next));
    }
    free(values);
    return values != NULL;
}

bool tspi_fence(tspi_fit *fit)
{
    for (size_t row = 0; row < fit->hops->n; row++)
        fit->hops->hops[row].flags &= (uint16_t)~TSPI_STORED_LATE;
    if (fit->believe_all)
        return true;
    return tspi_parallel(fit->threads, fit->hops->edges_n, fence_edge, fit) &&
           tspi_fence_sparse(fit, TSPI_STORED_LATE, true);
}

/* What a hop of an edge is compared with: the median of its pair of clocks, both ways, when that has three hops or
 * more; else the median of all such medians. */
typedef struct {
    bool pooled, own;
    double median;
} edge_level;

typedef struct {
    tspi_fit *fit;
    uint16_t flag;
    bool only_small_edges, soft;
    edge_level *levels; /* owned, edges */
    double *values;     /* owned, hops; scratch */
} pool;

static bool is_pooled(const pool *p, size_t row)
{
    return is_judged(p->fit, row, p->soft) &&
           (p->only_small_edges || !(p->fit->hops->hops[row].flags & p->fit->without));
}

static size_t gather_pooled(const pool *p, size_t e, double *values)
{
    const tspi_stored_edge *edge = &p->fit->hops->edges[e];
    size_t n = 0;

    for (size_t row = edge->first; p->levels[e].pooled && row < edge->first + edge->n; row++)
        if (is_pooled(p, row))
            values[n++] = p->fit->u[row];
    return n;
}

static int by_ends(const void *a_, const void *b_)
{
    const tspi_stored_edge *a = a_, *b = b_;

    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->to < b->to ? -1 : a->to > b->to;
}

/* Levels of all pairs that have hops in the pool. Returns how many hops deviate from a median of their own. */
static size_t find_levels(pool *p, double *ret_middle)
{
    const tspi_hop_store *hops = p->fit->hops;
    double *medians = p->values + hops->n;
    size_t own = 0, medians_n = 0;

    for (size_t e = 0; e < hops->edges_n; e++) {
        const tspi_stored_edge *edge = &hops->edges[e], key = {.from = edge->to, .to = edge->from};
        const tspi_stored_edge *back = bsearch(&key, hops->edges, hops->edges_n, sizeof key, by_ends);
        if (back && back < edge)
            continue; /* the pair was met on its way there */
        size_t n = gather_pooled(p, e, p->values);
        n += back ? gather_pooled(p, (size_t)(back - hops->edges), p->values + n) : 0;
        if (!n)
            continue;
        tspi_select(p->values, n, n / 2);
        medians[medians_n++] = p->values[n / 2];
        for (int way = 0; way < (back ? 2 : 1); way++) {
            edge_level *level = &p->levels[way ? (size_t)(back - hops->edges) : e];
            level->own = n >= 3;
            level->median = p->values[n / 2];
        }
        own += n >= 3 ? n : 0;
    }
    *ret_middle = medians_n ? tspi_median(medians, medians_n) : 0;
    return own;
}

static void judge_pool(pool *p)
{
    const tspi_hop_store *hops = p->fit->hops;
    double middle;
    size_t own = find_levels(p, &middle), n = 0;

    for (size_t e = 0; e < hops->edges_n; e++) {
        const edge_level *level = &p->levels[e];
        if (own >= FENCE_LEAST && !level->own)
            continue;
        size_t first = n;
        n += gather_pooled(p, e, p->values + n);
        for (size_t k = first; k < n; k++)
            p->values[k] -= level->own ? level->median : middle;
    }
    if (!n)
        return;
    double low = tspi_quantile(p->values, n, p->fit->quantile), median = tspi_median(p->values, n);
    double least = low - FENCE_SPARSE_REACH * (median - low);
    for (size_t e = 0; e < hops->edges_n; e++) {
        const edge_level *level = &p->levels[e];
        const tspi_stored_edge *edge = &hops->edges[e];
        for (size_t row = edge->first; level->pooled && row < edge->first + edge->n; row++)
            if (is_pooled(p, row) && p->fit->u[row] - (level->own ? level->median : middle) < least)
                hops->hops[row].flags |= p->flag;
    }
}

bool tspi_fence_sparse(tspi_fit *fit, uint16_t flag, bool only_small_edges)
{
    const tspi_hop_store *hops = fit->hops;
    pool p = {.fit = fit, .flag = flag, .only_small_edges = only_small_edges};
    bool ok;

    p.levels = malloc((hops->edges_n + 1) * sizeof *p.levels);
    p.values = malloc((hops->n + hops->edges_n + 1) * sizeof *p.values);
    ok = p.levels && p.values;
    for (int soft = 0; ok && soft < 2; soft++) {
        size_t total = 0;
        p.soft = soft;
        for (size_t e = 0; e < hops->edges_n; e++) {
            const tspi_stored_edge *edge = &hops->edges[e];
            size_t judged = 0, pooled = 0;
            for (size_t row = edge->first; row < edge->first + edge->n; row++) {
                judged += is_judged(fit, row, soft);
                pooled += is_pooled(&p, row);
            }
            p.levels[e] = (edge_level){.pooled = !only_small_edges || judged < FENCE_LEAST};
            total += p.levels[e].pooled ? pooled : 0;
        }
        if (total >= FENCE_LEAST)
            judge_pool(&p);
    }
    free(p.levels);
    free(p.values);
    return ok;
}
