/* What every seed of a shape must keep, in the ordinary tests' few seeds and in the soak's thousands. */
#ifndef TRUESPAN_SIM_LIMITS_H
#define TRUESPAN_SIM_LIMITS_H

#include "score.h"

typedef struct {
    const char *shape;
    double p99_us; /* of a seed's errors over knots, some three times the worst of a hundred seeds; 0: no estimate */
} sim_limit;

extern const sim_limit sim_limits[]; /* ends with shape NULL */

const sim_limit *sim_limit_of(const char *shape); /* NULL: none */

/* What a seed's score breaks of what its shape must keep, in a few words; NULL: nothing. */
const char *sim_limit_broken(const sim_limit *limit, const sim_score *score);

#endif
