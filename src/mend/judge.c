#include "mend/judge.h"

#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/hop_store.h"

/* Hops set aside as contradictions, as a share of all: beyond it there is no telling who lies. */
#define FEW_LIES 0.02

/* ---- steps ---- */

/* Offsets of a clock's pieces, between its steps: the mean of a piece's knots. false: it has none that is known. */
static bool piece_offset(const tsp_clock_result *clock, size_t piece, double *ret)
{
    size_t at = 0, n = 0;
    double sum = 0;

    for (size_t k = 0; k < clock->knots_n; k++) {
        /* Two knots at one instant are the two sides of a step. */
        if (k && clock->knots[k].at_ns == clock->knots[k - 1].at_ns)
            at++;
        if (at == piece && clock->knots[k].offset_ns != TSP_NO_VALUE) {
            sum += (double)clock->knots[k].offset_ns;
            n++;
        }
    }
    if (n)
        *ret = sum / (double)n;
    return n > 0;
}

static double distance(double a, double b)
{
    return a < b ? b - a : a - b;
}

/* The piece that a stamp was written in: by time, and where a backward step makes time double-valued, by offset. */
static size_t piece_of(const tsp_clock_result *clock, int64_t stamp_ns, double offset)
{
    size_t first = 0, last = 0;
    double before, after;

    for (size_t k = 0; k < clock->steps_n; k++) {
        int64_t at = clock->steps[k].at_ns, next = clock->steps[k].after_ns;
        first += stamp_ns > (at > next ? at : next);
        last += stamp_ns > (at < next ? at : next);
    }
    if (first == last || !piece_offset(clock, first, &before) || !piece_offset(clock, last, &after))
        return last;
    return distance(offset, before) < distance(offset, after) ? first : last;
}

/* By how much the clock's steps alone had moved it when it wrote this stamp: away from the piece in which it was
 * nearest to the truth. */
static int64_t stepped_by(const tsp_clock_result *clock, int64_t stamp_ns, int64_t corrected_ns)
{
    size_t base = 0, piece;
    double least = 0, offset;
    int64_t moved = 0;
    bool any = false;

    if (!clock->steps_n)
        return 0;
    for (size_t p = 0; p <= clock->steps_n; p++)
        if (piece_offset(clock, p, &offset) && (!any || distance(offset, 0) < least)) {
            any = true;
            base = p;
            least = distance(offset, 0);
        }
    piece = piece_of(clock, stamp_ns, (double)(stamp_ns - corrected_ns));
    for (size_t k = base; k < piece; k++)
        moved += clock->steps[k].size_ns;
    for (size_t k = piece; k < base; k++)
        moved -= clock->steps[k].size_ns;
    return moved;
}

/* ---- verdicts ---- */

/* Estimates are not exact: where the accused clock explains most of a violation, the rest may be the other's. */
static bool is_undone(const tspi_hop *hop, const tspi_hop *accused_corrected, int64_t sent_ns, int64_t received_ns)
{
    tspi_hop both = *hop;

    both.sent_ns = sent_ns;
    both.received_ns = received_ns;
    return !tspi_hop_is_violation(accused_corrected) ||
           (!tspi_hop_is_violation(&both) && tspi_hop_slack_ns(accused_corrected) > tspi_hop_slack_ns(hop) / 2);
}

/* What correcting the accused clocks, or undoing their steps, makes of a hop. */
static bool blame_clocks(const tspi_mend_judge *j, const tspi_hop *hop, int64_t sent_ns, int64_t received_ns,
                         enum tspi_cause *ret_cause)
{
    const tsp_clock_result *from = &j->mend.answer.clocks[hop->from_clock], *to = &j->mend.answer.clocks[hop->to_clock];
    tspi_hop corrected = *hop, unstepped = *hop;

    if (j->accused[hop->from_clock]) {
        corrected.sent_ns = sent_ns;
        unstepped.sent_ns -= stepped_by(from, hop->sent_ns, sent_ns);
    }
    if (j->accused[hop->to_clock]) {
        corrected.received_ns = received_ns;
        unstepped.received_ns -= stepped_by(to, hop->received_ns, received_ns);
    }
    if (!is_undone(hop, &corrected, sent_ns, received_ns))
        return false;
    *ret_cause = tspi_hop_is_violation(&unstepped) ? TSPI_CAUSE_CLOCK : TSPI_CAUSE_STEP;
    return true;
}

/* Numbered tokens are no messages: the solver never saw them. */
static enum tspi_opinion judge_token(const tspi_mend_judge *j, const tspi_hop *hop, enum tspi_cause *ret_cause)
{
    const tsp_clock_result *clocks = j->mend.answer.clocks;
    int64_t sent = tsp_track_correct(clocks[hop->from_clock].track, hop->sent_ns);
    int64_t received = tsp_track_correct(clocks[hop->to_clock].track, hop->received_ns);

    return blame_clocks(j, hop, sent, received, ret_cause) ? TSPI_OPINION_CAUSE : TSPI_OPINION_NO_CLOCK;
}

/* An answer that was asked to hold, and does under the tracks: clocks explain it, though nothing says which. */
static bool is_mended(const tspi_hop *hop, tsp_hop_label label, int64_t sent_ns, int64_t received_ns)
{
    tspi_hop corrected = *hop;

    corrected.sent_ns = sent_ns;
    corrected.received_ns = received_ns;
    return hop->kind == TSPI_HOP_SOFT && label == TSP_HOP_USED && !tspi_hop_is_violation(&corrected);
}

/* A violation that the solver was not given, so nobody saw to it that the tracks undo it: they do within their own
 * error. An answer that they undo may have been a truthful one. */
static enum tspi_opinion judge_by_tracks(const tspi_mend_judge *j, const tspi_hop *hop, enum tspi_cause *ret_cause)
{
    const tsp_clock_result *clocks = j->mend.answer.clocks;
    int64_t sent = tsp_track_correct(clocks[hop->from_clock].track, hop->sent_ns);
    int64_t received = tsp_track_correct(clocks[hop->to_clock].track, hop->received_ns);
    int64_t sigma = clocks[hop->from_clock].sigma_ns + clocks[hop->to_clock].sigma_ns;
    int64_t error = (int64_t)(SUSPECT_SIGMA * (double)sigma); /* what an estimate may be off by */

    if (blame_clocks(j, hop, sent, received + error, ret_cause))
        return TSPI_OPINION_CAUSE;
    if (!is_mended(hop, TSP_HOP_USED, sent, received))
        return TSPI_OPINION_NO_CLOCK;
    *ret_cause = TSPI_CAUSE_UNKNOWN;
    return TSPI_OPINION_CAUSE;
}

static enum tspi_opinion judge_hop(void *ctx, const tspi_hop *hop, uint64_t index, enum tspi_cause *ret_cause)
{
    const tspi_mend_judge *j = ctx;
    int64_t sent, received;

    if (!tspi_mend_in_range(hop))
        return TSPI_OPINION_NO_CLOCK;
    if (!j->accused[hop->from_clock] && !j->accused[hop->to_clock] && hop->kind == TSPI_HOP_CHECK)
        return TSPI_OPINION_NO_CLOCK;
    if (hop->kind == TSPI_HOP_CHECK)
        return judge_token(j, hop, ret_cause);
    if (j->windows && (index = tspi_mend_judge_index(j, hop)) == TSP_NO_HOP)
        return judge_by_tracks(j, hop, ret_cause);
    tsp_hop_label label = tsp_solver_hop_label(j->mend.answer.solver, index);
    tsp_solver_correct_hop(j->mend.answer.solver, index, &sent, &received);
    if (blame_clocks(j, hop, sent, received, ret_cause))
        return TSPI_OPINION_CAUSE;
    if (is_mended(hop, label, sent, received) || tspi_solver_is_aside(j->mend.answer.solver, index)) {
        *ret_cause = TSPI_CAUSE_UNKNOWN;
        return TSPI_OPINION_CAUSE;
    }
    if (label != TSP_HOP_LATE && !(label == TSP_HOP_CONFLICT && j->few_lies))
        return TSPI_OPINION_NO_CLOCK;
    *ret_cause = TSPI_CAUSE_LATE_STAMP;
    return TSPI_OPINION_CAUSE;
}

static tsp_status accuse(tspi_mend_judge *j, tsp_error *err)
{
    uint32_t n = j->mend.causal.clocks.clocks_n;
    const tspi_mend_answer *answer = &j->mend.answer;

    j->accused = calloc((size_t)n + 1, sizeof *j->accused);
    if (!j->accused)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    for (uint32_t c = 0; c < n; c++)
        j->accused[c] =
            answer->clocks[c].verdict == TSP_CLOCK_PROVEN || answer->clocks[c].verdict == TSP_CLOCK_SUSPECTED;
    uint64_t hops = j->windows ? j->solved_hops : j->mend.causal.edges.hops;
    uint64_t lies = answer->summary.conflicts - tspi_solver_hops(answer->solver)->aside_n;
    j->few_lies = (double)lies <= FEW_LIES * (double)hops;
    return TSP_OK;
}

static void begin(tspi_mend_judge *judge, const tspi_span_set *set, const tspi_causal *causal, uint32_t reference,
                  double max_drift_ppm, unsigned threads)
{
    *judge = (tspi_mend_judge){.judge = {.judge = judge_hop, .ctx = judge}};
    judge->mend.options = (tspi_mend_options){.max_drift_ppm = max_drift_ppm, .threads = threads};
    judge->mend.set = *set;
    judge->mend.causal = *causal;
    judge->mend.reference = reference;
}

/* rc: how the solver fared. */
static tsp_status finish(tspi_mend_judge *judge, tsp_status rc, tsp_error *err)
{
    if (rc == TSP_OK)
        rc = accuse(judge, err);
    if (rc != TSP_OK)
        tspi_mend_judge_release(judge);
    return rc;
}

tsp_status tspi_mend_judge_init(tspi_mend_judge *judge, const tspi_span_set *set, const tspi_causal *causal,
                                uint32_t reference, double max_drift_ppm, unsigned threads, tsp_error *err)
{
    begin(judge, set, causal, reference, max_drift_ppm, threads);
    return finish(judge, tspi_mend_solve(&judge->mend, &judge->mend.answer, err), err);
}

tsp_status tspi_mend_judge_init_windows(tspi_mend_judge *judge, const tspi_span_set *set, const tspi_causal *causal,
                                        uint32_t reference, double max_drift_ppm, unsigned threads, uint64_t most_hops,
                                        tsp_error *err)
{
    begin(judge, set, causal, reference, max_drift_ppm, threads);
    judge->windows = true;
    return finish(judge, tspi_mend_judge_solve_windows(judge, most_hops, err), err);
}

tsp_status tspi_mend_judge_borrow(tspi_mend_judge *judge, const tspi_mend *mend, tsp_error *err)
{
    *judge = (tspi_mend_judge){.mend = *mend, .judge = {.judge = judge_hop, .ctx = judge}, .borrowed = true};
    return finish(judge, TSP_OK, err);
}

void tspi_mend_judge_release(tspi_mend_judge *judge)
{
    if (!judge)
        return;
    if (judge->borrowed)
        memset(&judge->mend, 0, sizeof judge->mend);
    memset(&judge->mend.set, 0, sizeof judge->mend.set);
    memset(&judge->mend.causal, 0, sizeof judge->mend.causal);
    tspi_mend_release(&judge->mend);
    free(judge->accused);
    free(judge->given);
    memset(judge, 0, sizeof *judge);
}
