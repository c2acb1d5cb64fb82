#include "wire/wire_annotate.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const keys[] = {TSPI_ANNOTATION_OFFSET,    TSPI_ANNOTATION_LO,      TSPI_ANNOTATION_HI,
                                   TSPI_ANNOTATION_RAW_START, TSPI_ANNOTATION_RAW_END, TSPI_ANNOTATION_REFERENCE};

bool tspi_annotation_is_ours(const void *key, size_t len)
{
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
        if (strlen(keys[k]) == len && !memcmp(keys[k], key, len))
            return true;
    return false;
}

void tspi_annotation_note(tspi_annotated *had, const void *key, size_t len, int64_t number)
{
    if (len == strlen(TSPI_ANNOTATION_RAW_START) && !memcmp(key, TSPI_ANNOTATION_RAW_START, len))
        had->start_ns = number;
    if (len == strlen(TSPI_ANNOTATION_RAW_END) && !memcmp(key, TSPI_ANNOTATION_RAW_END, len))
        had->end_ns = number;
}

/* What a JSON format calls a span's attributes, and how it holds them. */
typedef struct {
    const char *member;
    char open;
} holder;

static holder holder_of(const tspi_scan *scan)
{
    switch (scan->annotate_format) {
    case TSPI_FORMAT_JAEGER_JSON:
        return (holder){"tags", '['};
    case TSPI_FORMAT_ZIPKIN_JSON:
        return (holder){"tags", '{'};
    default:
        return (holder){"attributes", '['};
    }
}

/* Where a span's attributes stand. Offsets in the document. */
enum { CUTS_MOST = 2 * TSPI_ANNOTATIONS_MOST };
typedef struct {
    bool found, is_null;
    size_t at, end;   /* of the value: the brackets, or null */
    size_t last_end;  /* behind the last element that stays; at + 1 if there is none */
    bool any;         /* an element stays */
    size_t close;     /* the closing brace of the span */
    bool any_members; /* the span has members */
    struct {
        size_t from, to;
    } cut[CUTS_MOST]; /* elements of ours */
    size_t cuts;
    bool too_many;
} whereabouts;

/* An element's key, and the number it holds if it does. */
static void element(tspi_json *json, char open, tspi_json_text *ret_key, int64_t *ret_number, bool *ret_has)
{
    tspi_json_text key, text;

    *ret_key = (tspi_json_text){NULL, 0, false};
    *ret_has = false;
    if (open == '{') { /* "key": "value" */
        if (tspi_json_key(json, ret_key))
            *ret_has = tspi_json_number(json, 0, ret_number, &text) == TSPI_JSON_NUMBER;
        return;
    }
    if (tspi_json_peek(json) != '{') {
        tspi_json_skip(json);
        return;
    }
    for (bool more = tspi_json_open(json, '{'); more; more = tspi_json_more(json, '{')) {
        if (!tspi_json_key(json, &key))
            return;
        int c = tspi_json_peek(json);
        if (TSPI_JSON_IS(&key, "key") && c == '"')
            tspi_json_string(json, ret_key);
        else if (TSPI_JSON_IS(&key, "value") && c == '{') {
            for (bool in = tspi_json_open(json, '{'); in; in = tspi_json_more(json, '{')) {
                if (!tspi_json_key(json, &key))
                    return;
                *ret_has |= tspi_json_number(json, 0, ret_number, &text) == TSPI_JSON_NUMBER;
            }
        } else if (TSPI_JSON_IS(&key, "value"))
            *ret_has |= tspi_json_number(json, 0, ret_number, &text) == TSPI_JSON_NUMBER;
        else
            tspi_json_skip(json);
    }
}

/* The elements: those of ours are to be cut out, with the comma that joins them to what is before them. */
static void look_inside(const tspi_scan *scan, tspi_json *json, char open, whereabouts *place, tspi_annotated *had)
{
    size_t before = place->last_end;

    for (bool more = tspi_json_open(json, open); more; more = tspi_json_more(json, open)) {
        tspi_json_text key;
        int64_t number = 0;
        bool has;
        tspi_json_peek(json);
        size_t from = tspi_scan_offset(scan, json->at);
        element(json, open, &key, &number, &has);
        size_t to = tspi_scan_offset(scan, json->at);
        if (key.at && !key.escaped && tspi_annotation_is_ours(key.at, key.len)) {
            if (has)
                tspi_annotation_note(had, key.at, key.len, number);
            place->too_many |= place->cuts == CUTS_MOST;
            if (place->cuts < CUTS_MOST) {
                place->cut[place->cuts].from = place->any ? before : from;
                place->cut[place->cuts++].to = to;
            }
        } else {
            /* What was cut before the first one that stays takes the comma behind it along. */
            for (size_t k = 0; !place->any && k < place->cuts; k++)
                place->cut[k].to = k + 1 < place->cuts ? place->cut[k + 1].from : from;
            place->any = true;
            place->last_end = to;
        }
        before = to;
    }
    if (!place->any && place->cuts) { /* nothing stays: the commas between them go, too */
        place->cut[0].to = place->cut[place->cuts - 1].to;
        place->cuts = 1;
    }
}

static bool find_place(const tspi_scan *scan, holder h, whereabouts *ret, tspi_annotated *had)
{
    tspi_json json = {.at = scan->base + scan->span_at, .end = scan->base + scan->reached};
    tspi_json_text key;

    *ret = (whereabouts){0};
    for (bool more = tspi_json_open(&json, '{'); more; more = tspi_json_more(&json, '{')) {
        if (!tspi_json_key(&json, &key))
            return false;
        ret->any_members = true;
        if (!tspi_json_is(&key, h.member, strlen(h.member))) {
            tspi_json_skip(&json);
            continue;
        }
        int c = tspi_json_peek(&json);
        *ret = (whereabouts){.found = true, .any_members = true, .at = tspi_scan_offset(scan, json.at)};
        ret->last_end = ret->at + 1;
        ret->is_null = c == 'n';
        if (c == h.open)
            look_inside(scan, &json, h.open, ret, had);
        else
            tspi_json_skip(&json);
        ret->end = tspi_scan_offset(scan, json.at);
        if (c != h.open && c != 'n')
            return false;
    }
    ret->close = scan->reached - 1;
    return !json.problem && !ret->too_many && scan->base[ret->close] == '}';
}

static void write_one(tspi_scan *scan, const tspi_annotation *a)
{
    char text[32];
    const char *value = a->text;
    bool exact = !a->text && a->number < (INT64_C(1) << 53) && a->number > -(INT64_C(1) << 53);

    snprintf(text, sizeof text, "%" PRId64, a->number);
    value = value ? value : text;
    switch (scan->annotate_format) {
    case TSPI_FORMAT_ZIPKIN_JSON:
        tspi_buf_printf(scan->out, "\"%s\":", a->key);
        tspi_buf_json_string(scan->out, value, strlen(value));
        break;
    case TSPI_FORMAT_JAEGER_JSON:
        tspi_buf_printf(scan->out, "{\"key\":\"%s\",\"type\":\"%s\",\"value\":", a->key, exact ? "int64" : "string");
        if (exact)
            tspi_buf_puts(scan->out, value);
        else
            tspi_buf_json_string(scan->out, value, strlen(value));
        tspi_buf_putc(scan->out, '}');
        break;
    default:
        tspi_buf_printf(scan->out, "{\"key\":\"%s\",\"value\":{\"%s\":", a->key, a->text ? "stringValue" : "intValue");
        tspi_buf_json_string(scan->out, value, strlen(value));
        tspi_buf_puts(scan->out, "}}");
    }
}

static void write_all(tspi_scan *scan, const tspi_annotation *all, size_t n, bool after_others)
{
    for (size_t k = 0; k < n; k++) {
        if (k || after_others)
            tspi_buf_putc(scan->out, ',');
        write_one(scan, &all[k]);
    }
}

tsp_status tspi_scan_annotate(tspi_scan *scan)
{
    tspi_annotation all[TSPI_ANNOTATIONS_MOST];
    tspi_annotated had = {TSPI_NO_STAMP, TSPI_NO_STAMP};
    holder h = holder_of(scan);
    whereabouts at;

    while (scan->span_at < scan->reached && scan->base[scan->span_at] != '{')
        scan->span_at++;
    if (!find_place(scan, h, &at, &had))
        return tspi_scan_error(scan, scan->span_at,
                               "this span's %s are not what they should be: nothing can be added to them", h.member);
    size_t n = scan->annotate(scan->ctx, scan->row, &had, all);
    if (!n)
        return TSP_OK;
    if (!at.found) {
        tspi_scan_copy(scan, at.close);
        tspi_buf_printf(scan->out, "%s\"%s\":%c", at.any_members ? "," : "", h.member, h.open);
        write_all(scan, all, n, false);
        tspi_buf_putc(scan->out, h.open + 2);
    } else if (at.is_null) {
        tspi_scan_copy(scan, at.at);
        scan->copied = at.end;
        tspi_buf_putc(scan->out, h.open);
        write_all(scan, all, n, false);
        tspi_buf_putc(scan->out, h.open + 2);
    } else {
        size_t cut = 0;
        for (; cut < at.cuts && at.cut[cut].from < at.last_end; cut++) {
            tspi_scan_copy(scan, at.cut[cut].from);
            scan->copied = at.cut[cut].to;
        }
        tspi_scan_copy(scan, at.last_end);
        write_all(scan, all, n, at.any);
        for (; cut < at.cuts; cut++) {
            tspi_scan_copy(scan, at.cut[cut].from);
            scan->copied = at.cut[cut].to;
        }
    }
    return tspi_buf_ok(scan->out) ? TSP_OK : tspi_scan_no_memory(scan);
}

tsp_status tspi_wire_annotate(const char *name, const uint8_t *bytes, size_t len, enum tspi_format format,
                              size_t first_span, size_t spans_n, tspi_annotate annotate, void *ctx, tspi_buf *out,
                              tsp_error *err)
{
    size_t row = first_span;
    tsp_status rc;

    if (format == TSPI_FORMAT_OTLP_PROTO || format == TSPI_FORMAT_OTLP_PROTO_FRAMED)
        rc = tspi_otlp_annotate(name, bytes, len, format == TSPI_FORMAT_OTLP_PROTO_FRAMED, &row, annotate, ctx, out,
                                err);
    else {
        tspi_scan scan = {.name = name,
                          .base = bytes,
                          .len = len,
                          .patching = true,
                          .err = err,
                          .annotate = annotate,
                          .annotate_format = format,
                          .ctx = ctx,
                          .out = out,
                          .row = first_span};
        rc = tspi_scan_range(&scan, format, false, 0, len);
        tspi_scan_release(&scan);
        row = scan.row;
        if (rc == TSP_OK)
            tspi_scan_copy(&scan, len);
    }
    if (rc == TSP_OK && row - first_span != spans_n)
        rc = tsp_error_set(err, TSP_EPARSE, "%s: %zu spans were read, but %zu are there: it cannot be annotated", name,
                           spans_n, row - first_span);
    if (rc == TSP_OK && !tspi_buf_ok(out))
        rc = tsp_error_set(err, TSP_ENOMEM, "%s: memory is exhausted", name);
    return rc;
}
