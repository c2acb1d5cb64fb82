#include "cli/report_audit.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/check_print.h"
#include "cli/clocks_print.h"
#include "cli/fix_print.h"
#include "health/audit.h"
#include "health/health.h"
#include "report/perfetto.h"
#include "report/trace_pack.h"
#include "report/truth_series.h"

enum { EXAMPLES = 100 };

/* What a printer of JSON writes, without its last newline. */
typedef struct {
    FILE *file;
    char *text; /* owned */
    size_t len;
} capture;

static FILE *capture_begin(capture *c, tsp_error *err)
{
    *c = (capture){0};
    c->file = open_memstream(&c->text, &c->len);
    if (!c->file)
        tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the page");
    return c->file;
}

static void capture_end(capture *c, const char *key, tspi_buf *out)
{
    if (c->file)
        fclose(c->file);
    while (c->len && c->text[c->len - 1] == '\n')
        c->len--;
    tspi_buf_printf(out, ",\n\"%s\": ", key);
    tspi_buf_append(out, c->len ? c->text : "null", c->len ? c->len : 4);
    free(c->text);
}

static void put_advice(const tsp_check *check, tspi_buf *out)
{
    size_t n;
    const char *const *advice = tsp_check_advice(check, &n);

    tspi_buf_puts(out, ",\n\"advice\": [");
    for (size_t k = 0; k < n; k++) {
        tspi_buf_puts(out, k ? ",\n " : "");
        tspi_buf_json_string(out, advice[k], strlen(advice[k]));
    }
    tspi_buf_putc(out, ']');
}

/* Before the stamps are corrected. */
static tsp_status put_check(const tspi_mend *m, tsp_check_solve solve, tspi_buf *out, tsp_error *err)
{
    const tsp_check_options wanted = {.clock_key = m->options.clock_key,
                                      .reference = m->options.reference,
                                      .max_drift_ppm = m->options.max_drift_ppm,
                                      .examples = EXAMPLES,
                                      .solve = solve,
                                      .threads = m->options.threads};
    tsp_check *check = NULL;
    capture text;
    tsp_status rc = tspi_audit_of_mend(m, &wanted, &check, err);

    if (rc != TSP_OK)
        return rc;
    if (capture_begin(&text, err))
        check_print_json(check, text.file);
    else
        rc = TSP_ENOMEM;
    capture_end(&text, "check", out);
    put_advice(check, out);
    tsp_check_free(check);
    return rc;
}

static tsp_status put_health(const tspi_mend *m, tspi_buf *out, tsp_error *err)
{
    tspi_health_point *points = NULL;
    size_t n = 0;
    tsp_status rc = tspi_health_measure(&m->causal.join, NULL, &points, &n, err);

    tspi_buf_puts(out, ",\n\"health\": [");
    for (size_t k = 0; k < n && rc == TSP_OK; k++)
        tspi_buf_printf(out, "%s{\"at\": \"%" PRId64 "\", \"healthy\": %s, \"rate\": %.9g}", k ? ", " : "",
                        points[k].at_ns, points[k].healthy ? "true" : "false", points[k].rate);
    tspi_buf_putc(out, ']');
    free(points);
    return rc;
}

/* What the solver says beyond the keys of `clocks --json`. */
static void put_notes(const tspi_mend *m, tspi_buf *out)
{
    const tsp_solver_summary_row *s = &m->answer.summary;

    tspi_buf_printf(out,
                    ",\n\"notes\": {\"groups\": %u, \"contradictory\": %s, \"soft_excluded\": %s, \"late\": %" PRIu64
                    ", \"clocks\": [",
                    s->groups, s->contradictory ? "true" : "false", s->soft_excluded ? "true" : "false", s->late);
    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++) {
        const tsp_clock_result *clock = &m->answer.clocks[c];
        const char *key = m->causal.clocks.clocks[c].key;
        tspi_buf_printf(out,
                        "%s{\"group\": %u, \"reference\": %s, \"at_least_ns\": %" PRId64 ", \"key\": ", c ? ",\n " : "",
                        clock->group, clock->is_reference ? "true" : "false", clock->at_least_ns);
        tspi_buf_json_string(out, key, strlen(key));
        tspi_buf_putc(out, '}');
    }
    tspi_buf_puts(out, "]}");
}

static tsp_status put_clocks(const tspi_mend *m, tspi_buf *out, tsp_error *err)
{
    capture text;
    tsp_check *check = NULL;
    tsp_status rc = tspi_audit_pairs_of(m, &check, err);

    if (!capture_begin(&text, err))
        rc = TSP_ENOMEM;
    if (rc == TSP_OK)
        rc = clocks_print_json(m, check, -1, text.file, err);
    capture_end(&text, "clocks", out);
    tsp_check_free(check);
    return rc;
}

static tsp_status put_fix(const tspi_mend *m, const tspi_mend_outcome *outcome, tspi_buf *out, tsp_error *err)
{
    capture text;
    tsp_status rc = TSP_OK;

    if (capture_begin(&text, err))
        fix_print_json(m, outcome, text.file);
    else
        rc = TSP_ENOMEM;
    capture_end(&text, "fix", out);
    return rc;
}

/* What is said of the stamps as they are. */
static tsp_status put_raw(const report_audit *a, const tspi_mend *m, tspi_buf *out, tsp_error *err)
{
    tspi_buf_puts(out, "{\"name\": ");
    tspi_buf_json_string(out, a->name, strlen(a->name));
    if (a->lab >= 0)
        tspi_buf_printf(out, ", \"lab\": %" PRId64 ", \"run\": %" PRId64, a->lab, a->run);
    else
        tspi_buf_puts(out, ", \"lab\": null, \"run\": null");
    tsp_status rc = put_check(m, a->solve, out, err);
    if (rc == TSP_OK)
        rc = put_clocks(m, out, err);
    put_notes(m, out);
    tspi_buf_puts(out, ",\n\"truth\": ");
    if (rc == TSP_OK)
        rc = tspi_put_truth(m, a->truth, out, err);
    return rc == TSP_OK ? put_health(m, out, err) : rc;
}

/* What is said of them once they are corrected. */
static tsp_status put_corrected(const tspi_mend *m, const tspi_mend_outcome *outcome, const tspi_pick *pick,
                                report_part *part, tsp_error *err)
{
    tsp_status rc = put_fix(m, outcome, &part->data, err);

    tspi_buf_puts(&part->data, ",\n\"traces\": ");
    if (rc == TSP_OK)
        rc = tspi_trace_pack(m, pick, &part->data, &part->traces, err);
    tspi_buf_putc(&part->data, '}');
    return rc;
}

void report_part_release(report_part *part)
{
    tspi_buf_release(&part->data);
    tspi_buf_release(&part->traces);
}

tsp_status report_audit_put(const report_audit *a, tspi_mend *m, report_part *part, tspi_buf *tracks,
                            uint64_t *ret_violations, tsp_error *err)
{
    tspi_mend_outcome outcome = {0};
    tspi_pick shown = {0}, tracked = {0};
    tsp_status rc = part ? put_raw(a, m, &part->data, err) : TSP_OK;

    if (rc == TSP_OK && part)
        rc = tspi_pick_traces(m, a->spans, &shown, err);
    if (rc == TSP_OK && tracks)
        rc = tspi_pick_traces(m, a->track_spans, &tracked, err);
    if (rc == TSP_OK)
        rc = tspi_mend_correct(m, false, &outcome, err);
    if (rc == TSP_OK && part)
        rc = put_corrected(m, &outcome, &shown, part, err);
    if (rc == TSP_OK && tracks)
        rc = tspi_perfetto_write(m, &tracked, tracks, err);
    *ret_violations = outcome.before.total;
    tspi_pick_release(&shown);
    tspi_pick_release(&tracked);
    return rc;
}
