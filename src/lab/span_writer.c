#include "lab/span_writer.h"

#include <stdio.h>
#include <unistd.h>

#include "lab/append.h"
#include "lab/span_row.h"

/* A line holds about this much, so that the resource's text is a small part and a reader's line is not huge. */
enum { LINE_BYTES = 64 * 1024 };
/* So much is given away at once. Its text is some four times as long: large writes cost the kernel less a byte, and it
 * still fits into a processor's own cache. */
enum { ROWS_BYTES = 64 * 1024 };

static tsp_status write_rows(tspi_write_lane *lane, tspi_buf *rows, bool ends, tspi_buf scratch[2], tsp_error *err);

tsp_status tspi_span_writer_init(tspi_span_writer *writer, const char *const (*resource)[2], size_t n, tsp_error *err)
{
    *writer = (tspi_span_writer){.lane.write = write_rows, .spans_fd = -1, .truth_fd = -1};
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

/* ------------------------------------------------------------------ files */

static tsp_status open_file(tspi_span_writer *writer, const char *folder, const char *kind, const char *node,
                            char path[4096], int *ret_fd, tsp_error *err)
{
    if ((size_t)snprintf(path, 4096, "%s/%s/%s.jsonl", folder, kind, node) >= 4096)
        return tsp_error_set(err, TSP_EINVAL, "path too long: '%s'", folder);
    tsp_status rc = tspi_append_open(path, ret_fd, err);
    bool holds = !writer->behind || tspi_write_behind_holds_files(writer->behind);
    return rc == TSP_OK && !holds ? tspi_append_close(path, ret_fd, err) : rc;
}

static tsp_status close_files(tspi_span_writer *writer, tsp_error *err)
{
    tsp_status rc = tspi_append_close(writer->path[0], &writer->spans_fd, err);
    tsp_status closed = tspi_append_close(writer->path[1], &writer->truth_fd, rc == TSP_OK ? err : NULL);

    tspi_buf_clear(&writer->spans);
    tspi_buf_clear(&writer->truth);
    writer->line_bytes = 0;
    return rc == TSP_OK ? closed : rc;
}

tsp_status tspi_span_writer_open(tspi_span_writer *writer, const char *folder, const char *node, tsp_error *err)
{
    tspi_write_behind_finish(writer->behind, &writer->lane);
    close_files(writer, NULL); /* still open where writing behind had failed */
    tspi_buf_clear(&writer->rows);
    writer->written = 0;
    writer->is_open = false;
    if (!folder || !*folder)
        return TSP_OK;
    tsp_status rc = open_file(writer, folder, "truth", node, writer->path[1], &writer->truth_fd, err);
    if (rc == TSP_OK)
        rc = open_file(writer, folder, "otlp", node, writer->path[0], &writer->spans_fd, err);
    writer->is_open = rc == TSP_OK;
    return rc;
}

/* ------------------------------------------------------------------ text */

static tsp_status write_out(int fd, const char *path, tspi_buf *buf, tsp_error *err)
{
    if (!tspi_buf_ok(buf))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for spans");
    if (!buf->len)
        return TSP_OK;
    tsp_status rc = fd >= 0 ? tspi_append(fd, path, buf, err) : tspi_append_to(path, buf, err);
    if (rc == TSP_OK)
        tspi_buf_clear(buf);
    return rc;
}

static void end_line(tspi_span_writer *writer, tspi_buf *spans)
{
    if (writer->line_bytes)
        tspi_buf_puts(spans, "]}]}]}\n");
    writer->line_bytes = 0;
}

static void put_span(tspi_span_writer *writer, tspi_buf *spans, tspi_buf *truth, const tspi_lab_span *span)
{
    size_t begun_at = spans->len;

    if (writer->line_bytes)
        tspi_buf_putc(spans, ',');
    else
        tspi_buf_append(spans, writer->head.data, writer->head.len);
    tspi_span_json(spans, span, &writer->digits);
    tspi_span_truth(truth, span, &writer->digits);
    writer->line_bytes += spans->len - begun_at;
    if (writer->line_bytes >= LINE_BYTES)
        end_line(writer, spans);
}

static tsp_status write_spans(tspi_span_writer *writer, tspi_buf *spans, tsp_error *err)
{
    return write_out(writer->spans_fd, writer->path[0], spans, err);
}

static tsp_status write_truth(tspi_span_writer *writer, tspi_buf *truth, tsp_error *err)
{
    return write_out(writer->truth_fd, writer->path[1], truth, err);
}

static tsp_status end_files(tspi_span_writer *writer, tspi_buf *spans, tspi_buf *truth, tsp_error *err)
{
    end_line(writer, spans);
    tsp_status rc = write_spans(writer, spans, err);
    if (rc == TSP_OK)
        rc = write_truth(writer, truth, err);
    tsp_status closed = close_files(writer, rc == TSP_OK ? err : NULL);
    return rc == TSP_OK ? closed : rc;
}

/* Where the lines break does not depend on where the chunks did. */
static tsp_status write_rows(tspi_write_lane *lane, tspi_buf *rows, bool ends, tspi_buf scratch[2], tsp_error *err)
{
    tspi_span_writer *writer = (tspi_span_writer *)lane;
    const tspi_lab_span *span;

    for (size_t at = 0; (span = tspi_span_row_next(rows, &at));)
        put_span(writer, &scratch[0], &scratch[1], span);
    if (ends)
        return end_files(writer, &scratch[0], &scratch[1], err);
    tsp_status rc = write_spans(writer, &scratch[0], err);
    return rc == TSP_OK ? write_truth(writer, &scratch[1], err) : rc;
}

/* Whole lines, and the truth by as much. */
static tsp_status write_now(tspi_span_writer *writer, const tspi_lab_span *span, tsp_error *err)
{
    put_span(writer, &writer->spans, &writer->truth, span);
    bool failed = !tspi_buf_ok(&writer->spans);
    tsp_status rc = !writer->line_bytes || failed ? write_spans(writer, &writer->spans, err) : TSP_OK;
    return rc == TSP_OK && writer->truth.len >= LINE_BYTES ? write_truth(writer, &writer->truth, err) : rc;
}

/* ------------------------------------------------------------------ spans */

static tsp_status give_rows(tspi_span_writer *writer, bool ends, tsp_error *err)
{
    if (!tspi_buf_ok(&writer->rows))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for spans");
    return tspi_write_behind_give(writer->behind, &writer->lane, &writer->rows, ends, err);
}

tsp_status tspi_span_writer_add(tspi_span_writer *writer, const tspi_lab_span *span, tsp_error *err)
{
    writer->written++;
    if (!writer->is_open)
        return TSP_OK;
    if (!writer->behind)
        return write_now(writer, span, err);
    tspi_span_row_keep(&writer->rows, span);
    return writer->rows.len >= ROWS_BYTES || !tspi_buf_ok(&writer->rows) ? give_rows(writer, false, err) : TSP_OK;
}

tsp_status tspi_span_writer_close(tspi_span_writer *writer, tsp_error *err)
{
    bool was_open = writer->is_open;

    writer->is_open = false;
    if (!was_open)
        return close_files(writer, err);
    return writer->behind ? give_rows(writer, true, err) : end_files(writer, &writer->spans, &writer->truth, err);
}

void tspi_span_writer_release(tspi_span_writer *writer)
{
    tspi_write_behind_finish(writer->behind, &writer->lane);
    close_files(writer, NULL);
    tspi_buf_release(&writer->rows);
    tspi_buf_release(&writer->head);
    tspi_buf_release(&writer->spans);
    tspi_buf_release(&writer->truth);
}
