#include "health/audit.h"

#include <stdlib.h>
#include <string.h>

#include "health/audit_advice.h"
#include "health/audit_rows.h"
#include "health/audit_tree.h"
#include "health/audit_violations.h"

#define DEFAULT_DRIFT_PPM 100.0

/* The most hops that are solved unasked: some seconds' worth, and fewer where no violation waits for a cause. */
#define SOLVED_HOPS 5000000
#define SOLVED_HOPS_UNVIOLATED 500000

/* Of what is larger than memory the solver gets as many hops as there are rows at once, which take about as much; of
 * small windows these, some 8 MB. */
#define WINDOW_HOPS_LEAST 40000

static tsp_status read_input(tspi_audit *a, tsp_error *err)
{
    tspi_wire_options wire = {.keep_going = a->options->keep_going,
                              .threads = a->options->threads,
                              .between = tspi_windows_turn,
                              .between_ctx = a->windows};

    return tspi_wire_read_paths(a->options->paths, a->options->paths_n, a->options->format, &wire, &a->set, &a->report,
                                err);
}

/* Each clock's reference: that of its group. */
static tsp_status find_references(tspi_audit *a, tsp_error *err)
{
    uint32_t n = a->causal.clocks.clocks_n;
    const tsp_clock_result *rows = a->judge.mend.answer.clocks;
    uint32_t *of_group = malloc(((size_t)n + 1) * sizeof *of_group);

    a->references = malloc(((size_t)n + 1) * sizeof *a->references);
    if (!of_group || !a->references) {
        free(of_group);
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by clocks");
    }
    memset(of_group, 0xff, (size_t)n * sizeof *of_group);
    for (uint32_t c = n; c-- > 0;)
        if (rows[c].is_reference)
            of_group[rows[c].group] = c;
    for (uint32_t c = 0; c < n; c++)
        a->references[c] = rows[c].is_reference || of_group[rows[c].group] == TSPI_NONE ? c : of_group[rows[c].group];
    free(of_group);
    return TSP_OK;
}

static bool in_windows(const tspi_audit *a)
{
    return tspi_windows_report_of(a->windows).windows > 0;
}

/* Solving takes longer than reading when hops are many: then only if there is something to explain, and within reason.
 */
static uint64_t solved_hops(const tspi_audit *a)
{
    bool violated = a->causal.edges.violations || a->causal.tokens.cross_clock;

    if (a->options->solve == TSP_CHECK_SOLVE_ALWAYS)
        return UINT64_MAX;
    return violated ? SOLVED_HOPS : SOLVED_HOPS_UNVIOLATED;
}

/* In windows the solver gets no more than it may have. */
static bool wants_solver(const tspi_audit *a)
{
    return a->options->solve != TSP_CHECK_SOLVE_NEVER && (in_windows(a) || a->causal.edges.hops <= solved_hops(a));
}

/* Where memory does not reach for a solver beside a window, there is no answer but that of the edges. */
static tsp_status solve_windows(tspi_audit *a, uint32_t reference, tsp_error *err)
{
    uint64_t most = tspi_windows_holds(a->windows), wanted = solved_hops(a);

    most = most < WINDOW_HOPS_LEAST ? WINDOW_HOPS_LEAST : most < wanted ? most : wanted;
    if (a->causal.clocks.clocks_n > most) /* less than a hop each: nothing could be said of them */
        return TSP_OK;
    tsp_status rc = tspi_mend_judge_init_windows(&a->judge, &a->set, &a->causal, reference, a->max_drift_ppm,
                                                 a->options->threads, most, err);
    a->solved = rc == TSP_OK;
    if (rc == TSP_ENOMEM && err)
        *err = (tsp_error){0};
    return rc == TSP_ENOMEM ? TSP_OK : rc;
}

static tsp_status solve(tspi_audit *a, const tspi_mend *solved, uint32_t reference, tsp_error *err)
{
    tsp_status rc;

    if (in_windows(a))
        return solve_windows(a, reference, err);
    rc = solved ? tspi_mend_judge_borrow(&a->judge, solved, err)
                : tspi_mend_judge_init(&a->judge, &a->set, &a->causal, reference, a->max_drift_ppm, a->options->threads,
                                       err);
    a->solved = rc == TSP_OK;
    return rc;
}

static tsp_status join_input(tspi_audit *a, tsp_error *err)
{
    tspi_causal_options causal = {
        .clock_key = a->options->clock_key, .threads = a->options->threads, .windows = a->windows};

    return tspi_causal_init(&a->causal, &a->set, &causal, err);
}

/* solved: a mend whose solver has answered already, or NULL. */
static tsp_status analyse(tspi_audit *a, const tspi_mend *solved, tsp_error *err)
{
    uint32_t reference;
    tsp_status rc = tspi_clock_find_wanted(&a->causal.clocks, a->options->reference, &reference, err);

    if (rc == TSP_OK)
        rc = tspi_evidence_init(&a->evidence, &a->causal.join, &a->causal.edges, a->max_drift_ppm, err);
    if (rc == TSP_OK && wants_solver(a))
        rc = solve(a, solved, reference, err);
    if (rc == TSP_OK && a->solved)
        rc = find_references(a, err);
    return rc;
}

static tsp_status fill(tspi_audit *a, tsp_error *err)
{
    a->edge_causes = calloc(a->causal.edges.edges_n + 1, sizeof *a->edge_causes);
    tsp_status rc = a->edge_causes ? tspi_audit_totals(a) : TSP_ENOMEM;

    if (rc == TSP_OK)
        rc = tspi_audit_violations(a, err);
    if (rc == TSP_OK)
        rc = tspi_audit_edges_and_clocks(a);
    if (rc == TSP_OK)
        rc = tspi_audit_find_pairs(a);
    if (rc == TSP_OK)
        rc = tspi_audit_advise(a, err);
    if (rc == TSP_ENOMEM)
        tsp_error_set(err, rc, "memory is exhausted by the results");
    return rc;
}

static void audit_release(tspi_audit *a)
{
    tspi_mend_judge_release(&a->judge);
    free(a->edge_causes);
    free(a->references);
    tspi_evidence_release(&a->evidence);
    tspi_windows_free(a->windows);
    if (a->borrowed)
        return;
    tspi_causal_release(&a->causal);
    tspi_read_report_release(&a->report);
    tspi_span_set_release(&a->set);
}

/* The trace to keep as a tree, or NULL. What has been put aside in windows is not there to be shown. */
static const char *tree_of(const tspi_audit *a)
{
    if (a->options->trace)
        return a->options->trace;
    if (!a->options->worst_trace || !a->check->examples_n || tspi_windows_report_of(a->windows).windows)
        return NULL;
    return a->check->examples[0].trace_id;
}

static tsp_status begin(tspi_audit *a, const tsp_check_options *options, tsp_error *err)
{
    tspi_trace_id pinned = {0};

    if (options->trace)
        tspi_audit_parse_trace(options->trace, &pinned);
    *a = (tspi_audit){.options = options,
                      .max_drift_ppm = options->max_drift_ppm > 0 ? options->max_drift_ppm : DEFAULT_DRIFT_PPM,
                      .check = calloc(1, sizeof *a->check),
                      .windows = tspi_windows_new(options->window, pinned, options->clock_key)};
    return a->check && a->windows ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");
}

/* rc: how it went so far. */
static tsp_status finish(tspi_audit *a, const tspi_mend *solved, tsp_status rc, tsp_check **ret_check, tsp_error *err)
{
    if (rc == TSP_OK)
        rc = analyse(a, solved, err);
    if (rc == TSP_OK)
        rc = fill(a, err);
    if (rc == TSP_OK && tree_of(a))
        rc = tspi_audit_tree(a, tree_of(a), err);
    audit_release(a);
    if (rc == TSP_OK)
        *ret_check = a->check;
    else
        tsp_check_free(a->check);
    return rc;
}

tsp_status tsp_check_run(const tsp_check_options *options, tsp_check **ret_check, tsp_error *err)
{
    tspi_audit a;
    tsp_status rc = begin(&a, options, err);

    if (rc == TSP_OK)
        rc = read_input(&a, err);
    if (rc == TSP_OK)
        rc = join_input(&a, err);
    return finish(&a, NULL, rc, ret_check, err);
}

/* solved: the mend's answer serves. */
static tsp_status audit_mend(const tspi_mend *mend, const tsp_check_options *options, bool solved,
                             tsp_check **ret_check, tsp_error *err)
{
    tspi_audit a;
    tsp_status rc = begin(&a, options, err);

    a.borrowed = true;
    a.set = mend->set;
    a.report = mend->report;
    a.causal = mend->causal;
    return finish(&a, solved ? mend : NULL, rc, ret_check, err);
}

tsp_status tspi_audit_of_mend(const tspi_mend *mend, const tsp_check_options *options, tsp_check **ret_check,
                              tsp_error *err)
{
    const tspi_mend_options *asked = &mend->options;
    bool same = !asked->bounds && !asked->quorum && asked->max_drift_ppm == options->max_drift_ppm &&
                asked->reference == options->reference;

    return audit_mend(mend, options, same, ret_check, err);
}

tsp_status tspi_audit_pairs_of(const tspi_mend *mend, tsp_check **ret_check, tsp_error *err)
{
    const tspi_mend_options *asked = &mend->options;
    const tsp_check_options options = {.paths = asked->paths,
                                       .paths_n = asked->paths_n,
                                       .clock_key = asked->clock_key,
                                       .reference = asked->reference,
                                       .max_drift_ppm = asked->max_drift_ppm,
                                       .threads = asked->threads,
                                       .solve = TSP_CHECK_SOLVE_ALWAYS};

    *ret_check = NULL;
    return tspi_audit_may_find_pairs(mend) ? audit_mend(mend, &options, true, ret_check, err) : TSP_OK;
}
