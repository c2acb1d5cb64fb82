/* Of dense traffic, the hops that a solver needs.
 *
 * What bounds a clock are the fastest hops of an edge and its time; what the others are for, their distribution, a fair
 * sample shows as well. So of each bucket of the time of an edge that is dense, a second or, in minutes of traffic, up
 * to four, the solver gets a sample of 8 hops of either kind and the 4 fastest hard ones, as a stream's summary keeps
 * them (truespan/stream.h). Of soft hops the sample alone: a
 * quorum asks how many of all agree, and of that the fastest are no fair picture. Which hops these are depends on the
 * hops alone, not on their order.
 *
 * Bounds stay proofs, since each stands on hops that were seen. Whether the tracks mend the hops that the solver did
 * not see is asked of every one of them afterwards; where it is not so, the solver gets them all (correct.c). */
#ifndef TSPI_MEND_THIN_H
#define TSPI_MEND_THIN_H

#include "causal/causal.h"
#include "truespan/clocks.h"

enum { TSPI_THIN_LEAST = 4, TSPI_THIN_SAMPLE = 8 };

/* The hops of one kind from one clock to another. */
typedef struct {
    bool dense;                   /* if not, all of them are wanted */
    uint64_t sampled_below;       /* hashes of the sample */
    int64_t first_ns, bucket_ns;  /* received stamps */
    size_t first_bucket, buckets; /* hard hops: rows of tspi_thin.buckets */
    double fence_ns;              /* below it, counted from its bucket's median, a hop is late */
} tspi_thin_line;

/* Hard hops of a bucket of an edge's time. */
typedef struct {
    int64_t least_ns[TSPI_THIN_LEAST]; /* smallest slacks, ascending */
    double median_ns;                  /* of the sample; NAN: nothing was sampled */
} tspi_thin_bucket;

/* A hop that may be wanted. */
typedef struct {
    tspi_hop hop;
    uint64_t place; /* among the hops in range, in the order of the lean scan */
    bool sampled;
} tspi_thin_noted;

/* Zero it to initialise. Owned: release. */
typedef struct {
    uint32_t clocks_n;
    uint32_t *rows;             /* by (from, to) where clocks are few: 1 + the edge; 0 = no hop */
    uint64_t *ends;             /* edges: from << 32 | to, ascending */
    tspi_thin_line (*lines)[2]; /* edges, by kind */
    size_t edges_n;
    tspi_thin_bucket *buckets;
    size_t buckets_n;
    tspi_thin_noted *noted; /* all that are wanted and some more, in the order of the scan; until tspi_thin_forget */
    size_t noted_n, noted_cap;
    uint64_t out_of_range; /* hops with a stamp that no clock shows */
    tspi_hop *late;        /* owned; hops that are late, of each bucket at least the first */
    size_t late_n;
} tspi_thin;

/* Its stamps are ones that a clock shows, and that a solver takes. */
static inline bool tspi_mend_in_range(const tspi_hop *hop)
{
    return hop->sent_ns >= -TSP_STAMP_MAX && hop->sent_ns <= TSP_STAMP_MAX && hop->received_ns >= -TSP_STAMP_MAX &&
           hop->received_ns <= TSP_STAMP_MAX;
}

/* ret_worth: there are so many hops, and so few of them are wanted, that it is worth it; else nothing needs releasing,
 * as on failure: TSP_ENOMEM. least_hops: fewer are few. */
tsp_status tspi_thin_init(tspi_thin *ret_thin, const tspi_causal *causal, uint64_t least_hops, bool *ret_worth,
                          tsp_error *err);
void tspi_thin_release(tspi_thin *thin);
/* What was noted is not needed any more. */
void tspi_thin_forget(tspi_thin *thin);

/* Does the solver get this hop? */
bool tspi_thin_wants(const tspi_thin *thin, const tspi_hop *hop);
bool tspi_thin_wants_noted(const tspi_thin *thin, const tspi_thin_noted *noted);

/* Of one that it does not get: it lies so far below the others of its edge and time that its stamp is a late one. */
bool tspi_thin_is_late(const tspi_thin *thin, const tspi_hop *hop);

#endif
