#include "lab/throughput.h"

#include <math.h>
#include <stdlib.h>

/* Move the pairs of which both blocks ran to the front. */
static void keep_whole_pairs(tspi_throughput_result *row, uint32_t planned)
{
    row->pairs = 0;
    for (uint32_t k = 0; k < planned; k++)
        if (row->rates[k][0] > 0 && row->rates[k][1] > 0) {
            row->rates[row->pairs][0] = row->rates[k][0];
            row->rates[row->pairs++][1] = row->rates[k][1];
        }
}

/* Log ratios of all rows one behind the other, and the noise of a pair: it is taken to be the same in all rows, so that
 * few pairs a row give a usable interval. */
struct pooled {
    double *logs; /* owned */
    size_t n;
    double sd;
    unsigned df;
};

static tsp_status pool(const tspi_lab_result *result, struct pooled *ret_pooled, tsp_error *err)
{
    struct pooled pooled = {0};
    size_t n = 0;
    double squares = 0;

    for (size_t k = 0; k < result->throughput_n; k++)
        n += result->throughput[k].pairs;
    pooled.logs = calloc(n + 1, sizeof *pooled.logs);
    if (!pooled.logs)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for the throughput's figures");
    for (size_t k = 0; k < result->throughput_n; k++) {
        const tspi_throughput_result *row = &result->throughput[k];
        double mean = 0, *mine = pooled.logs + pooled.n;
        for (uint32_t p = 0; p < row->pairs; p++) {
            mine[p] = log(row->rates[p][1] / row->rates[p][0]);
            mean += mine[p] / row->pairs;
        }
        for (uint32_t p = 0; p < row->pairs; p++)
            squares += (mine[p] - mean) * (mine[p] - mean);
        pooled.df += row->pairs ? row->pairs - 1 : 0;
        pooled.n += row->pairs;
    }
    pooled.sd = pooled.df ? sqrt(squares / pooled.df) : 0;
    *ret_pooled = pooled;
    return TSP_OK;
}

static void drop_rows(tspi_lab_result *result, bool all)
{
    size_t kept = 0;

    for (size_t k = 0; k < result->throughput_n; k++) {
        if (all || !result->throughput[k].pairs)
            free(result->throughput[k].rates);
        else
            result->throughput[kept++] = result->throughput[k];
    }
    result->throughput_n = kept;
}

tsp_status tspi_throughput_pool(tspi_lab_result *result, tsp_error *err)
{
    struct pooled pooled;
    tsp_status rc = pool(result, &pooled, err);

    if (rc != TSP_OK)
        return rc;
    if (pooled.df)
        result->all_skews = tspi_ratio_of(pooled.logs, pooled.n, pooled.sd, pooled.df, 0.05);
    free(pooled.logs);
    return TSP_OK;
}

/* The rows' intervals hold together with 95 % (Bonferroni): one of eight would otherwise often exclude 1 by chance. */
tsp_status tspi_throughput_measure(tspi_lab_result *result, uint32_t planned, tsp_error *err)
{
    struct pooled pooled;
    size_t at = 0;

    for (size_t k = 0; k < result->throughput_n; k++)
        keep_whole_pairs(&result->throughput[k], planned);
    drop_rows(result, false);
    tsp_status rc = pool(result, &pooled, err);
    if (rc != TSP_OK)
        return rc;
    if (!pooled.df)
        drop_rows(result, true); /* no pair's noise is known */
    for (size_t k = 0; k < result->throughput_n; k++) {
        tspi_throughput_result *row = &result->throughput[k];
        row->ratio =
            tspi_ratio_of(pooled.logs + at, row->pairs, pooled.sd, pooled.df, 0.05 / (double)result->throughput_n);
        at += row->pairs;
    }
    if (result->throughput_n)
        result->all_skews = tspi_ratio_of(pooled.logs, pooled.n, pooled.sd, pooled.df, 0.05);
    free(pooled.logs);
    return TSP_OK;
}
