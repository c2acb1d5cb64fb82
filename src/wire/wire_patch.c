/* The current span's stamps, asked for and written. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/wire_annotate.h"

/* PASSED_BYTES: bytes that stay are copied among those that change where they are fewer, since being handed on by
 * themselves costs two pieces of a gathered write, or two writes. */
enum { COPY_AHEAD = 64 * 1024, DRAIN_BYTES = 256 * 1024, PASSED_BYTES = 16 * 1024 };

/* Nearest microsecond, halves upward: monotonic, so no order is inverted. Of a negative time at most 0, which is
 * refused. */
static int64_t round_us(int64_t ns)
{
    return ns / 1000 + (ns % 1000 >= 500 ? 1 : 0);
}

static int by_offset(const void *left, const void *right)
{
    const tspi_raw_place *a = left, *b = right;

    return (a->at > b->at) - (a->at < b->at);
}

static tsp_status before_1970(tspi_scan *scan, size_t at, int64_t ns)
{
    return tsp_error_at(scan->err, TSP_ERANGE, at,
                        "%s: byte %zu: a stamp corrected to %" PRId64 " ns lies before 1970 and cannot be written",
                        scan->name, at, ns);
}

static tsp_status ask(tspi_scan *scan, tspi_raw_place *place)
{
    tspi_stamp_place question = {scan->row, place->what, place->ns};
    int64_t ns = scan->edit(scan->ctx, &question);

    place->edited = ns != place->ns;
    place->ns = ns;
    if (place->edited && (scan->micro ? round_us(ns) : ns) <= 0)
        return before_1970(scan, place->at, ns);
    return TSP_OK;
}

static tsp_status ask_all(tspi_scan *scan, enum tspi_stamp what, tspi_raw_place **ret_last)
{
    tspi_raw_span *span = &scan->span;
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < span->places_n && rc == TSP_OK; k++)
        if (span->places[k].what == what) {
            rc = ask(scan, &span->places[k]);
            if (ret_last)
                *ret_last = &span->places[k];
        }
    return rc;
}

/* Microseconds: what stands at each place, from what the edits said. The end's place holds the duration. */
static void to_micro(tspi_scan *scan, tspi_raw_place *start, tspi_raw_place *end)
{
    tspi_raw_span *span = &scan->span;

    if (start && end && (start->edited || end->edited)) {
        int64_t before = span->end_ns - span->start_ns, duration = round_us(end->ns) - round_us(start->ns);
        int64_t least = before > 0 ? scan->min_duration_us : 0;
        end->edited = true;
        end->written = duration > least ? duration : least;
    }
    for (size_t k = 0; k < span->places_n; k++)
        if (span->places[k].what != TSPI_STAMP_END)
            span->places[k].written = round_us(span->places[k].ns);
}

size_t tspi_scan_copy(tspi_scan *scan, size_t offset)
{
    tspi_buf_append(scan->out, scan->base + scan->copied, offset - scan->copied);
    scan->copied = offset;
    return scan->out->len;
}

static bool hand_on(tspi_scan *scan, const void *bytes, size_t len)
{
    if (len && scan->drained == TSP_OK)
        scan->drained = scan->drain(scan->drain_ctx, bytes, len, scan->err);
    return scan->drained == TSP_OK;
}

/* Hand on what lies before the current span: nothing will be patched there any more. */
static bool drain(tspi_scan *scan)
{
    size_t kept = scan->span_at < scan->copied ? scan->copied - scan->span_at : 0;

    if (scan->drained != TSP_OK)
        return false;
    if (!scan->drain || scan->held || scan->out->len < DRAIN_BYTES || kept >= scan->out->len || !tspi_buf_ok(scan->out))
        return true;
    if (!hand_on(scan, scan->out->data, scan->out->len - kept))
        return false;
    memmove(scan->out->data, scan->out->data + scan->out->len - kept, kept);
    scan->out->len = kept;
    return true;
}

void tspi_scan_stays(tspi_scan *scan, size_t offset)
{
    if (offset > scan->stays)
        scan->stays = offset;
}

tsp_status tspi_scan_flush(tspi_scan *scan)
{
    if (!tspi_buf_ok(scan->out))
        return tspi_scan_no_memory(scan);
    bool fine = hand_on(scan, scan->out->data, scan->out->len);

    scan->out->len = 0;
    if (fine && scan->stays > scan->copied) {
        hand_on(scan, scan->base + scan->copied, scan->stays - scan->copied);
        scan->copied = scan->stays;
    }
    return scan->drained;
}

/* A long stretch that stays goes straight from the input to the drain. */
static bool pass(tspi_scan *scan)
{
    if (!scan->drain || scan->held || scan->stays < scan->copied + PASSED_BYTES)
        return true;
    return tspi_scan_flush(scan) == TSP_OK;
}

bool tspi_scan_copy_ahead(tspi_scan *scan, size_t to)
{
    if (to <= scan->copied)
        return true;
    if (!pass(scan) || !drain(scan))
        return false;
    size_t block = scan->len - scan->copied < COPY_AHEAD ? scan->len - scan->copied : COPY_AHEAD;

    if (scan->copied + block < to)
        block = to - scan->copied;
    tspi_scan_copy(scan, scan->copied + block);
    return tspi_buf_ok(scan->out);
}

tsp_status tspi_scan_patch8(tspi_scan *scan, enum tspi_stamp what, size_t at, int64_t ns)
{
    tspi_stamp_place question = {scan->row, what, ns};
    int64_t edited = scan->edit(scan->ctx, &question);

    if (edited == ns)
        return TSP_OK;
    if (edited <= 0)
        return before_1970(scan, at, edited);
    if (!tspi_scan_copy_ahead(scan, at + 8))
        return tspi_scan_no_memory(scan);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    edited = (int64_t)__builtin_bswap64((uint64_t)edited);
#endif
    memcpy(scan->out->data + (scan->out->len - scan->copied) + at, &edited, 8);
    return TSP_OK;
}

static tsp_status emit_binary(tspi_scan *scan)
{
    const tspi_raw_span *span = &scan->span;
    tsp_status rc = TSP_OK;

    for (enum tspi_stamp what = TSPI_STAMP_START; what <= TSPI_STAMP_EVENT; what++)
        for (size_t k = 0; k < span->places_n && rc == TSP_OK; k++)
            if (span->places[k].what == what)
                rc = tspi_scan_patch8(scan, what, span->places[k].at, span->places[k].ns);
    return rc;
}

/* Other digits than those that stand there, and all bytes before them. */
static void write_digits(tspi_scan *scan)
{
    for (size_t k = 0; k < scan->span.places_n; k++) {
        const tspi_raw_place *place = &scan->span.places[k];
        char digits[24];
        if (!place->edited)
            continue;
        size_t len = (size_t)snprintf(digits, sizeof digits, "%" PRId64, place->written);
        tspi_scan_stays(scan, place->at);
        if (pass(scan))
            tspi_scan_copy(scan, place->at);
        tspi_buf_append(scan->out, digits, len);
        scan->copied = place->at + place->len;
    }
}

tsp_status tspi_scan_emit_patch(tspi_scan *scan)
{
    tspi_raw_span *span = &scan->span;
    tspi_raw_place *start = NULL, *end = NULL;
    bool sorted = true, any = false;

    if (scan->annotate)
        return tspi_scan_annotate(scan);
    if (scan->binary)
        return emit_binary(scan);
    tsp_status rc = ask_all(scan, TSPI_STAMP_START, &start);
    if (rc == TSP_OK)
        rc = ask_all(scan, TSPI_STAMP_END, &end);
    if (rc == TSP_OK)
        rc = ask_all(scan, TSPI_STAMP_EVENT, NULL);
    if (rc != TSP_OK)
        return rc;
    if (scan->micro)
        to_micro(scan, start, end);
    for (size_t k = 0; k < span->places_n; k++) {
        any |= span->places[k].edited;
        sorted &= !k || span->places[k - 1].at < span->places[k].at;
        if (!scan->micro)
            span->places[k].written = span->places[k].ns;
    }
    if (!any)
        return TSP_OK;
    if (!sorted)
        qsort(span->places, span->places_n, sizeof *span->places, by_offset);
    write_digits(scan);
    scan->span_at = scan->len; /* nothing is written over digits */
    return drain(scan) && tspi_buf_ok(scan->out) ? TSP_OK : tspi_scan_no_memory(scan);
}
