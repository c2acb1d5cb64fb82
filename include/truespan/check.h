/* An audit of traces: every causality violation, its cause, and the clocks behind it.
 *
 *     tsp_check *check;
 *     if (tsp_check_run(&options, &check, &err) == TSP_OK)
 *         printf("%llu\n", (unsigned long long)tsp_check_totals_of(check)->violations);
 *     tsp_check_free(check);
 *
 * All rows are borrowed from the check and live until it is freed. Times are ns. */
#ifndef TRUESPAN_CHECK_H
#define TRUESPAN_CHECK_H

#include <stdbool.h>

#include "truespan/base.h"
#include "truespan/clocks.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tsp_check tsp_check;

/* When the solver behind truespan/clocks.h is asked who is to blame. It costs more than the reading when hops are many.
 * AUTO: up to 5 million hops, or half a million where nothing is violated between clocks. Without it every clock is
 * TSP_CLOCK_UNKNOWN, and causes come from the shape of each edge's hops alone. Where spans are put aside in windows, it
 * gets at most as many hops as there are rows in a window (40,000 at least): of more, a summary (docs/check.md). */
typedef enum { TSP_CHECK_SOLVE_AUTO, TSP_CHECK_SOLVE_ALWAYS, TSP_CHECK_SOLVE_NEVER } tsp_check_solve;

/* Zero means the default of every field but paths. All text is borrowed for the call.
 * paths          files, folders, or "-" for standard input
 * format         "otlp-json", "jaeger", ...; NULL = look at the bytes
 * clock_key      what names a clock: an attribute, several joined by +, or "ip/24"; NULL = the order in docs/check.md
 * reference      name of the clock whose time is the truth; NULL = the frame in which most clocks need no correction
 * max_drift_ppm  the most by which a clock's rate may differ; 0 = 100
 * examples       how many violations to keep as examples, the worst first
 * trace          id of a trace to keep as a tree; NULL = none
 * window         spans to hold at once: when there are more, traces not heard of for half as many are put aside in a
 *                file ($TMPDIR, else /var/tmp); 0 = as many as half of the memory that the process may use
 * worst_trace    without trace: keep the trace of the worst example as a tree, where it is held
 * keep_going     leave out what cannot be read and count it
 * threads        0 = one a core; the result does not depend on it */
typedef struct {
    const char *const *paths;
    size_t paths_n;
    const char *format;
    const char *clock_key;
    const char *reference;
    const char *trace;
    double max_drift_ppm;
    size_t examples;
    size_t window;
    unsigned threads;
    bool keep_going;
    tsp_check_solve solve;
    bool worst_trace;
} tsp_check_options;

typedef enum {
    TSP_CAUSE_CLOCK,           /* one clock is ahead of the other */
    TSP_CAUSE_STEP,            /* a clock jumped */
    TSP_CAUSE_LATE_STAMP,      /* a stamp written after the fact */
    TSP_CAUSE_INSTRUMENTATION, /* the program or its tracer contradicts itself, on one clock */
    TSP_CAUSE_UNKNOWN,         /* cannot be known from this input */
    TSP_CAUSES_N,
} tsp_cause;
TSP_API const char *tsp_cause_name(tsp_cause cause);

/* hard, soft: between clocks; same_clock: a pair on one clock. violations is the sum of all five kinds, and of causes.
 */
typedef struct {
    uint64_t files, bytes, spans, traces, clocks, hops;
    uint64_t violations, hard, soft, same_clock, negative_duration, token_order;
    uint64_t causes[TSP_CAUSES_N];
    uint64_t within_quantum; /* received before sent, but by less than the stamps' own coarseness: no violation */
    uint64_t pairs;          /* on one clock, checked too */
    uint64_t tokens, token_streams;
    uint64_t copies, id_clashes, shared_spans, missing_parents, missing_links, cycles, invalid_ids;
    uint64_t put_aside_spans; /* did not fit the window; they count like all others */
    uint64_t late_spans;      /* came after their trace had been put aside: pairs with it were missed */
    uint64_t late_links;      /* to spans that had been put aside: missed, too */
    bool late_at_least;       /* there may have been more late ones, of traces put aside very long before */
    uint64_t left_out_spans, left_out_parts, left_out_stretches, left_out_bytes; /* with keep_going */
    bool solved;        /* the solver ran: clocks have verdicts */
    bool contradictory; /* no clocks within the drift limit explain the hops: nothing is proven */
} tsp_check_totals;

/* All hops from one clock to another, the worst edge first.
 * margin_ns       the smallest slack: how much more skew until the first violation; negative: how far beyond
 * margin_1pct_ns  the same until one hop in a hundred is violated */
typedef struct {
    const char *from, *to;
    uint64_t hops, violations, hard_violations, soft_violations;
    uint64_t causes[TSP_CAUSES_N];
    int64_t worst_ns; /* the largest amount by which a hop is received before it is sent; 0 = none */
    int64_t slack_p50_ns, margin_ns, margin_1pct_ns;
} tsp_check_edge;

/* As tsp_clock_result has it: offset_ns TSP_NO_VALUE, lo_ns TSP_UNBOUNDED_LO, hi_ns TSP_UNBOUNDED_HI, drift_ppb
 * TSP_NO_VALUE where unknown; against the reference of the clock's group, at its last stamp. */
typedef struct {
    const char *name;
    const char *key;       /* what named it */
    const char *reference; /* the clock it is compared with; itself for a reference */
    tsp_clock_verdict verdict;
    bool is_reference;
    int64_t offset_ns, lo_ns, hi_ns, drift_ppb;
    int64_t sigma_ns; /* the estimate's own standard error; 0 = unknown */
    uint64_t hops_in, hops_out;
    uint64_t processes;
    const tsp_step *steps;
    size_t steps_n;
    const tsp_knot *knots; /* the offset over time, oldest first */
    size_t knots_n;
} tsp_check_clock;

/* Two clocks that are surely apart though nobody is accused: nearly all hard hops from one to the other are inverted,
 * and the other clocks do not tell which of the two is wrong. Or, contradictory: both ways, which no clocks do.
 * hops, violations, worst_ns   hard hops from one to the other; back_...: the other way */
typedef struct {
    const char *from, *to;
    bool contradictory;
    uint64_t hops, violations, back_hops, back_violations;
    int64_t worst_ns, back_worst_ns;
    const char *said; /* the same as a sentence */
} tsp_check_pair;

/* One violation. Ids are lower-case hex. */
typedef struct {
    char trace_id[33], span_id[17], parent_span_id[17]; /* the later and the earlier side of the pair */
    const char *from, *to;                              /* clocks */
    const char *kind;                                   /* "hard", "soft", "same_clock", ... as in the totals */
    int64_t by_ns;                                      /* received this long before sent; > 0 */
    tsp_cause cause;
} tsp_check_example;

/* A span of the trace that was asked for, in the order of a tree.
 * hop_by_ns    > 0: it starts this long before its cause; its end (a reply) likewise */
typedef struct {
    unsigned depth;
    char span_id[17];
    const char *name, *clock, *kind;
    int64_t start_ns, end_ns; /* TSP_NO_VALUE: the input has none */
    int64_t hop_by_ns, reply_by_ns;
    tsp_cause hop_cause, reply_cause; /* where the amount is > 0 */
    bool parent_missing;              /* it names a parent that is not in the input, or that would close a ring */
} tsp_check_span;

/* Read and audit. Errors: those of reading (message: file, byte, field, what to do); TSP_EINVAL: the clock key, the
 * format, the reference or the trace does not exist. */
TSP_API tsp_status tsp_check_run(const tsp_check_options *options, tsp_check **ret_check, tsp_error *err);
TSP_API void tsp_check_free(tsp_check *check);

TSP_API const tsp_check_totals *tsp_check_totals_of(const tsp_check *check);
TSP_API const tsp_check_edge *tsp_check_edges(const tsp_check *check, size_t *ret_n);
TSP_API const tsp_check_clock *tsp_check_clocks(const tsp_check *check, size_t *ret_n);
TSP_API const tsp_check_pair *tsp_check_pairs(const tsp_check *check, size_t *ret_n);
TSP_API const tsp_check_example *tsp_check_examples(const tsp_check *check, size_t *ret_n);
TSP_API const tsp_check_span *tsp_check_tree(const tsp_check *check, size_t *ret_n);

/* Sentences for people, most important first: which clock is off and by how much, what the input looks like. */
TSP_API const char *const *tsp_check_advice(const tsp_check *check, size_t *ret_n);

#ifdef __cplusplus
}
#endif
#endif
