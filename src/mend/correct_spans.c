/* Spans of clocks that move, and their events: every stamp as it will be written. */
#include <stdlib.h>

#include "clock/track.h"
#include "mend/correct.h"

/* Both stamps of a span on one clock. A span of some length keeps one: where only one of its stamps is known to lie on
 * the other side of a step, the other goes with it. */
static void correct_span(const tspi_correction *c, uint32_t row, const tsp_track *track)
{
    const tspi_mend_stamps *raw = &c->mend->raw[row];
    tspi_span *span = &c->mend->set.spans[row];
    const tspi_sided *start = NULL, *end = NULL;

    if (c->sides_n) {
        start = tspi_correct_side(c, row, false);
        end = tspi_correct_side(c, row, true);
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

static bool has_sides(const tspi_correction *c, uint32_t row)
{
    return tspi_correct_side(c, row, false) || tspi_correct_side(c, row, true);
}

/* A span within its parent on the same clock, beside a step: where no hop tells its side, it goes with the parent.
 * true: it was moved to the other side. */
static bool follow_parent(const tspi_correction *c, uint32_t row, uint32_t parent)
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

static void follow_parents(const tspi_correction *c)
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

void tspi_correct_spans(const tspi_correction *c)
{
    tspi_mend *m = c->mend;
    size_t n = m->set.spans_n;

    for (size_t row = tspi_bits_next(m->kept, 0, n); row < n; row = tspi_bits_next(m->kept, row + 1, n)) {
        uint32_t clock = m->set.processes[m->set.spans[row].process].clock;
        if (m->moves[clock])
            correct_span(c, (uint32_t)row, m->answer.clocks[clock].track);
    }
    follow_parents(c);
    for (size_t d = 0; d < m->report.documents_n; d++) {
        const tspi_document *document = &m->report.documents[d];
        int64_t least_ns = document->format == TSPI_FORMAT_ZIPKIN_JSON ? 1000 : 0;
        size_t row = document->first_span, end = row + document->spans_n;
        if (is_micro(document->format))
            for (row = tspi_bits_next(m->kept, row, end); row < end; row = tspi_bits_next(m->kept, row + 1, end))
                round_span(&m->set.spans[row], &m->raw[row], least_ns);
    }
}

void tspi_correct_events(tspi_mend *m, const int64_t *raw_at)
{
    for (size_t k = 0; k < m->set.events_n; k++) {
        tspi_stamp_place place = {m->set.events[k].span, TSPI_STAMP_EVENT, raw_at[k]};
        m->set.events[k].at_ns = place.ns == TSPI_NO_STAMP ? place.ns : tspi_mend_edit(m, &place);
    }
}
