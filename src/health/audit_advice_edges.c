/* What there is to say of edges: hops that no accused clock explains. */
#include <stdio.h>

#include "health/audit_advice.h"
#include "health/audit_words.h"

/* Of the hops of an edge, the share that only clocks invert. */
#define SHIFTED 0.9

/* Without the solver: what the edge alone shows. */
static void say_step(tspi_audit *a, size_t k)
{
    const tspi_edge *edge = &a->causal.edges.edges[k];
    const tspi_edge_evidence *row = &a->evidence.rows[k];

    tspi_audit_say(a, "Hops from %s to %s change by %s %.1f s into the trace, at once: a clock stepped.",
                   NAME(edge->from), NAME(edge->to), AMOUNT(row->step_ns),
                   (double)(row->step_at_ns - edge->first_ns) / 1e9);
}

/* "3 of 12 hops", "1 of 12 hops", "The only hop". */
static const char *share(uint64_t n, uint64_t of, const char *what, char *ret, size_t size)
{
    if (of == 1)
        snprintf(ret, size, "The only %s", what);
    else
        snprintf(ret, size, "%s of %s %ss", NUMBER(n), NUMBER(of), what);
    return ret;
}

#define SHARE(n, of, what) share(n, of, what, (char[80]){0}, 80)

static void say_too_few(tspi_audit *a, size_t k)
{
    const tspi_edge *edge = &a->causal.edges.edges[k];
    bool one = edge->violations == 1;

    tspi_audit_say(a,
                   "%s from %s to %s %s received %s%s before %s sent: too few to tell a clock from a late stamp. If it "
                   "is the clock, %s runs at least that much behind.",
                   SHARE(edge->violations, edge->hops, "hop"), NAME(edge->from), NAME(edge->to), one ? "is" : "are",
                   one ? "" : "up to ", AMOUNT(edge->worst_ns), one ? "it is" : "they are", NAME(edge->to));
}

static void say_too_few_answers(tspi_audit *a, size_t k)
{
    const tspi_edge *edge = &a->causal.edges.edges[k];
    bool one = edge->soft_violations == 1;

    tspi_audit_say(a, "%s from %s come%s %s%s after %s says that the call ended: too few to tell a clock from %s.",
                   SHARE(edge->soft_violations, edge->slacks[TSPI_HOP_SOFT].n, "answer"), NAME(edge->from),
                   one ? "s" : "", one ? "" : "up to ", AMOUNT(edge->worst_ns), NAME(edge->to),
                   one ? "a server that goes on after answering" : "servers that go on after answering");
}

static void say_late_answers(tspi_audit *a, size_t k)
{
    const tspi_edge *edge = &a->causal.edges.edges[k];
    bool one = edge->soft_violations == 1;

    tspi_audit_say(a, "%s from %s come%s after %s says that the call ended%s: %s, or skew; this input cannot tell.",
                   SHARE(edge->soft_violations, edge->slacks[TSPI_HOP_SOFT].n, "answer"), NAME(edge->from),
                   one ? "s" : "", NAME(edge->to), one ? "" : ", by unlike amounts",
                   one ? "a server that goes on after answering" : "servers that go on after answering");
}

static void say_edges(tspi_audit *a)
{
    unsigned said = 0;

    for (size_t k = 0; k < a->causal.edges.edges_n && said < EDGE_LINES_MAX; k++) {
        const tspi_edge *edge = &a->causal.edges.edges[k];
        if (a->edge_causes[k][TSP_CAUSE_STEP] && !a->solved) {
            say_step(a, k);
            said++;
        } else if (a->edge_causes[k][TSP_CAUSE_UNKNOWN] && edge->hops < TSPI_FEW_HOPS) {
            (edge->hard_violations ? say_too_few : say_too_few_answers)(a, k);
            said++;
        } else if (a->edge_causes[k][TSP_CAUSE_UNKNOWN] && !edge->hard_violations) {
            say_late_answers(a, k);
            said++;
        }
    }
}

/* It and its reference are surely apart, and a line of its own says by how much. */
static bool is_apart(const tspi_audit *a, uint32_t clock)
{
    const tsp_clock_result *row = tspi_audit_clock(a, clock);

    return row && row->verdict == TSP_CLOCK_UNKNOWN && row->at_least_ns;
}

/* Requests of the edge are violated, and neither a clock nor a line about one of its two accounts for them. */
static bool is_undecided(const tspi_audit *a, size_t k)
{
    const tspi_edge *edge = &a->causal.edges.edges[k];

    return a->edge_causes[k][TSP_CAUSE_UNKNOWN] && edge->hops >= TSPI_FEW_HOPS && edge->hard_violations &&
           !is_apart(a, edge->from) && !is_apart(a, edge->to);
}

/* Stamps that wait invert some hops, not nearly all of an edge: its two clocks are apart, though nobody is accused. An
 * edge of answers alone shows nothing of the kind. */
static bool is_shifted(const tspi_audit *a, size_t k)
{
    const tspi_edge *edge = &a->causal.edges.edges[k];

    return edge->hard_violations && (double)edge->hard_violations >= SHIFTED * (double)edge->slacks[TSPI_HOP_HARD].n &&
           !a->evidence.rows[k].left_tailed[TSPI_HOP_HARD];
}

/* Nearly all of its hops are inverted, and nobody is accused. */
static bool is_inverted_whole(const tspi_audit *a, size_t k)
{
    return is_undecided(a, k) && is_shifted(a, k);
}

/* The edge the other way, where that is so, too; else NULL. */
static const tspi_edge *shifted_back(const tspi_audit *a, const tspi_edge *edge)
{
    const tspi_edge *back = tspi_edges_find(&a->causal.edges, edge->to, edge->from);

    return back && is_inverted_whole(a, (size_t)(back - a->causal.edges.edges)) ? back : NULL;
}

static void say_pair(tspi_audit *a, const tspi_edge *edge, const tspi_edge *back)
{
    if (back)
        tspi_audit_say(a,
                       "Hops from %s to %s are inverted, by up to %s, and so are those from %s to %s, by up to %s: no "
                       "clocks do that. Two machines of one name do (--clock-key tells them apart).",
                       NAME(edge->from), NAME(edge->to), AMOUNT(edge->worst_ns), NAME(edge->to), NAME(edge->from),
                       AMOUNT(back->worst_ns));
    else
        tspi_audit_say(a,
                       "%s of %s hops from %s to %s are inverted, by up to %s: the two are apart; which of them is "
                       "wrong, the other clocks do not tell.",
                       NUMBER(edge->hard_violations), NUMBER(edge->slacks[TSPI_HOP_HARD].n), NAME(edge->from),
                       NAME(edge->to), AMOUNT(edge->worst_ns));
}

static void say_shifted(tspi_audit *a)
{
    uint64_t said = 0, more = 0;

    for (size_t k = 0; a->solved && k < a->causal.edges.edges_n; k++) {
        const tspi_edge *edge = &a->causal.edges.edges[k], *back;
        if (!is_inverted_whole(a, k))
            continue;
        back = shifted_back(a, edge);
        if (back && edge->from > edge->to) /* one line for both */
            continue;
        if (said++ < EDGE_LINES_MAX)
            say_pair(a, edge, back);
        else
            more++;
    }
    if (more)
        tspi_audit_say(a, "So are %s more pairs.", NUMBER(more));
}

/* Hops that look wrong as a body, and yet accuse nobody. */
static void say_waiting(tspi_audit *a)
{
    uint64_t unknown = 0, hops = 0;

    for (size_t k = 0; k < a->causal.edges.edges_n; k++) {
        const tspi_edge *edge = &a->causal.edges.edges[k];
        if (!is_undecided(a, k) || is_shifted(a, k))
            continue;
        unknown += a->edge_causes[k][TSP_CAUSE_UNKNOWN];
        hops += edge->hops;
    }
    if (a->solved && unknown)
        tspi_audit_say(a,
                       "%s of %s hops %s inverted in a way that stamps which wait for a busy CPU explain as well as a "
                       "clock does: nobody is accused.",
                       NUMBER(unknown), NUMBER(hops), unknown == 1 ? "is" : "are");
}

void tspi_audit_advise_edges(tspi_audit *a)
{
    say_edges(a);
    say_shifted(a);
    say_waiting(a);
}
