#include "sim/sim_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/duration.h"
#include "sim/sim_world.h"

/* How often the user is told how far it is. */
static const int64_t progress_every_ns = 100 * TSP_NS_PER_MS;

int64_t tspi_sim_time_limit_ns;

struct sim_runner {
    tspi_runner base;
    const tspi_runner_config *config;
    tspi_sim_world *world;
    int64_t begun_ns, told_ns; /* real time */
};

static int64_t real_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static tsp_status sim_pick(const tspi_spec *spec, tspi_lab_result *result, tsp_error *err)
{
    (void)spec;
    (void)err;
    result->netns = false;
    snprintf(result->how, sizeof result->how, "in virtual time, one process; work takes what the spec's sim: says");
    return TSP_OK;
}

static tsp_status sim_start(const tspi_runner_config *config, tspi_runner **ret_runner, tsp_error *err)
{
    struct sim_runner *runner = calloc(1, sizeof *runner);

    if (!runner)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a simulation");
    runner->base.ops = &tspi_sim_runner;
    runner->config = config;
    runner->begun_ns = real_ns();
    tsp_status rc = tspi_sim_world_new(config->spec, tspi_answers_of(config->engine), &runner->world, err);
    if (rc != TSP_OK) {
        free(runner);
        return rc;
    }
    *ret_runner = &runner->base;
    return TSP_OK;
}

static tsp_status go_on(void *ctx, const tspi_progress *progress, tsp_error *err)
{
    struct sim_runner *runner = ctx;
    int64_t now_ns = real_ns();
    char limit[32];

    if (runner->config->interrupted && *runner->config->interrupted)
        return tsp_error_set(err, TSP_EINTERRUPTED, "interrupted");
    if (tspi_sim_time_limit_ns && now_ns - runner->begun_ns >= tspi_sim_time_limit_ns) {
        tspi_duration_format(tspi_sim_time_limit_ns, limit, sizeof limit);
        return tsp_error_set(err, TSP_EINTERRUPTED, "the time limit of %s is over", limit);
    }
    if (now_ns - runner->told_ns >= progress_every_ns) {
        runner->told_ns = now_ns;
        runner->config->on_progress(runner->config->ctx, progress);
    }
    return TSP_OK;
}

static tsp_status sim_block(tspi_runner *base, const tspi_block *block, bool saturated, tspi_block_result *ret_result,
                            tsp_error *err)
{
    struct sim_runner *runner = (struct sim_runner *)base;

    return tspi_sim_world_block(runner->world, block, saturated, go_on, runner, ret_result, err);
}

static void sim_stop(tspi_runner *base)
{
    if (!base)
        return;
    tspi_sim_world_free(((struct sim_runner *)base)->world);
    free(base);
}

const struct tspi_runner_ops tspi_sim_runner = {
    .is_virtual = true,
    .pick = sim_pick,
    .engine = tspi_answers_open,
    .start = sim_start,
    .block = sim_block,
    .stop = sim_stop,
};
