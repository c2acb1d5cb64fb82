#include "lab/span_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A line holds about this much, so that the resource's text is a small part and a reader's line is not huge. */
enum { LINE_BYTES = 64 * 1024 };

static void put_decimal(tspi_buf *buf, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do
        digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        digits[--at] = '-';
    tspi_buf_append(buf, digits + at, sizeof digits - at);
}

static void put_id(tspi_buf *buf, uint64_t id)
{
    uint8_t bytes[8];
    char text[16];

    for (int k = 0; k < 8; k++)
        bytes[k] = (uint8_t)(id >> (56 - 8 * k));
    tspi_hex_write(bytes, 8, text);
    tspi_buf_append(buf, text, sizeof text);
}

static void put_attribute(tspi_buf *buf, const tspi_span_attribute *attribute)
{
    tspi_buf_puts(buf, "{\"key\":\"");
    tspi_buf_puts(buf, attribute->key);
    if (attribute->text) {
        tspi_buf_puts(buf, "\",\"value\":{\"stringValue\":");
        tspi_buf_json_string(buf, attribute->text, strlen(attribute->text));
        tspi_buf_puts(buf, "}}");
    } else if (attribute->is_real)
        tspi_buf_printf(buf, "\",\"value\":{\"doubleValue\":%.9g}}", attribute->real);
    else {
        tspi_buf_puts(buf, "\",\"value\":{\"intValue\":\"");
        put_decimal(buf, attribute->integer);
        tspi_buf_puts(buf, "\"}}");
    }
}

tsp_status tspi_span_writer_init(tspi_span_writer *writer, const char *const (*resource)[2], size_t n, tsp_error *err)
{
    *writer = (tspi_span_writer){.spans_fd = -1, .truth_fd = -1};
    tspi_buf_puts(&writer->head, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    for (size_t k = 0; k < n; k++) {
        tspi_span_attribute attribute = {.key = resource[k][0], .text = resource[k][1]};
        if (k)
            tspi_buf_putc(&writer->head, ',');
        put_attribute(&writer->head, &attribute);
    }
    tspi_buf_puts(&writer->head, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"truespan.lab\",\"version\":\"" TSP_VERSION
                                 "\"},\"spans\":[");
    return tspi_buf_ok(&writer->head) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory for a span writer");
}

static tsp_status open_append(tspi_span_writer *writer, const char *folder, const char *kind, const char *node,
                              int *ret_fd, tsp_error *err)
{
    if ((size_t)snprintf(writer->path, sizeof writer->path, "%s/%s/%s.jsonl", folder, kind, node) >=
        sizeof writer->path)
        return tsp_error_set(err, TSP_EINVAL, "path too long: '%s'", folder);
    *ret_fd = open(writer->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return *ret_fd < 0 ? tsp_error_sys(err, errno, "cannot open '%s'", writer->path) : TSP_OK;
}

tsp_status tspi_span_writer_open(tspi_span_writer *writer, const char *folder, const char *node, tsp_error *err)
{
    writer->written = 0;
    if (!folder || !*folder)
        return TSP_OK;
    tsp_status rc = open_append(writer, folder, "truth", node, &writer->truth_fd, err);
    return rc == TSP_OK ? open_append(writer, folder, "otlp", node, &writer->spans_fd, err) : rc;
}

static void put_truth(tspi_buf *truth, const tspi_lab_span *span)
{
    tspi_buf_puts(truth, "{\"span_id\":\"");
    put_id(truth, span->span_id);
    tspi_buf_puts(truth, "\",\"start\":\"");
    put_decimal(truth, span->start.true_ns);
    tspi_buf_puts(truth, "\",\"end\":\"");
    put_decimal(truth, span->end.true_ns);
    tspi_buf_puts(truth, "\",\"start_offset_ns\":");
    put_decimal(truth, span->start.local_ns - span->start.true_ns - span->start.late_ns);
    if (span->start.late_ns) {
        tspi_buf_puts(truth, ",\"start_late_ns\":");
        put_decimal(truth, span->start.late_ns);
    }
    tspi_buf_puts(truth, "}\n");
}

tsp_status tspi_span_writer_add(tspi_span_writer *writer, const tspi_lab_span *span, tsp_error *err)
{
    tspi_buf *out = &writer->spans;
    char trace_id[32];

    if (!out->len)
        tspi_buf_append(out, writer->head.data, writer->head.len);
    else
        tspi_buf_putc(out, ',');
    tspi_hex_write(span->trace_id, 16, trace_id);
    tspi_buf_puts(out, "{\"traceId\":\"");
    tspi_buf_append(out, trace_id, sizeof trace_id);
    tspi_buf_puts(out, "\",\"spanId\":\"");
    put_id(out, span->span_id);
    if (span->parent_id) {
        tspi_buf_puts(out, "\",\"parentSpanId\":\"");
        put_id(out, span->parent_id);
        /* flags: W3C sampled, "is_remote is known", and whether the parent is remote (trace.proto, SpanFlags) */
        tspi_buf_puts(out, span->parent_is_remote ? "\",\"flags\":769" : "\",\"flags\":257");
    } else
        tspi_buf_puts(out, "\",\"flags\":257");
    tspi_buf_puts(out, ",\"name\":");
    tspi_buf_json_string(out, span->name, strlen(span->name));
    tspi_buf_puts(out, ",\"kind\":");
    put_decimal(out, span->kind);
    tspi_buf_puts(out, ",\"startTimeUnixNano\":\"");
    put_decimal(out, span->start.local_ns);
    tspi_buf_puts(out, "\",\"endTimeUnixNano\":\"");
    put_decimal(out, span->end.local_ns);
    tspi_buf_puts(out, "\",\"attributes\":[");
    for (uint32_t k = 0; k < span->attributes_n; k++) {
        if (k)
            tspi_buf_putc(out, ',');
        put_attribute(out, &span->attributes[k]);
    }
    tspi_buf_puts(out, "],\"status\":{}}");
    if (writer->truth_fd >= 0)
        put_truth(&writer->truth, span);
    writer->written++;
    return out->len >= LINE_BYTES ? tspi_span_writer_flush(writer, err) : TSP_OK;
}

static tsp_status write_out(tspi_span_writer *writer, int fd, tspi_buf *buf, tsp_error *err)
{
    size_t done = 0;

    if (!tspi_buf_ok(buf))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for spans");
    while (fd >= 0 && done < buf->len) {
        ssize_t n = write(fd, buf->data + done, buf->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tsp_error_sys(err, errno, "cannot write '%s'", writer->path);
        done += (size_t)n;
    }
    tspi_buf_clear(buf);
    return TSP_OK;
}

tsp_status tspi_span_writer_flush(tspi_span_writer *writer, tsp_error *err)
{
    if (writer->spans.len)
        tspi_buf_puts(&writer->spans, "]}]}]}\n");
    tsp_status rc = write_out(writer, writer->spans_fd, &writer->spans, err);
    return rc == TSP_OK ? write_out(writer, writer->truth_fd, &writer->truth, err) : rc;
}

tsp_status tspi_span_writer_close(tspi_span_writer *writer, tsp_error *err)
{
    tsp_status rc = tspi_span_writer_flush(writer, err);
    int *fds[] = {&writer->spans_fd, &writer->truth_fd};

    for (int k = 0; k < 2; k++) {
        if (*fds[k] >= 0 && close(*fds[k]) != 0 && rc == TSP_OK)
            rc = tsp_error_sys(err, errno, "cannot write '%s'", writer->path);
        *fds[k] = -1;
    }
    return rc;
}

void tspi_span_writer_release(tspi_span_writer *writer)
{
    if (writer->spans_fd >= 0)
        close(writer->spans_fd);
    if (writer->truth_fd >= 0)
        close(writer->truth_fd);
    tspi_buf_release(&writer->head);
    tspi_buf_release(&writer->spans);
    tspi_buf_release(&writer->truth);
}
