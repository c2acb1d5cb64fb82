#include "lab/run_folder.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static tsp_status make_folder(const char *path, tsp_error *err)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return tsp_error_sys(err, errno, "cannot make the folder '%s'", path);
    return TSP_OK;
}

tsp_status tspi_run_folders_make(const tspi_spec *spec, const tspi_lab_result *result, tsp_error *err)
{
    char path[4200];
    tspi_buf yaml = {0};
    tsp_status rc = make_folder(result->folder, err);

    for (size_t k = 0; k < result->runs_n && rc == TSP_OK; k++) {
        const char *folder = result->runs[k].folder;
        rc = make_folder(folder, err);
        snprintf(path, sizeof path, "%s/otlp", folder);
        rc = rc == TSP_OK ? make_folder(path, err) : rc;
        snprintf(path, sizeof path, "%s/truth", folder);
        rc = rc == TSP_OK ? make_folder(path, err) : rc;
    }
    if (rc == TSP_OK) {
        tspi_spec_write(spec, &yaml);
        snprintf(path, sizeof path, "%s/spec.yaml", result->folder);
        rc = tspi_file_replace(path, yaml.data, yaml.len, err);
    }
    tspi_buf_release(&yaml);
    return rc;
}

void tspi_run_folder_log(const tspi_run_result *run, uint32_t at, uint32_t n, const tspi_block *block,
                         const tspi_block_result *done)
{
    char path[4200], stamp[32];
    time_t now = time(NULL);
    struct tm utc;

    snprintf(path, sizeof path, "%s/run.log", run->folder);
    FILE *log = fopen(path, "ae");
    if (!log)
        return;
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    fprintf(log, "%s block %u of %u: id %u, skew %lld ns, %llu requests, %llu tokens, %.3f s%s\n", stamp, at + 1, n,
            block->id, (long long)block->clock.offset_ns, (unsigned long long)done->requests,
            (unsigned long long)done->tokens, 1e-9 * (double)done->elapsed_ns,
            run->null_run ? ", every core saturated" : "");
    fclose(log);
}

tsp_status tspi_run_folder_finish(const tspi_spec *spec, const tspi_run_result *run, tsp_error *err)
{
    char part[4400], whole[4200];
    tspi_buf text = {0};
    tsp_status rc = TSP_OK;

    for (uint32_t s = 0; s < spec->stages_n && rc == TSP_OK; s++)
        for (uint32_t w = 0; w < spec->stages[s].workers && rc == TSP_OK; w++) {
            char name[64];
            tspi_node_name(&spec->stages[s], w, name, sizeof name);
            snprintf(part, sizeof part, "%s/truth/%s.jsonl", run->folder, name);
            rc = tspi_buf_read_file(&text, part, 0, err);
            unlink(part);
        }
    snprintf(whole, sizeof whole, "%s/truth.jsonl", run->folder);
    if (rc == TSP_OK)
        rc = tspi_file_replace(whole, text.data, text.len, err);
    snprintf(part, sizeof part, "%s/truth", run->folder);
    rmdir(part);
    tspi_buf_release(&text);
    return rc;
}
