/* Zipkin v2: an array of spans, or an array of traces that are arrays of spans, or one of either a line. */
#include <strings.h>

#include "wire/wire_scan.h"

static bool enter(tspi_json *json, char open)
{
    return !tspi_json_null(json) && tspi_json_open(json, open);
}

/* An endpoint as process attributes. Values that are no text are left out, but for the port, which is a number. */
static void endpoint_fields(tspi_scan *scan, tspi_json *json)
{
    static const struct {
        const char *field, *attribute;
    } fields[] = {{"serviceName", "service.name"}, {"ipv4", "ip"}, {"ipv6", "ip"}, {"port", "port"}};
    tspi_json_text key;
    tspi_value value;
    bool has_ip = false;

    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return;
        const char *attribute = NULL;
        for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++)
            if (tspi_json_is(&key, fields[k].field, strlen(fields[k].field)))
                attribute = fields[k].attribute;
        tspi_scan_scalar(scan, json, &value);
        if (!attribute || !value.text.len || value.type == TSPI_VALUE_NONE)
            continue;
        if (!strcmp(attribute, "ip") && has_ip && TSPI_JSON_IS(&key, "ipv6"))
            continue; /* one address names the host; the shorter kind is the more common key */
        has_ip |= !strcmp(attribute, "ip");
        if (!tspi_scan_process_add(scan, (tspi_text){attribute, strlen(attribute)}, value.text))
            tspi_json_fail(json, json->at, "memory is exhausted");
    }
}

static tsp_status endpoint(tspi_scan *scan, tspi_json *json)
{
    if (tspi_json_peek(json) != '{') {
        tspi_json_skip(json);
        return TSP_OK;
    }
    const uint8_t *from = json->at, *end = tspi_json_container_end(json->at, json->end);
    uint32_t process = end ? tspi_scan_seen(scan, from, (size_t)(end - from)) : TSPI_NONE;
    if (process != TSPI_NONE) {
        scan->process = process;
        json->at = end;
        return TSP_OK;
    }
    tspi_scan_process_begin(scan);
    endpoint_fields(scan, json);
    if (json->problem)
        return TSP_OK;
    tsp_status rc = tspi_scan_process_done(scan, &scan->process);
    if (rc == TSP_OK)
        tspi_scan_remember(scan, from, (size_t)(json->at - from), scan->process);
    return rc;
}

static void kind(tspi_scan *scan, tspi_json *json)
{
    static const struct {
        const char *word;
        enum tspi_span_kind kind;
    } kinds[] = {{"CLIENT", TSPI_KIND_CLIENT},
                 {"SERVER", TSPI_KIND_SERVER},
                 {"PRODUCER", TSPI_KIND_PRODUCER},
                 {"CONSUMER", TSPI_KIND_CONSUMER}};
    tspi_json_text text;

    if (tspi_scan_string(json, &text)) {
        if (!text.len)
            return;
        for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++)
            if (text.len == strlen(kinds[k].word) && !strncasecmp((const char *)text.at, kinds[k].word, text.len)) {
                scan->span.kind = (uint8_t)kinds[k].kind;
                return;
            }
    }
    tspi_scan_bad(scan, tspi_scan_offset(scan, text.at), "kind is none of CLIENT, SERVER, PRODUCER, CONSUMER");
}

static void tags(tspi_scan *scan, tspi_json *json)
{
    tspi_json_text key;
    tspi_value value;

    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return;
        enum tspi_attr attr = tspi_attr_find((const char *)key.at, key.len);
        if (attr == TSPI_ATTR_OTHER || attr == TSPI_ATTR_TOKEN_INDEX) {
            tspi_json_skip(json);
            continue;
        }
        tspi_scan_scalar(scan, json, &value);
        tspi_scan_attribute(scan, attr, &value);
    }
}

static void annotation(tspi_scan *scan, tspi_json *json)
{
    tspi_json_text key, text = {NULL, 0, false};
    int64_t at_ns = TSPI_NO_STAMP;

    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return;
        if (TSPI_JSON_IS(&key, "timestamp"))
            at_ns = tspi_scan_micro(scan, json, "an annotation's timestamp", &text);
        else
            tspi_json_skip(json);
    }
    if (at_ns > 0 && !tspi_scan_place(scan, TSPI_STAMP_EVENT, tspi_scan_offset(scan, text.at), text.len, at_ns))
        tspi_json_fail(json, json->at, "memory is exhausted");
}

/* timestamp and duration, which may come in either order. */
struct times {
    int64_t start_ns, duration_ns;
    tspi_json_text start, duration;
};

static tsp_status span_field(tspi_scan *scan, tspi_json *json, tspi_json_text key, struct times *times)
{
    tspi_raw_span *span = &scan->span;

    if (TSPI_JSON_IS(&key, "traceId"))
        tspi_scan_trace_id(scan, json, "traceId", &span->trace);
    else if (TSPI_JSON_IS(&key, "id"))
        tspi_scan_span_id(scan, json, "id", &span->span_id);
    else if (TSPI_JSON_IS(&key, "parentId"))
        tspi_scan_span_id(scan, json, "parentId", &span->parent_id);
    else if (TSPI_JSON_IS(&key, "name"))
        tspi_scan_name(scan, json, "name");
    else if (TSPI_JSON_IS(&key, "kind"))
        kind(scan, json);
    else if (TSPI_JSON_IS(&key, "timestamp"))
        times->start_ns = tspi_scan_micro(scan, json, "timestamp", &times->start);
    else if (TSPI_JSON_IS(&key, "duration"))
        times->duration_ns = tspi_scan_micro(scan, json, "duration", &times->duration);
    else if (TSPI_JSON_IS(&key, "localEndpoint"))
        return endpoint(scan, json);
    else if (TSPI_JSON_IS(&key, "annotations"))
        for (bool more = enter(json, '['); more; more = tspi_json_more(json, '['))
            annotation(scan, json);
    else if (TSPI_JSON_IS(&key, "tags"))
        tags(scan, json);
    else if (TSPI_JSON_IS(&key, "shared")) {
        if (tspi_json_peek(json) == 't')
            span->flags |= TSPI_SPAN_SHARED;
        tspi_json_skip(json);
    } else
        tspi_json_skip(json);
    return TSP_OK;
}

static tsp_status one_span(tspi_scan *scan, tspi_json *json)
{
    struct times times = {TSPI_NO_STAMP, TSPI_NO_STAMP, {NULL, 0, false}, {NULL, 0, false}};
    tspi_json_text key;
    tsp_status rc = TSP_OK;

    tspi_scan_begin(scan);
    scan->span_at = tspi_scan_offset(scan, json->at);
    scan->process = TSPI_NONE;
    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return TSP_OK;
        rc = span_field(scan, json, key, &times);
        if (rc != TSP_OK)
            return rc;
    }
    if (json->problem)
        return TSP_OK;
    scan->reached = tspi_scan_offset(scan, json->at);
    if (scan->process == TSPI_NONE)
        rc = tspi_scan_nobody(scan, &scan->process);
    if (rc != TSP_OK)
        return rc;
    if (!tspi_scan_micro_stamps(scan, times.start_ns, &times.start, times.duration_ns, &times.duration))
        return tspi_scan_no_memory(scan);
    return tspi_scan_emit(scan);
}

/* A span, a trace, or a list of traces. */
static tsp_status value(tspi_scan *scan, tspi_json *json, unsigned depth)
{
    tsp_status rc = TSP_OK;

    if (tspi_json_null(json))
        return TSP_OK;
    if (depth == 2 || tspi_json_peek(json) != '[')
        return one_span(scan, json);
    for (bool more = tspi_json_open(json, '['); more && rc == TSP_OK; more = rc == TSP_OK && tspi_json_more(json, '['))
        rc = value(scan, json, depth + 1);
    return rc;
}

tsp_status tspi_zipkin_json_document(tspi_scan *scan, tspi_json *json)
{
    return value(scan, json, 0);
}

tsp_status tspi_zipkin_json_element(tspi_scan *scan, tspi_json *json)
{
    return value(scan, json, 1);
}
