/* OTLP as JSON: the Collector's file exporter and OTLP/HTTP, and what Tempo, Jaeger's v3 API, protobuf's generic JSON
 * and older SDKs make of it: ids in base64, enums by name, snake_case, other words for the outer arrays. */
#include "wire/wire_scan.h"

#define KEY_IS(camel, snake) (TSPI_JSON_IS(&key, camel) || TSPI_JSON_IS(&key, snake))

/* Is an array (or object) next? null and absent are fine and taken; anything else is a failure of the document. */
static bool enter(tspi_json *json, char open)
{
    return !tspi_json_null(json) && tspi_json_open(json, open);
}

/* An AnyValue. Of an array its first element, of which nothing deeper is looked at. */
static void any_value(tspi_scan *scan, tspi_json *json, tspi_value *value, bool nested)
{
    tspi_json_text key, text;

    *value = (tspi_value){.type = TSPI_VALUE_NONE};
    if (tspi_json_peek(json) != '{') {
        tspi_json_skip(json);
        return;
    }
    for (bool more = tspi_json_open(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return;
        int c = tspi_json_peek(json);
        if (KEY_IS("stringValue", "string_value") && c == '"') {
            if (!tspi_json_string(json, &text))
                return;
            *value = (tspi_value){.type = TSPI_VALUE_TEXT, .text = tspi_scan_text(scan, &text)};
        } else if (KEY_IS("intValue", "int_value")) {
            if (tspi_json_number(json, 0, &value->number, &text) == TSPI_JSON_NUMBER) {
                value->type = TSPI_VALUE_INT;
                value->text = (tspi_text){(const char *)text.at, text.len};
            }
        } else if (KEY_IS("boolValue", "bool_value") && (c == 't' || c == 'f')) {
            const char *at = (const char *)json->at;
            tspi_json_skip(json);
            *value = (tspi_value){TSPI_VALUE_BOOL, {at, (size_t)((const char *)json->at - at)}, c == 't'};
        } else if (KEY_IS("doubleValue", "double_value") && c != '"' && c != '{' && c != '[') {
            const char *at = (const char *)json->at;
            tspi_json_skip(json);
            *value = (tspi_value){TSPI_VALUE_DOUBLE, {at, (size_t)((const char *)json->at - at)}, 0};
        } else if (KEY_IS("arrayValue", "array_value") && c == '{' && !nested) {
            for (bool in = tspi_json_open(json, '{'); in; in = tspi_json_more(json, '{')) {
                if (!tspi_json_key(json, &key))
                    return;
                if (!TSPI_JSON_IS(&key, "values") || tspi_json_peek(json) != '[') {
                    tspi_json_skip(json);
                    continue;
                }
                bool first = true;
                for (bool each = tspi_json_open(json, '['); each; each = tspi_json_more(json, '[')) {
                    if (first)
                        any_value(scan, json, value, true);
                    else
                        tspi_json_skip(json);
                    first = false;
                }
            }
        } else
            tspi_json_skip(json);
    }
}

/* What a list of attributes is for. */
enum attribute_use { OF_RESOURCE, OF_SPAN, OF_EVENT };

/* One {"key": ..., "value": ...}. ret_index: the event's number, when it has one. */
static bool attribute(tspi_scan *scan, tspi_json *json, enum attribute_use use, int64_t *ret_index)
{
    const uint8_t *value_at = NULL;
    tspi_json_text key, name = {NULL, 0, false};
    enum tspi_attr attr = TSPI_ATTR_OTHER;
    tspi_value value = {.type = TSPI_VALUE_NONE};
    bool has_index = false;

    if (use != OF_RESOURCE && tspi_scan_pass_attribute(json))
        return false;
    for (bool more = tspi_json_open(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            break;
        if (TSPI_JSON_IS(&key, "key") && tspi_json_peek(json) == '"') {
            if (tspi_json_string(json, &name))
                attr = use == OF_RESOURCE ? TSPI_ATTR_OTHER : tspi_attr_find((const char *)name.at, name.len);
        } else if (TSPI_JSON_IS(&key, "value") && (use == OF_RESOURCE || attr || !name.at)) {
            tspi_json_peek(json);
            value_at = json->at;
            if (attr == TSPI_ATTR_WARNINGS) {
                tspi_json_skip(json);
                value = (tspi_value){TSPI_VALUE_TEXT, {(const char *)value_at, (size_t)(json->at - value_at)}, 0};
            } else
                any_value(scan, json, &value, false);
        } else
            tspi_json_skip(json);
    }
    if (use == OF_RESOURCE) {
        if (name.len && value.type != TSPI_VALUE_NONE && !json->problem &&
            !tspi_scan_process_add(scan, tspi_scan_text(scan, &name), value.text))
            tspi_json_fail(json, json->at, "memory is exhausted");
    } else if (attr == TSPI_ATTR_TOKEN_INDEX) {
        has_index = use == OF_EVENT && value.type == TSPI_VALUE_INT;
        if (has_index)
            *ret_index = value.number;
    } else if (attr && use == OF_SPAN)
        tspi_scan_attribute(scan, attr, &value);
    return has_index;
}

static bool attributes(tspi_scan *scan, tspi_json *json, enum attribute_use use, int64_t *ret_index)
{
    bool has_index = false;

    for (bool more = enter(json, '['); more; more = tspi_json_more(json, '['))
        has_index |= attribute(scan, json, use, ret_index);
    return has_index;
}

/* The process of a resource. The same bytes as lately mean the same process. */
static tsp_status resource(tspi_scan *scan, tspi_json *json)
{
    tspi_json_text key;
    int64_t index;

    if (tspi_json_peek(json) == '{') {
        const uint8_t *end = tspi_json_container_end(json->at, json->end);
        uint32_t process = end ? tspi_scan_seen(scan, json->at, (size_t)(end - json->at)) : TSPI_NONE;
        if (process != TSPI_NONE) {
            scan->process = process;
            json->at = end;
            return TSP_OK;
        }
    }
    const uint8_t *from = json->at;
    tspi_scan_process_begin(scan);
    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            break;
        if (TSPI_JSON_IS(&key, "attributes"))
            attributes(scan, json, OF_RESOURCE, &index);
        else
            tspi_json_skip(json);
    }
    if (json->problem)
        return TSP_OK;
    tsp_status rc = tspi_scan_process_done(scan, &scan->process);
    if (rc == TSP_OK)
        tspi_scan_remember(scan, from, (size_t)(json->at - from), scan->process);
    return rc;
}

static void bad_number(tspi_scan *scan, enum tspi_json_number what, const tspi_json_text *text, const char *field)
{
    size_t at = tspi_scan_offset(scan, text->at);
    int shown = text->len > 40 ? 40 : (int)text->len;

    if (what == TSPI_JSON_TOO_BIG)
        tspi_scan_bad(scan, at, "%s %.*s lies beyond the year 2262: it should be Unix nanoseconds", field, shown,
                      (const char *)text->at);
    else
        tspi_scan_bad(scan, at, "%s is not a whole number of nanoseconds", field);
}

/* A stamp: 0, null and "" mean none. */
static int64_t stamp(tspi_scan *scan, tspi_json *json, const char *field, tspi_json_text *text)
{
    int64_t ns = 0;
    enum tspi_json_number what = tspi_json_number(json, 0, &ns, text);

    if (what == TSPI_JSON_NULL || json->problem)
        return TSPI_NO_STAMP;
    if (what != TSPI_JSON_NUMBER || ns < 0) {
        bad_number(scan, what == TSPI_JSON_NUMBER ? TSPI_JSON_FRACTION : what, text, field);
        return TSPI_NO_STAMP;
    }
    return ns ? ns : TSPI_NO_STAMP;
}

/* An id's text; null is absent. false: it is no text. */
static bool id_text(tspi_json *json, tspi_json_text *text)
{
    *text = (tspi_json_text){json->at, 0, false};
    if (tspi_json_peek(json) == '"')
        return tspi_json_string(json, text);
    if (tspi_json_null(json))
        return true;
    text->at = json->at;
    tspi_json_skip(json);
    return false;
}

static void trace_id(tspi_scan *scan, tspi_json *json, const char *field, tspi_trace_id *ret_id)
{
    tspi_json_text text;

    if (!id_text(json, &text) || !tspi_id_trace(&text, ret_id))
        tspi_scan_bad(scan, tspi_scan_offset(scan, text.at), "%s is neither 32 hex digits nor base64 of 16 bytes",
                      field);
}

static void span_id(tspi_scan *scan, tspi_json *json, const char *field, uint64_t *ret_id)
{
    tspi_json_text text;

    if (!id_text(json, &text) || !tspi_id_span(&text, ret_id))
        tspi_scan_bad(scan, tspi_scan_offset(scan, text.at), "%s is neither 16 hex digits nor base64 of 8 bytes",
                      field);
}

static void event(tspi_scan *scan, tspi_json *json)
{
    tspi_json_text key, text = {NULL, 0, false};
    int64_t at_ns = TSPI_NO_STAMP, index = 0;
    bool has_index = false;

    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return;
        if (KEY_IS("timeUnixNano", "time_unix_nano"))
            at_ns = stamp(scan, json, "an event's timeUnixNano", &text);
        else if (TSPI_JSON_IS(&key, "attributes"))
            has_index |= attributes(scan, json, OF_EVENT, &index);
        else
            tspi_json_skip(json);
    }
    if (at_ns == TSPI_NO_STAMP)
        return;
    if ((has_index && !tspi_scan_event(scan, index, at_ns)) ||
        !tspi_scan_place(scan, TSPI_STAMP_EVENT, tspi_scan_offset(scan, text.at), text.len, at_ns))
        tspi_json_fail(json, json->at, "memory is exhausted");
}

/* A link whose ids cannot be read is a detail lost, not a span. */
static void link_(tspi_scan *scan, tspi_json *json)
{
    tspi_json_text key, text;
    tspi_trace_id trace = {0, 0};
    uint64_t id = 0;
    bool fine = true;
    size_t at = tspi_scan_offset(scan, json->at);

    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return;
        if (KEY_IS("traceId", "trace_id"))
            fine &= id_text(json, &text) && tspi_id_trace(&text, &trace);
        else if (KEY_IS("spanId", "span_id"))
            fine &= id_text(json, &text) && tspi_id_span(&text, &id);
        else
            tspi_json_skip(json);
    }
    if (!fine)
        tspi_scan_bad_part(scan, at, "a link's id is neither hex digits nor base64");
    else if (id && (trace.hi || trace.lo) && !tspi_scan_link(scan, trace, id, TSPI_LINK_LINK))
        tspi_json_fail(json, json->at, "memory is exhausted");
}

/* An integer, or "SPAN_KIND_..." / "STATUS_CODE_...". words: without the prefix, in order of their numbers. */
static bool enum_value(tspi_json *json, const char *prefix, const char *const *words, unsigned words_n, int64_t *ret)
{
    tspi_json_text text;
    size_t prefix_n = strlen(prefix);

    enum tspi_json_number what = tspi_json_number(json, 0, ret, &text);
    if (what == TSPI_JSON_NUMBER)
        return *ret >= 0 && *ret < words_n;
    if (what == TSPI_JSON_NULL)
        return true;
    if (text.len > prefix_n && !memcmp(text.at, prefix, prefix_n)) {
        text.at += prefix_n;
        text.len -= prefix_n;
    }
    for (unsigned k = 0; k < words_n; k++)
        if (tspi_json_is(&text, words[k], strlen(words[k]))) {
            *ret = k;
            return true;
        }
    return false;
}

static void kind(tspi_scan *scan, tspi_json *json)
{
    static const char *const words[] = {"UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    int64_t number = 0;

    tspi_json_peek(json);
    size_t at = tspi_scan_offset(scan, json->at);
    if (enum_value(json, "SPAN_KIND_", words, sizeof words / sizeof words[0], &number))
        scan->span.kind = (uint8_t)number;
    else
        tspi_scan_bad(scan, at, "kind is neither 0 to 5 nor SPAN_KIND_...");
}

static void status(tspi_scan *scan, tspi_json *json)
{
    static const char *const words[] = {"UNSET", "OK", "ERROR"};
    tspi_json_text key;
    int64_t code = 0;

    if (tspi_json_peek(json) != '{') {
        tspi_json_skip(json);
        return;
    }
    for (bool more = tspi_json_open(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return;
        tspi_json_peek(json);
        size_t at = tspi_scan_offset(scan, json->at);
        if (!TSPI_JSON_IS(&key, "code"))
            tspi_json_skip(json);
        else if (!enum_value(json, "STATUS_CODE_", words, sizeof words / sizeof words[0], &code))
            tspi_scan_bad_part(scan, at, "status.code is neither 0 to 2 nor STATUS_CODE_...");
    }
    if (code == 2)
        scan->span.flags |= TSPI_SPAN_ERROR;
}

static void flags(tspi_scan *scan, tspi_json *json)
{
    tspi_json_text text;
    int64_t bits;

    if (tspi_json_number(json, 0, &bits, &text) == TSPI_JSON_NUMBER && bits & 0x100)
        scan->span.flags |= bits & 0x200 ? TSPI_SPAN_REMOTE_KNOWN | TSPI_SPAN_REMOTE_PARENT : TSPI_SPAN_REMOTE_KNOWN;
}

/* Where a span's two stamps stand: the last of several counts, as in every JSON reader. */
struct stamps {
    tspi_json_text start, end;
};

static void span_field(tspi_scan *scan, tspi_json *json, tspi_json_text key, struct stamps *stamps)
{
    tspi_raw_span *span = &scan->span;
    int64_t index;

    if (TSPI_JSON_IS(&key, "attributes"))
        attributes(scan, json, OF_SPAN, &index);
    else if (KEY_IS("traceId", "trace_id"))
        trace_id(scan, json, "traceId", &span->trace);
    else if (KEY_IS("spanId", "span_id"))
        span_id(scan, json, "spanId", &span->span_id);
    else if (KEY_IS("parentSpanId", "parent_span_id"))
        span_id(scan, json, "parentSpanId", &span->parent_id);
    else if (TSPI_JSON_IS(&key, "name"))
        tspi_scan_name(scan, json, "name");
    else if (TSPI_JSON_IS(&key, "kind"))
        kind(scan, json);
    else if (KEY_IS("startTimeUnixNano", "start_time_unix_nano"))
        span->start_ns = stamp(scan, json, "startTimeUnixNano", &stamps->start);
    else if (KEY_IS("endTimeUnixNano", "end_time_unix_nano"))
        span->end_ns = stamp(scan, json, "endTimeUnixNano", &stamps->end);
    else if (TSPI_JSON_IS(&key, "events"))
        for (bool more = enter(json, '['); more; more = tspi_json_more(json, '['))
            event(scan, json);
    else if (TSPI_JSON_IS(&key, "links"))
        for (bool more = enter(json, '['); more; more = tspi_json_more(json, '['))
            link_(scan, json);
    else if (TSPI_JSON_IS(&key, "status"))
        status(scan, json);
    else if (TSPI_JSON_IS(&key, "flags"))
        flags(scan, json);
    else
        tspi_json_skip(json);
}

static tsp_status one_span(tspi_scan *scan, tspi_json *json)
{
    struct stamps stamps;
    tspi_json_text key;
    bool fine = true;

    tspi_scan_begin(scan);
    scan->span_at = tspi_scan_offset(scan, json->at);
    if (tspi_json_null(json))
        return TSP_OK;
    for (bool more = tspi_json_open(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return TSP_OK;
        span_field(scan, json, key, &stamps);
    }
    if (json->problem)
        return TSP_OK;
    scan->reached = tspi_scan_offset(scan, json->at);
    if (scan->patching && scan->span.start_ns != TSPI_NO_STAMP)
        fine &= tspi_scan_place(scan, TSPI_STAMP_START, tspi_scan_offset(scan, stamps.start.at), stamps.start.len,
                                scan->span.start_ns);
    if (scan->patching && scan->span.end_ns != TSPI_NO_STAMP)
        fine &= tspi_scan_place(scan, TSPI_STAMP_END, tspi_scan_offset(scan, stamps.end.at), stamps.end.len,
                                scan->span.end_ns);
    return fine ? tspi_scan_emit(scan) : tspi_scan_no_memory(scan);
}

static tsp_status scope(tspi_scan *scan, tspi_json *json)
{
    tspi_json_text key;
    tsp_status rc = TSP_OK;

    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return TSP_OK;
        if (!TSPI_JSON_IS(&key, "spans")) {
            tspi_json_skip(json);
            continue;
        }
        for (bool each = enter(json, '['); each; each = tspi_json_more(json, '[')) {
            rc = one_span(scan, json);
            if (rc != TSP_OK)
                return rc;
        }
    }
    return TSP_OK;
}

static tsp_status scopes(tspi_scan *scan, tspi_json *json)
{
    tsp_status rc = TSP_OK;

    for (bool more = enter(json, '['); more && rc == TSP_OK; more = rc == TSP_OK && tspi_json_more(json, '['))
        rc = scope(scan, json);
    return rc;
}

/* One element of resourceSpans. Members may come in any order: scopes that stand before their resource wait until the
 * object has been passed over once. */
static tsp_status resource_spans(tspi_scan *scan, tspi_json *json)
{
    const uint8_t *waiting = NULL, *from = json->at;
    tspi_json_text key;
    bool has_resource = false;
    tsp_status rc = TSP_OK;

    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return TSP_OK;
        bool is_scopes = KEY_IS("scopeSpans", "scope_spans") ||
                         KEY_IS("instrumentationLibrarySpans", "instrumentation_library_spans");
        if (TSPI_JSON_IS(&key, "resource")) {
            rc = resource(scan, json);
            has_resource = true;
        } else if (is_scopes && has_resource && !waiting)
            rc = scopes(scan, json);
        else {
            if (is_scopes && !waiting)
                waiting = json->at;
            tspi_json_skip(json);
        }
        if (rc != TSP_OK)
            return rc;
    }
    if (!waiting || json->problem)
        return TSP_OK;
    if (!has_resource)
        rc = tspi_scan_nobody(scan, &scan->process);
    /* Again from the object's start; members before waiting that are scopes do not exist, or waiting would be there. */
    tspi_json again = {.at = from, .end = json->at};
    for (bool more = enter(&again, '{'); more && rc == TSP_OK; more = rc == TSP_OK && tspi_json_more(&again, '{')) {
        if (!tspi_json_key(&again, &key))
            break;
        if (again.at >= waiting && (KEY_IS("scopeSpans", "scope_spans") ||
                                    KEY_IS("instrumentationLibrarySpans", "instrumentation_library_spans")))
            rc = scopes(scan, &again);
        else
            tspi_json_skip(&again);
    }
    if (again.problem)
        tspi_json_fail(json, again.problem_at, again.problem);
    return rc;
}

/* A document: {"resourceSpans": [...]}, as an array of such, or wrapped as {"result": ...} (Jaeger v3) or
 * {"trace": ...} (Tempo v2). depth keeps wrappers from nesting without end. */
static tsp_status document(tspi_scan *scan, tspi_json *json, unsigned depth)
{
    tspi_json_text key;
    tsp_status rc = TSP_OK;

    if (depth < 3 && tspi_json_peek(json) == '[') {
        for (bool more = tspi_json_open(json, '['); more && rc == TSP_OK;
             more = rc == TSP_OK && tspi_json_more(json, '['))
            rc = document(scan, json, depth + 1);
        return rc;
    }
    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return TSP_OK;
        if (KEY_IS("resourceSpans", "resource_spans") || TSPI_JSON_IS(&key, "batches"))
            for (bool each = enter(json, '['); each && rc == TSP_OK; each = rc == TSP_OK && tspi_json_more(json, '['))
                rc = resource_spans(scan, json);
        else if (depth < 3 && (KEY_IS("result", "trace")))
            rc = document(scan, json, depth + 1);
        else
            tspi_json_skip(json);
        if (rc != TSP_OK)
            return rc;
    }
    return rc;
}

tsp_status tspi_otlp_json_document(tspi_scan *scan, tspi_json *json)
{
    return document(scan, json, 0);
}

tsp_status tspi_otlp_json_element(tspi_scan *scan, tspi_json *json)
{
    return resource_spans(scan, json);
}
