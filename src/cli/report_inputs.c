#include "cli/report_inputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void report_inputs_release(report_inputs *in)
{
    for (size_t k = 0; k < in->labs_n; k++)
        tspi_run_folder_release(&in->labs[k]);
    for (size_t k = 0; k < in->made_n; k++)
        free(in->made[k]);
    free(in->truth);
    free(in->traces);
}

static tsp_status add_stdin(report_inputs *in, const char *path, tsp_error *err)
{
    if (in->stdin_named)
        return tsp_error_set(err, TSP_EINVAL, "standard input is named twice");
    in->stdin_named = true;
    in->traces[in->traces_n++] = path;
    return TSP_OK;
}

static tsp_status add_lab(report_inputs *in, const char *path, tsp_error *err)
{
    if (in->labs_n == REPORT_LABS_MOST)
        return tsp_error_set(err, TSP_EINVAL, "more than %d runs", REPORT_LABS_MOST);
    tsp_status rc = tspi_run_folder_read(path, &in->labs[in->labs_n], err);
    in->labs_n += rc == TSP_OK;
    return rc;
}

/* DIR/otlp and DIR/truth.jsonl of a point. Two points have two truths: then none is shown. */
static tsp_status add_point(report_inputs *in, const char *path, tsp_error *err)
{
    char *truth = NULL;

    if (in->made_n == REPORT_LABS_MOST)
        return tsp_error_set(err, TSP_EINVAL, "more than %d points of a run", REPORT_LABS_MOST);
    if (asprintf(&in->made[in->made_n], "%s/otlp", path) < 0 || asprintf(&truth, "%s/truth.jsonl", path) < 0)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");
    free(in->truth);
    in->truth = truth;
    in->traces[in->traces_n++] = in->made[in->made_n++];
    return TSP_OK;
}

tsp_status report_inputs_sort(const char *const *paths, size_t n, report_inputs *in, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    in->traces = calloc(n + 1, sizeof *in->traces);
    if (!in->traces)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted");
    for (size_t k = 0; k < n && rc == TSP_OK; k++) {
        if (!strcmp(paths[k], "-"))
            rc = add_stdin(in, paths[k], err);
        else if (tspi_is_run_folder(paths[k]))
            rc = add_lab(in, paths[k], err);
        else if (tspi_is_run_point(paths[k]))
            rc = add_point(in, paths[k], err);
        else
            in->traces[in->traces_n++] = paths[k];
    }
    if (in->traces_n != 1) {
        free(in->truth);
        in->truth = NULL;
    }
    return rc;
}

void report_put_base_name(tspi_buf *out, const char *path)
{
    size_t end = strlen(path), start;

    while (end > 1 && path[end - 1] == '/')
        end--;
    for (start = end; start && path[start - 1] != '/';)
        start--;
    tspi_buf_append(out, path + start, end - start);
}

char *report_title_of(const char *const *paths, size_t n)
{
    tspi_buf text = {0};

    for (size_t k = 0; k < n && text.len < 200; k++) {
        tspi_buf_puts(&text, k ? ", " : "");
        if (!strcmp(paths[k], "-"))
            tspi_buf_puts(&text, "standard input");
        else
            report_put_base_name(&text, paths[k]);
    }
    tspi_buf_putc(&text, '\0');
    if (!tspi_buf_ok(&text))
        tspi_buf_release(&text);
    return (char *)text.data;
}
