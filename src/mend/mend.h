/* From traces to clocks, and back to traces with true stamps.
 *
 *     tspi_mend_open     files -> spans -> hops -> solver: verdicts, tracks, bounds, proofs
 *     tspi_mend_correct  tracks -> every stamp as it will be written; what is still violated then
 *     tspi_mend_write    stamps -> files
 */
#ifndef TSPI_MEND_MEND_H
#define TSPI_MEND_MEND_H

#include "base/bits.h"
#include "causal/causal.h"
#include "mend/thin.h"
#include "mend/utc_bounds.h"
#include "truespan/clocks.h"
#include "wire/wire.h"

/* Zero means the default of every field but paths. Borrowed until the mend is released.
 * bounds       file of bounds against UTC, which is the reference then; NULL = none
 * quorum       as in tsp_solver_config
 * keep         the input is going to be written back
 * thin         of dense traffic the solver may get a part (thin.h): bounds are somewhat wider, estimates somewhat
 *              coarser; and of edges hops are only counted
 * thin_least   the hops between clocks from which on it does; 0 = 200,000 */
typedef struct {
    const char *const *paths;
    size_t paths_n;
    const char *format, *clock_key, *reference, *bounds;
    double max_drift_ppm;
    uint32_t quorum;
    unsigned threads; /* 0 = one a core */
    bool keep_going, keep;
    bool annotate; /* corrected spans say so */
    bool thin;
    uint64_t thin_least;
} tspi_mend_options;

/* A span's stamps as they were read. */
typedef struct {
    int64_t start_ns, end_ns;
} tspi_mend_stamps;

/* A hop that a correction breaks once it is written: the solver must leave it this much more room.
 * hard  an answer that the solver did not count, but that was whole before: it is to stay so */
typedef struct {
    uint64_t tag;
    int64_t need_ns;
    bool hard;
} tspi_mend_need;

/* A hop given to the solver that is violated as it was stamped. */
typedef struct {
    size_t index; /* the solver's */
    uint32_t from_clock;
} tspi_mend_broken;

/* What a solver said. clocks: a row a clock; what they point to is the solver's. */
typedef struct {
    tsp_solver *solver;       /* owned; has run */
    tsp_clock_result *clocks; /* owned */
    tsp_solver_summary_row summary;
    uint64_t hops_fed;        /* hops that the solver has, same-clock ones included */
    uint64_t *fed;            /* owned; a bit a hop in the order of the scan: it was given. NULL: all were */
    tspi_mend_broken *broken; /* owned */
    size_t broken_n;
    uint64_t hops_out_of_range; /* with a stamp that no clock shows, such as the year 1700: left out */
} tspi_mend_answer;

/* Violations as `truespan check` counts them. */
typedef struct {
    uint64_t total, hard, soft, same_clock, negative_duration, token_order;
} tspi_mend_violations;

/* What was corrected. */
typedef struct {
    tspi_mend_violations before, left;
    uint64_t clocks_moved, spans_moved;
    uint64_t clamped; /* lying stamps moved, one by one */
    int64_t largest_ns;
    unsigned rounds; /* how often the solver ran again, for hops that its first answer broke */
} tspi_mend_outcome;

typedef struct {
    tspi_mend_options options;
    tspi_span_set set; /* after tspi_mend_correct: with corrected stamps */
    tspi_read_report report;
    tspi_causal causal;
    uint32_t reference; /* clock asked for or found best, or TSP_NO_CLOCK: the solver chooses, or it is UTC */
    tspi_utc_bounds bounds;
    uint64_t bounds_used; /* of them, those of clocks that are in the input; any: UTC is the reference */
    tspi_mend_answer answer;
    tspi_thin thin;
    bool thinned; /* the answer stands on the hops that thin wants, not on all */
    /* Of tspi_mend_correct. */
    tspi_mend_stamps *raw; /* owned; a row a span, of those in kept alone: ask tspi_mend_raw */
    uint64_t *kept;        /* owned; bits of spans: of clocks that move, or all of them where any stamp may */
    tspi_quantum *quanta;  /* owned; a row a process: those of the input */
    tspi_edges
        corrected; /* owned; the last audit's: hops and spans of clocks that moved (of all, once stamps were clamped) */
    tspi_mend_need *needs; /* owned; ascending tags */
    size_t needs_n;
    uint8_t *moves;   /* owned; a flag a clock: its stamps are corrected */
    uint8_t *touched; /* owned; a flag a process: a stamp of its may be written differently */
    uint64_t *lies;   /* owned; ascending tags of the hops that the solver does not believe */
    size_t lies_n;
    uint64_t true_lies; /* of them, those that no coarseness of stamps excuses */
    uint32_t *frames;   /* owned; a clock a group: whose time is its truth; TSPI_NONE: UTC */
    uint32_t frames_n;
    bool believe_all; /* nothing lies: what is set aside is to count, too */
} tspi_mend;

/* Read, join, solve. Errors: those of reading and of tspi_causal_init; TSP_EINVAL: no such format or reference;
 * TSP_ERANGE, TSP_ENOMEM. On failure nothing needs releasing. */
tsp_status tspi_mend_open(tspi_mend *ret_mend, const tspi_mend_options *options, tsp_error *err);
void tspi_mend_release(tspi_mend *mend);

/* A link's spans, from its tag. */
static inline uint32_t tspi_mend_from_span(uint64_t tag)
{
    return (uint32_t)(tag >> 32);
}
static inline uint32_t tspi_mend_to_span(uint64_t tag)
{
    return (uint32_t)tag;
}

/* A clock's name; of the one behind the last: "UTC", which links of proofs may name. */
const char *tspi_mend_clock_name(const tspi_mend *mend, uint32_t clock);

/* Where a link of a proof is a bound from outside: its row; else NULL. */
const tspi_utc_bound *tspi_mend_bound_of(const tspi_mend *mend, const tsp_proof_link *link);

/* Correct all stamps in mend->set. Clocks move only in groups of which a truthful hop is violated, or a bound from
 * outside; a clock that nothing contradicts stays where it is. clamp: stamps that lie are moved to the latest time that
 * their hops allow. The result stands for the bytes to be written, in whole microseconds where the format has no more.
 * TSP_ENOMEM. */
tsp_status tspi_mend_correct(tspi_mend *mend, bool clamp, tspi_mend_outcome *ret_outcome, tsp_error *err);

/* A span's stamps as they were read, after the correction. */
static inline tspi_mend_stamps tspi_mend_raw(const tspi_mend *mend, size_t row)
{
    const tspi_span *span = &mend->set.spans[row];

    return tspi_bits_has(mend->kept, row) ? mend->raw[row] : (tspi_mend_stamps){span->start_ns, span->end_ns};
}

/* A tspi_stamp_edit for after the correction; ctx is the mend. */
int64_t tspi_mend_edit(void *ctx, const tspi_stamp_place *place);

/* A tspi_still for after the correction; ctx is the mend. */
bool tspi_mend_still(void *ctx, size_t row);

/* Write every document: one document of one path that is no folder to the file out ("-" = standard output); else all of
 * them into the folder out, by the names that they have below the paths given. Written aside, then renamed: on failure
 * out holds no new file. Errors: TSP_EINVAL: two documents of one name; TSP_EIO, TSP_ENOMEM, TSP_ERANGE: a stamp before
 * 1970. */
tsp_status tspi_mend_write(const tspi_mend *mend, const char *out, tsp_error *err);

/* Within the room. Solve, with mend->needs. TSP_EINFEASIBLE: there are needs, and no clocks that meet them. */
tsp_status tspi_mend_solve(const tspi_mend *mend, tspi_mend_answer *ret_answer, tsp_error *err);
void tspi_mend_answer_release(tspi_mend_answer *answer);
/* How many the solver may have. */
unsigned tspi_mend_threads(const tspi_mend *mend);
/* A hop as the solver takes it. */
tsp_hop tspi_mend_hop(const tspi_hop *hop, uint64_t tag);
/* Give the answer's solver its hops. */
tsp_status tspi_mend_feed(const tspi_mend *mend, tspi_mend_answer *answer, tsp_error *err);
/* Hops broken in the corrected set that the solver believes: added to mend->needs. ret_more: there are any. */
tsp_status tspi_mend_find_needs(tspi_mend *mend, bool *ret_more, tsp_error *err);
/* Of what is broken in the corrected set, does the solver believe nothing? */
tsp_status tspi_mend_is_explained(tspi_mend *mend, bool *ret_explained, tsp_error *err);
/* mend->frames, after the last solution. */
tsp_status tspi_mend_find_frames(tspi_mend *mend, tsp_error *err);
/* A tspi_annotate for after the correction; ctx is the mend. */
size_t tspi_mend_annotate(void *ctx, size_t row, const tspi_annotated *had, tspi_annotation *ret);
/* The need of a hop, NULL for most. */
const tspi_mend_need *tspi_mend_need_of(const tspi_mend *mend, uint64_t tag);
/* Give each hop that the solver may get, in the order in which it was fed, with its index there; TSPI_MEND_SPARED for
 * those that it was not given. For use while the set has raw stamps. */
#define TSPI_MEND_SPARED SIZE_MAX
typedef tsp_status (*tspi_mend_visit)(void *ctx, const tspi_hop *hop, size_t index, tsp_error *err);
tsp_status tspi_mend_each_hop(const tspi_mend *mend, tspi_mend_visit visit, void *ctx, tsp_error *err);

/* Solve with all hops from now on. */
tsp_status tspi_mend_solve_whole(tspi_mend *mend, tsp_error *err);

static inline uint64_t tspi_mend_tag(const tspi_hop *hop)
{
    return (uint64_t)hop->from_span << 32 | hop->to_span;
}

#endif
