/* A block that failed and was left out: its half-written files are cut back to where they were, so that no figure
 * stands on half a block, and what happened is kept to be told. */
#ifndef TSPI_LAB_GAP_H
#define TSPI_LAB_GAP_H

#include <sys/types.h>

#include "lab/lab_result.h"
#include "lab/spec.h"

/* Lengths of the files that nodes append to, in a run's folder. */
typedef struct {
    off_t *lengths; /* owned */
} tspi_run_lengths;

/* Note them before a block; folder "" = the block leaves nothing. */
tsp_status tspi_run_lengths_note(const tspi_spec *spec, const char *folder, tspi_run_lengths *ret_lengths,
                                 tsp_error *err);

/* Cut the files back. No node may be running. */
tsp_status tspi_run_lengths_restore(const tspi_spec *spec, const char *folder, const tspi_run_lengths *lengths,
                                    tsp_error *err);

void tspi_run_lengths_release(tspi_run_lengths *lengths);

/* Add a gap to the result: when (Unix ns), in which block, why. */
tsp_status tspi_gap_add(tspi_lab_result *result, int64_t at_ns, const char *block, const char *why, tsp_error *err);

#endif
