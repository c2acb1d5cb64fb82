/* Pairs of clocks that are surely apart, or contradict each other, though nobody is accused. */
#include <stdio.h>
#include <string.h>

#include "base/grow.h"
#include "health/audit_advice.h"
#include "health/audit_words.h"

/* Of the hops of an edge, the share that only clocks invert. */
#define SHIFTED 0.9

/* It and its reference are surely apart, and a line of its own says by how much. */
static bool is_apart(const tspi_audit *a, uint32_t clock)
{
    const tsp_clock_result *row = tspi_audit_clock(a, clock);

    return row && row->verdict == TSP_CLOCK_UNKNOWN && row->at_least_ns;
}

/* Requests of the edge are violated, and neither a clock nor a line about one of its two accounts for them. */
static bool is_unexplained(const tspi_audit *a, size_t k)
{
    const tspi_edge *edge = &a->causal.edges.edges[k];

    return a->edge_causes[k][TSP_CAUSE_UNKNOWN] && edge->hard_violations && !is_apart(a, edge->from) &&
           !is_apart(a, edge->to);
}

bool tspi_audit_is_undecided(const tspi_audit *a, size_t k)
{
    return is_unexplained(a, k) && a->causal.edges.edges[k].hops >= TSPI_FEW_HOPS;
}

static bool is_inverted(const tspi_edge *edge)
{
    return edge->hard_violations && (double)edge->hard_violations >= SHIFTED * (double)edge->slacks[TSPI_HOP_HARD].n;
}

/* Stamps that wait invert some hops, not nearly all of an edge: its two clocks are apart. An edge of answers alone
 * shows nothing of the kind. */
bool tspi_audit_is_shifted(const tspi_audit *a, size_t k)
{
    return is_inverted(&a->causal.edges.edges[k]) && !a->evidence.rows[k].left_tailed[TSPI_HOP_HARD];
}

/* Both ways at once no wait inverts, whatever its tail. */
const tspi_edge *tspi_audit_contradicts(const tspi_audit *a, size_t k)
{
    const tspi_edge *edge = &a->causal.edges.edges[k];
    const tspi_edge *back = tspi_edges_find(&a->causal.edges, edge->to, edge->from);
    size_t b = back ? (size_t)(back - a->causal.edges.edges) : 0;

    return a->solved && back && is_unexplained(a, k) && is_inverted(edge) && is_unexplained(a, b) && is_inverted(back)
               ? back
               : NULL;
}

/* Of a few hops late stamps may say the same. */
static const char *what_does_that(const tspi_edge *edge, const tspi_edge *back)
{
    return edge->hops < TSPI_FEW_HOPS || back->hops < TSPI_FEW_HOPS ? "Late stamps do, or two machines of one name"
                                                                    : "Two machines of one name do";
}

static const char *describe(tspi_audit *a, const tspi_edge *edge, const tspi_edge *back, bool contradictory)
{
    char text[600];

    if (contradictory)
        snprintf(text, sizeof text,
                 "Hops from %.100s to %.100s are inverted, by up to %s, and so are those from %.100s to %.100s, by up "
                 "to %s: no clocks do that. %s (--clock-key tells them apart).",
                 NAME(edge->from), NAME(edge->to), AMOUNT(edge->worst_ns), NAME(edge->to), NAME(edge->from),
                 AMOUNT(back->worst_ns), what_does_that(edge, back));
    else
        snprintf(text, sizeof text,
                 "%s of %s hops from %.100s to %.100s are inverted, by up to %s: the two are apart; which of them is "
                 "wrong, the other clocks do not tell.",
                 NUMBER(edge->hard_violations), NUMBER(edge->slacks[TSPI_HOP_HARD].n), NAME(edge->from), NAME(edge->to),
                 AMOUNT(edge->worst_ns));
    return tspi_arena_strndup(&a->check->arena, text, strlen(text));
}

static bool add_pair(tspi_audit *a, const tspi_edge *edge, const tspi_edge *back, bool contradictory)
{
    tsp_check *check = a->check;
    tsp_check_pair *pairs = tspi_grown(check->pairs, check->pairs_n, &check->pairs_cap, sizeof *pairs);

    if (!pairs)
        return false;
    check->pairs = pairs;
    pairs[check->pairs_n] = (tsp_check_pair){.from = NAME(edge->from),
                                             .to = NAME(edge->to),
                                             .contradictory = contradictory,
                                             .hops = edge->slacks[TSPI_HOP_HARD].n,
                                             .violations = edge->hard_violations,
                                             .worst_ns = edge->worst_ns,
                                             .back_hops = back ? back->slacks[TSPI_HOP_HARD].n : 0,
                                             .back_violations = back ? back->hard_violations : 0,
                                             .back_worst_ns = back ? back->worst_ns : 0,
                                             .said = describe(a, edge, back, contradictory)};
    return pairs[check->pairs_n++].said;
}

static bool is_accused(const tsp_clock_result *row)
{
    return row && (row->verdict == TSP_CLOCK_PROVEN || row->verdict == TSP_CLOCK_SUSPECTED);
}

/* Neither is accused, of which that would then be a part. */
static bool is_nobodys(const tsp_clock_result *from, const tsp_clock_result *to)
{
    return !is_accused(from) && !is_accused(to);
}

bool tspi_audit_may_find_pairs(const tspi_mend *mend)
{
    const tspi_edges *edges = &mend->causal.edges;
    const tsp_clock_result *clocks = mend->answer.clocks;

    for (size_t k = 0; k < edges->edges_n; k++) {
        const tspi_edge *edge = &edges->edges[k];
        if (!is_inverted(edge))
            continue;
        const tspi_edge *back = tspi_edges_find(edges, edge->to, edge->from);
        if (is_nobodys(&clocks[edge->from], &clocks[edge->to]) || (back && is_inverted(back)))
            return true;
    }
    return false;
}

tsp_status tspi_audit_find_pairs(tspi_audit *a)
{
    for (size_t k = 0; a->solved && k < a->causal.edges.edges_n; k++) {
        const tspi_edge *edge = &a->causal.edges.edges[k], *against = tspi_audit_contradicts(a, k);
        if (against ? edge->from > edge->to /* one row for both */
                    : !tspi_audit_is_undecided(a, k) || !tspi_audit_is_shifted(a, k) ||
                          !is_nobodys(tspi_audit_clock(a, edge->from), tspi_audit_clock(a, edge->to)))
            continue;
        const tspi_edge *back = against ? against : tspi_edges_find(&a->causal.edges, edge->to, edge->from);
        if (!add_pair(a, edge, back, against != NULL))
            return TSP_ENOMEM;
    }
    return TSP_OK;
}
