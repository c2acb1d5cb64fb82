/* The solver as a judge of causes: what `truespan check` asks before it blames a clock.
 *
 *     tspi_mend_judge_init(&judge, &set, &causal, ...)     the solver runs on the hops
 *     tspi_cause_find(&evidence, hop, index, &judge.judge)  one violation after the other
 *     judge.mend.answer                                     verdicts, as `truespan clocks` has them
 *
 * A clock is blamed for a violation only if the solver accuses it (proven or suspected) and if correcting the accused
 * clocks undoes the violation. It is a step's fault if undoing the clock's steps alone does. */
#ifndef TSPI_MEND_JUDGE_H
#define TSPI_MEND_JUDGE_H

#include "causal/cause.h"
#include "mend/mend.h"

/* A violation that the solver was given, by what it is. */
typedef struct {
    uint64_t key;
    size_t index; /* the solver's */
} tspi_mend_given;

/* Zero it to initialise. */
typedef struct {
    tspi_mend mend;   /* owned but for its set and causal, which are the caller's; all of it where borrowed */
    tspi_judge judge; /* ctx points here: do not move it */
    bool *accused;    /* owned; a flag a clock */
    bool borrowed;
    bool few_lies;          /* hops set aside because they contradict the rest are few: they lie, not the rest */
    bool windows;           /* judge_windows.c made it; then */
    tspi_mend_given *given; /* owned; ascending keys */
    size_t given_n;
    uint64_t solved_hops; /* between clocks, that the solver has: all of them, or a summary's */
} tspi_mend_judge;

/* set and causal are borrowed and must outlive the judge. reference: a clock, or TSPI_NONE. threads: 0 = one a core.
 * The judge's index counts the hops for which tspi_mend_in_range holds, as tspi_hops_scan yields them.
 * Errors: TSP_ENOMEM, TSP_EINVAL (the drift limit). On failure nothing needs releasing. */
tsp_status tspi_mend_judge_init(tspi_mend_judge *judge, const tspi_span_set *set, const tspi_causal *causal,
                                uint32_t reference, double max_drift_ppm, unsigned threads, tsp_error *err);
/* The same where spans have been put aside (causal/windows.h): the solver gets at most about most_hops hops, or as many
 * as say most about the clocks. The judge needs no index, and what it was not given it judges by the tracks alone. */
tsp_status tspi_mend_judge_init_windows(tspi_mend_judge *judge, const tspi_span_set *set, const tspi_causal *causal,
                                        uint32_t reference, double max_drift_ppm, unsigned threads, uint64_t most_hops,
                                        tsp_error *err);
/* The same from a mend that is open and not corrected yet, which must outlive the judge: no solver runs.
 * Errors: TSP_ENOMEM. On failure nothing needs releasing. */
tsp_status tspi_mend_judge_borrow(tspi_mend_judge *judge, const tspi_mend *mend, tsp_error *err);
void tspi_mend_judge_release(tspi_mend_judge *judge);

/* Within the room, judge_windows.c: gather, solve, read; and the solver's index of a violation, or TSP_NO_HOP. */
tsp_status tspi_mend_judge_solve_windows(tspi_mend_judge *judge, uint64_t most_hops, tsp_error *err);
size_t tspi_mend_judge_index(const tspi_mend_judge *judge, const tspi_hop *hop);

#endif
