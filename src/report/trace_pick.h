/* Which traces of an input a page shows, and their hops.
 *
 * A page cannot hold a million spans, and nobody looks at them: the worst traces come first. Of every edge with
 * violations the worst three are taken, then traces by their worst violation, then those without any, until the
 * budget of spans is full. A trace that alone is more than the budget is cut: its violations stay. */
#ifndef TSPI_REPORT_TRACE_PICK_H
#define TSPI_REPORT_TRACE_PICK_H

#include "mend/mend.h"

typedef struct {
    uint32_t trace;      /* row in the set */
    uint64_t spans;      /* that the input has of it */
    uint64_t violations; /* hops and spans that contradict themselves, as stamped */
    int64_t worst_ns;    /* the largest of them; 0 = none */
} tspi_picked_trace;

/* A causal pair of a picked trace: between two clocks, or violated on one. */
typedef struct {
    uint32_t from_span, to_span; /* rows in the set */
    int64_t raw_by_ns;           /* sent - received, as stamped */
    int64_t allowance_ns;        /* from which on it is a violation */
    uint8_t relation;            /* enum tspi_hop_relation */
    bool from_end, to_end;       /* the pair's stamps are ends, not starts */
    bool soft;
} tspi_pair;

typedef struct {
    tspi_picked_trace *traces; /* owned; worst first */
    size_t traces_n;
    size_t total;     /* traces of the input that have a span */
    uint32_t *order;  /* owned; a row a trace of the set: 1 + place in traces, 0 = not picked */
    uint8_t *wanted;  /* owned; a flag a span of the set; NULL = every span of the picked traces */
    tspi_pair *pairs; /* owned; by trace */
    size_t pairs_n, pairs_cap;
} tspi_pick;

/* The mend's set must still hold the stamps as they were read. budget: spans at most; 0 = no limit.
 * Errors: TSP_ENOMEM. On failure nothing needs releasing. */
tsp_status tspi_pick_traces(const tspi_mend *mend, uint64_t budget, tspi_pick *ret_pick, tsp_error *err);
void tspi_pick_release(tspi_pick *pick);

static inline bool tspi_pick_has(const tspi_pick *pick, const tspi_span_set *set, size_t span)
{
    return pick->order[set->spans[span].trace] && (!pick->wanted || pick->wanted[span]);
}

#endif
