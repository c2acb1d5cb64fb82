/* Documents written back. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/big.h"
#include "wire/wire_content.h"
#include "wire/wire_pack.h"

static tsp_status write_out(const char *path, const tspi_buf *bytes, tsp_error *err)
{
    if (!tspi_is_stdin(path))
        return tspi_file_replace(path, bytes->data, bytes->len, err);
    for (size_t at = 0; at < bytes->len;) {
        ssize_t n = write(STDOUT_FILENO, bytes->data + at, bytes->len - at);
        if (n < 0 && errno != EINTR)
            return tsp_error_sys(err, errno, "cannot write to standard output");
        at += n > 0 ? (size_t)n : 0;
    }
    return TSP_OK;
}

/* What goes to a file is gathered up to the next multiple of WINDOW_BYTES of it, and written at once: a file system in
 * memory with pages of that size clears what a first write leaves out of a page. What lies in the mapped input is only
 * pointed at until then; the rest is copied. */
enum { WINDOW_BYTES = 2 << 20, PIECES_MOST = 256 };

typedef struct {
    tspi_file file;
    const uint8_t *input, *input_end;
    uint8_t *copies; /* owned, WINDOW_BYTES */
    size_t copied, gathered, written;
    struct iovec pieces[PIECES_MOST];
    int n;
} gatherer;

static tsp_status write_pieces(gatherer *g, tsp_error *err)
{
    struct iovec *piece = g->pieces, *end = g->pieces + g->n;

    while (piece < end) {
        ssize_t n = writev(g->file.fd, piece, (int)(end - piece));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tsp_error_sys(err, errno, "cannot write '%s'", g->file.path);
        for (; piece < end && (size_t)n >= piece->iov_len; piece++)
            n -= (ssize_t)piece->iov_len;
        if (piece < end) {
            piece->iov_base = (char *)piece->iov_base + n;
            piece->iov_len -= (size_t)n;
        }
    }
    g->written += g->gathered;
    g->gathered = g->copied = 0;
    g->n = 0;
    return TSP_OK;
}

static void add_piece(gatherer *g, const uint8_t *at, size_t len)
{
    bool stays = at >= g->input && at < g->input_end;

    if (!stays)
        at = memcpy(g->copies + g->copied, at, len);
    g->copied += stays ? 0 : len;
    g->gathered += len;
    if (g->n && (const uint8_t *)g->pieces[g->n - 1].iov_base + g->pieces[g->n - 1].iov_len == at)
        g->pieces[g->n - 1].iov_len += len;
    else
        g->pieces[g->n++] = (struct iovec){(void *)(uintptr_t)at, len};
}

static tsp_status drain_to_file(void *ctx, const void *bytes, size_t len, tsp_error *err)
{
    gatherer *g = ctx;
    const uint8_t *at = bytes;
    tsp_status rc = TSP_OK;

    while (len && rc == TSP_OK) {
        size_t room = WINDOW_BYTES - (g->written + g->gathered) % WINDOW_BYTES, n = len < room ? len : room;
        add_piece(g, at, n);
        at += n;
        len -= n;
        if (n == room || g->n == PIECES_MOST)
            rc = write_pieces(g, err);
    }
    return rc;
}

/* From file to file, without holding all of it: half the time goes where memory is touched for the first time. */
static tsp_status patch_through(const tspi_document *document, const tspi_content *content, const char *out_path,
                                const tspi_wire_options *options, tspi_stamp_edit edit, void *ctx, tsp_error *err)
{
    tspi_wire_options with = *options;
    gatherer g = {.input = content->plain, .input_end = content->plain + content->plain_n};
    tsp_status rc = tspi_file_begin(&g.file, out_path, err);

    with.large = document->large;
    with.large_n = document->large_n;
    g.copies = tspi_big_calloc(WINDOW_BYTES, 1);
    if (rc == TSP_OK && !g.copies)
        rc = tsp_error_set(err, TSP_ENOMEM, "out of memory");
    if (rc == TSP_OK)
        rc = tspi_wire_patch_drain(document->path, content->plain, content->plain_n, document->format, &with,
                                   document->first_span, edit, ctx, drain_to_file, &g, err);
    if (rc == TSP_OK)
        rc = write_pieces(&g, err);
    rc = tspi_content_confirm(content, document, document->path, rc, err);
    tspi_big_free(g.copies, WINDOW_BYTES);
    return tspi_file_end(&g.file, rc, err);
}

/* Nothing can be taken back from there. */
static bool is_one_way(const char *path)
{
    struct stat st;

    return tspi_is_stdin(path) || (stat(path, &st) == 0 && !S_ISREG(st.st_mode));
}

/* All of it in memory: what is packed, annotated, or goes where nothing can be taken back. */
static tsp_status patch_whole(const tspi_document *document, const tspi_content *content, const char *out_path,
                              const tspi_wire_options *options, tspi_stamp_edit edit, void *ctx, tsp_error *err)
{
    tspi_buf patched = {0}, annotated = {0}, packed = {0}, *result = &patched;
    tsp_status rc = tspi_wire_patch(document->path, content->plain, content->plain_n, document->format, options,
                                    document->first_span, edit, ctx, &patched, err);

    if (rc == TSP_OK && options->annotate) {
        rc = tspi_wire_annotate(document->path, patched.data, patched.len, document->format, document->first_span,
                                document->spans_n, options->annotate, ctx, &annotated, err);
        result = &annotated;
    }
    if (rc == TSP_OK && content->compression != TSPI_PLAIN) {
        rc = tspi_pack_redo(document->path, result->data, result->len, content->compression, &packed, err);
        result = &packed;
    }
    rc = tspi_content_confirm(content, document, document->path, rc, err);
    if (rc == TSP_OK)
        rc = write_out(out_path, result, err);
    tspi_buf_release(&patched);
    tspi_buf_release(&annotated);
    tspi_buf_release(&packed);
    return rc;
}

tsp_status tspi_wire_patch_document(const tspi_document *document, const char *out_path,
                                    const tspi_wire_options *options, tspi_stamp_edit edit, void *ctx, tsp_error *err)
{
    tspi_wire_options defaults = {0};
    tspi_content content;

    options = options ? options : &defaults;
    tsp_status rc = tspi_content_reload(document, options, &content, err);
    if (rc == TSP_OK && content.cut)
        rc = tsp_error_set(err, TSP_EPARSE, "%s: its compressed data is damaged, so it cannot be written back",
                           document->path);
    if (rc == TSP_OK && content.plain_n != document->plain_bytes)
        rc = tsp_error_set(err, TSP_EIO, "%s has changed since it was read", document->path);
    if (rc == TSP_OK) {
        bool through = content.compression == TSPI_PLAIN && !options->annotate && !is_one_way(out_path);
        rc = (through ? patch_through : patch_whole)(document, &content, out_path, options, edit, ctx, err);
    }
    tspi_content_release(&content);
    return rc;
}
