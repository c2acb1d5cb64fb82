#include "causal/cause.h"

#include <stdlib.h>

/* Inversions on one clock this frequent are the tracer's way, not accidents. */
#define OFTEN 0.05

const char *tspi_cause_name(enum tspi_cause cause)
{
    static const char *const names[] = {"clock", "step", "late_stamp", "instrumentation", "unknown"};

    return cause < TSPI_CAUSES_N ? names[cause] : "unknown";
}

static enum tspi_cause on_one_clock(const tspi_evidence *e, const tspi_hop *hop)
{
    const tspi_clock_stats *stats = &e->edges->stats[hop->from_clock];
    uint64_t n = hop->kind == TSPI_HOP_SOFT ? stats->soft : stats->hard;
    uint64_t violations = hop->kind == TSPI_HOP_SOFT ? stats->soft_violations : stats->hard_violations;

    if (hop->kind == TSPI_HOP_CHECK)
        return TSPI_CAUSE_INSTRUMENTATION;
    return n >= TSPI_FEW_HOPS && (double)violations < OFTEN * (double)n ? TSPI_CAUSE_LATE_STAMP
                                                                        : TSPI_CAUSE_INSTRUMENTATION;
}

/* Hops the other way allow the sender's clock to be ahead by this much at the most, when this hop was received. */
static int64_t ahead_at_most(const tspi_evidence *e, const tspi_hop *hop)
{
    const tspi_edge_evidence *back = tspi_evidence_find(e, hop->to_clock, hop->from_clock);

    if (!back || back->hard_bound_ns[2] == TSPI_UNBOUNDED)
        return TSPI_UNBOUNDED;
    return back->hard_bound_ns[2] + (int64_t)(2 * e->drift * (double)(e->end_ns - hop->received_ns));
}

static enum tspi_cause shifted(const tspi_edge_evidence *row, const tspi_hop *hop, int kind)
{
    if (row->pattern[kind] != TSPI_PATTERN_STEP)
        return TSPI_CAUSE_CLOCK;
    int64_t since = row->step_is_late ? hop->received_ns - row->step_at_ns : row->step_at_ns - hop->received_ns;
    return since >= -row->step_slop_ns ? TSPI_CAUSE_STEP : TSPI_CAUSE_CLOCK;
}

static enum tspi_cause of_reply(const tspi_edge *edge, const tspi_edge_evidence *row, const tspi_hop *hop)
{
    bool hard_skew =
        row->hard_bound_ns[0] < 0 && !row->left_tailed[TSPI_HOP_HARD] && edge->slacks[TSPI_HOP_HARD].n >= TSPI_FEW_HOPS;

    if (hard_skew)
        return shifted(row, hop, TSPI_HOP_SOFT);
    if (row->pattern[TSPI_HOP_SOFT] == TSPI_PATTERN_FEW)
        return TSPI_CAUSE_UNKNOWN;
    const tspi_stretch *stretch = tspi_evidence_stretch(row, edge, hop);
    if (stretch->replies_shifted)
        return shifted(row, hop, TSPI_HOP_SOFT);
    return stretch->replies_uneven ? TSPI_CAUSE_UNKNOWN : TSPI_CAUSE_LATE_STAMP;
}

static enum tspi_cause of_start(const tspi_edge_evidence *row, const tspi_hop *hop)
{
    if (row->pattern[TSPI_HOP_HARD] == TSPI_PATTERN_FEW || row->left_tailed[TSPI_HOP_HARD])
        return TSPI_CAUSE_UNKNOWN;
    return shifted(row, hop, TSPI_HOP_HARD);
}

/* A token out of order between two clocks is what their hops are. */
static enum tspi_cause of_token(const tspi_edge_evidence *row)
{
    switch (row->pattern[TSPI_HOP_HARD]) {
    case TSPI_PATTERN_BODY:
        return row->left_tailed[TSPI_HOP_HARD] ? TSPI_CAUSE_UNKNOWN : TSPI_CAUSE_CLOCK;
    case TSPI_PATTERN_STEP:
        return TSPI_CAUSE_STEP;
    case TSPI_PATTERN_SCATTERED:
        return TSPI_CAUSE_LATE_STAMP;
    default:
        return TSPI_CAUSE_UNKNOWN;
    }
}

static enum tspi_cause of_hop(const tspi_evidence *e, tspi_edge *edge, const tspi_hop *hop)
{
    const tspi_edge_evidence *row = &e->rows[edge - e->edges->edges];
    int64_t slack = tspi_hop_slack_ns(hop), ahead = ahead_at_most(e, hop);
    bool stepped = row->pattern[0] == TSPI_PATTERN_STEP || row->pattern[1] == TSPI_PATTERN_STEP;
    bool many = edge->slacks[hop->kind].n >= TSPI_FEW_HOPS;

    if (many && slack < tspi_evidence_fence(row, edge, hop))
        return TSPI_CAUSE_LATE_STAMP;
    /* No clock can be so far off. Where most hops say so, those the other way may lie as well: two machines of one
     * name, say. */
    if (many && ahead != TSPI_UNBOUNDED && -slack > ahead && !stepped)
        return -row->median_ns[hop->kind] > ahead ? TSPI_CAUSE_UNKNOWN : TSPI_CAUSE_LATE_STAMP;
    return hop->kind == TSPI_HOP_SOFT ? of_reply(edge, row, hop) : of_start(row, hop);
}

enum tspi_cause tspi_cause_find(const tspi_evidence *e, const tspi_hop *hop, uint64_t index, const tspi_judge *judge)
{
    enum tspi_opinion opinion = TSPI_OPINION_NONE;
    enum tspi_cause cause;

    if (hop->same_clock)
        return on_one_clock(e, hop);
    if (judge)
        opinion = judge->judge(judge->ctx, hop, index, &cause);
    if (opinion == TSPI_OPINION_CAUSE)
        return cause;
    tspi_edge *edge = tspi_edges_find(e->edges, hop->from_clock, hop->to_clock);
    if (!edge)
        return TSPI_CAUSE_UNKNOWN;
    cause = hop->kind == TSPI_HOP_CHECK ? of_token(&e->rows[edge - e->edges->edges]) : of_hop(e, edge, hop);
    if (opinion == TSPI_OPINION_NO_CLOCK && (cause == TSPI_CAUSE_CLOCK || cause == TSPI_CAUSE_STEP))
        return TSPI_CAUSE_UNKNOWN;
    return cause;
}
