/* Delays that differ there and back are no evidence against anybody: a clock is suspected by its estimate only where
 * stamps contradict each other as they stand, and correcting the clocks that are accused already does not explain it.
 */
#ifndef TSPI_SOLVE_SUSPECT_H
#define TSPI_SOLVE_SUSPECT_H

#include "solve/solver.h"

/* Of the clocks that are far off by their estimates, flags those that one hop at least speaks against: one that counts,
 * violated as stamped, whose other clock is not accused. The one further off goes first, and is accused from then on.
 * weak       edges that convict nobody (credible.h)
 * offset     how far each is off by its estimate, ns
 * accused    clocks; in: those that are by other evidence
 * suspects   clocks; in: those far off by their estimates; out: those to suspect
 * False: out of memory. */
bool tspi_suspects_sift(const tsp_solver *solver, const uint8_t *weak, const double *offset, uint8_t *accused,
                        uint8_t *suspects);

#endif
