#include "cli/check_print.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"

static void string(tspi_buf *buf, const char *text)
{
    tspi_buf_json_string(buf, text, strlen(text));
}

/* A number, or null for what cannot be known. */
static void value(tspi_buf *buf, int64_t ns)
{
    if (ns == INT64_MIN || ns == INT64_MAX)
        tspi_buf_puts(buf, "null");
    else
        tspi_buf_printf(buf, "%" PRId64, ns);
}

static const char *verdict_name(tsp_clock_verdict verdict)
{
    static const char *const names[] = {
        [TSP_CLOCK_OK] = "ok",
        [TSP_CLOCK_SUSPECTED] = "suspected",
        [TSP_CLOCK_PROVEN] = "proven",
        [TSP_CLOCK_UNKNOWN] = "unknown",
    };
    return names[verdict];
}

static void totals(tspi_buf *buf, const tsp_check_totals *t)
{
    tspi_buf_printf(buf,
                    "\"input\": {\"files\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"spans\": %" PRIu64
                    ", \"traces\": %" PRIu64 ", \"clocks\": %" PRIu64 ", \"hops\": %" PRIu64,
                    t->files, t->bytes, t->spans, t->traces, t->clocks, t->hops);
    if (t->put_aside_spans)
        tspi_buf_printf(buf,
                        ", \"put_aside_spans\": %" PRIu64 ", \"late_spans\": %" PRIu64 ", \"late_links\": %" PRIu64,
                        t->put_aside_spans, t->late_spans, t->late_links);
    tspi_buf_puts(buf, "},\n ");
    tspi_buf_printf(buf,
                    "\"violations\": {\"total\": %" PRIu64 ", \"hard\": %" PRIu64 ", \"soft\": %" PRIu64
                    ", \"same_clock\": %" PRIu64 ", \"negative_duration\": %" PRIu64 ", \"token_order\": %" PRIu64
                    "},\n ",
                    t->violations, t->hard, t->soft, t->same_clock, t->negative_duration, t->token_order);
    tspi_buf_puts(buf, "\"causes\": {");
    for (int cause = 0; cause < TSP_CAUSES_N; cause++)
        tspi_buf_printf(buf, "%s\"%s\": %" PRIu64, cause ? ", " : "", tsp_cause_name((tsp_cause)cause),
                        t->causes[cause]);
    tspi_buf_puts(buf, "},\n ");
}

static void edges(tspi_buf *buf, const tsp_check *check)
{
    size_t n;
    const tsp_check_edge *rows = tsp_check_edges(check, &n);

    tspi_buf_puts(buf, "\"edges\": [");
    for (size_t k = 0; k < n; k++) {
        tspi_buf_puts(buf, k ? ",\n  {\"from\": " : "\n  {\"from\": ");
        string(buf, rows[k].from);
        tspi_buf_puts(buf, ", \"to\": ");
        string(buf, rows[k].to);
        tspi_buf_printf(buf,
                        ", \"hops\": %" PRIu64 ", \"violations\": %" PRIu64 ", \"worst_ns\": %" PRId64
                        ", \"slack_p50_ns\": %" PRId64 ", \"margin_ns\": %" PRId64 ", \"margin_1pct_ns\": %" PRId64 "}",
                        rows[k].hops, rows[k].violations, rows[k].worst_ns, rows[k].slack_p50_ns, rows[k].margin_ns,
                        rows[k].margin_1pct_ns);
    }
    tspi_buf_puts(buf, "],\n ");
}

static void steps(tspi_buf *buf, const tsp_check_clock *clock)
{
    for (size_t k = 0; k < clock->steps_n; k++)
        tspi_buf_printf(buf, "%s{\"at\": \"%" PRId64 "\", \"size_ns\": %" PRId64 "}", k ? ", " : "",
                        clock->steps[k].at_ns, clock->steps[k].size_ns);
}

static void clocks(tspi_buf *buf, const tsp_check *check)
{
    size_t n;
    const tsp_check_clock *rows = tsp_check_clocks(check, &n);

    tspi_buf_printf(buf, "\"solved\": %s,\n ", tsp_check_totals_of(check)->solved ? "true" : "false");
    tspi_buf_puts(buf, "\"clocks\": [");
    for (size_t k = 0; k < n; k++) {
        tspi_buf_puts(buf, k ? ",\n  {\"clock\": " : "\n  {\"clock\": ");
        string(buf, rows[k].name);
        tspi_buf_printf(buf, ", \"verdict\": \"%s\", \"offset_ns\": ", verdict_name(rows[k].verdict));
        value(buf, rows[k].offset_ns);
        tspi_buf_puts(buf, ", \"lo_ns\": ");
        value(buf, rows[k].lo_ns);
        tspi_buf_puts(buf, ", \"hi_ns\": ");
        value(buf, rows[k].hi_ns);
        tspi_buf_puts(buf, ", \"drift_ppb\": ");
        value(buf, rows[k].drift_ppb);
        tspi_buf_printf(buf, ", \"hops_in\": %" PRIu64 ", \"hops_out\": %" PRIu64 ", \"steps\": [", rows[k].hops_in,
                        rows[k].hops_out);
        steps(buf, &rows[k]);
        tspi_buf_puts(buf, "]}");
    }
    tspi_buf_puts(buf, "],\n ");
}

void check_put_pairs(const tsp_check *check, tspi_buf *buf)
{
    size_t n = 0;
    const tsp_check_pair *rows = check ? tsp_check_pairs(check, &n) : NULL;

    for (size_t k = 0; k < n; k++) {
        tspi_buf_puts(buf, k ? "" : ",\n \"pairs\": [");
        tspi_buf_puts(buf, k ? ",\n  {\"from\": " : "\n  {\"from\": ");
        string(buf, rows[k].from);
        tspi_buf_puts(buf, ", \"to\": ");
        string(buf, rows[k].to);
        tspi_buf_printf(buf,
                        ", \"contradictory\": %s, \"hops\": %" PRIu64 ", \"violations\": %" PRIu64
                        ", \"worst_ns\": %" PRId64 ", \"back_hops\": %" PRIu64 ", \"back_violations\": %" PRIu64
                        ", \"back_worst_ns\": %" PRId64 "}",
                        rows[k].contradictory ? "true" : "false", rows[k].hops, rows[k].violations, rows[k].worst_ns,
                        rows[k].back_hops, rows[k].back_violations, rows[k].back_worst_ns);
    }
    tspi_buf_puts(buf, n ? "]" : "");
}

static void examples(tspi_buf *buf, const tsp_check *check)
{
    size_t n;
    const tsp_check_example *rows = tsp_check_examples(check, &n);

    tspi_buf_puts(buf, "\"examples\": [");
    for (size_t k = 0; k < n; k++) {
        tspi_buf_printf(buf, "%s{\"trace_id\": \"%s\", \"span_id\": \"%s\", \"parent_span_id\": ", k ? ",\n  " : "\n  ",
                        rows[k].trace_id, rows[k].span_id);
        if (rows[k].parent_span_id[0])
            tspi_buf_printf(buf, "\"%s\"", rows[k].parent_span_id);
        else
            tspi_buf_puts(buf, "null");
        tspi_buf_puts(buf, ", \"from\": ");
        string(buf, rows[k].from);
        tspi_buf_puts(buf, ", \"to\": ");
        string(buf, rows[k].to);
        tspi_buf_printf(buf, ", \"by_ns\": %" PRId64 ", \"cause\": \"%s\"}", rows[k].by_ns,
                        tsp_cause_name(rows[k].cause));
    }
    tspi_buf_putc(buf, ']');
}

void check_print_json(const tsp_check *check, FILE *out)
{
    tspi_buf buf = {0};

    tspi_buf_putc(&buf, '{');
    totals(&buf, tsp_check_totals_of(check));
    edges(&buf, check);
    clocks(&buf, check);
    examples(&buf, check);
    check_put_pairs(check, &buf);
    tspi_buf_puts(&buf, "}\n");
    if (tspi_buf_ok(&buf))
        fwrite(buf.data, 1, buf.len, out);
    else
        fputs("truespan check: memory is exhausted by the answer\n", stderr);
    tspi_buf_release(&buf);
}
