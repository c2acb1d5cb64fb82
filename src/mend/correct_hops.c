/* What the hops say of the stamps they join, once the solver has spoken. */
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "clock/track.h"
#include "mend/correct.h"

void tspi_correct_release(tspi_correction *c)
{
    free(c->broken_groups);
    free(c->sides);
    free(c->lies);
    free(c->least);
    free(c->hints);
}

/* Over all its time, a track's offsets. */
static bool find_reach(tspi_correction *c)
{
    const tspi_mend *m = c->mend;
    uint32_t n = m->causal.clocks.clocks_n;

    c->least = calloc(2 * ((size_t)n + 1), sizeof *c->least);
    c->hints = calloc((size_t)n + 1, sizeof *c->hints);
    if (!c->least || !c->hints)
        return false;
    c->most = c->least + n + 1;
    for (uint32_t k = 0; k < n; k++) {
        const tsp_track *track = m->answer.clocks[k].track;
        size_t knots = track->first[track->pieces];
        for (size_t q = 0; q < knots; q++) {
            int64_t x = track->knots[q].x;
            c->least[k] = q && c->least[k] < x ? c->least[k] : x;
            c->most[k] = q && c->most[k] > x ? c->most[k] : x;
        }
    }
    return true;
}

int64_t tspi_correct_near(const tspi_correction *c, uint32_t clock, int64_t stamp_ns)
{
    return stamp_ns - tspi_track_near(c->mend->answer.clocks[clock].track, 0, stamp_ns, &c->hints[clock]);
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

static bool add_side(tspi_correction *c, uint32_t clock, uint32_t span, bool is_end, int64_t raw_ns, int64_t ns)
{
    const tsp_track *track = c->mend->answer.clocks[clock].track;

    if (track->pieces < 2 || tsp_track_correct(track, raw_ns) == ns)
        return true;
    tspi_sided *sides = tspi_grown(c->sides, c->sides_n, &c->sides_cap, sizeof *sides);
    if (!sides)
        return false;
    c->sides = sides;
    c->sides[c->sides_n++] = (tspi_sided){span, is_end, ns};
    return true;
}

static bool add_lie(tspi_correction *c, const tspi_hop *hop)
{
    tspi_lie *lies = tspi_grown(c->lies, c->lies_n, &c->lies_cap, sizeof *lies);

    if (!lies)
        return false;
    c->lies = lies;
    c->lies[c->lies_n++] = (tspi_lie){hop->from_span, hop->to_span, sent_is_end(hop), received_is_end(hop)};
    return true;
}

/* A hop that the solver was not given, where clocks do not step. What it is may be told from the hops beside it: late
 * stamps stand apart from them, a hard hop that does not is believed as they are, and an answer that is violated still
 * is one of those that a quorum does without. */
static tsp_status look_at_spared(tspi_correction *c, const tspi_hop *hop, tsp_error *err)
{
    const tspi_mend *m = c->mend;
    bool late = tspi_thin_is_late(&m->thin, hop);

    if (!late && hop->kind == TSPI_HOP_HARD) {
        if (tspi_hop_is_violation(hop))
            c->broken_groups[m->answer.clocks[hop->from_clock].group] = 1;
        return TSP_OK;
    }
    if (tspi_hop_slack_ns(hop) >= c->most[hop->to_clock] - c->least[hop->from_clock] + NEAR_NS + hop->allowance_ns)
        return TSP_OK;
    int64_t sent = tspi_correct_near(c, hop->from_clock, hop->sent_ns);
    int64_t received = tspi_correct_near(c, hop->to_clock, hop->received_ns);
    bool ok = received >= sent + NEAR_NS + hop->allowance_ns || add_lie(c, hop);
    return ok ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory");
}

static tsp_status look_at_hop(void *ctx, const tspi_hop *hop, size_t index, tsp_error *err)
{
    tspi_correction *c = ctx;
    tspi_mend *m = c->mend;
    int64_t sent, received;
    bool ok = true;

    if (hop->same_clock)
        return TSP_OK;
    if (index == TSPI_MEND_SPARED)
        return look_at_spared(c, hop, err);
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
static void look_at_bounds(tspi_correction *c)
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

static tsp_status keep_lies(tspi_correction *c, tsp_error *err)
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
    const tspi_sided *x = a, *y = b;

    if (x->span != y->span)
        return x->span < y->span ? -1 : 1;
    if (x->is_end != y->is_end)
        return x->is_end ? 1 : -1;
    return (x->ns > y->ns) - (x->ns < y->ns);
}

const tspi_sided *tspi_correct_side(const tspi_correction *c, uint32_t span, bool is_end)
{
    size_t lo = 0, hi = c->sides_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const tspi_sided *s = &c->sides[mid];
        if (s->span < span || (s->span == span && s->is_end < is_end))
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < c->sides_n && c->sides[lo].span == span && c->sides[lo].is_end == is_end ? &c->sides[lo] : NULL;
}

static void find_moves(tspi_correction *c)
{
    tspi_mend *m = c->mend;

    for (uint32_t k = 0; k < m->causal.clocks.clocks_n; k++)
        m->moves[k] = !m->answer.clocks[k].untouched && c->broken_groups[m->answer.clocks[k].group];
}

/* Is some late stamp among those that stay broken? */
static bool any_stays_late(const tspi_correction *c)
{
    const tspi_thin *thin = &c->mend->thin;

    for (size_t k = 0; k < thin->late_n; k++) {
        const tspi_hop *hop = &thin->late[k];
        if (tspi_correct_near(c, hop->to_clock, hop->received_ns) <
            tspi_correct_near(c, hop->from_clock, hop->sent_ns) + hop->allowance_ns)
            return true;
    }
    return false;
}

/* Groups that a hop breaks which the solver was given, and believes. Does that leave no group in doubt? A hard hop that
 * it was not given breaks its group, too, unless it is late. */
static bool find_broken(tspi_correction *c)
{
    const tspi_mend *m = c->mend;
    const tspi_edges *edges = &m->causal.edges;

    for (size_t k = 0; k < m->answer.broken_n; k++) {
        const tspi_mend_broken *b = &m->answer.broken[k];
        if (tsp_solver_hop_label(m->answer.solver, b->index) == TSP_HOP_USED)
            c->broken_groups[m->answer.clocks[b->from_clock].group] = 1;
    }
    for (size_t e = 0; e < edges->edges_n; e++)
        if (edges->edges[e].hard_violations && !c->broken_groups[m->answer.clocks[edges->edges[e].from].group])
            return false;
    return true;
}

tsp_status tspi_correct_look(tspi_correction *c, bool brief, tsp_error *err)
{
    c->broken_groups = calloc((size_t)c->mend->answer.summary.groups + 1, 1);
    bool ok = c->broken_groups && find_reach(c);
    tsp_status rc = ok ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory");

    if (rc == TSP_OK && !(brief && !any_stays_late(c) && find_broken(c)))
        rc = tspi_mend_each_hop(c->mend, look_at_hop, c, err);

    if (rc == TSP_OK && c->sides_n)
        qsort(c->sides, c->sides_n, sizeof *c->sides, by_span);
    if (rc == TSP_OK)
        rc = keep_lies(c, err);
    if (rc != TSP_OK)
        return rc;
    look_at_bounds(c);
    find_moves(c);
    return TSP_OK;
}
