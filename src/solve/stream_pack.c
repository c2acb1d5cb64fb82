/* Summaries merged: in memory, and as bytes from elsewhere.
 *
 * The bytes, little-endian whatever the machine: "TSPSTRM1"; bucket length i64; clocks u32; edges u32; each clock's
 * name (u8 length, bytes) in ascending order; each edge (from u32, to u32, kind u8, buckets u32), clocks numbered in
 * that order, edges ascending; each bucket (number i64, count u64, rows u8), ascending; each row (sent i64, received
 * i64, tag u64, operation u32, quantum u32), by ascending hash; and a 64-bit hash of all that. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "solve/stream_summary.h"

#define MAGIC "TSPSTRM1"
enum { MAGIC_N = 8, HASH_N = 8 };
#define QUANTUM_MOST_NS (4 * TSP_NS_PER_S)

static tsp_status add_bucket(tsp_stream *stream, uint32_t from, uint32_t to, uint8_t kind,
                             const tspi_stream_bucket *bucket, tsp_error *err)
{
    stream->hops += bucket->count;
    if (!tspi_stream_is_recent(stream, bucket->number)) {
        stream->strays += bucket->count;
        return TSP_OK;
    }
    tspi_stream_bucket *into = tspi_stream_bucket_of(stream, from, to, kind, bucket->number);
    for (unsigned k = 0; into && k < bucket->n; k++)
        if (!tspi_stream_bucket_add(into, &bucket->rows[k], &stream->bytes))
            return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    if (!into)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    if (__builtin_add_overflow(into->count, bucket->count, &into->count))
        into->count = UINT64_MAX;
    return tspi_stream_trim(stream, err);
}

tsp_status tsp_stream_merge(tsp_stream *stream, const tsp_stream *other, tsp_error *err)
{
    uint32_t *number = malloc(((size_t)other->clocks + 1) * sizeof *number);
    tsp_status rc = TSP_OK;

    if (!number)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    if (stream == other || other->config.bucket_ns != stream->config.bucket_ns)
        rc = tsp_error_set(err, TSP_EINVAL, "only another stream with buckets as long can be merged");
    for (uint32_t c = 0; c < other->clocks && rc == TSP_OK; c++)
        rc = tsp_stream_clock(stream, other->names[c], &number[c], err);
    for (uint32_t e = 0; e < other->edges_n && rc == TSP_OK; e++) {
        const tspi_stream_edge *edge = &other->edges[e];
        for (size_t k = 0; k < edge->n && rc == TSP_OK; k++)
            rc = add_bucket(stream, number[edge->from], number[edge->to], edge->kind, &edge->buckets[k], err);
    }
    free(number);
    return rc;
}

static void put(tspi_buf *buf, uint64_t value, int bytes)
{
    for (int k = 0; k < bytes; k++)
        tspi_buf_putc(buf, (char)(value >> 8 * k));
}

static void put_bucket(tspi_buf *buf, const tspi_stream_bucket *bucket)
{
    put(buf, (uint64_t)bucket->number, 8);
    put(buf, bucket->count, 8);
    put(buf, bucket->n, 1);
    for (unsigned k = 0; k < bucket->n; k++) {
        const tspi_stream_row *row = &bucket->rows[k];
        put(buf, (uint64_t)row->sent, 8);
        put(buf, (uint64_t)row->received, 8);
        put(buf, row->tag, 8);
        put(buf, row->operation, 4);
        put(buf, row->quantum, 4);
    }
}

tsp_status tsp_stream_pack(const tsp_stream *stream, uint8_t **ret_bytes, size_t *ret_n, tsp_error *err)
{
    uint32_t *order, *rank, *edges;
    tspi_buf buf = {0};

    if (!tspi_stream_order(stream, &order, &rank, &edges))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    tspi_buf_append(&buf, MAGIC, MAGIC_N);
    put(&buf, (uint64_t)stream->config.bucket_ns, 8);
    put(&buf, stream->clocks, 4);
    put(&buf, stream->edges_n, 4);
    for (uint32_t k = 0; k < stream->clocks; k++) {
        const char *name = stream->names[order[k]];
        put(&buf, strlen(name), 1);
        tspi_buf_puts(&buf, name);
    }
    for (uint32_t k = 0; k < stream->edges_n; k++) {
        const tspi_stream_edge *edge = &stream->edges[edges[k]];
        put(&buf, rank[edge->from], 4);
        put(&buf, rank[edge->to], 4);
        put(&buf, edge->kind, 1);
        put(&buf, edge->n, 4);
        for (size_t b = 0; b < edge->n; b++)
            put_bucket(&buf, &edge->buckets[b]);
    }
    if (tspi_buf_ok(&buf))
        put(&buf, tspi_hash64(buf.data, buf.len, 0), HASH_N);
    free(order);
    free(rank);
    free(edges);
    if (!tspi_buf_ok(&buf)) {
        tspi_buf_release(&buf);
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    }
    *ret_bytes = buf.data;
    *ret_n = buf.len;
    return TSP_OK;
}

/* Packed bytes being read. What is wrong stays wrong: one check at the end of each part. */
typedef struct {
    const uint8_t *bytes;
    size_t n, at;
    const char *wrong; /* NULL: nothing yet */
} cursor;

static uint64_t get(cursor *c, int bytes)
{
    uint64_t value = 0;

    if (c->wrong || c->n - c->at < (size_t)bytes) {
        c->wrong = c->wrong ? c->wrong : "it ends too early";
        return 0;
    }
    for (int k = 0; k < bytes; k++)
        value |= (uint64_t)c->bytes[c->at++] << 8 * k;
    return value;
}

static void want(cursor *c, bool good, const char *otherwise)
{
    if (!good && !c->wrong)
        c->wrong = otherwise;
}

static bool is_stamp(int64_t ns)
{
    return ns >= -TSP_STAMP_MAX && ns <= TSP_STAMP_MAX;
}

/* rows: room for TSPI_STREAM_ROWS. */
static void get_bucket(cursor *c, const tsp_stream *stream, tspi_stream_bucket *ret, tspi_stream_row *rows)
{
    *ret = (tspi_stream_bucket){.number = (int64_t)get(c, 8), .rows = rows};
    ret->count = get(c, 8);
    ret->n = (uint8_t)get(c, 1);
    want(c, ret->n >= 1 && ret->n <= TSPI_STREAM_ROWS && ret->count >= ret->n, "a bucket with an impossible count");
    for (unsigned k = 0; k < ret->n && !c->wrong; k++) {
        tspi_stream_row *row = &rows[k];
        row->sent = (int64_t)get(c, 8);
        row->received = (int64_t)get(c, 8);
        row->tag = get(c, 8);
        row->operation = (uint32_t)get(c, 4);
        row->quantum = (uint32_t)get(c, 4);
        want(c, is_stamp(row->sent) && is_stamp(row->received) && row->quantum <= QUANTUM_MOST_NS,
             "a stamp that no clock shows");
        want(c, c->wrong || tspi_stream_number(stream, row->sent) == ret->number, "a hop in a bucket not its own");
    }
}

typedef struct {
    uint32_t from, to;
    uint8_t kind;
    uint32_t buckets;
} edge_head;

static edge_head get_edge(cursor *c, uint32_t clocks, const edge_head *before)
{
    edge_head e;

    e.from = (uint32_t)get(c, 4);
    e.to = (uint32_t)get(c, 4);
    e.kind = (uint8_t)get(c, 1);
    e.buckets = (uint32_t)get(c, 4);
    want(c, e.from < clocks && e.to < clocks && e.kind <= TSP_HOP_SOFT && e.buckets, "an impossible edge");
    if (before)
        want(c,
             e.from > before->from ||
                 (e.from == before->from && (e.to > before->to || (e.to == before->to && e.kind > before->kind))),
             "edges out of order");
    return e;
}

/* A name with a NUL behind it, in ret. */
static void get_name(cursor *c, char ret[TSP_STREAM_NAME_MOST + 1])
{
    size_t len = get(c, 1);

    want(c, c->wrong || (len && len <= c->n - c->at), "it ends too early");
    if (c->wrong)
        return;
    memcpy(ret, c->bytes + c->at, len);
    ret[len] = 0;
    c->at += len;
    want(c, strlen(ret) == len, "a name with a zero in it");
}

/* One walk over the bytes: with number NULL only to see that all is well; else merging, number being room for the
 * stream's numbers of the clocks. */
static tsp_status walk(cursor *c, tsp_stream *stream, uint32_t *number, tsp_error *err)
{
    char name[TSP_STREAM_NAME_MOST + 1], last[TSP_STREAM_NAME_MOST + 1] = "";
    edge_head before = {0};
    tsp_status rc = TSP_OK;

    c->at = MAGIC_N;
    want(c, (int64_t)get(c, 8) == stream->config.bucket_ns, "its buckets are of another length");
    uint32_t clocks = (uint32_t)get(c, 4), edges = (uint32_t)get(c, 4);
    for (uint32_t k = 0; k < clocks && !c->wrong && rc == TSP_OK; k++) {
        get_name(c, name);
        want(c, c->wrong || strcmp(last, name) < 0, "names out of order");
        memcpy(last, name, sizeof last);
        if (number && !c->wrong)
            rc = tsp_stream_clock(stream, name, &number[k], err);
    }
    for (uint32_t e = 0; e < edges && !c->wrong && rc == TSP_OK; e++) {
        edge_head head = get_edge(c, clocks, e ? &before : NULL);
        int64_t past = INT64_MIN;
        for (uint32_t b = 0; b < head.buckets && !c->wrong && rc == TSP_OK; b++) {
            tspi_stream_row rows[TSPI_STREAM_ROWS];
            tspi_stream_bucket bucket;
            get_bucket(c, stream, &bucket, rows);
            want(c, !b || bucket.number > past, "buckets out of order");
            past = bucket.number;
            if (number && !c->wrong)
                rc = add_bucket(stream, number[head.from], number[head.to], head.kind, &bucket, err);
        }
        before = head;
    }
    want(c, c->at == c->n, "there is more behind it");
    return rc;
}

tsp_status tsp_stream_merge_packed(tsp_stream *stream, const uint8_t *bytes, size_t n, tsp_error *err)
{
    cursor c = {.bytes = bytes, .n = n};
    uint32_t *number;

    if (n < MAGIC_N + 16 + HASH_N || memcmp(bytes, MAGIC, MAGIC_N) != 0)
        return tsp_error_at(err, TSP_EPARSE, 0, "this is no summary of a stream: it does not begin with " MAGIC);
    c.n = n - HASH_N;
    c.at = c.n;
    cursor end = {.bytes = bytes, .n = n, .at = c.n};
    if (get(&end, HASH_N) != tspi_hash64(bytes, c.n, 0))
        return tsp_error_at(err, TSP_EPARSE, c.n, "the summary was damaged or cut: its hash is another");
    tsp_status rc = walk(&c, stream, NULL, err);
    if (c.wrong)
        return tsp_error_at(err, TSP_EPARSE, c.at, "the summary is broken before byte %zu: %s", c.at, c.wrong);
    /* A clock takes two bytes at least, so n bounds their number. */
    number = malloc((n / 2 + 1) * sizeof *number);
    if (!number)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    if (rc == TSP_OK)
        rc = walk(&c, stream, number, err);
    free(number);
    return rc;
}
