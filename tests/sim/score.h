/* A solver's answer held against the truth. */
#ifndef TRUESPAN_SIM_SCORE_H
#define TRUESPAN_SIM_SCORE_H

#include "hop_sim.h"

typedef struct {
    uint64_t hops, knots, covered; /* knots whose bounds contain the truth */
    uint64_t estimated;            /* knots with an estimate: those of p50 and so on */
    double p50_us, p99_us, worst_us;
    double half_width_us; /* median half-width of the bounds */
    uint64_t one_sided;
    uint64_t before, after, after_lies;
    uint32_t proven, suspected, accused;     /* accused: of those, clocks that were right */
    uint32_t convicted;                      /* of those, the proven ones */
    uint32_t wrong;                          /* clocks that were not */
    uint32_t steps, steps_true, steps_found; /* found: the true step lies between its two hops */
    double step_error_us;
    uint64_t late_true, late_labelled, late_right; /* senders' stamps written late; labels; labels that are right */
    double seconds;
} sim_score;

/* False: the solver failed; the message is printed. tweak, if not NULL, may change the configuration. */
bool sim_score_run(const hop_sim *sim, unsigned threads, uint32_t quorum, sim_score *ret_score);

/* The same of a solver that has run elsewhere, on these hops or some of them: all but the labels of hops and the time.
 */
bool sim_score_solver(const hop_sim *sim, const tsp_solver *solver, sim_score *ret_score);

#endif
