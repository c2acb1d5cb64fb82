/* Which hops may convict a clock. */
#ifndef TSPI_SOLVE_CREDIBLE_H
#define TSPI_SOLVE_CREDIBLE_H

#include "solve/fit.h"

enum {
    TSPI_EDGE_SOUND,
    TSPI_EDGE_WEAK,  /* convicts nobody */
    TSPI_EDGE_VAGUE, /* nor makes anybody suspected: few hops, or waiting stamps */
};

/* Flag the hard hops of edges that look wrong in a way that stamps written late explain as well as a clock does: they
 * bound and estimate like any others, but convict nobody (TSPI_STORED_WEAK). After the estimate, which tells an edge's
 * residual slacks. An edge is weak when
 *   - it has fewer than CREDIBLE_LEAST truthful hops, and those that its clocks exchange with all others are too few;
 *   - no more of its hard hops are violated than lies would be, at the rate of lies found among all hard hops;
 *   - its slacks fall off below as slowly as waits do. A delay has a floor; a stamp that waits for the CPU has none.
 * ret_weak: one of the above an edge of the store. *ret_any: there are weak hops. False: out of memory. */
bool tspi_credible(tspi_fit *fit, uint8_t *ret_weak, bool *ret_any);

#endif
