/* A span of the lab as OTLP JSON, and its line of the truth. Written straight into room that was made beforehand: a
 * simulated node writes a million spans a second. */
#ifndef TSPI_LAB_SPAN_JSON_H
#define TSPI_LAB_SPAN_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "clock/clock_model.h"
#include "span/span.h"

enum { TSPI_SPAN_ATTRIBUTES_MAX = 12 };

typedef struct {
    const char *key;  /* borrowed; plain ASCII that JSON takes as it is */
    const char *text; /* borrowed; NULL = integer, or real when is_real */
    int64_t integer;
    double real;
    uint32_t key_len;
    bool is_real;
} tspi_span_attribute;

typedef struct {
    uint8_t trace_id[16];
    uint64_t span_id;
} tspi_span_link;

/* What all spans of one sort have in common, as JSON: made once, copied into each. */
typedef struct {
    tspi_buf name;       /* name and kind */
    tspi_buf attributes; /* those that are always the same */
} tspi_span_sort;

typedef struct {
    uint8_t trace_id[16];
    uint64_t span_id, parent_id;
    bool parent_is_remote;
    enum tspi_span_kind kind;
    const char *name; /* borrowed */
    tspi_stamp start, end;
    const tspi_span_sort
        *sort; /* borrowed; NULL = none. Its name and kind go before name and kind, its attributes first */
    const tspi_span_link *links; /* borrowed: spans of other traces that are causes of this one */
    uint32_t links_n, attributes_n;
    tspi_span_attribute attributes[TSPI_SPAN_ATTRIBUTES_MAX]; /* the rows behind attributes_n are not initialised */
} tspi_lab_span;

static inline void tspi_lab_span_init(tspi_lab_span *span, const char *name, enum tspi_span_kind kind)
{
    memset(span, 0, offsetof(tspi_lab_span, attributes));
    span->name = name;
    span->kind = kind;
}

static inline void tspi_lab_span_text(tspi_lab_span *span, const char *key, const char *text)
{
    if (span->attributes_n < TSPI_SPAN_ATTRIBUTES_MAX)
        span->attributes[span->attributes_n++] =
            (tspi_span_attribute){.key = key, .key_len = (uint32_t)strlen(key), .text = text};
}
static inline void tspi_lab_span_integer(tspi_lab_span *span, const char *key, int64_t integer)
{
    if (span->attributes_n < TSPI_SPAN_ATTRIBUTES_MAX)
        span->attributes[span->attributes_n++] =
            (tspi_span_attribute){.key = key, .key_len = (uint32_t)strlen(key), .integer = integer};
}
static inline void tspi_lab_span_real(tspi_lab_span *span, const char *key, double real)
{
    if (span->attributes_n < TSPI_SPAN_ATTRIBUTES_MAX)
        span->attributes[span->attributes_n++] =
            (tspi_span_attribute){.key = key, .key_len = (uint32_t)strlen(key), .real = real, .is_real = true};
}

/* A sort from a span's name, kind and attributes. false: out of memory; release it all the same. */
bool tspi_span_sort_make(tspi_span_sort *sort, const tspi_lab_span *span);
void tspi_span_sort_release(tspi_span_sort *sort);

/* The last stamps as text: the next ones begin with the same digits, and those of a span and of its truth are the same
 * where its clock is right. Zero it to initialise. */
typedef struct {
    struct tspi_stamp_digits {
        int64_t ns, high; /* high: all but the last eight digits */
        uint8_t text[19];
    } start, end;
} tspi_span_digits;

/* Append; a failure sticks to out. digits: the same for the spans of one writer. */
void tspi_span_json(tspi_buf *out, const tspi_lab_span *span, tspi_span_digits *digits);
void tspi_span_truth(tspi_buf *out, const tspi_lab_span *span, tspi_span_digits *digits);
/* n attributes, with commas between them. */
void tspi_span_json_attributes(tspi_buf *out, const tspi_span_attribute *attributes, uint32_t n);

#endif
