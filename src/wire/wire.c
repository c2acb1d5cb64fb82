#include "wire/wire.h"

#include <stdlib.h>

#include "wire/wire_parallel.h"

enum { CHUNK_BYTES = 4 << 20 }; /* long enough to hide a thread's start, short enough for many */

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
        tspi_mapped_close(&report->documents[k].map);
        free(report->documents[k].large);
    }
    free(report->documents);
    free(report->large);
    *report = (tspi_read_report){0};
}

tsp_status tspi_report_document(tspi_read_report *report, const tspi_document *document, tsp_error *err)
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
    report->documents[report->documents_n].path = path;
    if (report->large_n) {
        report->documents[report->documents_n].large = report->large;
        report->documents[report->documents_n].large_n = report->large_n;
        report->large = NULL;
        report->large_n = report->large_cap = 0;
    }
    report->documents_n++;
    return TSP_OK;
}

void tspi_report_resources(tspi_read_report *report, const tspi_large_resource *large, size_t n)
{
    if (report->large_n + n > report->large_cap) {
        size_t cap = 2 * report->large_cap + n + 64;
        void *bigger = realloc(report->large, cap * sizeof *large);
        if (!bigger)
            return;
        report->large = bigger;
        report->large_cap = cap;
    }
    if (n)
        memcpy(report->large + report->large_n, large, n * sizeof *large);
    report->large_n += n;
}

tsp_status tspi_report_append(tspi_read_report *report, tspi_read_report *take_part, size_t first_span, tsp_error *err)
{
    for (size_t k = 0; k < take_part->documents_n; k++) {
        tspi_document *document = &take_part->documents[k];
        document->first_span += first_span;
        tsp_status rc = tspi_report_document(report, document, err);
        if (rc != TSP_OK)
            return rc;
        document->kept = (tspi_buf){0}; /* they went with the copy */
        document->map = (tspi_mapped){0};
        document->large = NULL;
    }
    report->spans += take_part->spans;
    report->invalid_ids += take_part->invalid_ids;
    report->bad_spans += take_part->bad_spans;
    report->bad_parts += take_part->bad_parts;
    report->bad_stretches += take_part->bad_stretches;
    report->bad_bytes += take_part->bad_bytes;
    report->passed_over += take_part->passed_over;
    if (!report->first_problem[0])
        memcpy(report->first_problem, take_part->first_problem, sizeof report->first_problem);
    return TSP_OK;
}

tsp_status tspi_scan_range(tspi_scan *scan, enum tspi_format format, bool elements, size_t from, size_t to)
{
    switch (format) {
    case TSPI_FORMAT_OTLP_JSON:
        return elements ? tspi_json_elements(scan, tspi_otlp_json_element, from, to)
                        : tspi_json_documents(scan, tspi_otlp_json_document, from, to);
    case TSPI_FORMAT_JAEGER_JSON:
        return elements ? tspi_json_elements(scan, tspi_jaeger_json_element, from, to)
                        : tspi_json_documents(scan, tspi_jaeger_json_document, from, to);
    case TSPI_FORMAT_ZIPKIN_JSON:
        return elements ? tspi_json_elements(scan, tspi_zipkin_json_element, from, to)
                        : tspi_json_documents(scan, tspi_zipkin_json_document, from, to);
    case TSPI_FORMAT_OTLP_PROTO:
        return tspi_otlp_proto_scan(scan, from, to);
    case TSPI_FORMAT_OTLP_PROTO_FRAMED:
        return tspi_otlp_frames_scan(scan, from, to);
    case TSPI_FORMAT_AUTO:
    case TSPI_FORMATS_N:
        break;
    }
    return tsp_error_set(scan->err, TSP_EINVAL, "%s: format %d is none", scan->name, (int)format);
}

tsp_status tspi_scan_all(tspi_scan *scan, enum tspi_format format, const tspi_wire_options *options)
{
    size_t chunk_bytes = options->chunk_bytes ? options->chunk_bytes : CHUNK_BYTES;
    unsigned threads = scan->len < 2 * chunk_bytes ? 1 : tspi_threads_wanted(options);
    bool done = false;

    if (threads > 1) {
        tspi_cuts cuts;
        tspi_cuts_find(scan->base, scan->len, format, chunk_bytes, &cuts);
        if (cuts.n > 2)
            done = tspi_read_in_pieces(scan, format, &cuts, threads);
        free(cuts.at);
    }
    return done ? TSP_OK : tspi_scan_range(scan, format, false, 0, scan->len);
}

tsp_status tspi_scan_choose(const char *name, const uint8_t *bytes, size_t len, enum tspi_format forced,
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

/* A forced format that found nothing where the bytes look like another one: no answer is better than "no violation". */
static tsp_status refuse_forced(const char *name, const uint8_t *bytes, size_t len, const tspi_wire_options *options,
                                tsp_error *err)
{
    enum tspi_format format;
    tsp_error ignored = {0};

    if (options->format == TSPI_FORMAT_AUTO || options->keep_going ||
        tspi_wire_sniff(bytes, len, &format, &ignored) != TSP_OK || format == options->format)
        return TSP_OK;
    return tsp_error_set(err, TSP_EPARSE,
                         "%s: byte 0: no span of --format %s is in it; it looks like %s: leave --format out", name,
                         tspi_format_name(options->format), tspi_format_name(format));
}

tsp_status tspi_wire_read(const char *name, const uint8_t *bytes, size_t len, const tspi_wire_options *options,
                          tspi_span_set *set, tspi_read_report *report, tsp_error *err)
{
    tspi_wire_options defaults = {0};
    enum tspi_format format;

    options = options ? options : &defaults;
    bytes = bytes ? bytes : (const uint8_t *)"";
    tsp_status rc = tspi_scan_choose(name, bytes, len, options->format, &format, err);
    if (rc != TSP_OK)
        return rc;
    tspi_scan scan = {.name = name,
                      .base = bytes,
                      .len = len,
                      .keep_going = options->keep_going,
                      .err = err,
                      .set = set,
                      .report = report};
    size_t first = set->spans_n, invalid = report->invalid_ids;

    report->large_n = 0;
    rc = tspi_scan_all(&scan, format, options);
    tspi_scan_release(&scan);
    if (rc == TSP_OK && set->spans_n - first <= report->invalid_ids - invalid)
        rc = refuse_forced(name, bytes, len, options, err);
    if (rc == TSP_OK && format == TSPI_FORMAT_ZIPKIN_JSON)
        rc = tspi_span_set_mark_shared(set, first, err);
    if (rc != TSP_OK)
        return rc;
    set->files++;
    set->bytes += len;
    return tspi_report_document(report,
                                &(tspi_document){.path = (char *)name,
                                                 .format = format,
                                                 .bytes = len,
                                                 .plain_bytes = len,
                                                 .first_span = first,
                                                 .spans_n = set->spans_n - first},
                                err);
}

/* drain: NULL to keep everything in out. */
static tsp_status patch(const char *name, const uint8_t *bytes, size_t len, enum tspi_format format,
                        const tspi_wire_options *options, size_t first_span, tspi_stamp_edit edit, void *ctx,
                        tspi_drain drain, void *drain_ctx, tspi_buf *out, tsp_error *err)
{
    bytes = bytes ? bytes : (const uint8_t *)"";
    tsp_status rc = tspi_scan_choose(name, bytes, len, format, &format, err);

    if (rc != TSP_OK)
        return rc;
    bool binary = format == TSPI_FORMAT_OTLP_PROTO || format == TSPI_FORMAT_OTLP_PROTO_FRAMED;
    tspi_scan scan = {.name = name,
                      .base = bytes,
                      .len = len,
                      .keep_going = options && options->keep_going,
                      .patching = true,
                      .err = err,
                      .binary = binary,
                      .micro = format == TSPI_FORMAT_JAEGER_JSON || format == TSPI_FORMAT_ZIPKIN_JSON,
                      .min_duration_us = format == TSPI_FORMAT_ZIPKIN_JSON,
                      .edit = edit,
                      .ctx = ctx,
                      .out = out,
                      .drain = drain,
                      .drain_ctx = drain_ctx,
                      .still = options && !options->keep_going ? options->still : NULL,
                      .large = options ? options->large : NULL,
                      .large_n = options ? options->large_n : 0,
                      .row = first_span};
    if (!scan.drain && !tspi_buf_reserve(out, len + len / 64)) /* a few digits more, at most */
        return tspi_scan_no_memory(&scan);
    rc = tspi_scan_range(&scan, format, false, 0, len);
    tspi_scan_release(&scan);
    rc = rc == TSP_OK ? scan.drained : rc;
    if (rc != TSP_OK)
        return rc;
    if (drain) {
        tspi_scan_stays(&scan, len);
        return tspi_scan_flush(&scan);
    }
    tspi_scan_copy(&scan, len);
    return tspi_buf_ok(out) ? TSP_OK : tspi_scan_no_memory(&scan);
}

tsp_status tspi_wire_patch(const char *name, const uint8_t *bytes, size_t len, enum tspi_format format,
                           const tspi_wire_options *options, size_t first_span, tspi_stamp_edit edit, void *ctx,
                           tspi_buf *out, tsp_error *err)
{
    return patch(name, bytes, len, format, options, first_span, edit, ctx, NULL, NULL, out, err);
}

tsp_status tspi_wire_patch_drain(const char *name, const uint8_t *bytes, size_t len, enum tspi_format format,
                                 const tspi_wire_options *options, size_t first_span, tspi_stamp_edit edit, void *ctx,
                                 tspi_drain drain, void *drain_ctx, tsp_error *err)
{
    tspi_buf out = {0};
    tsp_status rc = patch(name, bytes, len, format, options, first_span, edit, ctx, drain, drain_ctx, &out, err);

    tspi_buf_release(&out);
    return rc;
}
