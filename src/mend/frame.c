/* Against whom the bounds are stated. Every clock that needs no correction is as good a reference as any other: their
 * times agree. But bounds add up along chains of hops, so a clock is more easily convicted by a neighbour. Where the
 * solver's choice leaves a clock suspected whose hops to a right clock are violated, that one becomes the reference,
 * if it convicts more clocks and accuses no others. */
#include <stdlib.h>

#include "mend/mend.h"

typedef struct {
    const tspi_mend *mend;
    uint64_t *score; /* owned, clocks: violated hops to or from suspected clocks */
} election;

static tsp_status count_hop(void *ctx, const tspi_hop *hop, size_t index, tsp_error *err)
{
    election *e = ctx;
    const tspi_mend_answer *answer = &e->mend->answer;
    uint32_t a = hop->from_clock, b = hop->to_clock;

    (void)err;
    if (index == TSPI_MEND_SPARED || hop->same_clock || hop->kind != TSPI_HOP_HARD || !tspi_hop_is_violation(hop) ||
        tsp_solver_hop_label(answer->solver, index) != TSP_HOP_USED)
        return TSP_OK;
    if (answer->clocks[a].verdict == TSP_CLOCK_SUSPECTED && answer->clocks[b].verdict == TSP_CLOCK_OK)
        e->score[b]++;
    if (answer->clocks[b].verdict == TSP_CLOCK_SUSPECTED && answer->clocks[a].verdict == TSP_CLOCK_OK)
        e->score[a]++;
    return TSP_OK;
}

static uint32_t count_verdicts(const tspi_mend_answer *answer, uint32_t n, tsp_clock_verdict verdict)
{
    uint32_t count = 0;

    for (uint32_t c = 0; c < n; c++)
        count += answer->clocks[c].verdict == verdict;
    return count;
}

/* Nobody is accused who was not before. */
static bool accuses_no_others(const tspi_mend_answer *before, const tspi_mend_answer *after, uint32_t n)
{
    for (uint32_t c = 0; c < n; c++) {
        tsp_clock_verdict was = before->clocks[c].verdict, is = after->clocks[c].verdict;
        if ((is == TSP_CLOCK_SUSPECTED || is == TSP_CLOCK_PROVEN) && was != TSP_CLOCK_SUSPECTED &&
            was != TSP_CLOCK_PROVEN)
            return false;
    }
    return true;
}

static tsp_status try_reference(tspi_mend *m, uint32_t clock, tsp_error *err)
{
    uint32_t n = m->causal.clocks.clocks_n;
    tspi_mend_answer other = {0};

    m->reference = clock;
    tsp_status rc = tspi_mend_solve(m, &other, err);
    if (rc != TSP_OK)
        return rc;
    if (!other.summary.contradictory && accuses_no_others(&m->answer, &other, n) &&
        count_verdicts(&other, n, TSP_CLOCK_PROVEN) > count_verdicts(&m->answer, n, TSP_CLOCK_PROVEN)) {
        tspi_mend_answer_release(&m->answer);
        m->answer = other;
        return TSP_OK;
    }
    m->reference = TSP_NO_CLOCK;
    tspi_mend_answer_release(&other);
    return TSP_OK;
}

tsp_status tspi_mend_choose_frame(tspi_mend *m, tsp_error *err)
{
    uint32_t n = m->causal.clocks.clocks_n, best = 0;
    election e = {.mend = m};
    tsp_status rc;

    if (m->reference != TSP_NO_CLOCK || m->bounds_used || m->answer.summary.contradictory ||
        !count_verdicts(&m->answer, n, TSP_CLOCK_SUSPECTED))
        return TSP_OK;
    e.score = calloc((size_t)n + 1, sizeof *e.score);
    if (!e.score)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    rc = tspi_mend_each_hop(m, count_hop, &e, err);
    for (uint32_t c = 1; c < n; c++)
        if (e.score[c] > e.score[best])
            best = c;
    if (rc == TSP_OK && n && e.score[best] && !m->answer.clocks[best].is_reference)
        rc = try_reference(m, best, err);
    free(e.score);
    return rc;
}
