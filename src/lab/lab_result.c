#include "lab/lab_result.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void tspi_run_result_release(tspi_run_result *run)
{
    for (size_t k = 0; k < run->edges_n; k++) {
        free(run->edges[k].from);
        free(run->edges[k].to);
        free(run->edges[k].slacks_ns);
        free(run->edges[k].slices);
    }
    free(run->edges);
    free(run->health);
    run->edges = NULL;
    run->health = NULL;
    run->edges_n = run->health_n = 0;
}

void tspi_lab_result_release(tspi_lab_result *result)
{
    for (size_t k = 0; k < result->runs_n; k++)
        tspi_run_result_release(&result->runs[k]);
    free(result->runs);
    for (size_t k = 0; k < result->throughput_n; k++)
        free(result->throughput[k].rates);
    free(result->throughput);
    free(result->gaps);
    result->runs = NULL;
    result->throughput = NULL;
    result->runs_n = result->throughput_n = 0;
}

const tspi_run_result *tspi_lab_baseline(const tspi_lab_result *result, const char *transport)
{
    for (size_t k = 0; k < result->runs_n; k++)
        if (!result->runs[k].skew_ns && !result->runs[k].null_run && !strcmp(result->runs[k].transport, transport))
            return &result->runs[k];
    return NULL;
}

int tspi_run_agrees(const tspi_run_result *run)
{
    if (!isfinite(run->predicted))
        return -1;
    return run->predicted_lo <= run->rate_hi && run->rate_lo <= run->predicted_hi;
}

bool tspi_run_healthy(const tspi_run_result *run)
{
    for (size_t k = 0; k < run->health_n; k++)
        if (!run->health[k].healthy)
            return false;
    return true;
}
