/* Corrected stamps into files: the same bytes but for those. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mend/mend.h"

int64_t tspi_mend_edit(void *ctx, const tspi_stamp_place *place)
{
    const tspi_mend *m = ctx;

    if (place->span >= m->set.spans_n) /* a file to which somebody writes: what comes of it is thrown away */
        return place->ns;
    const tspi_span *span = &m->set.spans[place->span];
    uint32_t clock = m->set.processes[span->process].clock;

    if (place->what == TSPI_STAMP_START)
        return span->start_ns == TSPI_NO_STAMP ? place->ns : span->start_ns;
    if (place->what == TSPI_STAMP_END)
        return span->end_ns == TSPI_NO_STAMP ? place->ns : span->end_ns;
    const tspi_mend_stamps raw = tspi_mend_raw(m, place->span);
    int64_t ns = m->moves[clock] ? tsp_track_correct(m->answer.clocks[clock].track, place->ns) : place->ns;
    /* What lay within its span stays within, on whichever side of a step. */
    if (raw.start_ns != TSPI_NO_STAMP && place->ns >= raw.start_ns && ns < span->start_ns)
        ns = span->start_ns;
    if (raw.end_ns != TSPI_NO_STAMP && place->ns <= raw.end_ns && place->ns >= raw.start_ns && ns > span->end_ns)
        ns = span->end_ns;
    return ns;
}

bool tspi_mend_still(void *ctx, size_t row)
{
    const tspi_mend *m = ctx;

    return row < m->set.spans_n && !m->touched[m->set.spans[row].process];
}

static bool is_folder(const char *path)
{
    struct stat st;

    return strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A document's name in the folder of results: below the folder it was found in, or its last part. */
static const char *name_of(const tspi_mend *m, const tspi_document *document)
{
    const char *path = document->path, *slash;

    for (size_t k = 0; k < m->options.paths_n; k++) {
        const char *given = m->options.paths[k];
        size_t n = strlen(given);
        while (n > 1 && given[n - 1] == '/')
            n--;
        if (!strncmp(path, given, n) && path[n] == '/' && is_folder(given)) {
            for (path += n; *path == '/'; path++)
                ;
            return path;
        }
    }
    if (!strcmp(path, "-") || !strcmp(path, "standard input"))
        return "stdin";
    slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static tsp_status join_path(char **ret, const char *folder, const char *name, tsp_error *err)
{
    if (asprintf(ret, "%s/%s", folder, name) >= 0)
        return TSP_OK;
    *ret = NULL;
    return tsp_error_set(err, TSP_ENOMEM, "out of memory");
}

/* Every folder above the path's last part. */
static tsp_status make_parents(char *path, tsp_error *err)
{
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            bool ok = mkdir(path, 0777) == 0 || errno == EEXIST;
            int why = errno;
            tsp_status rc = ok ? TSP_OK : tsp_error_sys(err, why, "cannot make the folder '%s'", path);
            *p = '/';
            if (!ok)
                return rc;
        }
    return TSP_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static tsp_status check_names(const tspi_mend *m, tsp_error *err)
{
    size_t n = m->report.documents_n;
    const char **names = malloc((n + 1) * sizeof *names);
    tsp_status rc = TSP_OK;

    if (!names)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    for (size_t k = 0; k < n; k++)
        names[k] = name_of(m, &m->report.documents[k]);
    qsort(names, n, sizeof *names, by_text);
    for (size_t k = 1; k < n && rc == TSP_OK; k++)
        if (!strcmp(names[k - 1], names[k]))
            rc = tsp_error_set(err, TSP_EINVAL, "two inputs are called '%s': they cannot both go into one folder",
                               names[k]);
    free(names);
    return rc;
}

/* The wire options of the read: they decide which spans have rows. */
static tspi_wire_options wire_of(const tspi_mend *m)
{
    tspi_wire_options wire = {.keep_going = m->options.keep_going,
                              .threads = m->options.threads,
                              .keep = m->options.keep,
                              .annotate = m->options.annotate ? tspi_mend_annotate : NULL,
                              .still = tspi_mend_still};

    if (m->options.format)
        tspi_format_parse(m->options.format, &wire.format);
    return wire;
}

static tsp_status patch_aside(const tspi_mend *m, const char *aside, tsp_error *err)
{
    tspi_wire_options wire = wire_of(m);
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < m->report.documents_n && rc == TSP_OK; k++) {
        char number[32], *path = NULL;
        snprintf(number, sizeof number, "%zu", k);
        rc = join_path(&path, aside, number, err);
        if (rc == TSP_OK)
            rc = tspi_wire_patch_document(&m->report.documents[k], path, &wire, tspi_mend_edit, (void *)m, err);
        free(path);
    }
    return rc;
}

static tsp_status move_in(const tspi_mend *m, const char *aside, const char *out, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < m->report.documents_n && rc == TSP_OK; k++) {
        char number[32], *from = NULL, *to = NULL;
        snprintf(number, sizeof number, "%zu", k);
        rc = join_path(&from, aside, number, err);
        if (rc == TSP_OK)
            rc = join_path(&to, out, name_of(m, &m->report.documents[k]), err);
        if (rc == TSP_OK)
            rc = make_parents(to, err);
        if (rc == TSP_OK && rename(from, to) != 0)
            rc = tsp_error_sys(err, errno, "cannot write '%s'", to);
        free(from);
        free(to);
    }
    return rc;
}

static void remove_aside(const tspi_mend *m, const char *aside)
{
    for (size_t k = 0; k < m->report.documents_n; k++) {
        char number[32], *path = NULL;
        snprintf(number, sizeof number, "%zu", k);
        if (join_path(&path, aside, number, NULL) == TSP_OK)
            unlink(path);
        free(path);
    }
    rmdir(aside);
}

static tsp_status write_folder(const tspi_mend *m, const char *out, tsp_error *err)
{
    char *aside = NULL;
    tsp_status rc = check_names(m, err);

    if (rc != TSP_OK || (rc = join_path(&aside, out, ".truespan-XXXXXX", err)) != TSP_OK)
        return rc;
    rc = make_parents(aside, err);
    if (rc == TSP_OK && !mkdtemp(aside))
        rc = tsp_error_sys(err, errno, "cannot write into the folder '%s'", out);
    if (rc == TSP_OK) {
        rc = patch_aside(m, aside, err);
        if (rc == TSP_OK)
            rc = move_in(m, aside, out, err);
        remove_aside(m, aside);
    }
    free(aside);
    return rc;
}

tsp_status tspi_mend_write(const tspi_mend *m, const char *out, tsp_error *err)
{
    bool one = m->report.documents_n == 1 && m->options.paths_n == 1 && !is_folder(m->options.paths[0]);
    tspi_wire_options wire = wire_of(m);

    if (m->options.annotate && m->report.bad_spans + m->report.bad_stretches)
        return tsp_error_set(err, TSP_EINVAL, "input that was not read whole cannot be annotated; first: %.300s",
                             m->report.first_problem);
    if (!one && !strcmp(out, "-"))
        return tsp_error_set(err, TSP_EINVAL, "several inputs cannot go to standard output: name a folder");
    if (!one || is_folder(out))
        return write_folder(m, out, err);
    return tspi_wire_patch_document(&m->report.documents[0], out, &wire, tspi_mend_edit, (void *)m, err);
}
