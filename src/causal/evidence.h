/* What an edge's hops say once they are seen together: which of them are lies, what the rest prove, and how violations
 * lie in time. One more pass over the hops; still none is stored. */
#ifndef TSPI_CAUSAL_EVIDENCE_H
#define TSPI_CAUSAL_EVIDENCE_H

#include "causal/edges.h"

#define TSPI_UNBOUNDED INT64_MAX

/* Where and how the violations of one kind lie. */
enum tspi_pattern {
    TSPI_PATTERN_NONE,      /* no violation */
    TSPI_PATTERN_FEW,       /* too few hops to tell anything: fewer than TSPI_FEW_HOPS */
    TSPI_PATTERN_SCATTERED, /* all of them far below the rest of their time: late stamps */
    TSPI_PATTERN_BODY,      /* the hops as a whole are shifted */
    TSPI_PATTERN_STEP,      /* the same, from one moment on (or up to it) */
};
enum { TSPI_FEW_HOPS = 8 };

/* A stretch of an edge's time. */
typedef struct {
    uint64_t n[2], violations[2]; /* by kind of hop */
    tspi_slacks slacks[2];        /* owned */
    int64_t fence_ns[2];          /* of this stretch; INT64_MIN = none */
    bool replies_shifted;         /* more replies are late than lies explain, by a like amount */
    bool replies_uneven;          /* more, but by unlike amounts */
} tspi_stretch;

typedef struct {
    int64_t fence_ns[2]; /* of the whole edge, by kind; INT64_MIN = none */
    uint64_t fenced[2];
    int64_t median_ns[2]; /* slack, of edges with violations; 0 = no hop */
    int64_t least_ns[2]; /* smallest slack, allowance added, above the fence; TSPI_UNBOUNDED = no hop */
    /* What the hops prove at the end of the trace: offset[to] - offset[from] is at most this. Each hop is widened by
     * what the clocks can have moved since: [1] one within the drift limit (the other is the reference, which is time),
     * [2] both; [0] nothing, so that it holds at the hop's own time only. TSPI_UNBOUNDED = nothing is proven. */
    int64_t hard_bound_ns[3];
    int64_t soft_bound_ns[3]; /* the same from replies, where more agree than lies explain */
    uint64_t soft_quorum;     /* replies that may all be lies: one more is needed to bound anything */
    enum tspi_pattern pattern[2];
    /* The slacks fall off more slowly below their median than above it. Delays never do: stamps written late do. */
    bool left_tailed[2];
    /* More replies are late than lies explain, and by unlike amounts: servers that go on after answering. */
    bool uneven_replies;
    int64_t step_at_ns;      /* TSPI_PATTERN_STEP: the received stamp at which it begins, */
    int64_t step_slop_ns;    /* give or take this */
    int64_t step_ns;         /* change of the median slack there */
    bool step_is_late;       /* violations lie behind the step, not before */
    tspi_stretch *stretches; /* owned; only for edges with violations */
    uint32_t stretches_n;
} tspi_edge_evidence;

/* Answers that lie exactly in the middle of their calls: Zipkin and Jaeger put them there when they correct. */
typedef struct {
    uint64_t calls, centred; /* calls between clocks whose middle can be told; those that are centred */
    double digits;           /* chance would give this with probability 10^-digits */
    uint64_t marked_adjusted, marked_unadjusted; /* spans that say so themselves */
    bool is_adjusted;
} tspi_adjustment;

typedef struct {
    const tspi_edges *edges;  /* borrowed */
    tspi_edge_evidence *rows; /* owned; a row an edge */
    double lie_rate;          /* share of replies that may come late without any skew, at the worst */
    uint64_t lie_calls;       /* same-clock calls it was learnt from; 0 = assumed */
    int64_t end_ns;           /* the last stamp of all */
    double drift;             /* the limit as a ratio: 1e-4 is 100 ppm */
    tspi_adjustment adjustment;
} tspi_evidence;

/* max_drift_ppm >= 0. Errors: TSP_ENOMEM; on failure nothing needs releasing. */
tsp_status tspi_evidence_init(tspi_evidence *ret_evidence, const tspi_join *join, const tspi_edges *edges,
                              double max_drift_ppm, tsp_error *err);
void tspi_evidence_release(tspi_evidence *evidence);

/* The row of the edge from one clock to another, or NULL. */
const tspi_edge_evidence *tspi_evidence_find(const tspi_evidence *evidence, uint32_t from, uint32_t to);

/* The stretch of time that a hop was received in, or NULL: only edges with violations have stretches. */
const tspi_stretch *tspi_evidence_stretch(const tspi_edge_evidence *row, const tspi_edge *edge, const tspi_hop *hop);

/* The fence that holds for a hop at its time: that of its stretch, or of its edge. */
int64_t tspi_evidence_fence(const tspi_edge_evidence *row, const tspi_edge *edge, const tspi_hop *hop);

/* How many of n independent events of probability p are still plausible: more come with probability below 1e-4. */
uint64_t tspi_binomial_quorum(uint64_t n, double p);

#endif
