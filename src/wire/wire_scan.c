#include "wire/wire_scan.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"

void tspi_scan_release(tspi_scan *scan)
{
    free(scan->span.links);
    free(scan->span.events);
    free(scan->span.places);
    free(scan->attributes);
    tspi_arena_release(&scan->texts);
    tspi_buf_release(&scan->scratch);
}

tsp_status tspi_scan_error(tspi_scan *scan, size_t offset, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    offset += scan->origin;
    return tsp_error_at(scan->err, TSP_EPARSE, offset, "%s: byte %zu: %s", scan->name, offset, text);
}

tsp_status tspi_scan_json_error(tspi_scan *scan, const tspi_json *json)
{
    size_t at = (size_t)(json->problem_at - scan->base);

    return tspi_scan_error(scan, at, "%s%s", json->problem, at == scan->len ? "; was the input cut off?" : "");
}

void tspi_scan_begin(tspi_scan *scan)
{
    tspi_raw_span *span = &scan->span;

    span->trace = (tspi_trace_id){0, 0};
    span->span_id = span->parent_id = 0;
    span->start_ns = span->end_ns = TSPI_NO_STAMP;
    span->name = (tspi_text){NULL, 0};
    span->name_escaped = false;
    span->kind = span->operation = 0;
    span->flags = 0;
    span->has_sequence = false;
    span->links_n = span->events_n = span->places_n = 0;
    span->bad = false;
    if (scan->texts.head) /* of a resource that is done, or of attributes of the span before */
        tspi_arena_release(&scan->texts);
}

static void bad_span(tspi_scan *scan, size_t offset, const char *text)
{
    if (scan->span.bad)
        return;
    scan->span.bad = true;
    offset += scan->origin;
    tsp_error_at(&scan->span.problem, TSP_EPARSE, offset, "%s: byte %zu: %s", scan->name, offset, text);
}

void tspi_scan_bad(tspi_scan *scan, size_t offset, const char *format, ...)
{
    char text[400];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    bad_span(scan, offset, text);
}

static void note_problem(tspi_scan *scan, const char *message)
{
    if (scan->report && !scan->report->first_problem[0])
        snprintf(scan->report->first_problem, sizeof scan->report->first_problem, "%s", message);
}

void tspi_scan_bad_part(tspi_scan *scan, size_t offset, const char *format, ...)
{
    char text[400], whole[640];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!scan->keep_going) {
        bad_span(scan, offset, text);
        return;
    }
    snprintf(whole, sizeof whole, "%s: byte %zu: %s", scan->name, offset + (size_t)scan->origin, text);
    note_problem(scan, whole);
    if (scan->report)
        scan->report->bad_parts++;
}

void tspi_scan_give_up(tspi_scan *scan, size_t from, size_t to)
{
    if (scan->err) {
        note_problem(scan, scan->err->message);
        *scan->err = (tsp_error){0};
    }
    if (scan->report) {
        scan->report->bad_stretches++;
        scan->report->bad_bytes += to - from;
    }
}

static bool room(void **array, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return true;
    size_t next = *cap ? *cap * 2 : 16;
    void *bigger = next > SIZE_MAX / size ? NULL : realloc(*array, next * size);
    if (!bigger)
        return false;
    *array = bigger;
    *cap = next;
    return true;
}

bool tspi_scan_link(tspi_scan *scan, tspi_trace_id trace, uint64_t span_id, enum tspi_link_type type)
{
    tspi_raw_span *span = &scan->span;

    if (scan->patching)
        return true;
    if (!room((void **)&span->links, &span->links_cap, span->links_n, sizeof *span->links))
        return false;
    span->links[span->links_n++] = (tspi_raw_link){trace, span_id, type};
    return true;
}

bool tspi_scan_event(tspi_scan *scan, int64_t number, int64_t at_ns)
{
    tspi_raw_span *span = &scan->span;

    if (scan->patching)
        return true;
    if (!room((void **)&span->events, &span->events_cap, span->events_n, sizeof *span->events))
        return false;
    span->events[span->events_n++] = (tspi_raw_event){number, at_ns};
    return true;
}

bool tspi_scan_place(tspi_scan *scan, enum tspi_stamp what, size_t at, size_t len, int64_t ns)
{
    tspi_raw_span *span = &scan->span;

    if (!scan->patching)
        return true;
    if (!room((void **)&span->places, &span->places_cap, span->places_n, sizeof *span->places))
        return false;
    span->places[span->places_n++] = (tspi_raw_place){.at = at, .len = (uint32_t)len, .what = what, .ns = ns};
    return true;
}

void tspi_scan_process_begin(tspi_scan *scan)
{
    scan->attributes_n = 0;
    if (scan->texts.head)
        tspi_arena_release(&scan->texts);
}

bool tspi_scan_process_add(tspi_scan *scan, tspi_text key, tspi_text value)
{
    if (!room((void **)&scan->attributes, &scan->attributes_cap, scan->attributes_n, sizeof *scan->attributes))
        return false;
    scan->attributes[scan->attributes_n++] = (tspi_attribute_text){key, value};
    return true;
}

tsp_status tspi_scan_process_done(tspi_scan *scan, uint32_t *ret_process)
{
    *ret_process = 0;
    if (scan->patching) /* which it is does not matter, only that it can be read */
        return TSP_OK;
    return tspi_span_set_process(scan->set, scan->attributes, scan->attributes_n, ret_process, scan->err);
}

static tspi_seen_resource *seen_slot(tspi_scan *scan, const uint8_t *at, size_t len)
{
    return &scan->seen[tspi_hash64(at, len, 0) % TSPI_RESOURCES_N];
}

static bool is_seen(const tspi_seen_resource *seen, const uint8_t *at, size_t len)
{
    return seen->at && seen->len == len && !memcmp(seen->at, at, len);
}

/* Runs of one process are the rule; between a few that take turns a small table helps. A collision costs a parse. */
uint32_t tspi_scan_seen(tspi_scan *scan, const uint8_t *at, size_t len)
{
    if (!is_seen(&scan->last_seen, at, len)) {
        const tspi_seen_resource *seen = seen_slot(scan, at, len);
        if (!is_seen(seen, at, len))
            return TSPI_NONE;
        scan->last_seen = *seen;
    }
    return scan->last_seen.process;
}

void tspi_scan_remember(tspi_scan *scan, const uint8_t *at, size_t len, uint32_t process)
{
    scan->last_seen = (tspi_seen_resource){at, len, process};
    *seen_slot(scan, at, len) = scan->last_seen;
}

tsp_status tspi_scan_nobody(tspi_scan *scan, uint32_t *ret_process)
{
    tspi_scan_process_begin(scan);
    return tspi_scan_process_done(scan, ret_process);
}

tsp_status tspi_scan_no_memory(tspi_scan *scan)
{
    if (scan->drained != TSP_OK)
        return scan->drained;
    return tsp_error_set(scan->err, TSP_ENOMEM, "%s: memory is exhausted", scan->name);
}

tspi_text tspi_scan_text(tspi_scan *scan, const tspi_json_text *text)
{
    if (!text->escaped)
        return (tspi_text){(const char *)text->at, text->len};
    char *copy = tspi_arena_alloc(&scan->texts, text->len + 1);
    if (!copy)
        return (tspi_text){(const char *)text->at, text->len};
    return (tspi_text){copy, tspi_json_unescape(text, copy)};
}

/* Of texts with the same last eight bytes: are they the same before? memcmp for a dozen bytes or two, without the call.
 */
static inline bool same_before(const char *a, const char *b, size_t n)
{
    uint64_t x, y;

    for (size_t k = 0; k + sizeof x < n; k += sizeof x) {
        memcpy(&x, a + k, sizeof x);
        memcpy(&y, b + k, sizeof y);
        if (x != y)
            return false;
    }
    return true;
}

static tsp_status name_row(tspi_scan *scan, uint32_t *ret_row)
{
    tspi_text name = scan->span.name;

    if (scan->span.name_escaped) {
        tspi_json_text text = {(const uint8_t *)name.text, name.len, true};
        tspi_buf_clear(&scan->scratch);
        if (!tspi_buf_reserve(&scan->scratch, name.len))
            return tsp_error_set(scan->err, TSP_ENOMEM, "memory is exhausted by a span name of %zu bytes", name.len);
        name.len = tspi_json_unescape(&text, (char *)scan->scratch.data);
        name.text = (const char *)scan->scratch.data;
    } else if (name.len) {
        /* Few names make most spans. Their last bytes and length tell them apart well enough to find the one. */
        uint64_t tail = 0;
        memcpy(&tail, name.text + (name.len < 8 ? 0 : name.len - 8), name.len < 8 ? name.len : 8);
        tspi_seen_name *seen = &scan->names[tspi_hash_mix(tail + name.len) % TSPI_NAMES_N];
        if (seen->len != name.len || seen->tail != tail || !same_before(seen->text, name.text, name.len)) {
            tsp_status rc = tspi_span_set_name(scan->set, name.text, name.len, &seen->row, scan->err);
            seen->text = name.text;
            seen->tail = tail;
            seen->len = rc == TSP_OK ? name.len : 0;
            if (rc != TSP_OK)
                return rc;
        }
        *ret_row = seen->row;
        return TSP_OK;
    }
    return tspi_span_set_name(scan->set, name.text, name.len, ret_row, scan->err);
}

static tsp_status trace_row(tspi_scan *scan, tspi_trace_id id, uint32_t *ret_row)
{
    tspi_seen_trace *seen = &scan->traces[(id.lo * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (TSPI_TRACES_N - 1)];

    if (!seen->row || seen->id.lo != id.lo || seen->id.hi != id.hi) {
        uint32_t row;
        tsp_status rc = tspi_span_set_trace(scan->set, id, &row, scan->err);
        if (rc != TSP_OK)
            return rc;
        *seen = (tspi_seen_trace){id, row + 1};
    }
    *ret_row = seen->row - 1;
    return TSP_OK;
}

/* What hangs on the row that was just added. */
static tsp_status emit_details(tspi_scan *scan, uint32_t row)
{
    const tspi_raw_span *span = &scan->span;
    tsp_status rc = TSP_OK;

    if (span->has_sequence)
        rc = tspi_span_set_add_sequence(scan->set, &(tspi_sequence){row, span->sequence}, scan->err);
    for (size_t k = 0; k < span->events_n && rc == TSP_OK; k++)
        rc = tspi_span_set_add_event(scan->set, &(tspi_event){row, span->events[k].number, span->events[k].at_ns},
                                     scan->err);
    for (size_t k = 0; k < span->links_n && rc == TSP_OK; k++) {
        tspi_link_row link = {.from = row, .span_id = span->links[k].span_id, .type = span->links[k].type};
        rc = tspi_span_set_trace(scan->set, span->links[k].trace, &link.trace, scan->err);
        if (rc == TSP_OK)
            rc = tspi_span_set_add_link(scan->set, &link, scan->err);
    }
    return rc;
}

/* Where rows are going to be written is asked for so many bytes ahead. */
#define ROW_AHEAD 512

static tsp_status emit_row(tspi_scan *scan)
{
    const tspi_raw_span *span = &scan->span;
    tspi_span_set *set = scan->set;
    bool no_trace = !span->trace.hi && !span->trace.lo; /* strangers must not meet in the trace 0 */
    uint32_t trace, name;

    if (no_trace || !span->span_id)
        scan->report->invalid_ids++;
    tsp_status rc = trace_row(scan, span->trace, &trace);
    if (rc == TSP_OK)
        rc = name_row(scan, &name);
    if (rc == TSP_OK && set->spans_n == set->spans_cap)
        rc = tspi_span_set_reserve(set, 1, scan->err);
    if (rc != TSP_OK)
        return rc;
    tspi_span *row = &set->spans[set->spans_n++];
    __builtin_prefetch((char *)row + ROW_AHEAD, 1);
    row->span_id = no_trace ? 0 : span->span_id;
    row->parent_id = no_trace ? 0 : span->parent_id;
    row->start_ns = span->start_ns;
    row->end_ns = span->end_ns;
    row->trace = trace;
    row->process = scan->process;
    row->name = name;
    row->kind = span->kind;
    row->operation = span->operation;
    row->flags = span->flags;
    scan->report->spans++;
    if (span->has_sequence || span->events_n || span->links_n)
        rc = emit_details(scan, (uint32_t)(set->spans_n - 1));
    return rc;
}

tsp_status tspi_scan_emit(tspi_scan *scan)
{
    tsp_status rc;

    if (scan->span.bad) {
        if (!scan->keep_going) {
            if (scan->err)
                *scan->err = scan->span.problem;
            return TSP_EPARSE;
        }
        note_problem(scan, scan->span.problem.message);
        if (scan->report)
            scan->report->bad_spans++;
        return TSP_OK;
    }
    if (!scan->patching)
        return emit_row(scan);
    rc = tspi_scan_emit_patch(scan);
    scan->row++;
    return rc;
}
