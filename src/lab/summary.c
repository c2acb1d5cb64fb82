#include "lab/summary.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lab/timeline.h"

static void put_text(tspi_buf *out, const char *key, const char *text)
{
    tspi_buf_printf(out, "\"%s\": ", key);
    tspi_buf_json_string(out, text, strlen(text));
}

/* JSON has no NaN: what is not known is null. */
static void put_real(tspi_buf *out, const char *key, double value)
{
    if (isfinite(value))
        tspi_buf_printf(out, "\"%s\": %.9g", key, value);
    else
        tspi_buf_printf(out, "\"%s\": null", key);
}

/* A figure with its 95 % interval: key, key_lo, key_hi. */
static void put_estimate(tspi_buf *out, const char *key, double value, double lo, double hi, const char *separator)
{
    char key_lo[64], key_hi[64];

    snprintf(key_lo, sizeof key_lo, "%s_lo", key);
    snprintf(key_hi, sizeof key_hi, "%s_hi", key);
    put_real(out, key, value);
    tspi_buf_puts(out, separator);
    put_real(out, key_lo, lo);
    tspi_buf_puts(out, separator);
    put_real(out, key_hi, hi);
}

static void put_edge(tspi_buf *out, const tspi_edge_result *edge)
{
    tspi_buf_puts(out, "        {");
    put_text(out, "from", edge->from);
    tspi_buf_puts(out, ", ");
    put_text(out, "to", edge->to);
    tspi_buf_printf(out,
                    ", \"hops\": %" PRIu64 ", \"violations\": %" PRIu64 ", \"worst_ns\": %" PRId64
                    ", \"slack_p50_ns\": %" PRId64 ", \"margin_ns\": %" PRId64 ", \"margin_1pct_ns\": %" PRId64 ", ",
                    edge->hops, edge->negative, edge->worst_ns, edge->p50_ns, edge->margin_ns, edge->margin_1pct_ns);
    put_estimate(out, "rate", edge->rate, edge->rate_lo, edge->rate_hi, ", ");
    tspi_buf_puts(out, ", ");
    put_estimate(out, "predicted_rate", edge->predicted, edge->predicted_lo, edge->predicted_hi, ", ");
    tspi_buf_putc(out, '}');
}

static void put_health(tspi_buf *out, const tspi_run_result *run)
{
    tspi_buf_puts(out, "      \"causality_health\": [");
    for (size_t k = 0; k < run->health_n; k++) {
        const tspi_health_point *point = &run->health[k];
        tspi_buf_printf(out, "%s{\"at\": \"%" PRId64 "\", \"healthy\": %s, \"rate\": %.9g}", k ? ", " : "",
                        point->at_ns, point->healthy ? "true" : "false", point->rate);
    }
    tspi_buf_puts(out, "],\n");
}

static void put_timeline(tspi_buf *out, const tspi_run_result *run)
{
    tspi_buf words = {0};

    tspi_buf_puts(out, "      \"timeline\": [");
    for (size_t k = 0; k < run->timeline_n; k++) {
        const tspi_timeline_point *point = &run->timeline[k];
        tspi_buf_printf(out,
                        "%s\n        {\"at\": \"%" PRId64 "\", \"since_ns\": %" PRId64 ", \"hops\": %" PRIu64
                        ", \"negative_spans\": %" PRIu64 ", ",
                        k ? "," : "", point->at_ns, point->since_ns, point->hops, point->negative);
        put_estimate(out, "negative_rate", point->rate, point->rate_lo, point->rate_hi, ", ");
        tspi_buf_puts(out, ", ");
        put_estimate(out, "predicted_rate", point->predicted, point->predicted_lo, point->predicted_hi, ", ");
        tspi_buf_printf(out,
                        ", \"true_offset_ns\": %" PRId64 ", \"hop_p50_ns\": %" PRId64 ", \"hop_p1_ns\": %" PRId64
                        ", \"healthy\": %s, \"healthy_share\": %.9g}",
                        point->offset_ns, point->hop_p50_ns, point->hop_p1_ns, point->healthy_at_end ? "true" : "false",
                        point->healthy);
    }
    tspi_buf_puts(out, run->timeline_n ? "\n      ],\n      \"what_happened\": [" : "],\n      \"what_happened\": [");
    tspi_timeline_explain(run, &words);
    for (size_t at = 0; at < words.len;) {
        const uint8_t *end = memchr(words.data + at, '\n', words.len - at);
        size_t len = (size_t)(end - words.data) - at;
        tspi_buf_puts(out, at ? ", " : "");
        tspi_buf_json_string(out, (char *)words.data + at, len);
        at += len + 1;
    }
    tspi_buf_puts(out, "],\n");
    tspi_buf_release(&words);
}

static void put_run(tspi_buf *out, const tspi_run_result *run)
{
    tspi_buf_puts(out, "    {\n      ");
    put_text(out, "transport", run->transport);
    tspi_buf_printf(out,
                    ",\n      \"skew_ns\": %" PRId64
                    ",\n      \"null_run\": %s,\n      \"true_clock\": %s,\n      \"seed\": %" PRIu64 ",\n      ",
                    run->skew_ns, run->null_run ? "true" : "false", run->true_clock ? "true" : "false", run->seed);
    put_text(out, "folder", strrchr(run->folder, '/') ? strrchr(run->folder, '/') + 1 : run->folder);
    tspi_buf_printf(out,
                    ",\n      \"requests\": %" PRIu64 ",\n      \"tokens\": %" PRIu64 ",\n      \"spans\": %" PRIu64
                    ",\n      \"hops\": %" PRIu64 ",\n      \"negative_spans\": %" PRIu64 ",\n      ",
                    run->requests, run->tokens, run->spans, run->hops, run->negative);
    put_estimate(out, "negative_rate", run->rate, run->rate_lo, run->rate_hi, ",\n      ");
    tspi_buf_puts(out, ",\n      ");
    put_estimate(out, "predicted_rate", run->predicted, run->predicted_lo, run->predicted_hi, ",\n      ");
    tspi_buf_puts(out, ",\n      \"edges\": [\n");
    for (size_t k = 0; k < run->edges_n; k++) {
        put_edge(out, &run->edges[k]);
        tspi_buf_puts(out, k + 1 < run->edges_n ? ",\n" : "\n");
    }
    tspi_buf_puts(out, "      ],\n");
    put_health(out, run);
    put_timeline(out, run);
    tspi_buf_printf(out, "      \"token_order_anomalies\": %" PRIu64 ",\n      ", run->token_order_anomalies);
    put_real(out, "requests_per_s", run->requests_per_s);
    tspi_buf_puts(out, ",\n      ");
    put_real(out, "tokens_per_s", run->tokens_per_s);
    tspi_buf_printf(out,
                    ",\n      \"latency_p50_ns\": %" PRId64 ",\n      \"latency_p99_ns\": %" PRId64
                    ",\n      \"ttft_p50_ns\": %" PRId64 ",\n      ",
                    run->latency_p50_ns, run->latency_p99_ns, run->ttft_p50_ns);
    put_text(out, "outputs_sha256", run->outputs_sha256);
    tspi_buf_printf(out, ",\n      \"outputs_match\": %s\n    }",
                    run->outputs_match < 0 ? "null"
                    : run->outputs_match   ? "true"
                                           : "false");
}

static void put_throughput(tspi_buf *out, const tspi_throughput_result *row)
{
    tspi_buf_puts(out, "    {");
    put_text(out, "transport", row->transport);
    tspi_buf_printf(out, ", \"skew_ns\": %" PRId64 ", \"pairs\": %u, ", row->skew_ns, row->pairs);
    put_estimate(out, "ratio", row->ratio.ratio, row->ratio.lo, row->ratio.hi, ", ");
    tspi_buf_puts(out, ", \"requests_per_s\": [");
    for (uint32_t k = 0; k < row->pairs; k++)
        tspi_buf_printf(out, "%s{\"off\": %.6g, \"on\": %.6g}", k ? ", " : "", row->rates[k][0], row->rates[k][1]);
    tspi_buf_puts(out, "]}");
}

static void put_gap(tspi_buf *out, const tspi_gap *gap, const char *separator)
{
    tspi_buf_printf(out, "%s{\"at\": \"%" PRId64 "\", ", separator, gap->at_ns);
    put_text(out, "block", gap->block);
    tspi_buf_puts(out, ", ");
    put_text(out, "why", gap->why);
    tspi_buf_putc(out, '}');
}

static void put_left_out(tspi_buf *out, const tspi_left_out *left, const char *separator)
{
    tspi_buf_printf(out, "%s{", separator);
    put_text(out, "transport", left->transport);
    tspi_buf_puts(out, ", ");
    put_text(out, "why", left->why);
    tspi_buf_putc(out, '}');
}

static void put_memory(tspi_buf *out, const tspi_memory_result *row, const char *separator)
{
    const tspi_memory_figures *figures = &row->figures;

    tspi_buf_printf(out, "%s{", separator);
    put_text(out, "transport", row->transport);
    tspi_buf_puts(out, ", ");
    put_text(out, "process", row->name);
    tspi_buf_printf(out,
                    ", \"seconds\": %.0f, \"start_bytes\": %" PRIu64 ", \"peak_bytes\": %" PRIu64
                    ", \"end_bytes\": %" PRIu64 ", \"growth_bytes\": ",
                    1e-9 * (double)figures->for_ns, figures->start, figures->peak, figures->end);
    if (figures->growth_known)
        tspi_buf_printf(out, "%" PRId64 "}", figures->growth);
    else
        tspi_buf_puts(out, "null}");
}

void tspi_summary_write(const tspi_spec *spec, const tspi_lab_result *result, tspi_buf *out)
{
    tspi_buf yaml = {0};

    tspi_spec_write(spec, &yaml);
    tspi_buf_puts(out, "{\n  \"spec\": ");
    tspi_buf_json_string(out, yaml.data ? (char *)yaml.data : "", yaml.len);
    tspi_buf_release(&yaml);
    tspi_buf_printf(out, ",\n  \"partial\": %s,\n  \"nodes\": \"%s\",\n  ", result->partial ? "true" : "false",
                    result->netns ? "netns" : "process");
    put_text(out, "nodes_note", result->how);
    tspi_buf_puts(out, ",\n  ");
    put_text(out, "outputs_note", result->outputs_note);
    tspi_buf_printf(out,
                    ",\n  \"seconds\": %.3f,\n  \"simulated_s\": %.3f,\n  \"simulation_s\": %.3f,\n  "
                    "\"simulation_cpu_s\": %.3f,\n  \"runs\": [\n",
                    result->seconds, result->simulated_s, result->simulation_s, result->simulation_cpu_s);
    for (size_t k = 0; k < result->runs_n; k++) {
        put_run(out, &result->runs[k]);
        tspi_buf_puts(out, k + 1 < result->runs_n ? ",\n" : "\n");
    }
    tspi_buf_puts(out, "  ],\n  \"throughput\": [\n");
    for (size_t k = 0; k < result->throughput_n; k++) {
        put_throughput(out, &result->throughput[k]);
        tspi_buf_puts(out, k + 1 < result->throughput_n ? ",\n" : "\n");
    }
    tspi_buf_printf(out, "  ],\n  \"foreign_messages\": %" PRIu64 ",\n  \"gaps\": [", result->foreign);
    for (size_t k = 0; k < result->gaps_n; k++)
        put_gap(out, &result->gaps[k], k ? ", " : "");
    tspi_buf_puts(out, "],\n  \"memory\": [");
    for (size_t k = 0; k < result->memory_n; k++)
        put_memory(out, &result->memory[k], k ? ",\n    " : "\n    ");
    tspi_buf_puts(out, "],\n  \"left_out\": [");
    for (size_t k = 0; k < result->left_out_n; k++)
        put_left_out(out, &result->left_out[k], k ? ", " : "");
    tspi_buf_puts(out, "],\n  \"throughput_all_skews\": ");
    if (result->all_skews.ratio > 0) {
        tspi_buf_puts(out, "{");
        put_estimate(out, "ratio", result->all_skews.ratio, result->all_skews.lo, result->all_skews.hi, ", ");
        tspi_buf_puts(out, "}\n}\n");
    } else
        tspi_buf_puts(out, "null\n}\n");
}
