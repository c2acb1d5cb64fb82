/* Less memory for the same time: buckets twice as long.
 *
 * The fastest of two buckets together are among the fastest of each, and so with their samples (stream_bucket.h): what
 * comes out is what hops fed into the longer bucket would have left. Counts add up. */
#include <stdlib.h>
#include <string.h>

#include "solve/stream_summary.h"

/* The pair's number. Division rounds towards zero, time does not. */
static int64_t half(int64_t number)
{
    return number / 2 - (number % 2 < 0);
}

/* Move all that `from` holds into `into`. False: out of memory; both are whole. */
static bool pour(tspi_stream_bucket *into, tspi_stream_bucket *from, uint64_t *bytes)
{
    for (unsigned k = 0; k < from->n; k++)
        if (!tspi_stream_bucket_add(into, &from->rows[k], bytes))
            return false;
    if (__builtin_add_overflow(into->count, from->count, &into->count))
        into->count = UINT64_MAX;
    tspi_stream_bucket_release(from, bytes);
    return true;
}

static bool coarsen_edge(tsp_stream *stream, tspi_stream_edge *edge)
{
    size_t n = 0;
    bool ok = true;

    for (size_t k = 0; k < edge->n; k++) {
        tspi_stream_bucket bucket = edge->buckets[k];
        bucket.number = half(bucket.number);
        if (n && edge->buckets[n - 1].number == bucket.number &&
            (ok = ok && pour(&edge->buckets[n - 1], &bucket, &stream->bytes)))
            continue;
        edge->buckets[n++] = bucket;
    }
    edge->n = n;
    if (ok)
        tspi_stream_edge_shrink(stream, edge);
    return ok;
}

tsp_status tspi_stream_coarsen(tsp_stream *stream, tsp_error *err)
{
    if (stream->config.bucket_ns > TSP_STAMP_MAX / 2)
        return tsp_error_set(err, TSP_ERANGE, "no time is left to make buckets longer");
    for (uint32_t e = 0; e < stream->edges_n; e++)
        if (!coarsen_edge(stream, &stream->edges[e]))
            return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    stream->config.bucket_ns *= 2;
    return TSP_OK;
}

size_t tspi_stream_longest(const tsp_stream *stream)
{
    size_t longest = 0;

    for (uint32_t e = 0; e < stream->edges_n; e++)
        longest = stream->edges[e].n > longest ? stream->edges[e].n : longest;
    return longest;
}
