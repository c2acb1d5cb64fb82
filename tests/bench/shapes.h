/* What the benches write: protobuf fields, and spans' attributes as an HTTP client's are. */
#ifndef TRUESPAN_BENCH_SHAPES_H
#define TRUESPAN_BENCH_SHAPES_H

#include "base/buf.h"

/* An attribute's key and value. */
typedef const char *shape_attribute[2];
enum { SHAPE_ATTRIBUTES = 8 };
extern const shape_attribute shape_attributes[SHAPE_ATTRIBUTES]; /* about 390 bytes of protobuf */

void put_varint(tspi_buf *out, uint64_t value);
void put_bytes(tspi_buf *out, unsigned field, const void *bytes, size_t len);
void put_text(tspi_buf *out, unsigned field, const char *text);
void put_fixed64(tspi_buf *out, unsigned field, int64_t value);

/* n words of 8 bytes, as ids are written. */
void put_big_endian(tspi_buf *out, unsigned field, const uint64_t *words, unsigned n);

/* A KeyValue with a string. */
void put_attribute(tspi_buf *out, unsigned field, const char *key, const char *value);

/* The fields of a Span: ids are its trace's two words, its own and its parent's, 0 for none. Attributes may follow. */
void put_span_fields(tspi_buf *span, const uint64_t ids[4], const char *name, unsigned kind, int64_t start_ns,
                     int64_t end_ns);

/* A ResourceSpans of TracesData: a resource with these attributes, and one ScopeSpans. */
void put_batch(tspi_buf *out, const shape_attribute *attributes, unsigned n, const tspi_buf *spans);

#endif
