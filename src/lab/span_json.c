#include "lab/span_json.h"

#include <endian.h>
#include <stdio.h>

#include "base/hex.h"

/* More bytes than all of a span's fixed text, numbers and ids, in the trace or in the truth; names, texts and what its
 * sort has come on top. */
enum { SPAN_BYTES = 768, ATTRIBUTE_BYTES = 96 };

#define PUT(at, text) put_bytes(at, text, sizeof(text) - 1)

static inline uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

/* ------------------------------------------------------------------ numbers */

/* All eight digits of a number below 10^8, the lower half of each step's lanes at a time: four, two, one digit a lane.
 * Each quotient is a product with the reciprocal, exact over its range. */
static uint8_t *put_eight(uint8_t *at, uint32_t value)
{
    uint64_t fours = value / 10000 | (uint64_t)(value % 10000) << 32;
    uint64_t hundreds = (fours * 10486 >> 20) & UINT64_C(0x7f0000007f); /* / 100, below 10^4 */
    uint64_t twos = hundreds | (fours - 100 * hundreds) << 16;
    uint64_t tens = (twos * 103 >> 10) & UINT64_C(0xf000f000f000f); /* / 10, below 100 */
    uint64_t ones = htole64((tens | (twos - 10 * tens) << 8) + UINT64_C(0x3030303030303030));

    memcpy(at, &ones, sizeof ones);
    return at + 8;
}

/* Without zeros in front; value < 10^8. */
static uint8_t *put_short(uint8_t *at, uint32_t value)
{
    uint8_t digits[8];
    unsigned first = 0;

    put_eight(digits, value);
    while (first < 7 && digits[first] == '0')
        first++;
    return put_bytes(at, digits + first, 8 - first);
}

static uint8_t *put_decimal(uint8_t *at, int64_t value)
{
    const uint64_t block = 100000000;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    if (value < 0)
        *at++ = '-';
    if (rest < block)
        return put_short(at, (uint32_t)rest);
    uint64_t high = rest / block;
    if (high < block)
        at = put_short(at, (uint32_t)high);
    else {
        at = put_short(at, (uint32_t)(high / block));
        at = put_eight(at, (uint32_t)(high % block));
    }
    return put_eight(at, (uint32_t)(rest % block));
}

/* Stamps of this age and of the next two centuries have 19 digits. */
static void digits_of(struct tspi_stamp_digits *digits, int64_t ns)
{
    const int64_t block = 100000000;
    int64_t high = ns / block;

    if (high != digits->high) {
        uint32_t first = (uint32_t)(high / block);
        digits->text[0] = (uint8_t)('0' + first / 100);
        digits->text[1] = (uint8_t)('0' + first / 10 % 10);
        digits->text[2] = (uint8_t)('0' + first % 10);
        put_eight(digits->text + 3, (uint32_t)(high % block));
        digits->high = high;
    }
    put_eight(digits->text + 11, (uint32_t)(ns - high * block));
    digits->ns = ns;
}

static inline uint8_t *put_stamp(uint8_t *at, int64_t ns, struct tspi_stamp_digits *digits)
{
    if (ns < INT64_C(1000000000000000000))
        return put_decimal(at, ns);
    if (ns != digits->ns)
        digits_of(digits, ns);
    return put_bytes(at, digits->text, sizeof digits->text);
}

static uint8_t *put_hex(uint8_t *at, const uint8_t *bytes, size_t n)
{
    tspi_hex_write(bytes, n, (char *)at);
    return at + 2 * n;
}

static uint8_t *put_id(uint8_t *at, uint64_t id)
{
    uint64_t bytes = htobe64(id);

    return put_hex(at, (const uint8_t *)&bytes, sizeof bytes);
}

/* ------------------------------------------------------------------ texts and attributes */

static bool is_plain(const char *text, size_t len)
{
    for (size_t k = 0; k < len; k++)
        if ((uint8_t)text[k] < 0x20 || (uint8_t)text[k] >= 0x7f || text[k] == '"' || text[k] == '\\')
            return false;
    return true;
}

/* A JSON string. at: the end of buf; returns its new end, with room for more behind it, or NULL when memory is
 * exhausted. */
static uint8_t *put_text(tspi_buf *buf, uint8_t *at, const char *text, size_t more)
{
    size_t len = strlen(text);

    buf->len = (size_t)(at - buf->data);
    if (is_plain(text, len)) {
        if (!tspi_buf_reserve(buf, len + 2 + more))
            return NULL;
        at = buf->data + buf->len;
        *at++ = '"';
        at = put_bytes(at, text, len);
        *at++ = '"';
        return at;
    }
    tspi_buf_json_string(buf, text, len);
    return tspi_buf_reserve(buf, more) ? buf->data + buf->len : NULL;
}

/* Likewise. */
static uint8_t *put_attribute(tspi_buf *buf, uint8_t *at, const tspi_span_attribute *attribute, size_t more)
{
    buf->len = (size_t)(at - buf->data);
    if (!tspi_buf_reserve(buf, attribute->key_len + ATTRIBUTE_BYTES + more))
        return NULL;
    at = PUT(buf->data + buf->len, "{\"key\":\"");
    at = put_bytes(at, attribute->key, attribute->key_len);
    if (attribute->text) {
        at = PUT(at, "\",\"value\":{\"stringValue\":");
        at = put_text(buf, at, attribute->text, more + ATTRIBUTE_BYTES);
        return at ? PUT(at, "}}") : NULL;
    }
    if (attribute->is_real) {
        char number[40];
        int len = snprintf(number, sizeof number, "%.9g", attribute->real);
        at = PUT(at, "\",\"value\":{\"doubleValue\":");
        at = put_bytes(at, number, (size_t)len);
        return PUT(at, "}}");
    }
    at = PUT(at, "\",\"value\":{\"intValue\":\"");
    at = put_decimal(at, attribute->integer);
    return PUT(at, "\"}}");
}

static uint8_t *put_attributes(tspi_buf *buf, uint8_t *at, const tspi_span_attribute *attributes, uint32_t n,
                               size_t more)
{
    for (uint32_t k = 0; k < n && at; k++) {
        if (k)
            *at++ = ',';
        at = put_attribute(buf, at, &attributes[k], more + 1);
    }
    return at;
}

/* The new end of a buffer that was written to directly; NULL: it has failed. */
static void end_at(tspi_buf *buf, const uint8_t *at)
{
    if (at)
        buf->len = (size_t)(at - buf->data);
}

void tspi_span_json_attributes(tspi_buf *out, const tspi_span_attribute *attributes, uint32_t n)
{
    if (tspi_buf_reserve(out, SPAN_BYTES))
        end_at(out, put_attributes(out, out->data + out->len, attributes, n, 0));
}

/* ------------------------------------------------------------------ a span */

static uint8_t *put_name(tspi_buf *buf, uint8_t *at, const tspi_lab_span *span, size_t more)
{
    at = PUT(at, ",\"name\":");
    at = put_text(buf, at, span->name, SPAN_BYTES + more);
    if (!at)
        return NULL;
    at = PUT(at, ",\"kind\":");
    at = put_decimal(at, span->kind);
    return PUT(at, ",\"startTimeUnixNano\":\"");
}

bool tspi_span_sort_make(tspi_span_sort *sort, const tspi_lab_span *span)
{
    *sort = (tspi_span_sort){.name = {0}};
    if (tspi_buf_reserve(&sort->name, SPAN_BYTES))
        end_at(&sort->name, put_name(&sort->name, sort->name.data, span, 0));
    tspi_span_json_attributes(&sort->attributes, span->attributes, span->attributes_n);
    return tspi_buf_ok(&sort->name) && tspi_buf_ok(&sort->attributes);
}

void tspi_span_sort_release(tspi_span_sort *sort)
{
    tspi_buf_release(&sort->name);
    tspi_buf_release(&sort->attributes);
}

static uint8_t *put_ids(uint8_t *at, const tspi_lab_span *span)
{
    at = PUT(at, "{\"traceId\":\"");
    at = put_hex(at, span->trace_id, sizeof span->trace_id);
    at = PUT(at, "\",\"spanId\":\"");
    at = put_id(at, span->span_id);
    if (!span->parent_id)
        return PUT(at, "\",\"flags\":257");
    at = PUT(at, "\",\"parentSpanId\":\"");
    at = put_id(at, span->parent_id);
    /* flags: W3C sampled, "is_remote is known", and whether the parent is remote (trace.proto, SpanFlags) */
    return span->parent_is_remote ? PUT(at, "\",\"flags\":769") : PUT(at, "\",\"flags\":257");
}

static uint8_t *put_links(tspi_buf *out, uint8_t *at, const tspi_lab_span *span)
{
    at = PUT(at, ",\"links\":[");
    for (uint32_t k = 0; k < span->links_n; k++) {
        out->len = (size_t)(at - out->data);
        if (!tspi_buf_reserve(out, SPAN_BYTES))
            return NULL;
        at = out->data + out->len;
        if (k)
            *at++ = ',';
        at = PUT(at, "{\"traceId\":\"");
        at = put_hex(at, span->links[k].trace_id, sizeof span->links[k].trace_id);
        at = PUT(at, "\",\"spanId\":\"");
        at = put_id(at, span->links[k].span_id);
        at = PUT(at, "\"}");
    }
    return PUT(at, "]");
}

static uint8_t *put_span(tspi_buf *out, const tspi_lab_span *span, tspi_span_digits *digits)
{
    const tspi_span_sort *sort = span->sort;
    size_t common = sort ? sort->name.len + sort->attributes.len : 0;

    if (!tspi_buf_reserve(out, SPAN_BYTES + common))
        return NULL;
    uint8_t *at = put_ids(out->data + out->len, span);
    at = sort ? put_bytes(at, sort->name.data, sort->name.len) : put_name(out, at, span, common);
    if (!at)
        return NULL;
    at = put_stamp(at, span->start.local_ns, &digits->start);
    at = PUT(at, "\",\"endTimeUnixNano\":\"");
    at = put_stamp(at, span->end.local_ns, &digits->end);
    at = PUT(at, "\",\"attributes\":[");
    if (sort && sort->attributes.len) {
        at = put_bytes(at, sort->attributes.data, sort->attributes.len);
        if (span->attributes_n)
            *at++ = ',';
    }
    at = put_attributes(out, at, span->attributes, span->attributes_n, ATTRIBUTE_BYTES);
    if (at)
        *at++ = ']';
    if (at && span->links_n)
        at = put_links(out, at, span);
    return at ? PUT(at, ",\"status\":{}}") : NULL;
}

void tspi_span_json(tspi_buf *out, const tspi_lab_span *span, tspi_span_digits *digits)
{
    end_at(out, put_span(out, span, digits));
}

void tspi_span_truth(tspi_buf *truth, const tspi_lab_span *span, tspi_span_digits *digits)
{
    if (!tspi_buf_reserve(truth, SPAN_BYTES))
        return;
    uint8_t *at = truth->data + truth->len;
    at = PUT(at, "{\"span_id\":\"");
    at = put_id(at, span->span_id);
    at = PUT(at, "\",\"start\":\"");
    at = put_stamp(at, span->start.true_ns, &digits->start);
    at = PUT(at, "\",\"end\":\"");
    at = put_stamp(at, span->end.true_ns, &digits->end);
    at = PUT(at, "\",\"start_offset_ns\":");
    at = put_decimal(at, span->start.local_ns - span->start.true_ns - span->start.late_ns);
    if (span->start.late_ns) {
        at = PUT(at, ",\"start_late_ns\":");
        at = put_decimal(at, span->start.late_ns);
    }
    end_at(truth, PUT(at, "}\n"));
}
