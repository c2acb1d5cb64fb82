/* A spec back to YAML. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "lab/spec.h"

static void put_duration(tspi_buf *out, const char *key, int64_t ns)
{
    char text[32];

    tspi_duration_format(ns, text, sizeof text);
    tspi_buf_printf(out, "%s: %s\n", key, text);
}

/* A JSON string is a YAML string, but for some characters that YAML wants escaped, or takes for a line's end (YAML 1.2,
 * 5.1 and 5.4): delete, C1 controls, U+2028, U+2029, the byte order mark, U+FFFE and U+FFFF. */
static void put_quoted(tspi_buf *out, const char *text)
{
    tspi_buf json = {0};

    tspi_buf_json_string(&json, text, strlen(text)); /* which is valid UTF-8 */
    for (size_t k = 0; k < json.len; k++) {
        const uint8_t *at = json.data + k;
        unsigned code = at[0] < 0x80 ? at[0] : 0; /* others that matter begin with c2 or e. */
        if (at[0] == 0xc2)
            code = at[1];
        else if (at[0] >> 4 == 0xe)
            code = (at[0] & 15u) << 12 | (at[1] & 63u) << 6 | (at[2] & 63u);
        if ((code >= 0x7f && code < 0xa0) || code == 0x2028 || code == 0x2029 || code == 0xfeff || code >= 0xfffe) {
            tspi_buf_printf(out, "\\u%04x", code);
            k += code < 0x80 ? 0 : code < 0x800 ? 1 : 2;
        } else
            tspi_buf_putc(out, (char)at[0]);
    }
    out->failed |= json.failed;
    tspi_buf_release(&json);
}

static void put_text(tspi_buf *out, const char *key, const char *text)
{
    if (!text)
        return;
    tspi_buf_printf(out, "%s: ", key);
    put_quoted(out, text);
    tspi_buf_putc(out, '\n');
}

/* The shortest of a few forms that reads back as the same number. */
static void put_real(tspi_buf *out, const char *key, double value)
{
    char text[40];

    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    tspi_buf_printf(out, "%s: %s\n", key, text);
}

static void put_clock(tspi_buf *out, const tspi_spec *spec)
{
    const tspi_clock_model *clock = &spec->clock;

    tspi_buf_puts(out, "clock:\n");
    put_text(out, "  stage", spec->clock_stage);
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
    if (spec->experiment.bucket_ns)
        put_duration(out, "  bucket", spec->experiment.bucket_ns);
}

static void put_stages(tspi_buf *out, const tspi_spec *spec)
{
    tspi_buf_puts(out, "stages:\n");
    for (uint32_t k = 0; k < spec->stages_n; k++) {
        const tspi_stage_spec *stage = &spec->stages[k];
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
        put_text(out, "  - name", host->name);
        put_text(out, "    ssh", host->ssh);
        put_text(out, "    address", host->address);
        put_text(out, "    truespan", host->truespan);
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
    put_text(out, "name", spec->name);
    tspi_buf_printf(out, "seed: %llu\n", (unsigned long long)spec->seed);
    put_text(out, "transport", spec->transport);
    tspi_buf_printf(out, "nodes: %s\nport: %u\n", tspi_nodes_name(spec->nodes), spec->port);
    tspi_buf_puts(out, "engine:\n");
    put_text(out, "  name", spec->engine.name);
    put_text(out, "  model", spec->engine.model);
    tspi_buf_printf(out, "  max_tokens: %u\n  chunk_tokens: %u\n  slots: %u\n", spec->engine.max_tokens,
                    spec->engine.chunk_tokens, spec->engine.slots);
    put_real(out, "  temperature", spec->engine.temperature);
    tspi_buf_printf(out, "load:\n  arrival: %s\n", tspi_arrival_name(spec->load.arrival));
    put_real(out, "  rate", spec->load.rate_per_s);
    tspi_buf_printf(out, "  concurrency: %u\n", spec->load.concurrency);
    put_text(out, "  prompts", spec->load.prompts);
    tspi_buf_puts(out, "link:\n");
    put_duration(out, "  delay", spec->link.delay_ns);
    put_duration(out, "  jitter", spec->link.jitter_ns);
    put_real(out, "  loss", spec->link.loss);
    put_real(out, "  rate_mbit", spec->link.rate_mbit);
    put_clock(out, spec);
    put_experiment(out, spec);
    put_stages(out, spec);
    put_hosts(out, spec);
}
