#include "wire/wire.h"

#include <stdlib.h>

#include "wire/wire_scan.h"

static const char *const names[TSPI_FORMATS_N] = {"auto",      "otlp-proto", "otlp-proto-framed",
                                                  "otlp-json", "jaeger",     "zipkin"};

const char *tspi_format_name(enum tspi_format format)
{
    return (unsigned)format < TSPI_FORMATS_N ? names[format] : "unknown";
}

bool tspi_format_parse(const char *name, enum tspi_format *ret_format)
{
    for (unsigned k = 0; k < TSPI_FORMATS_N; k++)
        if (!strcmp(name, names[k])) {
            *ret_format = (enum tspi_format)k;
            return true;
        }
    return false;
}

void tspi_read_report_release(tspi_read_report *report)
{
    if (!report)
        return;
    for (size_t k = 0; k < report->documents_n; k++) {
        free(report->documents[k].path);
        tspi_buf_release(&report->documents[k].kept);
    }
    free(report->documents);
    *report = (tspi_read_report){0};
}

static tsp_status document_add(tspi_read_report *report, const tspi_document *document, tsp_error *err)
{
    if (report->documents_n == report->documents_cap) {
        size_t cap = report->documents_cap ? report->documents_cap * 2 : 8;
        void *bigger = realloc(report->documents, cap * sizeof *report->documents);
        if (!bigger)
            return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the list of files");
        report->documents = bigger;
        report->documents_cap = cap;
    }
    char *path = strdup(document->path);
    if (!path)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the list of files");
    report->documents[report->documents_n] = *document;
    report->documents[report->documents_n++].path = path;
    return TSP_OK;
}

/* The whole document, in its format. */
static tsp_status scan_all(tspi_scan *scan, enum tspi_format format)
{
    switch (format) {
    case TSPI_FORMAT_OTLP_JSON:
        return tspi_json_documents(scan, tspi_otlp_json_document, 0, scan->len);
    case TSPI_FORMAT_JAEGER_JSON:
        return tspi_json_documents(scan, tspi_jaeger_json_document, 0, scan->len);
    case TSPI_FORMAT_ZIPKIN_JSON:
        return tspi_json_documents(scan, tspi_zipkin_json_document, 0, scan->len);
    case TSPI_FORMAT_OTLP_PROTO:
        return tspi_otlp_proto_scan(scan, 0, scan->len);
    case TSPI_FORMAT_OTLP_PROTO_FRAMED:
        return tspi_otlp_frames_scan(scan, 0, scan->len);
    case TSPI_FORMAT_AUTO:
    case TSPI_FORMATS_N:
        break;
    }
    return tsp_error_set(scan->err, TSP_EINVAL, "%s: format %d is none", scan->name, (int)format);
}

static tsp_status choose_format(const char *name, const uint8_t *bytes, size_t len, enum tspi_format forced,
                                enum tspi_format *ret_format, tsp_error *err)
{
    *ret_format = forced;
    if (forced != TSPI_FORMAT_AUTO)
        return TSP_OK;
    tsp_status rc = tspi_wire_sniff(bytes, len, ret_format, err);
    if (rc != TSP_OK)
        tsp_error_note(err, "%s", name);
    return rc;
}

tsp_status tspi_wire_read(const char *name, const uint8_t *bytes, size_t len, const tspi_wire_options *options,
                          tspi_span_set *set, tspi_read_report *report, tsp_error *err)
{
    tspi_wire_options defaults = {0};
    enum tspi_format format;

    options = options ? options : &defaults;
    tsp_status rc = choose_format(name, bytes, len, options->format, &format, err);
    if (rc != TSP_OK)
        return rc;
    tspi_scan scan = {.name = name,
                      .base = bytes,
                      .len = len,
                      .keep_going = options->keep_going,
                      .err = err,
                      .set = set,
                      .report = report,
                      .last_trace_row = TSPI_NONE};
    size_t first = set->spans_n;
    rc = scan_all(&scan, format);
    tspi_scan_release(&scan);
    if (rc == TSP_OK && format == TSPI_FORMAT_ZIPKIN_JSON)
        rc = tspi_span_set_mark_shared(set, first, err);
    if (rc != TSP_OK)
        return rc;
    set->files++;
    set->bytes += len;
    return document_add(report,
                        &(tspi_document){.path = (char *)name,
                                         .format = format,
                                         .bytes = len,
                                         .plain_bytes = len,
                                         .first_span = first,
                                         .spans_n = set->spans_n - first},
                        err);
}

tsp_status tspi_wire_patch(const char *name, const uint8_t *bytes, size_t len, enum tspi_format format,
                           const tspi_wire_options *options, size_t first_span, tspi_stamp_edit edit, void *ctx,
                           tspi_buf *out, tsp_error *err)
{
    tsp_status rc = choose_format(name, bytes, len, format, &format, err);

    if (rc != TSP_OK)
        return rc;
    tspi_scan scan = {.name = name,
                      .base = bytes,
                      .len = len,
                      .keep_going = options && options->keep_going,
                      .patching = true,
                      .err = err,
                      .binary = format == TSPI_FORMAT_OTLP_PROTO || format == TSPI_FORMAT_OTLP_PROTO_FRAMED,
                      .micro = format == TSPI_FORMAT_JAEGER_JSON || format == TSPI_FORMAT_ZIPKIN_JSON,
                      .min_duration_us = format == TSPI_FORMAT_ZIPKIN_JSON,
                      .edit = edit,
                      .ctx = ctx,
                      .out = out,
                      .row = first_span};
    rc = scan_all(&scan, format);
    tspi_scan_release(&scan);
    if (rc != TSP_OK)
        return rc;
    tspi_buf_append(out, bytes + scan.copied, len - scan.copied);
    return tspi_buf_ok(out) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "%s: memory is exhausted", name);
}
