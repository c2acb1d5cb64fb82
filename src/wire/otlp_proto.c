/* OTLP protobuf: TracesData and ExportTraceServiceRequest (the same bytes), alone or each behind a length.
 *
 * A walk over tags and lengths; nothing is decoded that no row needs. Field numbers from opentelemetry-proto's trace,
 * resource and common v1. The tag of field f with wire type w is f << 3 | w. Of a field that stands twice the last
 * counts; unknown fields, and known ones of another wire type, are passed over. */
#include <endian.h>
#include <stdio.h>

#include "wire/wire_parallel.h"

enum wire_type { VARINT, FIXED64, BYTES, FIXED32 = 5 };
#define TAG(field, type) ((uint32_t)(field) << 3 | (type))

enum {
    TRACES_RESOURCE_SPANS = TAG(1, BYTES),
    RESOURCE_SPANS_RESOURCE = TAG(1, BYTES),
    RESOURCE_SPANS_SCOPE_SPANS = TAG(2, BYTES),
    RESOURCE_SPANS_LIBRARY_SPANS = TAG(1000, BYTES), /* before OTLP 0.16 */
    SCOPE_SPANS_SPANS = TAG(2, BYTES),
    RESOURCE_ATTRIBUTES = TAG(1, BYTES),
    KEY_VALUE_KEY = TAG(1, BYTES),
    KEY_VALUE_VALUE = TAG(2, BYTES),
    ANY_STRING = TAG(1, BYTES),
    ANY_BOOL = TAG(2, VARINT),
    ANY_INT = TAG(3, VARINT),
    ANY_DOUBLE = TAG(4, FIXED64),
    ANY_ARRAY = TAG(5, BYTES),
    ARRAY_VALUES = TAG(1, BYTES),
    SPAN_TRACE_ID = TAG(1, BYTES),
    SPAN_SPAN_ID = TAG(2, BYTES),
    SPAN_PARENT_SPAN_ID = TAG(4, BYTES),
    SPAN_NAME = TAG(5, BYTES),
    SPAN_KIND = TAG(6, VARINT),
    SPAN_START = TAG(7, FIXED64),
    SPAN_END = TAG(8, FIXED64),
    SPAN_ATTRIBUTES = TAG(9, BYTES),
    SPAN_EVENTS = TAG(11, BYTES),
    SPAN_LINKS = TAG(13, BYTES),
    SPAN_STATUS = TAG(15, BYTES),
    SPAN_FLAGS = TAG(16, FIXED32),
    EVENT_TIME = TAG(1, FIXED64),
    EVENT_ATTRIBUTES = TAG(3, BYTES),
    LINK_TRACE_ID = TAG(1, BYTES),
    LINK_SPAN_ID = TAG(2, BYTES),
    STATUS_CODE = TAG(3, VARINT),
};

/* A message's bytes, or what is left of them. */
struct wire {
    const uint8_t *at, *end;
};

/* One field: its tag, and where its content lies. number: of a VARINT. */
struct field {
    uint32_t tag;
    struct wire bytes;
    uint64_t number;
};

static bool varint_slow(struct wire *wire, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && wire->at < wire->end; shift += 7) {
        uint8_t c = *wire->at++;
        value |= (uint64_t)(c & 0x7f) << shift;
        if (!(c & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static inline bool varint(struct wire *wire, uint64_t *ret_value)
{
    if (wire->at < wire->end && *wire->at < 0x80) {
        *ret_value = *wire->at++;
        return true;
    }
    return varint_slow(wire, ret_value);
}

static inline bool take(struct wire *wire, uint64_t len, struct wire *ret_bytes)
{
    if (len > (uint64_t)(wire->end - wire->at))
        return false;
    *ret_bytes = (struct wire){wire->at, wire->at + len};
    wire->at += len;
    return true;
}

/* The next field; false when there is none or when it is broken: then wire->at < wire->end still. */
static inline __attribute__((always_inline)) bool next_field(struct wire *wire, struct field *ret)
{
    const uint8_t *from = wire->at;
    uint64_t tag = 0, len = 0;
    bool fine;

    if (from == wire->end)
        return false;
    fine = varint(wire, &tag) && tag <= UINT32_MAX && tag >= 8;
    ret->tag = (uint32_t)tag;
    if (fine)
        switch (tag & 7) {
        case BYTES:
            fine = varint(wire, &len) && take(wire, len, &ret->bytes);
            break;
        case VARINT:
            fine = varint(wire, &ret->number);
            break;
        case FIXED64:
            fine = take(wire, 8, &ret->bytes);
            break;
        case FIXED32:
            fine = take(wire, 4, &ret->bytes);
            break;
        default: /* groups, which no version of OTLP has had */
            fine = false;
        }
    if (!fine)
        wire->at = from;
    return fine;
}

static size_t wire_len(struct wire wire)
{
    return (size_t)(wire.end - wire.at);
}

static tsp_status broken(tspi_scan *scan, struct wire wire, const char *message)
{
    return tspi_scan_error(scan, tspi_scan_offset(scan, wire.at),
                           "the %s is broken here: a length or type that cannot be (%zu bytes were left); "
                           "was the input cut off?",
                           message, wire_len(wire));
}

static uint64_t little_endian(const uint8_t *at)
{
    uint64_t value;

    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

static tspi_text wire_text(struct wire wire)
{
    return (tspi_text){(const char *)wire.at, wire_len(wire)};
}

/* Numbers as text, for resource attributes; they live as long as the resource's other texts. */
static tspi_text number_text(tspi_scan *scan, const char *format, int64_t number, double real)
{
    char digits[32];
    int len = format ? snprintf(digits, sizeof digits, format, real)
                     : snprintf(digits, sizeof digits, "%lld", (long long)number);
    const char *copy = tspi_arena_strndup(&scan->texts, digits, (size_t)len);

    return copy ? (tspi_text){copy, (size_t)len} : (tspi_text){"", 0};
}

static bool any_value(tspi_scan *scan, struct wire wire, bool as_text, bool nested, tspi_value *ret_value)
{
    struct field field = {0}, element = {0};
    bool fine = true;

    while (next_field(&wire, &field)) {
        switch (field.tag) {
        case ANY_STRING:
            *ret_value = (tspi_value){.type = TSPI_VALUE_TEXT, .text = wire_text(field.bytes)};
            break;
        case ANY_BOOL:
            ret_value->type = TSPI_VALUE_BOOL;
            ret_value->number = field.number != 0;
            ret_value->text = field.number ? (tspi_text){"true", 4} : (tspi_text){"false", 5};
            break;
        case ANY_INT:
            ret_value->type = TSPI_VALUE_INT;
            ret_value->number = (int64_t)field.number;
            ret_value->text = as_text ? number_text(scan, NULL, ret_value->number, 0) : (tspi_text){"", 0};
            break;
        case ANY_DOUBLE: {
            uint64_t bits = little_endian(field.bytes.at);
            double real;
            memcpy(&real, &bits, sizeof real);
            ret_value->type = TSPI_VALUE_DOUBLE;
            ret_value->text = number_text(scan, "%.17g", 0, real);
            break;
        }
        case ANY_ARRAY:
            if (nested)
                break;
            for (bool first = true; first && next_field(&field.bytes, &element);)
                if (element.tag == ARRAY_VALUES) {
                    fine &= any_value(scan, element.bytes, as_text, true, ret_value);
                    first = false;
                }
            break;
        default:
            break;
        }
    }
    return fine && wire.at == wire.end;
}

static bool key_value(struct wire wire, tspi_text *ret_key, struct wire *ret_value)
{
    struct field field = {0};

    *ret_key = (tspi_text){"", 0};
    *ret_value = (struct wire){NULL, NULL};
    while (next_field(&wire, &field)) {
        if (field.tag == KEY_VALUE_KEY)
            *ret_key = wire_text(field.bytes);
        else if (field.tag == KEY_VALUE_VALUE)
            *ret_value = field.bytes;
    }
    return wire.at == wire.end;
}

static tsp_status resource_attributes(tspi_scan *scan, struct wire wire)
{
    struct field field = {0};
    struct wire any;
    tspi_text key;

    while (next_field(&wire, &field)) {
        tspi_value value = {.type = TSPI_VALUE_NONE};
        if (field.tag != RESOURCE_ATTRIBUTES)
            continue;
        if (!key_value(field.bytes, &key, &any) || !any_value(scan, any, true, false, &value)) {
            if (!scan->keep_going)
                return broken(scan, field.bytes, "resource attribute");
            if (scan->report)
                scan->report->bad_parts++;
            continue;
        }
        if (key.len && value.type != TSPI_VALUE_NONE && !tspi_scan_process_add(scan, key, value.text))
            return tspi_scan_no_memory(scan);
    }
    return wire.at == wire.end ? TSP_OK : broken(scan, wire, "resource");
}

/* The process of a ResourceSpans. Its resource may stand anywhere in it, and in pieces, which then are one. */
static tsp_status resource(tspi_scan *scan, struct wire wire)
{
    struct wire only = {NULL, NULL}, walk = wire;
    struct field field = {0};
    unsigned pieces = 0;
    tsp_status rc = TSP_OK;

    while (next_field(&walk, &field))
        if (field.tag == RESOURCE_SPANS_RESOURCE) {
            only = field.bytes;
            pieces++;
        }
    if (pieces == 1) {
        scan->process = tspi_scan_seen(scan, only.at, wire_len(only));
        if (scan->process != TSPI_NONE)
            return TSP_OK;
    }
    tspi_scan_process_begin(scan);
    for (walk = wire; rc == TSP_OK && next_field(&walk, &field);)
        if (field.tag == RESOURCE_SPANS_RESOURCE)
            rc = resource_attributes(scan, field.bytes);
    if (rc == TSP_OK)
        rc = tspi_scan_process_done(scan, &scan->process);
    if (rc == TSP_OK && pieces == 1)
        tspi_scan_remember(scan, only.at, wire_len(only), scan->process);
    return rc;
}

/* Can this attribute matter? kv: its message, key first or not. */
static inline bool may_matter(const uint8_t *kv, size_t len)
{
    if (len < 3)
        return false;
    if (kv[0] != KEY_VALUE_KEY)
        return true; /* it stands elsewhere */
    return tspi_attr_may_matter(kv + 2, kv[1]);
}

static enum tspi_attr attribute_of(struct wire kv)
{
    tspi_text key;
    struct wire any;

    if (!may_matter(kv.at, wire_len(kv)) || !key_value(kv, &key, &any))
        return TSPI_ATTR_OTHER;
    return tspi_attr_find(key.text, key.len);
}

static void span_attribute(tspi_scan *scan, struct wire kv)
{
    enum tspi_attr attr = attribute_of(kv);
    tspi_value value = {.type = TSPI_VALUE_NONE};
    struct wire any;
    tspi_text key;

    if (!attr || attr == TSPI_ATTR_TOKEN_INDEX)
        return;
    bool fine = key_value(kv, &key, &any);
    if (attr == TSPI_ATTR_WARNINGS)
        value = (tspi_value){.type = TSPI_VALUE_TEXT, .text = wire_text(any)};
    else
        fine &= any_value(scan, any, false, false, &value);
    if (fine)
        tspi_scan_attribute(scan, attr, &value);
    else
        tspi_scan_bad_part(scan, tspi_scan_offset(scan, kv.at), "a span's attribute is broken");
}

/* Fixed64 stamps: 0 is proto3's "absent". */
static int64_t stamp(tspi_scan *scan, const uint8_t *at, const char *field)
{
    uint64_t ns = little_endian(at);

    if (__builtin_expect(ns - 1 < INT64_MAX, 1))
        return (int64_t)ns;
    if (ns)
        tspi_scan_bad(scan, tspi_scan_offset(scan, at),
                      "%s %llu lies beyond the year 2262: it should be Unix nanoseconds", field,
                      (unsigned long long)ns);
    return TSPI_NO_STAMP;
}

static void event(tspi_scan *scan, struct wire wire)
{
    struct wire whole = wire, any;
    struct field field = {0};
    const uint8_t *time = NULL;
    int64_t index = 0;
    bool has_index = false;
    tspi_text key;

    while (next_field(&wire, &field)) {
        tspi_value value = {.type = TSPI_VALUE_NONE};
        if (field.tag == EVENT_TIME)
            time = field.bytes.at;
        else if (field.tag == EVENT_ATTRIBUTES && !scan->patching &&
                 attribute_of(field.bytes) == TSPI_ATTR_TOKEN_INDEX && key_value(field.bytes, &key, &any) &&
                 any_value(scan, any, false, false, &value) && value.type == TSPI_VALUE_INT) {
            has_index = true;
            index = value.number;
        }
    }
    if (wire.at != wire.end) {
        tspi_scan_bad_part(scan, tspi_scan_offset(scan, whole.at), "a span's event is broken");
        return;
    }
    int64_t at_ns = time ? stamp(scan, time, "an event's time_unix_nano") : TSPI_NO_STAMP;
    if (at_ns == TSPI_NO_STAMP)
        return;
    if ((has_index && !tspi_scan_event(scan, index, at_ns)) ||
        !tspi_scan_place(scan, TSPI_STAMP_EVENT, tspi_scan_offset(scan, time), 8, at_ns))
        tspi_scan_bad(scan, tspi_scan_offset(scan, time), "memory is exhausted");
}

static void link_(tspi_scan *scan, struct wire wire)
{
    struct wire whole = wire;
    struct field field = {0};
    tspi_trace_id trace = {0, 0};
    uint64_t id = 0;
    bool fine = true;

    while (next_field(&wire, &field)) {
        size_t len = wire_len(field.bytes);
        if (field.tag == LINK_TRACE_ID && len) {
            fine &= len == 16;
            if (len == 16)
                trace = (tspi_trace_id){tspi_id_of_bytes(field.bytes.at), tspi_id_of_bytes(field.bytes.at + 8)};
        } else if (field.tag == LINK_SPAN_ID && len) {
            fine &= len == 8;
            if (len == 8)
                id = tspi_id_of_bytes(field.bytes.at);
        }
    }
    if (!fine || wire.at != wire.end)
        tspi_scan_bad_part(scan, tspi_scan_offset(scan, whole.at),
                           "a span's link is broken or its ids are not 16 and 8 bytes");
    else if (id && (trace.hi || trace.lo) && !tspi_scan_link(scan, trace, id, TSPI_LINK_LINK))
        tspi_scan_bad(scan, tspi_scan_offset(scan, whole.at), "memory is exhausted");
}

static void status(tspi_scan *scan, struct wire wire)
{
    struct wire whole = wire;
    struct field field = {0};
    bool error = false;

    while (next_field(&wire, &field))
        if (field.tag == STATUS_CODE)
            error = field.number == 2;
    if (wire.at != wire.end)
        tspi_scan_bad_part(scan, tspi_scan_offset(scan, whole.at), "a span's status is broken");
    if (error)
        scan->span.flags |= TSPI_SPAN_ERROR;
}

static void span_id(tspi_scan *scan, struct wire bytes, const char *field, uint64_t *ret_id)
{
    size_t len = wire_len(bytes);

    *ret_id = len == 8 ? tspi_id_of_bytes(bytes.at) : 0;
    if (len && len != 8)
        tspi_scan_bad(scan, tspi_scan_offset(scan, bytes.at), "%s has %zu bytes, not 8", field, len);
}

static void trace_id(tspi_scan *scan, struct wire bytes, tspi_trace_id *ret_id)
{
    size_t len = wire_len(bytes);

    *ret_id = (tspi_trace_id){0, 0};
    if (len == 16)
        *ret_id = (tspi_trace_id){tspi_id_of_bytes(bytes.at), tspi_id_of_bytes(bytes.at + 8)};
    else if (len)
        tspi_scan_bad(scan, tspi_scan_offset(scan, bytes.at), "trace_id has %zu bytes, not 16", len);
}

/* Where a span's start and end stand; they are read when all of it has been seen. */
struct stamp_places {
    const uint8_t *start, *end;
};

static void span_field(tspi_scan *scan, const struct field *field, struct stamp_places *places)
{
    tspi_raw_span *span = &scan->span;

    switch (field->tag) {
    case SPAN_TRACE_ID:
        trace_id(scan, field->bytes, &span->trace);
        break;
    case SPAN_SPAN_ID:
        span_id(scan, field->bytes, "span_id", &span->span_id);
        break;
    case SPAN_PARENT_SPAN_ID:
        span_id(scan, field->bytes, "parent_span_id", &span->parent_id);
        break;
    case SPAN_NAME:
        span->name = wire_text(field->bytes);
        break;
    case SPAN_KIND:
        span->kind = field->number <= TSPI_KIND_CONSUMER ? (uint8_t)field->number : 0;
        break;
    case SPAN_START:
        places->start = field->bytes.at;
        break;
    case SPAN_END:
        places->end = field->bytes.at;
        break;
    case SPAN_ATTRIBUTES:
        if (!scan->patching)
            span_attribute(scan, field->bytes);
        break;
    case SPAN_EVENTS:
        event(scan, field->bytes);
        break;
    case SPAN_LINKS:
        link_(scan, field->bytes);
        break;
    case SPAN_STATUS:
        if (!scan->patching)
            status(scan, field->bytes);
        break;
    case SPAN_FLAGS:
        if (field->bytes.at[1] & 1)
            span->flags |=
                field->bytes.at[1] & 2 ? TSPI_SPAN_REMOTE_KNOWN | TSPI_SPAN_REMOTE_PARENT : TSPI_SPAN_REMOTE_KNOWN;
        break;
    default:
        break;
    }
}

/* The fields that make up nearly every span, in the lengths they nearly always have: how far they reach from at, or 0
 * when something is unusual and the general way must look at it. left: bytes to the span's end. */
static inline __attribute__((always_inline)) size_t usual_field(tspi_scan *scan, const uint8_t *at, size_t left,
                                                                struct stamp_places *places)
{
    tspi_raw_span *span = &scan->span;
    size_t len, head = 2;

    if (left < 4)
        return 0;
    switch (at[0]) {
    case SPAN_ATTRIBUTES:
        len = at[1];
        if (len >= 128) {
            if (at[2] >= 128)
                return 0;
            len = (len & 127) | (size_t)at[2] << 7;
            head = 3;
        }
        if (len > left - head)
            return 0;
        if (!scan->patching && may_matter(at + head, len))
            span_attribute(scan, (struct wire){at + head, at + head + len});
        return head + len;
    case SPAN_TRACE_ID:
        if (at[1] != 16 || left < 18)
            return 0;
        span->trace = (tspi_trace_id){tspi_id_of_bytes(at + 2), tspi_id_of_bytes(at + 10)};
        return 18;
    case SPAN_SPAN_ID:
        if (at[1] != 8 || left < 10)
            return 0;
        span->span_id = tspi_id_of_bytes(at + 2);
        return 10;
    case SPAN_PARENT_SPAN_ID:
        if (at[1] != 8 || left < 10)
            return 0;
        span->parent_id = tspi_id_of_bytes(at + 2);
        return 10;
    case SPAN_NAME:
        if (at[1] >= 128 || at[1] > left - 2)
            return 0;
        span->name = (tspi_text){(const char *)at + 2, at[1]};
        return 2 + (size_t)at[1];
    case SPAN_START:
        places->start = at + 1;
        return left < 9 ? 0 : 9;
    case SPAN_END:
        places->end = at + 1;
        return left < 9 ? 0 : 9;
    default:
        return 0;
    }
}

/* How far the fields reach that nearly every span begins with, in the order of their numbers, as nearly every writer
 * has them: ids, name, kind and stamps. Few tests do for all of them. */
static inline const uint8_t *usual_head(tspi_scan *scan, const uint8_t *at, const uint8_t *end,
                                        struct stamp_places *places)
{
    tspi_raw_span *span = &scan->span;

    if (end - at < 38 || at[0] != SPAN_TRACE_ID || at[1] != 16 || at[18] != SPAN_SPAN_ID || at[19] != 8)
        return at;
    span->trace = (tspi_trace_id){tspi_id_of_bytes(at + 2), tspi_id_of_bytes(at + 10)};
    span->span_id = tspi_id_of_bytes(at + 20);
    at += 28;
    if (at[0] == SPAN_PARENT_SPAN_ID && at[1] == 8) {
        span->parent_id = tspi_id_of_bytes(at + 2);
        at += 10;
    }
    if (end - at < 22 || at[0] != SPAN_NAME || at[1] >= 128 || at[1] > end - at - 22)
        return at;
    span->name = (tspi_text){(const char *)at + 2, at[1]};
    at += 2 + (size_t)at[1];
    if (at[0] != SPAN_KIND || at[1] > TSPI_KIND_CONSUMER || at[2] != SPAN_START || at[11] != SPAN_END)
        return at;
    span->kind = at[1];
    *places = (struct stamp_places){at + 3, at + 12};
    return at + 20;
}

/* Past the attributes that stand here, up to the first that can matter, if any can. */
static inline const uint8_t *pass_attributes(const tspi_scan *scan, const uint8_t *at, const uint8_t *end,
                                             bool none_matters)
{
    enum { LOOKED_AT = 5 }; /* tag, length below 128, the key's tag and length, its first letter */

    if (scan->base + scan->len - end < LOOKED_AT)
        return at;
    for (;;) {
        uint32_t head = (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
        if ((head & 0xff80ff) != (SPAN_ATTRIBUTES | KEY_VALUE_KEY << 16))
            return at;
        const uint8_t *next = at + 2 + (head >> 8 & 0x7f);
        if (next > end || (!none_matters && tspi_attr_may_matter(at + 4, head >> 24)))
            return at;
        at = next;
    }
}

/* Patch a span that has nothing but usual fields, and stamps in range. false: it has more, and nothing was done. */
static bool patch_usual(tspi_scan *scan, struct wire wire, tsp_status *ret_rc)
{
    struct stamp_places places = {NULL, NULL};
    if (!tspi_scan_copy_ahead(scan, tspi_scan_offset(scan, wire.end)))
        return false; /* the general way meets it again */
    const uint8_t *at = usual_head(scan, wire.at, wire.end, &places);
    while (at < wire.end) {
        at = pass_attributes(scan, at, wire.end, true);
        if (at == wire.end)
            break;
        size_t left = (size_t)(wire.end - at), usual = usual_field(scan, at, left, &places);
        if (!usual && left >= 2 && (at[0] == SPAN_KIND || at[0] == SPAN_STATUS) && at[1] < 128)
            usual = at[0] == SPAN_KIND ? 2 : 2 + (size_t)at[1];
        if (!usual && left >= 6 && at[0] == 0x85 && at[1] == 1) /* flags */
            usual = 6;
        if (!usual || usual > left)
            return false;
        at += usual;
    }
    int64_t start = places.start ? (int64_t)little_endian(places.start) : 0;
    int64_t end = places.end ? (int64_t)little_endian(places.end) : 0;
    if (start < 0 || end < 0)
        return false;
    *ret_rc = TSP_OK;
    if (start)
        *ret_rc = tspi_scan_patch8(scan, TSPI_STAMP_START, tspi_scan_offset(scan, places.start), start);
    if (end && *ret_rc == TSP_OK)
        *ret_rc = tspi_scan_patch8(scan, TSPI_STAMP_END, tspi_scan_offset(scan, places.end), end);
    scan->row++;
    return true;
}

/* The content of one span: the hot loop. */
static tsp_status one_span(tspi_scan *scan, struct wire wire)
{
    tspi_raw_span *span = &scan->span;
    struct stamp_places places = {NULL, NULL};
    struct wire whole = wire;
    struct field field = {0};
    tsp_status rc;

    scan->span_at = tspi_scan_offset(scan, wire.at);
    if (scan->patching && patch_usual(scan, wire, &rc))
        return rc;
    tspi_scan_begin(scan);
    wire.at = usual_head(scan, wire.at, wire.end, &places);
    for (;;) {
        size_t usual;
        wire.at = pass_attributes(scan, wire.at, wire.end, scan->patching);
        while ((usual = usual_field(scan, wire.at, wire_len(wire), &places)))
            wire.at += usual;
        if (!next_field(&wire, &field))
            break;
        span_field(scan, &field, &places);
    }
    if (wire.at != wire.end)
        tspi_scan_bad(scan, tspi_scan_offset(scan, wire.at), "the span that begins at byte %zu is broken here",
                      tspi_scan_offset(scan, whole.at) + (size_t)scan->origin);
    else {
        if (places.start)
            span->start_ns = stamp(scan, places.start, "start_time_unix_nano");
        if (places.end)
            span->end_ns = stamp(scan, places.end, "end_time_unix_nano");
    }
    if (scan->patching &&
        ((span->start_ns != TSPI_NO_STAMP &&
          !tspi_scan_place(scan, TSPI_STAMP_START, tspi_scan_offset(scan, places.start), 8, span->start_ns)) ||
         (span->end_ns != TSPI_NO_STAMP &&
          !tspi_scan_place(scan, TSPI_STAMP_END, tspi_scan_offset(scan, places.end), 8, span->end_ns))))
        return tspi_scan_no_memory(scan);
    return tspi_scan_emit(scan);
}

static tsp_status scope_spans(tspi_scan *scan, struct wire wire)
{
    struct field field = {0};

    while (next_field(&wire, &field))
        if (field.tag == SCOPE_SPANS_SPANS) {
            tsp_status rc = one_span(scan, field.bytes);
            if (rc != TSP_OK)
                return rc;
        }
    return wire.at == wire.end ? TSP_OK : broken(scan, wire, "scope_spans");
}

/* From this size on a resource is noted, so that it can be passed over at once: 16 bytes for so many. */
#define LARGE_BYTES ((size_t)32 << 10)

/* How many spans a noted resource has, if it is one. */
static bool noted_spans(tspi_scan *scan, uint64_t at, uint32_t *ret_spans)
{
    for (; scan->large_n && scan->large->at < at; scan->large++, scan->large_n--)
        ;
    if (!scan->large_n || scan->large->at != at)
        return false;
    *ret_spans = scan->large->spans;
    return true;
}

/* Nothing in the resource changes: no more is wanted of it than how many rows its spans are. */
static tsp_status pass_resource(tspi_scan *scan, struct wire wire)
{
    struct field outer = {0}, field = {0};
    uint32_t spans;

    tspi_scan_stays(scan, tspi_scan_offset(scan, wire.end));
    if (noted_spans(scan, tspi_scan_offset(scan, wire.at), &spans)) {
        scan->row += spans;
        return TSP_OK;
    }
    while (next_field(&wire, &outer)) {
        if (outer.tag != RESOURCE_SPANS_SCOPE_SPANS && outer.tag != RESOURCE_SPANS_LIBRARY_SPANS)
            continue;
        while (next_field(&outer.bytes, &field))
            scan->row += field.tag == SCOPE_SPANS_SPANS;
        if (outer.bytes.at != outer.bytes.end)
            return broken(scan, outer.bytes, "scope_spans");
    }
    return wire.at == wire.end ? TSP_OK : broken(scan, wire, "resource_spans");
}

static tsp_status resource_spans(tspi_scan *scan, struct wire wire)
{
    struct field field = {0};
    size_t from = tspi_scan_offset(scan, wire.at), first = scan->patching ? 0 : scan->set->spans_n;

    if (scan->patching && scan->still && scan->still(scan->ctx, scan->row))
        return pass_resource(scan, wire);
    tsp_status rc = resource(scan, wire);

    while (rc == TSP_OK && next_field(&wire, &field))
        if (field.tag == RESOURCE_SPANS_SCOPE_SPANS || field.tag == RESOURCE_SPANS_LIBRARY_SPANS)
            rc = scope_spans(scan, field.bytes);
    if (rc == TSP_OK && wire.at != wire.end)
        rc = broken(scan, wire, "resource_spans");
    if (rc == TSP_OK && !scan->patching && tspi_scan_offset(scan, wire.at) - from >= LARGE_BYTES)
        tspi_report_resources(scan->report,
                              &(tspi_large_resource){scan->origin + from, (uint32_t)(scan->set->spans_n - first)}, 1);
    return rc;
}

/* With keep_going, give up the stretch and be well. */
static tsp_status survive(tspi_scan *scan, tsp_status rc, struct wire stretch)
{
    if (rc != TSP_EPARSE || !scan->keep_going)
        return rc;
    tspi_scan_give_up(scan, tspi_scan_offset(scan, stretch.at), tspi_scan_offset(scan, stretch.end));
    return TSP_OK;
}

tsp_status tspi_otlp_proto_scan(tspi_scan *scan, size_t from, size_t to)
{
    struct wire wire = {scan->base + from, scan->base + to};
    struct field field = {0};

    while (next_field(&wire, &field))
        if (field.tag == TRACES_RESOURCE_SPANS) {
            tsp_status rc = survive(scan, resource_spans(scan, field.bytes), field.bytes);
            if (rc != TSP_OK)
                return rc;
        }
    return wire.at == wire.end ? TSP_OK : survive(scan, broken(scan, wire, "traces data"), wire);
}

tsp_status tspi_otlp_frames_scan(tspi_scan *scan, size_t from, size_t to)
{
    struct wire wire = {scan->base + from, scan->base + to}, frame = {NULL, NULL};

    while (wire.at < wire.end) {
        size_t left = wire_len(wire), len = 0;
        if (left >= 4)
            len = (size_t)wire.at[0] << 24 | (size_t)wire.at[1] << 16 | (size_t)wire.at[2] << 8 | wire.at[3];
        if (left < 4 || len > left - 4)
            return survive(scan,
                           tspi_scan_error(scan, tspi_scan_offset(scan, wire.at),
                                           "a message of %zu bytes is announced but %zu are left: the file was cut "
                                           "off, or is not length-prefixed",
                                           len, left < 4 ? 0 : left - 4),
                           wire);
        wire.at += 4;
        take(&wire, len, &frame);
        tsp_status rc = tspi_otlp_proto_scan(scan, tspi_scan_offset(scan, frame.at), tspi_scan_offset(scan, frame.end));
        if (rc != TSP_OK)
            return rc;
    }
    return TSP_OK;
}

size_t tspi_otlp_proto_next(const uint8_t *bytes, size_t at, size_t len)
{
    struct wire wire = {bytes + at, bytes + len};
    struct field field = {0};

    return next_field(&wire, &field) ? (size_t)(wire.at - bytes) : at;
}
