/* The kin of one trace: its spans' parents, copies and rings, and the targets of links into it. join.c splits a set
 * into traces and takes them one after another, so that all that is looked up here fits the nearest cache. */
#ifndef TSPI_CAUSAL_KIN_H
#define TSPI_CAUSAL_KIN_H

#include <stdatomic.h>

#include "causal/join.h"
#include "causal/quantum.h"

/* A thread's desk. Zero it, set the borrowed parts, and release it. What concerns the whole join is written where the
 * trace's own rows stand, so that threads with different traces do not meet; only the bits of copies share words. */
typedef struct {
    const tspi_span_set *set; /* borrowed, as the next three */
    uint32_t *parent, *link_target;
    uint64_t *_Atomic *copies; /* made when the first copy is met */
    uint64_t seed;

    tspi_quantum_finder quanta; /* owned, as the arrays */
    uint64_t copies_n, clashes_n, shared_n, missing_parents_n, missing_links_n, cycles_n, traces_n;

    /* The trace at hand. */
    const uint32_t *rows; /* its spans, ascending; borrowed */
    uint32_t n;
    uint64_t *ids;
    uint32_t *up; /* parents by place in rows */
    uint8_t *state;
    uint32_t *slots;
    uint32_t mask;
    size_t cap, slots_cap;
} tspi_kin;

void tspi_kin_release(tspi_kin *kin);

/* The parents of the n spans of one trace. Errors: TSP_ENOMEM. */
tsp_status tspi_kin_take(tspi_kin *kin, const uint32_t *rows, uint32_t n);

/* The target of a link into the trace that was taken last. */
void tspi_kin_link(tspi_kin *kin, uint32_t link);

#endif
