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

/* Zero it to initialise. */
typedef struct {
    tspi_mend mend;   /* owned but for its set and causal, which are the caller's; all of it where borrowed */
    tspi_judge judge; /* ctx points here: do not move it */
    bool *accused;    /* owned; a flag a clock */
    bool borrowed;
    bool few_lies; /* hops set aside because they contradict the rest are few: they lie, not the rest */
} tspi_mend_judge;

/* set and causal are borrowed and must outlive the judge. reference: a clock, or TSPI_NONE. threads: 0 = one a core.
 * The judge's index counts the hops for which tspi_mend_judge_counts holds, as tspi_hops_scan yields them.
 * Errors: TSP_ENOMEM, TSP_EINVAL (the drift limit). On failure nothing needs releasing. */
tsp_status tspi_mend_judge_init(tspi_mend_judge *judge, const tspi_span_set *set, const tspi_causal *causal,
                                uint32_t reference, double max_drift_ppm, unsigned threads, tsp_error *err);
/* The same from a mend that is open and not corrected yet, which must outlive the judge: no solver runs.
 * Errors: TSP_ENOMEM. On failure nothing needs releasing. */
tsp_status tspi_mend_judge_borrow(tspi_mend_judge *judge, const tspi_mend *mend, tsp_error *err);
void tspi_mend_judge_release(tspi_mend_judge *judge);

/* The solver was given this hop: its stamps are such as clocks show. */
static inline bool tspi_mend_judge_counts(const tspi_hop *hop)
{
    return hop->sent_ns >= -TSP_STAMP_MAX && hop->sent_ns <= TSP_STAMP_MAX && hop->received_ns >= -TSP_STAMP_MAX &&
           hop->received_ns <= TSP_STAMP_MAX;
}

#endif
