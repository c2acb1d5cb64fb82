/* From the summary to a solver. Everything is fed in the order of the clocks' names, so that the answer is a function
 * of what was seen, not of when or where. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/order.h"
#include "solve/stream_summary.h"

typedef struct {
    const char *name;
    uint32_t clock;
} named;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const named *)a)->name, ((const named *)b)->name);
}

typedef struct {
    uint32_t from, to, kind, edge;
} ranked;

static int by_rank(const void *a_, const void *b_)
{
    const ranked *a = a_, *b = b_;

    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    if (a->to != b->to)
        return a->to < b->to ? -1 : 1;
    return (int)a->kind - (int)b->kind;
}

bool tspi_stream_order(const tsp_stream *stream, uint32_t **ret_order, uint32_t **ret_rank, uint32_t **ret_edges)
{
    size_t clocks = stream->clocks, edges = stream->edges_n;
    named *names = malloc((clocks + 1) * sizeof *names);
    ranked *rows = malloc((edges + 1) * sizeof *rows);
    uint32_t *order = malloc((clocks + 1) * sizeof *order), *rank = malloc((clocks + 1) * sizeof *rank);
    uint32_t *list = malloc((edges + 1) * sizeof *list);
    bool ok = names && rows && order && rank && list;

    for (uint32_t c = 0; ok && c < clocks; c++)
        names[c] = (named){stream->names[c], c};
    if (ok)
        qsort(names, clocks, sizeof *names, by_name);
    for (uint32_t k = 0; ok && k < clocks; k++) {
        order[k] = names[k].clock;
        rank[names[k].clock] = k;
    }
    for (uint32_t e = 0; ok && e < edges; e++) {
        const tspi_stream_edge *edge = &stream->edges[e];
        rows[e] = (ranked){rank[edge->from], rank[edge->to], edge->kind, e};
    }
    if (ok)
        qsort(rows, edges, sizeof *rows, by_rank);
    for (uint32_t k = 0; ok && k < edges; k++)
        list[k] = rows[k].edge;
    free(names);
    free(rows);
    if (!ok) {
        free(order);
        free(rank);
        free(list);
        return false;
    }
    *ret_order = order;
    *ret_rank = rank;
    *ret_edges = list;
    return true;
}

/* Of an edge with many hops a bucket keeps few, and the fastest of many are where late stamps gather: of them alone,
 * far more are lies than of all hops. So the fastest are held against the sample, which is a fair picture: their
 * distance from their bucket's median against the distances of all samples of the edge, by the same fence that the
 * solver puts up later among what it is given. Clocks hardly move within a bucket, and what they do move is in those
 * distances. */
typedef struct {
    double *values; /* owned; room for the samples of the largest edge */
    bool believe_all;
} sieve;

static int64_t sample_median(const tspi_stream_bucket *bucket)
{
    double slacks[TSPI_STREAM_SAMPLE];
    unsigned n = bucket->n < TSPI_STREAM_SAMPLE ? bucket->n : TSPI_STREAM_SAMPLE;

    for (unsigned k = 0; k < n; k++)
        slacks[k] = (double)tspi_stream_slack(&bucket->rows[k]);
    return (int64_t)tspi_median(slacks, n);
}

/* Below this distance from the median of its bucket, a hop among the fastest is a lie; -INFINITY: cannot be told. */
static double fence_of(sieve *s, const tspi_stream_edge *edge)
{
    size_t n = 0, kept = 0;

    if (s->believe_all)
        return -INFINITY;
    for (size_t b = 0; b < edge->n; b++) {
        const tspi_stream_bucket *bucket = &edge->buckets[b];
        int64_t median = sample_median(bucket);
        for (unsigned k = 0; k < bucket->n && k < TSPI_STREAM_SAMPLE; k++)
            s->values[n++] = (double)(tspi_stream_slack(&bucket->rows[k]) - median);
    }
    if (n < FENCE_LEAST)
        return -INFINITY;
    double bulk = tspi_quantile(s->values, n, FENCE_BULK), gross = bulk + FENCE_REACH * bulk; /* the median is 0 */
    for (size_t k = 0; k < n; k++)
        if (s->values[k] >= gross)
            s->values[kept++] = s->values[k];
    double low = tspi_quantile(s->values, kept, LIE_PART), high = tspi_quantile(s->values, kept, FENCE_STEP * LIE_PART);
    return low - FENCE_REACH * (high - low);
}

/* Of soft hops the sample alone: a quorum asks how many of all agree, and on one clock they only show how often such
 * stamps lie. Of either the fastest are no fair picture. */
static bool is_wanted(const tspi_stream_edge *edge, const tspi_stream_bucket *bucket, unsigned k, double fence)
{
    if (k < TSPI_STREAM_SAMPLE)
        return true;
    return edge->from != edge->to && edge->kind == TSP_HOP_HARD &&
           (double)(tspi_stream_slack(&bucket->rows[k]) - sample_median(bucket)) >= fence;
}

static tsp_status feed_edge(tsp_solver *solver, sieve *s, const tspi_stream_edge *edge, const uint32_t *rank,
                            tsp_error *err)
{
    double fence = fence_of(s, edge);
    tsp_status rc = TSP_OK;

    for (size_t b = 0; b < edge->n && rc == TSP_OK; b++) {
        const tspi_stream_bucket *bucket = &edge->buckets[b];
        tsp_hop hops[TSPI_STREAM_ROWS];
        size_t n = 0;
        for (unsigned k = 0; k < bucket->n; k++)
            if (is_wanted(edge, bucket, k, fence))
                hops[n++] = (tsp_hop){.from = rank[edge->from],
                                      .to = rank[edge->to],
                                      .sent_ns = bucket->rows[k].sent,
                                      .received_ns = bucket->rows[k].received,
                                      .quantum_ns = bucket->rows[k].quantum,
                                      .tag = bucket->rows[k].tag,
                                      .operation = bucket->rows[k].operation,
                                      .kind = edge->kind};
        rc = tsp_solver_add_hops(solver, hops, n, err);
    }
    return rc;
}

static bool sieve_init(sieve *s, const tsp_stream *stream)
{
    size_t most = 0;

    for (uint32_t e = 0; e < stream->edges_n; e++)
        most = stream->edges[e].n > most ? stream->edges[e].n : most;
    *s = (sieve){malloc((most * TSPI_STREAM_SAMPLE + 1) * sizeof *s->values), stream->config.quorum == 1};
    return s->values != NULL;
}

static tsp_status find_reference(const tsp_stream *stream, const char *name, const uint32_t *rank, uint32_t *ret,
                                 tsp_error *err)
{
    *ret = TSP_NO_CLOCK;
    for (uint32_t c = 0; name && c < stream->clocks; c++)
        if (!strcmp(stream->names[c], name))
            *ret = rank[c];
    return name && *ret == TSP_NO_CLOCK ? tsp_error_set(err, TSP_EINVAL, "there is no clock '%.60s'", name) : TSP_OK;
}

tsp_status tsp_stream_solver(const tsp_stream *stream, const char *reference, tsp_solver **ret_solver,
                             uint32_t *ret_rows, tsp_error *err)
{
    tsp_solver_config config = {.clocks = stream->clocks,
                                .max_drift_ppm = stream->config.max_drift_ppm,
                                .quorum = stream->config.quorum,
                                .threads = stream->config.threads};
    uint32_t *order, *rank, *edges;
    tsp_solver *solver = NULL;
    sieve s;

    if (!sieve_init(&s, stream))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    if (!tspi_stream_order(stream, &order, &rank, &edges)) {
        free(s.values);
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    }
    tsp_status rc = find_reference(stream, reference, rank, &config.reference, err);
    if (rc == TSP_OK)
        rc = tsp_solver_new(&config, &solver, err);
    for (uint32_t k = 0; k < stream->edges_n && rc == TSP_OK; k++)
        rc = feed_edge(solver, &s, &stream->edges[edges[k]], rank, err);
    if (rc == TSP_OK && ret_rows && stream->clocks)
        memcpy(ret_rows, rank, stream->clocks * sizeof *ret_rows);
    free(s.values);
    free(order);
    free(rank);
    free(edges);
    if (rc == TSP_OK)
        *ret_solver = solver;
    else
        tsp_solver_free(solver);
    return rc;
}
