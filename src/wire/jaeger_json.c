/* Jaeger's UI and HTTP API: {"data": [trace, ...]}, one trace alone, or an array of traces. */
#include <stdlib.h>

#include "base/hash.h"
#include "wire/wire_scan.h"

/* A trace's spans name their process by an id ("p1") that its processes member explains, as a rule behind the spans. So
 * rows first hold the number of a slot, and are given their process when the trace ends. */
struct slot {
    const uint8_t *id; /* NULL: a process that stood inside its span */
    size_t id_len;
    uint32_t process; /* TSPI_NONE until known */
};

struct tspi_jaeger_slots {
    struct slot *slots; /* owned */
    size_t n, cap;
    uint32_t *table; /* owned; slot + 1 by hash of its id */
    size_t table_n;
    size_t first_row;
};

static bool enter(tspi_json *json, char open)
{
    return !tspi_json_null(json) && tspi_json_open(json, open);
}

static size_t slot_hash(const struct tspi_jaeger_slots *slots, const uint8_t *id, size_t len)
{
    /* Seeded by an address, so that no input can aim at it. */
    return tspi_hash64(id, len, (uint64_t)(uintptr_t)slots) & (slots->table_n - 1);
}

static bool table_grow(struct tspi_jaeger_slots *slots)
{
    size_t n = slots->table_n ? slots->table_n * 2 : 64;
    uint32_t *table = calloc(n, sizeof *table);

    if (!table)
        return false;
    free(slots->table);
    slots->table = table;
    slots->table_n = n;
    for (size_t k = 0; k < slots->n; k++) {
        if (!slots->slots[k].id)
            continue;
        size_t at = slot_hash(slots, slots->slots[k].id, slots->slots[k].id_len);
        while (table[at])
            at = (at + 1) & (n - 1);
        table[at] = (uint32_t)k + 1;
    }
    return true;
}

static bool slot_add(struct tspi_jaeger_slots *slots, struct slot slot)
{
    if (slots->n == slots->cap) {
        size_t cap = slots->cap ? slots->cap * 2 : 32;
        struct slot *bigger = cap > TSPI_NONE / 2 ? NULL : realloc(slots->slots, cap * sizeof *bigger);
        if (!bigger)
            return false;
        slots->slots = bigger;
        slots->cap = cap;
    }
    slots->slots[slots->n++] = slot;
    return true;
}

/* The slot of a process id; TSPI_NONE when memory is exhausted. */
static uint32_t slot_of(struct tspi_jaeger_slots *slots, const tspi_json_text *id)
{
    if (slots->n * 2 >= slots->table_n && !table_grow(slots))
        return TSPI_NONE;
    size_t at = slot_hash(slots, id->at, id->len);
    for (; slots->table[at]; at = (at + 1) & (slots->table_n - 1)) {
        const struct slot *slot = &slots->slots[slots->table[at] - 1];
        if (slot->id_len == id->len && !memcmp(slot->id, id->at, id->len))
            return slots->table[at] - 1;
    }
    if (!slot_add(slots, (struct slot){id->at, id->len, TSPI_NONE}))
        return TSPI_NONE;
    slots->table[at] = (uint32_t)slots->n;
    return (uint32_t)slots->n - 1;
}

static void slots_free(struct tspi_jaeger_slots *slots)
{
    free(slots->slots);
    free(slots->table);
}

/* A tag, or a log's field: {"key", "type", "value"}. The value may come first. */
static enum tspi_attr tag(tspi_scan *scan, tspi_json *json, bool of_process, tspi_text *ret_key, tspi_value *ret_value)
{
    tspi_json_text key, name = {NULL, 0, false};
    enum tspi_attr attr = TSPI_ATTR_OTHER;

    *ret_value = (tspi_value){.type = TSPI_VALUE_NONE};
    *ret_key = (tspi_text){NULL, 0};
    if (!of_process && tspi_scan_pass_attribute(json))
        return TSPI_ATTR_OTHER;
    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            break;
        if (TSPI_JSON_IS(&key, "key") && tspi_json_peek(json) == '"') {
            if (tspi_json_string(json, &name) && !of_process)
                attr = tspi_attr_find((const char *)name.at, name.len);
        } else if (TSPI_JSON_IS(&key, "value") && (of_process || attr || !name.at))
            tspi_scan_scalar(scan, json, ret_value);
        else
            tspi_json_skip(json);
    }
    if (of_process && name.len)
        *ret_key = tspi_scan_text(scan, &name);
    return attr;
}

static void process_tags(tspi_scan *scan, tspi_json *json)
{
    tspi_text key;
    tspi_value value;

    for (bool more = enter(json, '['); more; more = tspi_json_more(json, '[')) {
        tag(scan, json, true, &key, &value);
        if (key.len && value.type != TSPI_VALUE_NONE && !tspi_scan_process_add(scan, key, value.text))
            tspi_json_fail(json, json->at, "memory is exhausted");
    }
}

/* One process object; its service name stands as service.name, over a tag of that name. */
static tsp_status process(tspi_scan *scan, tspi_json *json, uint32_t *ret_process)
{
    static const tspi_text service_name = {"service.name", 12};
    tspi_json_text key, service = {NULL, 0, false};

    *ret_process = TSPI_NONE;
    if (tspi_json_peek(json) != '{') {
        tspi_json_skip(json);
        return TSP_OK;
    }
    const uint8_t *from = json->at, *end = tspi_json_container_end(json->at, json->end);
    *ret_process = end ? tspi_scan_seen(scan, from, (size_t)(end - from)) : TSPI_NONE;
    if (*ret_process != TSPI_NONE) {
        json->at = end;
        return TSP_OK;
    }
    tspi_scan_process_begin(scan);
    for (bool more = tspi_json_open(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return TSP_OK;
        if (TSPI_JSON_IS(&key, "serviceName"))
            tspi_scan_string(json, &service);
        else if (TSPI_JSON_IS(&key, "tags"))
            process_tags(scan, json);
        else
            tspi_json_skip(json);
    }
    if (json->problem)
        return TSP_OK;
    if (service.len && !tspi_scan_process_add(scan, service_name, tspi_scan_text(scan, &service)))
        return tspi_scan_no_memory(scan);
    tsp_status rc = tspi_scan_process_done(scan, ret_process);
    if (rc == TSP_OK)
        tspi_scan_remember(scan, from, (size_t)(json->at - from), *ret_process);
    return rc;
}

static tsp_status processes(tspi_scan *scan, tspi_json *json)
{
    tspi_json_text key;
    uint32_t row;

    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return TSP_OK;
        if (key.at == (const uint8_t *)json->key) { /* an escaped id: its text must outlive the cursor's room for it */
            tspi_json_skip(json);
            continue;
        }
        uint32_t slot = slot_of(scan->slots, &key);
        if (slot == TSPI_NONE)
            return tspi_scan_no_memory(scan);
        tsp_status rc = process(scan, json, &row);
        if (rc != TSP_OK)
            return rc;
        scan->slots->slots[slot].process = row;
    }
    return TSP_OK;
}

/* What a span's members said, kept until all have been seen. */
struct members {
    int64_t start_ns, duration_ns;
    tspi_json_text start, duration;
    tspi_trace_id parent_trace; /* of the first CHILD_OF */
    uint64_t parent;
    bool has_parent;
    uint64_t old_parent; /* parentSpanID, which references have replaced */
};

static bool same_trace(tspi_trace_id a, tspi_trace_id b)
{
    return a.lo == b.lo && (a.hi == b.hi || !a.hi || !b.hi);
}

/* One {"refType", "traceID", "spanID"}; the API may nest a copy of the whole span in it, which is passed over. */
static void reference(tspi_scan *scan, tspi_json *json, struct members *members)
{
    tspi_json_text key, text;
    tspi_trace_id trace = {0, 0};
    uint64_t id = 0;
    bool fine = true, follows = false;
    size_t at = tspi_scan_offset(scan, json->at);

    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return;
        if (TSPI_JSON_IS(&key, "traceID"))
            fine &= tspi_scan_string(json, &text) && tspi_id_trace_lenient(&text, &trace);
        else if (TSPI_JSON_IS(&key, "spanID"))
            fine &= tspi_scan_string(json, &text) && tspi_id_span_lenient(&text, &id);
        else if (TSPI_JSON_IS(&key, "refType"))
            follows = tspi_scan_string(json, &text) && TSPI_JSON_IS(&text, "FOLLOWS_FROM");
        else
            tspi_json_skip(json);
    }
    if (json->problem || (fine && !id))
        return;
    if (!fine)
        tspi_scan_bad_part(scan, at, "a reference's ids are not hex digits");
    else if (!follows && !members->has_parent) {
        members->has_parent = true;
        members->parent = id;
        members->parent_trace = trace;
    } else if (!tspi_scan_link(scan, trace, id, follows ? TSPI_LINK_FOLLOWS_FROM : TSPI_LINK_CHILD_OF))
        tspi_json_fail(json, json->at, "memory is exhausted");
}

static void span_log(tspi_scan *scan, tspi_json *json)
{
    tspi_json_text key, text = {NULL, 0, false};
    int64_t at_ns = TSPI_NO_STAMP, index = 0;
    bool has_index = false;
    tspi_text name;
    tspi_value value;

    for (bool more = enter(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return;
        if (TSPI_JSON_IS(&key, "timestamp"))
            at_ns = tspi_scan_micro(scan, json, "a log's timestamp", &text);
        else if (TSPI_JSON_IS(&key, "fields"))
            for (bool each = enter(json, '['); each; each = tspi_json_more(json, '[')) {
                if (tag(scan, json, false, &name, &value) != TSPI_ATTR_TOKEN_INDEX || value.type != TSPI_VALUE_INT)
                    continue;
                has_index = true;
                index = value.number;
            }
        else
            tspi_json_skip(json);
    }
    if (at_ns <= 0)
        return;
    if ((has_index && !tspi_scan_event(scan, index, at_ns)) ||
        !tspi_scan_place(scan, TSPI_STAMP_EVENT, tspi_scan_offset(scan, text.at), text.len, at_ns))
        tspi_json_fail(json, json->at, "memory is exhausted");
}

static tsp_status span_process(tspi_scan *scan, tspi_json *json, bool inside)
{
    tspi_json_text id;
    uint32_t row;

    if (!inside) {
        if (!tspi_scan_string(json, &id) || id.escaped || !id.len)
            return TSP_OK;
        scan->process = slot_of(scan->slots, &id);
        return scan->process == TSPI_NONE ? tspi_scan_no_memory(scan) : TSP_OK;
    }
    tsp_status rc = process(scan, json, &row);
    if (rc != TSP_OK || row == TSPI_NONE)
        return rc;
    if (!slot_add(scan->slots, (struct slot){NULL, 0, row}))
        return tspi_scan_no_memory(scan);
    scan->process = (uint32_t)scan->slots->n - 1;
    return TSP_OK;
}

static void span_list(tspi_scan *scan, tspi_json *json, tspi_json_text key, struct members *members)
{
    tspi_json_text text;
    tspi_text name;
    tspi_value value;

    if (TSPI_JSON_IS(&key, "tags"))
        for (bool more = enter(json, '['); more; more = tspi_json_more(json, '[')) {
            enum tspi_attr attr = tag(scan, json, false, &name, &value);
            if (attr)
                tspi_scan_attribute(scan, attr, &value);
        }
    else if (TSPI_JSON_IS(&key, "references"))
        for (bool more = enter(json, '['); more; more = tspi_json_more(json, '['))
            reference(scan, json, members);
    else if (TSPI_JSON_IS(&key, "logs"))
        for (bool more = enter(json, '['); more; more = tspi_json_more(json, '['))
            span_log(scan, json);
    else if (TSPI_JSON_IS(&key, "warnings") && tspi_json_peek(json) == '[')
        for (bool more = tspi_json_open(json, '['); more; more = tspi_json_more(json, '[')) {
            if (tspi_scan_string(json, &text))
                tspi_scan_warning(scan, text.at, text.len);
        }
    else
        tspi_json_skip(json);
}

static tsp_status span_field(tspi_scan *scan, tspi_json *json, tspi_json_text key, struct members *members)
{
    tspi_raw_span *span = &scan->span;

    if (TSPI_JSON_IS(&key, "traceID"))
        tspi_scan_trace_id(scan, json, "traceID", &span->trace);
    else if (TSPI_JSON_IS(&key, "spanID"))
        tspi_scan_span_id(scan, json, "spanID", &span->span_id);
    else if (TSPI_JSON_IS(&key, "parentSpanID"))
        tspi_scan_span_id(scan, json, "parentSpanID", &members->old_parent);
    else if (TSPI_JSON_IS(&key, "operationName"))
        tspi_scan_name(scan, json, "operationName");
    else if (TSPI_JSON_IS(&key, "startTime"))
        members->start_ns = tspi_scan_micro(scan, json, "startTime", &members->start);
    else if (TSPI_JSON_IS(&key, "duration"))
        members->duration_ns = tspi_scan_micro(scan, json, "duration", &members->duration);
    else if (TSPI_JSON_IS(&key, "processID"))
        return span_process(scan, json, false);
    else if (TSPI_JSON_IS(&key, "process"))
        return span_process(scan, json, true);
    else
        span_list(scan, json, key, members);
    return TSP_OK;
}

/* The parent is the first CHILD_OF, if it is of this trace; else that reference is a link like any other. */
static bool settle_parent(tspi_scan *scan, const struct members *members)
{
    if (!members->has_parent)
        scan->span.parent_id = members->old_parent;
    else if (same_trace(members->parent_trace, scan->span.trace) ||
             (!members->parent_trace.hi && !members->parent_trace.lo))
        scan->span.parent_id = members->parent;
    else
        return tspi_scan_link(scan, members->parent_trace, members->parent, TSPI_LINK_CHILD_OF);
    return true;
}

/* The slot of spans that name no process. */
static bool unknown_process(tspi_scan *scan)
{
    static const tspi_json_text nobody = {(const uint8_t *)"", 0, false};

    if (scan->process != TSPI_NONE)
        return true;
    scan->process = slot_of(scan->slots, &nobody);
    return scan->process != TSPI_NONE;
}

static tsp_status one_span(tspi_scan *scan, tspi_json *json, tspi_trace_id trace)
{
    struct members members = {.start_ns = TSPI_NO_STAMP, .duration_ns = TSPI_NO_STAMP};
    tspi_json_text key;

    tspi_scan_begin(scan);
    scan->span_at = tspi_scan_offset(scan, json->at);
    scan->span.trace = trace;
    scan->process = TSPI_NONE;
    if (tspi_json_null(json))
        return TSP_OK;
    for (bool more = tspi_json_open(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return TSP_OK;
        tsp_status rc = span_field(scan, json, key, &members);
        if (rc != TSP_OK)
            return rc;
    }
    if (json->problem)
        return TSP_OK;
    scan->reached = tspi_scan_offset(scan, json->at);
    if (!settle_parent(scan, &members) || !unknown_process(scan) ||
        !tspi_scan_micro_stamps(scan, members.start_ns, &members.start, members.duration_ns, &members.duration))
        return tspi_scan_no_memory(scan);
    return tspi_scan_emit(scan);
}

/* Give the trace's rows their processes. */
static tsp_status settle_processes(tspi_scan *scan)
{
    struct tspi_jaeger_slots *slots = scan->slots;
    uint32_t nobody = TSPI_NONE;

    if (scan->patching)
        return TSP_OK;
    for (size_t k = slots->first_row; k < scan->set->spans_n; k++) {
        uint32_t row = slots->slots[scan->set->spans[k].process].process;
        if (row == TSPI_NONE && nobody == TSPI_NONE) {
            tsp_status rc = tspi_scan_nobody(scan, &nobody);
            if (rc != TSP_OK)
                return rc;
        }
        scan->set->spans[k].process = row == TSPI_NONE ? nobody : row;
    }
    return TSP_OK;
}

static tsp_status trace_members(tspi_scan *scan, tspi_json *json)
{
    tspi_trace_id trace = {0, 0};
    tspi_json_text key, text;
    tsp_status rc = TSP_OK;

    for (bool more = enter(json, '{'); more && rc == TSP_OK; more = rc == TSP_OK && tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return TSP_OK;
        if (TSPI_JSON_IS(&key, "spans"))
            for (bool each = enter(json, '['); each && rc == TSP_OK; each = rc == TSP_OK && tspi_json_more(json, '['))
                rc = one_span(scan, json, trace);
        else if (TSPI_JSON_IS(&key, "processes"))
            rc = processes(scan, json);
        else if (TSPI_JSON_IS(&key, "traceID")) {
            if (!tspi_scan_string(json, &text) || !tspi_id_trace_lenient(&text, &trace))
                trace = (tspi_trace_id){0, 0}; /* each span says its own */
        } else
            tspi_json_skip(json);
    }
    return rc;
}

static tsp_status one_trace(tspi_scan *scan, tspi_json *json)
{
    struct tspi_jaeger_slots slots = {.first_row = scan->patching ? 0 : scan->set->spans_n};

    scan->slots = &slots;
    tsp_status rc = trace_members(scan, json);
    tsp_status settled = settle_processes(scan); /* also when it failed: with keep_going the rows before stay */
    slots_free(&slots);
    scan->slots = NULL;
    return rc != TSP_OK ? rc : settled;
}

static tsp_status traces(tspi_scan *scan, tspi_json *json)
{
    tsp_status rc = TSP_OK;

    for (bool more = enter(json, '['); more && rc == TSP_OK; more = rc == TSP_OK && tspi_json_more(json, '['))
        rc = one_trace(scan, json);
    return rc;
}

/* Whether the object at the cursor is an answer of the API, with its traces in data. */
static bool has_data(const tspi_json *json)
{
    tspi_json ahead = *json;
    tspi_json_text key;

    for (bool more = enter(&ahead, '{'); more; more = tspi_json_more(&ahead, '{')) {
        if (!tspi_json_key(&ahead, &key))
            return false;
        if (TSPI_JSON_IS(&key, "data"))
            return true;
        if (TSPI_JSON_IS(&key, "spans") || TSPI_JSON_IS(&key, "processes") || TSPI_JSON_IS(&key, "traceID"))
            return false;
        tspi_json_skip(&ahead);
    }
    return false;
}

tsp_status tspi_jaeger_json_document(tspi_scan *scan, tspi_json *json)
{
    tspi_json_text key;
    tsp_status rc = TSP_OK;

    if (tspi_json_peek(json) == '[')
        return traces(scan, json);
    if (!has_data(json))
        return one_trace(scan, json);
    for (bool more = enter(json, '{'); more && rc == TSP_OK; more = rc == TSP_OK && tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return TSP_OK;
        if (TSPI_JSON_IS(&key, "data"))
            rc = traces(scan, json);
        else
            tspi_json_skip(json);
    }
    return rc;
}

tsp_status tspi_jaeger_json_element(tspi_scan *scan, tspi_json *json)
{
    return one_trace(scan, json);
}
