#include "cli/report_make.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/duration.h"
#include "cli/check_print.h"
#include "cli/clocks_print.h"
#include "cli/fix_print.h"
#include "health/health.h"
#include "report/page.h"
#include "report/perfetto.h"
#include "report/run_folder.h"
#include "report/trace_pack.h"
#include "report/truth_series.h"
#include "truespan/check.h"

enum { EXAMPLES = 100, LABS_MOST = 64, SPANS_LEAST = 2000 };

/* One audit of the page. */
typedef struct {
    const report_request *request;
    const char *const *paths;
    size_t paths_n;
    const char *name, *truth; /* truth may be NULL */
    int64_t lab, run;         /* rows of the page's labs and of that lab's runs; -1 = none */
    uint64_t spans;
    bool found;
} audit;

static void put_text(tspi_buf *out, const char *text)
{
    tspi_buf_json_string(out, text, strlen(text));
}

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

/* ------------------------------------------------------------------ one audit */

static tsp_status put_check(audit *a, tspi_buf *out, tsp_error *err)
{
    const tspi_mend_options *o = &a->request->read;
    const tsp_check_options wanted = {.paths = a->paths,
                                      .paths_n = a->paths_n,
                                      .format = o->format,
                                      .clock_key = o->clock_key,
                                      .reference = o->reference,
                                      .max_drift_ppm = o->max_drift_ppm,
                                      .examples = EXAMPLES,
                                      .threads = o->threads,
                                      .keep_going = o->keep_going};
    tsp_check *check = NULL;
    capture text;
    size_t n;
    tsp_status rc = tsp_check_run(&wanted, &check, err);

    if (rc != TSP_OK)
        return rc;
    if (capture_begin(&text, err))
        check_print_json(check, text.file);
    capture_end(&text, "check", out);
    const char *const *advice = tsp_check_advice(check, &n);
    tspi_buf_puts(out, ",\n\"advice\": [");
    for (size_t k = 0; k < n; k++) {
        tspi_buf_puts(out, k ? ",\n " : "");
        put_text(out, advice[k]);
    }
    tspi_buf_putc(out, ']');
    a->found |= tsp_check_totals_of(check)->violations > 0;
    tsp_check_free(check);
    return TSP_OK;
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
        tspi_buf_printf(out,
                        "%s{\"group\": %u, \"reference\": %s, \"at_least_ns\": %" PRId64 ", \"key\": ", c ? ",\n " : "",
                        clock->group, clock->is_reference ? "true" : "false", clock->at_least_ns);
        put_text(out, m->causal.clocks.clocks[c].key);
        tspi_buf_putc(out, '}');
    }
    tspi_buf_puts(out, "]}");
}

static tsp_status put_clocks(const tspi_mend *m, tspi_buf *out, tsp_error *err)
{
    capture text;
    tsp_status rc = capture_begin(&text, err) ? clocks_print_json(m, -1, text.file, err) : TSP_ENOMEM;

    capture_end(&text, "clocks", out);
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

static tsp_status put_mend(const audit *a, tspi_mend *m, tspi_buf *out, tsp_error *err)
{
    tspi_mend_outcome outcome;
    tspi_pick pick = {0};
    tsp_status rc = put_clocks(m, out, err);

    put_notes(m, out);
    tspi_buf_puts(out, ",\n\"truth\": ");
    if (rc == TSP_OK)
        rc = tspi_put_truth(m, a->truth, out, err);
    if (rc == TSP_OK)
        rc = put_health(m, out, err);
    if (rc == TSP_OK)
        rc = tspi_pick_traces(m, a->spans, &pick, err);
    if (rc == TSP_OK)
        rc = tspi_mend_correct(m, false, &outcome, err);
    if (rc == TSP_OK)
        rc = put_fix(m, &outcome, out, err);
    if (rc == TSP_OK) {
        tspi_buf_puts(out, ",\n\"traces\": ");
        rc = tspi_trace_pack(m, &pick, out, err);
    }
    tspi_pick_release(&pick);
    return rc;
}

static tspi_mend_options mend_options(const audit *a)
{
    tspi_mend_options options = a->request->read;

    options.paths = a->paths;
    options.paths_n = a->paths_n;
    return options;
}

static tsp_status put_audit(audit *a, tspi_buf *out, tsp_error *err)
{
    const tspi_mend_options options = mend_options(a);
    tspi_mend mend = {0};

    tspi_buf_puts(out, "{\"name\": ");
    put_text(out, a->name);
    if (a->lab >= 0)
        tspi_buf_printf(out, ", \"lab\": %" PRId64 ", \"run\": %" PRId64, a->lab, a->run);
    else
        tspi_buf_puts(out, ", \"lab\": null, \"run\": null");
    tsp_status rc = put_check(a, out, err);
    if (rc == TSP_OK)
        rc = tspi_mend_open(&mend, &options, err);
    if (rc == TSP_OK)
        rc = put_mend(a, &mend, out, err);
    tspi_buf_putc(out, '}');
    tspi_mend_release(&mend);
    return rc;
}

static tsp_status put_tracks(audit *a, tspi_buf *out, tsp_error *err)
{
    const tspi_mend_options options = mend_options(a);
    tspi_mend_outcome outcome = {0};
    tspi_mend mend = {0};
    tspi_pick pick = {0};
    tsp_status rc = tspi_mend_open(&mend, &options, err);

    if (rc == TSP_OK)
        rc = tspi_pick_traces(&mend, a->spans, &pick, err);
    if (rc == TSP_OK)
        rc = tspi_mend_correct(&mend, false, &outcome, err);
    if (rc == TSP_OK)
        rc = tspi_perfetto_write(&mend, &pick, out, err);
    a->found |= outcome.before.total > 0;
    tspi_pick_release(&pick);
    tspi_mend_release(&mend);
    return rc;
}

/* ------------------------------------------------------------------ all inputs */

/* What the operands are, sorted out. */
typedef struct {
    tspi_run_folder labs[LABS_MOST];
    size_t labs_n;
    const char **traces; /* owned; the text is borrowed, but for those made here */
    size_t traces_n;
    char *made[LABS_MOST]; /* owned */
    size_t made_n;
    char *truth; /* owned; of a lone point of a run */
    int stdin_fd;
} inputs;

static void inputs_release(inputs *in)
{
    for (size_t k = 0; k < in->labs_n; k++)
        tspi_run_folder_release(&in->labs[k]);
    for (size_t k = 0; k < in->made_n; k++)
        free(in->made[k]);
    if (in->stdin_fd >= 0)
        close(in->stdin_fd);
    free(in->truth);
    free(in->traces);
}

/* Standard input is read twice, so it needs a place. */
static tsp_status hold_stdin(inputs *in, tsp_error *err)
{
    tspi_buf bytes = {0};
    char path[64];
    tsp_status rc = in->stdin_fd >= 0 ? tsp_error_set(err, TSP_EINVAL, "standard input is named twice")
                                      : tspi_buf_read_file(&bytes, "-", 0, err);

    if (rc == TSP_OK && (in->stdin_fd = memfd_create("standard input", MFD_CLOEXEC)) < 0)
        rc = tsp_error_set(err, TSP_EIO, "no memory file for standard input");
    for (size_t at = 0; rc == TSP_OK && at < bytes.len;) {
        ssize_t n = write(in->stdin_fd, bytes.data + at, bytes.len - at);
        if (n <= 0)
            rc = tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by standard input");
        at += n > 0 ? (size_t)n : 0;
    }
    tspi_buf_release(&bytes);
    if (rc != TSP_OK)
        return rc;
    snprintf(path, sizeof path, "/proc/self/fd/%d", in->stdin_fd);
    in->made[in->made_n] = strdup(path);
    if (!in->made[in->made_n])
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");
    in->traces[in->traces_n++] = in->made[in->made_n++];
    return TSP_OK;
}

/* DIR/otlp and DIR/truth.jsonl of a point. Two points have two truths: then none is shown. */
static tsp_status add_point(inputs *in, const char *path, tsp_error *err)
{
    char *truth = NULL;

    if (in->made_n == LABS_MOST)
        return tsp_error_set(err, TSP_EINVAL, "more than %d points of a run", LABS_MOST);
    if (asprintf(&in->made[in->made_n], "%s/otlp", path) < 0 || asprintf(&truth, "%s/truth.jsonl", path) < 0)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");
    free(in->truth);
    in->truth = truth;
    in->traces[in->traces_n++] = in->made[in->made_n++];
    return TSP_OK;
}

static tsp_status sort_inputs(const report_request *request, inputs *in, tsp_error *err)
{
    const tspi_mend_options *o = &request->read;
    tsp_status rc = TSP_OK;

    in->stdin_fd = -1;
    in->traces = calloc(o->paths_n + 1, sizeof *in->traces);
    if (!in->traces)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");
    for (size_t k = 0; k < o->paths_n && rc == TSP_OK; k++) {
        const char *path = o->paths[k];
        if (!strcmp(path, "-"))
            rc = hold_stdin(in, err);
        else if (tspi_is_run_folder(path)) {
            if (in->labs_n == LABS_MOST)
                return tsp_error_set(err, TSP_EINVAL, "more than %d runs", LABS_MOST);
            rc = tspi_run_folder_read(path, &in->labs[in->labs_n], err);
            in->labs_n += rc == TSP_OK;
        } else if (tspi_is_run_point(path))
            rc = add_point(in, path, err);
        else
            in->traces[in->traces_n++] = path;
    }
    if (in->traces_n != 1) {
        free(in->truth);
        in->truth = NULL;
    }
    return rc;
}

/* The last part of a path, without slashes at its end. */
static void put_base_name(tspi_buf *out, const char *path)
{
    size_t end = strlen(path), start;

    while (end > 1 && path[end - 1] == '/')
        end--;
    for (start = end; start && path[start - 1] != '/';)
        start--;
    tspi_buf_append(out, path + start, end - start);
}

static char *title_of(const report_request *request)
{
    tspi_buf text = {0};

    if (request->title)
        return strdup(request->title);
    for (size_t k = 0; k < request->read.paths_n && text.len < 200; k++) {
        tspi_buf_puts(&text, k ? ", " : "");
        if (!strcmp(request->read.paths[k], "-"))
            tspi_buf_puts(&text, "standard input");
        else
            put_base_name(&text, request->read.paths[k]);
    }
    tspi_buf_putc(&text, '\0');
    return (char *)text.data;
}

/* Call one with each audit in turn: the points of labs, then everything else together. */
typedef tsp_status (*audit_do)(audit *a, tspi_buf *out, tsp_error *err);

static uint64_t share_of(const report_request *request, const inputs *in)
{
    size_t audits = in->traces_n > 0;

    for (size_t k = 0; k < in->labs_n; k++)
        audits += in->labs[k].points_n;
    if (!request->spans)
        return 0;
    uint64_t share = request->spans / (audits ? audits : 1);
    return share > SPANS_LEAST || share >= request->spans ? share : SPANS_LEAST;
}

static tsp_status do_point(const report_request *request, const inputs *in, size_t lab, size_t point, audit_do one,
                           tspi_buf *out, bool *found, tsp_error *err)
{
    const tspi_run_folder *folder = &in->labs[lab];
    const tspi_run_point *p = &folder->points[point];
    char otlp[4700], truth[4700], name[96], skew[32];
    const char *const paths[] = {otlp};

    snprintf(otlp, sizeof otlp, "%s/%s/otlp", folder->path, p->folder);
    snprintf(truth, sizeof truth, "%s/%s/truth.jsonl", folder->path, p->folder);
    tspi_duration_format(p->skew_ns, skew, sizeof skew);
    snprintf(name, sizeof name, "%s, %s%s", p->transport, skew, p->null_run ? ", saturated" : "");
    audit a = {.request = request,
               .paths = paths,
               .paths_n = 1,
               .name = name,
               .truth = truth,
               .lab = (int64_t)lab,
               .run = (int64_t)point,
               .spans = share_of(request, in)};
    tsp_status rc = one(&a, out, err);
    *found |= a.found;
    return rc;
}

static tsp_status each_audit(const report_request *request, const inputs *in, const char *title, audit_do one,
                             tspi_buf *out, bool *found, tsp_error *err)
{
    tsp_status rc = TSP_OK;
    size_t n = 0;

    for (size_t l = 0; l < in->labs_n; l++)
        for (size_t p = 0; p < in->labs[l].points_n && rc == TSP_OK; p++)
            if (tspi_run_folder_has(&in->labs[l], &in->labs[l].points[p])) {
                tspi_buf_puts(out, n++ ? ",\n" : "\n");
                rc = do_point(request, in, l, p, one, out, found, err);
            }
    if (in->traces_n && rc == TSP_OK) {
        tspi_buf_puts(out, n ? ",\n" : "\n");
        audit a = {.request = request,
                   .paths = in->traces,
                   .paths_n = in->traces_n,
                   .name = title,
                   .truth = in->truth,
                   .lab = -1,
                   .run = -1,
                   .spans = share_of(request, in)};
        rc = one(&a, out, err);
        *found |= a.found;
    }
    return rc;
}

static tsp_status put_labs(const inputs *in, tspi_buf *out, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < in->labs_n && rc == TSP_OK; k++) {
        tspi_buf_puts(out, k ? ",\n{\"name\": " : "\n{\"name\": ");
        tspi_buf name = {0};
        put_base_name(&name, in->labs[k].path);
        tspi_buf_json_string(out, name.data ? (char *)name.data : "", name.len);
        tspi_buf_release(&name);
        tspi_buf_puts(out, ",\n\"summary\": ");
        tspi_buf_append(out, in->labs[k].summary.data, in->labs[k].summary.len);
        tspi_buf_puts(out, ",\n\"prediction\": ");
        rc = tspi_put_prediction(&in->labs[k], out, err);
        tspi_buf_putc(out, '}');
    }
    return rc;
}

tsp_status report_make_page(const report_request *request, tspi_buf *out, bool *ret_found, tsp_error *err)
{
    inputs in = {0};
    tspi_buf data = {0};
    char *title = title_of(request);
    tsp_status rc = title ? sort_inputs(request, &in, err) : tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");

    *ret_found = false;
    if (rc == TSP_OK) {
        tspi_buf_puts(&data, "{\"truespan\": \"" TSP_VERSION "\", \"title\": ");
        put_text(&data, title);
        tspi_buf_puts(&data, ",\n\"labs\": [");
        rc = put_labs(&in, &data, err);
        tspi_buf_puts(&data, "],\n\"audits\": [");
    }
    if (rc == TSP_OK)
        rc = each_audit(request, &in, title, put_audit, &data, ret_found, err);
    tspi_buf_puts(&data, "]}\n");
    if (rc == TSP_OK)
        rc = tspi_page_write(title, &data, out, err);
    tspi_buf_release(&data);
    inputs_release(&in);
    free(title);
    return rc;
}

tsp_status report_make_tracks(const report_request *request, tspi_buf *out, bool *ret_found, tsp_error *err)
{
    inputs in = {0};
    tsp_status rc = sort_inputs(request, &in, err);
    size_t points = 0;

    *ret_found = false;
    for (size_t k = 0; k < in.labs_n; k++)
        points += in.labs[k].points_n;
    if (rc == TSP_OK && points + (in.traces_n > 0) != 1)
        rc = tsp_error_set(err, TSP_EINVAL,
                           "--perfetto shows one input: want traces, or one point of a run (such as %s/%s)",
                           points ? in.labs[0].path : "RUN", points ? in.labs[0].points[0].folder : "zmq-5ms");
    if (rc == TSP_OK)
        rc = each_audit(request, &in, "", put_tracks, out, ret_found, err);
    inputs_release(&in);
    return rc;
}

tsp_status report_put(const tspi_buf *bytes, const char *path, tsp_error *err)
{
    if (strcmp(path, "-") != 0)
        return tspi_file_replace(path, bytes->data, bytes->len, err);
    if (fwrite(bytes->data, 1, bytes->len, stdout) != bytes->len || fflush(stdout) != 0)
        return tsp_error_set(err, TSP_EIO, "cannot write to standard output");
    return TSP_OK;
}

tsp_status report_write(const report_request *request, const char *path, tsp_error *err)
{
    tspi_buf page = {0};
    bool found;
    tsp_status rc = report_make_page(request, &page, &found, err);

    if (rc == TSP_OK)
        rc = report_put(&page, path, err);
    tspi_buf_release(&page);
    return rc;
}

tsp_status report_write_run(const char *folder, tsp_error *err)
{
    const char *const paths[] = {folder};
    const report_request request = {.read = {.paths = paths, .paths_n = 1, .max_drift_ppm = 100},
                                    .spans = REPORT_SPANS};
    char path[4200];

    if ((size_t)snprintf(path, sizeof path, "%s/report.html", folder) >= sizeof path)
        return tsp_error_set(err, TSP_EINVAL, "the folder's path is too long");
    return report_write(&request, path, err);
}
