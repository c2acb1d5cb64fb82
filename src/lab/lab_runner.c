/* Blocks on real processes. */
#include <stdlib.h>

#include "lab/burner.h"
#include "lab/conductor.h"
#include "lab/runner.h"

struct lab_runner {
    tspi_runner base;
    tspi_conductor conductor;
};

static tsp_status lab_pick(const tspi_spec *spec, tspi_lab_result *result, tsp_error *err)
{
    return tspi_conductor_pick(spec, &result->netns, result->how, sizeof result->how, err);
}

static tsp_status lab_start(const tspi_runner_config *config, tspi_runner **ret_runner, tsp_error *err)
{
    struct lab_runner *runner = calloc(1, sizeof *runner);

    if (!runner)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a conductor");
    runner->base.ops = &tspi_lab_runner;
    const tspi_conductor_config conductor = {.spec = config->spec,
                                             .netns = config->netns,
                                             .folder = config->folder,
                                             .memory = config->memory,
                                             .interrupted = config->interrupted};
    tsp_status rc = tspi_conductor_start(&runner->conductor, &conductor, err);
    if (rc != TSP_OK) {
        free(runner);
        return rc;
    }
    runner->conductor.on_progress = config->on_progress;
    runner->conductor.ctx = config->ctx;
    *ret_runner = &runner->base;
    return TSP_OK;
}

static tsp_status lab_block(tspi_runner *base, const tspi_block *block, bool saturated, tspi_block_result *ret_result,
                            tsp_error *err)
{
    struct lab_runner *runner = (struct lab_runner *)base;
    tspi_burners burners = {.n = 0};
    tsp_status rc = saturated ? tspi_burners_start(&burners, err) : TSP_OK;

    if (rc == TSP_OK)
        rc = tspi_conductor_block(&runner->conductor, block, ret_result, err);
    tspi_burners_stop(&burners);
    return rc;
}

static void lab_stop(tspi_runner *base)
{
    if (!base)
        return;
    tspi_conductor_stop(&((struct lab_runner *)base)->conductor);
    free(base);
}

const struct tspi_runner_ops tspi_lab_runner = {
    .pick = lab_pick,
    .start = lab_start,
    .block = lab_block,
    .stop = lab_stop,
};
