/* Two clocks that agree so closely that they are probably one. Hops both ways, at least 8 each; the bounds contain 0;
 * and they are so tight that clocks of two machines would hardly agree by accident: if their offset were anywhere
 * within +-S, 0 would fall into an interval of width W by chance W / 2S of the time, and 5 % is demanded. S is 1 ms,
 * what NTP leaves in a good network, or the median offset that requests prove in this very input when that is larger.
 */
#ifndef TSPI_CAUSAL_TWINS_H
#define TSPI_CAUSAL_TWINS_H

#include "causal/evidence.h"

typedef struct {
    uint32_t a, b;
    int64_t within_ns; /* their offset is at most this */
} tspi_twin_clocks;

/* ret_twins: owned by the caller (free). Errors: TSP_ENOMEM. */
tsp_status tspi_twins_find(const tspi_evidence *evidence, tspi_twin_clocks **ret_twins, size_t *ret_n, tsp_error *err);

#endif
