/* Clocks from hops that never end: a summary of bounded size, from which tracks can be had at any time.
 *
 *     tsp_stream_new(&config, &stream, &err);
 *     tsp_stream_clock(stream, "host-a", &a, &err);            a name's number
 *     tsp_stream_add_hops(stream, hops, n, &err);              as they come
 *     tsp_stream_advance(stream, now_ns);                      from time to time: forget what is old
 *     tsp_stream_merge(stream, another, &err);                 what another instance has seen
 *     tsp_stream_solver(stream, NULL, &solver, rows, &err);    a solver that has been fed; run it, read it, free it
 *
 * For each edge (ordered pair of clocks, hard and soft apart) and each bucket of time (1 s) the summary keeps how many
 * hops there were, those with the 4 smallest slacks, and a sample of 8. The sample is the 8 hops with the smallest
 * hashes (bottom-k), so the summary is a function of the set of hops alone: feeding them in another order, or to
 * several instances that are merged later, in any order, gives the same bytes. Only the counts are sums, so hops that
 * two instances both saw are counted twice, but kept once.
 *
 * A stream is used by one thread at a time. A solver made from it is independent of it: run it elsewhere while the
 * stream goes on. Times are Unix ns; see truespan/clocks.h for signs and units. */
#ifndef TRUESPAN_STREAM_H
#define TRUESPAN_STREAM_H

#include "truespan/clocks.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tsp_stream tsp_stream;

#define TSP_STREAM_NAME_MOST 255 /* bytes of a clock's name */

/* Zero means the default of every field.
 * bucket_ns      length of a bucket by the sender's clock; default 1 s. Streams that merge have the same
 * horizon_ns     how far back tsp_stream_advance remembers; default 600 s
 * most_clocks    default 10,000
 * most_bytes     of memory for the summary, about; default 256 MiB. Beyond it the oldest eighth of the buckets is
 * forgotten max_drift_ppm, quorum, threads   as in tsp_solver_config, for tsp_stream_solver */
typedef struct {
    int64_t bucket_ns, horizon_ns;
    uint32_t most_clocks;
    uint64_t most_bytes;
    double max_drift_ppm;
    uint32_t quorum;
    uint32_t threads;
} tsp_stream_config;

/* TSP_EINVAL: a bucket under 1 ms or over 1 h, a horizon shorter than a bucket. TSP_ENOMEM. */
TSP_API tsp_status tsp_stream_new(const tsp_stream_config *config, tsp_stream **ret_stream, tsp_error *err);
TSP_API void tsp_stream_free(tsp_stream *stream);

/* The number of the clock of that name, a new one if need be. Numbers hold until the next tsp_stream_advance.
 * TSP_EINVAL: an empty name or one too long. TSP_ENOMEM: most_clocks are known, or no memory. */
TSP_API tsp_status tsp_stream_clock(tsp_stream *stream, const char *name, uint32_t *ret_clock, tsp_error *err);

/* NULL: no such clock. Borrowed until the next tsp_stream_advance. */
TSP_API const char *tsp_stream_clock_name(const tsp_stream *stream, uint32_t clock);

/* Add n hops between clocks of this stream. tag and operation go through to the solver; where instances merge, an
 * operation must have the same number everywhere, such as a hash of its name. Before the first tsp_stream_advance all
 * times are welcome; after it a hop sent further than the horizon from now is counted as a stray and not kept.
 * Nothing is added on TSP_EINVAL (no such clock or kind) and TSP_ERANGE (as in tsp_solver_add_hops). On TSP_ENOMEM the
 * hops before the one that failed are in. */
TSP_API tsp_status tsp_stream_add_hops(tsp_stream *stream, const tsp_hop *hops, size_t n, tsp_error *err);

/* It is now_ns: forget buckets that ended more than the horizon ago, and clocks without a bucket. Clocks may get new
 * numbers. */
TSP_API tsp_status tsp_stream_advance(tsp_stream *stream, int64_t now_ns, tsp_error *err);

/* Add what another stream holds; it is not changed. TSP_EINVAL: other buckets. TSP_ENOMEM, also for most_clocks:
 * part of it may be in. */
TSP_API tsp_status tsp_stream_merge(tsp_stream *stream, const tsp_stream *other, tsp_error *err);

/* The summary as bytes that a stream elsewhere can merge, whatever the machine; the caller frees them with free().
 * TSP_ENOMEM. */
TSP_API tsp_status tsp_stream_pack(const tsp_stream *stream, uint8_t **ret_bytes, size_t *ret_n, tsp_error *err);

/* Merge packed bytes; nothing about them is trusted. TSP_EPARSE (with the byte's offset): not a summary, or a broken
 * one; then nothing is merged. Else as tsp_stream_merge. */
TSP_API tsp_status tsp_stream_merge_packed(tsp_stream *stream, const uint8_t *bytes, size_t n, tsp_error *err);

/* A solver that has been fed with the summary; it has not run. Its clocks are the stream's in the order of their names,
 * so that the answer does not depend on who was seen first.
 * reference  name of the clock whose time is the truth, or NULL: as TSP_NO_CLOCK in tsp_solver_config
 * ret_rows   tsp_stream_totals.clocks numbers: of each clock of the stream, its row in the solver; may be NULL
 * TSP_EINVAL: no such reference. TSP_ENOMEM. */
TSP_API tsp_status tsp_stream_solver(const tsp_stream *stream, const char *reference, tsp_solver **ret_solver,
                                     uint32_t *ret_rows, tsp_error *err);

/* hops: added, over all time, merged ones included; hops_now: in the buckets that are remembered; kept: of those, the
 * ones that are there hop by hop. from_ns, to_ns: the time that the buckets cover, 0 when there are none. */
typedef struct {
    uint32_t clocks, edges;
    uint64_t buckets, hops, hops_now, kept, strays, forgotten; /* forgotten: hops in buckets dropped */
    uint64_t bytes;                                            /* of memory, about */
    int64_t from_ns, to_ns;
} tsp_stream_totals;
TSP_API void tsp_stream_totals_of(const tsp_stream *stream, tsp_stream_totals *ret_totals);

#ifdef __cplusplus
}
#endif
#endif
