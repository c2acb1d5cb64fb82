/* Proofs, written so that a reader can add them up. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/number_text.h"
#include "cli/clocks_print.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/wrap.h"

void clocks_format_span(const tspi_mend *m, uint32_t row, char ret_trace[33], char ret_span[17])
{
    const tspi_span *span = &m->set.spans[row];
    const tspi_trace_id *id = &m->set.traces[span->trace];

    if (id->hi)
        snprintf(ret_trace, 33, "%016" PRIx64 "%016" PRIx64, id->hi, id->lo);
    else
        snprintf(ret_trace, 33, "%016" PRIx64, id->lo);
    snprintf(ret_span, 17, "%016" PRIx64, span->span_id);
}

static bool excludes_zero(const tsp_knot *knot)
{
    return (knot->lo_ns != TSP_UNBOUNDED_LO && knot->lo_ns > 0) || (knot->hi_ns != TSP_UNBOUNDED_HI && knot->hi_ns < 0);
}

static int64_t distance(const tsp_knot *knot)
{
    if (knot->lo_ns != TSP_UNBOUNDED_LO && knot->lo_ns > 0)
        return knot->lo_ns;
    return knot->hi_ns != TSP_UNBOUNDED_HI && knot->hi_ns < 0 ? -knot->hi_ns : 0;
}

int64_t clocks_instant(const tsp_clock_result *clock, bool *ret_known)
{
    const tsp_knot *best;

    *ret_known = clock->knots_n > 0;
    if (!clock->knots_n)
        return 0;
    best = &clock->knots[clock->knots_n - 1];
    if (clock->verdict == TSP_CLOCK_PROVEN && !excludes_zero(best))
        for (size_t k = 0; k < clock->knots_n; k++)
            if (distance(&clock->knots[k]) > distance(best))
                best = &clock->knots[k];
    return best->at_ns;
}

/* A whole number of ns in groups of three, with its sign. */
static void format_exact(int64_t ns, char *ret, size_t size)
{
    char digits[40];

    format_count(ns < 0 ? -(uint64_t)ns : (uint64_t)ns, digits, sizeof digits);
    snprintf(ret, size, "%s%s", ns < 0 ? "-" : "", digits);
}

static void add_link(table *t, const tspi_mend *m, const tsp_proof_link *link)
{
    const tspi_utc_bound *bound = tspi_mend_bound_of(m, link);
    char trace[33], from[17], to[17], text[48];
    bool tie = link->hop == TSP_NO_HOP && !bound;

    if (bound) {
        table_addf(t, "%s -> %s", tspi_mend_clock_name(m, link->from), tspi_mend_clock_name(m, link->to));
        table_addf(t, "%s, line %u: offset %+" PRId64 " to %+" PRId64 " ns", m->options.bounds, bound->line,
                   bound->lo_ns, bound->hi_ns);
    } else if (tie) {
        char by[32];
        format_ns(llabs(link->to_ns - link->from_ns), by, sizeof by);
        table_addf(t, "%s, %s %s", tspi_mend_clock_name(m, link->to), by,
                   link->to_ns < link->from_ns ? "earlier" : "later");
        table_addf(t, "drift, at most %g ppm", m->answer.summary.max_drift_ppm);
    } else {
        uint32_t a = tspi_mend_from_span(link->tag), b = tspi_mend_to_span(link->tag);
        const tspi_span *spans = m->set.spans;
        clocks_format_span(m, b, trace, to);
        clocks_format_span(m, a, trace, from);
        table_addf(t, "%s -> %s", tspi_mend_clock_name(m, link->from), tspi_mend_clock_name(m, link->to));
        table_addf(t, "trace %s span %s (%.40s) -> %s (%.40s)", trace, from, m->set.names[spans[a].name], to,
                   m->set.names[spans[b].name]);
    }
    table_addf(t, "%" PRId64, link->from_ns);
    table_addf(t, "%" PRId64, link->to_ns);
    format_exact(link->to_ns - link->from_ns, text, sizeof text);
    table_add(t, tie ? "" : text);
    format_exact(tie ? link->limit_ns : link->limit_ns - (link->to_ns - link->from_ns), text, sizeof text);
    table_add(t, text);
    format_exact(link->limit_ns, text, sizeof text);
    table_add(t, text);
}

static int64_t print_links(const tspi_mend *m, const tsp_proof_link *links, size_t n, FILE *out)
{
    static const char *const heads[] = {"from -> to", "what",      "sent by its clock", "received by its clock",
                                        "slack ns",   "allowance", "limit ns"};
    char text[48];
    int64_t sum = 0;
    table t;

    table_init(&t, "llrrrrr");
    for (size_t k = 0; k < sizeof heads / sizeof *heads; k++)
        table_add(&t, heads[k]);
    for (size_t k = 0; k < n; k++) {
        add_link(&t, m, &links[k]);
        sum += links[k].limit_ns;
    }
    table_add(&t, "sum");
    for (int k = 0; k < 5; k++)
        table_add(&t, "");
    format_exact(sum, text, sizeof text);
    table_add(&t, text);
    table_print(&t, 2, out);
    table_release(&t);
    return sum;
}

static tsp_status print_side(const tspi_mend *m, uint32_t clock, int64_t at, bool upper, FILE *out, tsp_error *err)
{
    const tspi_clock *clocks = m->causal.clocks.clocks;
    tsp_proof_link *links = NULL;
    size_t n = 0;
    tsp_error why = {0};
    tsp_status rc = tsp_solver_why(m->answer.solver, clock, at, upper, &links, &n, &why);
    char exact[48], name[TERMINAL_NAME];

    if (rc == TSP_ERANGE) {
        fprintf(out, "%s: unbounded. No chain of hops leads %s %s.\n\n", upper ? "At most" : "At least",
                upper ? "to" : "from", terminal_shown(clocks[clock].name, name, sizeof name));
        return TSP_OK;
    }
    if (rc != TSP_OK) {
        if (err)
            *err = why;
        return rc;
    }
    int64_t sum = 0;
    for (size_t k = 0; k < n; k++)
        sum += links[k].limit_ns;
    format_exact(upper ? sum : -sum, exact, sizeof exact);
    fprintf(out, "%s %s ns, %s:\n", upper ? "At most" : "At least", exact,
            upper ? "the sum of the limits" : "less the sum of the limits");
    print_links(m, links, n, out);
    fputc('\n', out);
    free(links);
    return TSP_OK;
}

tsp_status clocks_print_why(const tspi_mend *m, uint32_t clock, FILE *out, tsp_error *err)
{
    const tsp_clock_result *row = &m->answer.clocks[clock];
    bool known;
    int64_t at = clocks_instant(row, &known);
    char time[48], name[TERMINAL_NAME];
    tsp_status rc;

    terminal_shown(m->causal.clocks.clocks[clock].name, name, sizeof name);
    if (row->is_reference) {
        fprintf(out, "%s is the reference of its group: its offset is 0 by definition.\n", name);
        return TSP_OK;
    }
    if (!known) {
        fprintf(out, "%s exchanges no hops: nothing bounds its offset.\n", name);
        return TSP_OK;
    }
    tspi_format_instant(at, time, sizeof time);
    wrap w;
    fprintf(wrap_begin(&w, out),
            "%s, %s: its offset at its %s.\n"
            "Each hop says: offset of the receiver - offset of the sender <= received - sent + allowance, since "
            "nothing is received before it is sent. The allowance is for how coarsely stamps are written; a clock's "
            "own offset moves by no more than the drift limit.\n\n",
            name, tsp_clock_verdict_name(row->verdict), time);
    wrap_end(&w);
    rc = print_side(m, clock, at, true, out, err);
    return rc == TSP_OK ? print_side(m, clock, at, false, out, err) : rc;
}

void clocks_print_conflict(const tspi_mend *m, FILE *out)
{
    size_t n;
    const tsp_proof_link *links = tsp_solver_conflict(m->answer.solver, &n);

    if (!m->answer.summary.contradictory || !n)
        return;
    fputs("The contradiction: along this ring offsets would have to fall below themselves.\n", out);
    print_links(m, links, n, out);
}
