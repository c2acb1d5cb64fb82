/* Where documents can be cut. A wrong cut does no harm: its piece cannot be read, and one thread reads everything. */
#include <stdlib.h>

#include "wire/wire_parallel.h"

static bool add(tspi_cuts *cuts, size_t at)
{
    if (cuts->n == cuts->cap) {
        size_t cap = cuts->cap ? cuts->cap * 2 : 64;
        size_t *bigger = realloc(cuts->at, cap * sizeof *bigger);
        if (!bigger)
            return false;
        cuts->at = bigger;
        cuts->cap = cap;
    }
    cuts->at[cuts->n++] = at;
    return true;
}

/* A cut at at, if it is far enough behind the last one. */
static bool consider(tspi_cuts *cuts, size_t at, size_t chunk_bytes)
{
    return at - cuts->at[cuts->n - 1] < chunk_bytes || add(cuts, at);
}

static size_t be32(const uint8_t *at)
{
    return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

static bool cut_frames(const uint8_t *bytes, size_t len, size_t chunk_bytes, tspi_cuts *cuts)
{
    for (size_t at = 0; len - at >= 4 && be32(bytes + at) <= len - at - 4;) {
        at += 4 + be32(bytes + at);
        if (at < len && !consider(cuts, at, chunk_bytes))
            return false;
    }
    return add(cuts, len);
}

static bool cut_proto(const uint8_t *bytes, size_t len, size_t chunk_bytes, tspi_cuts *cuts)
{
    size_t at = 0, next;

    while (at < len && (next = tspi_otlp_proto_next(bytes, at, len)) > at) {
        at = next;
        if (at < len && !consider(cuts, at, chunk_bytes))
            return false;
    }
    return add(cuts, len);
}

/* JSON lines: before lines that begin like the first. */
static bool cut_lines(const uint8_t *bytes, size_t len, size_t chunk_bytes, tspi_cuts *cuts)
{
    enum { PREFIX = 8 };
    const uint8_t *first = tspi_json_space_end(bytes, bytes + len), *end = bytes + len, *at = first;

    if (end - first < PREFIX)
        return true;
    while ((size_t)(end - at) > chunk_bytes + PREFIX) {
        at += chunk_bytes;
        while ((at = memchr(at, '\n', (size_t)(end - at))) && end - at > PREFIX && memcmp(at + 1, first, PREFIX) != 0)
            at++;
        if (!at || end - at <= PREFIX)
            break;
        at++;
        if (!add(cuts, (size_t)(at - bytes)))
            return false;
    }
    return add(cuts, len);
}

/* The elements of the array at the cursor. */
static bool cut_array(tspi_json *json, const uint8_t *base, size_t chunk_bytes, tspi_cuts *cuts)
{
    if (!tspi_json_open(json, '['))
        return true;
    tspi_json_peek(json);
    cuts->n = 0;
    if (!add(cuts, (size_t)(json->at - base)))
        return false;
    for (bool more = true; more; more = tspi_json_more(json, '[')) {
        tspi_json_peek(json);
        if (!consider(cuts, (size_t)(json->at - base), chunk_bytes))
            return false;
        tspi_json_skip(json);
    }
    return json->problem || add(cuts, (size_t)(json->at - base) - 1);
}

static bool is_main_array(enum tspi_format format, const tspi_json_text *key)
{
    if (format == TSPI_FORMAT_JAEGER_JSON)
        return TSPI_JSON_IS(key, "data");
    return TSPI_JSON_IS(key, "resourceSpans") || TSPI_JSON_IS(key, "resource_spans") || TSPI_JSON_IS(key, "batches");
}

/* Members beside the main array that the readers look into: then the order of rows would not be the array's alone. */
static bool is_rival(enum tspi_format format, const tspi_json_text *key)
{
    if (format == TSPI_FORMAT_JAEGER_JSON)
        return TSPI_JSON_IS(key, "spans") || TSPI_JSON_IS(key, "processes") || TSPI_JSON_IS(key, "traceID");
    return TSPI_JSON_IS(key, "result") || TSPI_JSON_IS(key, "trace");
}

/* The one document that is all there is: its main array. Anything unusual ends without cuts. */
static bool cut_elements(const uint8_t *bytes, size_t len, enum tspi_format format, size_t chunk_bytes, tspi_cuts *cuts)
{
    bool bom = len >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3), found = false, usual = true;
    tspi_json json = {.at = bytes + (bom ? 3 : 0), .end = bytes + len};
    tspi_json_text key;

    cuts->elements = true;
    if (tspi_json_peek(&json) == '[') {
        if (format == TSPI_FORMAT_OTLP_JSON)
            return true;
        if (!cut_array(&json, bytes, chunk_bytes, cuts))
            return false;
    } else if (tspi_json_peek(&json) != '{' || format == TSPI_FORMAT_ZIPKIN_JSON)
        return true;
    else
        for (bool more = tspi_json_open(&json, '{'); more; more = tspi_json_more(&json, '{')) {
            if (!tspi_json_key(&json, &key))
                break;
            usual &= !is_rival(format, &key);
            if (is_main_array(format, &key) && tspi_json_peek(&json) == '[') {
                usual &= !found;
                found = true;
                if (!cut_array(&json, bytes, chunk_bytes, cuts))
                    return false;
            } else
                tspi_json_skip(&json);
        }
    if (json.problem || !usual || tspi_json_peek(&json) != -1)
        cuts->n = 0;
    return true;
}

void tspi_cuts_find(const uint8_t *bytes, size_t len, enum tspi_format format, size_t chunk_bytes, tspi_cuts *ret_cuts)
{
    bool fine;

    *ret_cuts = (tspi_cuts){0};
    fine = add(ret_cuts, 0);
    if (fine && format == TSPI_FORMAT_OTLP_PROTO)
        fine = cut_proto(bytes, len, chunk_bytes, ret_cuts);
    else if (fine &&
             (format == TSPI_FORMAT_OTLP_PROTO_FRAMED ||
              (format == TSPI_FORMAT_OTLP_JSON && len && *bytes != '{' && *bytes < ' ' && !tspi_json_blank(*bytes))))
        fine = cut_frames(bytes, len, chunk_bytes, ret_cuts);
    else if (fine) {
        fine = cut_lines(bytes, len, chunk_bytes, ret_cuts);
        if (fine && ret_cuts->n < 3) {
            ret_cuts->n = 0;
            fine = add(ret_cuts, 0) && cut_elements(bytes, len, format, chunk_bytes, ret_cuts);
        }
    }
    if (!fine)
        ret_cuts->n = 0;
}

/* Before the last line that begins like the first; none begins before looked. What has been looked at once is a
 * document that grows: then forwards, as files are read ahead. */
static size_t last_line(const uint8_t *bytes, size_t len, size_t looked)
{
    enum { PREFIX = 8 };
    const uint8_t *first = tspi_json_space_end(bytes, bytes + len), *end = bytes + len;

    if (end - first < PREFIX)
        return 0;
    if (looked > PREFIX) {
        const uint8_t *last = NULL, *at = bytes + looked - PREFIX;
        for (; (at = memchr(at, '\n', (size_t)(end - at))) && end - at > PREFIX; at++)
            last = memcmp(at + 1, first, PREFIX) ? last : at + 1;
        return last ? (size_t)(last - bytes) : 0;
    }
    for (const uint8_t *at = end - PREFIX; (at = memrchr(first, '\n', (size_t)(at - first)));)
        if (!memcmp(at + 1, first, PREFIX))
            return (size_t)(at + 1 - bytes);
    return 0;
}

size_t tspi_cuts_last(const uint8_t *bytes, size_t len, size_t looked, enum tspi_format format)
{
    size_t at = 0, next;

    if (format == TSPI_FORMAT_OTLP_PROTO)
        while (at < len && (next = tspi_otlp_proto_next(bytes, at, len)) > at)
            at = next;
    else if (format == TSPI_FORMAT_OTLP_PROTO_FRAMED ||
             (format == TSPI_FORMAT_OTLP_JSON && len && *bytes != '{' && *bytes < ' ' && !tspi_json_blank(*bytes)))
        while (len - at >= 4 && be32(bytes + at) <= len - at - 4)
            at += 4 + be32(bytes + at);
    else
        return last_line(bytes, len, looked);
    return at;
}
