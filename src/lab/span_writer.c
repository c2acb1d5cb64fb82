#include "lab/span_writer.h"

#include <stdio.h>
#include <unistd.h>

#include "lab/append.h"

/* A line holds about this much, so that the resource's text is a small part and a reader's line is not huge. */
enum { LINE_BYTES = 64 * 1024 };

tsp_status tspi_span_writer_init(tspi_span_writer *writer, const char *const (*resource)[2], size_t n, tsp_error *err)
{
    *writer = (tspi_span_writer){.spans_fd = -1, .truth_fd = -1};
    tspi_buf_puts(&writer->head, "{\"resourceSpans\":[{\"resource\":{\"attributes\":[");
    for (size_t k = 0; k < n; k++) {
        tspi_lab_span row;
        tspi_lab_span_init(&row, "", TSPI_KIND_INTERNAL);
        tspi_lab_span_text(&row, resource[k][0], resource[k][1]);
        if (k)
            tspi_buf_putc(&writer->head, ',');
        tspi_span_json_attributes(&writer->head, row.attributes, row.attributes_n);
    }
    tspi_buf_puts(&writer->head, "]},\"scopeSpans\":[{\"scope\":{\"name\":\"truespan.lab\",\"version\":\"" TSP_VERSION
                                 "\"},\"spans\":[");
    return tspi_buf_ok(&writer->head) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory for a span writer");
}

static tsp_status open_file(tspi_span_writer *writer, const char *folder, const char *kind, const char *node,
                            char path[4096], int *ret_fd, tsp_error *err)
{
    if ((size_t)snprintf(path, 4096, "%s/%s/%s.jsonl", folder, kind, node) >= 4096)
        return tsp_error_set(err, TSP_EINVAL, "path too long: '%s'", folder);
    tsp_status rc = tspi_append_open(path, ret_fd, err);
    return rc == TSP_OK && writer->behind ? tspi_append_close(path, ret_fd, err) : rc;
}

tsp_status tspi_span_writer_open(tspi_span_writer *writer, const char *folder, const char *node, tsp_error *err)
{
    writer->written = 0;
    writer->path[0][0] = writer->path[1][0] = '\0';
    if (!folder || !*folder)
        return TSP_OK;
    tsp_status rc = open_file(writer, folder, "truth", node, writer->path[1], &writer->truth_fd, err);
    return rc == TSP_OK ? open_file(writer, folder, "otlp", node, writer->path[0], &writer->spans_fd, err) : rc;
}

static tsp_status write_out(tspi_span_writer *writer, int fd, const char *path, tspi_buf *buf, tsp_error *err)
{
    tsp_status rc;

    if (!tspi_buf_ok(buf))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for spans");
    if (!*path || !buf->len)
        return TSP_OK;
    if (writer->behind)
        return tspi_write_behind_put(writer->behind, path, buf, err);
    rc = tspi_append(fd, path, buf, err);
    if (rc == TSP_OK)
        tspi_buf_clear(buf);
    return rc;
}

static tsp_status flush_spans(tspi_span_writer *writer, tsp_error *err)
{
    if (writer->spans.len)
        tspi_buf_puts(&writer->spans, "]}]}]}\n");
    return write_out(writer, writer->spans_fd, writer->path[0], &writer->spans, err);
}

static tsp_status flush_truth(tspi_span_writer *writer, tsp_error *err)
{
    return write_out(writer, writer->truth_fd, writer->path[1], &writer->truth, err);
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
    tspi_span_json(out, span);
    tspi_span_truth(&writer->truth, span);
    if (!tspi_buf_ok(out))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for spans");
    tsp_status rc = out->len >= LINE_BYTES ? flush_spans(writer, err) : TSP_OK;
    return rc == TSP_OK && writer->truth.len >= LINE_BYTES ? flush_truth(writer, err) : rc;
}

tsp_status tspi_span_writer_flush(tspi_span_writer *writer, tsp_error *err)
{
    tsp_status rc = flush_spans(writer, err);
    return rc == TSP_OK ? flush_truth(writer, err) : rc;
}

tsp_status tspi_span_writer_close(tspi_span_writer *writer, tsp_error *err)
{
    tsp_status rc = tspi_span_writer_flush(writer, err);
    int *fds[] = {&writer->spans_fd, &writer->truth_fd};

    for (int k = 0; k < 2; k++) {
        tsp_status closed = tspi_append_close(writer->path[k], fds[k], rc == TSP_OK ? err : NULL);
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
