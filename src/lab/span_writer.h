/* A node's spans as OTLP JSON lines (one ExportTraceServiceRequest a line, as a Collector's file exporter writes them),
 * and beside them the truth: the true time of every stamp, which no analysis reads. */
#ifndef TSPI_LAB_SPAN_WRITER_H
#define TSPI_LAB_SPAN_WRITER_H

#include "base/buf.h"
#include "clock/clock_model.h"
#include "lab/traceparent.h"
#include "span/span.h"

enum { TSPI_SPAN_ATTRIBUTES_MAX = 12 };

typedef struct {
    const char *key;  /* borrowed */
    const char *text; /* borrowed; NULL = integer, or real when is_real */
    int64_t integer;
    double real;
    bool is_real;
} tspi_span_attribute;

typedef struct {
    uint8_t trace_id[16];
    uint64_t span_id;
} tspi_span_link;

typedef struct {
    uint8_t trace_id[16];
    uint64_t span_id, parent_id;
    bool parent_is_remote;
    const char *name; /* borrowed */
    enum tspi_span_kind kind;
    tspi_stamp start, end;
    tspi_span_attribute attributes[TSPI_SPAN_ATTRIBUTES_MAX];
    uint32_t attributes_n;
    const tspi_span_link *links; /* borrowed: spans of other traces that are causes of this one */
    uint32_t links_n;
} tspi_lab_span;

static inline void tspi_lab_span_text(tspi_lab_span *span, const char *key, const char *text)
{
    if (span->attributes_n < TSPI_SPAN_ATTRIBUTES_MAX)
        span->attributes[span->attributes_n++] = (tspi_span_attribute){.key = key, .text = text};
}
static inline void tspi_lab_span_integer(tspi_lab_span *span, const char *key, int64_t integer)
{
    if (span->attributes_n < TSPI_SPAN_ATTRIBUTES_MAX)
        span->attributes[span->attributes_n++] = (tspi_span_attribute){.key = key, .integer = integer};
}
static inline void tspi_lab_span_real(tspi_lab_span *span, const char *key, double real)
{
    if (span->attributes_n < TSPI_SPAN_ATTRIBUTES_MAX)
        span->attributes[span->attributes_n++] = (tspi_span_attribute){.key = key, .real = real, .is_real = true};
}

typedef struct {
    tspi_buf head, spans, truth; /* head: everything of a line before its first span */
    int spans_fd, truth_fd;      /* -1: what is added is counted and dropped */
    bool opens_late; /* set before open: files are opened to be written and closed again, for one process of many nodes
                      */
    char path[2][4096]; /* of the spans and of the truth; "" = nowhere */
    uint64_t written;   /* spans since open */
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
