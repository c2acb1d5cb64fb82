#include "cli/clocks_print.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/number_text.h"
#include "cli/sparkline.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/wrap.h"

const char *clocks_reference(const tspi_mend *m)
{
    if (m->bounds_used)
        return "UTC";
    return m->answer.summary.reference == TSP_NO_CLOCK ? NULL
                                                       : m->causal.clocks.clocks[m->answer.summary.reference].name;
}

bool clocks_found(const tspi_mend *m)
{
    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++)
        if (m->answer.clocks[c].verdict == TSP_CLOCK_PROVEN || m->answer.clocks[c].verdict == TSP_CLOCK_SUSPECTED)
            return true;
    return false;
}

/* A difference with its sign. */
static void format_signed(int64_t ns, char *ret, size_t size)
{
    bool plus = ns > 0 && size > 1;

    if (plus)
        ret[0] = '+';
    format_ns(ns, ret + plus, size - plus);
}

static void format_bound(int64_t ns, char *ret, size_t size)
{
    if (ns == TSP_UNBOUNDED_LO || ns == TSP_UNBOUNDED_HI)
        snprintf(ret, size, "unbounded");
    else
        format_signed(ns, ret, size);
}

static void add_clock(table *t, const tspi_mend *m, uint32_t c, const sparkline_axis *axis, unsigned columns, bool utf8)
{
    const tsp_clock_result *clock = &m->answer.clocks[c];
    char text[SPARKLINE_BYTES];

    table_add(t, m->causal.clocks.clocks[c].name);
    table_add(t, clock->is_reference && clock->verdict == TSP_CLOCK_OK ? "reference"
                                                                       : tsp_clock_verdict_name(clock->verdict));
    format_signed(clock->offset_ns, text, sizeof text);
    table_add(t, clock->offset_ns == TSP_NO_VALUE ? "unknown" : text);
    format_ns(clock->sigma_ns, text, sizeof text);
    table_add(t, clock->offset_ns == TSP_NO_VALUE || !clock->sigma_ns ? "" : text);
    format_bound(clock->lo_ns, text, sizeof text);
    table_add(t, text);
    format_bound(clock->hi_ns, text, sizeof text);
    table_add(t, text);
    if (clock->drift_ppb == TSP_NO_VALUE)
        table_add(t, "");
    else
        table_addf(t, "%+.2f ppm", fabs((double)clock->drift_ppb) < 5 ? 0.0 : (double)clock->drift_ppb / 1000);
    format_count(clock->hops_in, text, sizeof text);
    table_add(t, text);
    format_count(clock->hops_out, text, sizeof text);
    table_add(t, text);
    sparkline_draw(axis, clock->knots, clock->knots_n, sparkline_scale_ns(clock->sigma_ns, clock->lo_ns, clock->hi_ns),
                   sparkline_columns(columns), utf8, text);
    table_add(t, text);
}

static void print_steps(const tspi_mend *m, FILE *out)
{
    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++)
        for (size_t k = 0; k < m->answer.clocks[c].steps_n; k++) {
            const tsp_step *step = &m->answer.clocks[c].steps[k];
            char size[32], at[48], name[TERMINAL_NAME];
            format_signed(step->size_ns, size, sizeof size);
            tspi_format_instant(step->at_ns, at, sizeof at);
            fprintf(out, "%s stepped by %s just after its %s\n",
                    terminal_shown(m->causal.clocks.clocks[c].name, name, sizeof name), size, at);
        }
}

/* How many clocks of each group need no correction; the caller frees it. NULL: no memory. */
static unsigned *agreeing(const tspi_mend *m)
{
    unsigned *n = calloc((size_t)m->causal.clocks.clocks_n + 1, sizeof *n);

    for (uint32_t c = 0; n && c < m->causal.clocks.clocks_n; c++)
        n[m->answer.clocks[c].group] += m->answer.clocks[c].verdict == TSP_CLOCK_OK;
    return n;
}

/* Two clocks are apart, and it is not known which of them is wrong. */
static void print_undecided(const tspi_mend *m, uint32_t c, FILE *out)
{
    const tsp_clock_result *clocks = m->answer.clocks;
    char least[32], name[TERMINAL_NAME], reference[TERMINAL_NAME];
    uint32_t root = 0;

    while (!clocks[root].is_reference || clocks[root].group != clocks[c].group)
        root++;
    format_ns(llabs(clocks[c].at_least_ns), least, sizeof least);
    terminal_shown(m->causal.clocks.clocks[c].name, name, sizeof name);
    terminal_shown(m->causal.clocks.clocks[root].name, reference, sizeof reference);
    fprintf(out, "%s is %s %s by at least %s; which of the two is wrong, the other clocks do not tell (--reference).\n",
            name, clocks[c].at_least_ns > 0 ? "ahead of" : "behind", reference, least);
}

/* A sentence for each clock that is off. */
static void print_verdicts(const tspi_mend *m, FILE *out)
{
    unsigned *agree = agreeing(m);

    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++) {
        const tsp_clock_result *clock = &m->answer.clocks[c];
        unsigned others = agree ? agree[clock->group] : 0;
        if (clock->verdict == TSP_CLOCK_UNKNOWN && clock->at_least_ns)
            print_undecided(m, c, out);
        char offset[32], least[32], whom[64], name[TERMINAL_NAME];
        if (clock->verdict != TSP_CLOCK_PROVEN && clock->verdict != TSP_CLOCK_SUSPECTED)
            continue;
        bool known = clock->offset_ns != TSP_NO_VALUE;
        bool ahead = known ? clock->offset_ns > 0 : clock->at_least_ns > 0;
        format_ns(known ? llabs(clock->offset_ns) : llabs(clock->at_least_ns), offset, sizeof offset);
        format_ns(llabs(clock->at_least_ns), least, sizeof least);
        snprintf(whom, sizeof whom,
                 m->bounds_used ? "UTC"
                 : others == 1  ? "the reference"
                                : "the %u clocks that agree",
                 others);
        terminal_shown(m->causal.clocks.clocks[c].name, name, sizeof name);
        fprintf(out, "%s runs %s %s %s %s: ", name, known ? "about" : "at least", offset, ahead ? "ahead of" : "behind",
                whom);
        if (clock->verdict == TSP_CLOCK_PROVEN)
            fprintf(out, "proven to %s off by at least %s if the stamps of the hops left are truthful.\n",
                    known && llabs(clock->at_least_ns) > llabs(clock->offset_ns) ? "have been" : "be", least);
        else if (m->answer.summary.contradictory)
            fputs("suspected; the stamps contradict each other, so it is not proven.\n", out);
        else if (clock->lo_ns > 0 || clock->hi_ns < 0)
            fputs("suspected: its bounds rest on answers, which convict nobody, since servers may go on after them.\n",
                  out);
        else
            fputs("suspected; no error at all is possible, too.\n", out);
    }
    free(agree);
}

static void print_notes(const tspi_mend *m, FILE *out)
{
    const tsp_solver_summary_row *s = &m->answer.summary;
    uint64_t unstamped = 0;
    char n[32];

    if (m->causal.clocks.clocks_n == 1)
        fputs(
            "All spans were stamped by one clock: there is nothing to hold it against. If there were several machines, "
            "name them with --clock-key.\n",
            out);
    if (m->causal.clocks.clocks_n > 1 && s->groups > 1)
        fprintf(out, "%u groups of clocks exchange no hops with each other%s: each has a reference of its own.\n",
                s->groups, s->contradictory ? " but such as contradict each other" : "");
    if (!clocks_found(m) && !s->contradictory && m->answer.hops_fed)
        fputs("No clock is known to be wrong.\n", out);
    if (s->late) {
        format_count(s->late, n, sizeof n);
        fprintf(out, "%s hop%s set aside: far faster than the rest of %s edge, so a stamp was written late.\n", n,
                s->late == 1 ? " was" : "s were", s->late == 1 ? "its" : "their");
    }
    if (s->soft_excluded)
        fputs("Answers contradict requests: they were left out of the bounds.\n", out);
    for (uint32_t c = 0; c < m->causal.edges.clocks_n; c++)
        unstamped += m->causal.edges.stats[c].unstamped;
    if (unstamped) {
        format_count(unstamped, n, sizeof n);
        fprintf(out, "%s span%s no start, no end or neither: what was not stamped cannot be compared.\n", n,
                unstamped == 1 ? " has" : "s have");
    }
    if (m->answer.hops_out_of_range) {
        format_count(m->answer.hops_out_of_range, n, sizeof n);
        fprintf(out, "%s hop%s left out: a stamp that no clock shows.\n", n,
                m->answer.hops_out_of_range == 1 ? " was" : "s were");
    }
    if (s->contradictory)
        fprintf(out, "The stamps contradict each other: no clocks within %g ppm explain them, so nothing is proven.\n",
                s->max_drift_ppm);
}

/* Of the columns, what a narrow terminal can do without, and which. */
static void print_fitting(table *t, unsigned columns, bool utf8, FILE *out)
{
    static const int spare[] = {8, 7, 3, 6, -1};
    unsigned hidden = table_fit(t, 2, columns, spare);

    table_squeeze(t, 2, columns, 1, utf8);
    table_print(t, 2, out);
    for (unsigned k = 0; k < hidden; k++)
        fprintf(out, "%s%s%s", k ? ", " : "  (not shown here: ", t->cells[spare[k]], k + 1 == hidden ? ")\n" : "");
}

#define PAIRS_MOST 10

static void print_pairs(const tsp_check *check, FILE *out)
{
    size_t n = 0;
    const tsp_check_pair *pairs = check ? tsp_check_pairs(check, &n) : NULL;

    for (size_t k = 0; k < n && k < PAIRS_MOST; k++) {
        char *line = strdup(pairs[k].said);
        if (line)
            terminal_clean(line);
        fprintf(out, "%s\n", line ? line : "(memory is exhausted: a line is missing)");
        free(line);
    }
    if (n > PAIRS_MOST)
        fprintf(out, "So are %zu more pairs.\n", n - PAIRS_MOST);
}

/* The solver chose the reference, and it is one. */
static bool says_why(const tspi_mend *m)
{
    uint32_t reference = m->answer.summary.reference;

    return !m->options.reference && !m->bounds_used && m->causal.clocks.clocks_n > 1 && reference != TSP_NO_CLOCK &&
           m->answer.clocks[reference].verdict == TSP_CLOCK_OK;
}

void clocks_print_table(const tspi_mend *m, const tsp_check *check, unsigned columns, bool utf8, FILE *out)
{
    static const char *const heads[] = {"clock",   "verdict", "offset",  "+-",       "at least",
                                        "at most", "drift",   "hops in", "hops out", "offset over time"};
    uint32_t n = m->causal.clocks.clocks_n;
    const char *reference = clocks_reference(m);
    char spans[32], traces[32], clocks[32], text[TERMINAL_NAME];
    sparkline_axis axis;
    table t;

    wrap w;
    FILE *said = wrap_begin(&w, out);

    format_count(m->set.spans_n, spans, sizeof spans);
    format_count(m->set.traces_n, traces, sizeof traces);
    format_count(n, clocks, sizeof clocks);
    fprintf(said, "%s span%s in %s trace%s, %s clock%s", spans, m->set.spans_n == 1 ? "" : "s", traces,
            m->set.traces_n == 1 ? "" : "s", clocks, n == 1 ? "" : "s");
    if (n)
        fprintf(said, ", told apart by %s", terminal_shown(m->causal.clocks.clocks[0].key, text, sizeof text));
    if (reference)
        fprintf(said, "; against %s%s", terminal_shown(reference, text, sizeof text),
                says_why(m) ? ", in whose time most clocks need no correction" : "");
    fputs("\n\n", said);
    wrap_end(&w);
    sparkline_axis_init(&axis);
    for (uint32_t c = 0; c < n; c++)
        sparkline_axis_add(&axis, m->answer.clocks[c].knots, m->answer.clocks[c].knots_n);
    table_init(&t, "llrrrrrrrl");
    for (size_t k = 0; k < sizeof heads / sizeof *heads; k++)
        table_add(&t, heads[k]);
    for (uint32_t c = 0; c < n; c++)
        add_clock(&t, m, c, &axis, columns, utf8);
    print_fitting(&t, columns, utf8, out);
    table_release(&t);
    said = wrap_begin(&w, out);
    fputc('\n', said);
    print_steps(m, said);
    print_verdicts(m, said);
    print_pairs(check, said);
    print_notes(m, said);
    wrap_end(&w);
    clocks_print_conflict(m, out);
}

static void csv_text(const char *text, FILE *out)
{
    bool plain = !strpbrk(text, ",\"\r\n");

    if (plain) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', out);
        fputc(*text, out);
    }
    fputc('"', out);
}

static void csv_value(int64_t ns, FILE *out)
{
    if (ns == INT64_MIN || ns == INT64_MAX)
        fputc(',', out);
    else
        fprintf(out, ",%" PRId64, ns);
}

void clocks_print_csv(const tspi_mend *m, FILE *out)
{
    fputs("clock,verdict,at,offset_ns,lo_ns,hi_ns\n", out);
    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++)
        for (size_t k = 0; k < m->answer.clocks[c].knots_n; k++) {
            const tsp_knot *knot = &m->answer.clocks[c].knots[k];
            csv_text(m->causal.clocks.clocks[c].name, out);
            fprintf(out, ",%s,%" PRId64, tsp_clock_verdict_name(m->answer.clocks[c].verdict), knot->at_ns);
            csv_value(knot->offset_ns, out);
            csv_value(knot->lo_ns, out);
            csv_value(knot->hi_ns, out);
            fputc('\n', out);
        }
}
