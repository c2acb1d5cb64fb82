/* Traces as bytes: reading them into span rows, and writing the same bytes back with other stamps.
 *
 * A reader builds no tree: it walks the input once and yields a row a span, in the order of the input. A patcher walks
 * the same bytes in the same order and asks for each stamp what it should be; all other bytes pass through untouched.
 * The two agree on which span is which row, so an edit can look anything up in the span set. */
#ifndef TSPI_WIRE_WIRE_H
#define TSPI_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/mapped.h"
#include "span/span_set.h"
#include "truespan/base.h"

enum tspi_format {
    TSPI_FORMAT_AUTO,              /* look at the bytes */
    TSPI_FORMAT_OTLP_PROTO,        /* TracesData, ExportTraceServiceRequest */
    TSPI_FORMAT_OTLP_PROTO_FRAMED, /* the same, each behind its length as 4 bytes big-endian (Collector file exporter)
                                    */
    TSPI_FORMAT_OTLP_JSON,         /* one or many documents, one a line or not, or framed as above */
    TSPI_FORMAT_JAEGER_JSON,       /* Jaeger UI and /api/traces */
    TSPI_FORMAT_ZIPKIN_JSON,       /* Zipkin v2 */
    TSPI_FORMATS_N,
};

/* "auto", "otlp-proto", "otlp-proto-framed", "otlp-json", "jaeger", "zipkin". */
const char *tspi_format_name(enum tspi_format format);
bool tspi_format_parse(const char *name, enum tspi_format *ret_format);
#define TSPI_FORMAT_CHOICES "auto|otlp-proto|otlp-proto-framed|otlp-json|jaeger|zipkin"

enum tspi_compression {
    TSPI_PLAIN,
    TSPI_GZIP,
    TSPI_ZSTD,
    TSPI_FRAMED_GZIP, /* each message compressed alone behind its length (Collector file exporter with compression) */
    TSPI_FRAMED_ZSTD,
};

/* An attribute for a span: a number, or text. The keys are those that `fix --annotate` owns: docs/fix.md. */
typedef struct {
    const char *key;
    int64_t number;
    const char *text; /* NULL: the number */
} tspi_annotation;
#define TSPI_ANNOTATION_OFFSET "truespan.offset_ns"
#define TSPI_ANNOTATION_LO "truespan.offset_lo_ns"
#define TSPI_ANNOTATION_HI "truespan.offset_hi_ns"
#define TSPI_ANNOTATION_REFERENCE "truespan.reference"
#define TSPI_ANNOTATION_RAW_START "truespan.raw_start_time_unix_nano"
#define TSPI_ANNOTATION_RAW_END "truespan.raw_end_time_unix_nano"
enum { TSPI_ANNOTATIONS_MOST = 8 };

/* Raw stamps that a span carries already from having been annotated before; TSPI_NO_STAMP: none. */
typedef struct {
    int64_t start_ns, end_ns;
} tspi_annotated;

/* What a span is to say, into room for TSPI_ANNOTATIONS_MOST; 0 = it stays as it is. Called in the order of rows. */
typedef size_t (*tspi_annotate)(void *ctx, size_t span, const tspi_annotated *had, tspi_annotation *ret_annotations);

/* Do all spans stay as they are that stand in one resource with this row? Then they are passed over. */
typedef bool (*tspi_still)(void *ctx, size_t row);

/* A large resource of OTLP protobuf: where its message begins, and how many rows it has. What is passed over in
 * patching need not be touched then: to count its spans again is to wait for memory once a span. */
typedef struct {
    uint64_t at;
    uint32_t spans;
} tspi_large_resource;

/* Zero it for the defaults. */
typedef struct {
    enum tspi_format format; /* forced, or TSPI_FORMAT_AUTO */
    bool keep_going;         /* leave out what is bad and count it, instead of failing */
    unsigned threads;        /* 0 = one a core, 1 = no threads; the result does not depend on it */
    uint64_t
        max_plain_bytes; /* of one file once decompressed; 0 = 64 GiB, or half the machine's memory if that is less */
    size_t chunk_bytes;  /* a thread's share at a time; 0 = 4 MiB (tests make it small) */
    /* Called now and then, when no more than some pieces have been read since: the set may be changed, as long as its
     * processes keep their rows. Rows of spans then mean nothing in the report. NULL = never. */
    tsp_status (*between)(void *ctx, tspi_span_set *set, tsp_error *err);
    void *between_ctx;
    bool keep;                        /* the documents will be written back: what cannot be read again is kept */
    unsigned max_ratio;               /* of a compressed file beyond its first 256 MiB; 0 = 200 */
    tspi_annotate annotate;           /* of tspi_wire_patch_document, with its ctx; NULL = nothing is added to spans */
    tspi_still still;                 /* of patching, with its ctx; NULL = each span is asked for */
    const tspi_large_resource *large; /* of patching: the document's */
    size_t large_n;
} tspi_wire_options;

/* One file, or one document in memory, as it was read. */
typedef struct {
    char *path; /* owned */
    enum tspi_format format;
    enum tspi_compression compression;
    uint64_t bytes, plain_bytes; /* as stored, and decompressed */
    size_t first_span, spans_n;  /* its rows in the set */
    tspi_file_mark mark;         /* of a plain file, as it was read */
    tspi_buf kept;               /* with keep, of what is no plain file: its bytes as they came; owned */
    tspi_mapped map;             /* with keep, of a large plain file; owned */
    tspi_large_resource *large;  /* ascending; owned */
    size_t large_n;
} tspi_document;

/* What was read and, with keep_going, what was left out. Zero it to initialise; owned rows. */
typedef struct {
    tspi_document *documents;
    size_t documents_n, documents_cap;
    uint64_t spans;             /* rows added */
    uint64_t invalid_ids;       /* spans read whose span or trace id is absent or all zeros: they join nothing */
    uint64_t bad_spans;         /* left out: an id of wrong length, a stamp beyond 2262, a wrong type */
    uint64_t bad_parts;         /* an attribute, event or link left out, its span kept */
    uint64_t bad_stretches;     /* lines, messages or files of which a part could not be read */
    uint64_t bad_bytes;         /* in such stretches */
    uint64_t passed_over;       /* files in folders that are no traces */
    char first_problem[640];    /* the first message, with its file; "" when all was well */
    tspi_large_resource *large; /* of the document being read */
    size_t large_n, large_cap;
} tspi_read_report;

void tspi_read_report_release(tspi_read_report *report);

/* What the bytes are. Plain bytes only.
 * Errors: TSP_EPARSE: nothing that is known, the message says what they look like; TSP_ERANGE: empty. */
tsp_status tspi_wire_sniff(const uint8_t *bytes, size_t len, enum tspi_format *ret_format, tsp_error *err);

/* Read one plain document. name is for messages and the report. options may be NULL.
 * Without keep_going a failure leaves rows of the part before it in the set: release it. */
tsp_status tspi_wire_read(const char *name, const uint8_t *bytes, size_t len, const tspi_wire_options *options,
                          tspi_span_set *set, tspi_read_report *report, tsp_error *err);

/* Read a file (plain files are mapped), a folder (files below it in order of their names, those that are traces by
 * their name or their bytes), or "-" (standard input). gzip and zstd are undone.
 * Errors: TSP_EIO, TSP_EPARSE (message: file, byte, field, advice), TSP_ERANGE (a limit), TSP_ENOMEM. */
tsp_status tspi_wire_read_path(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                               tspi_read_report *report, tsp_error *err);

/* Each of some paths. format: the word for options->format, NULL = as options have it. TSP_EINVAL: there is none. */
tsp_status tspi_wire_read_paths(const char *const *paths, size_t paths_n, const char *format,
                                const tspi_wire_options *options, tspi_span_set *set, tspi_read_report *report,
                                tsp_error *err);

/* A place that holds a stamp. */
enum tspi_stamp {
    TSPI_STAMP_START,
    TSPI_STAMP_END,   /* in Jaeger and Zipkin start plus duration, written back as a duration */
    TSPI_STAMP_EVENT, /* OTLP event, Jaeger log, Zipkin annotation */
};
typedef struct {
    size_t span; /* row in the set: first_span plus how many spans came before */
    enum tspi_stamp what;
    int64_t ns; /* what stands there now; > 0 */
} tspi_stamp_place;

/* What should stand there; place->ns to leave it. Called in the order of rows, a span's start and end before its
 * events. A time before 1970 (<= 0) cannot be written: TSP_ERANGE. */
typedef int64_t (*tspi_stamp_edit)(void *ctx, const tspi_stamp_place *place);

/* The same bytes with edited stamps, appended to out. format: as the reader found it, or TSPI_FORMAT_AUTO. options:
 * those of the read (keep_going decides which spans have rows). first_span: the document's first row.
 *
 * Without edits out equals the input. Absent stamps, and zeros, are no places. OTLP: the nanoseconds. Jaeger and Zipkin
 * keep microseconds: each corrected time is rounded to the nearest one, halves upward, which inverts no order (a <= b
 * stays so in whole microseconds, across spans and files), and duration = rounded end - rounded start, at least 0, and
 * in Zipkin at least 1 where it was at least 1. A time whose edit gives it back unchanged keeps its digits. JSON keeps
 * its quoting: a string stays a string, a number a number. */
tsp_status tspi_wire_patch(const char *name, const uint8_t *bytes, size_t len, enum tspi_format format,
                           const tspi_wire_options *options, size_t first_span, tspi_stamp_edit edit, void *ctx,
                           tspi_buf *out, tsp_error *err);

/* Takes finished bytes away, in order. */
typedef tsp_status (*tspi_drain)(void *ctx, const void *bytes, size_t len, tsp_error *err);

/* The same for what is too much to hold: finished bytes go to drain as they come, and from place to place the cache
 * holds all there is (of JSON behind lengths: a message). Long stretches that stay are handed on where they lie in
 * bytes. A failure of drain is handed on, too. */
tsp_status tspi_wire_patch_drain(const char *name, const uint8_t *bytes, size_t len, enum tspi_format format,
                                 const tspi_wire_options *options, size_t first_span, tspi_stamp_edit edit, void *ctx,
                                 tspi_drain drain, void *drain_ctx, tsp_error *err);

/* The same bytes with attributes added to spans, appended to out; those of an earlier annotation are replaced. The
 * document must have been read whole, without keep_going having left anything out. spans_n: how many spans it has.
 * Errors: TSP_EPARSE: it was not, or a span's attributes are no list; TSP_ERANGE, TSP_ENOMEM. */
tsp_status tspi_wire_annotate(const char *name, const uint8_t *bytes, size_t len, enum tspi_format format,
                              size_t first_span, size_t spans_n, tspi_annotate annotate, void *ctx, tspi_buf *out,
                              tsp_error *err);

/* Patch a document of a report into a file (which may be its own), compressed as it was; written aside, synced and
 * renamed. out_path "-" = standard output. options: those of the read. */
tsp_status tspi_wire_patch_document(const tspi_document *document, const char *out_path,
                                    const tspi_wire_options *options, tspi_stamp_edit edit, void *ctx, tsp_error *err);

#endif
