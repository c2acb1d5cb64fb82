#include "mend/thin.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/grow.h"
#include "base/hash.h"
#include "causal/hop_walk.h"
#include "causal/windows.h"
#include "solve/constants.h"
#include "solve/estimate.h"
#include "solve/order.h"

/* Buckets of an edge's time. As many as BUCKETS of them hold 512 hops of its sample, which tells a distribution; then
 * they grow, up to what clocks hardly move within: 4 s, 40 us at 10 ppm. */
#define BUCKET_LEAST_NS TSP_NS_PER_S
#define BUCKET_MOST_NS (4 * TSP_NS_PER_S)
#define BUCKETS 64
#define WORTH 2       /* an edge is dense when so many times as many hops are there as are wanted */
#define FEW_CLOCKS 64 /* up to so many a matrix finds an edge */

void tspi_thin_forget(tspi_thin *thin)
{
    tspi_big_free(thin->noted, thin->noted_cap * sizeof *thin->noted);
    thin->noted = NULL;
    thin->noted_n = thin->noted_cap = 0;
}

void tspi_thin_release(tspi_thin *thin)
{
    free(thin->rows);
    free(thin->ends);
    free(thin->lines);
    tspi_big_free(thin->buckets, (thin->buckets_n + 1) * sizeof *thin->buckets);
    tspi_thin_forget(thin);
    free(thin->late);
    memset(thin, 0, sizeof *thin);
}

static inline tspi_thin_line *line_of(const tspi_thin *thin, const tspi_hop *hop)
{
    if (thin->rows)
        return &thin->lines[thin->rows[hop->from_clock * thin->clocks_n + hop->to_clock] - 1][hop->kind];
    uint64_t ends = (uint64_t)hop->from_clock << 32 | hop->to_clock;
    size_t lo = 0, hi = thin->edges_n - 1;
    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        if (thin->ends[middle] < ends)
            lo = middle + 1;
        else
            hi = middle;
    }
    return &thin->lines[lo][hop->kind];
}

static tspi_thin_bucket *bucket_of(const tspi_thin *thin, const tspi_thin_line *line, const tspi_hop *hop)
{
    return &thin->buckets[line->first_bucket + (size_t)((hop->received_ns - line->first_ns) / line->bucket_ns)];
}

static int64_t slack_of(const tspi_hop *hop)
{
    return tspi_hop_slack_ns(hop) + hop->allowance_ns;
}

/* By what the hop is, not by where it stands. */
static inline bool is_sampled(const tspi_thin_line *line, const tspi_hop *hop)
{
    uint64_t from = hop->set->spans[hop->from_span].span_id, to = hop->set->spans[hop->to_span].span_id;

    return tspi_hash_mix(from ^ tspi_hash_mix(to ^ (uint64_t)hop->sent_ns)) < line->sampled_below;
}

/* ---- which edges are dense ---- */

/* How many hops are wanted of the line; all of them where it is not dense. */
static uint64_t plan_line(tspi_thin *thin, const tspi_edge *edge, int kind, tspi_thin_line *line)
{
    uint64_t n = edge->slacks[kind].n, wanted = TSPI_THIN_SAMPLE + (kind == TSPI_HOP_HARD ? TSPI_THIN_LEAST : 0);
    uint64_t time_ns = (uint64_t)edge->last_ns - (uint64_t)edge->first_ns, bucket_ns = time_ns / BUCKETS;

    bucket_ns = bucket_ns < BUCKET_LEAST_NS ? BUCKET_LEAST_NS : bucket_ns > BUCKET_MOST_NS ? BUCKET_MOST_NS : bucket_ns;
    uint64_t buckets = time_ns / bucket_ns + 1;
    *line = (tspi_thin_line){.first_ns = edge->first_ns, .bucket_ns = (int64_t)bucket_ns, .fence_ns = -INFINITY};
    if (!n || buckets > n / (WORTH * wanted))
        return n;
    line->dense = true;
    line->sampled_below = (uint64_t)((double)(TSPI_THIN_SAMPLE * buckets) / (double)n * 0x1p64);
    if (kind == TSPI_HOP_HARD) {
        line->first_bucket = thin->buckets_n;
        line->buckets = buckets;
        thin->buckets_n += buckets;
    }
    return wanted * buckets;
}

static bool plan(tspi_thin *thin, const tspi_edges *edges, uint64_t *ret_wanted)
{
    size_t n = edges->edges_n;

    thin->clocks_n = edges->clocks_n;
    thin->edges_n = n;
    thin->ends = malloc((n + 1) * sizeof *thin->ends);
    thin->lines = malloc((n + 1) * sizeof *thin->lines);
    if (edges->clocks_n <= FEW_CLOCKS)
        thin->rows = calloc((size_t)edges->clocks_n * edges->clocks_n + 1, sizeof *thin->rows);
    if (!thin->ends || !thin->lines || (edges->clocks_n <= FEW_CLOCKS && !thin->rows))
        return false;
    *ret_wanted = 0;
    for (size_t e = 0; e < n; e++) {
        const tspi_edge *edge = &edges->edges[e];
        thin->ends[e] = (uint64_t)edge->from << 32 | edge->to;
        if (thin->rows)
            thin->rows[edge->from * edges->clocks_n + edge->to] = (uint32_t)e + 1;
        for (int kind = 0; kind < 2; kind++)
            *ret_wanted += plan_line(thin, edge, kind, &thin->lines[e][kind]);
    }
    return true;
}

/* ---- one pass over the hops ---- */

typedef struct {
    uint32_t bucket;
    int64_t slack_ns;
} sampled_slack;

typedef struct {
    tspi_thin *thin;
    sampled_slack *samples; /* owned */
    size_t n, cap;
    uint64_t place; /* of the next hop in range */
} survey;

static bool keep_sample(survey *s, size_t bucket, int64_t slack_ns)
{
    sampled_slack *samples = tspi_grown(s->samples, s->n, &s->cap, sizeof *samples);

    if (!samples)
        return false;
    s->samples = samples;
    s->samples[s->n++] = (sampled_slack){(uint32_t)bucket, slack_ns};
    return true;
}

static bool note(tspi_thin *thin, tspi_hop hop, uint64_t place, bool sampled)
{
    if (thin->noted_n == thin->noted_cap) {
        size_t cap = thin->noted_cap + thin->noted_cap / 2 + 4096;
        void *grown = tspi_big_resize(thin->noted, thin->noted_cap * sizeof *thin->noted, cap * sizeof *thin->noted);
        if (!grown)
            return false;
        thin->noted = grown;
        thin->noted_cap = cap;
    }
    thin->noted[thin->noted_n++] = (tspi_thin_noted){hop, place, sampled};
    return true;
}

/* False: it is not among them so far, so it will not be. */
static bool keep_least(tspi_thin_bucket *bucket, int64_t slack_ns)
{
    unsigned k = TSPI_THIN_LEAST - 1;

    if (slack_ns >= bucket->least_ns[k])
        return slack_ns == bucket->least_ns[k];
    for (; k > 0 && bucket->least_ns[k - 1] > slack_ns; k--)
        bucket->least_ns[k] = bucket->least_ns[k - 1];
    bucket->least_ns[k] = slack_ns;
    return true;
}

/* Note the hop if it may be wanted. False: memory is exhausted. */
TSPI_INLINED bool look(void *ctx, const tspi_hop *hop)
{
    survey *s = ctx;
    bool sampled = false, wanted = true;

    if (!tspi_mend_in_range(hop)) {
        s->thin->out_of_range++;
        return true;
    }
    uint64_t place = s->place++;
    const tspi_thin_line *line = hop->same_clock ? NULL : line_of(s->thin, hop);
    if (!line)
        wanted = hop->kind == TSPI_HOP_SOFT;
    else if (line->dense) {
        wanted = sampled = is_sampled(line, hop);
        if (hop->kind == TSPI_HOP_HARD) {
            tspi_thin_bucket *bucket = bucket_of(s->thin, line, hop);
            wanted |= keep_least(bucket, slack_of(hop));
            if (sampled && !keep_sample(s, (size_t)(bucket - s->thin->buckets), slack_of(hop)))
                return false;
        }
    }
    return !wanted || note(s->thin, *hop, place, sampled);
}

static tsp_status look_at_join(void *ctx, const tspi_join *join, tsp_error *err)
{
    tspi_hop_range all = {.spans_end = join->set->spans_n, .links_end = join->set->links_n, .lean = true};
    bool ok = tspi_hops_walk(join, &all, look, ctx);

    return ok ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory");
}

/* ---- what is late ---- */

/* Samples by bucket: those of bucket b are values[ends[b - 1]] to values[ends[b]]. */
static void deal(const survey *s, size_t *ends, double *values)
{
    size_t before = 0;

    for (size_t k = 0; k < s->n; k++)
        ends[s->samples[k].bucket]++;
    for (size_t b = 0; b < s->thin->buckets_n; b++) {
        size_t n = ends[b];
        ends[b] = before;
        before += n;
    }
    for (size_t k = 0; k < s->n; k++)
        values[ends[s->samples[k].bucket]++] = (double)s->samples[k].slack_ns;
}

/* The fastest of many are where late stamps gather: of them alone far more are late than of all. So they are held
 * against the sample, which is a fair picture: their distance from the median of their second against the distances of
 * all samples of the edge, by the fence that the solver puts up later among what it is given. Clocks hardly move within
 * a second, and what they do move is in those distances. */
static tsp_status find_fences(const survey *s, tsp_error *err)
{
    tspi_thin *thin = s->thin;
    size_t *ends = calloc(thin->buckets_n + 1, sizeof *ends);
    double *values = malloc((s->n + 1) * sizeof *values);
    bool ok = ends && values;

    if (ok)
        deal(s, ends, values);
    for (size_t b = 0, first = 0; ok && b < thin->buckets_n; first = ends[b++]) {
        size_t n = ends[b] - first;
        thin->buckets[b].median_ns = n ? tspi_median(values + first, n) : NAN;
        for (size_t k = first; k < ends[b]; k++)
            values[k] -= thin->buckets[b].median_ns;
    }
    for (size_t e = 0; ok && e < thin->edges_n; e++) {
        tspi_thin_line *line = &thin->lines[e][TSPI_HOP_HARD];
        if (!line->dense)
            continue;
        size_t first = line->first_bucket ? ends[line->first_bucket - 1] : 0;
        size_t n = ends[line->first_bucket + line->buckets - 1] - first;
        if (n >= FENCE_LEAST)
            line->fence_ns = tspi_fence_of(values + first, n, LIE_PART, FENCE_STEP * LIE_PART, 0);
    }
    free(ends);
    free(values);
    return ok ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory");
}

/* Of the late hops of a bucket at least the first is noted. */
static bool find_late(tspi_thin *thin)
{
    size_t cap = 0;

    for (size_t k = 0; k < thin->noted_n; k++) {
        const tspi_hop *hop = &thin->noted[k].hop;
        if (hop->same_clock || !tspi_thin_is_late(thin, hop))
            continue;
        if (thin->late_n == cap) {
            cap = 2 * cap + 64;
            tspi_hop *grown = realloc(thin->late, cap * sizeof *grown);
            if (!grown)
                return false;
            thin->late = grown;
        }
        thin->late[thin->late_n++] = *hop;
    }
    return true;
}

tsp_status tspi_thin_init(tspi_thin *ret_thin, const tspi_causal *causal, uint64_t least_hops, bool *ret_worth,
                          tsp_error *err)
{
    tspi_thin thin = {0};
    survey s = {.thin = &thin};
    uint64_t wanted = 0;
    tsp_status rc = TSP_OK;

    *ret_worth = false;
    if (causal->edges.hops < least_hops)
        return TSP_OK;
    if (!plan(&thin, &causal->edges, &wanted))
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory");
    *ret_worth = rc == TSP_OK && wanted <= causal->edges.hops / WORTH && thin.buckets_n < UINT32_MAX;
    if (*ret_worth && !(thin.buckets = tspi_big_calloc(thin.buckets_n + 1, sizeof *thin.buckets)))
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory");
    for (size_t b = 0; rc == TSP_OK && *ret_worth && b < thin.buckets_n; b++)
        for (int k = 0; k < TSPI_THIN_LEAST; k++)
            thin.buckets[b].least_ns[k] = INT64_MAX;
    if (rc == TSP_OK && *ret_worth)
        rc = tspi_join_each(&causal->join, look_at_join, &s, err);
    if (rc == TSP_OK && *ret_worth)
        rc = find_fences(&s, err);
    if (rc == TSP_OK && *ret_worth && !find_late(&thin))
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory");
    free(s.samples);
    *ret_worth = *ret_worth && rc == TSP_OK;
    if (*ret_worth)
        *ret_thin = thin;
    else
        tspi_thin_release(&thin);
    return rc;
}

/* ---- hop by hop ---- */

static bool is_below_fence(const tspi_thin *thin, const tspi_thin_line *line, const tspi_hop *hop)
{
    /* Of a second without a sample nothing is known: NAN is below no fence. */
    return (double)slack_of(hop) - bucket_of(thin, line, hop)->median_ns < line->fence_ns;
}

static bool is_among_least(const tspi_thin *thin, const tspi_thin_line *line, const tspi_hop *hop)
{
    return hop->kind == TSPI_HOP_HARD && slack_of(hop) <= bucket_of(thin, line, hop)->least_ns[TSPI_THIN_LEAST - 1] &&
           !is_below_fence(thin, line, hop);
}

bool tspi_thin_wants(const tspi_thin *thin, const tspi_hop *hop)
{
    if (hop->same_clock)
        return hop->kind == TSPI_HOP_SOFT; /* hard ones teach nothing there */
    const tspi_thin_line *line = line_of(thin, hop);
    return !line->dense || is_sampled(line, hop) || is_among_least(thin, line, hop);
}

bool tspi_thin_wants_noted(const tspi_thin *thin, const tspi_thin_noted *noted)
{
    if (noted->sampled || noted->hop.same_clock)
        return true;
    const tspi_thin_line *line = line_of(thin, &noted->hop);
    return !line->dense || is_among_least(thin, line, &noted->hop);
}

bool tspi_thin_is_late(const tspi_thin *thin, const tspi_hop *hop)
{
    const tspi_thin_line *line = line_of(thin, hop);

    return line->dense && hop->kind == TSPI_HOP_HARD && is_below_fence(thin, line, hop);
}
