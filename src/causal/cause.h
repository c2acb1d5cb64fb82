/* What caused a violation: evidence in, verdict out.
 *
 * Without a solver the rules are these, in this order; every doubt ends in "unknown".
 *   on one clock            never a clock. A kind of pair that is often inverted on that clock: instrumentation; a rare
 *                           one among many: a late stamp
 *   fewer than 8 hops       unknown
 *   beyond what the opposite hops allow any clock to be off: late stamp
 *   far below its own edge's low tail, at its own time: late stamp
 *   hard hops, as a body    clock; step when they begin (or end) at one moment; unknown when the slacks have their long
 *                           tail below, as no delay has
 *   replies                 clock (or step) when hard hops prove this skew, or when at their own time more replies are
 *                           late, by a like amount, than late ends explain; unknown when by unlike amounts; a late
 *                           stamp when late ends explain them
 * A solver knows better who is to blame: give tspi_cause_find a judge (mend/judge.h). */
#ifndef TSPI_CAUSAL_CAUSE_H
#define TSPI_CAUSAL_CAUSE_H

#include "causal/evidence.h"
#include "causal/tokens.h"

enum tspi_cause {
    TSPI_CAUSE_CLOCK,           /* one clock is ahead of the other */
    TSPI_CAUSE_STEP,            /* a clock jumped */
    TSPI_CAUSE_LATE_STAMP,      /* stamps written after the fact */
    TSPI_CAUSE_INSTRUMENTATION, /* the program or its tracer contradicts itself, on one clock */
    TSPI_CAUSE_UNKNOWN,         /* cannot be known from this input */
    TSPI_CAUSES_N,
};

/* "clock", "step", "late_stamp", "instrumentation", "unknown". */
const char *tspi_cause_name(enum tspi_cause cause);

/* What someone who knows more says of a violation. */
enum tspi_opinion {
    TSPI_OPINION_NONE,     /* nothing: the rules above decide */
    TSPI_OPINION_NO_CLOCK, /* no clock is to blame; the rules decide what else, or "unknown" */
    TSPI_OPINION_CAUSE,    /* the cause */
};

/* hop is a violation between two clocks, TSPI_HOP_CHECK included; index is its place among the hops that the judge
 * knows, in the order of tspi_hops_scan (of a TSPI_HOP_CHECK: 0). ret_cause is set for TSPI_OPINION_CAUSE. */
typedef struct {
    enum tspi_opinion (*judge)(void *ctx, const tspi_hop *hop, uint64_t index, enum tspi_cause *ret_cause);
    void *ctx;
} tspi_judge;

/* The cause of one violation, kind TSPI_HOP_CHECK included. judge may be NULL. */
enum tspi_cause tspi_cause_find(const tspi_evidence *evidence, const tspi_hop *hop, uint64_t index,
                                const tspi_judge *judge);

#endif
