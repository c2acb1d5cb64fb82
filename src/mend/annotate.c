/* What a corrected span says of itself: by how much its clock was off, how surely, and what it said before. */
#include <stdlib.h>

#include "mend/mend.h"

/* Most that the offset of a clock can have moved in so long, whole ns upward. */
static int64_t drift(const tspi_mend *m, int64_t ns)
{
    int64_t rho_ppb = (int64_t)(m->answer.summary.max_drift_ppm * 1000) + 1;

    return (int64_t)((__int128)(ns < 0 ? -ns : ns) * rho_ppb / 1000000000) + 2;
}

/* Did the clock step, or may it have, between these stamps? */
static bool step_between(const tsp_clock_result *clock, int64_t a, int64_t b)
{
    int64_t from = a < b ? a : b, to = a < b ? b : a;

    for (size_t k = 0; k < clock->steps_n; k++) {
        int64_t first = clock->steps[k].at_ns, last = clock->steps[k].after_ns;
        if (first > last) {
            int64_t swap = first;
            first = last;
            last = swap;
        }
        if (from <= last && first <= to)
            return true;
    }
    return false;
}

/* The bounds at a stamp: those of the knots on either side, carried over by the drift limit. */
static void bounds_at(const tspi_mend *m, const tsp_clock_result *clock, int64_t stamp, int64_t *ret_lo,
                      int64_t *ret_hi)
{
    size_t lo = 0, hi = clock->knots_n;

    *ret_lo = TSP_UNBOUNDED_LO;
    *ret_hi = TSP_UNBOUNDED_HI;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (clock->knots[mid].at_ns < stamp)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (size_t k = lo ? lo - 1 : 0; k <= lo && k < clock->knots_n; k++) {
        const tsp_knot *knot = &clock->knots[k];
        int64_t by = drift(m, stamp - knot->at_ns);
        if (step_between(clock, knot->at_ns, stamp))
            continue;
        if (knot->lo_ns != TSP_UNBOUNDED_LO && knot->lo_ns - by > *ret_lo)
            *ret_lo = knot->lo_ns - by;
        if (knot->hi_ns != TSP_UNBOUNDED_HI && knot->hi_ns + by < *ret_hi)
            *ret_hi = knot->hi_ns + by;
    }
}

/* The clock that stands for true time in this one's group. */
static const char *reference_of(const tspi_mend *m, uint32_t clock)
{
    uint32_t group = m->answer.clocks[clock].group;

    return group < m->frames_n && m->frames[group] != TSPI_NONE ? tspi_mend_clock_name(m, m->frames[group]) : "UTC";
}

tsp_status tspi_mend_find_frames(tspi_mend *m, tsp_error *err)
{
    uint32_t n = m->answer.summary.groups;

    free(m->frames);
    m->frames = malloc(((size_t)n + 1) * sizeof *m->frames);
    m->frames_n = m->frames ? n : 0;
    if (!m->frames)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    for (uint32_t g = 0; g < n; g++)
        m->frames[g] = TSPI_NONE;
    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++)
        if (m->answer.clocks[c].is_reference && m->answer.clocks[c].group < n)
            m->frames[m->answer.clocks[c].group] = c;
    return TSP_OK;
}

size_t tspi_mend_annotate(void *ctx, size_t row, const tspi_annotated *had, tspi_annotation *ret)
{
    const tspi_mend *m = ctx;
    const tspi_span *span = &m->set.spans[row];
    const tspi_mend_stamps raw = tspi_mend_raw(m, row);
    uint32_t clock = m->set.processes[span->process].clock;
    bool has_start = raw.start_ns != TSPI_NO_STAMP;
    int64_t before = has_start ? raw.start_ns : raw.end_ns, now = has_start ? span->start_ns : span->end_ns;
    int64_t first = has_start ? had->start_ns : had->end_ns, lo, hi;
    size_t n = 0;

    if (span->start_ns == raw.start_ns && span->end_ns == raw.end_ns)
        return 0;
    /* Of a span that was corrected before, what it said at first counts. */
    first = first == TSPI_NO_STAMP ? before : first;
    ret[n++] = (tspi_annotation){.key = TSPI_ANNOTATION_OFFSET, .number = first - now};
    bounds_at(m, &m->answer.clocks[clock], before, &lo, &hi);
    if (lo != TSP_UNBOUNDED_LO)
        ret[n++] = (tspi_annotation){.key = TSPI_ANNOTATION_LO, .number = lo + (first - before)};
    if (hi != TSP_UNBOUNDED_HI)
        ret[n++] = (tspi_annotation){.key = TSPI_ANNOTATION_HI, .number = hi + (first - before)};
    ret[n++] = (tspi_annotation){.key = TSPI_ANNOTATION_REFERENCE, .text = reference_of(m, clock)};
    if (has_start)
        ret[n++] = (tspi_annotation){.key = TSPI_ANNOTATION_RAW_START, .number = first};
    if (raw.end_ns != TSPI_NO_STAMP)
        ret[n++] = (tspi_annotation){.key = TSPI_ANNOTATION_RAW_END,
                                     .number = had->end_ns == TSPI_NO_STAMP ? raw.end_ns : had->end_ns};
    return n;
}
