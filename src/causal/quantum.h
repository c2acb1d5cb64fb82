/* The coarseness of each process's stamps. */
#ifndef TSPI_CAUSAL_QUANTUM_H
#define TSPI_CAUSAL_QUANTUM_H

#include "causal/join.h"

/* A power of ten is believed when chance would give it less than once in a million: n stamps that are all multiples of
 * 10^k more than they need to be have probability 10^(-nk). Coarser than 1 ms is never believed: no tracer stamps so
 * coarsely, but people who write examples do. */
typedef struct {
    tspi_quantum_grid *grids; /* owned; a row a process */
    size_t n;
} tspi_quantum_finder;

tsp_status tspi_quantum_finder_init(tspi_quantum_finder *finder, size_t processes_n);
void tspi_quantum_finder_release(tspi_quantum_finder *finder);

/* A span's stamps; local_root: its parent is in another process, or nowhere. */
void tspi_quantum_add(tspi_quantum_finder *finder, const tspi_span *span, bool local_root);

/* The same on bare rows: as new; as if what `from` has seen had been added; finished. n processes each. */
void tspi_quantum_grids_init(tspi_quantum_grid *grids, size_t n);
void tspi_quantum_grids_merge(tspi_quantum_grid *to, const tspi_quantum_grid *from, size_t n);
void tspi_quantum_grids_finish(const tspi_quantum_grid *grids, size_t n, tspi_quantum *ret_quanta);

/* One row a process. */
void tspi_quantum_finish(const tspi_quantum_finder *finder, tspi_quantum *ret_quanta);

/* The least amount by which `to` must have been stamped before `from` for the order to be contradicted. A receiver
 * whose stamps are floored to a grid of q shows a message up to q too early, so inversions below q say nothing; on one
 * common grid rounding keeps the order, and inversions there are multiples of q. An end that was written as start plus
 * a rounded duration, as formats of microseconds do, is off by one unit more. */
static inline int64_t tspi_quantum_allowance(const tspi_quantum *receiver, bool is_end)
{
    int64_t extra = is_end && receiver->unit_ns > 1 && receiver->unit_ns <= 1000 ? receiver->unit_ns : 0;
    return receiver->quantum_ns + extra;
}

#endif
