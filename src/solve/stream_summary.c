/* What streams in: names to numbers, hops to buckets, and what is old forgotten. */
#include "solve/stream_summary.h"

#include <stdlib.h>
#include <string.h>

#define BUCKET_NS TSP_NS_PER_S
#define HORIZON_NS (600 * TSP_NS_PER_S)
#define MOST_CLOCKS 10000
#define MOST_BYTES (UINT64_C(256) << 20)
#define QUANTUM_MOST_NS (4 * TSP_NS_PER_S) /* what the solver takes */
#define FORGET_PART 8                      /* beyond most_bytes an eighth goes, so that going over it is rare */

static tsp_status no_memory(tsp_error *err)
{
    return tsp_error_set(err, TSP_ENOMEM, "out of memory");
}

tsp_status tsp_stream_new(const tsp_stream_config *config, tsp_stream **ret_stream, tsp_error *err)
{
    tsp_stream *stream;
    tsp_stream_config c = *config;

    c.bucket_ns = c.bucket_ns ? c.bucket_ns : BUCKET_NS;
    c.horizon_ns = c.horizon_ns ? c.horizon_ns : HORIZON_NS;
    c.most_clocks = c.most_clocks ? c.most_clocks : MOST_CLOCKS;
    c.most_bytes = c.most_bytes ? c.most_bytes : MOST_BYTES;
    if (c.bucket_ns < TSP_NS_PER_MS || c.bucket_ns > 3600 * TSP_NS_PER_S)
        return tsp_error_set(err, TSP_EINVAL, "a bucket lasts from 1 ms to 1 h, not %lld ns", (long long)c.bucket_ns);
    if (c.horizon_ns < c.bucket_ns || c.horizon_ns > TSP_STAMP_MAX)
        return tsp_error_set(err, TSP_EINVAL, "a horizon of %lld ns is shorter than a bucket, or endless",
                             (long long)c.horizon_ns);
    if (c.most_clocks >= TSP_NO_CLOCK - 1)
        return tsp_error_set(err, TSP_EINVAL, "that many clocks cannot be numbered");
    stream = calloc(1, sizeof *stream);
    if (!stream)
        return no_memory(err);
    stream->config = c;
    *ret_stream = stream;
    return TSP_OK;
}

static void release_edge(tsp_stream *stream, tspi_stream_edge *edge)
{
    for (size_t k = 0; k < edge->n; k++)
        tspi_stream_bucket_release(&edge->buckets[k], &stream->bytes);
    stream->bytes -= edge->cap * sizeof *edge->buckets;
    free(edge->buckets);
}

void tsp_stream_free(tsp_stream *stream)
{
    if (!stream)
        return;
    for (uint32_t e = 0; e < stream->edges_n; e++)
        release_edge(stream, &stream->edges[e]);
    for (uint32_t c = 0; c < stream->clocks; c++)
        free(stream->names[c]);
    free(stream->names);
    free(stream->name_index);
    free(stream->edges);
    free(stream->edge_index);
    free(stream);
}

/* Open addressing over numbers; twice as many slots as there are entries, at least. */
static size_t slots_for(size_t n)
{
    size_t slots = 64;

    while (slots < 2 * n + 2)
        slots *= 2;
    return slots;
}

static uint32_t *name_slot(const tsp_stream *stream, const char *name, size_t len)
{
    size_t k = tspi_hash64(name, len, 0) & (stream->name_slots - 1);

    while (stream->name_index[k] && strcmp(stream->names[stream->name_index[k] - 1], name) != 0)
        k = (k + 1) & (stream->name_slots - 1);
    return &stream->name_index[k];
}

static bool index_names(tsp_stream *stream, size_t n)
{
    size_t slots = slots_for(n);
    uint32_t *table = calloc(slots, sizeof *table);

    if (!table)
        return false;
    stream->name_bytes += (slots - stream->name_slots) * sizeof *table;
    free(stream->name_index);
    stream->name_index = table;
    stream->name_slots = slots;
    for (uint32_t c = 0; c < stream->clocks; c++)
        *name_slot(stream, stream->names[c], strlen(stream->names[c])) = c + 1;
    return true;
}

tsp_status tsp_stream_clock(tsp_stream *stream, const char *name, uint32_t *ret_clock, tsp_error *err)
{
    size_t len = strnlen(name, TSP_STREAM_NAME_MOST + 1);
    uint32_t *slot;

    if (!len || len > TSP_STREAM_NAME_MOST)
        return tsp_error_set(err, TSP_EINVAL, "a clock's name has 1 to %d bytes", TSP_STREAM_NAME_MOST);
    if (2 * ((size_t)stream->clocks + 1) > stream->name_slots && !index_names(stream, 2 * (size_t)stream->clocks + 32))
        return no_memory(err);
    slot = name_slot(stream, name, len);
    if (*slot) {
        *ret_clock = *slot - 1;
        return TSP_OK;
    }
    if (stream->clocks >= stream->config.most_clocks)
        return tsp_error_set(err, TSP_ENOMEM, "there are %u clocks already, as many as were allowed", stream->clocks);
    if (stream->clocks == stream->clocks_cap) {
        uint32_t cap = stream->clocks_cap ? 2 * stream->clocks_cap : 16;
        char **grown = realloc(stream->names, cap * sizeof *grown);
        if (!grown)
            return no_memory(err);
        stream->name_bytes += (cap - stream->clocks_cap) * sizeof *grown;
        stream->names = grown;
        stream->clocks_cap = cap;
    }
    char *copy = strdup(name);
    if (!copy)
        return no_memory(err);
    stream->name_bytes += len + 1;
    stream->names[stream->clocks] = copy;
    *ret_clock = stream->clocks;
    *slot = ++stream->clocks;
    return TSP_OK;
}

const char *tsp_stream_clock_name(const tsp_stream *stream, uint32_t clock)
{
    return clock < stream->clocks ? stream->names[clock] : NULL;
}

static uint32_t *edge_slot(const tsp_stream *stream, uint32_t from, uint32_t to, uint8_t kind)
{
    size_t k = tspi_hash_mix(((uint64_t)from << 32 | to) ^ (uint64_t)kind << 31) & (stream->edge_slots - 1);

    for (; stream->edge_index[k]; k = (k + 1) & (stream->edge_slots - 1)) {
        const tspi_stream_edge *edge = &stream->edges[stream->edge_index[k] - 1];
        if (edge->from == from && edge->to == to && edge->kind == kind)
            break;
    }
    return &stream->edge_index[k];
}

static bool index_edges(tsp_stream *stream, size_t n)
{
    size_t slots = slots_for(n);
    uint32_t *table = calloc(slots, sizeof *table);

    if (!table)
        return false;
    stream->bytes += (slots - stream->edge_slots) * sizeof *table;
    free(stream->edge_index);
    stream->edge_index = table;
    stream->edge_slots = slots;
    for (uint32_t e = 0; e < stream->edges_n; e++)
        *edge_slot(stream, stream->edges[e].from, stream->edges[e].to, stream->edges[e].kind) = e + 1;
    return true;
}

static tspi_stream_edge *edge_of(tsp_stream *stream, uint32_t from, uint32_t to, uint8_t kind)
{
    uint32_t *slot;

    if (2 * ((size_t)stream->edges_n + 1) > stream->edge_slots &&
        !index_edges(stream, 2 * (size_t)stream->edges_n + 32))
        return NULL;
    slot = edge_slot(stream, from, to, kind);
    if (*slot)
        return &stream->edges[*slot - 1];
    if (stream->edges_n == stream->edges_cap) {
        uint32_t cap = stream->edges_cap ? 2 * stream->edges_cap : 16;
        tspi_stream_edge *grown = realloc(stream->edges, cap * sizeof *grown);
        if (!grown)
            return NULL;
        stream->bytes += (cap - stream->edges_cap) * sizeof *grown;
        stream->edges = grown;
        stream->edges_cap = cap;
    }
    stream->edges[stream->edges_n] = (tspi_stream_edge){.from = from, .to = to, .kind = kind};
    *slot = ++stream->edges_n;
    return &stream->edges[stream->edges_n - 1];
}

/* Where the bucket is, or would be. Hops come roughly in order, so the end is looked at first. */
static size_t find_bucket(const tspi_stream_edge *edge, int64_t number)
{
    size_t lo = 0, hi = edge->n;

    if (hi && edge->buckets[hi - 1].number <= number)
        return edge->buckets[hi - 1].number == number ? hi - 1 : hi;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (edge->buckets[mid].number < number)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

tspi_stream_bucket *tspi_stream_bucket_of(tsp_stream *stream, uint32_t from, uint32_t to, uint8_t kind, int64_t number)
{
    tspi_stream_edge *edge = edge_of(stream, from, to, kind);

    if (!edge)
        return NULL;
    size_t at = find_bucket(edge, number);
    if (at < edge->n && edge->buckets[at].number == number)
        return &edge->buckets[at];
    if (edge->n == edge->cap) {
        size_t cap = edge->cap ? edge->cap + edge->cap / 2 + 1 : 4;
        tspi_stream_bucket *grown = realloc(edge->buckets, cap * sizeof *grown);
        if (!grown)
            return NULL;
        stream->bytes += (cap - edge->cap) * sizeof *grown;
        edge->buckets = grown;
        edge->cap = cap;
    }
    memmove(&edge->buckets[at + 1], &edge->buckets[at], (edge->n - at) * sizeof *edge->buckets);
    edge->buckets[at] = (tspi_stream_bucket){.number = number};
    edge->n++;
    return &edge->buckets[at];
}

bool tspi_stream_is_recent(const tsp_stream *stream, int64_t number)
{
    if (!stream->has_now)
        return true;
    int64_t now = tspi_stream_number(stream, stream->now_ns);
    int64_t most = (stream->config.horizon_ns + stream->config.bucket_ns - 1) / stream->config.bucket_ns;
    return number >= now - most && number <= now + most;
}

static bool is_stamp(int64_t ns)
{
    return ns >= -TSP_STAMP_MAX && ns <= TSP_STAMP_MAX;
}

static tsp_status check_hop(const tsp_stream *stream, const tsp_hop *hop, size_t k, tsp_error *err)
{
    if (hop->from >= stream->clocks || hop->to >= stream->clocks || hop->kind > TSP_HOP_SOFT)
        return tsp_error_set(err, TSP_EINVAL, "hop %zu: no such clock or kind", k);
    if (!is_stamp(hop->sent_ns) || !is_stamp(hop->received_ns) || hop->quantum_ns < 0 ||
        hop->quantum_ns > QUANTUM_MOST_NS)
        return tsp_error_set(err, TSP_ERANGE, "hop %zu: a stamp or a quantum out of range", k);
    return TSP_OK;
}

tsp_status tsp_stream_add_hops(tsp_stream *stream, const tsp_hop *hops, size_t n, tsp_error *err)
{
    for (size_t k = 0; k < n; k++) {
        tsp_status rc = check_hop(stream, &hops[k], k, err);
        if (rc != TSP_OK)
            return rc;
    }
    for (size_t k = 0; k < n; k++) {
        const tsp_hop *hop = &hops[k];
        tspi_stream_row row = {hop->sent_ns, hop->received_ns, hop->tag, hop->operation, (uint32_t)hop->quantum_ns};
        int64_t number = tspi_stream_number(stream, hop->sent_ns);
        stream->hops++;
        if (!tspi_stream_is_recent(stream, number)) {
            stream->strays++;
            continue;
        }
        tspi_stream_bucket *bucket = tspi_stream_bucket_of(stream, hop->from, hop->to, hop->kind, number);
        if (!bucket || !tspi_stream_bucket_add(bucket, &row, &stream->bytes))
            return no_memory(err);
        bucket->count++;
        tsp_status rc = tspi_stream_trim(stream, err);
        if (rc != TSP_OK)
            return rc;
    }
    return TSP_OK;
}

void tspi_stream_edge_shrink(tsp_stream *stream, tspi_stream_edge *edge)
{
    tspi_stream_bucket *smaller;

    if (edge->cap <= 2 * edge->n + 4 || !(smaller = realloc(edge->buckets, (edge->n + 2) * sizeof *smaller)))
        return;
    stream->bytes -= (edge->cap - edge->n - 2) * sizeof *smaller;
    edge->buckets = smaller;
    edge->cap = edge->n + 2;
}

/* Drop the buckets outside [from, to]; edges without a bucket go. */
static tsp_status forget(tsp_stream *stream, int64_t from, int64_t to, tsp_error *err)
{
    uint32_t edges = 0;

    for (uint32_t e = 0; e < stream->edges_n; e++) {
        tspi_stream_edge *edge = &stream->edges[e];
        size_t n = 0;
        for (size_t k = 0; k < edge->n; k++) {
            if (edge->buckets[k].number >= from && edge->buckets[k].number <= to)
                edge->buckets[n++] = edge->buckets[k];
            else {
                stream->forgotten += edge->buckets[k].count;
                tspi_stream_bucket_release(&edge->buckets[k], &stream->bytes);
            }
        }
        edge->n = n;
        if (n) {
            tspi_stream_edge_shrink(stream, edge);
            stream->edges[edges++] = *edge;
        } else
            release_edge(stream, edge);
    }
    stream->edges_n = edges;
    if (!edges) {
        stream->bytes -= stream->edges_cap * sizeof *stream->edges;
        free(stream->edges);
        stream->edges = NULL;
        stream->edges_cap = 0;
    }
    return !stream->edge_slots || index_edges(stream, edges) ? TSP_OK : no_memory(err);
}

/* Clocks that no edge names; the others move up. */
static tsp_status forget_clocks(tsp_stream *stream, tsp_error *err)
{
    uint32_t *number = calloc((size_t)stream->clocks + 1, sizeof *number), n = 0;

    if (!number)
        return no_memory(err);
    for (uint32_t e = 0; e < stream->edges_n; e++)
        number[stream->edges[e].from] = number[stream->edges[e].to] = 1;
    for (uint32_t c = 0; c < stream->clocks; c++) {
        if (number[c]) {
            stream->names[n] = stream->names[c];
            number[c] = n++;
        } else {
            stream->name_bytes -= strlen(stream->names[c]) + 1;
            free(stream->names[c]);
        }
    }
    stream->clocks = n;
    for (uint32_t e = 0; e < stream->edges_n; e++) {
        stream->edges[e].from = number[stream->edges[e].from];
        stream->edges[e].to = number[stream->edges[e].to];
    }
    free(number);
    return index_names(stream, n) && index_edges(stream, stream->edges_n) ? TSP_OK : no_memory(err);
}

tsp_status tsp_stream_advance(tsp_stream *stream, int64_t now_ns, tsp_error *err)
{
    int64_t most = (stream->config.horizon_ns + stream->config.bucket_ns - 1) / stream->config.bucket_ns, now;

    if (!is_stamp(now_ns))
        return tsp_error_set(err, TSP_ERANGE, "no clock shows %lld ns", (long long)now_ns);
    stream->now_ns = now_ns;
    stream->has_now = true;
    now = tspi_stream_number(stream, now_ns);
    tsp_status rc = forget(stream, now - most, now + most, err);
    return rc == TSP_OK ? forget_clocks(stream, err) : rc;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* A few hops in the far future must not push out all the others: so by the order of buckets, not by time. */
tsp_status tspi_stream_trim(tsp_stream *stream, tsp_error *err)
{
    size_t n = 0, at = 0;
    int64_t *numbers;

    if (stream->bytes <= stream->config.most_bytes)
        return TSP_OK;
    for (uint32_t e = 0; e < stream->edges_n; e++)
        n += stream->edges[e].n;
    numbers = malloc((n + 1) * sizeof *numbers);
    if (!numbers)
        return no_memory(err);
    for (uint32_t e = 0; e < stream->edges_n; e++)
        for (size_t k = 0; k < stream->edges[e].n; k++)
            numbers[at++] = stream->edges[e].buckets[k].number;
    qsort(numbers, n, sizeof *numbers, by_number);
    int64_t last = n ? numbers[n / FORGET_PART] : 0;
    free(numbers);
    return forget(stream, last + 1, INT64_MAX, err);
}

void tsp_stream_totals_of(const tsp_stream *stream, tsp_stream_totals *ret)
{
    int64_t from = INT64_MAX, to = INT64_MIN;

    *ret = (tsp_stream_totals){.clocks = stream->clocks,
                               .edges = stream->edges_n,
                               .hops = stream->hops,
                               .strays = stream->strays,
                               .forgotten = stream->forgotten,
                               .bytes = sizeof *stream + stream->name_bytes + stream->bytes};
    for (uint32_t e = 0; e < stream->edges_n; e++) {
        const tspi_stream_edge *edge = &stream->edges[e];
        ret->buckets += edge->n;
        for (size_t k = 0; k < edge->n; k++) {
            ret->hops_now += edge->buckets[k].count;
            ret->kept += edge->buckets[k].n;
        }
        if (edge->n) {
            from = edge->buckets[0].number < from ? edge->buckets[0].number : from;
            to = edge->buckets[edge->n - 1].number > to ? edge->buckets[edge->n - 1].number : to;
        }
    }
    if (from <= to) {
        ret->from_ns = from * stream->config.bucket_ns;
        ret->to_ns = (to + 1) * stream->config.bucket_ns;
    }
}
