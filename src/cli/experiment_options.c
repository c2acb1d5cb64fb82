#include "cli/experiment_options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/duration.h"

struct experiment_choices chosen;

static void set_text(char **to, const char *from)
{
    if (from) {
        free(*to);
        *to = strdup(from);
    }
}

static tsp_status parse_sweep(tspi_spec *spec, const char *text, tsp_error *err)
{
    char item[64];

    spec->experiment.sweep_n = 0;
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ",");
        int64_t ns;
        snprintf(item, sizeof item, "%.*s", (int)(len < 63 ? len : 63), at);
        if (!tspi_duration_parse(item, &ns))
            return tsp_error_set(err, TSP_EINVAL, "--sweep: '%s' is no duration: write 0ms,3ms,5ms", item);
        if (llabs(ns) > INT64_C(86400) * TSP_NS_PER_S)
            return tsp_error_set(err, TSP_EINVAL, "--sweep: '%s' is more than a day", item);
        if (spec->experiment.sweep_n == TSPI_SWEEP_MAX)
            return tsp_error_set(err, TSP_EINVAL, "--sweep: more than %d points", TSPI_SWEEP_MAX);
        for (uint32_t k = 0; k < spec->experiment.sweep_n; k++)
            if (spec->experiment.sweep_ns[k] == ns)
                return tsp_error_set(err, TSP_EINVAL, "--sweep: '%s' stands twice", item);
        spec->experiment.sweep_ns[spec->experiment.sweep_n++] = ns;
        at += len;
        if (*at == ',' && !*++at)
            return tsp_error_set(err, TSP_EINVAL, "--sweep: nothing behind the last comma");
    }
    return spec->experiment.sweep_n ? TSP_OK : tsp_error_set(err, TSP_EINVAL, "--sweep: no skew given");
}

static tsp_status parse_step(tspi_spec *spec, const char *text, tsp_error *err)
{
    char size[64];
    const char *at = strchr(text, '@');
    int64_t size_ns, at_ns;

    snprintf(size, sizeof size, "%.*s", at ? (int)(at - text < 63 ? at - text : 63) : 0, text);
    if (!at || !tspi_duration_parse(size, &size_ns) || !tspi_duration_parse(at + 1, &at_ns) || at_ns < 0)
        return tsp_error_set(err, TSP_EINVAL, "--step: '%s' is no step: write SIZE@TIME, such as -3ms@5s", text);
    spec->clock.steps_n = 1;
    spec->clock.steps[0].at_ns = at_ns;
    spec->clock.steps[0].size_ns = size_ns;
    return TSP_OK;
}

static tsp_status parse_ntp(tspi_spec *spec, const char *text, tsp_error *err)
{
    char peak[64];
    const char *slash = strchr(text, '/');

    snprintf(peak, sizeof peak, "%.*s", slash ? (int)(slash - text < 63 ? slash - text : 63) : 0, text);
    if (!slash || !tspi_duration_parse(peak, &spec->clock.ntp_peak_ns) ||
        !tspi_duration_parse(slash + 1, &spec->clock.ntp_period_ns) || spec->clock.ntp_peak_ns < 0 ||
        spec->clock.ntp_peak_ns > INT64_C(3600) * TSP_NS_PER_S || spec->clock.ntp_period_ns < TSP_NS_PER_S ||
        spec->clock.ntp_period_ns > INT64_C(86400) * TSP_NS_PER_S)
        return tsp_error_set(err, TSP_EINVAL, "--ntp: '%s' is no sawtooth: write PEAK/PERIOD, such as 2ms/64s", text);
    return TSP_OK;
}

static tsp_status check_ranges(tsp_error *err)
{
    if (chosen.rate_seen && !(chosen.rate >= 0.001 && chosen.rate <= 1e6))
        return tsp_error_set(err, TSP_EINVAL, "--rate: %g is not between 0.001 and 1000000", chosen.rate);
    if (chosen.duration_seen && chosen.duration_ns < TSP_NS_PER_S / 10)
        return tsp_error_set(err, TSP_EINVAL, "--duration: at least 100ms");
    if (chosen.delay_seen && (chosen.hop_delay_ns < 0 || chosen.hop_delay_ns > 60 * TSP_NS_PER_S))
        return tsp_error_set(err, TSP_EINVAL, "--hop-delay: between 0ms and 60s");
    if (chosen.bucket_seen && chosen.bucket_ns < TSP_NS_PER_S / 10)
        return tsp_error_set(err, TSP_EINVAL, "--bucket: at least 100ms");
    if (chosen.kafka && !tspi_kafka_spec_is_broker(chosen.kafka))
        return tsp_error_set(err, TSP_EINVAL, "--kafka: '%s' is no HOST:PORT", chosen.kafka);
    if (chosen.jitter_seen && chosen.jitter_ns < 0)
        return tsp_error_set(err, TSP_EINVAL, "--jitter: cannot be negative");
    if (!(fabs(chosen.drift_ppm) <= 100000))
        return tsp_error_set(err, TSP_EINVAL, "--drift: %g is not between -100000 and 100000 ppm", chosen.drift_ppm);
    if (!(chosen.wander_ppm >= 0 && chosen.wander_ppm <= 10000))
        return tsp_error_set(err, TSP_EINVAL, "--wander: %g is not between 0 and 10000 ppm", chosen.wander_ppm);
    if (chosen.requests > 100000000)
        return tsp_error_set(err, TSP_EINVAL, "--requests: at most 100000000");
    return TSP_OK;
}

static tsp_status override(tspi_spec *spec, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    set_text(&spec->transport, chosen.transport);
    set_text(&spec->kafka.broker, chosen.kafka);
    set_text(&spec->clock_stage, chosen.stage);
    set_text(&spec->engine.name, chosen.engine);
    set_text(&spec->engine.model, chosen.model);
    set_text(&spec->load.prompts, chosen.prompts);
    if (chosen.topology)
        rc = tspi_topology_set(spec, chosen.topology, err);
    if (rc == TSP_OK && chosen.sweep)
        rc = parse_sweep(spec, chosen.sweep, err);
    if (rc == TSP_OK && chosen.step)
        rc = parse_step(spec, chosen.step, err);
    if (rc == TSP_OK && chosen.ntp)
        rc = parse_ntp(spec, chosen.ntp, err);
    if (rc == TSP_OK)
        rc = check_ranges(err);
    if (rc != TSP_OK)
        return rc;
    if (chosen.drift_seen)
        spec->clock.drift_ppb = llround(chosen.drift_ppm * 1000);
    if (chosen.wander_seen)
        spec->clock.wander_ppb = llround(chosen.wander_ppm * 1000);
    if (chosen.drift_seen || chosen.wander_seen || chosen.step || chosen.ntp)
        spec->experiment.rounds = 1;
    if (chosen.duration_seen) {
        spec->experiment.duration_ns = chosen.duration_ns;
        spec->experiment.requests = 0;
    }
    if (chosen.requests_seen)
        spec->experiment.requests = (uint32_t)chosen.requests;
    if (chosen.rate_seen)
        spec->load.rate_per_s = chosen.rate;
    if (chosen.delay_seen) {
        spec->link.delay_ns = chosen.hop_delay_ns;
        if (!chosen.jitter_seen && spec->link.jitter_ns > spec->link.delay_ns)
            spec->link.jitter_ns = spec->link.delay_ns;
    }
    if (chosen.jitter_seen)
        spec->link.jitter_ns = chosen.jitter_ns;
    if (chosen.bucket_seen)
        spec->experiment.bucket_ns = chosen.bucket_ns;
    if (chosen.seed_seen)
        spec->seed = chosen.seed;
    if (chosen.nodes)
        spec->nodes = !strcmp(chosen.nodes, "netns")     ? TSPI_NODES_NETNS
                      : !strcmp(chosen.nodes, "process") ? TSPI_NODES_PROCESS
                                                         : TSPI_NODES_AUTO;
    if (chosen.quick) {
        spec->experiment.null_run = false;
        spec->experiment.throughput_pairs = 0;
    }
    return TSP_OK;
}

static tsp_status read_spec(const char *path, tspi_spec *spec, tsp_error *err)
{
    tspi_buf text = {0};
    tsp_status rc;

    if (!path)
        return tspi_spec_default(spec, err);
    rc = tspi_buf_read_file(&text, path, 16 * 1024 * 1024, err);
    if (rc == TSP_OK)
        rc = tspi_spec_read((char *)text.data, text.len, path, spec, err);
    tspi_buf_release(&text);
    return rc;
}

tsp_status experiment_load_spec(const char *path, tspi_spec *ret_spec, tsp_error *err)
{
    tsp_status rc = read_spec(path, ret_spec, err);

    if (rc == TSP_OK) {
        rc = override(ret_spec, err);
        if (rc != TSP_OK)
            tspi_spec_release(ret_spec);
    }
    return rc;
}
