/* Hops prove how far two clocks are apart. Which of the two is wrong, the other clocks must say. */
#ifndef TSPI_SOLVE_AGREE_H
#define TSPI_SOLVE_AGREE_H

#include "solve/solver.h"

/* Whether a clock's group may accuse it, at a moment that it shows as `at`. More than half of the others must be nearer
 * to the frame than to it: either so much that noise cannot explain it (FRAME_FAR), or twice as near (FRAME_NEARER)
 * with none that says otherwise. Whose own noise is larger than what is asked about says nothing, nor does a clock that
 * is further from either than the two are apart: it is off whichever is right. proven_ns: what the clock is off by if
 * it has no estimate. Where the frame was named, and of two clocks, nobody is asked. */
bool tspi_solver_agrees(const tsp_solver *solver, uint32_t clock, int64_t at, int64_t proven_ns);

#endif
