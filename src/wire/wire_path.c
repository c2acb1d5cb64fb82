/* Files, folders and standard input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/wire_feed.h"
#include "wire/wire_folder.h"
#include "wire/wire_pack.h"
#include "wire/wire_scan.h"

/* A file's bytes as stored (mapped when it is a plain file, else read) and unpacked. */
struct content {
    const uint8_t *stored;
    size_t stored_n;
    void *map; /* NULL = in buf, or borrowed */
    tspi_buf buf;
    enum tspi_compression compression;
    const uint8_t *plain;
    size_t plain_n;
    tspi_buf unpacked;
    bool cut; /* keep_going: the packed end was missing */
};

static void content_release(struct content *content)
{
    if (content->map)
        munmap(content->map, content->stored_n);
    tspi_buf_release(&content->buf);
    tspi_buf_release(&content->unpacked);
}

static bool is_stdin(const char *path)
{
    return !strcmp(path, "-");
}

static const char *name_of(const char *path)
{
    return is_stdin(path) ? "standard input" : path;
}

/* Map a plain file. false: it is none, or cannot be mapped; then it is read, and reading says what is wrong. */
static bool map_file(const char *path, struct content *content)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (map != MAP_FAILED) {
            madvise(map, (size_t)st.st_size, MADV_SEQUENTIAL);
            content->map = map;
            content->stored = map;
            content->stored_n = (size_t)st.st_size;
        }
    }
    close(fd);
    return content->map != NULL;
}

static tsp_status unpack(const char *path, const tspi_wire_options *options, struct content *content, tsp_error *err)
{
    content->compression = tspi_pack_sniff(content->stored, content->stored_n);
    content->plain = content->stored;
    content->plain_n = content->stored_n;
    if (content->compression == TSPI_PLAIN)
        return TSP_OK;
    tsp_status rc = tspi_pack_undo(name_of(path), content->stored, content->stored_n, content->compression, options,
                                   &content->unpacked, &content->cut, err);
    content->plain = content->unpacked.data;
    content->plain_n = content->unpacked.len;
    return rc;
}

static tsp_status content_load(const char *path, const tspi_wire_options *options, struct content *ret, tsp_error *err)
{
    *ret = (struct content){0};
    if (is_stdin(path) || !map_file(path, ret)) {
        tsp_status rc = tspi_buf_read_file(&ret->buf, path, 0, err);
        if (rc != TSP_OK)
            return rc;
        ret->stored = ret->buf.data;
        ret->stored_n = ret->buf.len;
    }
    return unpack(path, options, ret, err);
}

/* Read what has been loaded, and correct what the report says of it. */
static tsp_status read_content(const char *path, struct content *content, const tspi_wire_options *options,
                               tspi_span_set *set, tspi_read_report *report, tsp_error *err)
{
    if (content->cut) {
        if (err && !report->first_problem[0])
            snprintf(report->first_problem, sizeof report->first_problem, "%s", err->message);
        if (err)
            *err = (tsp_error){0};
        report->bad_stretches++;
    }
    tsp_status rc = tspi_wire_read(name_of(path), content->plain, content->plain_n, options, set, report, err);
    if (rc != TSP_OK)
        return rc;
    tspi_document *document = &report->documents[report->documents_n - 1];
    set->bytes += content->stored_n - content->plain_n;
    document->bytes = content->stored_n;
    document->compression = content->compression;
    if (is_stdin(path) && options->keep_stdin) {
        document->kept = content->buf;
        content->buf = (tspi_buf){0};
    }
    return TSP_OK;
}

/* Packed files, and plain ones when somebody wants to see the rows between pieces. */
static tsp_status feed_mapped(const char *path, const struct content *content, const tspi_wire_options *options,
                              tspi_span_set *set, tspi_read_report *report, tsp_error *err)
{
    tspi_source source = {.name = path, .bytes = content->stored, .len = content->stored_n, .fd = -1};

    return tspi_feed_read(&source, options, set, report, err);
}

/* Pipes, devices, and files that cannot be mapped. */
static tsp_status feed_descriptor(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                                  tspi_read_report *report, tsp_error *err)
{
    int fd = is_stdin(path) ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return tsp_error_sys(err, errno, "cannot open '%s'", path);
    tspi_source source = {.name = name_of(path), .fd = fd};
    tsp_status rc = tspi_feed_read(&source, options, set, report, err);
    if (!is_stdin(path))
        close(fd);
    return rc;
}

static tsp_status read_file(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                            tspi_read_report *report, tsp_error *err)
{
    struct content content = {0};
    tsp_status rc;

    if (is_stdin(path) && options->keep_stdin) {
        rc = content_load(path, options, &content, err);
        if (rc == TSP_OK)
            rc = read_content(path, &content, options, set, report, err);
    } else if (is_stdin(path) || !map_file(path, &content))
        rc = feed_descriptor(path, options, set, report, err);
    else if (options->between || tspi_pack_sniff(content.stored, content.stored_n) != TSPI_PLAIN)
        rc = feed_mapped(path, &content, options, set, report, err);
    else {
        content.plain = content.stored;
        content.plain_n = content.stored_n;
        rc = read_content(path, &content, options, set, report, err);
    }
    content_release(&content);
    return rc;
}

/* A file of a folder: read when it is a trace, by its bytes; what else lies there is passed over. A file whose name
 * says that it is a trace must be one. */
static bool named_a_trace(const char *path)
{
    static const char *const endings[] = {".otlp.json", ".otlp.jsonl",  ".otlp.pb",     ".otlp",
                                          ".pb",        ".jaeger.json", ".zipkin.json", ".zipkin2.json"};
    size_t n = strlen(path);

    if (n > 3 && !strcmp(path + n - 3, ".gz"))
        n -= 3;
    else if (n > 4 && !strcmp(path + n - 4, ".zst"))
        n -= 4;
    for (size_t k = 0; k < sizeof endings / sizeof endings[0]; k++) {
        size_t m = strlen(endings[k]);
        if (n > m && !memcmp(path + n - m, endings[k], m))
            return true;
    }
    return false;
}

tsp_status tspi_read_member(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                            tspi_read_report *report, tsp_error *err)
{
    struct content content;
    enum tspi_format format;
    bool must = named_a_trace(path);
    tsp_error why = {0};
    tsp_status rc = content_load(path, options, &content, &why);

    if (rc == TSP_OK && tspi_wire_sniff(content.plain, content.plain_n, &format, &why) != TSP_OK) {
        rc = content.plain_n && must ? TSP_EPARSE : TSP_OK; /* an empty file is a recorder that saw nothing */
        tsp_error_note(&why, "%s", path);
        report->passed_over += rc == TSP_OK;
    } else if (rc == TSP_OK) {
        tspi_wire_options found = *options; /* a forced format holds for the files named, not for all in a folder */
        found.format = options->format && must ? options->format : TSPI_FORMAT_AUTO;
        rc = read_content(path, &content, &found, set, report, &why);
    }
    content_release(&content);
    if (rc != TSP_OK && rc != TSP_ENOMEM && options->keep_going) {
        report->bad_stretches++;
        if (!report->first_problem[0])
            snprintf(report->first_problem, sizeof report->first_problem, "%s", why.message);
        return TSP_OK;
    }
    if (rc != TSP_OK && err)
        *err = why;
    return rc;
}

tsp_status tspi_wire_read_path(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                               tspi_read_report *report, tsp_error *err)
{
    tspi_wire_options defaults = {0};
    struct stat st;

    options = options ? options : &defaults;
    if (is_stdin(path) || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return read_file(path, options, set, report, err);
    return tspi_read_folder(path, options, set, report, err);
}

static tsp_status write_out(const char *path, const tspi_buf *bytes, tsp_error *err)
{
    if (strcmp(path, "-") != 0)
        return tspi_file_replace(path, bytes->data, bytes->len, err);
    for (size_t at = 0; at < bytes->len;) {
        ssize_t n = write(STDOUT_FILENO, bytes->data + at, bytes->len - at);
        if (n < 0 && errno != EINTR)
            return tsp_error_sys(err, errno, "cannot write to standard output");
        at += n > 0 ? (size_t)n : 0;
    }
    return TSP_OK;
}

/* The document's bytes: of the file, or as kept from standard input. */
static tsp_status reload(const tspi_document *document, const tspi_wire_options *options, struct content *ret,
                         tsp_error *err)
{
    if (!document->kept.data)
        return content_load(document->path, options, ret, err);
    *ret = (struct content){.stored = document->kept.data, .stored_n = document->kept.len};
    return unpack(document->path, options, ret, err);
}

static tsp_status drain_to_file(void *ctx, const void *bytes, size_t len, tsp_error *err)
{
    return tspi_file_write(ctx, bytes, len, err);
}

/* From file to file, without holding all of it: half the time goes where memory is touched for the first time. */
static tsp_status patch_through(const tspi_document *document, const struct content *content, const char *out_path,
                                const tspi_wire_options *options, tspi_stamp_edit edit, void *ctx, tsp_error *err)
{
    tspi_file file;
    tsp_status rc = tspi_file_begin(&file, out_path, err);

    if (rc == TSP_OK)
        rc = tspi_wire_patch_drain(document->path, content->plain, content->plain_n, document->format, options,
                                   document->first_span, edit, ctx, drain_to_file, &file, err);
    return tspi_file_end(&file, rc, err);
}

tsp_status tspi_wire_patch_document(const tspi_document *document, const char *out_path,
                                    const tspi_wire_options *options, tspi_stamp_edit edit, void *ctx, tsp_error *err)
{
    tspi_wire_options defaults = {0};
    struct content content;
    tspi_buf patched = {0}, annotated = {0}, packed = {0}, *result = &patched;

    options = options ? options : &defaults;
    tsp_status rc = reload(document, options, &content, err);
    if (rc == TSP_OK && content.cut)
        rc = tsp_error_set(err, TSP_EPARSE, "%s: its compressed data is damaged, so it cannot be written back",
                           document->path);
    if (rc == TSP_OK && content.plain_n != document->plain_bytes)
        rc = tsp_error_set(err, TSP_EIO, "%s has changed since it was read", document->path);
    if (rc == TSP_OK && content.compression == TSPI_PLAIN && !options->annotate && !is_stdin(out_path)) {
        rc = patch_through(document, &content, out_path, options, edit, ctx, err);
        content_release(&content);
        return rc;
    }
    if (rc == TSP_OK)
        rc = tspi_wire_patch(document->path, content.plain, content.plain_n, document->format, options,
                             document->first_span, edit, ctx, &patched, err);
    if (rc == TSP_OK && options->annotate) {
        rc = tspi_wire_annotate(document->path, patched.data, patched.len, document->format, document->first_span,
                                document->spans_n, options->annotate, ctx, &annotated, err);
        result = &annotated;
    }
    if (rc == TSP_OK && content.compression != TSPI_PLAIN) {
        rc = tspi_pack_redo(document->path, result->data, result->len, content.compression, &packed, err);
        result = &packed;
    }
    if (rc == TSP_OK)
        rc = write_out(out_path, result, err);
    tspi_buf_release(&patched);
    tspi_buf_release(&annotated);
    tspi_buf_release(&packed);
    content_release(&content);
    return rc;
}
