#include "lab/gap.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab/node.h"

/* File k of a run: two a node (span_writer.c), then the gateway's list of requests. False behind the last. */
static bool file_path(const tspi_spec *spec, const char *folder, size_t k, char *ret_path, size_t size)
{
    size_t node = k / 2;
    char name[64];

    for (uint32_t s = 0; s < spec->stages_n; s++) {
        if (node < spec->stages[s].workers) {
            tspi_node_name(&spec->stages[s], (uint32_t)node, name, sizeof name);
            snprintf(ret_path, size, "%s/%s/%s.jsonl", folder, k % 2 ? "truth" : "otlp", name);
            return true;
        }
        node -= spec->stages[s].workers;
    }
    snprintf(ret_path, size, "%s/requests.jsonl", folder);
    return node == 0 && k % 2 == 0;
}

tsp_status tspi_run_lengths_note(const tspi_spec *spec, const char *folder, tspi_run_lengths *ret_lengths,
                                 tsp_error *err)
{
    char path[4400];
    size_t n = 0;

    *ret_lengths = (tspi_run_lengths){0};
    if (!*folder)
        return TSP_OK;
    while (file_path(spec, folder, n, path, sizeof path))
        n++;
    ret_lengths->lengths = calloc(n, sizeof *ret_lengths->lengths);
    if (!ret_lengths->lengths)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for the files' lengths");
    for (size_t k = 0; k < n; k++) {
        struct stat info;
        file_path(spec, folder, k, path, sizeof path);
        ret_lengths->lengths[k] = stat(path, &info) == 0 ? info.st_size : 0;
    }
    return TSP_OK;
}

tsp_status tspi_run_lengths_restore(const tspi_spec *spec, const char *folder, const tspi_run_lengths *lengths,
                                    tsp_error *err)
{
    char path[4400];

    for (size_t k = 0; lengths->lengths && file_path(spec, folder, k, path, sizeof path); k++)
        if (truncate(path, lengths->lengths[k]) != 0 && errno != ENOENT)
            return tsp_error_sys(err, errno, "cannot cut '%s' back", path);
    return TSP_OK;
}

void tspi_run_lengths_release(tspi_run_lengths *lengths)
{
    free(lengths->lengths);
    lengths->lengths = NULL;
}

tsp_status tspi_gap_add(tspi_lab_result *result, int64_t at_ns, const char *block, const char *why, tsp_error *err)
{
    tspi_gap *gaps = realloc(result->gaps, (result->gaps_n + 1) * sizeof *gaps);

    if (!gaps)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a gap");
    result->gaps = gaps;
    tspi_gap *gap = &gaps[result->gaps_n++];
    *gap = (tspi_gap){.at_ns = at_ns};
    snprintf(gap->block, sizeof gap->block, "%s", block);
    snprintf(gap->why, sizeof gap->why, "%s", why);
    return TSP_OK;
}
