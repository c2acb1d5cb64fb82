#include "cli/lab_margins.h"

#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "cli/table.h"

/* Of larger pipelines the edges that give way first; summary.json has all. */
enum { EDGES_SHOWN = 12 };

static int by_margin(const void *a, const void *b)
{
    const tspi_edge_result *x = *(const tspi_edge_result *const *)a, *y = *(const tspi_edge_result *const *)b;

    return (x->margin_ns > y->margin_ns) - (x->margin_ns < y->margin_ns);
}

/* In the run's own order (the pipeline's) as long as all can be shown. */
static size_t pick(const tspi_run_result *run, const tspi_edge_result **edges)
{
    for (size_t k = 0; k < run->edges_n; k++)
        edges[k] = &run->edges[k];
    if (run->edges_n <= EDGES_SHOWN)
        return run->edges_n;
    qsort(edges, run->edges_n, sizeof *edges, by_margin);
    return EDGES_SHOWN;
}

static void add_ns(table *t, int64_t ns)
{
    char text[64];

    if (ns < 0) {
        table_add(t, "passed");
        return;
    }
    format_ns(ns, text, sizeof text);
    table_add(t, text);
}

static void add_run(table *t, const tspi_run_result *run, bool several)
{
    const tspi_edge_result **edges = calloc(run->edges_n + 1, sizeof *edges);
    size_t n = edges ? pick(run, edges) : 0;

    for (size_t k = 0; k < n; k++) {
        char text[64];
        if (several)
            table_add(t, k ? "" : run->transport);
        table_addf(t, "%s -> %s", edges[k]->from, edges[k]->to);
        format_count(edges[k]->hops, text, sizeof text);
        table_add(t, text);
        add_ns(t, edges[k]->margin_ns);
        add_ns(t, edges[k]->margin_1pct_ns);
        add_ns(t, edges[k]->p50_ns);
    }
    free(edges);
}

/* The run of a transport that is told of: the one without skew, or else the first. */
static const tspi_run_result *run_of(const tspi_lab_result *result, size_t first)
{
    const tspi_run_result *baseline = tspi_lab_baseline(result, result->runs[first].transport);

    return baseline ? baseline : &result->runs[first];
}

static bool is_first(const tspi_lab_result *result, size_t k)
{
    return !k || strcmp(result->runs[k].transport, result->runs[k - 1].transport) != 0;
}

void lab_margins_print(const tspi_lab_result *result, FILE *out)
{
    static const char *const head[] = {"hop", "hops", "the first", "1 in 100", "half"};
    size_t transports = 0, hidden = 0, rows = 0;
    const tspi_run_result *shown = NULL;
    char skew[32];
    table t;

    for (size_t k = 0; k < result->runs_n; k++)
        if (is_first(result, k)) {
            transports++;
            shown = run_of(result, k);
            rows += shown->edges_n;
        }
    if (!rows)
        return;
    table_init(&t, transports > 1 ? "llrrrr" : "lrrrr");
    if (transports > 1)
        table_add(&t, "transport");
    for (size_t k = 0; k < sizeof head / sizeof *head; k++)
        table_add(&t, head[k]);
    for (size_t k = 0; k < result->runs_n; k++)
        if (is_first(result, k)) {
            const tspi_run_result *run = run_of(result, k);
            add_run(&t, run, transports > 1);
            hidden += run->edges_n > EDGES_SHOWN ? run->edges_n - EDGES_SHOWN : 0;
        }
    tspi_duration_format(shown->skew_ns, skew, sizeof skew);
    fprintf(out, "\nHow much more skew until a hop is negative (by the run at %s)\n", skew);
    table_print(&t, 2, out);
    table_release(&t);
    if (hidden)
        fprintf(out, "  (%zu more in summary.json; these give way first)\n", hidden);
}
