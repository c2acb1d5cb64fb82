/* Offsets between constant clocks, from the smallest slacks alone: bounds by shortest paths, an estimate
 * by max-balancing, a cautious verdict. What is said without the solver, which follows drift and steps and says more.
 */
#ifndef TSPI_CAUSAL_INTERVAL_H
#define TSPI_CAUSAL_INTERVAL_H

#include "causal/clock_identity.h"
#include "causal/evidence.h"
#include "truespan/clocks.h"

/* A clock against the reference of its group, at the end of the trace. Positive = ahead. */
typedef struct {
    tsp_clock_verdict verdict;
    uint32_t reference;   /* a clock; connected clocks share it. Itself for the reference */
    int64_t offset_ns;    /* TSP_NO_VALUE unless hops go both ways, at least 4 each */
    int64_t lo_ns, hi_ns; /* hold if the hops left after the fence are truthful; TSP_UNBOUNDED_LO, TSP_UNBOUNDED_HI */
    int64_t at_least_ns;  /* TSP_CLOCK_PROVEN: off by this at the least at some time, signed like the offset; else 0 */
    bool contradictory;   /* no constant offsets explain the hops: then nothing else is said */
} tspi_interval;

/* reference: a clock, or TSPI_NONE for the frame in which most clocks need no correction.
 * ret_rows: a row a clock, owned by the caller (free). Errors: TSP_ENOMEM. */
tsp_status tspi_intervals_find(const tspi_evidence *evidence, const tspi_clock_table *clocks, uint32_t reference,
                               tspi_interval **ret_rows, tsp_error *err);

/* Two clocks that agree so closely that they are probably one. Hops both ways, at least 8 each; the bounds contain 0;
 * and they are so tight that clocks of two machines would hardly agree by accident: if their offset were anywhere
 * within +-S, 0 would fall into an interval of width W by chance W / 2S of the time, and 5 % is demanded. S is 1 ms,
 * what NTP leaves in a good network, or the median offset proven in this very input when that is larger. */
typedef struct {
    uint32_t a, b;
    int64_t within_ns; /* their offset is at most this */
} tspi_twin_clocks;
tsp_status tspi_intervals_twins(const tspi_evidence *evidence, tspi_twin_clocks **ret_twins, size_t *ret_n,
                                tsp_error *err);

#endif
