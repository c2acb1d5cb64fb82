#include "report/run_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/json_scan.h"

enum { SUMMARY_MOST = 256 * 1024 * 1024 };

static bool is_there(const char *path, const char *name, mode_t kind)
{
    char full[4200];
    struct stat st;

    return (size_t)snprintf(full, sizeof full, "%s/%s", path, name) < sizeof full && stat(full, &st) == 0 &&
           (st.st_mode & S_IFMT) == kind;
}

bool tspi_is_run_folder(const char *path)
{
    return is_there(path, "summary.json", S_IFREG);
}

bool tspi_is_run_point(const char *path)
{
    return is_there(path, "otlp", S_IFDIR) && is_there(path, "truth.jsonl", S_IFREG);
}

bool tspi_run_folder_has(const tspi_run_folder *folder, const tspi_run_point *point)
{
    char path[4800];
    struct stat st;
    bool found = false;

    snprintf(path, sizeof path, "%s/%s/otlp", folder->path, point->folder);
    DIR *otlp = opendir(path);
    for (struct dirent *entry; otlp && !found && (entry = readdir(otlp));)
        found = fstatat(dirfd(otlp), entry->d_name, &st, 0) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
    if (otlp)
        closedir(otlp);
    return found;
}

/* A string that fits; false else. */
static bool take_text(tspi_json *json, char *ret, size_t size)
{
    tspi_json_text text;

    if (!tspi_json_string(json, &text))
        return false;
    if (text.escaped || text.len >= size)
        return tspi_json_fail(json, text.at, "a name that no run has");
    memcpy(ret, text.at, text.len);
    ret[text.len] = '\0';
    return true;
}

static bool take_bool(tspi_json *json, bool *ret)
{
    *ret = tspi_json_peek(json) == 't';
    return tspi_json_skip(json);
}

static bool read_point(tspi_json *json, tspi_run_point *point)
{
    tspi_json_text key, number;

    if (!tspi_json_open(json, '{'))
        return false;
    do {
        if (!tspi_json_key(json, &key))
            return false;
        if (TSPI_JSON_IS(&key, "transport"))
            take_text(json, point->transport, sizeof point->transport);
        else if (TSPI_JSON_IS(&key, "folder"))
            take_text(json, point->folder, sizeof point->folder);
        else if (TSPI_JSON_IS(&key, "null_run"))
            take_bool(json, &point->null_run);
        else if (TSPI_JSON_IS(&key, "skew_ns")) {
            if (tspi_json_number(json, 0, &point->skew_ns, &number) != TSPI_JSON_NUMBER)
                return tspi_json_fail(json, json->at, "\"skew_ns\" is no number");
        } else
            tspi_json_skip(json);
    } while (tspi_json_more(json, '{'));
    /* The name becomes a path: it must stay below the run's folder. */
    if (!json->problem && (!point->folder[0] || point->folder[0] == '.' || strchr(point->folder, '/')))
        return tspi_json_fail(json, json->at, "a point without a folder of its own");
    return !json->problem;
}

static bool read_points(tspi_json *json, tspi_run_folder *folder)
{
    if (!tspi_json_open(json, '['))
        return !json->problem;
    do {
        tspi_run_point point = {0};
        if (folder->points_n == TSPI_RUN_POINTS_MAX)
            return tspi_json_fail(json, json->at, "more points than any run has");
        if (!read_point(json, &point))
            return false;
        folder->points[folder->points_n++] = point;
    } while (tspi_json_more(json, '['));
    return !json->problem;
}

static void read_summary(tspi_json *json, tspi_run_folder *folder)
{
    tspi_json_text key;
    bool found = false;

    if (tspi_json_open(json, '{'))
        do {
            if (!tspi_json_key(json, &key))
                return;
            if (TSPI_JSON_IS(&key, "runs") && !found) {
                found = true;
                read_points(json, folder);
            } else
                tspi_json_skip(json);
        } while (tspi_json_more(json, '{'));
    if (!json->problem && !found)
        tspi_json_fail(json, json->at, "no \"runs\" in it");
    if (!json->problem && tspi_json_peek(json) >= 0)
        tspi_json_fail(json, json->at, "something stands behind the summary");
}

tsp_status tspi_run_folder_read(const char *path, tspi_run_folder *folder, tsp_error *err)
{
    char file[4200];
    tspi_json json = {0};

    snprintf(file, sizeof file, "%s/summary.json", path);
    if ((size_t)snprintf(folder->path, sizeof folder->path, "%s", path) >= sizeof folder->path)
        return tsp_error_set(err, TSP_EINVAL, "the path of the run is too long");
    folder->points = calloc(TSPI_RUN_POINTS_MAX, sizeof *folder->points);
    if (!folder->points)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");
    tsp_status rc = tspi_buf_read_file(&folder->summary, file, SUMMARY_MOST, err);
    if (rc == TSP_OK) {
        json.at = folder->summary.data;
        json.end = folder->summary.data + folder->summary.len;
        read_summary(&json, folder);
        if (json.problem)
            rc = tsp_error_at(err, TSP_EPARSE, (uint64_t)(json.problem_at - folder->summary.data),
                              "%s: byte %zu: %s: no summary of a run", file,
                              (size_t)(json.problem_at - folder->summary.data), json.problem);
    }
    if (rc != TSP_OK)
        tspi_run_folder_release(folder);
    return rc;
}

void tspi_run_folder_release(tspi_run_folder *folder)
{
    free(folder->points);
    tspi_buf_release(&folder->summary);
    memset(folder, 0, sizeof *folder);
}
