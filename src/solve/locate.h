/* Between which two hops did a clock jump? */
#ifndef TSPI_SOLVE_LOCATE_H
#define TSPI_SOLVE_LOCATE_H

#include "solve/fit.h"

/* The node's curve is its level before the jump, carried on; hops are evaluated under it.
 * t, window   about where, corrected ns, and the length of the windows that told
 * jump        in: clock and size; out: cut, before, after, from_t, to_t. Stamps in the overlap of a backward jump have
 *             chosen their sides
 * False: out of memory. */
bool tspi_locate(tspi_fit *fit, uint32_t node, double t, double window, tspi_jump *jump, bool *ret_found);

#endif
