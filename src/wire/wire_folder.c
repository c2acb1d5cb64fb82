#include "wire/wire_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "wire/wire_parallel.h"

enum { DEEPEST_FOLDER = 64 };
enum { SMALL_FILE = 8 << 20 }; /* from here on a file keeps all cores busy by itself */

/* A file of the folder, and what one thread read of it. */
struct member {
    char *path; /* owned */
    bool small;
    tspi_span_set set;
    tspi_read_report report;
    tsp_error err;
    tsp_status rc;
};

struct members {
    struct member *member; /* owned */
    size_t n, cap;
};

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* By bytes, whatever the locale says. */
static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static tsp_status no_memory(const char *path, tsp_error *err)
{
    return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the files in '%s'", path);
}

static bool members_add(struct members *members, char *take_path, bool small)
{
    if (members->n == members->cap) {
        size_t cap = members->cap ? members->cap * 2 : 64;
        struct member *bigger = realloc(members->member, cap * sizeof *bigger);
        if (!bigger) {
            free(take_path);
            return false;
        }
        members->member = bigger;
        members->cap = cap;
    }
    members->member[members->n++] = (struct member){.path = take_path, .small = small};
    return true;
}

static tsp_status list_folder(const char *path, unsigned depth, struct members *members, tsp_error *err);

/* A file is added, a folder listed in turn. Links to files are followed, to folders not: there are no circles. */
static tsp_status list_entry(const char *path, const char *name, unsigned depth, struct members *members,
                             tsp_error *err)
{
    struct stat st;
    char *inner = NULL;

    if (asprintf(&inner, "%s%s%s", path, path[strlen(path) - 1] == '/' ? "" : "/", name) < 0)
        return no_memory(path, err);
    if (lstat(inner, &st) == 0 && S_ISDIR(st.st_mode)) {
        tsp_status rc = depth < DEEPEST_FOLDER ? list_folder(inner, depth + 1, members, err) : TSP_OK;
        free(inner);
        return rc;
    }
    if (stat(inner, &st) == 0 && S_ISREG(st.st_mode))
        return members_add(members, inner, st.st_size < SMALL_FILE) ? TSP_OK : no_memory(path, err);
    free(inner);
    return TSP_OK;
}

static tsp_status list_folder(const char *path, unsigned depth, struct members *members, tsp_error *err)
{
    struct dirent **entries = NULL;
    int n = scandir(path, &entries, visible, by_name);
    tsp_status rc = TSP_OK;

    if (n < 0)
        return tsp_error_sys(err, errno, "cannot read the folder '%s'", path);
    for (int k = 0; k < n; k++) {
        if (rc == TSP_OK)
            rc = list_entry(path, entries[k]->d_name, depth, members, err);
        free(entries[k]);
    }
    free(entries);
    return rc;
}

/* A stretch of small files, each read by one thread, taken in their order. */
struct stretch {
    struct member *member;
    tspi_wire_options options;
    tspi_span_set *set;
    tspi_read_report *report;
    tsp_error *err;
    tsp_status rc;
};

static void stretch_work(void *ctx, size_t job)
{
    struct stretch *s = ctx;
    struct member *m = &s->member[job];

    m->rc = tspi_span_set_keep_apart(&m->set, &m->err);
    if (m->rc == TSP_OK)
        m->rc = tspi_read_member(m->path, &s->options, &m->set, &m->report, &m->err);
}

static void stretch_drop(void *ctx, size_t job)
{
    struct member *m = &((struct stretch *)ctx)->member[job];

    tspi_span_set_release(&m->set);
    tspi_read_report_release(&m->report);
}

static bool stretch_take(void *ctx, size_t job)
{
    struct stretch *s = ctx;
    struct member *m = &s->member[job];
    size_t first = s->set->spans_n;

    s->rc = m->rc;
    if (s->rc != TSP_OK && s->err)
        *s->err = m->err;
    if (s->rc == TSP_OK)
        s->rc = tspi_span_set_append(s->set, &m->set, s->err);
    if (s->rc == TSP_OK) {
        s->set->files += m->set.files;
        s->set->bytes += m->set.bytes;
        s->rc = tspi_report_append(s->report, &m->report, first, s->err);
    }
    stretch_drop(ctx, job);
    if (s->rc == TSP_OK && s->options.between)
        s->rc = s->options.between(s->options.between_ctx, s->set, s->err);
    return s->rc == TSP_OK;
}

static tsp_status read_members(struct members *members, const tspi_wire_options *options, tspi_span_set *set,
                               tspi_read_report *report, tsp_error *err)
{
    unsigned threads = tspi_threads_wanted(options);
    tsp_status rc = TSP_OK;

    for (size_t k = 0, next; k < members->n && rc == TSP_OK; k = next) {
        for (next = k; threads > 1 && next < members->n && members->member[next].small;)
            next++;
        if (next < k + 2) {
            rc = tspi_read_member(members->member[k].path, options, set, report, err);
            next = k + 1;
            if (rc == TSP_OK && options->between)
                rc = options->between(options->between_ctx, set, err);
            continue;
        }
        struct stretch s = {&members->member[k], *options, set, report, err, TSP_OK};
        s.options.threads = 1;
        tspi_ordered_run(&(tspi_ordered){.jobs_n = next - k,
                                         .threads = threads,
                                         .work = stretch_work,
                                         .take = stretch_take,
                                         .drop = stretch_drop,
                                         .ctx = &s});
        rc = s.rc;
    }
    return rc;
}

tsp_status tspi_read_folder(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                            tspi_read_report *report, tsp_error *err)
{
    struct members members = {0};
    size_t before = report->documents_n;
    uint64_t bad = report->bad_stretches, passed_over = report->passed_over;

    tsp_status rc = list_folder(path, 0, &members, err);
    if (rc == TSP_OK)
        rc = read_members(&members, options, set, report, err);
    for (size_t k = 0; k < members.n; k++)
        free(members.member[k].path);
    free(members.member);
    if (rc == TSP_OK && report->documents_n == before && report->bad_stretches == bad)
        rc = tsp_error_set(err, TSP_EPARSE, "the folder '%s' holds no trace file (%llu files were looked at)", path,
                           (unsigned long long)(report->passed_over - passed_over));
    return rc;
}
