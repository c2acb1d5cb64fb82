/* Work on many cores whose result is the same as on one. */
#ifndef TSPI_WIRE_WIRE_PARALLEL_H
#define TSPI_WIRE_WIRE_PARALLEL_H

#include "wire/wire_scan.h"

/* jobs_n jobs on threads threads (>= 1). work is called for each job, on any thread, in no order; take is called for
 * each job that is done, on the calling thread, in order; when it says false no further job is started and run returns
 * after those under way. At most a few jobs more than there are threads are done but not taken, so results never pile
 * up. */
typedef struct {
    size_t jobs_n;
    unsigned threads;
    void (*work)(void *ctx, size_t job);
    bool (*take)(void *ctx, size_t job);
    void (*drop)(void *ctx, size_t job); /* as take, of jobs that were done when the run had already stopped */
    void *ctx;
} tspi_ordered;

void tspi_ordered_run(const tspi_ordered *run);

/* options->threads, or as many as this process may use cores. */
unsigned tspi_threads_wanted(const tspi_wire_options *options);

/* Where a document can be cut so that its pieces can be read apart: a list of offsets, the first 0 or the start of the
 * first element, the last len or the end of the last one. elements: the pieces are elements of one JSON array. */
typedef struct {
    size_t *at; /* owned */
    size_t n, cap;
    bool elements;
} tspi_cuts;

/* Pieces of about chunk_bytes. Fewer than two of them: not worth it, or not possible. */
void tspi_cuts_find(const uint8_t *bytes, size_t len, enum tspi_format format, size_t chunk_bytes, tspi_cuts *ret_cuts);

/* Read a document in pieces. scan: set up for the whole of it. Returns false when a piece failed: then everything is as
 * before the call (but for interned rows, which come back in the same places), and one thread should read it to say
 * what is wrong, or to go on behind it. */
bool tspi_read_in_pieces(tspi_scan *scan, enum tspi_format format, const tspi_cuts *cuts, unsigned threads);

/* The whole of a document into rows: on many threads when there is enough to do, else on this one. */
tsp_status tspi_scan_all(tspi_scan *scan, enum tspi_format format, const tspi_wire_options *options);

/* The format that is forced, or what the bytes say. Errors: as tspi_wire_sniff. */
tsp_status tspi_scan_choose(const char *name, const uint8_t *bytes, size_t len, enum tspi_format forced,
                            enum tspi_format *ret_format, tsp_error *err);

/* The last place where a document that goes on can be cut: what stands before it can be read by itself. 0: none.
 * looked: up to there it was looked for before, in vain. */
size_t tspi_cuts_last(const uint8_t *bytes, size_t len, size_t looked, enum tspi_format format);

/* A copy of a document's row. */
tsp_status tspi_report_document(tspi_read_report *report, const tspi_document *document, tsp_error *err);

/* Note large resources of the document being read. Where memory is short they are forgotten: they only save time. */
void tspi_report_resources(tspi_read_report *report, const tspi_large_resource *large, size_t n);

/* Add what a part of the reading found, whose first row is first_span here. */
tsp_status tspi_report_append(tspi_read_report *report, tspi_read_report *take_part, size_t first_span, tsp_error *err);

#endif
