#include "cli/report_make.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "cli/report_audit.h"
#include "cli/report_inputs.h"
#include "report/page.h"

enum { SPANS_LEAST = 2000 };

/* An audit of the page. lab, run: as in report_audit. */
typedef struct {
    report_part part;
    char *name; /* owned */
    int64_t lab, run;
    uint64_t violations;
} audited;

typedef struct {
    const report_request *request;
    const report_inputs *in;
    const char *title;
    tspi_buf *tracks; /* may be NULL */
    bool page;
    audited *audits; /* owned; room for all */
    size_t audits_n;
    bool found;
} maker;

static void put_text(tspi_buf *out, const char *text)
{
    tspi_buf_json_string(out, text, strlen(text));
}

static size_t points_of(const report_inputs *in)
{
    size_t points = 0;

    for (size_t k = 0; k < in->labs_n; k++)
        points += in->labs[k].points_n;
    return points;
}

/* Of the spans that a page carries, what each audit may have. */
static uint64_t share_of(uint64_t spans, const report_inputs *in)
{
    size_t audits = points_of(in) + (in->traces_n > 0);

    if (!spans)
        return 0;
    uint64_t share = spans / (audits ? audits : 1);
    return share > SPANS_LEAST || share >= spans ? share : SPANS_LEAST;
}

static tsp_status add_audit(maker *m, report_audit *a, tspi_mend *mend, tsp_error *err)
{
    audited *row = &m->audits[m->audits_n++];

    *row = (audited){.name = strdup(a->name), .lab = a->lab, .run = a->run};
    if (!row->name)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");
    a->solve = m->request->solve;
    a->spans = share_of(m->request->spans, m->in);
    a->track_spans = share_of(m->request->track_spans, m->in);
    tsp_status rc = report_audit_put(a, mend, m->page ? &row->part : NULL, m->tracks, &row->violations, err);
    m->found |= row->violations > 0;
    return rc;
}

static tsp_status make_audit(maker *m, report_audit *a, const char *const *paths, size_t paths_n, tsp_error *err)
{
    tspi_mend_options read = m->request->read;
    tspi_mend mend = {0};

    read.paths = paths;
    read.paths_n = paths_n;
    tsp_status rc = tspi_mend_open(&mend, &read, err);
    if (rc != TSP_OK)
        return rc;
    rc = add_audit(m, a, &mend, err);
    tspi_mend_release(&mend);
    return rc;
}

static tsp_status make_point(maker *m, size_t lab, size_t point, tsp_error *err)
{
    const tspi_run_folder *folder = &m->in->labs[lab];
    const tspi_run_point *p = &folder->points[point];
    char otlp[4700], truth[4700], name[96], skew[32];
    const char *const paths[] = {otlp};
    report_audit a = {.name = name, .truth = truth, .lab = (int64_t)lab, .run = (int64_t)point};

    snprintf(otlp, sizeof otlp, "%s/%s/otlp", folder->path, p->folder);
    snprintf(truth, sizeof truth, "%s/%s/truth.jsonl", folder->path, p->folder);
    tspi_duration_format(p->skew_ns, skew, sizeof skew);
    snprintf(name, sizeof name, "%s, %s%s", p->transport, skew, p->null_run ? ", saturated" : "");
    return make_audit(m, &a, paths, 1, err);
}

/* The points of labs, then everything else together. */
static tsp_status make_audits(maker *m, tsp_error *err)
{
    const report_inputs *in = m->in;
    report_audit all = {.name = m->title, .truth = in->truth, .lab = -1, .run = -1};
    tsp_status rc = TSP_OK;

    m->audits = calloc(points_of(in) + 1, sizeof *m->audits);
    if (!m->audits)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");
    if (m->request->mend)
        return add_audit(m, &all, m->request->mend, err);
    for (size_t l = 0; l < in->labs_n; l++)
        for (size_t p = 0; p < in->labs[l].points_n && rc == TSP_OK; p++)
            if (tspi_run_folder_has(&in->labs[l], &in->labs[l].points[p]))
                rc = make_point(m, l, p, err);
    if (in->traces_n && rc == TSP_OK)
        rc = make_audit(m, &all, in->traces, in->traces_n, err);
    return rc;
}

static tsp_status put_labs(const report_inputs *in, tspi_buf *out, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < in->labs_n && rc == TSP_OK; k++) {
        tspi_buf name = {0};
        tspi_buf_puts(out, k ? ",\n{\"name\": " : "\n{\"name\": ");
        report_put_base_name(&name, in->labs[k].path);
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

static tsp_status one_input(const report_inputs *in, tsp_error *err)
{
    size_t points = points_of(in);

    if (points + (in->traces_n > 0) == 1)
        return TSP_OK;
    return tsp_error_set(err, TSP_EINVAL,
                         "--perfetto shows one input: want traces, or one point of a run (such as %s/%s)",
                         points ? in->labs[0].path : "RUN", points ? in->labs[0].points[0].folder : "zmq-5ms");
}

static void put_row(tspi_buf *out, const char *key, int64_t row)
{
    if (row >= 0)
        tspi_buf_printf(out, ", \"%s\": %" PRId64, key, row);
    else
        tspi_buf_printf(out, ", \"%s\": null", key);
}

/* What the page must know at once; the audits stand in elements of their own. */
static tsp_status put_main(const maker *m, tspi_buf *out, tsp_error *err)
{
    tspi_buf data = {0};

    tspi_buf_puts(&data, "{\"truespan\": \"" TSP_VERSION "\", \"title\": ");
    put_text(&data, m->title);
    tspi_buf_puts(&data, ",\n\"labs\": [");
    tsp_status rc = put_labs(m->in, &data, err);
    tspi_buf_puts(&data, "],\n\"audits\": [");
    for (size_t k = 0; k < m->audits_n; k++) {
        const audited *a = &m->audits[k];
        tspi_buf_puts(&data, k ? ",\n{\"name\": " : "\n{\"name\": ");
        put_text(&data, a->name);
        put_row(&data, "lab", a->lab);
        put_row(&data, "run", a->run);
        tspi_buf_printf(&data, ", \"violations\": %" PRIu64 "}", a->violations);
    }
    tspi_buf_puts(&data, "]}\n");
    tspi_page_put_json(out, "data", 0, &data);
    tspi_buf_release(&data);
    return rc;
}

/* The audit that is shown first: of the most violations. */
static size_t first_shown(const maker *m)
{
    size_t best = 0;

    for (size_t k = 1; k < m->audits_n; k++)
        if (m->audits[k].violations > m->audits[best].violations)
            best = k;
    return best;
}

static tsp_status put_page(const maker *m, tspi_buf *page, tsp_error *err)
{
    tspi_buf first = {0}, rest = {0};
    size_t shown = first_shown(m);
    tsp_status rc = put_main(m, &first, err);

    for (size_t k = 0; k < m->audits_n; k++)
        tspi_page_put_json(k == shown ? &first : &rest, "audit", k, &m->audits[k].part.data);
    /* The traces of what is shown first are wanted first. */
    for (size_t turn = 0; turn < m->audits_n; turn++) {
        size_t k = turn == 0 ? shown : turn <= shown ? turn - 1 : turn;
        tspi_page_put_base64(&rest, "traces", k, &m->audits[k].part.traces);
    }
    if (rc == TSP_OK)
        rc = tspi_page_write(m->title, &first, &rest, page, err);
    tspi_buf_release(&first);
    tspi_buf_release(&rest);
    return rc;
}

tsp_status report_make(const report_request *request, tspi_buf *page, tspi_buf *tracks, bool *ret_found, tsp_error *err)
{
    const tspi_mend_options *o = &request->read;
    report_inputs in = {0};
    char *title = request->title ? strdup(request->title) : report_title_of(o->paths, o->paths_n);
    maker m = {.request = request, .in = &in, .title = title, .page = page != NULL, .tracks = tracks};
    tsp_status rc = title ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");

    if (rc == TSP_OK && !request->mend)
        rc = report_inputs_sort(o->paths, o->paths_n, &in, err);
    if (rc == TSP_OK && tracks)
        rc = one_input(&in, err);
    if (rc == TSP_OK)
        rc = make_audits(&m, err);
    if (rc == TSP_OK && page)
        rc = put_page(&m, page, err);
    *ret_found = m.found;
    for (size_t k = 0; k < m.audits_n; k++) {
        report_part_release(&m.audits[k].part);
        free(m.audits[k].name);
    }
    free(m.audits);
    report_inputs_release(&in);
    free(title);
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
    tsp_status rc = report_make(request, &page, NULL, &found, err);

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
