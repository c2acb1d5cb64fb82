#include "lab/spec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/spec_line.h"
#include "lab/spec_reader.h"
#include "lab/spec_stages.h"

extern const char tspi_default_spec[];
extern const size_t tspi_default_spec_len;

static const char *const arrival_names[] = {"poisson", "constant", "closed"};
static const char *const bool_names[] = {"false", "true"}; /* libcyaml takes any word but a few for true */
static const char *const failure_names[] = {"stop", "gap"};
static const char *const nodes_names[] = {"auto", "netns", "process"};

const char *tspi_arrival_name(enum tspi_arrival arrival)
{
    return arrival_names[arrival];
}

const char *tspi_nodes_name(enum tspi_nodes nodes)
{
    return nodes_names[nodes];
}

/* ------------------------------------------------------------------ from the raw values to a spec */

static void get_engine(tspi_spec_reader *in, const struct raw_engine *raw, tspi_spec *spec)
{
    tspi_spec_get_text(raw->name, &spec->engine.name);
    tspi_spec_get_text(raw->model, &spec->engine.model);
    tspi_spec_get_count(in, "engine.max_tokens", raw->max_tokens, 1, 100000, &spec->engine.max_tokens);
    tspi_spec_get_count(in, "engine.chunk_tokens", raw->chunk_tokens, 1, 100000, &spec->engine.chunk_tokens);
    tspi_spec_get_count(in, "engine.slots", raw->slots, 1, 256, &spec->engine.slots);
    tspi_spec_get_number(in, "engine.temperature", raw->temperature, 0, 10, &spec->engine.temperature);
}

/* Row k of a list of things that happen at times: "LIST[k].at", not before the row above it. */
static int64_t get_at(tspi_spec_reader *in, const char *list, uint32_t k, const char *from, int64_t above_ns)
{
    char path[64];
    int64_t at_ns = 0;

    snprintf(path, sizeof path, "%s[%u].at", list, k);
    tspi_spec_get_duration(in, path, from, 0, 365 * TSPI_DAY_NS, &at_ns);
    if (k && at_ns < above_ns)
        tspi_spec_bad(in, path, "it lies before the %s above it", strstr(list, "steps") ? "step" : "phase");
    return at_ns;
}

static void get_phases(tspi_spec_reader *in, const struct raw_load *raw, tspi_spec *spec)
{
    char path[64];

    if (raw->phases_count > TSPI_PHASES_MAX)
        tspi_spec_bad(in, "load.phases", "%u phases are more than the %d that fit", raw->phases_count, TSPI_PHASES_MAX);
    for (uint32_t k = 0; k < raw->phases_count && in->rc == TSP_OK; k++) {
        double rate = 0;
        snprintf(path, sizeof path, "load.phases[%u]", k);
        if (!raw->phases[k].at || !raw->phases[k].rate)
            tspi_spec_bad(in, path, "a phase needs a time 'at' and a 'rate'");
        spec->load.phases[k].at_ns =
            get_at(in, "load.phases", k, raw->phases[k].at, k ? spec->load.phases[k - 1].at_ns : 0);
        snprintf(path, sizeof path, "load.phases[%u].rate", k);
        tspi_spec_get_number(in, path, raw->phases[k].rate, 0.001, 1e6, &rate);
        spec->load.phases[k].rate_per_s = rate;
        spec->load.phases_n = k + 1;
    }
}

static void get_load(tspi_spec_reader *in, const struct raw_load *raw, tspi_spec *spec)
{
    int arrival = (int)spec->load.arrival;

    tspi_spec_get_word(in, "load.arrival", raw->arrival, arrival_names, 3, &arrival);
    spec->load.arrival = (enum tspi_arrival)arrival;
    tspi_spec_get_number(in, "load.rate", raw->rate, 0.001, 1e6, &spec->load.rate_per_s);
    tspi_spec_get_count(in, "load.concurrency", raw->concurrency, 1, 100000, &spec->load.concurrency);
    tspi_spec_get_text(raw->prompts, &spec->load.prompts);
    get_phases(in, raw, spec);
}

static void get_link(tspi_spec_reader *in, const struct raw_link *raw, tspi_spec *spec)
{
    tspi_spec_get_duration(in, "link.delay", raw->delay, 0, 60 * TSP_NS_PER_S, &spec->link.delay_ns);
    tspi_spec_get_duration(in, "link.jitter", raw->jitter, 0, 60 * TSP_NS_PER_S, &spec->link.jitter_ns);
    tspi_spec_get_number(in, "link.loss", raw->loss, 0, 0.99, &spec->link.loss);
    tspi_spec_get_number(in, "link.rate_mbit", raw->rate_mbit, 0, 1e6, &spec->link.rate_mbit);
}

static void get_aeron(tspi_spec_reader *in, const struct raw_aeron *raw, tspi_spec *spec)
{
    tspi_spec_get_duration(in, "aeron.idle", raw->idle, 10000, 100 * TSP_NS_PER_MS, &spec->aeron.idle_ns);
    tspi_spec_get_count(in, "aeron.term_bytes", raw->term_bytes, 64 * 1024, 1024 * 1024 * 1024,
                        &spec->aeron.term_bytes);
    if (spec->aeron.term_bytes & (spec->aeron.term_bytes - 1))
        tspi_spec_bad(in, "aeron.term_bytes", "%u is no power of two", spec->aeron.term_bytes);
}

static void get_steps(tspi_spec_reader *in, const struct raw_clock *raw, tspi_clock_model *clock)
{
    char path[64];

    if (raw->steps_count > TSPI_CLOCK_STEPS_MAX)
        tspi_spec_bad(in, "clock.steps", "%u steps are more than the %d that fit", raw->steps_count,
                      TSPI_CLOCK_STEPS_MAX);
    for (uint32_t k = 0; k < raw->steps_count && in->rc == TSP_OK; k++) {
        int64_t size_ns = 0;
        double slew_ppm = 0;
        snprintf(path, sizeof path, "clock.steps[%u]", k);
        if (!raw->steps[k].at || !raw->steps[k].size)
            tspi_spec_bad(in, path, "a step needs a time 'at' and a 'size'");
        clock->steps[k].at_ns = get_at(in, "clock.steps", k, raw->steps[k].at, k ? clock->steps[k - 1].at_ns : 0);
        snprintf(path, sizeof path, "clock.steps[%u].size", k);
        tspi_spec_get_duration(in, path, raw->steps[k].size, -TSPI_DAY_NS, TSPI_DAY_NS, &size_ns);
        snprintf(path, sizeof path, "clock.steps[%u].slew_ppm", k);
        tspi_spec_get_number(in, path, raw->steps[k].slew_ppm, 0, 100000, &slew_ppm);
        clock->steps[k].size_ns = size_ns;
        clock->steps[k].slew_ppb = llround(slew_ppm * 1000);
        clock->steps_n = k + 1;
    }
}

static void get_clock(tspi_spec_reader *in, const struct raw_clock *raw, tspi_spec *spec)
{
    double drift_ppm = (double)spec->clock.drift_ppb / 1000, wander_ppm = (double)spec->clock.wander_ppb / 1000;

    tspi_spec_get_text(raw->stage, &spec->clock_stage);
    tspi_spec_get_duration(in, "clock.offset", raw->offset, -TSPI_DAY_NS, TSPI_DAY_NS, &spec->clock.offset_ns);
    tspi_spec_get_number(in, "clock.drift_ppm", raw->drift_ppm, -100000, 100000, &drift_ppm);
    tspi_spec_get_number(in, "clock.wander_ppm", raw->wander_ppm, 0, 10000, &wander_ppm);
    spec->clock.drift_ppb = llround(drift_ppm * 1000);
    spec->clock.wander_ppb = llround(wander_ppm * 1000);
    tspi_spec_get_duration(in, "clock.ntp_peak", raw->ntp_peak, 0, TSPI_HOUR_NS, &spec->clock.ntp_peak_ns);
    tspi_spec_get_duration(in, "clock.ntp_period", raw->ntp_period, TSP_NS_PER_S, TSPI_DAY_NS,
                           &spec->clock.ntp_period_ns);
    get_steps(in, raw, &spec->clock);
}

static void get_experiment(tspi_spec_reader *in, const struct raw_experiment *raw, tspi_spec *spec)
{
    int null_run = spec->experiment.null_run, go_on = spec->experiment.go_on;

    if (raw->sweep) {
        if (!raw->sweep_count || raw->sweep_count > TSPI_SWEEP_MAX)
            tspi_spec_bad(in, "experiment.sweep", "give between 1 and %d skews", TSPI_SWEEP_MAX);
        for (uint32_t k = 0; k < raw->sweep_count && k < TSPI_SWEEP_MAX; k++) {
            char path[64];
            snprintf(path, sizeof path, "experiment.sweep[%u]", k);
            tspi_spec_get_duration(in, path, raw->sweep[k], -TSPI_DAY_NS, TSPI_DAY_NS, &spec->experiment.sweep_ns[k]);
            for (uint32_t other = 0; other < k; other++)
                if (spec->experiment.sweep_ns[other] == spec->experiment.sweep_ns[k])
                    tspi_spec_bad(in, path, "%s stands twice", raw->sweep[k]);
            spec->experiment.sweep_n = k + 1;
        }
    }
    tspi_spec_get_duration(in, "experiment.duration", raw->duration, TSP_NS_PER_S / 10, 7 * TSPI_DAY_NS,
                           &spec->experiment.duration_ns);
    tspi_spec_get_count(in, "experiment.requests", raw->requests, 0, 100000000, &spec->experiment.requests);
    tspi_spec_get_count(in, "experiment.rounds", raw->rounds, 1, 1000, &spec->experiment.rounds);
    tspi_spec_get_word(in, "experiment.null_run", raw->null_run, bool_names, 2, &null_run);
    spec->experiment.null_run = null_run;
    tspi_spec_get_word(in, "experiment.on_failure", raw->on_failure, failure_names, 2, &go_on);
    spec->experiment.go_on = go_on;
    tspi_spec_get_count(in, "experiment.throughput_pairs", raw->throughput_pairs, 0, 1000,
                        &spec->experiment.throughput_pairs);
    tspi_spec_get_count(in, "experiment.throughput_requests", raw->throughput_requests, 1, 1000000,
                        &spec->experiment.throughput_requests);
    tspi_spec_get_duration(in, "experiment.health_window", raw->health_window, TSP_NS_PER_S / 10, TSPI_DAY_NS,
                           &spec->experiment.health_window_ns);
    tspi_spec_get_duration(in, "experiment.bucket", raw->bucket, 0, TSPI_DAY_NS, &spec->experiment.bucket_ns);
}

static void get_all(tspi_spec_reader *in, const struct raw_spec *raw, tspi_spec *spec)
{
    int nodes = (int)spec->nodes;
    uint32_t port = spec->port;

    tspi_spec_get_text(raw->name, &spec->name);
    tspi_spec_get_seed(in, raw->seed, &spec->seed);
    tspi_spec_get_text(raw->transport, &spec->transport);
    tspi_spec_get_word(in, "nodes", raw->nodes, nodes_names, 3, &nodes);
    spec->nodes = (enum tspi_nodes)nodes;
    tspi_spec_get_count(in, "port", raw->port, 0, 65535, &port);
    spec->port = (uint16_t)port;
    get_engine(in, &raw->engine, spec);
    get_load(in, &raw->load, spec);
    get_link(in, &raw->link, spec);
    get_aeron(in, &raw->aeron, spec);
    tspi_kafka_spec_get(in, &raw->kafka, &spec->kafka);
    get_clock(in, &raw->clock, spec);
    get_experiment(in, &raw->experiment, spec);
    tspi_sim_spec_get(in, &raw->sim, &spec->sim);
    tspi_spec_get_stages(in, raw, spec);
    if (in->rc == TSP_OK)
        tspi_topology_get(in, &raw->topology, spec);
    tspi_spec_get_hosts(in, raw, spec);
    if (spec->hosts_n) /* only the cores of the conductor's machine could be saturated */
        spec->experiment.null_run = false;
}

static tsp_status read_onto(const char *text, size_t len, const char *name, tspi_spec *spec, tsp_error *err)
{
    tspi_spec_reader in = {text, name, len, err, TSP_OK};
    struct raw_spec *raw = NULL;
    tsp_status rc = tspi_spec_load(text, len, name, &raw, err);

    if (rc == TSP_OK) {
        get_all(&in, raw, spec);
        rc = in.rc;
    }
    tspi_spec_unload(raw);
    return rc;
}

tsp_status tspi_spec_default(tspi_spec *ret_spec, tsp_error *err)
{
    *ret_spec = (tspi_spec){0};
    tsp_status rc = read_onto(tspi_default_spec, tspi_default_spec_len, "the built-in spec", ret_spec, err);
    if (rc != TSP_OK)
        tspi_spec_release(ret_spec);
    return rc;
}

/* A message may quote what the spec says, and a text in YAML may have several lines. */
static void make_one_line(tsp_error *err)
{
    for (char *at = err ? err->message : NULL; at && *at; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
}

tsp_status tspi_spec_read(const char *text, size_t len, const char *name, tspi_spec *ret_spec, tsp_error *err)
{
    tsp_status rc = tspi_spec_default(ret_spec, err);

    if (rc != TSP_OK)
        return rc;
    rc = read_onto(text, len, name, ret_spec, err);
    if (rc == TSP_OK) {
        char key[TSPI_SPEC_KEY_MAX];
        rc = tspi_spec_check(ret_spec, key, err);
        if (rc != TSP_OK)
            tsp_error_note(err, "%s: line %zu", name, tspi_spec_line(text, len, key));
    }
    if (rc != TSP_OK) {
        make_one_line(err);
        tspi_spec_release(ret_spec);
    }
    return rc;
}

void tspi_spec_release(tspi_spec *spec)
{
    tspi_spec_release_stages(spec);
    free(spec->name);
    free(spec->transport);
    free(spec->engine.name);
    free(spec->engine.model);
    free(spec->load.prompts);
    tspi_kafka_spec_release(&spec->kafka);
    free(spec->clock_stage);
    tspi_sim_spec_release(&spec->sim);
    *spec = (tspi_spec){0};
}
