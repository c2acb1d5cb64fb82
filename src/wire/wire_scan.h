/* What the format readers share: one pass over a document, its current span, and where that span goes - to rows when
 * reading, to patched bytes when patching. A format's file finds fields; nothing in it knows which of the two it is. */
#ifndef TSPI_WIRE_WIRE_SCAN_H
#define TSPI_WIRE_WIRE_SCAN_H

#include <endian.h>
#include <string.h>

#include "wire/json_scan.h"
#include "wire/wire.h"

/* Attributes that change what a row says. */
enum tspi_attr {
    TSPI_ATTR_OTHER,
    TSPI_ATTR_OPERATION,   /* messaging.operation.type, messaging.operation */
    TSPI_ATTR_ERROR_TYPE,  /* error.type */
    TSPI_ATTR_ERROR,       /* error: true, or in Zipkin any text */
    TSPI_ATTR_GRPC_STATUS, /* rpc.grpc.status_code, rpc.response.status_code, grpc.status_code */
    TSPI_ATTR_HTTP_STATUS, /* http.response.status_code, http.status_code */
    TSPI_ATTR_OTEL_STATUS, /* otel.status_code: as OTel's exporters to Jaeger and Zipkin write the status */
    TSPI_ATTR_SPAN_KIND,   /* span.kind */
    TSPI_ATTR_SEQUENCE,    /* truespan.stream.sequence */
    TSPI_ATTR_TOKEN_INDEX, /* of an event: gen_ai.token.index, index */
    TSPI_ATTR_WARNINGS,    /* @jaeger@warnings, jaeger.internal.warnings */
};

enum tspi_attr tspi_attr_find(const char *key, size_t len);

/* A sieve before tspi_attr_find: by a key's length, the letters (& 31) with which one of that length that matters
 * begins. key: at least one byte. */
extern const uint32_t tspi_attr_first_letters[32];
static inline bool tspi_attr_may_matter(const uint8_t *key, size_t len)
{
    return len < 32 && (tspi_attr_first_letters[len] >> (*key & 31) & 1);
}

/* A scalar attribute value. text: as written, escapes undone; for numbers and booleans their characters. */
typedef struct {
    enum { TSPI_VALUE_NONE, TSPI_VALUE_TEXT, TSPI_VALUE_INT, TSPI_VALUE_BOOL, TSPI_VALUE_DOUBLE } type;
    tspi_text text;
    int64_t number; /* of an INT or a BOOL */
} tspi_value;

typedef struct {
    tspi_trace_id trace;
    uint64_t span_id;
    enum tspi_link_type type;
} tspi_raw_link;

typedef struct {
    int64_t number, at_ns;
} tspi_raw_event;

/* Where a stamp's digits (or eight bytes) stand. */
typedef struct {
    size_t at; /* offset in the document */
    uint32_t len;
    enum tspi_stamp what;
    bool edited;
    int64_t ns;      /* as it stands, then as it should be */
    int64_t written; /* the number to write */
} tspi_raw_place;

/* The span being read. */
typedef struct {
    tspi_trace_id trace;
    uint64_t span_id, parent_id;
    int64_t start_ns;
    tspi_text name;
    int64_t end_ns;    /* not beside start_ns: read as one piece, two fresh stores would be waited for */
    bool name_escaped; /* name is JSON text with escapes in it */
    uint8_t kind, operation;
    uint16_t flags;
    bool has_sequence;
    int64_t sequence;
    tspi_raw_link *links; /* owned, as the two below; reused from span to span */
    size_t links_n, links_cap;
    tspi_raw_event *events;
    size_t events_n, events_cap;
    tspi_raw_place *places; /* when patching */
    size_t places_n, places_cap;
    bool bad; /* leave it out; why stands in problem */
    tsp_error problem;
} tspi_raw_span;

/* Remembered names: text in the document (or in its reader's copy of it), and its row. */
enum { TSPI_NAMES_N = 256 };
typedef struct {
    const char *text;
    size_t len;
    uint64_t tail; /* its last eight bytes, or all of them */
    uint32_t row;
} tspi_seen_name;

/* Remembered resources: where their bytes stand in the document, and their row. */
enum { TSPI_RESOURCES_N = 64 };
typedef struct {
    const uint8_t *at;
    size_t len;
    uint32_t process;
} tspi_seen_resource;

/* Remembered traces: spans of a few hundred traces lie mixed in the input at a time. */
enum { TSPI_TRACES_N = 512 };
typedef struct {
    tspi_trace_id id;
    uint32_t row; /* plus 1; 0 = free */
} tspi_seen_trace;

typedef struct {
    const char *name;    /* of the document, for messages */
    const uint8_t *base; /* its bytes */
    size_t len;
    uint64_t origin; /* of base in the document, for messages */
    bool keep_going, patching;
    size_t reached; /* JSON: spans have been taken from the bytes before this offset */
    tsp_error *err; /* may be NULL */

    /* reading */
    tspi_span_set *set;
    tspi_read_report *report;
    uint32_t process; /* row of the current process */

    /* patching */
    bool binary;             /* stamps are eight bytes, little-endian; else digits */
    bool micro;              /* the format keeps microseconds, and an end as a duration */
    int64_t min_duration_us; /* of a duration that was not zero */
    tspi_stamp_edit edit;
    void *ctx;
    tspi_buf *out;
    size_t copied;    /* input bytes already in out, or handed on */
    size_t stays;     /* those before it, from copied on, are known not to change */
    tspi_drain drain; /* NULL: out keeps everything */
    void *drain_ctx;
    tsp_status drained;               /* what drain said last */
    bool held;                        /* a length in out will be known later: nothing is handed on */
    tspi_still still;                 /* or NULL */
    const tspi_large_resource *large; /* borrowed; those that are not passed yet */
    size_t large_n;
    size_t row;             /* of the next span */
    tspi_annotate annotate; /* patching JSON: not stamps, but attributes are written; else NULL */
    enum tspi_format annotate_format;
    size_t span_at; /* patching: where the current span begins, or blanks before it */

    tspi_raw_span span;
    tspi_attribute_text *attributes; /* of the current resource; owned */
    size_t attributes_n, attributes_cap;
    tspi_arena texts; /* unescaped pieces of them */
    tspi_buf scratch; /* one unescaped piece, short-lived */
    tspi_seen_resource seen[TSPI_RESOURCES_N], last_seen;
    tspi_seen_name names[TSPI_NAMES_N];
    tspi_seen_trace traces[TSPI_TRACES_N];
    struct tspi_jaeger_slots *slots; /* owned by jaeger_json.c while it is in a trace */
} tspi_scan;

void tspi_scan_release(tspi_scan *scan);

/* A failure of the document at offset: fills scan->err. */
tsp_status tspi_scan_error(tspi_scan *scan, size_t offset, const char *format, ...) TSP_PRINTF(3, 4);

/* Start an empty span. */
void tspi_scan_begin(tspi_scan *scan);

/* The current span is no good; the first reason is kept. */
void tspi_scan_bad(tspi_scan *scan, size_t offset, const char *format, ...) TSP_PRINTF(3, 4);

/* A detail (an attribute, an event) cannot be read. Without keep_going that makes the span bad; else it is counted. */
void tspi_scan_bad_part(tspi_scan *scan, size_t offset, const char *format, ...) TSP_PRINTF(3, 4);

/* With keep_going: bytes [from, to) are given up; the message in scan->err is noted and cleared. */
void tspi_scan_give_up(tspi_scan *scan, size_t from, size_t to);

/* The current span is complete: to a row, or to the output. */
tsp_status tspi_scan_emit(tspi_scan *scan);

/* Additions to the current span; false when memory is exhausted. */
bool tspi_scan_link(tspi_scan *scan, tspi_trace_id trace, uint64_t span_id, enum tspi_link_type type);
bool tspi_scan_event(tspi_scan *scan, int64_t number, int64_t at_ns);
bool tspi_scan_place(tspi_scan *scan, enum tspi_stamp what, size_t at, size_t len, int64_t ns);

/* An attribute of the current span. text values only need live for the call. */
void tspi_scan_attribute(tspi_scan *scan, enum tspi_attr attr, const tspi_value *value);

/* Does text, of an error or a warning, speak of a deadline? Of an adjustment by Jaeger? */
void tspi_scan_warning(tspi_scan *scan, const uint8_t *text, size_t len);

/* The resource's attribute list: clear, add (key and value must live until done; see tspi_scan_text), done. */
void tspi_scan_process_begin(tspi_scan *scan);
bool tspi_scan_process_add(tspi_scan *scan, tspi_text key, tspi_text value);
tsp_status tspi_scan_process_done(tspi_scan *scan, uint32_t *ret_process);

/* The row of a process whose bytes are these and that was read lately, or TSPI_NONE; and remember one. */
uint32_t tspi_scan_seen(tspi_scan *scan, const uint8_t *at, size_t len);
void tspi_scan_remember(tspi_scan *scan, const uint8_t *at, size_t len, uint32_t process);

/* The row of a process of which nothing is known. */
tsp_status tspi_scan_nobody(tspi_scan *scan, uint32_t *ret_process);

/* JSON text as plain text; unescaped copies live until the next tspi_scan_process_begin. */
tspi_text tspi_scan_text(tspi_scan *scan, const tspi_json_text *text);

/* Copy the input up to offset to the output; the output's length then. */
size_t tspi_scan_copy(tspi_scan *scan, size_t offset);

/* Nothing changes before offset that is not in the output yet: with a drain it goes there without being copied. */
void tspi_scan_stays(tspi_scan *scan, size_t offset);

/* Hand on all that is in the output, and what stays behind it. */
tsp_status tspi_scan_flush(tspi_scan *scan);

/* Binary patching keeps every length, so the output is copied ahead of the scan in blocks that stay in the cache until
 * they have been passed, and stamps are written over the copy. to: as far as the scan will look next. */
bool tspi_scan_copy_ahead(tspi_scan *scan, size_t to);

/* Ask for one stamp of the next row and write it over its eight bytes. */
tsp_status tspi_scan_patch8(tspi_scan *scan, enum tspi_stamp what, size_t at, int64_t ns);

/* Ask for the current span's edits and write its bytes; wire_patch.c. */
tsp_status tspi_scan_emit_patch(tspi_scan *scan);

/* An id, or half of a trace's, from its eight bytes, the highest first. */
static inline uint64_t tspi_id_of_bytes(const uint8_t *bytes)
{
    uint64_t id;

    memcpy(&id, bytes, sizeof id);
    return be64toh(id);
}

/* Ids. hex: up to 32 digits (leading zeros may lack when lenient), base64: of 16 or 8 bytes. false: neither. */
bool tspi_id_trace(const tspi_json_text *text, tspi_trace_id *ret_id);
bool tspi_id_span(const tspi_json_text *text, uint64_t *ret_id);
bool tspi_id_trace_lenient(const tspi_json_text *text, tspi_trace_id *ret_id);
bool tspi_id_span_lenient(const tspi_json_text *text, uint64_t *ret_id);

/* JSON formats: where the cursor failed, as an error of the document. */
tsp_status tspi_scan_json_error(tspi_scan *scan, const tspi_json *json);

/* OTLP protobuf in bytes [from, to) of the document: whole messages, or frames of them. */
tsp_status tspi_otlp_proto_scan(tspi_scan *scan, size_t from, size_t to);
tsp_status tspi_otlp_frames_scan(tspi_scan *scan, size_t from, size_t to);

/* One JSON value of a document, in the format's own way; a failure of the cursor is reported by the caller. */
typedef tsp_status (*tspi_json_document)(tspi_scan *scan, tspi_json *json);
tsp_status tspi_otlp_json_document(tspi_scan *scan, tspi_json *json);
tsp_status tspi_jaeger_json_document(tspi_scan *scan, tspi_json *json);
tsp_status tspi_zipkin_json_document(tspi_scan *scan, tspi_json *json);

/* At an attribute as most writers write it, {"key":"...", when its key cannot matter: pass over it. */
bool tspi_scan_pass_attribute(tspi_json *json);

/* Any JSON value as an attribute's; arrays and objects are passed over and yield none. */
void tspi_scan_scalar(tspi_scan *scan, tspi_json *json, tspi_value *ret_value);

/* A stamp or a duration in microseconds, as ns; null is absent (TSPI_NO_STAMP). Otherwise the span is made bad. */
int64_t tspi_scan_micro(tspi_scan *scan, tspi_json *json, const char *field, tspi_json_text *ret_text);

/* Start and duration as ns to the span's start and end, with their places. false when memory is exhausted. */
bool tspi_scan_micro_stamps(tspi_scan *scan, int64_t start_ns, const tspi_json_text *start, int64_t duration_ns,
                            const tspi_json_text *duration);

/* A string (null: empty). A lenient id, else the span is made bad. */
bool tspi_scan_string(tspi_json *json, tspi_json_text *ret_text);
void tspi_scan_trace_id(tspi_scan *scan, tspi_json *json, const char *field, tspi_trace_id *ret_id);
void tspi_scan_span_id(tspi_scan *scan, tspi_json *json, const char *field, uint64_t *ret_id);
void tspi_scan_name(tspi_scan *scan, tspi_json *json, const char *field);
static inline size_t tspi_scan_offset(const tspi_scan *scan, const void *at)
{
    return (size_t)((const uint8_t *)at - scan->base);
}
tsp_status tspi_scan_no_memory(tspi_scan *scan);

/* One element of the format's main array. */
tsp_status tspi_otlp_json_element(tspi_scan *scan, tspi_json *json);
tsp_status tspi_jaeger_json_element(tspi_scan *scan, tspi_json *json);
tsp_status tspi_zipkin_json_element(tspi_scan *scan, tspi_json *json);

/* Elements in bytes [from, to), with the commas between and behind them. */
tsp_status tspi_json_elements(tspi_scan *scan, tspi_json_document element, size_t from, size_t to);

/* Where the field at offset at of a protobuf message ends; at when it is broken. */
size_t tspi_otlp_proto_next(const uint8_t *bytes, size_t at, size_t len);

/* Bytes [from, to) of the document in its format: whole documents, or elements of the one array. */
tsp_status tspi_scan_range(tspi_scan *scan, enum tspi_format format, bool elements, size_t from, size_t to);

/* All JSON values in bytes [from, to): one, several behind one another, one a line, or each behind its length. */
tsp_status tspi_json_documents(tspi_scan *scan, tspi_json_document document, size_t from, size_t to);

#endif
