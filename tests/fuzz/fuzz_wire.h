/* What every wire format's fuzz target checks of one input, read strictly and with keep_going:
 * nothing crashes, hangs or leaks; if it can be read it can be patched; no edits give the same bytes; after random
 * edits the patched bytes read as the same rows with exactly the edited stamps (in Jaeger and Zipkin rounded to
 * microseconds); several threads read what one reads. */
#ifndef TRUESPAN_FUZZ_WIRE_H
#define TRUESPAN_FUZZ_WIRE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "wire/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n);

#define FUZZ_CHECK(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                  \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

/* One shift a span, and a stretch of its end, from the row's number; a quarter of the spans stays. Stamps near the ends
 * of the scale are left alone. */
static int64_t fuzz_edited(size_t span, enum tspi_stamp what, int64_t ns)
{
    uint64_t random = tspi_hash_mix(span * 2 + 1);
    int64_t by = (int64_t)(random % 2000000001) - 1000000000;

    if (random >> 62 == 0 || ns > INT64_MAX - 4000000000 || ns < 2000000000)
        return ns;
    return ns + by + (what == TSPI_STAMP_END ? (int64_t)(random >> 40 & 0xffff) : 0);
}

static int64_t fuzz_edit(void *ctx, const tspi_stamp_place *place)
{
    (void)ctx;
    return fuzz_edited(place->span, place->what, place->ns);
}

static int64_t fuzz_same(void *ctx, const tspi_stamp_place *place)
{
    (void)ctx;
    return place->ns;
}

static int64_t fuzz_micro(int64_t ns)
{
    return (ns / 1000 + (ns % 1000 >= 500)) * 1000;
}

static void fuzz_expect(size_t row, const tspi_span *before, const tspi_span *after, enum tspi_format format)
{
    bool has_start = before->start_ns != TSPI_NO_STAMP, has_end = before->end_ns != TSPI_NO_STAMP;
    int64_t start = has_start ? fuzz_edited(row, TSPI_STAMP_START, before->start_ns) : TSPI_NO_STAMP;
    int64_t end = has_end ? fuzz_edited(row, TSPI_STAMP_END, before->end_ns) : TSPI_NO_STAMP;

    if ((format == TSPI_FORMAT_JAEGER_JSON || format == TSPI_FORMAT_ZIPKIN_JSON) && has_start) {
        bool moved = start != before->start_ns, any = moved || (has_end && end != before->end_ns);
        int64_t least = format == TSPI_FORMAT_ZIPKIN_JSON && has_end && before->end_ns > before->start_ns ? 1000 : 0;
        int64_t duration = has_end ? fuzz_micro(end) - fuzz_micro(start) : 0;
        if (duration < least)
            duration = least;
        start = moved ? fuzz_micro(start) : start;
        if (has_end && any)
            end = start + duration;
    }
    FUZZ_CHECK(after->start_ns == start);
    FUZZ_CHECK(after->end_ns == end);
    FUZZ_CHECK(after->span_id == before->span_id && after->parent_id == before->parent_id);
    FUZZ_CHECK(after->trace == before->trace && after->process == before->process && after->name == before->name);
    FUZZ_CHECK(after->kind == before->kind && after->operation == before->operation && after->flags == before->flags);
}

static void fuzz_compare(const tspi_span_set *a, const tspi_span_set *b)
{
    FUZZ_CHECK(a->spans_n == b->spans_n && a->traces_n == b->traces_n && a->processes_n == b->processes_n);
    FUZZ_CHECK(a->names_n == b->names_n && a->links_n == b->links_n && a->events_n == b->events_n);
    FUZZ_CHECK(!a->spans_n || !memcmp(a->spans, b->spans, a->spans_n * sizeof *a->spans));
    for (size_t k = 0; k < a->links_n; k++)
        FUZZ_CHECK(a->links[k].from == b->links[k].from && a->links[k].trace == b->links[k].trace &&
                   a->links[k].span_id == b->links[k].span_id && a->links[k].type == b->links[k].type);
}

static void fuzz_patch(const uint8_t *in, size_t n, const tspi_wire_options *options, const tspi_span_set *set,
                       const tspi_document *document)
{
    tspi_buf out = {0};
    tspi_span_set again = {0};
    tspi_read_report report = {0};
    tsp_error err = {0};

    FUZZ_CHECK(tspi_wire_patch("in", in, n, document->format, options, 0, fuzz_same, NULL, &out, &err) == TSP_OK);
    FUZZ_CHECK(out.len == n && (!n || !memcmp(out.data, in, n)));
    tspi_buf_clear(&out);
    FUZZ_CHECK(tspi_wire_patch("in", in, n, document->format, options, 0, fuzz_edit, NULL, &out, &err) == TSP_OK);
    tspi_wire_options forced = *options;
    forced.format = document->format;
    FUZZ_CHECK(tspi_wire_read("out", out.data, out.len, &forced, &again, &report, &err) == TSP_OK);
    FUZZ_CHECK(again.spans_n == set->spans_n && again.links_n == set->links_n && again.events_n == set->events_n);
    for (size_t k = 0; k < set->spans_n; k++)
        fuzz_expect(k, &set->spans[k], &again.spans[k], document->format);
    tspi_buf_release(&out);
    tspi_span_set_release(&again);
    tspi_read_report_release(&report);
}

/* Threads cost more than the rest of a run: an eighth of the inputs is enough. */
static void fuzz_parallel(const uint8_t *in, size_t n, tspi_wire_options options, const tspi_span_set *set,
                          const tspi_read_report *report, tsp_status rc, const tsp_error *err)
{
    tspi_span_set parallel = {0};
    tspi_read_report report2 = {0};
    tsp_error err2 = {0};

    options.threads = 2;
    options.chunk_bytes = 64;
    if (tspi_hash64(in, n, 0) % 8)
        return;
    FUZZ_CHECK(tspi_wire_read("in", in, n, &options, &parallel, &report2, &err2) == rc);
    FUZZ_CHECK(!strcmp(err->message, err2.message) && err->offset == err2.offset);
    FUZZ_CHECK(report->bad_spans == report2.bad_spans && report->bad_parts == report2.bad_parts);
    FUZZ_CHECK(!strcmp(report->first_problem, report2.first_problem));
    if (rc == TSP_OK)
        fuzz_compare(set, &parallel);
    tspi_span_set_release(&parallel);
    tspi_read_report_release(&report2);
}

static inline void fuzz_one(const uint8_t *in, size_t n, enum tspi_format format)
{
    for (int keep_going = 0; keep_going < 2; keep_going++) {
        tspi_wire_options options = {.format = format, .keep_going = keep_going, .threads = 1};
        tspi_span_set set = {0};
        tspi_read_report report = {0};
        tsp_error err = {0};
        tsp_status rc = tspi_wire_read("in", in, n, &options, &set, &report, &err);
        FUZZ_CHECK(rc == TSP_OK ? !err.message[0] : err.message[0]);
        fuzz_parallel(in, n, options, &set, &report, rc, &err);
        if (rc == TSP_OK)
            fuzz_patch(in, n, &options, &set, &report.documents[0]);
        tspi_span_set_release(&set);
        tspi_read_report_release(&report);
    }
}

#endif
