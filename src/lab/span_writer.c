#include "lab/span_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A line holds about this much, so that the resource's text is a small part and a reader's line is not huge. */
enum { LINE_BYTES = 64 * 1024 };

/* More bytes than all of a span's fixed text, numbers and ids, in the trace or in the truth; attributes' texts come on
 * top. */
enum { SPAN_BYTES = 1024, ATTRIBUTE_BYTES = 96 };

/* Writing goes straight into room that was made beforehand: a simulated node writes a million spans a second. */
#define PUT(at, text) put_bytes(at, text, sizeof(text) - 1)

static inline uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

static uint8_t *put_decimal(uint8_t *at, int64_t value)
{
    uint8_t digits[24];
    size_t first = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do
        digits[--first] = (uint8_t)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0)
        digits[--first] = '-';
    return put_bytes(at, digits + first, sizeof digits - first);
}

static uint8_t *put_id(uint8_t *at, uint64_t id)
{
    static const char hex[] = "0123456789abcdef";

    for (int shift = 60; shift >= 0; shift -= 4)
        *at++ = (uint8_t)hex[id >> shift & 15];
    return at;
}

static bool is_plain(const char *text, size_t len)
{
    for (size_t k = 0; k < len; k++)
        if ((uint8_t)text[k] < 0x20 || (uint8_t)text[k] >= 0x7f || text[k] == '"' || text[k] == '\\')
            return false;
    return true;
}

/* A JSON string. at: the end of buf, which has room for more; returns its new end, or NULL when memory is exhausted. */
static uint8_t *put_text(tspi_buf *buf, uint8_t *at, const char *text, size_t more)
{
    size_t len = strlen(text);

    if (is_plain(text, len)) {
        buf->len = (size_t)(at - buf->data);
        if (buf->cap - buf->len < len + more && !tspi_buf_reserve(buf, len + more))
            return NULL;
        at = buf->data + buf->len;
        *at++ = '"';
        at = put_bytes(at, text, len);
        *at++ = '"';
        return at;
    }
    buf->len = (size_t)(at - buf->data);
    tspi_buf_json_string(buf, text, len);
    return tspi_buf_reserve(buf, more) ? buf->data + buf->len : NULL;
}

/* Likewise; more: room that the rest of the span needs. */
static uint8_t *put_attribute(tspi_buf *buf, uint8_t *at, const tspi_span_attribute *attribute, size_t more)
{
    at = PUT(at, "{\"key\":");
    at = put_text(buf, at, attribute->key, more + ATTRIBUTE_BYTES);
    if (at && attribute->text) {
        at = PUT(at, ",\"value\":{\"stringValue\":");
        at = put_text(buf, at, attribute->text, more + ATTRIBUTE_BYTES);
        return at ? PUT(at, "}}") : NULL;
    }
    if (at && attribute->is_real) {
        char number[40];
        int len = snprintf(number, sizeof number, "%.9g", attribute->real);
        at = PUT(at, ",\"value\":{\"doubleValue\":");
        at = put_bytes(at, number, (size_t)len);
        return PUT(at, "}}");
    }
    if (at) {
        at = PUT(at, ",\"value\":{\"intValue\":\"");
        at = put_decimal(at, attribute->integer);
        at = PUT(at, "\"}}");
    }
    return at;
}

tsp_status tspi_span_writer_init(tspi_span_writer *writer, const char *const (*resource)[2], size_t n, tsp_error *err)
{
    *writer = (tspi_span_writer){.spans_fd = -1, .truth_fd = -1};
    tspi_buf_puts(&writer->head, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    for (size_t k = 0; k < n; k++) {
        tspi_span_attribute attribute = {.key = resource[k][0], .text = resource[k][1]};
        if (k)
            tspi_buf_putc(&writer->head, ',');
        if (!tspi_buf_reserve(&writer->head, SPAN_BYTES))
            break;
        uint8_t *at = put_attribute(&writer->head, writer->head.data + writer->head.len, &attribute, SPAN_BYTES);
        if (at)
            writer->head.len = (size_t)(at - writer->head.data);
    }
    tspi_buf_puts(&writer->head, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"truespan.lab\",\"version\":\"" TSP_VERSION
                                 "\"},\"spans\":[");
    return tspi_buf_ok(&writer->head) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory for a span writer");
}

static tsp_status open_file(const char *path, int *ret_fd, tsp_error *err)
{
    *ret_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return *ret_fd < 0 ? tsp_error_sys(err, errno, "cannot open '%s'", path) : TSP_OK;
}

static tsp_status close_file(const char *path, int *fd, tsp_error *err)
{
    int failed = *fd >= 0 ? close(*fd) : 0;

    *fd = -1;
    return failed ? tsp_error_sys(err, errno, "cannot write '%s'", path) : TSP_OK;
}

static tsp_status open_append(tspi_span_writer *writer, const char *folder, const char *kind, const char *node,
                              char path[4096], int *ret_fd, tsp_error *err)
{
    if ((size_t)snprintf(path, 4096, "%s/%s/%s.jsonl", folder, kind, node) >= 4096)
        return tsp_error_set(err, TSP_EINVAL, "path too long: '%s'", folder);
    tsp_status rc = open_file(path, ret_fd, err);
    return rc == TSP_OK && writer->opens_late ? close_file(path, ret_fd, err) : rc;
}

tsp_status tspi_span_writer_open(tspi_span_writer *writer, const char *folder, const char *node, tsp_error *err)
{
    writer->written = 0;
    writer->path[0][0] = writer->path[1][0] = '\0';
    if (!folder || !*folder)
        return TSP_OK;
    tsp_status rc = open_append(writer, folder, "truth", node, writer->path[1], &writer->truth_fd, err);
    return rc == TSP_OK ? open_append(writer, folder, "otlp", node, writer->path[0], &writer->spans_fd, err) : rc;
}

static void put_truth(tspi_buf *truth, const tspi_lab_span *span)
{
    if (!tspi_buf_reserve(truth, SPAN_BYTES))
        return;
    uint8_t *at = truth->data + truth->len;
    at = PUT(at, "{\"span_id\":\"");
    at = put_id(at, span->span_id);
    at = PUT(at, "\",\"start\":\"");
    at = put_decimal(at, span->start.true_ns);
    at = PUT(at, "\",\"end\":\"");
    at = put_decimal(at, span->end.true_ns);
    at = PUT(at, "\",\"start_offset_ns\":");
    at = put_decimal(at, span->start.local_ns - span->start.true_ns - span->start.late_ns);
    if (span->start.late_ns) {
        at = PUT(at, ",\"start_late_ns\":");
        at = put_decimal(at, span->start.late_ns);
    }
    at = PUT(at, "}\n");
    truth->len = (size_t)(at - truth->data);
}

static uint8_t *put_ids(uint8_t *at, const tspi_lab_span *span)
{
    char trace_id[32];

    tspi_hex_write(span->trace_id, 16, trace_id);
    at = PUT(at, "{\"traceId\":\"");
    at = put_bytes(at, trace_id, sizeof trace_id);
    at = PUT(at, "\",\"spanId\":\"");
    at = put_id(at, span->span_id);
    if (!span->parent_id)
        return PUT(at, "\",\"flags\":257");
    at = PUT(at, "\",\"parentSpanId\":\"");
    at = put_id(at, span->parent_id);
    /* flags: W3C sampled, "is_remote is known", and whether the parent is remote (trace.proto, SpanFlags) */
    return span->parent_is_remote ? PUT(at, "\",\"flags\":769") : PUT(at, "\",\"flags\":257");
}

static uint8_t *put_links(tspi_buf *out, uint8_t *at, const tspi_lab_span *span)
{
    char trace_id[32];

    at = PUT(at, ",\"links\":[");
    for (uint32_t k = 0; k < span->links_n; k++) {
        out->len = (size_t)(at - out->data);
        if (!tspi_buf_reserve(out, SPAN_BYTES))
            return NULL;
        at = out->data + out->len;
        tspi_hex_write(span->links[k].trace_id, 16, trace_id);
        if (k)
            *at++ = ',';
        at = PUT(at, "{\"traceId\":\"");
        at = put_bytes(at, trace_id, sizeof trace_id);
        at = PUT(at, "\",\"spanId\":\"");
        at = put_id(at, span->links[k].span_id);
        at = PUT(at, "\"}");
    }
    return PUT(at, "]");
}

/* Returns the new end of out, or NULL when memory is exhausted. */
static uint8_t *put_span(tspi_buf *out, uint8_t *at, const tspi_lab_span *span)
{
    at = put_ids(at, span);
    at = PUT(at, ",\"name\":");
    at = put_text(out, at, span->name, SPAN_BYTES);
    if (!at)
        return NULL;
    at = PUT(at, ",\"kind\":");
    at = put_decimal(at, span->kind);
    at = PUT(at, ",\"startTimeUnixNano\":\"");
    at = put_decimal(at, span->start.local_ns);
    at = PUT(at, "\",\"endTimeUnixNano\":\"");
    at = put_decimal(at, span->end.local_ns);
    at = PUT(at, "\",\"attributes\":[");
    for (uint32_t k = 0; k < span->attributes_n && at; k++) {
        if (k)
            *at++ = ',';
        at = put_attribute(out, at, &span->attributes[k], SPAN_BYTES);
    }
    if (at)
        *at++ = ']';
    if (at && span->links_n)
        at = put_links(out, at, span);
    return at ? PUT(at, ",\"status\":{}}") : NULL;
}

tsp_status tspi_span_writer_add(tspi_span_writer *writer, const tspi_lab_span *span, tsp_error *err)
{
    tspi_buf *out = &writer->spans;

    writer->written++;
    if (!writer->path[0][0])
        return TSP_OK;
    if (!out->len)
        tspi_buf_append(out, writer->head.data, writer->head.len);
    else
        tspi_buf_putc(out, ',');
    uint8_t *at = tspi_buf_reserve(out, SPAN_BYTES) ? put_span(out, out->data + out->len, span) : NULL;
    if (!at)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for spans");
    out->len = (size_t)(at - out->data);
    put_truth(&writer->truth, span);
    return out->len >= LINE_BYTES ? tspi_span_writer_flush(writer, err) : TSP_OK;
}

static tsp_status write_all(int fd, const char *path, const tspi_buf *buf, tsp_error *err)
{
    size_t done = 0;

    while (done < buf->len) {
        ssize_t n = write(fd, buf->data + done, buf->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tsp_error_sys(err, errno, "cannot write '%s'", path);
        done += (size_t)n;
    }
    return TSP_OK;
}

static tsp_status write_out(tspi_span_writer *writer, int *fd, const char *path, tspi_buf *buf, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    if (!tspi_buf_ok(buf))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for spans");
    if (!*path || !buf->len)
        return TSP_OK;
    if (writer->opens_late)
        rc = open_file(path, fd, err);
    if (rc == TSP_OK)
        rc = write_all(*fd, path, buf, err);
    if (writer->opens_late) {
        tsp_status closed = close_file(path, fd, rc == TSP_OK ? err : NULL);
        rc = rc == TSP_OK ? closed : rc;
    }
    if (rc == TSP_OK)
        tspi_buf_clear(buf);
    return rc;
}

tsp_status tspi_span_writer_flush(tspi_span_writer *writer, tsp_error *err)
{
    if (writer->spans.len)
        tspi_buf_puts(&writer->spans, "]}]}]}\n");
    tsp_status rc = write_out(writer, &writer->spans_fd, writer->path[0], &writer->spans, err);
    return rc == TSP_OK ? write_out(writer, &writer->truth_fd, writer->path[1], &writer->truth, err) : rc;
}

tsp_status tspi_span_writer_close(tspi_span_writer *writer, tsp_error *err)
{
    tsp_status rc = tspi_span_writer_flush(writer, err);
    int *fds[] = {&writer->spans_fd, &writer->truth_fd};

    for (int k = 0; k < 2; k++) {
        tsp_status closed = close_file(writer->path[k], fds[k], rc == TSP_OK ? err : NULL);
        rc = rc == TSP_OK ? closed : rc;
    }
    tspi_buf_clear(&writer->spans);
    tspi_buf_clear(&writer->truth);
    writer->path[0][0] = writer->path[1][0] = '\0';
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
