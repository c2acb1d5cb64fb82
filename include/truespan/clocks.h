/* Clocks from hops: every clock's offset over time, with bounds that are proofs.
 *
 * Feed hops (a stamp written by the sender, a stamp written by the receiver, truth: received is not before sent), run,
 * and read for each clock its verdict, its track and what proves it. All stamps are Unix ns as their own clock showed
 * them; an offset is local minus reference, positive = the clock runs ahead, and corrected = stamp - offset.
 *
 * A solver is used by one thread at a time. Results are borrowed from it and live until the next run or the free.
 * The same hops give the same results, whatever the order in which they were added and the number of threads. Clocks
 * are told apart by number only where nothing else decides: without a reference, of clocks equally good as a frame the
 * lowest is taken, so numbering them otherwise may choose another, against which all offsets and bounds are then
 * stated. */
#ifndef TRUESPAN_CLOCKS_H
#define TRUESPAN_CLOCKS_H

#include <stdbool.h>

#include "truespan/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tsp_solver tsp_solver;
typedef struct tsp_track tsp_track;

#define TSP_NO_CLOCK UINT32_MAX
#define TSP_NO_VALUE INT64_MIN                     /* an offset that cannot be known */
#define TSP_UNBOUNDED_LO INT64_MIN                 /* no hop bounds the offset from below */
#define TSP_UNBOUNDED_HI INT64_MAX                 /* no hop bounds it from above */
#define TSP_STAMP_MAX INT64_C(4000000000000000000) /* stamps beyond +-this (year 2096) are refused */

/* Zero means the default of every field but reference.
 * clocks         number of clocks; rows are 0 .. clocks - 1
 * reference      the clock whose time is the truth (if it steps: as it shows it over the longest stretch between its
 *                steps), or TSP_NO_CLOCK: each group of connected clocks then gets the frame in which most of its
 *                clocks need no correction, of a clock that neither steps nor slews if there is one
 * max_drift_ppm  the most by which any clock's rate differs from the reference's; default 100
 * quorum         0: soft hops bound when more agree than lies explain, and stamps written late are fenced off;
 *                1: every hop is believed; k > 1: k soft hops of one edge must agree
 * threads        at most this many; default 1 */
typedef struct {
    uint32_t clocks;
    uint32_t reference;
    double max_drift_ppm;
    uint32_t quorum;
    uint32_t threads;
} tsp_solver_config;

/* A hard hop (start -> start) may convict a clock; a soft one (server end -> client end), which can be stamped late
 * or cut off, may only inform. */
enum tsp_hop_kind { TSP_HOP_HARD, TSP_HOP_SOFT };

/* One causal pair. from == to is welcome: it constrains nothing, but teaches how often such stamps lie.
 * quantum_ns  by how much the receiver's stamp may be early because its process stamps coarsely; 0 = whole ns
 * operation   a number of the caller's for what was called: lies belong to operations
 * tag         the caller's name for this hop, handed back in explanations */
typedef struct {
    uint32_t from, to;
    int64_t sent_ns, received_ns;
    int64_t quantum_ns;
    uint64_t tag;
    uint32_t operation;
    uint8_t kind; /* enum tsp_hop_kind */
} tsp_hop;

/* TSP_EINVAL: reference or drift make no sense. TSP_ENOMEM. */
TSP_API tsp_status tsp_solver_new(const tsp_solver_config *config, tsp_solver **ret_solver, tsp_error *err);
TSP_API void tsp_solver_free(tsp_solver *solver);

/* Add n hops; their indices run on from the number added before. Nothing is added on an error.
 * TSP_EINVAL: no such clock or kind. TSP_ERANGE: a stamp beyond TSP_STAMP_MAX, a negative quantum or one over 4 s. */
TSP_API tsp_status tsp_solver_add_hops(tsp_solver *solver, const tsp_hop *hops, size_t n, tsp_error *err);

/* External knowledge (chrony, PTP, ClockBound): at its own stamp at_ns the clock's offset from UTC lay in [lo, hi] ns.
 * With any such bound the reference is UTC itself, and config.reference must be TSP_NO_CLOCK. */
TSP_API tsp_status tsp_solver_add_bound(tsp_solver *solver, uint32_t clock, int64_t at_ns, int64_t lo_ns, int64_t hi_ns,
                                        uint64_t tag, tsp_error *err);

/* Solve. TSP_OK also when the stamps contradict each other: see tsp_solver_summary. */
TSP_API tsp_status tsp_solver_run(tsp_solver *solver, tsp_error *err);

typedef enum {
    TSP_CLOCK_OK,        /* nothing speaks against it */
    TSP_CLOCK_SUSPECTED, /* the estimate is off, but 0 is inside the bounds */
    TSP_CLOCK_PROVEN,    /* the bounds exclude 0: wrong by at least the distance, if the hops left are truthful */
    TSP_CLOCK_UNKNOWN, /* too few hops, one-way traffic, contradictory stamps; or nobody tells which of two is wrong */
} tsp_clock_verdict;
TSP_API const char *tsp_clock_verdict_name(tsp_clock_verdict verdict);

/* at_ns is read on that clock; two knots at one instant are the two sides of a step.
 * offset_ns may be TSP_NO_VALUE, lo_ns TSP_UNBOUNDED_LO, hi_ns TSP_UNBOUNDED_HI. */
typedef struct {
    int64_t at_ns, offset_ns, lo_ns, hi_ns;
} tsp_knot;

/* The clock jumped by size_ns (positive: forward) between two neighbouring hops, at_ns being the last stamp that can
 * have been written before the jump, read before it. */
typedef struct {
    int64_t at_ns, size_ns;
    int64_t after_ns; /* the first stamp after it, read after the jump */
} tsp_step;

/* The clock's rate changed by rate_ppb (positive: from here on it gains more than before) about its stamp at_ns, for
 * good or until its next bend: a clock that is slewed has two. So the estimate accounts for what it saw: known to part
 * of a window (as long as some 40 of its hops take), those nearer to each other told as one, a small part of one
 * clock's put down to another now and then, and none of a clock whose rate wanders. A reference's own bends stand in
 * its own row, and what they make of the others' tracks, which are counted from it, in none. */
typedef struct {
    int64_t at_ns, rate_ppb;
} tsp_bend;

/* offset, lo, hi: at the clock's last stamp. sigma_ns: the estimate's own standard error, 0 when unknown. Knots are at
 * most 1 s apart where there is traffic. */
typedef struct {
    tsp_clock_verdict verdict;
    uint32_t group;    /* connected clocks share a group, and a frame */
    bool is_reference; /* this clock's time is the truth of its group, but for its steps */
    bool untouched;    /* nothing contradicts it: its track corrects by zero */
    int64_t offset_ns, lo_ns, hi_ns;
    int64_t sigma_ns;
    int64_t drift_ppb;   /* mean rate over the run, or TSP_NO_VALUE */
    int64_t at_least_ns; /* proven: the distance from 0, signed like the offset. Unknown: how far the clock and its
                            reference are apart, where the others do not tell which of the two is wrong. Else 0 */
    uint64_t hops_in, hops_out;
    const tsp_knot *knots;
    size_t knots_n;
    const tsp_step *steps;
    size_t steps_n;
    const tsp_bend *bends; /* by at_ns */
    size_t bends_n;
    const tsp_track *track; /* never NULL after a run */
} tsp_clock_result;
TSP_API tsp_status tsp_solver_clock(const tsp_solver *solver, uint32_t clock, tsp_clock_result *ret_result,
                                    tsp_error *err);

/* The stamp in the reference's time: exact integer arithmetic, monotonic between steps. In the overlap of a backward
 * step, where local time is double-valued, the middle of it decides; a hop may know better: see
 * tsp_solver_correct_hop. */
TSP_API int64_t tsp_track_correct(const tsp_track *track, int64_t stamp_ns);
TSP_API int64_t tsp_track_offset(const tsp_track *track, int64_t stamp_ns);

/* What the solver made of a hop, by its index in the order of adding. */
typedef enum {
    TSP_HOP_USED,       /* truthful as far as can be seen */
    TSP_HOP_LATE,       /* stamped late: far below the low tail of its own edge, neither estimates nor bounds */
    TSP_HOP_UNCOUNTED,  /* a soft hop that no quorum supports */
    TSP_HOP_CONFLICT,   /* part of a contradiction, set aside so that the rest could be solved */
    TSP_HOP_SAME_CLOCK, /* from == to */
} tsp_hop_label;
TSP_API tsp_hop_label tsp_solver_hop_label(const tsp_solver *solver, size_t index);

/* A hop's two stamps, corrected; they differ from tsp_track_correct only beside a backward step. */
TSP_API void tsp_solver_correct_hop(const tsp_solver *solver, size_t index, int64_t *ret_sent_ns,
                                    int64_t *ret_received_ns);

typedef struct {
    uint32_t groups;
    uint32_t reference; /* of the largest group; TSP_NO_CLOCK when it is UTC */
    double max_drift_ppm;
    bool contradictory;         /* no clocks within the drift limit explain the stamps: tsp_solver_conflict says why */
    bool soft_excluded;         /* soft hops contradict hard ones and bound nothing */
    double soft_lie_rate;       /* assumed for soft hops where their operation tells nothing */
    uint64_t violations_before; /* hops with received + quantum < sent, as stamped */
    uint64_t violations_after;  /* the same with corrected stamps, of hops that are not known to lie */
    uint64_t violations_lies;   /* the same, of hops labelled late, uncounted or conflict: no clock explains them */
    uint64_t late;              /* hops fenced off */
    uint64_t conflicts;         /* hops set aside because they contradict the others */
} tsp_solver_summary_row;
TSP_API void tsp_solver_summary(const tsp_solver *solver, tsp_solver_summary_row *ret_summary);

/* One link of a proof. A hop: offset[to at received] - offset[from at sent] <= limit_ns (= received - sent, quantum and
 * rounding added). A drift tie (hop == TSP_NO_HOP, from == to): the same between two instants of one clock. */
#define TSP_NO_HOP SIZE_MAX
typedef struct {
    size_t hop;   /* index in the order of adding; TSP_NO_HOP for a tie */
    uint64_t tag; /* the hop's */
    uint32_t from, to;
    int64_t from_ns, to_ns;
    int64_t limit_ns;
} tsp_proof_link;

/* Why the clock's offset at its stamp at_ns is at most hi (upper) or at least lo (!upper): links that lead from the
 * reference to the clock (upper) or from the clock to the reference (!upper); the sum of their limits is hi or -lo.
 * The array is the caller's, to free(). TSP_ERANGE: no bound on this side. */
TSP_API tsp_status tsp_solver_why(const tsp_solver *solver, uint32_t clock, int64_t at_ns, bool upper,
                                  tsp_proof_link **ret_links, size_t *ret_n, tsp_error *err);

/* A cycle of links whose limits sum to less than zero: the contradiction found first. Borrowed; n = 0 when there is
 * none. */
TSP_API const tsp_proof_link *tsp_solver_conflict(const tsp_solver *solver, size_t *ret_n);

#ifdef __cplusplus
}
#endif
#endif
