/* Offsets are relative: who is related to whom, and whose time is the frame. */
#ifndef TSPI_SOLVE_FRAME_H
#define TSPI_SOLVE_FRAME_H

#include "solve/fit.h"
#include "solve/hop_store.h"

/* Clocks that hops connect, whatever their direction, share a number; numbers ascend with each group's first clock.
 * False: out of memory. */
bool tspi_frame_groups(const tspi_hop_store *hops, uint32_t clocks, uint32_t *ret_group, uint32_t *ret_groups_n);

/* How many sets of clocks, closed under cycles of hops without a flag in `without`; false: out of memory. */
bool tspi_frame_cycles(const tspi_hop_store *hops, uint32_t clocks, uint16_t without, uint32_t *ret_sets);

/* A provisional root for each group: the clock with the most hops both ways. root: a flag a clock. fixed: a clock that
 * must be its group's root, or TSP_NO_CLOCK. */
bool tspi_frame_roots(const tspi_hop_store *hops, uint32_t clocks, const uint32_t *group, uint32_t groups_n,
                      uint32_t fixed, uint8_t *ret_root);

/* After a fit: the root in whose frame most clocks need no correction. Groups of the fixed clock keep it. */
bool tspi_frame_best_roots(const tspi_fit *fit, uint32_t groups_n, uint32_t fixed, uint8_t *ret_root);

/* After a whole estimate, each root once more. It stays unless it bends or steps and another clock of its group does
 * not; or another is clearly nearer to all (FRAME_BETTER); or another near the middle is inverted more by clocks far
 * off (FRAME_FAR). Groups of the fixed clock keep it. ret_changed: the estimate is to be made again. False: out of
 * memory.
 */
bool tspi_frame_review_roots(const tspi_fit *fit, uint32_t groups_n, uint32_t fixed, uint8_t *ret_root,
                             bool *ret_changed);

#endif
