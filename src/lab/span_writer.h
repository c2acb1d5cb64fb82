/* A node's spans as OTLP JSON lines (one ExportTraceServiceRequest a line, as a Collector's file exporter writes them),
 * and beside them the truth: the true time of every stamp, which no analysis reads. */
#ifndef TSPI_LAB_SPAN_WRITER_H
#define TSPI_LAB_SPAN_WRITER_H

#include "lab/span_json.h"
#include "lab/write_behind.h"

typedef struct {
    tspi_write_lane lane;      /* first: what is written behind gets a pointer to it */
    tspi_write_behind *behind; /* set before open, borrowed: it makes the text and writes it, for one process of many
                                  nodes; NULL: what is written is in the file at once */
    tspi_buf rows;             /* for it: spans it was not given yet */
    tspi_buf head;             /* everything of a line before its first span */
    tspi_buf spans, truth;     /* text that is not written yet, where nothing is written behind */
    tspi_span_digits digits;
    size_t line_bytes;      /* of the line under way; 0: the next span begins one */
    int spans_fd, truth_fd; /* -1: opened for each write */
    char path[2][4096];     /* of the spans and of the truth */
    bool is_open;           /* else what is added is counted and dropped */
    uint64_t written;       /* spans since open */
} tspi_span_writer;

/* resource: n pairs of key and value, written with every line; borrowed for the call. */
tsp_status tspi_span_writer_init(tspi_span_writer *writer, const char *const (*resource)[2], size_t n, tsp_error *err);
/* Open FOLDER/otlp/NODE.jsonl and FOLDER/truth/NODE.jsonl for appending; folder NULL or "" drops what is written. */
tsp_status tspi_span_writer_open(tspi_span_writer *writer, const char *folder, const char *node, tsp_error *err);
/* span's sort lives as long as the writer, where that writes behind. */
tsp_status tspi_span_writer_add(tspi_span_writer *writer, const tspi_lab_span *span, tsp_error *err);
/* Write out what is held back. Behind: once that is drained, and what fails is told then. */
tsp_status tspi_span_writer_close(tspi_span_writer *writer, tsp_error *err);
/* Behind: waits for what is not written yet. */
void tspi_span_writer_release(tspi_span_writer *writer);

#endif
