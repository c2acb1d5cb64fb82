#include "lab/experiment.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/duration.h"
#include "lab/gap.h"
#include "lab/measure.h"
#include "lab/reference.h"
#include "lab/throughput.h"
#include "lab/timeline.h"

/* The block that warms caches, connections and TCP windows, and is not measured: so many requests, or so long. */
enum { WARM_UP_REQUESTS = 100 };
static const int64_t warm_up_ns = 2 * TSP_NS_PER_S;

/* A block that fails as often will fail again. */
enum { TRIES_MAX = 3 };

/* How long the run with true clocks takes beside long ones. */
static const int64_t true_run_ns = 120 * TSP_NS_PER_S;

struct planned {
    enum { WARM_UP, POINT, PAIR } kind;
    uint32_t run;  /* POINT: row of runs */
    uint32_t skew; /* PAIR: row of the throughput results */
    bool on;       /* PAIR */
    uint32_t pair; /* PAIR: number of the pair within its skew */
};

struct experiment {
    const tspi_spec *spec;
    const tspi_experiment_options *options;
    tspi_lab_result *result;
    tspi_runner *runner;
    tspi_progress progress;
    tspi_prompts prompts;
    uint8_t (*reference)[32];
    struct planned *plan;
    uint32_t plan_n, at;
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

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

/* ------------------------------------------------------------------ the plan */

static void shuffle(struct planned *items, uint32_t n, tspi_random *random)
{
    for (uint32_t k = n; k > 1; k--) {
        uint32_t other = (uint32_t)tspi_random_below(random, k);
        struct planned swap = items[k - 1];
        items[k - 1] = items[other];
        items[other] = swap;
    }
}

/* Rounds over all points, each round in an order of its own: what the machine does besides hits all points alike. */
static void plan_points(struct experiment *x, tspi_random *random)
{
    for (uint32_t round = 0; round < x->spec->experiment.rounds; round++) {
        struct planned *first = x->plan + x->plan_n;
        for (uint32_t run = 0; run < x->result->runs_n; run++)
            x->plan[x->plan_n++] = (struct planned){.kind = POINT, .run = run};
        shuffle(first, (uint32_t)x->result->runs_n, random);
    }
}

/* For every skew a block with it and one without, back to back in an order decided by a coin; pairs are shuffled. */
static void plan_pairs(struct experiment *x, tspi_random *random)
{
    for (uint32_t pair = 0; pair < x->spec->experiment.throughput_pairs; pair++) {
        struct planned heads[TSPI_SWEEP_MAX];
        uint32_t n = (uint32_t)x->result->throughput_n;
        for (uint32_t skew = 0; skew < n; skew++)
            heads[skew] =
                (struct planned){.kind = PAIR, .skew = skew, .pair = pair, .on = tspi_random_below(random, 2) != 0};
        shuffle(heads, n, random);
        for (uint32_t k = 0; k < n; k++) {
            x->plan[x->plan_n++] = heads[k];
            heads[k].on = !heads[k].on;
            x->plan[x->plan_n++] = heads[k];
        }
    }
}

static tsp_status make_runs(struct experiment *x, tsp_error *err)
{
    const tspi_spec *spec = x->spec;
    tspi_lab_result *result = x->result;

    uint32_t points = spec->experiment.sweep_n + spec->experiment.null_run;
    uint32_t runs = points + !tspi_clock_model_is_constant(&spec->clock);

    result->runs = calloc(runs + 1, sizeof *result->runs);
    result->throughput = calloc(runs + 1, sizeof *result->throughput);
    x->done_blocks = calloc(runs + 1, sizeof *x->done_blocks);
    if (!result->runs || !result->throughput || !x->done_blocks)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a sweep");
    for (uint32_t k = 0; k < runs; k++) {
        tspi_run_result *run = &result->runs[result->runs_n++];
        char skew[32];
        run->null_run = k == spec->experiment.sweep_n && k < points;
        run->true_clock = k >= points;
        run->skew_ns = k < spec->experiment.sweep_n ? spec->experiment.sweep_ns[k] : 0;
        run->seed = spec->seed;
        run->predicted = run->predicted_lo = run->predicted_hi = NAN;
        tspi_duration_format(run->skew_ns, skew, sizeof skew);
        snprintf(run->transport, sizeof run->transport, "%s", spec->transport);
        int n = snprintf(run->folder, sizeof run->folder, "%s/%s-%s", result->folder, spec->transport,
                         run->true_clock ? "true"
                         : run->null_run ? "null"
                                         : skew);
        if (n < 0 || (size_t)n >= sizeof run->folder)
            return tsp_error_set(err, TSP_EINVAL, "the output folder's path is too long");
        if (run->skew_ns && spec->experiment.throughput_pairs > 1) {
            tspi_throughput_result *row = &result->throughput[result->throughput_n++];
            snprintf(row->transport, sizeof row->transport, "%s", spec->transport);
            row->skew_ns = run->skew_ns;
            row->rates = calloc(spec->experiment.throughput_pairs, sizeof *row->rates);
            if (!row->rates)
                return tsp_error_set(err, TSP_ENOMEM, "out of memory for a sweep");
        }
    }
    return TSP_OK;
}

static tsp_status make_plan(struct experiment *x, tsp_error *err)
{
    const tspi_spec *spec = x->spec;
    tspi_random root, random;
    size_t pairs = (size_t)spec->experiment.throughput_pairs * x->result->throughput_n;
    size_t n = 1 + spec->experiment.rounds * x->result->runs_n + 2 * pairs;

    tspi_random_seed(&root, spec->seed);
    random = tspi_random_split(&root, "plan", 0);
    x->plan = calloc(n, sizeof *x->plan);
    if (!x->plan)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a plan of %zu blocks", n);
    x->plan[x->plan_n++] = (struct planned){.kind = WARM_UP};
    plan_points(x, &random);
    plan_pairs(x, &random);
    return TSP_OK;
}

/* ------------------------------------------------------------------ folders */

static tsp_status make_folder(const char *path, tsp_error *err)
{
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return tsp_error_sys(err, errno, "cannot make the folder '%s'", path);
    return TSP_OK;
}

static tsp_status make_folders(struct experiment *x, tsp_error *err)
{
    char path[4200];
    tspi_buf yaml = {0};
    tsp_status rc = make_folder(x->result->folder, err);

    for (size_t k = 0; k < x->result->runs_n && rc == TSP_OK; k++) {
        const char *folder = x->result->runs[k].folder;
        rc = make_folder(folder, err);
        snprintf(path, sizeof path, "%s/otlp", folder);
        rc = rc == TSP_OK ? make_folder(path, err) : rc;
        snprintf(path, sizeof path, "%s/truth", folder);
        rc = rc == TSP_OK ? make_folder(path, err) : rc;
    }
    if (rc == TSP_OK) {
        tspi_spec_write(x->spec, &yaml);
        snprintf(path, sizeof path, "%s/spec.yaml", x->result->folder);
        rc = tspi_file_replace(path, yaml.data, yaml.len, err);
    }
    tspi_buf_release(&yaml);
    return rc;
}

/* A line in the run's own log. */
static void log_block(const struct experiment *x, const tspi_run_result *run, const tspi_block *block,
                      const tspi_block_result *done)
{
    char path[4200], stamp[32];
    time_t now = time(NULL);
    struct tm utc;

    snprintf(path, sizeof path, "%s/run.log", run->folder);
    FILE *log = fopen(path, "ae");
    if (!log)
        return;
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    fprintf(log, "%s block %u of %u: id %u, skew %lld ns, %llu requests, %llu tokens, %.3f s%s\n", stamp, x->at + 1,
            x->plan_n, block->id, (long long)block->clock.offset_ns, (unsigned long long)done->requests,
            (unsigned long long)done->tokens, 1e-9 * (double)done->elapsed_ns,
            run->null_run ? ", every core saturated" : "");
    fclose(log);
}

/* Gather the nodes' shares of the truth into one file. */
static tsp_status merge_truth(struct experiment *x, const tspi_run_result *run, tsp_error *err)
{
    char part[4400], whole[4200];
    tspi_buf text = {0};
    tsp_status rc = TSP_OK;

    for (uint32_t s = 0; s < x->spec->stages_n && rc == TSP_OK; s++)
        for (uint32_t w = 0; w < x->spec->stages[s].workers && rc == TSP_OK; w++) {
            char name[64];
            tspi_node_name(&x->spec->stages[s], w, name, sizeof name);
            snprintf(part, sizeof part, "%s/truth/%s.jsonl", run->folder, name);
            rc = tspi_buf_read_file(&text, part, 0, err);
            unlink(part);
        }
    snprintf(whole, sizeof whole, "%s/truth.jsonl", run->folder);
    if (rc == TSP_OK)
        rc = tspi_file_replace(whole, text.data, text.len, err);
    snprintf(part, sizeof part, "%s/truth", run->folder);
    rmdir(part);
    tspi_buf_release(&text);
    return rc;
}

/* ------------------------------------------------------------------ running */

static void tell(struct experiment *x, const tspi_progress *seen)
{
    const tspi_lab_result *result = x->result;
    const struct planned *planned = &x->plan[x->at];
    char phase[64], skew[32];
    int64_t now_ns = monotonic_ns();
    uint32_t points_left = 0, pairs_left = 0;

    if (!x->options->on_progress)
        return;
    for (uint32_t k = x->at; k < x->plan_n; k++) {
        points_left += x->plan[k].kind == POINT;
        pairs_left += x->plan[k].kind == PAIR;
    }
    if (planned->kind == WARM_UP)
        snprintf(phase, sizeof phase, "warming up");
    else if (planned->kind == POINT) {
        tspi_duration_format(result->runs[planned->run].skew_ns, skew, sizeof skew);
        snprintf(phase, sizeof phase, "%s",
                 result->runs[planned->run].null_run     ? "null run, cores saturated"
                 : result->runs[planned->run].true_clock ? "true clocks"
                                                         : skew);
    } else {
        tspi_duration_format(result->throughput[planned->skew].skew_ns, skew, sizeof skew);
        snprintf(phase, sizeof phase, "throughput, %s %s", skew, planned->on ? "on" : "off");
    }
    double point_s = 1e-9 * (double)x->spec->experiment.duration_ns / x->spec->experiment.rounds + 0.1;
    double pair_s = x->throughput_done ? 1e-9 * (double)x->throughput_ns / x->throughput_done : 1.0;
    double in_block_s = 1e-9 * (double)(now_ns - x->block_begun_ns);
    tspi_experiment_progress progress = {
        .phase = phase,
        .block = x->at + 1,
        .blocks_n = x->plan_n,
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

/* A run with true clocks needs no longer than to know the hops' delays, unless they change over time. */
static int64_t duration_of(const tspi_spec *spec, const tspi_run_result *run)
{
    int64_t whole_ns = spec->experiment.duration_ns;

    if (!run->true_clock || tspi_timeline_load_changes(spec) || whole_ns < true_run_ns)
        return whole_ns;
    return true_run_ns;
}

static tspi_block block_of(struct experiment *x, const struct planned *planned)
{
    const tspi_spec *spec = x->spec;
    tspi_block block = {
        .id = ++x->begun_n,
        .clock = spec->clock,
        .arrival = TSPI_ARRIVAL_CLOSED,
        .rate_per_s = spec->load.rate_per_s,
        .concurrency = spec->load.concurrency,
        .seed = spec->seed,
    };

    block.clock.seed = spec->seed;
    if (planned->kind == WARM_UP) {
        block.requests = WARM_UP_REQUESTS;
        block.duration_ns = warm_up_ns;
        if (!strcmp(spec->transport, "kafka") && spec->kafka.warm_up_ns) { /* a broker is slow until it is compiled */
            block.requests = 0;
            block.duration_ns = spec->kafka.warm_up_ns;
        }
    }
    if (planned->kind == PAIR) {
        block.requests = spec->experiment.throughput_requests;
        if (planned->on)
            block.clock.offset_ns += x->result->throughput[planned->skew].skew_ns;
        block.seed += planned->pair; /* both blocks of a pair do the same work */
    }
    if (planned->kind == POINT) {
        const tspi_run_result *run = &x->result->runs[planned->run];
        block.arrival = spec->load.arrival;
        block.clock.offset_ns += run->skew_ns;
        if (spec->experiment.requests)
            block.requests = (spec->experiment.requests + spec->experiment.rounds - 1) / spec->experiment.rounds;
        else
            block.duration_ns = duration_of(spec, run) / spec->experiment.rounds;
        block.seed += UINT64_C(1000003) * (x->at + 1);
        snprintf(block.folder, sizeof block.folder, "%s", run->folder);
    }
    if (planned->kind == POINT && (x->result->runs[planned->run].null_run || x->result->runs[planned->run].true_clock))
        block.clock = (tspi_clock_model){0};
    return block;
}

static tsp_status run_block(struct experiment *x, tsp_error *err)
{
    const struct planned *planned = &x->plan[x->at];
    tspi_run_result *run = planned->kind == POINT ? &x->result->runs[planned->run] : NULL;
    tspi_block block = block_of(x, planned);
    tspi_block_result done = {0};

    int64_t cpu_begun_ns = processor_ns();
    x->block_begun_ns = monotonic_ns();
    x->block_requests = x->progress.requests;
    x->block_tokens = x->progress.tokens;
    tell(x, &x->progress);
    tsp_status rc = x->options->runner->block(x->runner, &block, run && run->null_run, &done, err);
    if (rc != TSP_OK)
        return rc;
    x->result->foreign += done.foreign;
    if (x->options->runner->is_virtual) {
        x->result->simulated_s += 1e-9 * (double)done.elapsed_ns;
        x->result->simulation_s += 1e-9 * (double)(monotonic_ns() - x->block_begun_ns);
        x->result->simulation_cpu_s += 1e-9 * (double)(processor_ns() - cpu_begun_ns);
    }
    if (run) {
        run->requests += done.requests;
        run->tokens += done.tokens;
        run->elapsed_ns += done.elapsed_ns;
        x->done_blocks[planned->run]++;
        log_block(x, run, &block, &done);
    }
    if (planned->kind == PAIR) {
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

/* What a block is part of, in words. */
static void name_block(const struct experiment *x, const struct planned *planned, char *ret_name, size_t size)
{
    char skew[32];

    if (planned->kind == WARM_UP) {
        snprintf(ret_name, size, "the warm-up");
        return;
    }
    const tspi_run_result *run = &x->result->runs[planned->run];
    bool is_point = planned->kind == POINT;
    tspi_duration_format(is_point ? run->skew_ns : x->result->throughput[planned->skew].skew_ns, skew, sizeof skew);
    snprintf(ret_name, size, "%s of %s%s", is_point ? "the traces" : "the throughput", skew,
             is_point && run->null_run ? ", saturated" : "");
}

/* The block at hand failed: cut off what it wrote, note the gap. */
static tsp_status leave_out(struct experiment *x, const char *folder, const tspi_run_lengths *lengths,
                            const tsp_error *why, tsp_error *err)
{
    struct timespec now;
    char name[80];

    stop_runner(x);
    clock_gettime(CLOCK_REALTIME, &now);
    name_block(x, &x->plan[x->at], name, sizeof name);
    tsp_status rc = tspi_run_lengths_restore(x->spec, folder, lengths, err);
    return rc == TSP_OK ? tspi_gap_add(x->result, now.tv_sec * TSP_NS_PER_S + now.tv_nsec, name, why->message, err)
                        : rc;
}

/* A block, begun again after a failure where the spec asks for it. */
static tsp_status run_block_to_its_end(struct experiment *x, const tspi_runner_config *config, tsp_error *err)
{
    const struct planned *planned = &x->plan[x->at];
    const char *folder = planned->kind == POINT ? x->result->runs[planned->run].folder : "";
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
        .interrupted = x->options->interrupted,
    };
    /* What cannot start the first time will hardly start the second. */
    tsp_status rc = x->options->runner->start(&config, &x->runner, err);

    if (rc != TSP_OK)
        return rc;
    for (x->at = 0; x->at < x->plan_n && rc == TSP_OK; x->at++)
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
        rc = merge_truth(x, run, err);
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

static void experiment_release(struct experiment *x)
{
    free(x->plan);
    free(x->done_blocks);
    free(x->reference);
    tspi_prompts_release(&x->prompts);
}

tsp_status tspi_experiment_run(const tspi_spec *spec, const tspi_experiment_options *options,
                               tspi_lab_result *ret_result, tsp_error *err)
{
    tspi_lab_result result = {0};
    struct experiment x = {.spec = spec, .options = options, .result = &result, .begun_ns = monotonic_ns()};
    const char *why = "";

    snprintf(result.folder, sizeof result.folder, "%s", options->folder);
    tsp_status rc = options->runner->pick(spec, &result, err);
    if (rc == TSP_OK)
        rc = tspi_prompts_load(spec->load.prompts, &x.prompts, err);
    if (rc == TSP_OK && options->on_progress)
        options->on_progress(options->ctx, &(tspi_experiment_progress){.phase = "single-process reference"});
    if (rc == TSP_OK)
        rc = tspi_reference_outputs(spec, &x.prompts, &x.reference, &why, err);
    if (rc == TSP_OK)
        rc = make_runs(&x, err);
    if (rc == TSP_OK)
        rc = make_folders(&x, err);
    if (rc == TSP_OK)
        rc = make_plan(&x, err);
    if (rc == TSP_OK)
        rc = run_plan(&x, err);
    if (rc == TSP_OK)
        rc = measure_runs(&x, err);
    snprintf(result.outputs_note, sizeof result.outputs_note, "%s", why);
    result.seconds = 1e-9 * (double)(monotonic_ns() - x.begun_ns);
    experiment_release(&x);
    if (rc != TSP_OK)
        tspi_lab_result_release(&result);
    else
        *ret_result = result;
    return rc;
}
