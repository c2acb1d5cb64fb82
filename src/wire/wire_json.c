/* A file of JSON values, and what the JSON formats find in them alike. */
#include "wire/wire_scan.h"

enum { PREFIX = 8 };

/* A document that nothing closes costs a look at everything behind it. After so many of them the rest is given up. */
enum { MOST_LOST = 100 };

/* JSON lines: each line starts with the same key. So a line whose successor starts with the same bytes ends where it
 * ends, even if it was cut off; anything else (indented documents, arrays with an element a line) is not cut. */
static const uint8_t *line_end(const uint8_t *at, const uint8_t *end, const uint8_t **known)
{
    /* The newline is remembered: many documents on one long line must not each look for it. */
    if (!*known || *known < at)
        *known = memchr(at, '\n', (size_t)(end - at));
    if (!*known)
        *known = end;
    const uint8_t *newline = *known < end ? *known : NULL;
    if (newline && end - newline > PREFIX && newline - at >= PREFIX && !memcmp(newline + 1, at, PREFIX))
        return newline;
    return NULL;
}

/* Where to go on after the document at at failed: the next line that starts like it, or, if it does not start like a
 * document, that starts like one. Not before what spans have been taken from. */
static const uint8_t *resume(const tspi_scan *scan, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *line = scan->base + scan->reached > at ? scan->base + scan->reached : at;
    bool any = *at != '{' && *at != '[';

    while (end - line > PREFIX) {
        const uint8_t *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline || end - newline <= PREFIX)
            break;
        if (any ? newline[1] == '{' || newline[1] == '[' : !memcmp(newline + 1, at, PREFIX))
            return newline;
        line = newline + 1;
    }
    return end;
}

/* Length of the frame at at, or 0: older Collectors put each document behind its length. JSON never starts with such
 * small bytes. */
static size_t frame_len(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 6 || (at[4] != '{' && at[4] != '[') || *at == '{' || *at == '[')
        return 0;
    size_t n = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    return n <= (size_t)(end - at) - 4 ? n : 0;
}

/* JSON values up to end, behind one another. */
static tsp_status documents(tspi_scan *scan, tspi_json_document document, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *newline = NULL;
    unsigned lost = 0;

    while ((at = tspi_json_space_end(at, end)) < end) {
        if (*at == 0x1e) { /* RFC 7464 text sequences */
            at++;
            continue;
        }
        const uint8_t *line = line_end(at, end, &newline);
        tspi_json json = {.at = at, .end = line ? line : end};
        tsp_status rc = document(scan, &json);
        if (json.problem && (rc == TSP_OK || rc == TSP_EPARSE))
            rc = tspi_scan_json_error(scan, &json);
        if (rc == TSP_EPARSE && scan->keep_going) {
            const uint8_t *next = line ? line : ++lost < MOST_LOST ? resume(scan, at, end) : end;
            tspi_scan_give_up(scan, tspi_scan_offset(scan, at), tspi_scan_offset(scan, next));
            json.at = next;
        } else if (rc != TSP_OK)
            return rc;
        at = json.at;
    }
    return TSP_OK;
}

tsp_status tspi_json_documents(tspi_scan *scan, tspi_json_document document, size_t from, size_t to)
{
    const uint8_t *at = scan->base + from, *end = scan->base + to;

    if (!from && to >= 3 && !memcmp(at, "\xef\xbb\xbf", 3))
        at += 3;
    for (size_t frame; (frame = frame_len(at, end)); at += 4 + frame) {
        size_t head = scan->patching ? tspi_scan_copy(scan, tspi_scan_offset(scan, at + 4)) : 0;
        scan->held = true;
        tsp_status rc = documents(scan, document, at + 4, at + 4 + frame);
        scan->held = false;
        if (rc != TSP_OK)
            return rc;
        if (!scan->patching)
            continue;
        /* Digits may have come or gone: the frame's length, too. */
        size_t tail = tspi_scan_copy(scan, tspi_scan_offset(scan, at + 4 + frame));
        if (!tspi_buf_ok(scan->out))
            return tspi_scan_no_memory(scan);
        if (tail - head > UINT32_MAX)
            return tsp_error_set(scan->err, TSP_ERANGE, "%s: a message outgrows its 4-byte length", scan->name);
        for (unsigned k = 0; k < 4; k++)
            scan->out->data[head - 4 + k] = (uint8_t)((tail - head) >> (24 - 8 * k));
        if (scan->drain && (rc = tspi_scan_flush(scan)) != TSP_OK)
            return rc;
    }
    return documents(scan, document, at, end);
}

tsp_status tspi_json_elements(tspi_scan *scan, tspi_json_document element, size_t from, size_t to)
{
    tspi_json json = {.at = scan->base + from, .end = scan->base + to};
    tsp_status rc = TSP_OK;

    while (rc == TSP_OK && tspi_json_peek(&json) != -1) {
        rc = element(scan, &json);
        if (rc == TSP_OK && tspi_json_peek(&json) == ',')
            json.at++;
        else if (rc == TSP_OK && !json.problem && json.at < json.end)
            tspi_json_fail(&json, json.at, "expected ','");
    }
    if (json.problem && (rc == TSP_OK || rc == TSP_EPARSE))
        rc = tspi_scan_json_error(scan, &json);
    return rc;
}

bool tspi_scan_pass_attribute(tspi_json *json)
{
    static const char usual[] = "{\"key\":\"";
    enum { USUAL = sizeof usual - 1 };
    const uint8_t *at = json->at, *next;
    bool escaped;

    if (json->end - at < USUAL + 1 || memcmp(at, usual, USUAL) != 0)
        return false;
    const uint8_t *close = tspi_json_string_end(at + USUAL, json->end, &escaped);
    if (!close || escaped || tspi_attr_may_matter(at + USUAL, (size_t)(close - at - USUAL)))
        return false;
    next = tspi_json_container_end(at, json->end);
    if (!next)
        return false;
    json->at = next;
    return true;
}

void tspi_scan_scalar(tspi_scan *scan, tspi_json *json, tspi_value *ret_value)
{
    int c = tspi_json_peek(json);
    const uint8_t *from = json->at;
    tspi_json_text text;

    *ret_value = (tspi_value){.type = TSPI_VALUE_NONE};
    if (c == '"') {
        if (tspi_json_string(json, &text))
            *ret_value = (tspi_value){.type = TSPI_VALUE_TEXT, .text = tspi_scan_text(scan, &text)};
        return;
    }
    if (!tspi_json_skip(json) || c == '{' || c == '[' || c == 'n')
        return;
    ret_value->text = (tspi_text){(const char *)from, (size_t)(json->at - from)};
    if (c == 't' || c == 'f') {
        ret_value->type = TSPI_VALUE_BOOL;
        ret_value->number = c == 't';
    } else if (tspi_json_number_text(from, ret_value->text.len, 0, &ret_value->number) == TSPI_JSON_NUMBER)
        ret_value->type = TSPI_VALUE_INT;
    else
        ret_value->type = TSPI_VALUE_DOUBLE;
}

int64_t tspi_scan_micro(tspi_scan *scan, tspi_json *json, const char *field, tspi_json_text *ret_text)
{
    int64_t ns = 0;
    enum tspi_json_number what = tspi_json_number(json, 3, &ns, ret_text);

    if (what == TSPI_JSON_NULL || json->problem)
        return TSPI_NO_STAMP;
    if (what == TSPI_JSON_NUMBER && ns >= 0)
        return ns;
    size_t at = tspi_scan_offset(scan, ret_text->at);
    int shown = ret_text->len > 40 ? 40 : (int)ret_text->len;
    if (what == TSPI_JSON_TOO_BIG)
        tspi_scan_bad(scan, at, "%s %.*s lies beyond the year 2262: it should be microseconds", field, shown,
                      (const char *)ret_text->at);
    else
        tspi_scan_bad(scan, at, "%s is not a number of microseconds", field);
    return TSPI_NO_STAMP;
}

bool tspi_scan_micro_stamps(tspi_scan *scan, int64_t start_ns, const tspi_json_text *start, int64_t duration_ns,
                            const tspi_json_text *duration)
{
    tspi_raw_span *span = &scan->span;

    if (start_ns == TSPI_NO_STAMP || !start_ns)
        return true; /* a duration alone places nothing in time */
    span->start_ns = start_ns;
    if (!tspi_scan_place(scan, TSPI_STAMP_START, tspi_scan_offset(scan, start->at), start->len, start_ns))
        return false;
    if (duration_ns == TSPI_NO_STAMP)
        return true;
    if (duration_ns > INT64_MAX - start_ns) {
        tspi_scan_bad(scan, tspi_scan_offset(scan, duration->at), "duration ends beyond the year 2262");
        return true;
    }
    span->end_ns = start_ns + duration_ns;
    return tspi_scan_place(scan, TSPI_STAMP_END, tspi_scan_offset(scan, duration->at), duration->len, span->end_ns);
}

bool tspi_scan_string(tspi_json *json, tspi_json_text *ret_text)
{
    *ret_text = (tspi_json_text){json->at, 0, false};
    if (tspi_json_peek(json) == '"')
        return tspi_json_string(json, ret_text);
    ret_text->at = json->at;
    return tspi_json_null(json) || (tspi_json_skip(json), false);
}

void tspi_scan_trace_id(tspi_scan *scan, tspi_json *json, const char *field, tspi_trace_id *ret_id)
{
    tspi_json_text text;

    if (!tspi_scan_string(json, &text) || !tspi_id_trace_lenient(&text, ret_id))
        tspi_scan_bad(scan, tspi_scan_offset(scan, text.at), "%s is not a string of up to 32 hex digits", field);
}

void tspi_scan_span_id(tspi_scan *scan, tspi_json *json, const char *field, uint64_t *ret_id)
{
    tspi_json_text text;

    if (!tspi_scan_string(json, &text) || !tspi_id_span_lenient(&text, ret_id))
        tspi_scan_bad(scan, tspi_scan_offset(scan, text.at), "%s is not a string of up to 16 hex digits", field);
}

void tspi_scan_name(tspi_scan *scan, tspi_json *json, const char *field)
{
    tspi_json_text text;

    if (!tspi_scan_string(json, &text)) {
        tspi_scan_bad(scan, tspi_scan_offset(scan, text.at), "%s is not a string", field);
        return;
    }
    scan->span.name = (tspi_text){(const char *)text.at, text.len};
    scan->span.name_escaped = text.escaped;
}
