#include "wire/wire_feed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/wire_parallel.h"
#include "wire/wire_unpack.h"

enum { CHUNK_BYTES = 4 << 20, HEAD_BYTES = 64 * 1024, PIECES_A_THREAD = 2, HOLE_BYTES = 4096 };

typedef struct {
    const tspi_source *source;
    const tspi_wire_options *options;
    tspi_span_set *set;
    tspi_read_report *report;
    tsp_error *err;
    enum tspi_format format;
    enum tspi_compression compression;
    tspi_unpacker *unpacker; /* owned; NULL = plain */
    tspi_buf packed, held;   /* bytes read but not unpacked; bytes not yet scanned */
    size_t packed_at, mapped_at;
    const uint8_t *bytes; /* not yet scanned: in held, or mapped */
    size_t len;
    uint64_t origin, stored; /* plain bytes before them; bytes taken from the source */
    bool packed_end, end;    /* nothing more comes */
} feed;

static tsp_status no_memory(const feed *f)
{
    return tsp_error_set(f->err, TSP_ENOMEM, "%s: memory is exhausted", f->source->name);
}

/* At least one byte more behind the descriptor's bytes in buf, or *ret_end. */
static tsp_status read_some(feed *f, tspi_buf *buf, size_t want, bool *ret_end)
{
    ssize_t n;

    if (!tspi_buf_reserve(buf, want))
        return no_memory(f);
    do
        n = read(f->source->fd, buf->data + buf->len, want);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return tsp_error_sys(f->err, errno, "cannot read %s", f->source->name);
    buf->len += (size_t)n;
    f->stored += (uint64_t)n;
    *ret_end = n == 0;
    return TSP_OK;
}

/* The packed bytes at hand; what has been unpacked makes room. */
static tsp_status more_packed(feed *f)
{
    if (f->source->bytes) {
        f->packed_end = true;
        return TSP_OK;
    }
    if (f->packed_at) {
        memmove(f->packed.data, f->packed.data + f->packed_at, f->packed.len - f->packed_at);
        f->packed.len -= f->packed_at;
        f->packed_at = 0;
    }
    return read_some(f, &f->packed, HEAD_BYTES, &f->packed_end);
}

static tsp_status unpack_some(feed *f)
{
    const uint8_t *from = f->source->bytes ? f->source->bytes + f->mapped_at : f->packed.data + f->packed_at;
    size_t left = f->source->bytes ? f->source->len - f->mapped_at : f->packed.len - f->packed_at, used = 0;
    bool done = false;
    tsp_status rc = tspi_unpacker_step(f->unpacker, from, left, f->packed_end, &f->held, &used, &done, f->err);

    f->mapped_at += f->source->bytes ? used : 0;
    f->packed_at += f->source->bytes ? 0 : used;
    if (rc == TSP_EPARSE && f->options->keep_going) { /* what came before is read */
        if (f->err && !f->report->first_problem[0])
            snprintf(f->report->first_problem, sizeof f->report->first_problem, "%s", f->err->message);
        if (f->err)
            *f->err = (tsp_error){0};
        f->report->bad_stretches++;
        done = true;
        rc = TSP_OK;
    }
    f->end = done;
    return rc == TSP_OK && !used && !done && !f->packed_end ? more_packed(f) : rc;
}

/* Want bytes to scan, or all that there are. */
static tsp_status fill(feed *f, size_t want)
{
    tsp_status rc = TSP_OK;

    if (f->source->bytes && !f->unpacker) {
        f->len = f->source->len - f->mapped_at < want ? f->source->len - f->mapped_at : want;
        f->bytes = f->source->bytes + f->mapped_at;
        f->end = f->len == f->source->len - f->mapped_at;
        return TSP_OK;
    }
    while (rc == TSP_OK && !f->end && f->held.len < want) {
        if (f->unpacker)
            rc = unpack_some(f);
        else
            rc = read_some(f, &f->held, want - f->held.len, &f->end);
    }
    if (rc == TSP_OK && !tspi_buf_ok(&f->held))
        rc = no_memory(f);
    f->bytes = f->held.data ? f->held.data : (const uint8_t *)"";
    f->len = f->held.len;
    return rc;
}

static void consume(feed *f, size_t n)
{
    f->origin += n;
    if (f->source->bytes && !f->unpacker) {
        f->mapped_at += n;
        return;
    }
    memmove(f->held.data, f->held.data + n, f->held.len - n);
    f->held.len -= n;
}

/* The first bytes say whether all is packed. */
static tsp_status begin(feed *f)
{
    tsp_status rc = TSP_OK;

    if (f->source->bytes) {
        f->stored = f->source->len;
        f->compression = tspi_pack_sniff(f->source->bytes, f->source->len);
        f->packed_end = true;
    } else {
        bool end = false;
        while (rc == TSP_OK && !end && f->held.len < 16)
            rc = read_some(f, &f->held, HEAD_BYTES, &end);
        if (rc != TSP_OK)
            return rc;
        f->compression = tspi_pack_sniff(f->held.data, f->held.len);
        f->end = f->packed_end = end;
        if (f->compression != TSPI_PLAIN) {
            f->packed = f->held;
            f->held = (tspi_buf){0};
            f->end = false;
        }
    }
    if (f->compression == TSPI_PLAIN)
        return TSP_OK;
    f->unpacker = tspi_unpacker_new(f->source->name, f->compression, f->options);
    return f->unpacker ? TSP_OK : no_memory(f);
}

/* One piece as rows. Nothing that a scan remembers outlives its bytes. */
static tsp_status scan_piece(feed *f, size_t len)
{
    tspi_scan *scan = calloc(1, sizeof *scan);

    if (!scan)
        return no_memory(f);
    scan->name = f->source->name;
    scan->base = f->bytes;
    scan->len = len;
    scan->origin = f->origin;
    scan->keep_going = f->options->keep_going;
    scan->err = f->err;
    scan->set = f->set;
    scan->report = f->report;
    tsp_status rc = tspi_scan_all(scan, f->format, f->options);
    tspi_scan_release(scan);
    free(scan);
    return rc;
}

/* Zipkin's halves may lie in different pieces: all rows there are. */
static tsp_status between(feed *f)
{
    if (!f->options->between)
        return TSP_OK;
    if (f->format == TSPI_FORMAT_ZIPKIN_JSON) {
        tsp_status rc = tspi_span_set_mark_shared(f->set, 0, f->err);
        if (rc != TSP_OK)
            return rc;
    }
    return f->options->between(f->options->between_ctx, f->set, f->err);
}

/* Text without a place to cut that ends in a page of zeros: a hole of a sparse file, or one that was never written to
 * its end. It is not worth the rest, which may be terabytes. */
static tsp_status refuse_hole(feed *f)
{
    static const uint8_t zeros[HOLE_BYTES];
    size_t at = f->len;

    if (f->format == TSPI_FORMAT_OTLP_PROTO || f->format == TSPI_FORMAT_OTLP_PROTO_FRAMED || at < HOLE_BYTES ||
        memcmp(f->bytes + at - HOLE_BYTES, zeros, HOLE_BYTES) != 0)
        return TSP_OK;
    while (at && !f->bytes[at - 1])
        at--;
    tsp_error_set(
        f->err, TSP_EPARSE,
        "%s: byte %llu: zeros from here on, which no JSON holds: the file is sparse or was not written to its "
        "end",
        f->source->name, (unsigned long long)(f->origin + at));
    if (!f->options->keep_going)
        return TSP_EPARSE;
    if (f->err && !f->report->first_problem[0])
        snprintf(f->report->first_problem, sizeof f->report->first_problem, "%s", f->err->message);
    if (f->err)
        *f->err = (tsp_error){0};
    f->report->bad_stretches++;
    f->len = at;
    f->end = true;
    return TSP_OK;
}

static tsp_status scan_all(feed *f, size_t piece)
{
    size_t want = piece, looked = 0, first = f->set->spans_n;
    tsp_status rc = TSP_OK;

    while (rc == TSP_OK) {
        size_t cut = f->end ? f->len : tspi_cuts_last(f->bytes, f->len, looked, f->format);
        if (!cut && !f->end) {
            want += want; /* one document, or one message, larger than a piece */
            looked = f->len;
            rc = refuse_hole(f);
            if (rc != TSP_OK)
                return rc;
            cut = f->end ? f->len : 0;
        }
        if (cut || f->end) {
            rc = scan_piece(f, cut);
            if (rc == TSP_OK)
                rc = between(f);
            consume(f, cut);
            want = piece;
            looked = 0;
        }
        if (f->end && cut == f->len)
            break;
        if (rc == TSP_OK)
            rc = fill(f, want);
    }
    if (rc == TSP_OK && f->format == TSPI_FORMAT_ZIPKIN_JSON)
        rc = tspi_span_set_mark_shared(f->set, f->options->between ? 0 : first, f->err);
    return rc;
}

static void feed_release(feed *f)
{
    tspi_unpacker_free(f->unpacker);
    tspi_buf_release(&f->packed);
    tspi_buf_release(&f->held);
}

/* What fits one piece is one document like any other. */
static tsp_status read_small(feed *f)
{
    tsp_status rc = tspi_wire_read(f->source->name, f->bytes, f->len, f->options, f->set, f->report, f->err);

    if (rc != TSP_OK)
        return rc;
    tspi_document *document = &f->report->documents[f->report->documents_n - 1];
    document->bytes = f->stored;
    document->compression = f->compression;
    f->set->bytes += f->stored - f->len;
    return f->options->between ? f->options->between(f->options->between_ctx, f->set, f->err) : TSP_OK;
}

static tsp_status read_large(feed *f, size_t piece)
{
    size_t first = f->set->spans_n;
    tsp_status rc = tspi_scan_choose(f->source->name, f->bytes, f->len, f->options->format, &f->format, f->err);

    f->report->large_n = 0;
    if (rc == TSP_OK)
        rc = scan_all(f, piece);
    if (rc != TSP_OK)
        return rc;
    f->set->files++;
    f->set->bytes += f->stored;
    return tspi_report_document(f->report,
                                &(tspi_document){.path = (char *)(uintptr_t)f->source->name,
                                                 .format = f->format,
                                                 .compression = f->compression,
                                                 .bytes = f->stored,
                                                 .plain_bytes = f->origin,
                                                 .first_span = first,
                                                 .spans_n = f->set->spans_n > first ? f->set->spans_n - first : 0},
                                f->err);
}

tsp_status tspi_feed_read(const tspi_source *source, const tspi_wire_options *options, tspi_span_set *set,
                          tspi_read_report *report, tsp_error *err)
{
    feed f = {.source = source, .options = options, .set = set, .report = report, .err = err};
    size_t chunk = options->chunk_bytes ? options->chunk_bytes : CHUNK_BYTES, threads = tspi_threads_wanted(options);
    size_t piece = threads > 1 ? chunk * threads * PIECES_A_THREAD : chunk;
    tsp_status rc = begin(&f);

    if (rc == TSP_OK)
        rc = fill(&f, piece);
    if (rc == TSP_OK)
        rc = f.end ? read_small(&f) : read_large(&f, piece);
    feed_release(&f);
    return rc;
}
