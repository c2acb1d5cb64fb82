/* The summary behind truespan/stream.h: clocks by name, edges, and each edge's buckets by time. */
#ifndef TSPI_SOLVE_STREAM_SUMMARY_H
#define TSPI_SOLVE_STREAM_SUMMARY_H

#include "solve/stream_bucket.h"
#include "truespan/stream.h"

typedef struct {
    uint32_t from, to;
    uint8_t kind;                /* enum tsp_hop_kind */
    tspi_stream_bucket *buckets; /* owned; ascending numbers */
    size_t n, cap;
} tspi_stream_edge;

struct tsp_stream {
    tsp_stream_config config;
    char **names; /* owned, clocks */
    uint32_t clocks, clocks_cap;
    uint32_t *name_index; /* owned; hash of a name -> clock + 1 */
    size_t name_slots;
    tspi_stream_edge *edges; /* owned, in the order in which they were first seen */
    uint32_t edges_n, edges_cap;
    uint32_t *edge_index; /* owned; hash of (from, to, kind) -> edge + 1 */
    size_t edge_slots;
    uint64_t bytes; /* of edges and buckets, which trimming can give back */
    uint64_t name_bytes, hops, strays, forgotten;
    int64_t now_ns;
    bool has_now;
};

/* The bucket of an edge, made if need be. NULL: out of memory. */
tspi_stream_bucket *tspi_stream_bucket_of(tsp_stream *stream, uint32_t from, uint32_t to, uint8_t kind, int64_t number);

/* Forget the oldest buckets while there are too many bytes. */
tsp_status tspi_stream_trim(tsp_stream *stream, tsp_error *err);

/* Make buckets twice as long, as if they had been so from the beginning: two of an edge become one.
 * TSP_ERANGE: they hold all time there is. TSP_ENOMEM: the stream is good for nothing but being freed. */
tsp_status tspi_stream_coarsen(tsp_stream *stream, tsp_error *err);

/* Buckets of the edge that has most of them. */
size_t tspi_stream_longest(const tsp_stream *stream);

/* Give back room that an edge does not need any more. */
void tspi_stream_edge_shrink(tsp_stream *stream, tspi_stream_edge *edge);

/* ret_order: clocks, by name; ret_edges: edges, by the ranks of their clocks and by kind. Both malloc'ed.
 * ret_rank: of each clock, its place in ret_order. False: out of memory. */
bool tspi_stream_order(const tsp_stream *stream, uint32_t **ret_order, uint32_t **ret_rank, uint32_t **ret_edges);

static inline int64_t tspi_stream_number(const tsp_stream *stream, int64_t sent_ns)
{
    int64_t length = stream->config.bucket_ns;

    return sent_ns / length - (sent_ns % length < 0);
}

/* Is the bucket within the horizon? */
bool tspi_stream_is_recent(const tsp_stream *stream, int64_t number);

#endif
