/* Between which two hops did a clock jump? */
#ifndef TSPI_SOLVE_LOCATE_H
#define TSPI_SOLVE_LOCATE_H

#include "solve/fit.h"

/* The curve of the node is its level before the jump, carried on; hops are evaluated under it. Where the jump has been
 * cut already, so is that of the next (nodes: 2, else 1).
 * t, window   about where, corrected ns, and the length of the windows that told
 * jump        in: clock and size; out: cut, before, after, from_t, to_t. Stamps in the overlap of a backward jump have
 *             chosen their sides
 * False: out of memory. */
bool tspi_locate(tspi_fit *fit, uint32_t node, uint32_t nodes, double t, double window, tspi_jump *jump,
                 bool *ret_found);

#endif
