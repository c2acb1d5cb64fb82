#include "lab/plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "lab/timeline.h"

/* The block that warms caches, connections and TCP windows, and is not measured: so many requests, or so long. */
enum { WARM_UP_REQUESTS = 100 };
static const int64_t warm_up_ns = 2 * TSP_NS_PER_S;

/* How long the run with true clocks takes beside long ones. */
static const int64_t true_run_ns = 120 * TSP_NS_PER_S;

static void shuffle(tspi_planned *items, uint32_t n, tspi_random *random)
{
    for (uint32_t k = n; k > 1; k--) {
        uint32_t other = (uint32_t)tspi_random_below(random, k);
        tspi_planned swap = items[k - 1];
        items[k - 1] = items[other];
        items[other] = swap;
    }
}

/* Rounds over all points, each round in an order of its own: what the machine does besides hits all points alike. */
static void plan_points(const tspi_spec *spec, const tspi_lab_result *result, tspi_random *random, tspi_plan *plan)
{
    for (uint32_t round = 0; round < spec->experiment.rounds; round++) {
        tspi_planned *first = plan->blocks + plan->n;
        for (uint32_t run = 0; run < result->runs_n; run++)
            plan->blocks[plan->n++] = (tspi_planned){.kind = TSPI_POINT, .run = run};
        shuffle(first, (uint32_t)result->runs_n, random);
    }
}

/* For every skew a block with it and one without, back to back in an order decided by a coin; pairs are shuffled. */
static void plan_pairs(const tspi_spec *spec, const tspi_lab_result *result, tspi_random *random, tspi_plan *plan)
{
    for (uint32_t pair = 0; pair < spec->experiment.throughput_pairs; pair++) {
        tspi_planned heads[TSPI_SWEEP_MAX];
        uint32_t n = (uint32_t)result->throughput_n;
        for (uint32_t skew = 0; skew < n; skew++)
            heads[skew] =
                (tspi_planned){.kind = TSPI_PAIR, .skew = skew, .pair = pair, .on = tspi_random_below(random, 2) != 0};
        shuffle(heads, n, random);
        for (uint32_t k = 0; k < n; k++) {
            plan->blocks[plan->n++] = heads[k];
            heads[k].on = !heads[k].on;
            plan->blocks[plan->n++] = heads[k];
        }
    }
}

tsp_status tspi_plan_runs(const tspi_spec *spec, tspi_lab_result *result, tsp_error *err)
{
    uint32_t points = spec->experiment.sweep_n + spec->experiment.null_run;
    uint32_t runs = points + !tspi_clock_model_is_constant(&spec->clock);

    result->runs = calloc(runs + 1, sizeof *result->runs);
    result->throughput = calloc(runs + 1, sizeof *result->throughput);
    if (!result->runs || !result->throughput)
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

tsp_status tspi_plan_make(const tspi_spec *spec, const tspi_lab_result *result, tspi_plan *ret_plan, tsp_error *err)
{
    tspi_plan *plan = ret_plan;
    tspi_random root, random;
    size_t pairs = (size_t)spec->experiment.throughput_pairs * result->throughput_n;
    size_t n = 1 + spec->experiment.rounds * result->runs_n + 2 * pairs;

    tspi_random_seed(&root, spec->seed);
    random = tspi_random_split(&root, "plan", 0);
    *plan = (tspi_plan){.blocks = calloc(n, sizeof *plan->blocks)};
    if (!plan->blocks)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a plan of %zu blocks", n);
    plan->blocks[plan->n++] = (tspi_planned){.kind = TSPI_WARM_UP};
    plan_points(spec, result, &random, plan);
    plan_pairs(spec, result, &random, plan);
    return TSP_OK;
}

void tspi_plan_release(tspi_plan *plan)
{
    free(plan->blocks);
    *plan = (tspi_plan){0};
}

/* ------------------------------------------------------------------ a block */

/* A run with true clocks needs no longer than to know the hops' delays, unless they change over time. */
static int64_t duration_of(const tspi_spec *spec, const tspi_run_result *run)
{
    int64_t whole_ns = spec->experiment.duration_ns;

    if (!run->true_clock || tspi_timeline_load_changes(spec) || whole_ns < true_run_ns)
        return whole_ns;
    return true_run_ns;
}

tspi_block tspi_plan_block(const tspi_spec *spec, const tspi_lab_result *result, const tspi_plan *plan, uint32_t at,
                           uint32_t id)
{
    const tspi_planned *planned = &plan->blocks[at];
    tspi_block block = {
        .id = id,
        .clock = spec->clock,
        .arrival = TSPI_ARRIVAL_CLOSED,
        .rate_per_s = spec->load.rate_per_s,
        .concurrency = spec->load.concurrency,
        .seed = spec->seed,
    };

    block.clock.seed = spec->seed;
    if (planned->kind == TSPI_WARM_UP) {
        block.requests = WARM_UP_REQUESTS;
        block.duration_ns = warm_up_ns;
        if (!strcmp(spec->transport, "kafka") && spec->kafka.warm_up_ns) { /* a broker is slow until it is compiled */
            block.requests = 0;
            block.duration_ns = spec->kafka.warm_up_ns;
        }
    }
    if (planned->kind == TSPI_PAIR) {
        block.requests = spec->experiment.throughput_requests;
        if (planned->on)
            block.clock.offset_ns += result->throughput[planned->skew].skew_ns;
        block.seed += planned->pair; /* both blocks of a pair do the same work */
    }
    if (planned->kind == TSPI_POINT) {
        const tspi_run_result *run = &result->runs[planned->run];
        block.arrival = spec->load.arrival;
        block.clock.offset_ns += run->skew_ns;
        if (spec->experiment.requests)
            block.requests = (spec->experiment.requests + spec->experiment.rounds - 1) / spec->experiment.rounds;
        else
            block.duration_ns = duration_of(spec, run) / spec->experiment.rounds;
        block.seed += UINT64_C(1000003) * (at + 1);
        snprintf(block.folder, sizeof block.folder, "%s", run->folder);
    }
    if (planned->kind == TSPI_POINT && (result->runs[planned->run].null_run || result->runs[planned->run].true_clock))
        block.clock = (tspi_clock_model){0};
    return block;
}

/* ------------------------------------------------------------------ in words */

void tspi_plan_name(const tspi_lab_result *result, const tspi_planned *planned, char *ret_name, size_t size)
{
    char skew[32];

    if (planned->kind == TSPI_WARM_UP) {
        snprintf(ret_name, size, "the warm-up");
        return;
    }
    const tspi_run_result *run = &result->runs[planned->run];
    bool is_point = planned->kind == TSPI_POINT;
    tspi_duration_format(is_point ? run->skew_ns : result->throughput[planned->skew].skew_ns, skew, sizeof skew);
    snprintf(ret_name, size, "%s of %s%s", is_point ? "the traces" : "the throughput", skew,
             is_point && run->null_run ? ", saturated" : "");
}

void tspi_plan_phase(const tspi_lab_result *result, const tspi_planned *planned, char *ret_phase, size_t size)
{
    char skew[32];

    if (planned->kind == TSPI_WARM_UP)
        snprintf(ret_phase, size, "warming up");
    else if (planned->kind == TSPI_POINT) {
        const tspi_run_result *run = &result->runs[planned->run];
        tspi_duration_format(run->skew_ns, skew, sizeof skew);
        snprintf(ret_phase, size, "%s",
                 run->null_run     ? "null run, cores saturated"
                 : run->true_clock ? "true clocks"
                                   : skew);
    } else {
        tspi_duration_format(result->throughput[planned->skew].skew_ns, skew, sizeof skew);
        snprintf(ret_phase, size, "throughput, %s %s", skew, planned->on ? "on" : "off");
    }
}
