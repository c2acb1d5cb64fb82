/* What there is to say of edges: hops that no accused clock explains. */
#include <stdio.h>

#include "health/audit_advice.h"
#include "health/audit_words.h"

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
        } else if (a->edge_causes[k][TSP_CAUSE_UNKNOWN] && edge->hops < TSPI_FEW_HOPS &&
                   !tspi_audit_contradicts(a, k)) {
            (edge->hard_violations ? say_too_few : say_too_few_answers)(a, k);
            said++;
        } else if (a->edge_causes[k][TSP_CAUSE_UNKNOWN] && !edge->hard_violations) {
            say_late_answers(a, k);
            said++;
        }
    }
}

static void say_pairs(tspi_audit *a)
{
    size_t n = a->check->pairs_n;

    for (size_t k = 0; k < n && k < EDGE_LINES_MAX; k++)
        tspi_audit_say(a, "%s", a->check->pairs[k].said);
    if (n > EDGE_LINES_MAX)
        tspi_audit_say(a, "So are %s more pairs.", NUMBER(n - EDGE_LINES_MAX));
}

/* Hops that look wrong as a body, and yet accuse nobody. */
static void say_waiting(tspi_audit *a)
{
    uint64_t unknown = 0, hops = 0;

    for (size_t k = 0; k < a->causal.edges.edges_n; k++) {
        const tspi_edge *edge = &a->causal.edges.edges[k];
        if (!tspi_audit_is_undecided(a, k) || tspi_audit_is_shifted(a, k) || tspi_audit_contradicts(a, k))
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
    say_pairs(a);
    say_waiting(a);
}
