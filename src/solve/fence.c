/* The fence: a stamp written late makes its hop look faster than any hop of its edge can be. The shape of the edge's
 * own low tail tells such lies from skew, which moves all its hops alike. */
#include <math.h>
#include <stdlib.h>

#include "solve/constants.h"
#include "solve/estimate.h"
#include "solve/order.h"
#include "solve/parallel.h"
#include "solve/room.h"

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
double tspi_fence_of(double *values, size_t n, double part, double next, double grain)
{
    const double bulk[2] = {FENCE_BULK, 0.5}, parts[2] = {part, next};
    double at[2], least;
    size_t kept = 0;

    tspi_quantiles(values, n, bulk, 2, at);
    least = at[0] - fmax(FENCE_REACH * (at[1] - at[0]), grain);
    for (size_t k = 0; k < n; k++)
        if (values[k] >= least)
            values[kept++] = values[k];
    tspi_quantiles(values, kept, parts, 2, at);
    return at[0] - fmax(FENCE_REACH * (at[1] - at[0]), grain);
}

/* Whoever stamps coarsely is early by anything in a grain, which lessens or adds to the slack: it may lie so much below
 * others of its edge and be no lie. */
static double grain_of(const tspi_fit *fit, const tspi_stored_edge *edge)
{
    return fit->grain[edge->from] + fit->grain[edge->to];
}

static bool fence_edge(void *fit_, size_t e, unsigned worker)
{
    tspi_fit *fit = fit_;
    const tspi_stored_edge *edge = &fit->hops->edges[e];
    double part = fit->quantile, next = fmin(0.5, FENCE_STEP * part);

    (void)worker;
    for (size_t row = edge->first; row < edge->first + edge->n; row++)
        fit->hops->hops[row].flags &= (uint16_t)~TSPI_STORED_LATE;
    if (edge->n < FENCE_LEAST || fit->believe_all)
        return true;
    double *values = malloc(edge->n * sizeof *values);
    for (int soft = 0; values && soft < (fit->hops->soft_n ? 2 : 1); soft++) {
        size_t n = gather(fit, edge, soft, values);
        if (n < FENCE_LEAST)
            continue;
        flag_below(fit, edge, soft, tspi_fence_of(values, n, part, next, grain_of(fit, edge)));
    }
    free(values);
    return values != NULL;
}

bool tspi_fence(tspi_fit *fit)
{
    if (!tspi_parallel(fit->threads, fit->hops->edges_n, fence_edge, fit))
        return false;
    return fit->believe_all || tspi_fence_sparse(fit, TSPI_STORED_LATE, true);
}

/* What a hop of an edge is compared with: the median of its pair of clocks, both ways, when that has three hops or
 * more; else the median of all such medians. */
typedef struct {
    bool pooled, own, has_median; /* has_median: the pair's stands here, at its first edge */
    size_t n;                     /* pooled hops */
    size_t first;                 /* of the edge's deviations, when it is judged */
    double median;
} edge_level;

typedef struct {
    tspi_fit *fit;
    uint16_t flag;
    bool only_small_edges, soft;
    bool only_own;      /* enough hops deviate from a median of their own: the others are not judged */
    edge_level *levels; /* owned, edges */
    double *values;     /* owned, hops: deviations */
    double middle, low, least;
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

static bool count_pooled(void *pool_, size_t e, unsigned worker)
{
    const pool *p = pool_;
    const tspi_stored_edge *edge = &p->fit->hops->edges[e];
    size_t judged = 0, pooled = 0;

    (void)worker;
    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        judged += is_judged(p->fit, row, p->soft);
        pooled += is_pooled(p, row);
    }
    p->levels[e] = (edge_level){.pooled = !p->only_small_edges || judged < FENCE_LEAST};
    p->levels[e].n = p->levels[e].pooled ? pooled : 0;
    return true;
}

/* The level of a pair that has hops in the pool. */
static bool find_level(void *pool_, size_t e, unsigned worker)
{
    const pool *p = pool_;
    const tspi_hop_store *hops = p->fit->hops;
    const tspi_stored_edge *edge = &hops->edges[e], *back = tspi_hop_store_back(hops, edge);
    edge_level *there = &p->levels[e], *other = back ? &p->levels[back - hops->edges] : NULL;
    size_t n = there->n + (other ? other->n : 0);

    (void)worker;
    if ((back && back < edge) || !n) /* the pair is met on its way there */
        return true;
    double *values = malloc(n * sizeof *values);
    if (!values)
        return false;
    size_t there_n = gather_pooled(p, e, values);
    if (other)
        gather_pooled(p, (size_t)(back - hops->edges), values + there_n);
    tspi_select(values, n, n / 2);
    there->median = values[n / 2];
    there->own = n >= 3;
    there->has_median = true;
    if (other) {
        other->median = there->median;
        other->own = there->own;
    }
    free(values);
    return true;
}

/* The median of all pairs' medians, and where each edge's deviations go; how many there are. */
static bool place_deviations(pool *p, size_t *ret_n)
{
    const tspi_hop_store *hops = p->fit->hops;
    double *medians = malloc((hops->edges_n + 1) * sizeof *medians);
    size_t own = 0, medians_n = 0, n = 0;

    if (!medians)
        return false;
    for (size_t e = 0; e < hops->edges_n; e++) {
        if (p->levels[e].has_median)
            medians[medians_n++] = p->levels[e].median;
        own += p->levels[e].own ? p->levels[e].n : 0;
    }
    p->middle = medians_n ? tspi_median(medians, medians_n) : 0;
    p->only_own = own >= FENCE_LEAST;
    free(medians);
    for (size_t e = 0; e < hops->edges_n; e++) {
        p->levels[e].first = n;
        n += p->only_own && !p->levels[e].own ? 0 : p->levels[e].n;
    }
    *ret_n = n;
    return true;
}

static double level_of(const pool *p, size_t e)
{
    return p->levels[e].own ? p->levels[e].median : p->middle;
}

static bool deviate(void *pool_, size_t e, unsigned worker)
{
    const pool *p = pool_;
    double *values = p->values + p->levels[e].first;

    (void)worker;
    if (p->only_own && !p->levels[e].own)
        return true;
    size_t n = gather_pooled(p, e, values);
    for (size_t k = 0; k < n; k++)
        values[k] -= level_of(p, e);
    return true;
}

static bool flag_pooled(void *pool_, size_t e, unsigned worker)
{
    const pool *p = pool_;
    const tspi_stored_edge *edge = &p->fit->hops->edges[e];
    double least = fmin(p->least, p->low - grain_of(p->fit, edge));

    (void)worker;
    for (size_t row = edge->first; p->levels[e].pooled && row < edge->first + edge->n; row++)
        if (is_pooled(p, row) && p->fit->u[row] - level_of(p, e) < least)
            p->fit->hops->hops[row].flags |= p->flag;
    return true;
}

static bool judge_pool(pool *p)
{
    size_t edges_n = p->fit->hops->edges_n, n;
    unsigned threads = p->fit->threads;

    if (!tspi_parallel(threads, edges_n, find_level, p) || !place_deviations(p, &n))
        return false;
    if (!n)
        return true;
    p->values = tspi_room_take(n, sizeof *p->values);
    if (!p->values)
        return false;
    tspi_parallel(threads, edges_n, deviate, p);
    p->low = tspi_quantile(p->values, n, p->fit->quantile);
    p->least = p->low - FENCE_SPARSE_REACH * (tspi_median(p->values, n) - p->low);
    tspi_room_give(p->values, n, sizeof *p->values);
    return tspi_parallel(threads, edges_n, flag_pooled, p);
}

bool tspi_fence_sparse(tspi_fit *fit, uint16_t flag, bool only_small_edges)
{
    const tspi_hop_store *hops = fit->hops;
    pool p = {.fit = fit, .flag = flag, .only_small_edges = only_small_edges};
    bool ok;

    p.levels = malloc((hops->edges_n + 1) * sizeof *p.levels);
    ok = p.levels != NULL;
    for (int soft = 0; ok && soft < (hops->soft_n ? 2 : 1); soft++) {
        size_t total = 0;
        p.soft = soft;
        tspi_parallel(fit->threads, hops->edges_n, count_pooled, &p);
        for (size_t e = 0; e < hops->edges_n; e++)
            total += p.levels[e].n;
        if (total >= FENCE_LEAST)
            ok = judge_pool(&p);
    }
    free(p.levels);
    return ok;
}
