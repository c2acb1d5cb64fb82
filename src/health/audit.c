#include "health/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_DRIFT_PPM 100.0

/* The most hops that are solved unasked: some seconds' worth, and fewer where no violation waits for a cause. */
#define SOLVED_HOPS 5000000
#define SOLVED_HOPS_UNVIOLATED 500000

const char *tsp_cause_name(tsp_cause cause)
{
    return tspi_cause_name((enum tspi_cause)cause);
}

bool tspi_audit_say(tspi_audit *audit, const char *format, ...)
{
    tsp_check *check = audit->check;
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (check->advice_n == check->advice_cap) {
        size_t cap = check->advice_cap ? check->advice_cap * 2 : 16;
        const char **bigger = realloc(check->advice, cap * sizeof *bigger);
        if (!bigger)
            return false;
        check->advice = bigger;
        check->advice_cap = cap;
    }
    const char *copy = tspi_arena_strndup(&check->arena, text, strlen(text));
    if (copy)
        check->advice[check->advice_n++] = copy;
    return copy != NULL;
}

static tsp_status read_input(tspi_audit *a, tsp_error *err)
{
    tspi_wire_options wire = {.keep_going = a->options->keep_going,
                              .threads = a->options->threads,
                              .between = tspi_windows_turn,
                              .between_ctx = a->windows};

    return tspi_wire_read_paths(a->options->paths, a->options->paths_n, a->options->format, &wire, &a->set, &a->report,
                                err);
}

static void fill_totals(tspi_audit *a)
{
    tsp_check_totals *t = &a->check->totals;
    const tspi_join *join = &a->causal.join;

    t->files = a->set.files;
    t->bytes = a->set.bytes;
    tspi_windows_report windows = tspi_windows_report_of(a->windows);

    t->spans = a->set.spans_n + windows.spans;
    t->put_aside_spans = windows.spans;
    t->late_spans = windows.late_spans;
    t->late_links = windows.late_links;
    t->late_at_least = windows.at_least;
    t->traces = join->traces_n;
    t->clocks = a->causal.clocks.clocks_n;
    t->hops = a->causal.edges.hops;
    t->tokens = a->causal.tokens.tokens;
    t->token_streams = a->causal.tokens.streams;
    t->copies = join->copies_n;
    t->id_clashes = join->clashes_n;
    t->shared_spans = join->shared_n;
    t->missing_parents = join->missing_parents_n;
    t->missing_links = join->missing_links_n;
    t->cycles = join->cycles_n;
    t->invalid_ids = a->report.invalid_ids;
    t->left_out_spans = a->report.bad_spans;
    t->left_out_parts = a->report.bad_parts;
    t->left_out_stretches = a->report.bad_stretches;
    t->left_out_bytes = a->report.bad_bytes;
    for (uint32_t c = 0; c < a->causal.clocks.clocks_n; c++) {
        t->pairs += a->causal.edges.stats[c].hard + a->causal.edges.stats[c].soft;
        t->within_quantum += a->causal.edges.stats[c].within_quantum;
    }
    for (size_t k = 0; k < a->causal.edges.edges_n; k++)
        t->within_quantum += a->causal.edges.edges[k].within_quantum;
}

static tsp_status copy_clock_names(tspi_audit *a)
{
    const tspi_clock_table *table = &a->causal.clocks;

    a->clock_names = tspi_arena_calloc(&a->check->arena, (size_t)table->clocks_n + 1, sizeof *a->clock_names);
    if (!a->clock_names)
        return TSP_ENOMEM;
    for (uint32_t c = 0; c < table->clocks_n; c++)
        if (!(a->clock_names[c] =
                  tspi_arena_strndup(&a->check->arena, table->clocks[c].name, strlen(table->clocks[c].name))))
            return TSP_ENOMEM;
    return TSP_OK;
}

const tsp_clock_result *tspi_audit_clock(const tspi_audit *a, uint32_t clock)
{
    return a->solved ? &a->judge.mend.answer.clocks[clock] : NULL;
}

const tspi_judge *tspi_audit_judge(const tspi_audit *a)
{
    return a->solved ? &a->judge.judge : NULL;
}

uint32_t tspi_audit_reference(const tspi_audit *a, uint32_t clock)
{
    return a->references ? a->references[clock] : clock;
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

static bool set_clock(tspi_audit *a, uint32_t clock, tsp_check_clock *ret)
{
    const tspi_clock *named = &a->causal.clocks.clocks[clock];
    const tsp_clock_result *result = tspi_audit_clock(a, clock);
    const char *key = tspi_arena_strndup(&a->check->arena, named->key, strlen(named->key));

    *ret = (tsp_check_clock){.name = a->clock_names[clock],
                             .key = key,
                             .reference = a->clock_names[tspi_audit_reference(a, clock)],
                             .verdict = TSP_CLOCK_UNKNOWN,
                             .offset_ns = TSP_NO_VALUE,
                             .lo_ns = TSP_UNBOUNDED_LO,
                             .hi_ns = TSP_UNBOUNDED_HI,
                             .drift_ppb = TSP_NO_VALUE,
                             .hops_in = a->causal.edges.stats[clock].hops_in,
                             .hops_out = a->causal.edges.stats[clock].hops_out,
                             .processes = named->processes};
    if (!result || !key)
        return key != NULL;
    tsp_step *steps = tspi_arena_calloc(&a->check->arena, result->steps_n + 1, sizeof *steps);
    tsp_knot *knots = tspi_arena_calloc(&a->check->arena, result->knots_n + 1, sizeof *knots);
    if (!steps || !knots)
        return false;
    if (result->steps_n)
        memcpy(steps, result->steps, result->steps_n * sizeof *steps);
    if (result->knots_n)
        memcpy(knots, result->knots, result->knots_n * sizeof *knots);
    ret->verdict = result->verdict;
    ret->is_reference = result->is_reference;
    ret->offset_ns = result->offset_ns;
    ret->lo_ns = result->lo_ns;
    ret->hi_ns = result->hi_ns;
    ret->drift_ppb = result->drift_ppb;
    ret->sigma_ns = result->sigma_ns;
    ret->hops_in = result->hops_in;
    ret->hops_out = result->hops_out;
    ret->steps = steps;
    ret->steps_n = result->steps_n;
    ret->knots = knots;
    ret->knots_n = result->knots_n;
    return true;
}

static tsp_status fill_clocks(tspi_audit *a)
{
    uint32_t n = a->causal.clocks.clocks_n;

    a->check->clocks = calloc((size_t)n + 1, sizeof *a->check->clocks);
    if (!a->check->clocks)
        return TSP_ENOMEM;
    for (uint32_t c = 0; c < n; c++)
        if (!set_clock(a, c, &a->check->clocks[c]))
            return TSP_ENOMEM;
    a->check->clocks_n = n;
    return TSP_OK;
}

static int worst_first(const void *a, const void *b)
{
    const tsp_check_edge *x = a, *y = b;

    if (x->worst_ns != y->worst_ns)
        return x->worst_ns > y->worst_ns ? -1 : 1;
    if (x->margin_ns != y->margin_ns)
        return x->margin_ns < y->margin_ns ? -1 : 1;
    int order = strcmp(x->from, y->from);
    return order ? order : strcmp(x->to, y->to);
}

static tsp_status fill_edges(tspi_audit *a)
{
    tsp_check *check = a->check;

    check->edges = calloc(a->causal.edges.edges_n + 1, sizeof *check->edges);
    if (!check->edges)
        return TSP_ENOMEM;
    for (size_t k = 0; k < a->causal.edges.edges_n; k++) {
        tspi_edge *edge = &a->causal.edges.edges[k];
        tsp_check_edge *row = &check->edges[k];
        *row = (tsp_check_edge){
            .from = a->clock_names[edge->from],
            .to = a->clock_names[edge->to],
            .hops = edge->hops,
            .violations = edge->violations,
            .hard_violations = edge->hard_violations,
            .soft_violations = edge->soft_violations,
            .worst_ns = edge->worst_ns,
            .slack_p50_ns = tspi_edge_slack_ns(edge, 0.5),
            .margin_ns = tspi_edge_margin_ns(edge, 0),
            .margin_1pct_ns = tspi_edge_margin_ns(edge, 0.01),
        };
        memcpy(row->causes, a->edge_causes[k], sizeof row->causes);
    }
    check->edges_n = a->causal.edges.edges_n;
    if (check->edges_n)
        qsort(check->edges, check->edges_n, sizeof *check->edges, worst_first);
    return TSP_OK;
}

/* Solving takes longer than reading when hops are many: then only if there is something to explain, and within reason.
 */
static bool wants_solver(const tspi_audit *a)
{
    uint64_t hops = a->causal.edges.hops;

    if (tspi_windows_report_of(a->windows).windows) /* what was put aside is not there to be solved */
        return false;
    bool violated = a->causal.edges.violations || a->causal.tokens.cross_clock;

    switch (a->options->solve) {
    case TSP_CHECK_SOLVE_ALWAYS:
        return true;
    case TSP_CHECK_SOLVE_NEVER:
        return false;
    default:
        return hops <= (violated ? SOLVED_HOPS : SOLVED_HOPS_UNVIOLATED);
    }
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
    if (rc == TSP_OK && wants_solver(a)) {
        rc = solved ? tspi_mend_judge_borrow(&a->judge, solved, err)
                    : tspi_mend_judge_init(&a->judge, &a->set, &a->causal, reference, a->max_drift_ppm,
                                           a->options->threads, err);
        a->solved = rc == TSP_OK;
        if (rc == TSP_OK)
            rc = find_references(a, err);
    }
    return rc;
}

static tsp_status fill(tspi_audit *a, tsp_error *err)
{
    a->edge_causes = calloc(a->causal.edges.edges_n + 1, sizeof *a->edge_causes);
    tsp_status rc = a->edge_causes ? copy_clock_names(a) : TSP_ENOMEM;

    if (rc == TSP_OK) {
        fill_totals(a);
        a->check->totals.solved = a->solved;
        a->check->totals.contradictory = a->solved && a->judge.mend.answer.summary.contradictory;
        rc = tspi_audit_violations(a, err);
    }
    if (rc == TSP_OK)
        rc = fill_edges(a);
    if (rc == TSP_OK)
        rc = fill_clocks(a);
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

tsp_status tspi_audit_of_mend(const tspi_mend *mend, const tsp_check_options *options, tsp_check **ret_check,
                              tsp_error *err)
{
    const tspi_mend_options *asked = &mend->options;
    bool same = !asked->bounds && !asked->quorum && asked->max_drift_ppm == options->max_drift_ppm &&
                asked->reference == options->reference;
    tspi_audit a;
    tsp_status rc = begin(&a, options, err);

    a.borrowed = true;
    a.set = mend->set;
    a.report = mend->report;
    a.causal = mend->causal;
    return finish(&a, same ? mend : NULL, rc, ret_check, err);
}

void tsp_check_free(tsp_check *check)
{
    if (!check)
        return;
    free(check->edges);
    free(check->clocks);
    free(check->examples);
    free(check->tree);
    free(check->advice);
    tspi_arena_release(&check->arena);
    free(check);
}

const tsp_check_totals *tsp_check_totals_of(const tsp_check *check)
{
    return &check->totals;
}

const tsp_check_edge *tsp_check_edges(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->edges_n;
    return check->edges;
}

const tsp_check_clock *tsp_check_clocks(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->clocks_n;
    return check->clocks;
}

const tsp_check_example *tsp_check_examples(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->examples_n;
    return check->examples;
}

const tsp_check_span *tsp_check_tree(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->tree_n;
    return check->tree;
}

const char *const *tsp_check_advice(const tsp_check *check, size_t *ret_n)
{
    *ret_n = check->advice_n;
    return check->advice;
}
