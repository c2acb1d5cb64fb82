/* Steps: a clock that jumps is cut in two there, never smeared; and what else clocks do suddenly. */
#ifndef TSPI_SOLVE_STEP_H
#define TSPI_SOLVE_STEP_H

#include "solve/fit.h"

/* Find steps and bends by likelihood ratio, the surest first; locate each step hop by hop and cut its clock. */
bool tspi_changes_find(tspi_fit *fit);

/* Steps within reach of t, both corrected time, are measured on the tracks as they are now, and located again.
 * ret_moved: any is elsewhere. */
bool tspi_steps_locate(tspi_fit *fit, double t, double reach, bool *ret_moved);

/* After the first refinement: join what does not hold up, and let the stamps beside the others choose their side
 * again. */
bool tspi_steps_settle(tspi_fit *fit);

/* Flag the hops so near a cut that their side is a guess. */
bool tspi_steps_ambiguous(tspi_fit *fit);

#endif
