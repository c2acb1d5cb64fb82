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
    free(run->truth);
    free(run->timeline);
    run->edges = NULL;
    run->health = NULL;
    run->truth = NULL;
    run->timeline = NULL;
    run->edges_n = run->health_n = run->timeline_n = 0;
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
    free(result->memory);
    result->runs = NULL;
    result->throughput = NULL;
    result->runs_n = result->throughput_n = 0;
}

const tspi_run_result *tspi_lab_baseline(const tspi_lab_result *result, const char *transport)
{
    const tspi_run_result *found = NULL;

    for (size_t k = 0; k < result->runs_n; k++) {
        const tspi_run_result *run = &result->runs[k];
        if (!run->skew_ns && !run->null_run && !strcmp(run->transport, transport) && (!found || run->true_clock))
            found = run;
    }
    return found;
}

static int by_ends(const tspi_edge_result *a, const tspi_edge_result *b)
{
    int from = strcmp(a->from, b->from);
    return from ? from : strcmp(a->to, b->to);
}

static int by_row(const void *a, const void *b, void *edges)
{
    return by_ends((const tspi_edge_result *)edges + *(const uint32_t *)a,
                   (const tspi_edge_result *)edges + *(const uint32_t *)b);
}

uint32_t *tspi_edge_index_new(const tspi_run_result *run)
{
    uint32_t *index = malloc((run->edges_n + 1) * sizeof *index);

    for (size_t k = 0; index && k < run->edges_n; k++)
        index[k] = (uint32_t)k;
    if (index && run->edges_n)
        qsort_r(index, run->edges_n, sizeof *index, by_row, run->edges);
    return index;
}

int64_t tspi_edge_find(const tspi_run_result *run, const uint32_t *index, const tspi_edge_result *like)
{
    size_t lo = 0, hi = run->edges_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (by_ends(&run->edges[index[mid]], like) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < run->edges_n && !by_ends(&run->edges[index[lo]], like) ? (int64_t)index[lo] : -1;
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
