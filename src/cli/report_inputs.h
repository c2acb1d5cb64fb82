/* What the operands of `truespan report` are: folders that a lab left, points of one, and traces. */
#ifndef TSPI_CLI_REPORT_INPUTS_H
#define TSPI_CLI_REPORT_INPUTS_H

#include "report/run_folder.h"

enum { REPORT_LABS_MOST = 64 };

/* Zero it to initialise. */
typedef struct {
    tspi_run_folder labs[REPORT_LABS_MOST];
    size_t labs_n;
    const char **traces; /* owned; the text is borrowed, but for those made here */
    size_t traces_n;
    char *made[REPORT_LABS_MOST]; /* owned */
    size_t made_n;
    char *truth; /* owned; where the only trace is a point of a run, else NULL */
    bool stdin_named;
} report_inputs;

/* Release ret whatever comes back. Errors: TSP_EINVAL: standard input twice, or too many runs; those of
 * tspi_run_folder_read; TSP_ENOMEM. */
tsp_status report_inputs_sort(const char *const *paths, size_t n, report_inputs *ret, tsp_error *err);
void report_inputs_release(report_inputs *inputs);

/* The last part of a path, without slashes at its end, appended. */
void report_put_base_name(tspi_buf *out, const char *path);

/* What a page of these paths is called; owned by the caller, NULL when memory is exhausted. */
char *report_title_of(const char *const *paths, size_t n);

#endif
