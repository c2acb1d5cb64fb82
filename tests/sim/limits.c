#include "limits.h"

#include <string.h>

const sim_limit sim_limits[] = {
    {"rpc", 4},
    {"drift", 2},
    {"wander", 25},
    {"step", 6},
    /* so near an end that few hops show one side of it: none of them may be taken for lies */
    {"early-step", 10},
    /* what the reference does shows in all the others, and is charged to it alone */
    {"slew-5", 200},
    {"slew-any", 400},
    /* no reference given: the frame is one of the clocks that do not move */
    {"slew-any-free", 400},
    /* A drift is believed from 2.65 standard errors on, so one run in a hundred shows one by chance; the reference's
     * shows in all others. The ends are then 8.5 us off, the pipeline's 16: these are limits of six standard errors. */
    {"ref-step", 20},
    {"ref-step-free", 20},
    {"pipeline", 36},
    {"mesh", 120},
    {"late", 6},
    {"lies", 300},
    {"null", 4},
    /* The spoke that is furthest off, of thirty with some 25 hops of 4 ms + Exp(0.4 ms) each way, is off by half the
     * difference of two fastest waits: more than this with a chance of 1e-6. */
    {"hub", 240},
    {"congestion", 10},
    /* one-way traffic bounds one side only, and gives no estimate */
    {"one-way", 0},
    /* delays of 1 and 19 ms: the error is half the asymmetry, and inside the bounds */
    {"asymmetric", 9100},
    {NULL, 0},
};

const sim_limit *sim_limit_of(const char *shape)
{
    for (const sim_limit *limit = sim_limits; limit->shape; limit++)
        if (!strcmp(limit->shape, shape))
            return limit;
    return NULL;
}

const char *sim_limit_broken(const sim_limit *limit, const sim_score *score)
{
    if (!score->knots)
        return "no knots";
    if (score->covered != score->knots)
        return "a bound without the truth";
    if (score->after)
        return "violations left";
    if (score->accused)
        return "a right clock accused";
    if (score->steps > score->steps_true)
        return "a step invented";
    if (score->steps_found < score->steps_true)
        return "a step missed, or not between its hops";
    if (limit->p99_us > 0 ? score->p99_us > limit->p99_us : score->estimated > 0)
        return limit->p99_us > 0 ? "p99 above its limit" : "an estimate of one-way traffic";
    return NULL;
}
