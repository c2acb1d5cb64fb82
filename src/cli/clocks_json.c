#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "cli/check_print.h"
#include "cli/clocks_print.h"

static void string(tspi_buf *buf, const char *text)
{
    tspi_buf_json_string(buf, text, strlen(text));
}

/* A number, or null for what cannot be known. */
static void value(tspi_buf *buf, const char *key, int64_t ns)
{
    if (ns == INT64_MIN || ns == INT64_MAX)
        tspi_buf_printf(buf, "\"%s\": null", key);
    else
        tspi_buf_printf(buf, "\"%s\": %" PRId64, key, ns);
}

static void offset_and_bounds(tspi_buf *buf, int64_t offset_ns, int64_t lo_ns, int64_t hi_ns)
{
    value(buf, "offset_ns", offset_ns);
    tspi_buf_puts(buf, ", ");
    value(buf, "lo_ns", lo_ns);
    tspi_buf_puts(buf, ", ");
    value(buf, "hi_ns", hi_ns);
}

static void one_clock(tspi_buf *buf, const char *name, const tsp_clock_result *clock)
{
    tspi_buf_puts(buf, "{\"clock\": ");
    string(buf, name);
    tspi_buf_printf(buf, ", \"verdict\": \"%s\", ", tsp_clock_verdict_name(clock->verdict));
    offset_and_bounds(buf, clock->offset_ns, clock->lo_ns, clock->hi_ns);
    tspi_buf_puts(buf, ", ");
    value(buf, "sigma_ns", clock->sigma_ns ? clock->sigma_ns : TSP_NO_VALUE);
    tspi_buf_puts(buf, ", ");
    value(buf, "drift_ppb", clock->drift_ppb);
    tspi_buf_puts(buf, ", ");
    value(buf, "at_least_ns", clock->at_least_ns ? clock->at_least_ns : TSP_NO_VALUE);
    tspi_buf_printf(buf, ", \"hops_in\": %" PRIu64 ", \"hops_out\": %" PRIu64 ",\n   \"knots\": [", clock->hops_in,
                    clock->hops_out);
    for (size_t k = 0; k < clock->knots_n; k++) {
        tspi_buf_printf(buf, "%s{\"at\": \"%" PRId64 "\", ", k ? ",\n    " : "\n    ", clock->knots[k].at_ns);
        offset_and_bounds(buf, clock->knots[k].offset_ns, clock->knots[k].lo_ns, clock->knots[k].hi_ns);
        tspi_buf_putc(buf, '}');
    }
    tspi_buf_puts(buf, "],\n   \"steps\": [");
    for (size_t k = 0; k < clock->steps_n; k++)
        tspi_buf_printf(buf, "%s{\"at\": \"%" PRId64 "\", \"size_ns\": %" PRId64 "}", k ? ", " : "",
                        clock->steps[k].at_ns, clock->steps[k].size_ns);
    tspi_buf_puts(buf, "],\n   \"bends\": [");
    for (size_t k = 0; k < clock->bends_n; k++)
        tspi_buf_printf(buf, "%s{\"at\": \"%" PRId64 "\", \"rate_ppb\": %" PRId64 "}", k ? ", " : "",
                        clock->bends[k].at_ns, clock->bends[k].rate_ppb);
    tspi_buf_puts(buf, "]}");
}

static void one_link(tspi_buf *buf, const tspi_mend *m, const tsp_proof_link *link)
{
    const tspi_utc_bound *bound = tspi_mend_bound_of(m, link);
    char trace[33], from[17], to[17];

    tspi_buf_puts(buf, "{\"from\": ");
    string(buf, tspi_mend_clock_name(m, link->from));
    tspi_buf_puts(buf, ", \"to\": ");
    string(buf, tspi_mend_clock_name(m, link->to));
    if (bound)
        tspi_buf_printf(buf, ", \"bound_line\": %u", bound->line);
    else if (link->hop == TSP_NO_HOP)
        tspi_buf_puts(buf, ", \"trace_id\": null, \"sent_span_id\": null, \"received_span_id\": null");
    else {
        clocks_format_span(m, tspi_mend_to_span(link->tag), trace, to);
        clocks_format_span(m, tspi_mend_from_span(link->tag), trace, from);
        tspi_buf_printf(buf, ", \"trace_id\": \"%s\", \"sent_span_id\": \"%s\", \"received_span_id\": \"%s\"", trace,
                        from, to);
    }
    tspi_buf_printf(buf, ", \"sent\": \"%" PRId64 "\", \"received\": \"%" PRId64 "\", \"limit_ns\": %" PRId64 "}",
                    link->from_ns, link->to_ns, link->limit_ns);
}

static tsp_status side(tspi_buf *buf, const tspi_mend *m, uint32_t clock, int64_t at, bool upper, tsp_error *err)
{
    tsp_proof_link *links = NULL;
    size_t n = 0;
    tsp_status rc = tsp_solver_why(m->answer.solver, clock, at, upper, &links, &n, err);

    tspi_buf_printf(buf, "\"%s\": ", upper ? "hi" : "lo");
    if (rc == TSP_ERANGE || (rc == TSP_OK && !links)) {
        tspi_buf_puts(buf, "null");
        return TSP_OK;
    }
    if (rc != TSP_OK)
        return rc;
    tspi_buf_putc(buf, '[');
    for (size_t k = 0; k < n; k++) {
        tspi_buf_puts(buf, k ? ",\n   " : "\n   ");
        one_link(buf, m, &links[k]);
    }
    tspi_buf_putc(buf, ']');
    free(links);
    return TSP_OK;
}

static tsp_status reasons(tspi_buf *buf, const tspi_mend *m, uint32_t clock, tsp_error *err)
{
    bool known;
    int64_t at = clocks_instant(&m->answer.clocks[clock], &known);
    tsp_status rc = TSP_OK;

    tspi_buf_puts(buf, ",\n \"why\": {\"clock\": ");
    string(buf, m->causal.clocks.clocks[clock].name);
    if (!known || m->answer.clocks[clock].is_reference)
        tspi_buf_puts(buf, ", \"at\": null, \"lo\": null, \"hi\": null}");
    else {
        tspi_buf_printf(buf, ", \"at\": \"%" PRId64 "\",\n  ", at);
        rc = side(buf, m, clock, at, false, err);
        tspi_buf_puts(buf, ",\n  ");
        if (rc == TSP_OK)
            rc = side(buf, m, clock, at, true, err);
        tspi_buf_putc(buf, '}');
    }
    return rc;
}

tsp_status clocks_print_json(const tspi_mend *m, const tsp_check *check, int64_t why, FILE *out, tsp_error *err)
{
    const char *reference = clocks_reference(m);
    tspi_buf buf = {0};
    tsp_status rc = TSP_OK;

    tspi_buf_puts(&buf, "{\"reference\": ");
    if (reference)
        string(&buf, reference);
    else
        tspi_buf_puts(&buf, "null");
    tspi_buf_printf(&buf, ", \"max_drift_ppm\": %.17g,\n \"clocks\": [", m->answer.summary.max_drift_ppm);
    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++) {
        tspi_buf_puts(&buf, c ? ",\n  " : "\n  ");
        one_clock(&buf, m->causal.clocks.clocks[c].name, &m->answer.clocks[c]);
    }
    tspi_buf_putc(&buf, ']');
    check_put_pairs(check, &buf);
    if (why >= 0)
        rc = reasons(&buf, m, (uint32_t)why, err);
    tspi_buf_puts(&buf, "}\n");
    if (rc == TSP_OK && !tspi_buf_ok(&buf))
        rc = tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the answer");
    if (rc == TSP_OK)
        fwrite(buf.data, 1, buf.len, out);
    tspi_buf_release(&buf);
    return rc;
}
