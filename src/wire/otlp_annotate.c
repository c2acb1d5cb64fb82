/* OTLP protobuf that grows: a span that is to say more is written anew with its attributes at its end, and every
 * message around it with its new length. Messages in which nothing changes are copied as they are. */
#include "wire/wire_annotate.h"

enum { BYTES = 2 };
#define TAG(field) ((uint64_t)(field) << 3 | BYTES)

/* From the outside in; the tags under which a level's messages hold those of the next. */
enum level { TRACES, RESOURCE_SPANS, SCOPE_SPANS, SPAN };
enum {
    TRACES_RESOURCE_SPANS = TAG(1),
    RESOURCE_SPANS_SCOPE_SPANS = TAG(2),
    RESOURCE_SPANS_LIBRARY_SPANS = TAG(1000),
    SCOPE_SPANS_SPANS = TAG(2),
    SPAN_ATTRIBUTES = TAG(9),
    KEY_VALUE_KEY = TAG(1),
    KEY_VALUE_VALUE = TAG(2),
    ANY_STRING = TAG(1),
    ANY_INT = 3 << 3,
};

typedef struct {
    const char *name;
    const uint8_t *base;
    size_t row;
    tspi_annotate annotate;
    void *ctx;
    tsp_error *err;
} annotator;

/* A field: its tag, and of BYTES where its content lies; all offsets. */
typedef struct {
    uint64_t tag;
    size_t content, end;
    uint64_t number; /* of other types, where it is a varint */
} field;

/* Of bytes in which the varint is known to end. */
static uint64_t varint(const uint8_t *bytes, size_t *at)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 70; shift += 7) {
        uint8_t c = bytes[(*at)++];
        value |= shift < 64 ? (uint64_t)(c & 0x7f) << shift : 0;
        if (!(c & 0x80))
            break;
    }
    return value;
}

/* The field at *at, which moves behind it; false at the end. */
static bool next(const annotator *a, size_t *at, size_t end, field *ret, tsp_status *ret_rc)
{
    size_t from = *at;

    if (from == end)
        return false;
    ret->end = tspi_otlp_proto_next(a->base, from, end);
    if (ret->end == from) {
        *ret_rc = tsp_error_at(a->err, TSP_EPARSE, from, "%s: byte %zu: a message is broken here", a->name, from);
        return false;
    }
    ret->tag = varint(a->base, &from);
    ret->number = 0;
    if ((ret->tag & 7) == BYTES || (ret->tag & 7) == 0)
        ret->number = varint(a->base, &from);
    ret->content = from;
    *at = ret->end;
    return true;
}

static void put_varint(tspi_buf *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        tspi_buf_putc(out, (char)(value | 0x80));
    tspi_buf_putc(out, (char)value);
}

static size_t varint_len(uint64_t value)
{
    size_t n = 1;

    for (; value >= 0x80; value >>= 7)
        n++;
    return n;
}

static void put_text(tspi_buf *out, uint64_t tag, const char *text)
{
    put_varint(out, tag);
    put_varint(out, strlen(text));
    tspi_buf_puts(out, text);
}

/* A Span's attribute. */
static void put_attribute(tspi_buf *out, const tspi_annotation *one)
{
    size_t key = strlen(one->key), text = one->text ? strlen(one->text) : 0;
    size_t any = 1 + (one->text ? varint_len(text) + text : varint_len((uint64_t)one->number));

    put_varint(out, SPAN_ATTRIBUTES);
    put_varint(out, 1 + varint_len(key) + key + 1 + varint_len(any) + any);
    put_text(out, KEY_VALUE_KEY, one->key);
    put_varint(out, KEY_VALUE_VALUE);
    put_varint(out, any);
    if (one->text)
        put_text(out, ANY_STRING, one->text);
    else {
        put_varint(out, ANY_INT);
        put_varint(out, (uint64_t)one->number);
    }
}

/* Is the attribute in these bytes one of ours? Its number is noted. */
static bool is_ours(const annotator *a, const field *attribute, tspi_annotated *had)
{
    tsp_status rc = TSP_OK;
    field f, key = {0}, any = {0}, value;
    size_t at = attribute->content;

    while (next(a, &at, attribute->end, &f, &rc)) {
        if (f.tag == KEY_VALUE_KEY)
            key = f;
        else if (f.tag == KEY_VALUE_VALUE)
            any = f;
    }
    if (rc != TSP_OK || !tspi_annotation_is_ours(a->base + key.content, key.end - key.content))
        return false;
    for (at = any.content; next(a, &at, any.end, &value, &rc);)
        if (value.tag == ANY_INT)
            tspi_annotation_note(had, a->base + key.content, key.end - key.content, (int64_t)value.number);
    return true;
}

/* Bytes [at, end) of a Span: appended to out when they change. */
static tsp_status span(annotator *a, size_t at, size_t end, tspi_buf *out, bool *ret_changed)
{
    tspi_annotation all[TSPI_ANNOTATIONS_MOST];
    tspi_annotated had = {TSPI_NO_STAMP, TSPI_NO_STAMP};
    tsp_status rc = TSP_OK;
    size_t walk = at, from;
    field f;

    while (next(a, &walk, end, &f, &rc))
        if (f.tag == SPAN_ATTRIBUTES)
            is_ours(a, &f, &had);
    if (rc != TSP_OK)
        return rc;
    size_t n = a->annotate(a->ctx, a->row++, &had, all);
    *ret_changed = n > 0;
    if (!n)
        return TSP_OK;
    for (from = walk = at; next(a, &walk, end, &f, &rc); from = walk)
        if (f.tag != SPAN_ATTRIBUTES || !is_ours(a, &f, &had))
            tspi_buf_append(out, a->base + from, walk - from);
    for (size_t k = 0; k < n; k++)
        put_attribute(out, &all[k]);
    return rc;
}

static bool holds_next_level(enum level level, uint64_t tag)
{
    switch (level) {
    case TRACES:
        return tag == TRACES_RESOURCE_SPANS;
    case RESOURCE_SPANS:
        return tag == RESOURCE_SPANS_SCOPE_SPANS || tag == RESOURCE_SPANS_LIBRARY_SPANS;
    case SCOPE_SPANS:
        return tag == SCOPE_SPANS_SPANS;
    case SPAN:
        break;
    }
    return false;
}

/* Bytes [at, end) of a message, appended to out; of a span only when they change. */
static tsp_status message(annotator *a, enum level level, size_t at, size_t end, tspi_buf *out, bool *ret_changed)
{
    tsp_status rc = TSP_OK;
    tspi_buf inner = {0};
    size_t from = at;
    field f;

    if (level == SPAN)
        return span(a, at, end, out, ret_changed);
    *ret_changed = false;
    while (rc == TSP_OK && next(a, &at, end, &f, &rc)) {
        bool changed = false;
        if (holds_next_level(level, f.tag)) {
            tspi_buf_clear(&inner);
            rc = message(a, level + 1, f.content, f.end, &inner, &changed);
        }
        if (changed) {
            put_varint(out, f.tag);
            put_varint(out, inner.len);
            tspi_buf_append(out, inner.data, inner.len);
            out->failed |= inner.failed;
        } else
            tspi_buf_append(out, a->base + from, f.end - from);
        *ret_changed |= changed;
        from = at;
    }
    tspi_buf_release(&inner);
    return rc;
}

static tsp_status frames(annotator *a, size_t len, tspi_buf *out)
{
    tsp_status rc = TSP_OK;
    bool changed;

    for (size_t at = 0; at < len && rc == TSP_OK;) {
        const uint8_t *b = a->base + at;
        size_t n = len - at < 4 ? SIZE_MAX : (size_t)b[0] << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
        if (len - at < 4 || n > len - at - 4)
            return tsp_error_at(a->err, TSP_EPARSE, at, "%s: byte %zu: a message is cut off here", a->name, at);
        size_t head = out->len;
        tspi_buf_append(out, "\0\0\0\0", 4);
        rc = message(a, TRACES, at + 4, at + 4 + n, out, &changed);
        if (rc != TSP_OK || !tspi_buf_ok(out))
            break;
        size_t grown = out->len - head - 4;
        if (grown > UINT32_MAX)
            return tsp_error_set(a->err, TSP_ERANGE, "%s: a message outgrows its 4-byte length", a->name);
        for (unsigned k = 0; k < 4; k++)
            out->data[head + k] = (uint8_t)(grown >> (24 - 8 * k));
        at += 4 + n;
    }
    return rc;
}

tsp_status tspi_otlp_annotate(const char *name, const uint8_t *bytes, size_t len, bool framed, size_t *row,
                              tspi_annotate annotate, void *ctx, tspi_buf *out, tsp_error *err)
{
    annotator a = {name, bytes, *row, annotate, ctx, err};
    bool changed;
    tsp_status rc = framed ? frames(&a, len, out) : message(&a, TRACES, 0, len, out, &changed);

    *row = a.row;
    return rc;
}
