/* Attributes added to spans: the one way of writing that changes lengths. The stamps have been patched before; here the
 * same bytes are walked once more, and spans that are to say more grow.
 *
 * Numbers are written as the format writes 64 bits: OTLP protobuf as a varint, OTLP JSON as {"intValue": "..."}, Jaeger
 * as an int64 while a double holds it exactly and as text beyond, Zipkin as text. */
#ifndef TSPI_WIRE_WIRE_ANNOTATE_H
#define TSPI_WIRE_WIRE_ANNOTATE_H

#include "wire/wire_scan.h"

/* Is this a key that annotating owns? Then it is replaced, not repeated. */
bool tspi_annotation_is_ours(const void *key, size_t len);

/* Note a number that a span carries under such a key. */
void tspi_annotation_note(tspi_annotated *had, const void *key, size_t len, int64_t number);

/* OTLP protobuf, whole messages or frames, appended to out. *row is the first span's, then what follows the last. */
tsp_status tspi_otlp_annotate(const char *name, const uint8_t *bytes, size_t len, bool framed, size_t *row,
                              tspi_annotate annotate, void *ctx, tspi_buf *out, tsp_error *err);

/* The current span of a JSON format, its object being bytes [scan->span_at, scan->reached). */
tsp_status tspi_scan_annotate(tspi_scan *scan);

#endif
