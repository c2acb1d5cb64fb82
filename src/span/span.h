/* Spans as rows: what every reader yields and every analysis reads. A row holds no text and no pointers; what repeats
 * (traces, processes, names) stands once in a table beside it. 48 bytes a span, so that a trace of 100 million spans
 * still fits a workstation. */
#ifndef TSPI_SPAN_SPAN_H
#define TSPI_SPAN_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "truespan/base.h"

#define TSPI_NO_STAMP INT64_MIN /* the input has no such stamp */
#define TSPI_NONE UINT32_MAX    /* no such row */

/* Numbers as in OTLP's SpanKind. */
enum tspi_span_kind {
    TSPI_KIND_UNSPECIFIED,
    TSPI_KIND_INTERNAL,
    TSPI_KIND_SERVER,
    TSPI_KIND_CLIENT,
    TSPI_KIND_PRODUCER,
    TSPI_KIND_CONSUMER,
};

/* messaging.operation.type, or the older messaging.operation. */
enum tspi_operation {
    TSPI_OPERATION_NONE,
    TSPI_OPERATION_CREATE,
    TSPI_OPERATION_SEND, /* also the older "publish" */
    TSPI_OPERATION_RECEIVE,
    TSPI_OPERATION_PROCESS, /* also the older "deliver" */
    TSPI_OPERATION_SETTLE,
};

enum tspi_span_flags {
    TSPI_SPAN_ERROR = 1,             /* status error, error.type, or a tag error=true */
    TSPI_SPAN_SHARED = 2,            /* Zipkin: the server half of a span whose client half has the same id */
    TSPI_SPAN_REMOTE_KNOWN = 4,      /* OTLP flags bit 8 */
    TSPI_SPAN_REMOTE_PARENT = 8,     /* OTLP flags bit 9: the parent is in another process */
    TSPI_SPAN_ADJUSTED = 16,         /* a tool says that it has moved this span's stamps already */
    TSPI_SPAN_UNADJUSTED_DELTA = 32, /* Jaeger noted a delta that it did not apply */
    TSPI_SPAN_TIMEOUT = 64,          /* ended by a deadline: its end says nothing of the other side's */
};

typedef struct {
    uint64_t span_id;   /* big-endian value of the 8 bytes; 0 = invalid */
    uint64_t parent_id; /* in the same trace; 0 = none */
    int64_t start_ns;   /* Unix ns on the process's clock, or TSPI_NO_STAMP */
    int64_t end_ns;     /* likewise */
    uint32_t trace;     /* row in traces */
    uint32_t process;   /* row in processes */
    uint32_t name;      /* row in names */
    uint8_t kind;       /* enum tspi_span_kind */
    uint8_t operation;  /* enum tspi_operation */
    uint16_t flags;     /* enum tspi_span_flags, or-ed */
} tspi_span;

/* hi = 0 for 64-bit ids (Zipkin, Jaeger): such an id joins the 128-bit trace with the same lo. */
typedef struct {
    uint64_t hi, lo;
} tspi_trace_id;

/* One resource (OTLP), process (Jaeger) or local endpoint (Zipkin), each distinct one once. */
typedef struct {
    const char *key, *value; /* NUL-terminated, in the set's arena; a list such as host.ip holds its first element */
} tspi_attribute;

typedef struct {
    const tspi_attribute *attributes; /* sorted by key */
    uint32_t attributes_n;
    uint32_t clock;     /* row in clocks; TSPI_NONE until identity is decided */
    int64_t quantum_ns; /* this process's stamps are multiples of it at the worst; 0 = not known to be coarse */
} tspi_process;

/* A link, or a reference that leaves the trace. from: the span that carries it. */
enum tspi_link_type {
    TSPI_LINK_LINK,         /* OTLP link: the target is a cause of the carrier */
    TSPI_LINK_CHILD_OF,     /* Jaeger CHILD_OF beyond the first, or into another trace */
    TSPI_LINK_FOLLOWS_FROM, /* Jaeger FOLLOWS_FROM */
};
typedef struct {
    uint32_t from;  /* row in spans */
    uint32_t trace; /* row in traces */
    uint64_t span_id;
    uint32_t type; /* enum tspi_link_type */
} tspi_link_row;

/* A numbered message or token of a stream: the order of the numbers is the order of the stamps. Streams are told
 * apart by (trace, process, name). */
typedef struct {
    uint32_t span; /* row in spans */
    int64_t number;
} tspi_sequence;

/* A numbered event inside a span (token events of gen_ai instrumentations). */
typedef struct {
    uint32_t span;
    int64_t number;
    int64_t at_ns;
} tspi_event;

typedef struct tspi_span_index tspi_span_index;

/* Everything that was read, over all files. Zero it to initialise; rows are owned. */
typedef struct {
    tspi_arena arena;
    tspi_span *spans;
    size_t spans_n, spans_cap;
    tspi_trace_id *traces;
    size_t traces_n, traces_cap;
    tspi_process *processes;
    size_t processes_n, processes_cap;
    const char **names;
    size_t names_n, names_cap;
    tspi_link_row *links;
    size_t links_n, links_cap;
    tspi_sequence *sequences;
    size_t sequences_n, sequences_cap;
    tspi_event *events;
    size_t events_n, events_cap;
    uint64_t files, bytes;
    tspi_span_index *index; /* hash tables behind the interning, owned by span_set.c */
} tspi_span_set;

#endif
