#include "solve/stream_bucket.h"

#include <stdlib.h>
#include <string.h>

static int compare(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* Rows that differ in anything differ in order, so that ties are broken alike everywhere. */
static int by_content(const tspi_stream_row *a, const tspi_stream_row *b)
{
    int order = compare((uint64_t)a->sent, (uint64_t)b->sent);

    order = order ? order : compare((uint64_t)a->received, (uint64_t)b->received);
    order = order ? order : compare(a->tag, b->tag);
    order = order ? order : compare(a->operation, b->operation);
    return order ? order : compare(a->quantum, b->quantum);
}

static int by_hash(const tspi_stream_row *a, const tspi_stream_row *b)
{
    int order = compare(tspi_stream_hash(a), tspi_stream_hash(b));

    return order ? order : by_content(a, b);
}

static int by_slack(const tspi_stream_row *a, const tspi_stream_row *b)
{
    int64_t x = tspi_stream_slack(a), y = tspi_stream_slack(b);

    return x != y ? (x > y) - (x < y) : by_hash(a, b);
}

/* How many rows are faster: below TSPI_STREAM_LEAST, the row is one of the fastest. */
static unsigned rank(const tspi_stream_row *rows, unsigned n, const tspi_stream_row *row)
{
    unsigned faster = 0;

    for (unsigned k = 0; k < n; k++)
        faster += by_slack(&rows[k], row) < 0;
    return faster;
}

/* Of TSPI_STREAM_ROWS + 1 sorted rows at most, drop those that belong nowhere any more. */
static unsigned prune(tspi_stream_row *rows, unsigned n)
{
    bool keep[TSPI_STREAM_ROWS + 1];
    unsigned kept = 0;

    for (unsigned k = 0; k < n; k++)
        keep[k] = k < TSPI_STREAM_SAMPLE || rank(rows, n, &rows[k]) < TSPI_STREAM_LEAST;
    for (unsigned k = 0; k < n; k++)
        if (keep[k])
            rows[kept++] = rows[k];
    return kept;
}

static bool make_room(tspi_stream_bucket *bucket, unsigned n, uint64_t *bytes)
{
    unsigned cap = bucket->cap ? bucket->cap : 1;

    if (n <= bucket->cap)
        return true;
    while (cap < n)
        cap *= 2;
    cap = cap > TSPI_STREAM_ROWS ? TSPI_STREAM_ROWS : cap;
    tspi_stream_row *grown = realloc(bucket->rows, cap * sizeof *grown);
    if (!grown)
        return false;
    *bytes += (cap - bucket->cap) * sizeof *grown;
    bucket->rows = grown;
    bucket->cap = (uint8_t)cap;
    return true;
}

static void set_limits(tspi_stream_bucket *bucket)
{
    if (bucket->n < TSPI_STREAM_SAMPLE)
        return;
    bucket->hash_most = tspi_stream_hash(&bucket->rows[TSPI_STREAM_SAMPLE - 1]);
    for (unsigned k = 0; k < bucket->n; k++)
        if (rank(bucket->rows, bucket->n, &bucket->rows[k]) == TSPI_STREAM_LEAST - 1)
            bucket->slack_most = tspi_stream_slack(&bucket->rows[k]);
}

bool tspi_stream_bucket_add(tspi_stream_bucket *bucket, const tspi_stream_row *row, uint64_t *bytes)
{
    tspi_stream_row rows[TSPI_STREAM_ROWS + 1];
    unsigned n = bucket->n, at = 0;

    if (n >= TSPI_STREAM_SAMPLE && tspi_stream_slack(row) > bucket->slack_most &&
        tspi_stream_hash(row) > bucket->hash_most)
        return true;
    while (at < n && by_hash(&bucket->rows[at], row) < 0)
        at++;
    if (at < n && !by_hash(&bucket->rows[at], row))
        return true;
    if (at)
        memcpy(rows, bucket->rows, at * sizeof *rows);
    rows[at] = *row;
    if (at < n)
        memcpy(rows + at + 1, bucket->rows + at, (n - at) * sizeof *rows);
    n = prune(rows, n + 1);
    if (!make_room(bucket, n, bytes))
        return false;
    memcpy(bucket->rows, rows, n * sizeof *rows);
    bucket->n = (uint8_t)n;
    set_limits(bucket);
    return true;
}

void tspi_stream_bucket_release(tspi_stream_bucket *bucket, uint64_t *bytes)
{
    *bytes -= bucket->cap * sizeof *bucket->rows;
    free(bucket->rows);
    memset(bucket, 0, sizeof *bucket);
}
