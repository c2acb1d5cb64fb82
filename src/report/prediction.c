/* The prediction as a line: what the delays of the run without skew say for every skew, not only for those tried. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/measure.h"
#include "report/run_folder.h"

enum { STEPS = 160 }; /* over the width of a chart */

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* The sweep's own skews and an even grid over them, ascending, each once. */
static size_t make_grid(const tspi_run_folder *folder, int64_t *grid)
{
    int64_t lo = 0, hi = TSP_NS_PER_MS;
    size_t n = 0, kept = 0;

    for (size_t k = 0; k < folder->points_n; k++) {
        int64_t skew = folder->points[k].skew_ns;
        lo = skew < lo ? skew : lo;
        hi = skew > hi ? skew : hi;
        grid[n++] = skew;
    }
    for (int k = 0; k <= STEPS; k++)
        grid[n++] = lo + (int64_t)((double)(hi - lo) * k / STEPS);
    qsort(grid, n, sizeof *grid, by_value);
    for (size_t k = 0; k < n; k++)
        if (!kept || grid[k] != grid[kept - 1])
            grid[kept++] = grid[k];
    return kept;
}

static tsp_status read_spec(const tspi_run_folder *folder, tspi_spec *spec, tsp_error *err)
{
    char path[4200];
    tspi_buf text = {0};

    snprintf(path, sizeof path, "%s/spec.yaml", folder->path);
    tsp_status rc = tspi_buf_read_file(&text, path, 16 * 1024 * 1024, err);
    if (rc == TSP_OK)
        rc = tspi_spec_read((char *)text.data, text.len, path, spec, err);
    tspi_buf_release(&text);
    return rc;
}

/* The baseline's own edges, as a run with that skew would have them. */
static tsp_status predict(const tspi_spec *spec, const tspi_run_result *baseline, int64_t skew_ns,
                          tspi_run_result *ret_run, tsp_error *err)
{
    tspi_run_result run = *baseline;

    run.skew_ns = skew_ns;
    run.predicted = run.predicted_lo = run.predicted_hi = NAN;
    tsp_status rc = tspi_measure_predict(spec, baseline, &run, err);
    *ret_run = run;
    return rc;
}

static tsp_status put_curve(const tspi_spec *spec, const tspi_run_folder *folder, const tspi_run_point *point,
                            bool first, tspi_buf *out, tsp_error *err)
{
    tspi_run_result baseline = {0}, run;
    int64_t *grid = malloc((folder->points_n + STEPS + 2) * sizeof *grid);
    size_t n = 0, put = 0;
    tsp_status rc = grid ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by a prediction");

    snprintf(baseline.folder, sizeof baseline.folder, "%.3800s/%s", folder->path, point->folder);
    if (rc == TSP_OK)
        rc = tspi_measure_traces(spec, &baseline, err);
    if (rc == TSP_OK)
        n = make_grid(folder, grid);
    if (rc == TSP_OK) {
        tspi_buf_puts(out, first ? "{\"transport\": " : ",\n {\"transport\": ");
        tspi_buf_json_string(out, point->transport, strlen(point->transport));
        tspi_buf_puts(out, ", \"baseline\": ");
        tspi_buf_json_string(out, point->folder, strlen(point->folder));
        tspi_buf_puts(out, ", \"points\": [");
    }
    for (size_t k = 0; k < n && rc == TSP_OK; k++) {
        rc = predict(spec, &baseline, grid[k], &run, err);
        if (rc == TSP_OK && isfinite(run.predicted))
            tspi_buf_printf(out, "%s{\"skew_ns\": %lld, \"rate\": %.9g, \"lo\": %.9g, \"hi\": %.9g}",
                            put++ ? ",\n  " : "\n  ", (long long)grid[k], run.predicted, run.predicted_lo,
                            run.predicted_hi);
    }
    if (rc == TSP_OK)
        tspi_buf_puts(out, "]}");
    tspi_run_result_release(&baseline);
    free(grid);
    return rc;
}

static bool seen_before(const tspi_run_folder *folder, size_t point)
{
    for (size_t k = 0; k < point; k++)
        if (!folder->points[k].skew_ns && !folder->points[k].null_run &&
            !strcmp(folder->points[k].transport, folder->points[point].transport))
            return true;
    return false;
}

tsp_status tspi_put_prediction(const tspi_run_folder *folder, tspi_buf *out, tsp_error *err)
{
    tspi_spec spec = {0};
    bool first = true;
    tsp_status rc = read_spec(folder, &spec, err);

    tspi_buf_putc(out, '[');
    for (size_t k = 0; k < folder->points_n && rc == TSP_OK; k++) {
        const tspi_run_point *point = &folder->points[k];
        if (point->skew_ns || point->null_run || seen_before(folder, k) || !tspi_run_folder_has(folder, point))
            continue;
        rc = put_curve(&spec, folder, point, first, out, err);
        first = false;
    }
    tspi_buf_putc(out, ']');
    tspi_spec_release(&spec);
    return rc;
}
