#include "report/lab_html.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/duration.h"

/* The chart's frame, in SVG units. */
enum { WIDTH = 860, HEIGHT = 380, LEFT = 64, RIGHT = 24, TOP = 20, BOTTOM = 52 };

static const char style[] =
    ":root{color-scheme:light dark;--ink:#1c2430;--soft:#5c6773;--line:#d5dae0;--paper:#fff;--accent:#b3261e;"
    "--cool:#1f6feb}@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa4af;--line:#38404a;"
    "--paper:#14181d;--accent:#ff8a80;--cool:#79b8ff}}body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);"
    "background:var(--paper);max-width:62rem;margin:2rem auto;padding:0 1rem}h1{font-size:1.6rem;margin:0 0 .3rem}"
    "h2{font-size:1.15rem;margin:2.2rem 0 .6rem}p.note{color:var(--soft);margin:.2rem 0}table{border-collapse:collapse;"
    "width:100%;font-variant-numeric:tabular-nums;font-size:.92rem}th,td{padding:.32rem .6rem;text-align:right;"
    "border-bottom:1px solid "
    "var(--line);white-space:nowrap}th:first-child,td:first-child{text-align:left}th{color:var(--soft);"
    "font-weight:600}td.bad{color:var(--accent);font-weight:600}svg{width:100%;height:auto}svg text{fill:var(--soft);"
    "font:12px system-ui,sans-serif}.grid{stroke:var(--line)}.mark{stroke:var(--soft);stroke-dasharray:4 4}"
    ".predicted{fill:none;stroke:var(--cool);stroke-width:2}.bar{stroke:var(--accent);stroke-width:2}"
    ".dot{fill:var(--accent)}.scroll{overflow-x:auto}code{font-size:.9em}";

static void put_escaped(tspi_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            tspi_buf_puts(out, "&lt;");
        else if (*text == '>')
            tspi_buf_puts(out, "&gt;");
        else if (*text == '&')
            tspi_buf_puts(out, "&amp;");
        else if (*text == '"')
            tspi_buf_puts(out, "&quot;");
        else
            tspi_buf_putc(out, *text);
    }
}

static void put_duration(tspi_buf *out, int64_t ns)
{
    char text[32];

    tspi_duration_format(ns, text, sizeof text);
    tspi_buf_puts(out, text);
}

static void put_ms(tspi_buf *out, int64_t ns)
{
    tspi_buf_printf(out, "<td>%.2f ms</td>", 1e-6 * (double)ns);
}

/* ------------------------------------------------------------------ the chart: negative spans against skew */

struct axis {
    double lo_ms, hi_ms;
};

static double x_of(const struct axis *axis, double ms)
{
    return LEFT + (ms - axis->lo_ms) / (axis->hi_ms - axis->lo_ms) * (WIDTH - LEFT - RIGHT);
}

static double y_of(double share)
{
    return TOP + (1 - share) * (HEIGHT - TOP - BOTTOM);
}

/* The edge that the chart shows: the one with the most negative spans at the largest skew. */
static const tspi_edge_result *chart_edge(const tspi_lab_result *result)
{
    const tspi_edge_result *best = NULL;

    for (size_t k = 0; k < result->runs_n; k++)
        for (size_t e = 0; e < result->runs[k].edges_n; e++)
            if (!result->runs[k].null_run && (!best || result->runs[k].edges[e].rate > best->rate))
                best = &result->runs[k].edges[e];
    return best;
}

static const tspi_edge_result *same_edge(const tspi_run_result *run, const tspi_edge_result *edge)
{
    for (size_t k = 0; k < run->edges_n; k++)
        if (!strcmp(run->edges[k].from, edge->from) && !strcmp(run->edges[k].to, edge->to))
            return &run->edges[k];
    return NULL;
}

static struct axis axis_of(const tspi_lab_result *result)
{
    struct axis axis = {0, 0};

    for (size_t k = 0; k < result->runs_n; k++) {
        double ms = 1e-6 * (double)result->runs[k].skew_ns;
        axis.lo_ms = ms < axis.lo_ms ? ms : axis.lo_ms;
        axis.hi_ms = ms > axis.hi_ms ? ms : axis.hi_ms;
    }
    if (axis.hi_ms - axis.lo_ms < 1)
        axis.hi_ms = axis.lo_ms + 1;
    return axis;
}

static void put_grid(tspi_buf *out, const struct axis *axis)
{
    for (int k = 0; k <= 4; k++) {
        double y = y_of(0.25 * k);
        tspi_buf_printf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT, WIDTH - RIGHT,
                        y, y);
        tspi_buf_printf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d %%</text>", LEFT - 8, y + 4, 25 * k);
    }
    double span = axis->hi_ms - axis->lo_ms, step = span > 40 ? ceil(span / 10) : span > 20 ? 5 : span > 10 ? 2 : 1;
    for (double ms = ceil(axis->lo_ms / step) * step; ms <= axis->hi_ms + 1e-9; ms += step)
        tspi_buf_printf(out, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g ms</text>", x_of(axis, ms),
                        HEIGHT - BOTTOM + 20, ms);
    tspi_buf_printf(out, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">clock skew of the stage</text>",
                    (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8);
    const double paper[] = {3, 5};
    for (int k = 0; k < 2; k++)
        if (paper[k] >= axis->lo_ms && paper[k] <= axis->hi_ms)
            tspi_buf_printf(
                out,
                "<line class=\"mark\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"><title>the paper: %s</title>"
                "</line>",
                x_of(axis, paper[k]), x_of(axis, paper[k]), TOP, HEIGHT - BOTTOM,
                k ? "clear violations" : "none up to here");
}

/* The prediction is the hop delay's distribution, measured without skew. */
static void put_prediction(tspi_buf *out, const struct axis *axis, const tspi_edge_result *base)
{
    enum { POINTS = 400 };

    tspi_buf_puts(out, "<polyline class=\"predicted\" points=\"");
    for (int k = 0; k <= POINTS; k++) {
        double ms = axis->lo_ms + (axis->hi_ms - axis->lo_ms) * k / POINTS;
        size_t below = tspi_count_below_ns(base->slacks_ns, base->hops, (int64_t)(ms * 1e6));
        tspi_buf_printf(out, "%.1f,%.1f ", x_of(axis, ms), y_of((double)below / (double)base->hops));
    }
    tspi_buf_puts(out, "\"><title>predicted: the share of hops faster than the skew</title></polyline>");
}

static void put_chart(tspi_buf *out, const tspi_spec *spec, const tspi_lab_result *result)
{
    const tspi_edge_result *shown = chart_edge(result);
    const tspi_run_result *baseline = tspi_lab_baseline(result, spec->transport);
    struct axis axis = axis_of(result);

    if (!shown)
        return;
    const tspi_edge_result *base = baseline ? same_edge(baseline, shown) : NULL;
    tspi_buf_puts(out, "<h2>Negative spans on ");
    put_escaped(out, shown->from);
    tspi_buf_puts(out, " → ");
    put_escaped(out, shown->to);
    tspi_buf_printf(
        out,
        "</h2><svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"share of negative spans against clock skew, "
        "measured and predicted\">",
        WIDTH, HEIGHT);
    put_grid(out, &axis);
    if (base)
        put_prediction(out, &axis, base);
    for (size_t k = 0; k < result->runs_n; k++) {
        const tspi_edge_result *edge = same_edge(&result->runs[k], shown);
        if (!edge || result->runs[k].null_run)
            continue;
        double x = x_of(&axis, 1e-6 * (double)result->runs[k].skew_ns);
        tspi_buf_printf(out, "<line class=\"bar\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x, x,
                        y_of(edge->rate_lo), y_of(edge->rate_hi));
        tspi_buf_printf(out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"4.5\"><title>", x, y_of(edge->rate));
        put_duration(out, result->runs[k].skew_ns);
        tspi_buf_printf(out, ": %" PRIu64 " of %" PRIu64 " hops (%.2f %%)</title></circle>", edge->negative, edge->hops,
                        100 * edge->rate);
    }
    tspi_buf_puts(out,
                  "</svg><p class=\"note\">Dots with 95 % intervals: measured. Line: predicted, which is the "
                  "distribution of that hop's delay without skew. Dashed: the paper's 3 ms (no violation) and 5 ms "
                  "(clear ones).</p>");
}

/* ------------------------------------------------------------------ the tables */

static void put_share(tspi_buf *out, double share, bool bad)
{
    if (isfinite(share))
        tspi_buf_printf(out, "<td%s>%.2f %%</td>", bad ? " class=\"bad\"" : "", 100 * share);
    else
        tspi_buf_puts(out, "<td>–</td>");
}

static void put_skew(tspi_buf *out, const tspi_run_result *run)
{
    tspi_buf_puts(out, "<tr><td>");
    put_duration(out, run->skew_ns);
    tspi_buf_puts(out, run->null_run ? ", cores saturated</td>" : "</td>");
}

static void put_causality(tspi_buf *out, const tspi_lab_result *result)
{
    tspi_buf_puts(out, "<h2>What the traces say</h2><div class=\"scroll\"><table><tr><th>skew</th><th>hops</th>"
                       "<th>negative</th><th>rate</th><th>95 % interval</th><th>predicted</th><th>token order</th>"
                       "<th>causality_health</th></tr>");
    for (size_t k = 0; k < result->runs_n; k++) {
        const tspi_run_result *run = &result->runs[k];
        put_skew(out, run);
        tspi_buf_printf(out, "<td>%" PRIu64 "</td><td>%" PRIu64 "</td>", run->hops, run->negative);
        put_share(out, run->rate, run->negative > 0);
        tspi_buf_printf(out, "<td>%.2f … %.2f %%</td>", 100 * run->rate_lo, 100 * run->rate_hi);
        if (isfinite(run->predicted))
            tspi_buf_printf(out, "<td>%.2f (%.2f … %.2f) %%</td>", 100 * run->predicted, 100 * run->predicted_lo,
                            100 * run->predicted_hi);
        else
            tspi_buf_puts(out, "<td>–</td>");
        tspi_buf_printf(out, "<td>%" PRIu64 "</td><td%s>%s</td></tr>", run->token_order_anomalies,
                        tspi_run_healthy(run) ? "" : " class=\"bad\"", tspi_run_healthy(run) ? "1" : "0");
    }
    tspi_buf_puts(out, "</table></div>");
}

static const tspi_throughput_result *throughput_of(const tspi_lab_result *result, const tspi_run_result *run)
{
    for (size_t k = 0; k < result->throughput_n && !run->null_run; k++)
        if (result->throughput[k].skew_ns == run->skew_ns && !strcmp(result->throughput[k].transport, run->transport))
            return &result->throughput[k];
    return NULL;
}

static void put_service(tspi_buf *out, const tspi_lab_result *result)
{
    tspi_buf_puts(out, "<h2>What the service does</h2><div class=\"scroll\"><table><tr><th>skew</th><th>requests/s</th>"
                       "<th>tokens/s</th><th>latency p50</th><th>p99</th><th>first token</th><th>throughput on/off</th>"
                       "<th>outputs</th></tr>");
    for (size_t k = 0; k < result->runs_n; k++) {
        const tspi_run_result *run = &result->runs[k];
        const tspi_throughput_result *throughput = throughput_of(result, run);
        put_skew(out, run);
        tspi_buf_printf(out, "<td>%.1f</td><td>%.0f</td>", run->requests_per_s, run->tokens_per_s);
        put_ms(out, run->latency_p50_ns);
        put_ms(out, run->latency_p99_ns);
        put_ms(out, run->ttft_p50_ns);
        if (throughput)
            tspi_buf_printf(out, "<td>%.3f (%.3f … %.3f)</td>", throughput->ratio.ratio, throughput->ratio.lo,
                            throughput->ratio.hi);
        else
            tspi_buf_puts(out, "<td>–</td>");
        tspi_buf_printf(out, "<td%s>%s</td></tr>", run->outputs_match == 0 ? " class=\"bad\"" : "",
                        run->outputs_match < 0 ? "not compared"
                        : run->outputs_match   ? "identical"
                                               : "different");
    }
    tspi_buf_puts(out, "</table></div>");
}

static void put_edges(tspi_buf *out, const tspi_lab_result *result)
{
    tspi_buf_puts(out, "<h2>Every edge</h2><div class=\"scroll\"><table><tr><th>skew</th><th>edge</th><th>hops</th>"
                       "<th>negative</th><th>rate</th><th>predicted</th><th>delay as stamped, p50</th><th>margin</th>"
                       "<th>margin to 1 %</th></tr>");
    for (size_t k = 0; k < result->runs_n; k++)
        for (size_t e = 0; e < result->runs[k].edges_n; e++) {
            const tspi_edge_result *edge = &result->runs[k].edges[e];
            tspi_buf_puts(out, "<tr><td>");
            put_duration(out, result->runs[k].skew_ns);
            tspi_buf_printf(out, "%s</td><td>", result->runs[k].null_run ? ", cores saturated" : "");
            put_escaped(out, edge->from);
            tspi_buf_puts(out, " → ");
            put_escaped(out, edge->to);
            tspi_buf_printf(out, "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td>", edge->hops, edge->negative);
            put_share(out, edge->rate, edge->negative > 0);
            put_share(out, edge->predicted, false);
            put_ms(out, edge->p50_ns);
            put_ms(out, edge->margin_ns);
            put_ms(out, edge->margin_1pct_ns);
            tspi_buf_puts(out, "</tr>");
        }
    tspi_buf_puts(out, "</table></div>");
}

void tspi_lab_html(const tspi_spec *spec, const tspi_lab_result *result, tspi_buf *out)
{
    tspi_buf yaml = {0};

    tspi_buf_puts(out, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" "
                       "content=\"width=device-width,initial-scale=1\"><title>truespan lab</title><style>");
    tspi_buf_puts(out, style);
    tspi_buf_puts(out, "</style><h1>");
    put_escaped(out, spec->name);
    tspi_buf_puts(out, "</h1><p class=\"note\">");
    put_escaped(out, spec->transport);
    tspi_buf_puts(out, ", engine ");
    put_escaped(out, spec->engine.name);
    tspi_buf_puts(out, ", skew on the stamps of ");
    put_escaped(out, spec->clock_stage);
    tspi_buf_puts(out, ". Nodes: ");
    put_escaped(out, result->how);
    tspi_buf_puts(out, "; hop delay ");
    put_duration(out, spec->link.delay_ns);
    tspi_buf_puts(out, " ± ");
    put_duration(out, spec->link.jitter_ns);
    tspi_buf_printf(out, ".%s</p>", result->partial ? " <strong>Partial: the run was interrupted.</strong>" : "");
    put_chart(out, spec, result);
    put_causality(out, result);
    put_service(out, result);
    put_edges(out, result);
    tspi_spec_write(spec, &yaml);
    tspi_buf_putc(&yaml, '\0');
    tspi_buf_puts(out, "<h2>Spec</h2><pre><code>");
    put_escaped(out, yaml.data ? (char *)yaml.data : "");
    tspi_buf_puts(out, "</code></pre></html>\n");
    tspi_buf_release(&yaml);
}
