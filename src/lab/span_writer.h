/* A node's spans as OTLP JSON lines (one ExportTraceServiceRequest a line, as a Collector's file exporter writes them),
 * and beside them the truth: the true time of every stamp, which no analysis reads. */
#ifndef TSPI_LAB_SPAN_WRITER_H
#define TSPI_LAB_SPAN_WRITER_H

#include "lab/span_json.h"
#include "lab/write_behind.h"

typedef struct {
    tspi_buf head, spans, truth; /* head: everything of a line before its first span */
    int spans_fd, truth_fd;      /* -1: what is added is counted and dropped */
    tspi_write_behind *behind; /* set before open, borrowed: it writes, and files are not held open, for one process of
                                  many nodes; NULL: what is written is in the file at once */
    char path[2][4096];        /* of the spans and of the truth; "" = nowhere */
    uint64_t written;          /* spans since open */
} tspi_span_writer;

/* resource: n pairs of key and value, written with every line; borrowed for the call. */
tsp_status tspi_span_writer_init(tspi_span_writer *writer, const char *const (*resource)[2], size_t n, tsp_error *err);
/* Open FOLDER/otlp/NODE.jsonl and FOLDER/truth/NODE.jsonl for appending; folder NULL or "" drops what is written. */
tsp_status tspi_span_writer_open(tspi_span_writer *writer, const char *folder, const char *node, tsp_error *err);
tsp_status tspi_span_writer_add(tspi_span_writer *writer, const tspi_lab_span *span, tsp_error *err);
/* Write out what is held back. */
tsp_status tspi_span_writer_flush(tspi_span_writer *writer, tsp_error *err);
tsp_status tspi_span_writer_close(tspi_span_writer *writer, tsp_error *err);
void tspi_span_writer_release(tspi_span_writer *writer);

#endif
