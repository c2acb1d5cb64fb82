/* Filling and freeing a tspi_span_set: interning of what repeats, rows appended at the end.
 *
 * Rows of every table are numbered in the order in which they were first seen, whatever the hash functions do, so that
 * the same input gives the same rows in every run. Pointers into the arrays last until the next addition to that array;
 * text and attributes last until the set is released. A failed addition leaves the set as it was. */
#ifndef TSPI_SPAN_SPAN_SET_H
#define TSPI_SPAN_SPAN_SET_H

#include "span/span.h"

/* Free everything; the set is as new. NULL is fine. */
void tspi_span_set_release(tspi_span_set *set);

/* Give back the unused room behind each array. */
void tspi_span_set_trim(tspi_span_set *set);

/* The row of a trace. An id with hi = 0 (64 bits) and a 128-bit id with the same lo are one trace: such a row takes
 * the longer id. Where several 128-bit traces share a lo, a 64-bit id means the first of them.
 * Errors: TSP_ENOMEM; TSP_ERANGE: 2^32 - 1 rows are full. (So with every function below.) */
tsp_status tspi_span_set_trace(tspi_span_set *set, tspi_trace_id id, uint32_t *ret_row, tsp_error *err);

/* The row of a span name; len bytes, no NUL needed. */
tsp_status tspi_span_set_name(tspi_span_set *set, const char *text, size_t len, uint32_t *ret_row, tsp_error *err);

/* Text that need not end in a NUL. */
typedef struct {
    const char *text;
    size_t len;
} tspi_text;

typedef struct {
    tspi_text key, value;
} tspi_attribute_text;

/* The row of the process with these attributes, in any order; where a key stands twice the last one counts.
 * attributes is sorted in place, its text is copied. Two lists with the same pairs are one process; none at all is a
 * process too, one of which nothing is known. */
tsp_status tspi_span_set_process(tspi_span_set *set, tspi_attribute_text *attributes, size_t n, uint32_t *ret_row,
                                 tsp_error *err);

/* A process's attribute, or NULL. */
const char *tspi_process_get(const tspi_process *process, const char *key);

/* Room for extra more spans, so that the next extra calls of tspi_span_set_add cannot fail. */
tsp_status tspi_span_set_reserve(tspi_span_set *set, size_t extra, tsp_error *err);

tsp_status tspi_span_set_add(tspi_span_set *set, const tspi_span *span, tsp_error *err);
tsp_status tspi_span_set_add_link(tspi_span_set *set, const tspi_link_row *link, tsp_error *err);
tsp_status tspi_span_set_add_sequence(tspi_span_set *set, const tspi_sequence *sequence, tsp_error *err);
tsp_status tspi_span_set_add_event(tspi_span_set *set, const tspi_event *event, tsp_error *err);

/* Append all rows of part, as if what part was read from had been read into set. That equality needs part to have kept
 * 64-bit and 128-bit ids apart while it was filled: tspi_span_set_keep_apart before its first row. */
tsp_status tspi_span_set_append(tspi_span_set *set, const tspi_span_set *part, tsp_error *err);
tsp_status tspi_span_set_keep_apart(tspi_span_set *set, tsp_error *err);

/* The row of a process with the same attributes as another set's. */
tsp_status tspi_span_set_copy_process(tspi_span_set *set, const tspi_process *process, uint32_t *ret_row,
                                      tsp_error *err);

/* A trace's row at the end, which no id finds. */
tsp_status tspi_span_set_push_trace(tspi_span_set *set, tspi_trace_id id, uint32_t *ret_row, tsp_error *err);

/* Mark as shared the SERVER half of each span that stands twice in rows [first, spans_n): the same id in the same
 * trace, once as CLIENT, once as SERVER. Zipkin's own mark is often missing. */
tsp_status tspi_span_set_mark_shared(tspi_span_set *set, size_t first, tsp_error *err);

#endif
