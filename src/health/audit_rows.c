#include "health/audit_rows.h"

#include <stdlib.h>
#include <string.h>

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

tsp_status tspi_audit_totals(tspi_audit *a)
{
    fill_totals(a);
    a->check->totals.solved = a->solved;
    a->check->totals.contradictory = a->solved && a->judge.mend.answer.summary.contradictory;
    return copy_clock_names(a);
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

tsp_status tspi_audit_edges_and_clocks(tspi_audit *a)
{
    tsp_status rc = fill_edges(a);

    return rc == TSP_OK ? fill_clocks(a) : rc;
}
