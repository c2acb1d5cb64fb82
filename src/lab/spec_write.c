/* A spec back to YAML. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "lab/spec.h"
#include "lab/spec_text.h"

static void put_duration(tspi_buf *out, const char *key, int64_t ns)
{
    tspi_spec_put_duration_value(out, key, ns);
    tspi_buf_putc(out, '\n');
}

static void put_clock(tspi_buf *out, const tspi_spec *spec)
{
    const tspi_clock_model *clock = &spec->clock;

    tspi_buf_puts(out, "clock:\n");
    tspi_spec_put_text(out, "  stage", spec->clock_stage);
    put_duration(out, "  offset", clock->offset_ns);
    tspi_buf_printf(out, "  drift_ppm: %.3f\n  wander_ppm: %.3f\n", (double)clock->drift_ppb / 1000,
                    (double)clock->wander_ppb / 1000);
    if (clock->ntp_period_ns) {
        put_duration(out, "  ntp_peak", clock->ntp_peak_ns);
        put_duration(out, "  ntp_period", clock->ntp_period_ns);
    }
    if (clock->steps_n)
        tspi_buf_puts(out, "  steps:\n");
    for (uint32_t k = 0; k < clock->steps_n; k++) {
        put_duration(out, "    - at", clock->steps[k].at_ns);
        put_duration(out, "      size", clock->steps[k].size_ns);
        if (clock->steps[k].slew_ppb)
            tspi_buf_printf(out, "      slew_ppm: %.3f\n", (double)clock->steps[k].slew_ppb / 1000);
    }
}

static void put_phases(tspi_buf *out, const tspi_spec *spec)
{
    if (spec->load.phases_n)
        tspi_buf_puts(out, "  phases:\n");
    for (uint32_t k = 0; k < spec->load.phases_n; k++) {
        put_duration(out, "    - at", spec->load.phases[k].at_ns);
        tspi_spec_put_real(out, "      rate", spec->load.phases[k].rate_per_s);
    }
}

static void put_experiment(tspi_buf *out, const tspi_spec *spec)
{
    tspi_buf_puts(out, "experiment:\n  sweep: [");
    for (uint32_t k = 0; k < spec->experiment.sweep_n; k++) {
        char text[32];
        tspi_duration_format(spec->experiment.sweep_ns[k], text, sizeof text);
        tspi_buf_printf(out, "%s%s", k ? ", " : "", text);
    }
    tspi_buf_puts(out, "]\n");
    put_duration(out, "  duration", spec->experiment.duration_ns);
    tspi_buf_printf(out, "  requests: %u\n  rounds: %u\n  null_run: %s\n  throughput_pairs: %u\n",
                    spec->experiment.requests, spec->experiment.rounds, spec->experiment.null_run ? "true" : "false",
                    spec->experiment.throughput_pairs);
    tspi_buf_printf(out, "  throughput_requests: %u\n", spec->experiment.throughput_requests);
    put_duration(out, "  health_window", spec->experiment.health_window_ns);
    tspi_buf_printf(out, "  on_failure: %s\n", spec->experiment.go_on ? "gap" : "stop");
    if (spec->experiment.bucket_ns)
        put_duration(out, "  bucket", spec->experiment.bucket_ns);
}

static void put_stages(tspi_buf *out, const tspi_spec *spec)
{
    tspi_buf_puts(out, "stages:\n");
    for (uint32_t k = 0; k < spec->stages_n; k++) {
        const tspi_stage_spec *stage = &spec->stages[k];
        if (stage->is_made)
            continue;
        tspi_buf_printf(out, "  - name: %s\n    role: %s\n    workers: %u\n    to: [", stage->name,
                        tspi_role_name(stage->role), stage->workers);
        for (uint32_t e = 0; e < stage->to_n; e++)
            tspi_buf_printf(out, "%s%s", e ? ", " : "", spec->stages[stage->to[e]].name);
        tspi_buf_puts(out, "]\n");
    }
}

static void put_hosts(tspi_buf *out, const tspi_spec *spec)
{
    if (spec->hosts_n)
        tspi_buf_puts(out, "hosts:\n");
    for (uint32_t k = 0; k < spec->hosts_n; k++) {
        const tspi_host_spec *host = &spec->hosts[k];
        tspi_spec_put_text(out, "  - name", host->name);
        tspi_spec_put_text(out, "    ssh", host->ssh);
        tspi_spec_put_text(out, "    address", host->address);
        tspi_spec_put_text(out, "    truespan", host->truespan);
        tspi_buf_puts(out, "    stages: [");
        const char *comma = "";
        for (uint32_t s = 0; s < spec->stages_n; s++)
            if (spec->stages[s].host == k) {
                tspi_buf_printf(out, "%s%s", comma, spec->stages[s].name);
                comma = ", ";
            }
        tspi_buf_puts(out, "]\n");
    }
}

void tspi_spec_write(const tspi_spec *spec, tspi_buf *out)
{
    tspi_spec_put_text(out, "name", spec->name);
    tspi_buf_printf(out, "seed: %llu\n", (unsigned long long)spec->seed);
    tspi_spec_put_text(out, "transport", spec->transport);
    tspi_buf_printf(out, "nodes: %s\nport: %u\n", tspi_nodes_name(spec->nodes), spec->port);
    tspi_buf_puts(out, "engine:\n");
    tspi_spec_put_text(out, "  name", spec->engine.name);
    tspi_spec_put_text(out, "  model", spec->engine.model);
    tspi_buf_printf(out, "  max_tokens: %u\n  chunk_tokens: %u\n  slots: %u\n", spec->engine.max_tokens,
                    spec->engine.chunk_tokens, spec->engine.slots);
    tspi_spec_put_real(out, "  temperature", spec->engine.temperature);
    tspi_buf_printf(out, "load:\n  arrival: %s\n", tspi_arrival_name(spec->load.arrival));
    tspi_spec_put_real(out, "  rate", spec->load.rate_per_s);
    tspi_buf_printf(out, "  concurrency: %u\n", spec->load.concurrency);
    tspi_spec_put_text(out, "  prompts", spec->load.prompts);
    put_phases(out, spec);
    tspi_buf_puts(out, "link:\n");
    put_duration(out, "  delay", spec->link.delay_ns);
    put_duration(out, "  jitter", spec->link.jitter_ns);
    tspi_spec_put_real(out, "  loss", spec->link.loss);
    tspi_spec_put_real(out, "  rate_mbit", spec->link.rate_mbit);
    tspi_buf_puts(out, "aeron:\n");
    put_duration(out, "  idle", spec->aeron.idle_ns);
    tspi_buf_printf(out, "  term_bytes: %u\n", spec->aeron.term_bytes);
    tspi_kafka_spec_write(&spec->kafka, out);
    put_clock(out, spec);
    put_experiment(out, spec);
    tspi_topology_write(&spec->topology, out);
    tspi_sim_spec_write(&spec->sim, out);
    put_stages(out, spec);
    put_hosts(out, spec);
}
