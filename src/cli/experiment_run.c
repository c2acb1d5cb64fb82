#include "cli/experiment_run.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/experiment_options.h"
#include "cli/lab_table.h"
#include "cli/report_make.h"
#include "lab/all_transports.h"
#include "lab/summary.h"

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

int experiment_fail(const char *name, const tsp_error *err)
{
    fprintf(stderr, "truespan %s: %s\n", name, err->message);
    return EXIT_FAILED;
}

/* 1 an empty folder, 0 one that is not, -1 no folder. */
static int is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    int empty = 1;

    if (!folder)
        return -1;
    for (struct dirent *entry; empty && (entry = readdir(folder));)
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    closedir(folder);
    return empty;
}

/* A folder that is new or empty; no -o: named after the time. */
static tsp_status pick_folder(char *ret_folder, size_t size, tsp_error *err)
{
    time_t now = time(NULL);
    struct tm local;

    if (chosen.output)
        snprintf(ret_folder, size, "%s", chosen.output);
    else
        strftime(ret_folder, size, "truespan-run-%Y%m%d-%H%M%S", localtime_r(&now, &local));
    for (size_t len = strlen(ret_folder); len > 1 && ret_folder[len - 1] == '/'; len--)
        ret_folder[len - 1] = '\0';
    if (!*ret_folder || strlen(ret_folder) > 3800 || strchr(ret_folder, '\n'))
        return tsp_error_set(err, TSP_EINVAL, "-o: no path for a folder, or one too long");
    if (mkdir(ret_folder, 0777) == 0)
        return TSP_OK;
    if (errno != EEXIST)
        return tsp_error_sys(err, errno, "cannot make the folder '%s'", ret_folder);
    int empty = is_empty_folder(ret_folder);
    if (empty < 0 && errno == ENOTDIR)
        return tsp_error_set(err, TSP_EINVAL, "'%s' is a file: -o wants a folder", ret_folder);
    if (empty < 0)
        return tsp_error_sys(err, errno, "cannot read the folder '%s'", ret_folder);
    if (!empty)
        return tsp_error_set(err, TSP_EINVAL, "the folder '%s' is not empty: give -o a new one", ret_folder);
    return TSP_OK;
}

/* ------------------------------------------------------------------ running */

static void show_progress(void *ctx, const tspi_experiment_progress *progress)
{
    char eta[32] = "";

    (void)ctx;
    if (!progress->blocks_n) {
        fprintf(stderr, "\r\033[K%s ...", progress->phase);
        return;
    }
    if (progress->eta_s >= 0)
        snprintf(eta, sizeof eta, "  about %d:%02d left", (int)progress->eta_s / 60, (int)progress->eta_s % 60);
    fprintf(stderr, "\r\033[K%s: block %u of %u, %" PRIu64 " requests, %.0f tokens/s%s", progress->phase,
            progress->block, progress->blocks_n, progress->requests, progress->tokens_per_s, eta);
    fflush(stderr);
}

static tsp_status write_results(const tspi_spec *spec, const tspi_lab_result *result, tspi_buf *json, tsp_error *err)
{
    char path[4200];

    tspi_summary_write(spec, result, json);
    snprintf(path, sizeof path, "%s/summary.json", result->folder);
    tsp_status rc = tspi_buf_ok(json) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory");
    if (rc == TSP_OK)
        rc = tspi_file_replace(path, json->data, json->len, err);
    if (rc == TSP_OK) {
        if (isatty(STDERR_FILENO))
            fputs("drawing the report ...", stderr);
        rc = report_write_run(result->folder, err);
        if (isatty(STDERR_FILENO))
            fputs("\r\033[K", stderr);
    }
    return rc;
}

static bool found_violations(const tspi_lab_result *result)
{
    for (size_t k = 0; k < result->runs_n; k++)
        if (result->runs[k].negative)
            return true;
    return false;
}

static int run_experiment(const char *name, const tspi_spec *spec, const struct tspi_runner_ops *runner,
                          const char *folder)
{
    bool tty = isatty(STDERR_FILENO);
    const tspi_experiment_options experiment = {
        .runner = runner, .folder = folder, .on_progress = tty ? show_progress : NULL, .interrupted = &interrupted};
    tspi_lab_result result = {0};
    tspi_buf json = {0};
    tsp_error err = {0};
    int code = EXIT_FAILED;

    tsp_status rc = tspi_experiment_run_all(spec, &experiment, &result, &err);
    if (tty)
        fputs("\r\033[K", stderr);
    if (rc == TSP_OK && !result.runs_n)
        rc = tsp_error_set(&err, TSP_EINTERRUPTED, "interrupted before the first block was whole");
    if (rc == TSP_OK)
        rc = write_results(spec, &result, &json, &err);
    if (rc != TSP_OK)
        experiment_fail(name, &err);
    else {
        if (chosen.json)
            fwrite(json.data, 1, json.len, stdout);
        else
            lab_table_print(spec, &result, stdout);
        code = result.partial ? EXIT_FAILED : found_violations(&result) ? EXIT_FOUND : EXIT_CLEAN;
    }
    tspi_buf_release(&json);
    tspi_lab_result_release(&result);
    return code;
}

int experiment_run(const char *name, const tspi_spec *spec, const struct tspi_runner_ops *runner)
{
    struct sigaction action = {.sa_handler = on_signal};
    char folder[4096];
    tsp_error err = {0};

    if (pick_folder(folder, sizeof folder, &err) != TSP_OK)
        return experiment_fail(name, &err);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    int code = run_experiment(name, spec, runner, folder);
    rmdir(folder); /* only if nothing was left in it */
    return code;
}
