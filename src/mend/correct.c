/* From tracks to stamps, as they will be written: as often as the solver can do better. */
#include <stdlib.h>
#include <string.h>

#include "causal/evidence.h"
#include "mend/correct.h"

static tsp_status make_room(tspi_mend *m, int64_t **ret_events, tsp_error *err)
{
    size_t n = m->set.spans_n, processes = m->set.processes_n;

    m->raw = calloc(n + 1, sizeof *m->raw); /* small pages: most are never touched */
    m->kept = calloc(tspi_bits_words(n), sizeof *m->kept);
    m->quanta = malloc((processes + 1) * sizeof *m->quanta);
    m->moves = calloc((size_t)m->causal.clocks.clocks_n + 1, 1);
    m->touched = calloc(processes + 1, 1);
    *ret_events = malloc((m->set.events_n + 1) * sizeof **ret_events);
    if (!m->raw || !m->kept || !m->quanta || !m->moves || !m->touched || !*ret_events)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by %zu spans", n);
    for (size_t k = 0; k < m->set.events_n; k++)
        (*ret_events)[k] = m->set.events[k].at_ns;
    if (processes)
        memcpy(m->quanta, m->causal.join.quanta, processes * sizeof *m->quanta);
    return TSP_OK;
}

/* Which spans' stamps may be corrected: those of clocks that move, or all. */
static void choose_kept(tspi_mend *m, bool all)
{
    uint64_t *kept = m->kept, word = 0;

    if (all) {
        memset(kept, 0xff, tspi_bits_words(m->set.spans_n) * sizeof *kept);
        return;
    }
    for (size_t p = 0; p < m->set.processes_n; p++)
        m->touched[p] = m->moves[m->set.processes[p].clock];
    for (size_t k = 0; k < m->set.spans_n; k++) {
        word |= (uint64_t)m->touched[m->set.spans[k].process] << (k % 64);
        if (k % 64 == 63) {
            kept[k / 64] = word;
            word = 0;
        }
    }
    kept[m->set.spans_n / 64] = word;
}

/* The set still has raw stamps. */
static void keep_raw(tspi_mend *m, bool all)
{
    size_t n = m->set.spans_n;

    choose_kept(m, all);
    for (size_t k = tspi_bits_next(m->kept, 0, n); k < n; k = tspi_bits_next(m->kept, k + 1, n))
        m->raw[k] = (tspi_mend_stamps){m->set.spans[k].start_ns, m->set.spans[k].end_ns};
}

static void restore_raw(tspi_mend *m, const int64_t *events)
{
    size_t n = m->set.spans_n;

    for (size_t k = tspi_bits_next(m->kept, 0, n); k < n; k = tspi_bits_next(m->kept, k + 1, n)) {
        m->set.spans[k].start_ns = m->raw[k].start_ns;
        m->set.spans[k].end_ns = m->raw[k].end_ns;
    }
    for (size_t k = 0; k < m->set.events_n; k++)
        m->set.events[k].at_ns = events[k];
    if (m->set.processes_n)
        memcpy(m->causal.join.quanta, m->quanta, m->set.processes_n * sizeof *m->quanta);
}

static tsp_status correct_by(tspi_mend *m, bool brief, bool with_clamp, const int64_t *events,
                             tspi_mend_outcome *outcome, tsp_error *err)
{
    tspi_correction c = {.mend = m};
    tsp_status rc = tspi_correct_look(&c, brief, err);

    if (rc == TSP_OK) {
        keep_raw(m, with_clamp);
        tspi_correct_spans(&c);
        outcome->clamped = with_clamp ? tspi_correct_clamp(&c) : 0;
        if (with_clamp && !outcome->clamped)
            choose_kept(m, false);
        tspi_correct_events(m, events);
        rc = tspi_mend_audit(m, outcome->clamped > 0, &outcome->left, err);
    }
    tspi_correct_release(&c);
    return rc;
}

static void sum_up(tspi_mend *m, tspi_mend_outcome *outcome)
{
    size_t n = m->set.spans_n;

    outcome->clocks_moved = outcome->spans_moved = 0;
    outcome->largest_ns = 0;
    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++)
        outcome->clocks_moved += m->moves[c];
    for (size_t p = 0; p < m->set.processes_n; p++)
        m->touched[p] = m->moves[m->set.processes[p].clock];
    for (size_t k = tspi_bits_next(m->kept, 0, n); k < n; k = tspi_bits_next(m->kept, k + 1, n)) {
        const tspi_span *span = &m->set.spans[k];
        int64_t by = span->start_ns - m->raw[k].start_ns;
        bool moved = by != 0 || span->end_ns != m->raw[k].end_ns;
        outcome->spans_moved += moved;
        m->touched[span->process] |= moved; /* a clamped stamp moves alone */
        if (llabs(by) > llabs(outcome->largest_ns))
            outcome->largest_ns = by;
    }
}

/* One way from raw stamps to corrected ones, and what they leave. Which hops lie is asked for where something is left,
 * or will be. */
static tsp_status correct_once(tspi_mend *m, bool with_clamp, const int64_t *events, tspi_mend_outcome *outcome,
                               tsp_error *err)
{
    bool brief = m->thinned && !with_clamp;
    tsp_status rc = correct_by(m, brief, with_clamp, events, outcome, err);

    if (rc == TSP_OK && brief && outcome->left.hard + outcome->left.soft) {
        restore_raw(m, events);
        rc = correct_by(m, false, with_clamp, events, outcome, err);
    }
    return rc;
}

enum { ROUNDS = 3 };

/* Solve again, with what the mend asks for. ret_better: less is left now. Else all is as before. */
static tsp_status try_again(tspi_mend *m, bool clamp_late, int64_t *events, tspi_mend_outcome *outcome,
                            bool *ret_better, tsp_error *err)
{
    tspi_mend_answer before = m->answer, after = {0};
    tspi_mend_outcome now = *outcome;
    tsp_error why = {0};

    *ret_better = false;
    restore_raw(m, events);
    tsp_status rc = tspi_mend_solve(m, &after, &why);
    if (rc == TSP_OK) {
        m->answer = after;
        rc = correct_once(m, clamp_late, events, &now, err);
        *ret_better = rc == TSP_OK && now.left.total < outcome->left.total;
        tspi_mend_answer_release(*ret_better ? &before : &after);
        if (*ret_better) {
            *outcome = now;
            return TSP_OK;
        }
        m->answer = before;
    } else if (rc == TSP_EINFEASIBLE)
        rc = TSP_OK;
    else if (err)
        *err = why;
    if (rc != TSP_OK)
        return rc;
    restore_raw(m, events);
    return correct_once(m, clamp_late, events, outcome, err);
}

/* Ask the solver for more room where its answer breaks hops once it is written; and where that does not help although
 * nothing lies, to count every hop, also those that coarse stamps make look like lies. */
static tsp_status improve(tspi_mend *m, bool clamp_late, int64_t *events, tspi_mend_outcome *outcome, bool *ret_better,
                          tsp_error *err)
{
    bool more;
    tsp_status rc = tspi_mend_find_needs(m, &more, err);

    *ret_better = false;
    if (rc != TSP_OK || !more)
        return rc;
    rc = try_again(m, clamp_late, events, outcome, ret_better, err);
    if (rc == TSP_OK && !*ret_better && !m->true_lies && !m->believe_all && !m->options.quorum && !m->thinned) {
        m->believe_all = true;
        rc = try_again(m, clamp_late, events, outcome, ret_better, err);
        m->believe_all = *ret_better;
    }
    return rc;
}

/* Tracks that do not even lessen the violations move nothing: where stamps contradict each other none explain them, and
 * where many are coarse, clocks that move show what coarse stamps excused. Bounds against UTC are reason enough. */
static bool is_no_use(const tspi_mend *m, const tspi_mend_outcome *outcome)
{
    return !m->bounds_used && outcome->before.total && outcome->left.total >= outcome->before.total;
}

static void stand_still(tspi_mend *m, const int64_t *events, tspi_mend_outcome *outcome)
{
    restore_raw(m, events);
    memset(m->moves, 0, m->causal.clocks.clocks_n * sizeof *m->moves);
    outcome->left = outcome->before;
    outcome->clamped = 0;
}

/* With the solver's answer, and as often as it has a better one. */
static tsp_status correct_well(tspi_mend *m, bool clamp_late, int64_t *events, tspi_mend_outcome *ret, tsp_error *err)
{
    bool better = true;
    tsp_status rc = correct_once(m, clamp_late, events, ret, err);

    ret->rounds = 0;
    while (rc == TSP_OK && better && ret->rounds < ROUNDS && ret->left.hard + ret->left.soft) {
        rc = improve(m, clamp_late, events, ret, &better, err);
        ret->rounds += better;
    }
    return rc;
}

/* Of the answers of each edge of a clock that moved, no more are violated than lies alone explain. */
static bool quorum_holds(const tspi_mend *m)
{
    double rate = m->answer.summary.soft_lie_rate;

    for (size_t e = 0; e < m->corrected.edges_n; e++) {
        const tspi_edge *edge = &m->corrected.edges[e];
        if (edge->soft_violations > tspi_binomial_quorum(edge->slacks[TSPI_HOP_SOFT].n, rate))
            return false;
    }
    return true;
}

/* The solver did not see every hop: where one that it should have mended is broken, it shall. */
static tsp_status correct_whole(tspi_mend *m, bool clamp_late, int64_t *events, tspi_mend_outcome *ret, tsp_error *err)
{
    bool explained = true;
    tsp_status rc = TSP_OK;

    if (!m->thinned || !(ret->left.hard + ret->left.soft))
        return TSP_OK;
    if (quorum_holds(m))
        rc = tspi_mend_is_explained(m, &explained, err);
    else
        explained = false;
    if (rc != TSP_OK || explained)
        return rc;
    restore_raw(m, events);
    rc = tspi_mend_solve_whole(m, err);
    return rc == TSP_OK ? correct_well(m, clamp_late, events, ret, err) : rc;
}

tsp_status tspi_mend_correct(tspi_mend *m, bool clamp_late, tspi_mend_outcome *ret, tsp_error *err)
{
    int64_t *events = NULL;
    tsp_status rc = make_room(m, &events, err);

    *ret = (tspi_mend_outcome){0};
    tspi_mend_count(&m->causal, &ret->before);
    if (rc == TSP_OK)
        rc = correct_well(m, clamp_late, events, ret, err);
    if (rc == TSP_OK)
        rc = correct_whole(m, clamp_late, events, ret, err);
    if (rc == TSP_OK && is_no_use(m, ret))
        stand_still(m, events, ret);
    if (rc == TSP_OK)
        rc = tspi_mend_find_frames(m, err);
    if (rc == TSP_OK)
        sum_up(m, ret);
    free(events);
    return rc;
}
