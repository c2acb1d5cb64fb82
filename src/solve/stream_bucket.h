/* One edge's hops of one bucket of time, reduced to what merges: how many, the 4 fastest, a sample of 8.
 *
 * The sample is bottom-k (Cohen & Kaplan, PODC 2007): the rows with the smallest hashes. So either part of the union
 * of two buckets can be found from the same parts of the two, exactly, and a row seen twice is kept once. */
#ifndef TSPI_SOLVE_STREAM_BUCKET_H
#define TSPI_SOLVE_STREAM_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash.h"

enum { TSPI_STREAM_LEAST = 4, TSPI_STREAM_SAMPLE = 8, TSPI_STREAM_ROWS = TSPI_STREAM_LEAST + TSPI_STREAM_SAMPLE };

typedef struct {
    int64_t sent, received;
    uint64_t tag;
    uint32_t operation, quantum;
} tspi_stream_row;

/* rows by ascending hash: the first TSPI_STREAM_SAMPLE are the sample, the others are there for their slacks. */
typedef struct {
    int64_t number; /* sent / bucket_ns, rounded down */
    uint64_t count;
    tspi_stream_row *rows; /* owned */
    int64_t slack_most;    /* from TSPI_STREAM_SAMPLE rows on: a hop above it is none of the least */
    uint64_t hash_most;    /* likewise for the sample */
    uint8_t n, cap;
} tspi_stream_bucket;

static inline uint64_t tspi_stream_hash(const tspi_stream_row *row)
{
    return tspi_hash_mix(tspi_hash_mix(tspi_hash_mix((uint64_t)row->sent) ^ (uint64_t)row->received) ^ row->tag);
}

static inline int64_t tspi_stream_slack(const tspi_stream_row *row)
{
    return row->received - row->sent + row->quantum;
}

/* Keep the row if it belongs among the fastest or into the sample; the count is the caller's. bytes: of memory in use,
 * brought up to date. False: out of memory. */
bool tspi_stream_bucket_add(tspi_stream_bucket *bucket, const tspi_stream_row *row, uint64_t *bytes);

void tspi_stream_bucket_release(tspi_stream_bucket *bucket, uint64_t *bytes);

#endif
