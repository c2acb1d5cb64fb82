/* What a person should know and do, in sentences. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "causal/twins.h"
#include "health/audit_advice.h"
#include "health/audit_words.h"
#include "wire/wire_runs.h"

/* Hops that touch the clock, and those of them that a clock explains. */
static void count_clock_hops(const tspi_audit *a, uint32_t clock, uint64_t *ret_violations, uint64_t *ret_hops)
{
    *ret_violations = *ret_hops = 0;
    for (size_t k = 0; k < a->causal.edges.edges_n; k++) {
        const tspi_edge *edge = &a->causal.edges.edges[k];
        if (edge->from != clock && edge->to != clock)
            continue;
        uint64_t caused = a->edge_causes[k][TSP_CAUSE_CLOCK] + a->edge_causes[k][TSP_CAUSE_STEP];
        if (!caused)
            continue;
        *ret_violations += caused;
        *ret_hops += edge->hops;
    }
}

static bool is_accused(const tsp_clock_result *row)
{
    return row->verdict == TSP_CLOCK_PROVEN || row->verdict == TSP_CLOCK_SUSPECTED;
}

/* "; proven: between 0.76 ms and 2.29 ms", as far as it is known. */
static void describe_proof(const tsp_clock_result *row, char *ret, size_t size)
{
    bool ahead = row->at_least_ns > 0;
    int64_t far_ns = ahead ? row->hi_ns : row->lo_ns;
    bool far_known = far_ns != TSP_UNBOUNDED_LO && far_ns != TSP_UNBOUNDED_HI;
    bool holds_at_the_end = ahead ? row->lo_ns > 0 : row->hi_ns < 0;

    if (row->verdict != TSP_CLOCK_PROVEN)
        snprintf(ret, size, "; not proven");
    else if (row->offset_ns == TSP_NO_VALUE)
        snprintf(ret, size, "; traffic goes one way only, so how much more cannot be known");
    else if (far_known && holds_at_the_end)
        snprintf(ret, size, "; proven: between %s and %s", AMOUNT(row->at_least_ns), AMOUNT(far_ns));
    else
        snprintf(ret, size, "; proven: at least %s", AMOUNT(row->at_least_ns));
}

/* What is proven is not what the last stamp shows: the clock was further off, or off the other way. */
static bool was_otherwise(const tsp_clock_result *row)
{
    return row->verdict == TSP_CLOCK_PROVEN && row->offset_ns != TSP_NO_VALUE &&
           (llabs(row->at_least_ns) > llabs(row->offset_ns) || (row->at_least_ns > 0) != (row->offset_ns > 0));
}

/* "b runs about 1.5 ms ahead of a: 412 of 980 hops; proven: ...", or what is proven of it when it was otherwise. */
static void say_off(tspi_audit *a, uint32_t clock)
{
    const tsp_clock_result *row = tspi_audit_clock(a, clock);
    bool known = row->offset_ns != TSP_NO_VALUE;
    bool ahead = known ? row->offset_ns > 0 : row->at_least_ns > 0;
    uint64_t violations, hops;
    char proof[160], amounts[40];

    count_clock_hops(a, clock, &violations, &hops);
    if (was_otherwise(row)) {
        tspi_audit_say(
            a, "%s ran %s %s by at least %s, which is proven; at its last stamp it is about %s %s: %s of %s hops.",
            NAME(clock), row->at_least_ns > 0 ? "ahead of" : "behind", NAME(tspi_audit_reference(a, clock)),
            AMOUNT(row->at_least_ns), AMOUNT(row->offset_ns), ahead ? "ahead" : "behind", NUMBER(violations),
            NUMBER(hops));
        return;
    }
    describe_proof(row, proof, sizeof proof);
    snprintf(amounts, sizeof amounts, "%s %s", known ? "about" : "at least",
             AMOUNT(known ? row->offset_ns : row->at_least_ns));
    if (hops)
        tspi_audit_say(a, "%s runs %s %s %s: %s of %s hops%s.", NAME(clock), amounts, ahead ? "ahead of" : "behind",
                       NAME(tspi_audit_reference(a, clock)), NUMBER(violations), NUMBER(hops), proof);
    else
        tspi_audit_say(a, "%s runs %s %s %s: hidden in the delays of its hops%s.", NAME(clock), amounts,
                       ahead ? "ahead of" : "behind", NAME(tspi_audit_reference(a, clock)), proof);
}

static void say_clocks(tspi_audit *a)
{
    uint32_t said = 0, more = 0;

    for (uint32_t c = 0; a->solved && c < a->causal.clocks.clocks_n; c++) {
        const tsp_clock_result *row = tspi_audit_clock(a, c);
        if (row->verdict == TSP_CLOCK_UNKNOWN && row->at_least_ns && said < CLOCK_LINES_MAX) {
            said++;
            tspi_audit_say(a, "%s is %s %s by at least %s; which of the two is wrong, the other clocks do not tell.",
                           NAME(c), row->at_least_ns > 0 ? "ahead of" : "behind", NAME(tspi_audit_reference(a, c)),
                           AMOUNT(row->at_least_ns));
        }
        if (!is_accused(row))
            continue;
        if (said++ < CLOCK_LINES_MAX)
            say_off(a, c);
        else
            more++;
    }
    if (more)
        tspi_audit_say(a, "%u more clocks are off.", more);
}

/* The clocks along a ring of hops, each once: "a -> b -> a". */
static void describe_ring(const tspi_audit *a, const tsp_proof_link *links, size_t n, char *ret, size_t size)
{
    size_t len = 0;

    ret[0] = 0;
    for (size_t k = 0; k < n && len < size - 80; k++)
        if (links[k].hop != TSP_NO_HOP)
            len += (size_t)snprintf(ret + len, size - len, "%s%.60s", len ? " -> " : "", NAME(links[k].from));
    if (len && len < size)
        snprintf(ret + len, size - len, " -> ...");
}

static void say_contradiction(tspi_audit *a)
{
    const tspi_mend_answer *answer = &a->judge.mend.answer;
    int64_t sum = 0;
    char ring[400];
    size_t n;

    if (!a->solved || !answer->summary.contradictory)
        return;
    const tsp_proof_link *links = tsp_solver_conflict(answer->solver, &n);
    for (size_t k = 0; k < n; k++)
        sum += links[k].limit_ns;
    describe_ring(a, links, n, ring, sizeof ring);
    tspi_audit_say(
        a,
        "No clocks within %g ppm explain the stamps, so nothing is proven: along %s messages would have to "
        "arrive %s before they left. Stamps are late, two machines share a name (--clock-key), or a clock drifts "
        "faster (--max-drift). 'truespan clocks' names the hops.",
        a->max_drift_ppm, ring, AMOUNT(sum));
}

/* "c stepped by +12.0 ms, 31.4 s into its traffic." */
static void say_steps(tspi_audit *a)
{
    unsigned said = 0;

    for (uint32_t c = 0; a->solved && c < a->causal.clocks.clocks_n; c++) {
        const tsp_clock_result *row = tspi_audit_clock(a, c);
        for (size_t k = 0; k < row->steps_n && said < EDGE_LINES_MAX; k++, said++)
            tspi_audit_say(a, "%s stepped %s by %s, %.1f s after its first hop.", NAME(c),
                           row->steps[k].size_ns > 0 ? "forward" : "back", AMOUNT(row->steps[k].size_ns),
                           row->knots_n ? (double)(row->steps[k].at_ns - row->knots[0].at_ns) / 1e9 : 0.0);
    }
}

static void say_unsolved(tspi_audit *a)
{
    if (a->solved || !a->causal.edges.edges_n)
        return;
    if (a->check->totals.put_aside_spans)
        tspi_audit_say(
            a,
            "The clocks were not solved, so causes are told by each edge's shape alone: there are more spans "
            "than memory holds%s.",
            a->options->solve == TSP_CHECK_SOLVE_NEVER ? "" : ", and no room for a solver beside them");
    else
        tspi_audit_say(a,
                       "The clocks of %s hops were not solved, so causes are told by each edge's shape alone: --solve "
                       "always, or 'truespan clocks', takes the time.",
                       NUMBER(a->causal.edges.hops));
}

/* The solver had less than all the hops. */
static void say_sampled(tspi_audit *a)
{
    if (a->solved && a->judge.windows && a->judge.solved_hops < a->causal.edges.hops)
        tspi_audit_say(
            a,
            "There are more spans than memory holds: the clocks were solved from %s of %s hops, of each edge "
            "and time the fastest and a sample. A larger --window takes more.",
            NUMBER(a->judge.solved_hops), NUMBER(a->causal.edges.hops));
}

static void say_not_skew(tspi_audit *a)
{
    const tsp_check_totals *t = &a->check->totals;
    int64_t coarsest = 1;
    uint32_t process = 0;

    if (t->causes[TSP_CAUSE_LATE_STAMP])
        tspi_audit_say(a, "%s stamp%s written late: no clock is to blame.", NUMBER(t->causes[TSP_CAUSE_LATE_STAMP]),
                       t->causes[TSP_CAUSE_LATE_STAMP] == 1 ? " was" : "s were");
    if (t->causes[TSP_CAUSE_INSTRUMENTATION])
        tspi_audit_say(a, "%s contradiction%s on one clock: the instrumentation's own, no skew.",
                       NUMBER(t->causes[TSP_CAUSE_INSTRUMENTATION]),
                       t->causes[TSP_CAUSE_INSTRUMENTATION] == 1 ? " is" : "s are");
    if (!t->within_quantum)
        return;
    for (uint32_t p = 0; p < a->set.processes_n; p++)
        if (a->causal.join.quanta[p].quantum_ns > coarsest) {
            coarsest = a->causal.join.quanta[p].quantum_ns;
            process = p;
        }
    tspi_audit_say(a, "%s inversion%s smaller than the stamps are coarse (%s on %s, for one): not counted.",
                   NUMBER(t->within_quantum), t->within_quantum == 1 ? " is" : "s are", AMOUNT(coarsest),
                   NAME(a->set.processes[process].clock));
}

/* "3 processes (cart, pay, ship) stamp in steps of 1.00 ms." Microseconds are usual and not worth a line. */
static void say_quanta(tspi_audit *a)
{
    for (int64_t quantum_ns = 10000; quantum_ns <= TSP_NS_PER_MS; quantum_ns *= 10) {
        char names[200] = "";
        size_t len = 0;
        uint64_t n = 0;
        for (uint32_t p = 0; p < a->set.processes_n; p++) {
            if (a->causal.join.quanta[p].quantum_ns != quantum_ns)
                continue;
            const char *name = tspi_process_get(&a->set.processes[p], "service.name");
            if (n++ < 4)
                len += (size_t)snprintf(names + len, sizeof names - len, "%s%.40s", n > 1 ? ", " : "",
                                        name ? name : NAME(a->set.processes[p].clock));
        }
        if (n)
            tspi_audit_say(a, "%s process%s (%s%s in steps of %s.", NUMBER(n), n == 1 ? "" : "es", names,
                           n > 4    ? ", ...) stamp"
                           : n == 1 ? ") stamps"
                                    : ") stamp",
                           AMOUNT(quantum_ns));
    }
}

static void say_adjusted(tspi_audit *a)
{
    const tspi_adjustment *adjustment = &a->evidence.adjustment;

    if (adjustment->marked_adjusted)
        tspi_audit_say(a,
                       "%s spans say that Jaeger moved their stamps: this is corrected data. Export it with the "
                       "adjustment off to see the clocks.",
                       NUMBER(adjustment->marked_adjusted));
    else if (adjustment->is_adjusted)
        tspi_audit_say(a,
                       "%s of %s servers lie exactly in the middle of their calls: this data was corrected already, as "
                       "Zipkin does. What it says of clocks is that tool's guess, not a measurement.",
                       NUMBER(adjustment->centred), NUMBER(adjustment->calls));
    if (adjustment->marked_unadjusted)
        tspi_audit_say(a, "Jaeger noted skew on %s spans and did not correct it: these are raw stamps.",
                       NUMBER(adjustment->marked_unadjusted));
}

static tsp_status say_twins(tspi_audit *a, tsp_error *err)
{
    tspi_twin_clocks *twins;
    size_t n;
    tsp_status rc = tspi_twins_find(&a->evidence, &twins, &n, err);

    if (rc != TSP_OK)
        return rc;
    for (size_t k = 0; k < n && k < EDGE_LINES_MAX; k++)
        tspi_audit_say(a, "%s and %s agree to within %s: probably one clock. --clock-key can join them.",
                       NAME(twins[k].a), NAME(twins[k].b), AMOUNT(twins[k].within_ns));
    free(twins);
    return TSP_OK;
}

static void say_unstamped(tspi_audit *a)
{
    uint64_t unstamped = 0;

    for (uint32_t c = 0; c < a->causal.edges.clocks_n; c++)
        unstamped += a->causal.edges.stats[c].unstamped;
    if (unstamped)
        tspi_audit_say(a, "%s span%s no start, no end or neither: what was not stamped cannot be compared.",
                       NUMBER(unstamped), unstamped == 1 ? " has" : "s have");
}

/* The solver got no hop with a stamp that it cannot count with. */
static void say_out_of_range(tspi_audit *a)
{
    if (a->solved && a->judge.mend.answer.hops_out_of_range)
        tspi_audit_say(a,
                       "Some stamps lie beyond the year 2096, which no clock shows: clocks were solved without them.");
}

static void say_input(tspi_audit *a)
{
    const tsp_check_totals *t = &a->check->totals;

    if (t->clocks == 1 && t->spans)
        tspi_audit_say(a, "All spans were stamped by one clock: no skew can show here. If there were several machines, "
                          "name them with --clock-key.");
    say_unstamped(a);
    say_out_of_range(a);
    if (t->missing_parents)
        tspi_audit_say(a, "%s span%s a parent that is not in the input.", NUMBER(t->missing_parents),
                       t->missing_parents == 1 ? " names" : "s name");
    if (t->missing_links)
        tspi_audit_say(a, "%s link%s to spans that are not in the input.", NUMBER(t->missing_links),
                       t->missing_links == 1 ? " points" : "s point");
    if (t->cycles)
        tspi_audit_say(a, "%s ring%s cut.", NUMBER(t->cycles),
                       t->cycles == 1 ? " of parents was" : "s of parents were");
    if (t->copies)
        tspi_audit_say(a, "%s span%s in the input more than once and counted once.", NUMBER(t->copies),
                       t->copies == 1 ? " is" : "s are");
    if (t->id_clashes)
        tspi_audit_say(a, "%s span%s another span's id in the same trace.", NUMBER(t->id_clashes),
                       t->id_clashes == 1 ? " has" : "s have");
    if (t->late_spans + t->late_links)
        tspi_audit_say(
            a,
            "%s%s spans and %s links came after what they belong to had been put aside: pairs were missed. A "
            "larger --window finds them.",
            t->late_at_least ? "At least " : "", NUMBER(t->late_spans), NUMBER(t->late_links));
    if (t->invalid_ids)
        tspi_audit_say(a, "%s spans have no valid id and join nothing.", NUMBER(t->invalid_ids));
    if (t->left_out_spans + t->left_out_stretches + t->left_out_parts)
        tspi_audit_say(a, "Left out: %s spans, %s stretches (%s bytes), %s parts of spans. The first: %s",
                       NUMBER(t->left_out_spans), NUMBER(t->left_out_stretches), NUMBER(t->left_out_bytes),
                       NUMBER(t->left_out_parts), a->report.first_problem);
}

/* All points of a sweep, read as one. */
static void say_runs(tspi_audit *a)
{
    const char *last;
    size_t len, runs = tspi_runs_among(&a->report, &last, &len);

    if (runs > 1)
        tspi_audit_say(
            a,
            "These are %s runs read as one: their clocks have the same names, but each run skewed them anew, "
            "and in virtual time all runs begin at once. What is said of clocks holds for none of them: read "
            "each run's otlp folder alone, such as %.*s/otlp, or draw all with 'truespan report'.",
            NUMBER(runs), (int)(len < 512 ? len : 512), last);
}

tsp_status tspi_audit_advise(tspi_audit *a, tsp_error *err)
{
    say_runs(a);
    say_clocks(a);
    say_steps(a);
    say_contradiction(a);
    say_unsolved(a);
    say_sampled(a);
    tspi_audit_advise_edges(a);
    say_not_skew(a);
    say_quanta(a);
    say_adjusted(a);
    tsp_status rc = say_twins(a, err);
    say_input(a);
    return rc;
}
