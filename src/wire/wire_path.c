/* Files, folders and standard input. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/wire_content.h"
#include "wire/wire_feed.h"
#include "wire/wire_folder.h"
#include "wire/wire_pack.h"
#include "wire/wire_scan.h"

/* Pages of a file that is going to be written back stay mapped from here on: finding them again is a tenth of the
 * writing. Not those of thousands of small files: a process may have some 65,000 mappings. */
#define KEPT_BYTES ((size_t)1 << 20)

/* Read what has been loaded, and correct what the report says of it. */
static tsp_status read_content(const char *path, tspi_content *content, const tspi_wire_options *options,
                               tspi_span_set *set, tspi_read_report *report, tsp_error *err)
{
    if (content->cut) {
        if (err && !report->first_problem[0])
            snprintf(report->first_problem, sizeof report->first_problem, "%s", err->message);
        if (err)
            *err = (tsp_error){0};
        report->bad_stretches++;
    }
    tsp_status rc =
        tspi_wire_read(tspi_content_name(path), content->plain, content->plain_n, options, set, report, err);
    rc = tspi_content_confirm(content, NULL, path, rc, err);
    if (rc != TSP_OK)
        return rc;
    tspi_document *document = &report->documents[report->documents_n - 1];
    set->bytes += content->stored_n - content->plain_n;
    document->bytes = content->stored_n;
    document->compression = content->compression;
    document->mark = content->mark;
    if (options->keep && content->buf.data) {
        document->kept = content->buf;
        content->buf = (tspi_buf){0};
    } else if (options->keep && content->map.len >= KEPT_BYTES && content->compression == TSPI_PLAIN) {
        document->map = content->map;
        content->map = (tspi_mapped){0};
    }
    return TSP_OK;
}

/* Packed files, plain ones when somebody wants to see the rows between pieces, and those with holes, which are found in
 * pieces without reading all of them. */
static tsp_status feed_mapped(const char *path, const tspi_content *content, const tspi_wire_options *options,
                              tspi_span_set *set, tspi_read_report *report, tsp_error *err)
{
    tspi_source source = {.name = path, .bytes = content->stored, .len = content->stored_n, .fd = -1};

    return tspi_feed_read(&source, options, set, report, err);
}

/* Pipes, devices, and files that cannot be mapped. */
static tsp_status feed_descriptor(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                                  tspi_read_report *report, tsp_error *err)
{
    int fd = tspi_is_stdin(path) ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return tsp_error_sys(err, errno, "cannot open '%s'", path);
    tspi_source source = {.name = tspi_content_name(path), .fd = fd};
    tsp_status rc = tspi_feed_read(&source, options, set, report, err);
    if (!tspi_is_stdin(path))
        close(fd);
    return rc;
}

static tsp_status read_file(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                            tspi_read_report *report, tsp_error *err)
{
    tspi_content content = {0};
    bool mapped = !tspi_is_stdin(path) && tspi_content_map(path, &content);
    tsp_status rc;

    if (!mapped && options->keep) { /* what cannot be read again */
        rc = tspi_content_load(path, options, &content, err);
        if (rc == TSP_OK)
            rc = read_content(path, &content, options, set, report, err);
    } else if (!mapped)
        rc = feed_descriptor(path, options, set, report, err);
    else if (options->between || content.sparse || tspi_pack_sniff(content.stored, content.stored_n) != TSPI_PLAIN) {
        rc = feed_mapped(path, &content, options, set, report, err);
        rc = tspi_content_confirm(&content, NULL, path, rc, err);
        if (rc == TSP_OK)
            report->documents[report->documents_n - 1].mark = content.mark;
    } else {
        content.plain = content.stored;
        content.plain_n = content.stored_n;
        rc = read_content(path, &content, options, set, report, err);
    }
    tspi_content_release(&content);
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
    tspi_content content;
    enum tspi_format format;
    bool must = named_a_trace(path);
    tsp_error why = {0};
    tsp_status rc = tspi_content_load(path, options, &content, &why);

    if (rc == TSP_OK && tspi_wire_sniff(content.plain, content.plain_n, &format, &why) != TSP_OK) {
        rc = content.plain_n && must ? TSP_EPARSE : TSP_OK; /* an empty file is a recorder that saw nothing */
        tsp_error_note(&why, "%s", path);
        report->passed_over += rc == TSP_OK;
    } else if (rc == TSP_OK) {
        tspi_wire_options found = *options; /* a forced format holds for the files named, not for all in a folder */
        found.format = options->format && must ? options->format : TSPI_FORMAT_AUTO;
        rc = read_content(path, &content, &found, set, report, &why);
    }
    rc = tspi_content_confirm(&content, NULL, path, rc, &why);
    tspi_content_release(&content);
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
    if (tspi_is_stdin(path) || stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return read_file(path, options, set, report, err);
    return tspi_read_folder(path, options, set, report, err);
}

tsp_status tspi_wire_read_paths(const char *const *paths, size_t paths_n, const char *format,
                                const tspi_wire_options *options, tspi_span_set *set, tspi_read_report *report,
                                tsp_error *err)
{
    tspi_wire_options wanted = *options;
    tsp_status rc = TSP_OK;

    if (format && !tspi_format_parse(format, &wanted.format))
        return tsp_error_set(err, TSP_EINVAL, "there is no format '%s': want one of %s", format, TSPI_FORMAT_CHOICES);
    for (size_t k = 0; k < paths_n && rc == TSP_OK; k++)
        rc = tspi_wire_read_path(paths[k], &wanted, set, report, err);
    return rc;
}
