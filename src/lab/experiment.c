#include "lab/experiment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lab/child.h"
#include "lab/gap.h"
#include "lab/measure.h"
#include "lab/plan.h"
#include "lab/reference.h"
#include "lab/run_folder.h"
#include "lab/throughput.h"
#include "lab/timeline.h"

/* A block that fails as often will fail again. */
enum { TRIES_MAX = 3 };

struct experiment {
    const tspi_spec *spec;
    const tspi_experiment_options *options;
    tspi_lab_result *result;
    tspi_runner *runner;
    tspi_progress progress;
    tspi_memory_log memory;
    tspi_prompts prompts;
    tspi_engine *engine; /* NULL: the runner opens none */
    uint8_t (*reference)[32];
    tspi_plan plan;
    uint32_t at;             /* the block at hand */
    uint32_t begun_n;        /* blocks so far, repeated ones too: their ids */
    uint32_t *done_blocks;   /* of each run */
    uint64_t block_requests; /* seen when the current block began */
    uint64_t block_tokens;
    int64_t begun_ns, block_begun_ns, throughput_ns;
    uint32_t throughput_done;
};

static int64_t processor_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

/* ------------------------------------------------------------------ running */

static void tell(struct experiment *x, const tspi_progress *seen)
{
    char phase[64];
    int64_t now_ns = tspi_monotonic_ns();
    uint32_t points_left = 0, pairs_left = 0;

    if (!x->options->on_progress)
        return;
    for (uint32_t k = x->at; k < x->plan.n; k++) {
        points_left += x->plan.blocks[k].kind == TSPI_POINT;
        pairs_left += x->plan.blocks[k].kind == TSPI_PAIR;
    }
    tspi_plan_phase(x->result, &x->plan.blocks[x->at], phase, sizeof phase);
    double point_s = 1e-9 * (double)x->spec->experiment.duration_ns / x->spec->experiment.rounds + 0.1;
    double pair_s = x->throughput_done ? 1e-9 * (double)x->throughput_ns / x->throughput_done : 1.0;
    double in_block_s = 1e-9 * (double)(now_ns - x->block_begun_ns);
    tspi_experiment_progress progress = {
        .phase = phase,
        .block = x->at + 1,
        .blocks_n = x->plan.n,
        .requests = seen->requests,
        .tokens = seen->tokens,
        .tokens_per_s = in_block_s > 0 ? (double)(seen->tokens - x->block_tokens) / in_block_s : 0,
        .eta_s = x->spec->experiment.requests ? -1 : points_left * point_s + pairs_left * pair_s - in_block_s,
    };
    x->options->on_progress(x->options->ctx, &progress);
}

static void on_progress(void *ctx, const tspi_progress *progress)
{
    struct experiment *x = ctx;

    x->progress = *progress;
    tell(x, progress);
}

static tsp_status run_block(struct experiment *x, tsp_error *err)
{
    const tspi_planned *planned = &x->plan.blocks[x->at];
    tspi_run_result *run = planned->kind == TSPI_POINT ? &x->result->runs[planned->run] : NULL;
    tspi_block block = tspi_plan_block(x->spec, x->result, &x->plan, x->at, ++x->begun_n);
    tspi_block_result done = {0};

    int64_t cpu_begun_ns = processor_ns();
    x->block_begun_ns = tspi_monotonic_ns();
    x->block_requests = x->progress.requests;
    x->block_tokens = x->progress.tokens;
    tell(x, &x->progress);
    tsp_status rc = x->options->runner->block(x->runner, &block, run && run->null_run, &done, err);
    if (rc != TSP_OK)
        return rc;
    x->result->foreign += done.foreign;
    if (x->options->runner->is_virtual) {
        x->result->simulated_s += 1e-9 * (double)done.elapsed_ns;
        x->result->simulation_s += 1e-9 * (double)(tspi_monotonic_ns() - x->block_begun_ns);
        x->result->simulation_cpu_s += 1e-9 * (double)(processor_ns() - cpu_begun_ns);
    }
    if (run) {
        run->requests += done.requests;
        run->tokens += done.tokens;
        run->elapsed_ns += done.elapsed_ns;
        x->done_blocks[planned->run]++;
        tspi_run_folder_log(run, x->at, x->plan.n, &block, &done);
    }
    if (planned->kind == TSPI_PAIR) {
        tspi_throughput_result *row = &x->result->throughput[planned->skew];
        row->rates[planned->pair][planned->on] = 1e9 * (double)done.requests / (double)done.elapsed_ns;
        x->throughput_ns += done.elapsed_ns;
        x->throughput_done++;
    }
    return TSP_OK;
}

static void stop_runner(struct experiment *x)
{
    x->options->runner->stop(x->runner);
    x->runner = NULL;
    tspi_memory_restart(&x->memory);
}

/* A new start after a failure is warmed up like the first. */
static tsp_status start_again(struct experiment *x, const tspi_runner_config *config, tsp_error *err)
{
    uint32_t at = x->at;

    x->progress = (tspi_progress){0};
    tsp_status rc = x->options->runner->start(config, &x->runner, err);
    if (rc == TSP_OK && at) {
        x->at = 0;
        rc = run_block(x, err);
        x->at = at;
    }
    return rc;
}

/* The block at hand failed: cut off what it wrote, note the gap. */
static tsp_status leave_out(struct experiment *x, const char *folder, const tspi_run_lengths *lengths,
                            const tsp_error *why, tsp_error *err)
{
    struct timespec now;
    char name[80];

    stop_runner(x);
    clock_gettime(CLOCK_REALTIME, &now);
    tspi_plan_name(x->result, &x->plan.blocks[x->at], name, sizeof name);
    tsp_status rc = tspi_run_lengths_restore(x->spec, folder, lengths, err);
    return rc == TSP_OK ? tspi_gap_add(x->result, now.tv_sec * TSP_NS_PER_S + now.tv_nsec, name, why->message, err)
                        : rc;
}

/* A block, begun again after a failure where the spec asks for it. */
static tsp_status run_block_to_its_end(struct experiment *x, const tspi_runner_config *config, tsp_error *err)
{
    const tspi_planned *planned = &x->plan.blocks[x->at];
    const char *folder = planned->kind == TSPI_POINT ? x->result->runs[planned->run].folder : "";
    tspi_run_lengths lengths;
    tsp_status rc = tspi_run_lengths_note(x->spec, folder, &lengths, err);

    for (int tries = 1; rc == TSP_OK; tries++) {
        rc = x->runner ? TSP_OK : start_again(x, config, err);
        if (rc == TSP_OK)
            rc = run_block(x, err);
        if (rc == TSP_OK || rc == TSP_EINTERRUPTED || !x->spec->experiment.go_on || tries == TRIES_MAX)
            break;
        tsp_error why = *err;
        rc = leave_out(x, folder, &lengths, &why, err);
    }
    tspi_run_lengths_release(&lengths);
    return rc;
}

static tsp_status run_plan(struct experiment *x, tsp_error *err)
{
    const tspi_runner_config config = {
        .spec = x->spec,
        .folder = x->result->folder,
        .netns = x->result->netns,
        .on_progress = on_progress,
        .ctx = x,
        .engine = x->engine,
        .memory = &x->memory,
        .interrupted = x->options->interrupted,
    };
    /* What cannot start the first time will hardly start the second. */
    tsp_status rc = x->options->runner->start(&config, &x->runner, err);

    if (rc != TSP_OK)
        return rc;
    for (x->at = 0; x->at < x->plan.n && rc == TSP_OK; x->at++)
        rc = run_block_to_its_end(x, &config, err);
    stop_runner(x);
    if (rc == TSP_EINTERRUPTED) {
        x->result->partial = true;
        rc = TSP_OK;
    }
    return rc;
}

/* ------------------------------------------------------------------ figures */

static tsp_status measure_runs(struct experiment *x, tsp_error *err)
{
    tspi_lab_result *result = x->result;
    tsp_status rc = TSP_OK;
    size_t kept = 0;

    for (size_t k = 0; k < result->runs_n && rc == TSP_OK; k++) {
        tspi_run_result *run = &result->runs[k];
        if (!x->done_blocks[k])
            continue; /* interrupted before its first block was whole */
        rc = tspi_run_folder_finish(x->spec, run, err);
        if (rc == TSP_OK)
            rc = tspi_measure_traces(x->spec, run, err);
        if (rc == TSP_OK)
            rc = tspi_measure_requests((const uint8_t(*)[32])x->reference, x->prompts.n, run, err);
        double seconds = 1e-9 * (double)run->elapsed_ns;
        run->requests_per_s = seconds > 0 ? (double)run->requests / seconds : 0;
        run->tokens_per_s = seconds > 0 ? (double)run->tokens / seconds : 0;
        tspi_run_result moved = *run;
        memset(run, 0, sizeof *run);
        result->runs[kept++] = moved;
    }
    result->runs_n = kept;
    const tspi_run_result *baseline = tspi_lab_baseline(result, x->spec->transport);
    for (size_t k = 0; k < kept && rc == TSP_OK; k++) {
        rc = tspi_measure_predict(x->spec, baseline, &result->runs[k], err);
        if (rc == TSP_OK && &result->runs[k] != baseline)
            rc = tspi_timeline_measure(x->spec, baseline, &result->runs[k], err);
    }
    return rc == TSP_OK ? tspi_throughput_measure(result, x->spec->experiment.throughput_pairs, err) : rc;
}

static tsp_status make_plan(struct experiment *x, tsp_error *err)
{
    x->done_blocks = calloc(x->result->runs_n + 1, sizeof *x->done_blocks);
    if (!x->done_blocks)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a plan");
    return tspi_plan_make(x->spec, x->result, &x->plan, err);
}

/* Of each process its longest life. */
static tsp_status measure_memory(struct experiment *x, tsp_error *err)
{
    tspi_lab_result *result = x->result;

    result->memory = calloc(x->memory.n + 1, sizeof *result->memory);
    if (!result->memory)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for %zu processes", x->memory.n);
    for (size_t k = 0; k < x->memory.n; k++) {
        tspi_memory_result *row = &result->memory[result->memory_n];
        if (!x->memory.rows[k].n || !tspi_memory_is_longest(&x->memory, k))
            continue;
        snprintf(row->transport, sizeof row->transport, "%s", x->spec->transport);
        snprintf(row->name, sizeof row->name, "%s", x->memory.rows[k].name);
        row->figures = tspi_memory_measure(&x->memory.rows[k]);
        result->memory_n++;
    }
    return TSP_OK;
}

static void experiment_release(struct experiment *x)
{
    tspi_plan_release(&x->plan);
    tspi_memory_release(&x->memory);
    free(x->done_blocks);
    free(x->reference);
    tspi_engine_close(x->engine);
    tspi_prompts_release(&x->prompts);
}

tsp_status tspi_experiment_run(const tspi_spec *spec, const tspi_experiment_options *options,
                               tspi_lab_result *ret_result, tsp_error *err)
{
    tspi_lab_result result = {0};
    struct experiment x = {.spec = spec, .options = options, .result = &result, .begun_ns = tspi_monotonic_ns()};
    const char *why = "";

    snprintf(result.folder, sizeof result.folder, "%s", options->folder);
    tsp_status rc = options->runner->pick(spec, &result, err);
    if (rc == TSP_OK)
        rc = tspi_prompts_load(spec->load.prompts, &x.prompts, err);
    if (rc == TSP_OK && options->on_progress)
        options->on_progress(options->ctx, &(tspi_experiment_progress){.phase = "single-process reference"});
    if (rc == TSP_OK && options->runner->engine)
        rc = options->runner->engine(spec, &x.engine, err);
    if (rc == TSP_OK)
        rc = tspi_reference_outputs(spec, &x.prompts, x.engine, &x.reference, &why, err);
    if (rc == TSP_OK)
        rc = tspi_plan_runs(spec, &result, err);
    if (rc == TSP_OK)
        rc = tspi_run_folders_make(spec, &result, err);
    if (rc == TSP_OK)
        rc = make_plan(&x, err);
    if (rc == TSP_OK)
        rc = run_plan(&x, err);
    if (rc == TSP_OK)
        rc = measure_runs(&x, err);
    if (rc == TSP_OK)
        rc = measure_memory(&x, err);
    snprintf(result.outputs_note, sizeof result.outputs_note, "%s", why);
    result.seconds = 1e-9 * (double)(tspi_monotonic_ns() - x.begun_ns);
    experiment_release(&x);
    if (rc != TSP_OK)
        tspi_lab_result_release(&result);
    else
        *ret_result = result;
    return rc;
}
