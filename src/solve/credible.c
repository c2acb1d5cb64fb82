#include "solve/credible.h"

#include <math.h>
#include <stdlib.h>

#include "solve/constants.h"
#include "solve/order.h"
#include "solve/parallel.h"
#include "solve/soft.h"

static bool is_lie(const tspi_stored_hop *hop)
{
    return hop->flags & (TSPI_STORED_LATE | TSPI_STORED_CONFLICT);
}

/* Half a lie is always assumed (Jeffreys' prior): nothing is known to be without. */
static double rate_of_lies(const tspi_hop_store *hops)
{
    size_t hard = 0, lies = 0;

    for (size_t row = 0; row < hops->n; row++) {
        hard += tspi_stored_is_hard(&hops->hops[row]);
        lies += tspi_stored_is_hard(&hops->hops[row]) && is_lie(&hops->hops[row]);
    }
    return ((double)lies + 0.5) / ((double)hard + 1);
}

/* The truthful hard hops of an edge, or of many. */
typedef struct {
    double *values; /* residual slacks */
    double *slacks; /* as stamped */
    size_t n, violated, soft, lies;
    double quantum;
} sample;

static void clear(sample *s)
{
    s->n = s->violated = s->soft = s->lies = 0;
    s->quantum = 0;
}

static void add(const tspi_fit *fit, size_t row, sample *s)
{
    const tspi_stored_hop *hop = &fit->hops->hops[row];

    s->lies += tspi_stored_is_hard(hop) && is_lie(hop) && tspi_stored_slack(hop) < 0;
    if (is_lie(hop) || hop->flags & (TSPI_STORED_BOUND | TSPI_STORED_UNCOUNTED))
        return;
    if (hop->flags & TSPI_STORED_SOFT) {
        s->soft++;
        return;
    }
    s->values[s->n] = fit->u[row];
    s->slacks[s->n++] = (double)tspi_stored_slack(hop);
    s->violated += tspi_stored_slack(hop) < 0;
    s->quantum = fmax(s->quantum, hop->quantum);
}

static void gather(const tspi_fit *fit, const tspi_stored_edge *edge, sample *s)
{
    clear(s);
    for (size_t row = edge->first; row < edge->first + edge->n; row++)
        add(fit, row, s);
}

/* How wide the slacks are: the way up from the low quantile to the median, or half the way to the high quantile. */
static double body_of(const sample *s)
{
    double median = tspi_median(s->values, s->n), low = tspi_quantile(s->values, s->n, CREDIBLE_TAIL);

    return fmax(median - low, (tspi_quantile(s->values, s->n, 1 - CREDIBLE_TAIL) - low) / 2);
}

/* The mean way from the low quantile down to what lies below it, against that width. */
static bool falls_off_slowly(const sample *s, double body)
{
    double low = tspi_quantile(s->values, s->n, CREDIBLE_TAIL), below = 0;
    size_t n = 0;

    for (size_t k = 0; k < s->n; k++)
        if (s->values[k] < low) {
            below += low - s->values[k];
            n++;
        }
    return n && below / (double)n > CREDIBLE_REACH * (body + s->quantum);
}

/* No more are violated than lie. */
static bool may_be_lies(const sample *s, double rate)
{
    uint32_t n = s->n < UINT32_MAX ? (uint32_t)s->n : UINT32_MAX;

    return s->violated && s->violated <= n && !tspi_soft_exceeds(n, rate, CREDIBLE_CHANCE, (uint32_t)s->violated);
}

/* Waiting stamps explain what is violated. Some stamps hardly wait, so hops of right clocks are not inverted altogether
 * by more than their own width: with exponential waits the high quantile is a quarter of it below the delay. */
static bool may_be_waits(const sample *s)
{
    if (!s->violated || s->n < CREDIBLE_TAIL_LEAST)
        return false;
    double body = body_of(s);
    size_t deep = 0;
    for (size_t k = 0; k < s->n; k++)
        deep += s->slacks[k] < -(body + s->quantum);
    return (double)deep <= (1 - CREDIBLE_TAIL) * (double)s->n && falls_off_slowly(s, body);
}

static bool is_small(const sample *s)
{
    return s->n + s->soft < CREDIBLE_LEAST;
}

/* ---- small edges, pooled by clock ---- */

typedef struct {
    uint32_t clock, edge;
    size_t row;
} pooled;

static int by_clock(const void *a_, const void *b_)
{
    const pooled *a = a_, *b = b_;

    if (a->clock != b->clock)
        return a->clock < b->clock ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* All that a clock sends on small edges (or receives), together. */
static void judge_pools(const tspi_fit *fit, pooled *all, size_t n, bool sent, double rate, sample *s, uint8_t *weak)
{
    for (size_t k = 0; k < n; k++)
        all[k].clock = sent ? fit->hops->edges[all[k].edge].from : fit->hops->edges[all[k].edge].to;
    qsort(all, n, sizeof *all, by_clock);
    for (size_t first = 0, end; first < n; first = end) {
        clear(s);
        for (end = first; end < n && all[end].clock == all[first].clock; end++)
            add(fit, all[end].row, s);
        if (s->n < CREDIBLE_TAIL_LEAST || may_be_lies(s, rate) || may_be_waits(s))
            continue;
        for (size_t k = first; k < end; k++)
            weak[all[k].edge] = TSPI_EDGE_SOUND;
    }
}

static bool pool_small_edges(const tspi_fit *fit, size_t n, double rate, sample *s, const uint8_t *small, uint8_t *weak)
{
    pooled *all = malloc((n + 1) * sizeof *all);
    size_t filled = 0;

    if (!all)
        return false;
    for (size_t e = 0; e < fit->hops->edges_n; e++)
        for (size_t k = 0; small[e] && k < fit->hops->edges[e].n; k++)
            all[filled++] = (pooled){0, (uint32_t)e, fit->hops->edges[e].first + k};
    judge_pools(fit, all, filled, true, rate, s, weak);
    judge_pools(fit, all, filled, false, rate, s, weak);
    free(all);
    return true;
}

typedef struct {
    tspi_hop_store *hops;
    const uint8_t *weak;
} flagging;

static bool flag_edge(void *flagging_, size_t e, unsigned worker)
{
    const flagging *f = flagging_;
    const tspi_stored_edge *edge = &f->hops->edges[e];

    (void)worker;
    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        tspi_stored_hop *hop = &f->hops->hops[row];
        hop->flags &= (uint16_t)~TSPI_STORED_WEAK;
        if (f->weak[e] && tspi_stored_is_hard(hop))
            hop->flags |= TSPI_STORED_WEAK;
    }
    return true;
}

static void flag_hops(tspi_fit *fit, const uint8_t *weak, bool *ret_any)
{
    flagging f = {fit->hops, weak};

    *ret_any = false;
    for (size_t e = 0; e < fit->hops->edges_n; e++)
        *ret_any |= weak[e] != TSPI_EDGE_SOUND;
    tspi_parallel(fit->threads, fit->hops->edges_n, flag_edge, &f);
}

/* Where most of what is violated are lies, or may be, an edge that only just looks sound is no witness either. */
static void doubt_all(const size_t *violated, size_t doubtful, size_t edges, uint8_t *weak)
{
    size_t sound = 0;

    for (size_t e = 0; e < edges; e++)
        sound += weak[e] == TSPI_EDGE_SOUND ? violated[e] : 0;
    for (size_t e = 0; e < edges && doubtful > sound; e++)
        weak[e] = violated[e] ? TSPI_EDGE_VAGUE : weak[e];
}

#define MOST_WORKERS 64

typedef struct {
    const tspi_fit *fit;
    double rate;
    size_t most;                  /* hops of an edge */
    sample samples[MOST_WORKERS]; /* owned, each most */
    size_t *violated, *doubtful;  /* owned, edges */
    uint8_t *small;               /* owned, edges */
    uint8_t *weak;                /* borrowed, edges */
} judging;

static bool sample_init(sample *s, size_t most)
{
    s->values = malloc((most + 1) * sizeof *s->values);
    s->slacks = malloc((most + 1) * sizeof *s->slacks);
    return s->values && s->slacks;
}

static void sample_release(sample *s)
{
    free(s->values);
    free(s->slacks);
}

static bool judge_edge(void *judging_, size_t e, unsigned worker)
{
    judging *j = judging_;
    sample *s = &j->samples[worker];

    if (!s->values && !sample_init(s, j->most))
        return false;
    gather(j->fit, &j->fit->hops->edges[e], s);
    bool small = is_small(s), waits = may_be_waits(s), lies = may_be_lies(s, j->rate);
    j->small[e] = small;
    j->violated[e] = s->violated;
    j->doubtful[e] = s->lies + (waits || lies ? s->violated : 0);
    j->weak[e] = small || waits ? TSPI_EDGE_VAGUE : lies ? TSPI_EDGE_WEAK : TSPI_EDGE_SOUND;
    return true;
}

static bool judge_small_edges(judging *j)
{
    const tspi_hop_store *hops = j->fit->hops;
    sample s = {0};
    size_t small_hops = 0;

    for (size_t e = 0; e < hops->edges_n; e++)
        small_hops += j->small[e] ? hops->edges[e].n : 0;
    bool ok = sample_init(&s, small_hops) && pool_small_edges(j->fit, small_hops, j->rate, &s, j->small, j->weak);
    sample_release(&s);
    return ok;
}

bool tspi_credible(tspi_fit *fit, uint8_t *ret_weak, bool *ret_any)
{
    const tspi_hop_store *hops = fit->hops;
    judging j = {.fit = fit,
                 .rate = rate_of_lies(hops),
                 .violated = calloc(hops->edges_n + 1, sizeof *j.violated),
                 .doubtful = calloc(hops->edges_n + 1, sizeof *j.doubtful),
                 .small = malloc(hops->edges_n + 1),
                 .weak = ret_weak};
    size_t doubtful = 0;

    for (size_t e = 0; e < hops->edges_n; e++)
        j.most = hops->edges[e].n > j.most ? hops->edges[e].n : j.most;
    bool ok = j.violated && j.doubtful && j.small && tspi_parallel(fit->threads, hops->edges_n, judge_edge, &j) &&
              judge_small_edges(&j);
    if (ok) {
        for (size_t e = 0; e < hops->edges_n; e++)
            doubtful += j.doubtful[e];
        doubt_all(j.violated, doubtful, hops->edges_n, ret_weak);
        flag_hops(fit, ret_weak, ret_any);
    }
    for (unsigned k = 0; k < MOST_WORKERS; k++)
        sample_release(&j.samples[k]);
    free(j.violated);
    free(j.doubtful);
    free(j.small);
    return ok;
}
