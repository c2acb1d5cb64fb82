#include "lab/spec.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "lab/spec_line.h"
#include "lab/spec_reader.h"
#include "lab/spec_schema.h"

extern const char tspi_default_spec[];
extern const size_t tspi_default_spec_len;

static const char *const role_names[TSPI_ROLES_N] = {"gateway",     "preprocess", "inference",
                                                     "postprocess", "relay",      "sink"};
static const char *const arrival_names[] = {"poisson", "constant", "closed"};
static const char *const bool_names[] = {"false", "true"}; /* libcyaml takes any word but a few for true */
static const char *const failure_names[] = {"stop", "gap"};
static const char *const nodes_names[] = {"auto", "netns", "process"};

const char *tspi_role_name(enum tspi_role role)
{
    return role_names[role];
}

const char *tspi_arrival_name(enum tspi_arrival arrival)
{
    return arrival_names[arrival];
}

const char *tspi_nodes_name(enum tspi_nodes nodes)
{
    return nodes_names[nodes];
}

int tspi_spec_stage(const tspi_spec *spec, const char *name)
{
    for (uint32_t k = 0; k < spec->stages_n; k++)
        if (!strcmp(spec->stages[k].name, name))
            return (int)k;
    return -1;
}

/* ------------------------------------------------------------------ loading: libcyaml, its complaints as one line */

struct complaint {
    char text[256];
    char path[128]; /* "clock.steps[0].at" */
    unsigned line;
};

/* A line of libcyaml's backtrace, innermost first: "in mapping field 'at' (line: 3, column: 9)". */
static void on_backtrace(struct complaint *complaint, const char *line)
{
    char field[64], rest[sizeof complaint->path];
    unsigned entry;

    if (!complaint->line && strstr(line, "(line: "))
        complaint->line = (unsigned)strtoul(strstr(line, "(line: ") + 7, NULL, 10);
    memcpy(rest, complaint->path, sizeof rest);
    const char *dot = rest[0] && rest[0] != '[' ? "." : "";
    line += strncmp(line, "Load:", 5) ? 0 : 5;
    if (sscanf(line, " in mapping field '%63[^']'", field) == 1)
        snprintf(complaint->path, sizeof complaint->path, "%s%s%.60s", field, dot, rest);
    else if (sscanf(line, " in sequence entry '%u'", &entry) == 1)
        snprintf(complaint->path, sizeof complaint->path, "[%u]%s%.60s", entry - 1, dot, rest);
}

static void on_log(cyaml_log_t level, void *ctx, const char *format, va_list args)
{
    struct complaint *complaint = ctx;
    char text[256];

    if (level < CYAML_LOG_ERROR)
        return;
    vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    if (strstr(text, "(line: "))
        on_backtrace(complaint, text);
    else if (!complaint->text[0] && !strstr(text, "Backtrace"))
        snprintf(complaint->text, sizeof complaint->text, "%s", !strncmp(text, "Load: ", 6) ? text + 6 : text);
}

/* libcyaml gives an unexpected key the place of the value before it: look for the key itself from there on. */
static unsigned line_of_key(const char *text, size_t len, const char *key, unsigned from)
{
    unsigned line = 1;
    size_t key_len = strlen(key);

    for (size_t at = 0; at < len; line++) {
        const char *end = memchr(text + at, '\n', len - at);
        size_t stop = end ? (size_t)(end - text) : len, k = at;
        while (k < stop && (text[k] == ' ' || text[k] == '-' || text[k] == '{'))
            k++;
        if (line >= from && stop - k > key_len && !memcmp(text + k, key, key_len) && text[k + key_len] == ':')
            return line;
        at = stop + 1;
    }
    return from;
}

static tsp_status load(const char *text, size_t len, const char *name, struct raw_spec **ret_raw, tsp_error *err)
{
    struct complaint complaint = {.line = 0};
    const cyaml_config_t config = {
        .log_fn = on_log, .log_ctx = &complaint, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_NOTICE};
    cyaml_err_t rc = cyaml_load_data((const uint8_t *)text, len, &config, &tspi_spec_schema, (void **)ret_raw, NULL);

    if (rc == CYAML_OK && *ret_raw)
        return TSP_OK;
    if (rc == CYAML_OK)
        return tsp_error_set(err, TSP_EPARSE, "%s: the spec is empty", name);
    if (!strncmp(complaint.text, "Unexpected key: ", 16)) {
        const char *key = complaint.text + 16;
        return tsp_error_set(err, TSP_EPARSE, "%s: line %u: unknown key '%s' (docs/spec.md lists the keys)", name,
                             line_of_key(text, len, key, complaint.line), key);
    }
    if (!strncmp(complaint.text, "Mapping field already seen: ", 28)) {
        const char *key = complaint.text + 28;
        return tsp_error_set(err, TSP_EPARSE, "%s: line %u: the key '%s' stands twice", name,
                             line_of_key(text, len, key, complaint.line + 1), key);
    }
    if (complaint.text[0])
        complaint.text[0] = (char)tolower((unsigned char)complaint.text[0]);
    return tsp_error_set(err, TSP_EPARSE, "%s: line %u: %s%s%s", name, complaint.line, complaint.path,
                         complaint.path[0] ? ": " : "", complaint.text[0] ? complaint.text : cyaml_strerror(rc));
}

static void unload(struct raw_spec *raw)
{
    const cyaml_config_t config = {.mem_fn = cyaml_mem};
    cyaml_free(&config, &tspi_spec_schema, raw, 0);
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

static void get_phases(tspi_spec_reader *in, const struct raw_load *raw, tspi_spec *spec)
{
    char path[64];

    if (raw->phases_count > TSPI_PHASES_MAX)
        tspi_spec_bad(in, "load.phases", "%u phases are more than the %d that fit", raw->phases_count, TSPI_PHASES_MAX);
    for (uint32_t k = 0; k < raw->phases_count && in->rc == TSP_OK; k++) {
        int64_t at_ns = 0;
        double rate = 0;
        snprintf(path, sizeof path, "load.phases[%u]", k);
        if (!raw->phases[k].at || !raw->phases[k].rate)
            tspi_spec_bad(in, path, "a phase needs a time 'at' and a 'rate'");
        snprintf(path, sizeof path, "load.phases[%u].at", k);
        tspi_spec_get_duration(in, path, raw->phases[k].at, 0, 365 * TSPI_DAY_NS, &at_ns);
        if (k && at_ns < spec->load.phases[k - 1].at_ns)
            tspi_spec_bad(in, path, "it lies before the phase above it");
        snprintf(path, sizeof path, "load.phases[%u].rate", k);
        tspi_spec_get_number(in, path, raw->phases[k].rate, 0.001, 1e6, &rate);
        spec->load.phases[k].at_ns = at_ns;
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
    if (raw->steps_count > TSPI_CLOCK_STEPS_MAX)
        tspi_spec_bad(in, "clock.steps", "%u steps are more than the %d that fit", raw->steps_count,
                      TSPI_CLOCK_STEPS_MAX);
    for (uint32_t k = 0; k < raw->steps_count && in->rc == TSP_OK; k++) {
        char path[64];
        int64_t at_ns = 0, size_ns = 0;
        double slew_ppm = 0;
        snprintf(path, sizeof path, "clock.steps[%u]", k);
        if (!raw->steps[k].at || !raw->steps[k].size)
            tspi_spec_bad(in, path, "a step needs a time 'at' and a 'size'");
        snprintf(path, sizeof path, "clock.steps[%u].at", k);
        tspi_spec_get_duration(in, path, raw->steps[k].at, 0, 365 * TSPI_DAY_NS, &at_ns);
        if (k && at_ns < spec->clock.steps[k - 1].at_ns)
            tspi_spec_bad(in, path, "it lies before the step above it");
        snprintf(path, sizeof path, "clock.steps[%u].size", k);
        tspi_spec_get_duration(in, path, raw->steps[k].size, -TSPI_DAY_NS, TSPI_DAY_NS, &size_ns);
        snprintf(path, sizeof path, "clock.steps[%u].slew_ppm", k);
        tspi_spec_get_number(in, path, raw->steps[k].slew_ppm, 0, 100000, &slew_ppm);
        spec->clock.steps[k].at_ns = at_ns;
        spec->clock.steps[k].size_ns = size_ns;
        spec->clock.steps[k].slew_ppb = llround(slew_ppm * 1000);
        spec->clock.steps_n = k + 1;
    }
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

static bool name_is_plain(const char *name)
{
    size_t len = strlen(name);

    for (size_t k = 0; k < len; k++)
        if (!isalnum((unsigned char)name[k]) && name[k] != '-' && name[k] != '_')
            return false;
    return len > 0 && len <= 40 && isalnum((unsigned char)name[0]); /* "-" alone would be a list in YAML */
}

static void get_stage(tspi_spec_reader *in, const struct raw_stage *raw, uint32_t k, tspi_spec *spec)
{
    tspi_stage_spec *stage = &spec->stages[k];
    char path[64];
    int role = -1;

    stage->workers = 1;
    snprintf(path, sizeof path, "stages[%u].name", k);
    if (!raw->name || !name_is_plain(raw->name)) {
        snprintf(path, sizeof path, raw->name ? "stages[%u].name" : "stages[%u]", k);
        tspi_spec_bad(in, path, "a stage needs a name of up to 40 letters, digits, '-' and '_', the first no dash");
        return;
    }
    if (tspi_spec_stage(spec, raw->name) >= 0)
        tspi_spec_bad(in, path, "two stages are called '%s'", raw->name);
    tspi_spec_get_text(raw->name, &stage->name);
    snprintf(path, sizeof path, "stages[%u].role", k);
    tspi_spec_get_word(in, path, raw->role ? raw->role : raw->name, role_names, TSPI_ROLES_N, &role);
    stage->role = (enum tspi_role)role;
    snprintf(path, sizeof path, "stages[%u].workers", k);
    tspi_spec_get_count(in, path, raw->workers, 1, TSPI_WORKERS_MAX, &stage->workers);
}

static bool sends_to(const tspi_stage_spec *stage, int to)
{
    for (uint32_t e = 0; e < stage->to_n; e++)
        if (stage->to[e] == (uint32_t)to)
            return true;
    return false;
}

static void get_targets(tspi_spec_reader *in, const struct raw_stage *raw, uint32_t k, tspi_spec *spec)
{
    tspi_stage_spec *stage = &spec->stages[k];

    for (uint32_t e = 0; e < raw->to_count && in->rc == TSP_OK; e++) {
        char path[64];
        int to = tspi_spec_stage(spec, raw->to[e]);
        snprintf(path, sizeof path, "stages[%u].to[%u]", k, e);
        if (to < 0)
            tspi_spec_bad(in, path, "there is no stage '%s'", raw->to[e]);
        else if (to == (int)k)
            tspi_spec_bad(in, path, "a stage cannot send to itself");
        else if (sends_to(stage, to)) /* so there are never more than stages */
            tspi_spec_bad(in, path, "'%s' stands twice", raw->to[e]);
        else
            stage->to[stage->to_n++] = (uint32_t)to;
    }
}

static void get_stages(tspi_spec_reader *in, const struct raw_spec *raw, tspi_spec *spec)
{
    if (!raw->stages)
        return;
    for (uint32_t k = 0; k < spec->stages_n; k++)
        free(spec->stages[k].name);
    free(spec->stages);
    spec->stages = calloc(raw->stages_count + 1, sizeof *spec->stages);
    spec->stages_n = 0;
    if (!spec->stages || raw->stages_count < 2 || raw->stages_count > TSPI_STAGES_MAX) {
        tspi_spec_bad(in, "stages", "give between 2 and %d stages", TSPI_STAGES_MAX);
        return;
    }
    for (uint32_t k = 0; k < raw->stages_count && in->rc == TSP_OK; k++) {
        get_stage(in, &raw->stages[k], k, spec);
        spec->stages_n = k + 1;
    }
    for (uint32_t k = 0; k < raw->stages_count && in->rc == TSP_OK; k++)
        get_targets(in, &raw->stages[k], k, spec);
}

/* Words of a command line that no shell may read otherwise. */
static bool is_plain_word(const char *text, const char *also)
{
    if (!*text || *text == '-')
        return false;
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr(also, *text))
            return false;
    return true;
}

static void get_host_stages(tspi_spec_reader *in, const struct raw_host *raw, uint32_t k, tspi_spec *spec, bool *placed)
{
    char path[64];

    for (uint32_t s = 0; s < raw->stages_count && in->rc == TSP_OK; s++) {
        int stage = tspi_spec_stage(spec, raw->stages[s]);
        snprintf(path, sizeof path, "hosts[%u].stages[%u]", k, s);
        if (stage < 0)
            tspi_spec_bad(in, path, "there is no stage '%s'", raw->stages[s]);
        else if (placed[stage])
            tspi_spec_bad(in, path, "'%s' stands at two hosts", raw->stages[s]);
        else {
            placed[stage] = true;
            spec->stages[stage].host = k;
        }
    }
}

static void get_host(tspi_spec_reader *in, const struct raw_host *raw, uint32_t k, tspi_spec *spec)
{
    tspi_host_spec *host = &spec->hosts[k];
    char path[64];

    tspi_spec_get_text(raw->name, &host->name);
    tspi_spec_get_text(raw->ssh, &host->ssh);
    tspi_spec_get_text(raw->address, &host->address);
    tspi_spec_get_text(raw->truespan, &host->truespan);
    snprintf(path, sizeof path, "hosts[%u]", k);
    if (!host->name || !is_plain_word(host->name, "-_.")) {
        tspi_spec_bad(in, path, "a host needs a name of letters, digits, '-', '_' and '.'");
        return;
    }
    for (uint32_t other = 0; other < k; other++)
        if (!strcmp(spec->hosts[other].name, host->name))
            tspi_spec_bad(in, path, "two hosts are called '%s'", host->name);
    if (!host->address || !is_plain_word(host->address, "-.:%")) {
        tspi_spec_bad(in, path, "host '%s' needs the address at which the other hosts reach it", host->name);
        return;
    }
    snprintf(path, sizeof path, "hosts[%u].truespan", k);
    if (host->truespan && !is_plain_word(host->truespan, "-_./~+"))
        tspi_spec_bad(in, path, "'%s' is no plain path", host->truespan);
}

static void get_hosts(tspi_spec_reader *in, const struct raw_spec *raw, tspi_spec *spec)
{
    bool placed[TSPI_STAGES_MAX] = {false};

    if (!raw->hosts_count)
        return;
    if (raw->hosts_count > TSPI_HOSTS_MAX) {
        tspi_spec_bad(in, "hosts", "%u hosts are more than the %d that fit", raw->hosts_count, TSPI_HOSTS_MAX);
        return;
    }
    spec->hosts = calloc(raw->hosts_count, sizeof *spec->hosts);
    if (!spec->hosts) {
        in->rc = tsp_error_set(in->err, TSP_ENOMEM, "out of memory for the hosts");
        return;
    }
    for (uint32_t k = 0; k < raw->hosts_count && in->rc == TSP_OK; k++) {
        spec->hosts_n = k + 1;
        get_host(in, &raw->hosts[k], k, spec);
        get_host_stages(in, &raw->hosts[k], k, spec, placed);
    }
    for (uint32_t s = 0; s < spec->stages_n && in->rc == TSP_OK; s++)
        if (!placed[s])
            tspi_spec_bad(in, "hosts", "no host has the stage '%s': once there are hosts, every stage needs one",
                          spec->stages[s].name);
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
    get_stages(in, raw, spec);
    get_hosts(in, raw, spec);
    if (spec->hosts_n) /* only the cores of the conductor's machine could be saturated */
        spec->experiment.null_run = false;
}

static tsp_status read_onto(const char *text, size_t len, const char *name, tspi_spec *spec, tsp_error *err)
{
    tspi_spec_reader in = {text, name, len, err, TSP_OK};
    struct raw_spec *raw = NULL;
    tsp_status rc = load(text, len, name, &raw, err);

    if (rc == TSP_OK) {
        get_all(&in, raw, spec);
        rc = in.rc;
    }
    unload(raw);
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
    if (rc != TSP_OK)
        tspi_spec_release(ret_spec);
    return rc;
}

void tspi_spec_release(tspi_spec *spec)
{
    for (uint32_t k = 0; k < spec->stages_n; k++)
        free(spec->stages[k].name);
    free(spec->stages);
    for (uint32_t k = 0; k < spec->hosts_n; k++) {
        free(spec->hosts[k].name);
        free(spec->hosts[k].ssh);
        free(spec->hosts[k].address);
        free(spec->hosts[k].truespan);
    }
    free(spec->hosts);
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
