/* From tracks to stamps, as they will be written. */
#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "causal/quantum.h"
#include "clock/track.h"
#include "mend/mend.h"

/* Beside a step local time is double-valued: a hop knows on which side its stamps lie. */
typedef struct {
    uint32_t span;
    bool is_end;
    int64_t ns; /* corrected */
} sided;

/* A hop that the solver does not believe, and that is or may be violated: its sent stamp lies. */
typedef struct {
    uint32_t from_span, to_span;
    bool from_end, to_end;
} lie;

typedef struct {
    tspi_mend *mend;
    uint8_t *broken_groups; /* owned, groups */
    sided *sides;           /* owned; ascending (span, is_end) */
    size_t sides_n, sides_cap;
    lie *lies; /* owned */
    size_t lies_n, lies_cap;
} correction;

#define NEAR_NS 2000 /* rounding to whole microseconds may still break a hop with as little slack */

static void release(correction *c)
{
    free(c->broken_groups);
    free(c->sides);
    free(c->lies);
}

static bool grow(void **rows, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return true;
    size_t bigger = *cap ? 2 * *cap : 256;
    void *grown = realloc(*rows, bigger * size);
    if (!grown)
        return false;
    *rows = grown;
    *cap = bigger;
    return true;
}

static bool sent_is_end(const tspi_hop *hop)
{
    return hop->relation == TSPI_HOP_REPLY;
}

static bool received_is_end(const tspi_hop *hop)
{
    return hop->relation == TSPI_HOP_REPLY || hop->relation == TSPI_HOP_RECEIVE;
}

static bool has_steps(const tspi_mend *m, uint32_t clock)
{
    return m->answer.clocks[clock].track->pieces > 1;
}

static bool add_side(correction *c, uint32_t clock, uint32_t span, bool is_end, int64_t raw_ns, int64_t ns)
{
    const tsp_track *track = c->mend->answer.clocks[clock].track;

    if (track->pieces < 2 || tsp_track_correct(track, raw_ns) == ns)
        return true;
    if (!grow((void **)&c->sides, &c->sides_cap, c->sides_n, sizeof *c->sides))
        return false;
    c->sides[c->sides_n++] = (sided){span, is_end, ns};
    return true;
}

static bool add_lie(correction *c, const tspi_hop *hop)
{
    if (!grow((void **)&c->lies, &c->lies_cap, c->lies_n, sizeof *c->lies))
        return false;
    c->lies[c->lies_n++] = (lie){hop->from_span, hop->to_span, sent_is_end(hop), received_is_end(hop)};
    return true;
}

static tsp_status look_at_hop(void *ctx, const tspi_hop *hop, size_t index, tsp_error *err)
{
    correction *c = ctx;
    tspi_mend *m = c->mend;
    int64_t sent, received;
    bool ok = true;

    if (hop->same_clock)
        return TSP_OK;
    tsp_hop_label label = tsp_solver_hop_label(m->answer.solver, index);
    if (label == TSP_HOP_USED && tspi_hop_is_violation(hop))
        c->broken_groups[m->answer.clocks[hop->from_clock].group] = 1;
    if (label == TSP_HOP_USED && !has_steps(m, hop->from_clock) && !has_steps(m, hop->to_clock))
        return TSP_OK;
    tsp_solver_correct_hop(m->answer.solver, index, &sent, &received);
    if (label == TSP_HOP_USED) {
        ok = add_side(c, hop->from_clock, hop->from_span, sent_is_end(hop), hop->sent_ns, sent) &&
             add_side(c, hop->to_clock, hop->to_span, received_is_end(hop), hop->received_ns, received);
    } else if (received < sent + NEAR_NS + hop->allowance_ns)
        ok = add_lie(c, hop);
    return ok ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory");
}

/* As they are stamped, clocks are at UTC: a bound that says otherwise is broken. */
static void look_at_bounds(correction *c)
{
    tspi_mend *m = c->mend;

    for (size_t k = 0; k < m->bounds.n; k++) {
        const tspi_utc_bound *b = &m->bounds.rows[k];
        if (b->row != TSPI_NONE && (b->lo_ns > 0 || b->hi_ns < 0))
            c->broken_groups[m->answer.clocks[b->row].group] = 1;
    }
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static tsp_status keep_lies(correction *c, tsp_error *err)
{
    tspi_mend *m = c->mend;

    free(m->lies);
    m->lies_n = 0;
    m->lies = malloc((c->lies_n + 1) * sizeof *m->lies);
    if (!m->lies)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    for (size_t k = 0; k < c->lies_n; k++)
        m->lies[m->lies_n++] = (uint64_t)c->lies[k].from_span << 32 | c->lies[k].to_span;
    qsort(m->lies, m->lies_n, sizeof *m->lies, by_number);
    return TSP_OK;
}

static int by_span(const void *a, const void *b)
{
    const sided *x = a, *y = b;

    if (x->span != y->span)
        return x->span < y->span ? -1 : 1;
    if (x->is_end != y->is_end)
        return x->is_end ? 1 : -1;
    return (x->ns > y->ns) - (x->ns < y->ns);
}

static const sided *find_side(const correction *c, uint32_t span, bool is_end)
{
    size_t lo = 0, hi = c->sides_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const sided *s = &c->sides[mid];
        if (s->span < span || (s->span == span && s->is_end < is_end))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < c->sides_n && c->sides[lo].span == span && c->sides[lo].is_end == is_end ? &c->sides[lo] : NULL;
}

static void find_moves(correction *c)
{
    tspi_mend *m = c->mend;

    for (uint32_t k = 0; k < m->causal.clocks.clocks_n; k++)
        m->moves[k] = !m->answer.clocks[k].untouched && c->broken_groups[m->answer.clocks[k].group];
}

/* Both stamps of a span on one clock. A span of some length keeps one: where only one of its stamps is known to lie on
 * the other side of a step, the other goes with it. */
static void correct_span(const correction *c, uint32_t row, const tsp_track *track)
{
    const tspi_mend_stamps *raw = &c->mend->raw[row];
    tspi_span *span = &c->mend->set.spans[row];
    const sided *start = NULL, *end = NULL;

    if (c->sides_n) {
        start = find_side(c, row, false);
        end = find_side(c, row, true);
    }
    if (raw->start_ns != TSPI_NO_STAMP)
        span->start_ns = start ? start->ns : tsp_track_correct(track, raw->start_ns);
    if (raw->end_ns != TSPI_NO_STAMP)
        span->end_ns = end ? end->ns : tsp_track_correct(track, raw->end_ns);
    if (track->pieces < 2 || raw->start_ns == TSPI_NO_STAMP || raw->end_ns < raw->start_ns ||
        span->end_ns >= span->start_ns)
        return;
    if (end && !start)
        span->start_ns = span->end_ns - (raw->end_ns - raw->start_ns);
    else
        span->end_ns = span->start_ns + (raw->end_ns - raw->start_ns);
}

/* Whole microseconds, as tspi_wire_patch writes them. */
static int64_t round_us(int64_t ns)
{
    return (ns / 1000 + (ns % 1000 >= 500)) * 1000;
}

static void round_span(tspi_span *span, const tspi_mend_stamps *raw, int64_t least_ns)
{
    if (span->start_ns == raw->start_ns && span->end_ns == raw->end_ns)
        return;
    if (span->start_ns != TSPI_NO_STAMP)
        span->start_ns = round_us(span->start_ns);
    if (span->end_ns == TSPI_NO_STAMP || span->start_ns == TSPI_NO_STAMP)
        return;
    least_ns = raw->end_ns > raw->start_ns ? least_ns : 0;
    span->end_ns = round_us(span->end_ns);
    if (span->end_ns < span->start_ns + least_ns)
        span->end_ns = span->start_ns + least_ns;
}

static bool has_sides(const correction *c, uint32_t row)
{
    return find_side(c, row, false) || find_side(c, row, true);
}

/* A span within its parent on the same clock, beside a step: where no hop tells its side, it goes with the parent.
 * true: it was moved to the other side. */
static bool follow_parent(const correction *c, uint32_t row, uint32_t parent)
{
    tspi_mend *m = c->mend;
    const tspi_mend_stamps *raw = &m->raw[row], *outer = &m->raw[parent];
    tspi_span *span = &m->set.spans[row];
    const tspi_span *over = &m->set.spans[parent];
    int64_t shift = over->start_ns - outer->start_ns;

    if (raw->start_ns == TSPI_NO_STAMP || raw->end_ns == TSPI_NO_STAMP || outer->start_ns == TSPI_NO_STAMP ||
        outer->end_ns == TSPI_NO_STAMP || raw->start_ns < outer->start_ns || raw->end_ns > outer->end_ns ||
        raw->end_ns < raw->start_ns || llabs(over->end_ns - outer->end_ns - shift) > NEAR_NS)
        return false;
    if (span->start_ns >= over->start_ns && span->end_ns <= over->end_ns)
        return false;
    if (has_sides(c, row))
        return false;
    span->start_ns = raw->start_ns + shift;
    span->end_ns = raw->end_ns + shift;
    return true;
}

enum { DEEPEST_FOLLOWED = 16 };

static void follow_parents(const correction *c)
{
    tspi_mend *m = c->mend;
    bool changed = c->sides_n > 0;

    for (int round = 0; changed && round < DEEPEST_FOLLOWED; round++) {
        changed = false;
        for (size_t row = 0; row < m->set.spans_n; row++) {
            uint32_t parent = m->causal.join.parent[row], clock = m->set.processes[m->set.spans[row].process].clock;
            if (parent != TSPI_NONE && m->moves[clock] && m->answer.clocks[clock].track->pieces > 1 &&
                m->set.processes[m->set.spans[parent].process].clock == clock)
                changed |= follow_parent(c, (uint32_t)row, parent);
        }
    }
}

static bool is_micro(enum tspi_format format)
{
    return format == TSPI_FORMAT_JAEGER_JSON || format == TSPI_FORMAT_ZIPKIN_JSON;
}

static void correct_spans(const correction *c)
{
    tspi_mend *m = c->mend;

    for (size_t row = 0; row < m->set.spans_n; row++) {
        uint32_t clock = m->set.processes[m->set.spans[row].process].clock;
        if (m->moves[clock])
            correct_span(c, (uint32_t)row, m->answer.clocks[clock].track);
    }
    follow_parents(c);
    for (size_t d = 0; d < m->report.documents_n; d++) {
        const tspi_document *document = &m->report.documents[d];
        int64_t least_ns = document->format == TSPI_FORMAT_ZIPKIN_JSON ? 1000 : 0;
        if (is_micro(document->format))
            for (size_t k = 0; k < document->spans_n; k++)
                round_span(&m->set.spans[document->first_span + k], &m->raw[document->first_span + k], least_ns);
    }
}

static int64_t *stamp_of(tspi_mend *m, uint32_t span, bool is_end)
{
    return is_end ? &m->set.spans[span].end_ns : &m->set.spans[span].start_ns;
}

/* A stamp written late is known to be no later than what it caused: it goes there, and what it was caused by may have
 * to follow if that lies, too. Whole microseconds stay whole: they come from stamps that are, or are cut down. */
static void clamp_lies(const correction *c)
{
    tspi_mend *m = c->mend;
    bool changed = true;

    for (int round = 0; changed && round < 16; round++) {
        changed = false;
        for (size_t k = 0; k < c->lies_n; k++) {
            const lie *l = &c->lies[k];
            int64_t *sent = stamp_of(m, l->from_span, l->from_end), received = *stamp_of(m, l->to_span, l->to_end);
            const tspi_mend_stamps *raw = &m->raw[l->from_span];
            if (*sent % 1000 == 0 && (l->from_end ? raw->end_ns : raw->start_ns) % 1000 == 0)
                received -= received % 1000;
            if (l->from_end && received < m->set.spans[l->from_span].start_ns)
                received = m->set.spans[l->from_span].start_ns;
            if (*sent > received) {
                *sent = received;
                changed = true;
            }
        }
    }
}

static int compare_places(const void *a, const void *b)
{
    const lie *x = a, *y = b;

    if (x->from_span != y->from_span)
        return x->from_span < y->from_span ? -1 : 1;
    return (int)x->from_end - (int)y->from_end;
}

/* Clamp, and count the stamps that moved. */
static uint64_t clamp(correction *c)
{
    tspi_mend *m = c->mend;
    int64_t *before = malloc((c->lies_n + 1) * sizeof *before);
    uint64_t n = 0;

    if (c->lies_n)
        qsort(c->lies, c->lies_n, sizeof *c->lies, compare_places);
    for (size_t k = 0; before && k < c->lies_n; k++)
        before[k] = *stamp_of(m, c->lies[k].from_span, c->lies[k].from_end);
    clamp_lies(c);
    for (size_t k = 0; before && k < c->lies_n; k++)
        n += (!k || compare_places(&c->lies[k - 1], &c->lies[k])) &&
             before[k] != *stamp_of(m, c->lies[k].from_span, c->lies[k].from_end);
    free(before);
    return n;
}

static void correct_events(tspi_mend *m, int64_t *raw_at)
{
    for (size_t k = 0; k < m->set.events_n; k++) {
        tspi_stamp_place place = {m->set.events[k].span, TSPI_STAMP_EVENT, raw_at[k]};
        m->set.events[k].at_ns = place.ns == TSPI_NO_STAMP ? place.ns : tspi_mend_edit(m, &place);
    }
}

/* How coarsely each process stamps, by the stamps that stand in the set now. */
static tsp_status find_quanta(tspi_mend *m, tsp_error *err)
{
    const tspi_join *join = &m->causal.join;
    tspi_quantum_finder finder;

    if (tspi_quantum_finder_init(&finder, m->set.processes_n) != TSP_OK)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    for (size_t k = 0; k < m->set.spans_n; k++) {
        const tspi_span *span = &m->set.spans[k];
        uint32_t parent = join->parent[k];
        tspi_quantum_add(&finder, span, parent == TSPI_NONE || m->set.spans[parent].process != span->process);
    }
    tspi_quantum_finish(&finder, join->quanta);
    tspi_quantum_finder_release(&finder);
    return TSP_OK;
}

static void count(const tspi_causal *causal, tspi_mend_violations *ret)
{
    *ret = (tspi_mend_violations){.token_order = causal->tokens.anomalies};
    for (size_t k = 0; k < causal->edges.edges_n; k++) {
        ret->hard += causal->edges.edges[k].hard_violations;
        ret->soft += causal->edges.edges[k].soft_violations;
    }
    for (uint32_t c = 0; c < causal->clocks.clocks_n; c++) {
        const tspi_clock_stats *stats = &causal->edges.stats[c];
        ret->same_clock += stats->hard_violations + stats->soft_violations;
        ret->negative_duration += stats->negative_durations;
    }
    ret->total = ret->hard + ret->soft + ret->same_clock + ret->negative_duration + ret->token_order;
}

/* As check would, of what is going to be written. */
static tsp_status audit(tspi_mend *m, tspi_mend_violations *ret, tsp_error *err)
{
    tspi_causal *causal = &m->causal;
    tspi_edges edges;
    tsp_status rc = find_quanta(m, err);

    if (rc == TSP_OK)
        rc = tspi_edges_measure(&causal->join, causal->clocks.clocks_n, m->options.threads, &edges, err);
    if (rc != TSP_OK)
        return rc;
    tspi_edges_release(&causal->edges);
    causal->edges = edges;
    rc = tspi_tokens_check(&causal->join, NULL, NULL, &causal->tokens, err);
    if (rc == TSP_OK)
        count(causal, ret);
    return rc;
}

static tsp_status keep_raw(tspi_mend *m, int64_t **ret_events, tsp_error *err)
{
    size_t n = m->set.spans_n, processes = m->set.processes_n;

    m->raw = tspi_big_calloc(n + 1, sizeof *m->raw);
    m->quanta = malloc((processes + 1) * sizeof *m->quanta);
    m->moves = calloc((size_t)m->causal.clocks.clocks_n + 1, 1);
    m->touched = calloc(processes + 1, 1);
    *ret_events = malloc((m->set.events_n + 1) * sizeof **ret_events);
    if (!m->raw || !m->quanta || !m->moves || !m->touched || !*ret_events)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by %zu spans", n);
    for (size_t k = 0; k < n; k++)
        m->raw[k] = (tspi_mend_stamps){m->set.spans[k].start_ns, m->set.spans[k].end_ns};
    for (size_t k = 0; k < m->set.events_n; k++)
        (*ret_events)[k] = m->set.events[k].at_ns;
    if (processes)
        memcpy(m->quanta, m->causal.join.quanta, processes * sizeof *m->quanta);
    return TSP_OK;
}

static void restore_raw(tspi_mend *m, const int64_t *events)
{
    for (size_t k = 0; k < m->set.spans_n; k++) {
        m->set.spans[k].start_ns = m->raw[k].start_ns;
        m->set.spans[k].end_ns = m->raw[k].end_ns;
    }
    for (size_t k = 0; k < m->set.events_n; k++)
        m->set.events[k].at_ns = events[k];
    if (m->set.processes_n)
        memcpy(m->causal.join.quanta, m->quanta, m->set.processes_n * sizeof *m->quanta);
}

/* One way from raw stamps to corrected ones, and what they leave. */
static tsp_status correct_once(tspi_mend *m, bool with_clamp, int64_t *events, tspi_mend_outcome *outcome,
                               tsp_error *err)
{
    correction c = {.mend = m, .broken_groups = calloc((size_t)m->answer.summary.groups + 1, 1)};
    tsp_status rc =
        c.broken_groups ? tspi_mend_each_hop(m, look_at_hop, &c, err) : tsp_error_set(err, TSP_ENOMEM, "out of memory");

    if (rc == TSP_OK) {
        if (c.sides_n)
            qsort(c.sides, c.sides_n, sizeof *c.sides, by_span);
        rc = keep_lies(&c, err);
        look_at_bounds(&c);
        find_moves(&c);
        correct_spans(&c);
        outcome->clamped = with_clamp ? clamp(&c) : 0;
        correct_events(m, events);
        if (rc == TSP_OK)
            rc = audit(m, &outcome->left, err);
    }
    release(&c);
    return rc;
}

static void sum_up(tspi_mend *m, tspi_mend_outcome *outcome)
{
    outcome->clocks_moved = outcome->spans_moved = 0;
    outcome->largest_ns = 0;
    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++)
        outcome->clocks_moved += m->moves[c];
    for (size_t p = 0; p < m->set.processes_n; p++)
        m->touched[p] = m->moves[m->set.processes[p].clock];
    for (size_t k = 0; k < m->set.spans_n; k++) {
        const tspi_span *span = &m->set.spans[k];
        int64_t by = span->start_ns - m->raw[k].start_ns;
        bool moved = by != 0 || span->end_ns != m->raw[k].end_ns;
        outcome->spans_moved += moved;
        m->touched[span->process] |= moved; /* a clamped stamp moves alone */
        if (llabs(by) > llabs(outcome->largest_ns))
            outcome->largest_ns = by;
    }
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
    if (rc == TSP_OK && !*ret_better && !m->true_lies && !m->believe_all && !m->options.quorum) {
        m->believe_all = true;
        rc = try_again(m, clamp_late, events, outcome, ret_better, err);
        m->believe_all = *ret_better;
    }
    return rc;
}

/* Where stamps contradict each other, no tracks explain them: ones that do not even lessen the violations move nothing.
 */
static void stand_still(tspi_mend *m, const int64_t *events, tspi_mend_outcome *outcome)
{
    restore_raw(m, events);
    memset(m->moves, 0, m->causal.clocks.clocks_n * sizeof *m->moves);
    outcome->left = outcome->before;
    outcome->clamped = 0;
}

tsp_status tspi_mend_correct(tspi_mend *m, bool clamp_late, tspi_mend_outcome *ret, tsp_error *err)
{
    int64_t *events = NULL;
    bool better = true;
    tsp_status rc = keep_raw(m, &events, err);

    *ret = (tspi_mend_outcome){0};
    count(&m->causal, &ret->before);
    if (rc == TSP_OK)
        rc = correct_once(m, clamp_late, events, ret, err);
    while (rc == TSP_OK && better && ret->rounds < ROUNDS && ret->left.hard + ret->left.soft) {
        rc = improve(m, clamp_late, events, ret, &better, err);
        ret->rounds += better;
    }
    if (rc == TSP_OK && m->answer.summary.contradictory && ret->left.total >= ret->before.total)
        stand_still(m, events, ret);
    if (rc == TSP_OK)
        rc = tspi_mend_find_frames(m, err);
    if (rc == TSP_OK)
        sum_up(m, ret);
    free(events);
    return rc;
}
