#include "cli/lab_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "cli/lab_margins.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "lab/all_transports.h"
#include "lab/timeline.h"

static void add_share(table *t, double share)
{
    if (!isfinite(share))
        table_add(t, "-");
    else
        table_addf(t, share > 0 && share < 0.0005 ? "%.3f %%" : "%.1f %%", 100 * share);
}

static const tspi_throughput_result *throughput_of(const tspi_lab_result *result, const tspi_run_result *run)
{
    for (size_t k = 0; k < result->throughput_n; k++)
        if (result->throughput[k].skew_ns == run->skew_ns && !run->null_run &&
            !strcmp(result->throughput[k].transport, run->transport))
            return &result->throughput[k];
    return NULL;
}

static bool first_of_transport(const tspi_lab_result *result, size_t k)
{
    return !k || strcmp(result->runs[k].transport, result->runs[k - 1].transport) != 0;
}

static bool has_several_transports(const tspi_lab_result *result)
{
    for (size_t k = 1; k < result->runs_n; k++)
        if (first_of_transport(result, k))
            return true;
    return false;
}

static const char *what_run(const tspi_run_result *run)
{
    return run->null_run ? " saturated" : run->true_clock ? " true clocks" : "";
}

/* On a narrow terminal the columns that one can do without are left out: intervals, the worst hop, token order. */
static bool is_narrow(void)
{
    enum { WIDE = 118 };
    return isatty(STDOUT_FILENO) && terminal_columns() < WIDE;
}

static void add_interval(table *t, double lo, double hi)
{
    table_addf(t, "%.2f .. %.2f %%", 100 * lo, 100 * hi);
}

static void add_predicted(table *t, double value, double lo, double hi, bool narrow)
{
    if (!isfinite(value))
        table_add(t, "-");
    else if (narrow)
        table_addf(t, "%.1f %%", 100 * value);
    else
        table_addf(t, "%.1f (%.1f .. %.1f) %%", 100 * value, 100 * lo, 100 * hi);
}

/* "~" before a heading: not on a narrow terminal. */
static void add_head(table *t, const char *const *head, size_t n, bool narrow)
{
    for (size_t k = 0; k < n; k++)
        if (head[k][0] != '~')
            table_add(t, head[k]);
        else if (!narrow)
            table_add(t, head[k] + 1);
}

static void print_causality(const tspi_lab_result *result, FILE *out)
{
    static const char *const head[] = {"skew",      "hops",   "negative",     "rate",  "~95 % interval",
                                       "predicted", "~worst", "~token order", "health"};
    bool several = has_several_transports(result), narrow = is_narrow();
    table t;

    table_init(&t, &(narrow ? "llrrrrl" : "llrrrrrrrl")[!several]);
    if (several)
        table_add(&t, "transport");
    add_head(&t, head, sizeof head / sizeof *head, narrow);
    for (size_t k = 0; k < result->runs_n; k++) {
        const tspi_run_result *run = &result->runs[k];
        char text[64];
        int64_t worst_ns = 0;
        for (size_t e = 0; e < run->edges_n; e++)
            if (run->edges[e].worst_ns > worst_ns)
                worst_ns = run->edges[e].worst_ns;
        if (several)
            table_add(&t, first_of_transport(result, k) ? run->transport : "");
        tspi_duration_format(run->skew_ns, text, sizeof text);
        table_addf(&t, "%s%s", text, what_run(run));
        format_count(run->hops, text, sizeof text);
        table_add(&t, text);
        format_count(run->negative, text, sizeof text);
        table_add(&t, text);
        add_share(&t, run->rate);
        if (!narrow)
            add_interval(&t, run->rate_lo, run->rate_hi);
        add_predicted(&t, run->predicted, run->predicted_lo, run->predicted_hi, narrow);
        if (!narrow) {
            format_ns(worst_ns, text, sizeof text);
            table_add(&t, worst_ns ? text : "-");
            format_count(run->token_order_anomalies, text, sizeof text);
            table_add(&t, text);
        }
        table_add(&t, tspi_run_healthy(run) ? "healthy" : "UNHEALTHY");
    }
    table_print(&t, 2, out);
    table_release(&t);
}

static void print_timeline(const tspi_run_result *run, FILE *out)
{
    static const char *const head[] = {"until",          "true offset", "hops",    "negative", "rate",
                                       "~95 % interval", "predicted",   "hop p50", "health"};
    bool narrow = is_narrow();
    char text[64];
    table t;

    table_init(&t, narrow ? "rrrrrrrl" : "rrrrrrrrl");
    add_head(&t, head, sizeof head / sizeof *head, narrow);
    for (size_t k = 0; k < run->timeline_n; k++) {
        const tspi_timeline_point *point = &run->timeline[k];
        tspi_duration_format(point->since_ns / TSP_NS_PER_MS * TSP_NS_PER_MS, text, sizeof text);
        table_add(&t, text);
        format_ns(point->offset_ns, text, sizeof text);
        table_add(&t, text);
        format_count(point->hops, text, sizeof text);
        table_add(&t, text);
        format_count(point->negative, text, sizeof text);
        table_add(&t, text);
        add_share(&t, point->rate);
        if (!narrow)
            add_interval(&t, point->rate_lo, point->rate_hi);
        add_predicted(&t, point->predicted, point->predicted_lo, point->predicted_hi, narrow);
        format_ns(point->hop_p50_ns, text, sizeof text);
        table_add(&t, point->hop_p50_ns ? text : "-");
        if (point->healthy >= 1)
            table_add(&t, "healthy");
        else
            table_addf(&t,
                       point->healthy <= 0 ? "UNHEALTHY"
                       : narrow            ? "%.0f %% UNHEALTHY"
                                           : "UNHEALTHY %.0f %% of the time",
                       100 * (1 - point->healthy));
    }
    table_print(&t, 2, out);
    table_release(&t);
}

/* Each run over time: figures, how far the prediction holds, and what happened. */
static void print_over_time(const tspi_lab_result *result, FILE *out)
{
    for (size_t k = 0; k < result->runs_n; k++) {
        const tspi_run_result *run = &result->runs[k];
        unsigned predicted = 0, agree = 0;
        tspi_buf words = {0};
        char skew[32];
        if (!run->timeline_n)
            continue;
        tspi_duration_format(run->skew_ns, skew, sizeof skew);
        fprintf(out, "\n%s over time\n", skew);
        print_timeline(run, out);
        for (size_t p = 0; p < run->timeline_n; p++) {
            const tspi_timeline_point *point = &run->timeline[p];
            predicted += isfinite(point->predicted);
            agree += isfinite(point->predicted) && point->predicted_lo <= point->rate_hi &&
                     point->rate_lo <= point->predicted_hi;
        }
        if (predicted)
            fprintf(out, "The true offset and the delays with true clocks predict the rate in %u of %u stretches.\n",
                    agree, predicted);
        tspi_timeline_explain(run, &words);
        if (words.len)
            fwrite(words.data, 1, words.len, out);
        tspi_buf_release(&words);
    }
}

static void print_service(const tspi_lab_result *result, FILE *out)
{
    static const char *const head[] = {"skew", "requests/s",   "~tokens/s",          "latency p50",
                                       "p99",  "~first token", "~throughput on/off", "outputs"};
    bool several = has_several_transports(result), narrow = is_narrow();
    table t;

    table_init(&t, &(narrow ? "llrrrl" : "llrrrrrrl")[!several]);
    if (several)
        table_add(&t, "transport");
    add_head(&t, head, sizeof head / sizeof *head, narrow);
    for (size_t k = 0; k < result->runs_n; k++) {
        const tspi_run_result *run = &result->runs[k];
        const tspi_throughput_result *throughput = throughput_of(result, run);
        char text[64];
        if (several)
            table_add(&t, first_of_transport(result, k) ? run->transport : "");
        tspi_duration_format(run->skew_ns, text, sizeof text);
        table_addf(&t, "%s%s", text, what_run(run));
        table_addf(&t, "%.1f", run->requests_per_s);
        if (!narrow)
            table_addf(&t, "%.0f", run->tokens_per_s);
        const int64_t times_ns[] = {run->latency_p50_ns, run->latency_p99_ns, run->ttft_p50_ns};
        for (int c = 0; c < (narrow ? 2 : 3); c++) {
            format_ns(times_ns[c], text, sizeof text);
            table_add(&t, text);
        }
        if (throughput && !narrow)
            table_addf(&t, "%.3f (%.3f .. %.3f)", throughput->ratio.ratio, throughput->ratio.lo, throughput->ratio.hi);
        else if (!narrow)
            table_add(&t, "-");
        table_add(&t, run->outputs_match < 0 ? "not compared" : run->outputs_match ? "identical" : "DIFFERENT");
    }
    table_print(&t, 2, out);
    table_release(&t);
}

/* The edge on which a transport's skew shows: the one with the largest rate in any of its runs. */
static const tspi_edge_result *worst_edge(const tspi_lab_result *result, const char *transport,
                                          const tspi_run_result **ret_run)
{
    const tspi_edge_result *worst = NULL;

    for (size_t k = 0; k < result->runs_n; k++)
        for (size_t e = 0; !strcmp(result->runs[k].transport, transport) && e < result->runs[k].edges_n; e++) {
            const tspi_edge_result *edge = &result->runs[k].edges[e];
            if (edge->negative && (!worst || edge->rate > worst->rate)) {
                worst = edge;
                *ret_run = &result->runs[k];
            }
        }
    return worst;
}

static void print_agreement(const tspi_lab_result *result, FILE *out)
{
    unsigned predicted = 0, agree = 0;

    for (size_t k = 0; k < result->runs_n; k++)
        if (result->runs[k].skew_ns && tspi_run_agrees(&result->runs[k]) >= 0) {
            predicted++;
            agree += tspi_run_agrees(&result->runs[k]) == 1;
        }
    if (predicted)
        fprintf(out, "The delays without skew predict the rate at %u of %u skews (their 95 %% intervals overlap).\n",
                agree, predicted);
}

static void print_throughput(const tspi_lab_result *result, FILE *out)
{
    const tspi_ratio *all = &result->all_skews;

    if (all->ratio > 0)
        fprintf(out, "Throughput with skew is %.3f of that without (%.3f .. %.3f, all skews pooled): %s.\n", all->ratio,
                all->lo, all->hi,
                all->lo <= 1 && all->hi >= 1 ? "no difference shows" : "a difference that skew alone does not explain");
}

/* Of runs long enough to tell. */
static void print_memory(const tspi_lab_result *result, FILE *out)
{
    const tspi_memory_result *most = NULL;
    int64_t for_ns = INT64_MAX;
    size_t n = 0;

    for (size_t k = 0; k < result->memory_n; k++) {
        const tspi_memory_result *row = &result->memory[k];
        if (!row->figures.growth_known)
            continue;
        n++;
        for_ns = row->figures.for_ns < for_ns ? row->figures.for_ns : for_ns;
        if (!most || row->figures.growth > most->figures.growth)
            most = row;
    }
    if (!most)
        return;
    fprintf(
        out,
        "Memory: of %zu processes over %.0f minutes, %s grew most after its first minute: by %.2f MB, to %.1f MB.\n", n,
        (double)for_ns / (60.0 * (double)TSP_NS_PER_S), most->name, (double)most->figures.growth / 1e6,
        (double)most->figures.end / 1e6);
}

static void print_words(const tspi_lab_result *result, const char *transport, const char *over, FILE *out)
{
    const tspi_run_result *run = NULL, *base = tspi_lab_baseline(result, transport);
    const tspi_edge_result *worst = worst_edge(result, transport, &run);
    char skew[32], p50[32], margin[32];

    if (!worst) {
        fprintf(out, "No negative span anywhere%s.\n", over);
        return;
    }
    tspi_duration_format(run->skew_ns, skew, sizeof skew);
    fprintf(out, "The skew shows%s on %s -> %s: at %s, %.1f %% of its hops are received before they were sent.\n", over,
            worst->from, worst->to, skew, 100 * worst->rate);
    for (size_t e = 0; base && e < base->edges_n; e++) {
        const tspi_edge_result *edge = &base->edges[e];
        if (strcmp(edge->from, worst->from) != 0 || strcmp(edge->to, worst->to) != 0)
            continue;
        format_ns(edge->p50_ns, p50, sizeof p50);
        format_ns(edge->margin_ns, margin, sizeof margin);
        fprintf(out, "Without skew that hop takes %s in the median and %s at the least: a smaller skew hides in it.\n",
                p50, margin);
    }
}

static void print_all_words(const tspi_lab_result *result, FILE *out)
{
    char verdict[512], over[32];
    bool several = has_several_transports(result);

    for (size_t k = 0; k < result->runs_n; k++)
        if (first_of_transport(result, k)) {
            snprintf(over, sizeof over, "%s%s", several ? " over " : "", several ? result->runs[k].transport : "");
            print_words(result, result->runs[k].transport, over, out);
        }
    tspi_transports_verdict(result, verdict, sizeof verdict);
    if (*verdict)
        fprintf(out, "%s\n", verdict);
    else
        print_agreement(result, out);
}

/* Sentences of more than a line are broken between words; rows of tables, which are indented, are left alone. */
static void print_folded(const char *text, unsigned columns, FILE *out)
{
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n"), take = len;
        if (len > columns && *line != ' ') {
            for (take = columns; take > 0 && line[take] != ' ';)
                take--;
            take = take ? take : len;
        }
        fprintf(out, "%.*s\n", (int)take, line);
        line += take;
        line += *line == ' ' || *line == '\n';
    }
}

static void print_all(const tspi_spec *spec, const tspi_lab_result *result, FILE *out)
{
    char delay[32], jitter[32];

    tspi_duration_format(spec->link.delay_ns, delay, sizeof delay);
    tspi_duration_format(spec->link.jitter_ns, jitter, sizeof jitter);
    fprintf(out, "%s over %s, engine %s, skew on the stamps of '%s'%s\n", spec->name,
            strcmp(spec->transport, TSPI_TRANSPORT_ALL) ? spec->transport : "all transports", spec->engine.name,
            spec->clock_stage, result->partial ? " -- PARTIAL: interrupted" : "");
    fprintf(out, "Nodes: %s; hop delay %s +- %s.\n\n", result->how, delay, jitter);
    fputs("What the traces say\n", out);
    print_causality(result, out);
    print_over_time(result, out);
    fputs("\nWhat the service does\n", out);
    print_service(result, out);
    if (result->outputs_note[0])
        fprintf(out, "  (%s)\n", result->outputs_note);
    lab_margins_print(result, out);
    fputc('\n', out);
    print_all_words(result, out);
    print_throughput(result, out);
    print_memory(result, out);
    for (size_t k = 0; k < result->left_out_n; k++)
        fprintf(out, "LEFT OUT: %s: %s.\n", result->left_out[k].transport, result->left_out[k].why);
    if (result->foreign)
        fprintf(out,
                "FOREIGN: the nodes got %" PRIu64 " messages that are none of the lab's, and dropped them "
                "(nodes.log says why).\n",
                result->foreign);
    for (size_t k = 0; k < result->gaps_n; k++)
        fprintf(out, "GAP in %s: %s. The block was left out and repeated.\n", result->gaps[k].block,
                result->gaps[k].why);
    if (result->simulation_s > 0)
        fprintf(out, "Simulated %.0f s in %.2f s, %.0f times as fast as they pass (%.2f s of the processor).\n",
                result->simulated_s, result->simulation_s, result->simulated_s / result->simulation_s,
                result->simulation_cpu_s);
    fprintf(out, "\nReport: %s/report.html   Figures: %s/summary.json   Traces: %s/*/otlp   (%.0f s)\n", result->folder,
            result->folder, result->folder, result->seconds);
}

void lab_table_print(const tspi_spec *spec, const tspi_lab_result *result, FILE *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = isatty(STDOUT_FILENO) ? open_memstream(&text, &size) : NULL;

    if (!memory) {
        print_all(spec, result, out);
        return;
    }
    print_all(spec, result, memory);
    fclose(memory);
    print_folded(text ? text : "", terminal_columns(), out);
    free(text);
}
