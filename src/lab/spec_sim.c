#include "lab/spec_sim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab/spec_schema.h"
#include "lab/spec_text.h"

static const char *const delays_names[TSPI_DELAYS_N] = {"uniform", "constant",  "exponential",
                                                        "pareto",  "lognormal", "empirical"};

const char *tspi_delays_name(enum tspi_delays delays)
{
    return delays_names[delays];
}

/* ------------------------------------------------------------------ reading */

static void clear_edges(tspi_sim_spec *sim)
{
    for (uint32_t k = 0; k < sim->edges_n; k++) {
        free(sim->edges[k].from);
        free(sim->edges[k].to);
    }
    free(sim->edges);
    sim->edges = NULL;
    sim->edges_n = 0;
}

static void clear_congestion(tspi_sim_spec *sim)
{
    for (uint32_t k = 0; k < sim->congestion_n; k++) {
        free(sim->congestion[k].from);
        free(sim->congestion[k].to);
    }
    free(sim->congestion);
    sim->congestion = NULL;
    sim->congestion_n = 0;
}

void tspi_sim_spec_release(tspi_sim_spec *sim)
{
    clear_edges(sim);
    clear_congestion(sim);
    free(sim->delays_file);
}

static void get_edges(tspi_spec_reader *in, const struct raw_sim *raw, tspi_sim_spec *sim)
{
    char path[64];

    if (!raw->edges)
        return;
    clear_edges(sim);
    sim->edges = calloc(raw->edges_count + 1, sizeof *sim->edges);
    if (!sim->edges || raw->edges_count > TSPI_SIM_ROWS_MAX) {
        tspi_spec_bad(in, "sim.edges", "%u rows are more than the %d that fit", raw->edges_count, TSPI_SIM_ROWS_MAX);
        return;
    }
    for (uint32_t k = 0; k < raw->edges_count; k++) {
        tspi_sim_edge *edge = &sim->edges[sim->edges_n++];
        tspi_spec_get_text(raw->edges[k].from, &edge->from);
        tspi_spec_get_text(raw->edges[k].to, &edge->to);
        snprintf(path, sizeof path, "sim.edges[%u]", k);
        if (!raw->edges[k].delay)
            tspi_spec_bad(in, path, "it needs a 'delay'");
        snprintf(path, sizeof path, "sim.edges[%u].delay", k);
        tspi_spec_get_duration(in, path, raw->edges[k].delay, 0, 60 * TSP_NS_PER_S, &edge->delay_ns);
    }
}

static void get_congestion(tspi_spec_reader *in, const struct raw_sim *raw, tspi_sim_spec *sim)
{
    char path[64];

    if (!raw->congestion)
        return;
    clear_congestion(sim);
    sim->congestion = calloc(raw->congestion_count + 1, sizeof *sim->congestion);
    if (!sim->congestion || raw->congestion_count > TSPI_SIM_ROWS_MAX) {
        tspi_spec_bad(in, "sim.congestion", "%u rows are more than the %d that fit", raw->congestion_count,
                      TSPI_SIM_ROWS_MAX);
        return;
    }
    for (uint32_t k = 0; k < raw->congestion_count; k++) {
        const struct raw_congestion *from = &raw->congestion[k];
        tspi_sim_congestion *row = &sim->congestion[sim->congestion_n++];
        tspi_spec_get_text(from->from, &row->from);
        tspi_spec_get_text(from->to, &row->to);
        snprintf(path, sizeof path, "sim.congestion[%u]", k);
        if (!from->at || !from->length || !from->delay)
            tspi_spec_bad(in, path, "an episode needs 'at', 'for' and 'delay'");
        snprintf(path, sizeof path, "sim.congestion[%u].at", k);
        tspi_spec_get_duration(in, path, from->at, 0, 365 * TSPI_DAY_NS, &row->at_ns);
        snprintf(path, sizeof path, "sim.congestion[%u].for", k);
        tspi_spec_get_duration(in, path, from->length, 1, 365 * TSPI_DAY_NS, &row->for_ns);
        snprintf(path, sizeof path, "sim.congestion[%u].delay", k);
        tspi_spec_get_duration(in, path, from->delay, 0, 60 * TSP_NS_PER_S, &row->delay_ns);
        snprintf(path, sizeof path, "sim.congestion[%u].spread", k);
        tspi_spec_get_duration(in, path, from->spread, 0, 60 * TSP_NS_PER_S, &row->spread_ns);
    }
}

static void get_work(tspi_spec_reader *in, const struct raw_sim *raw, tspi_sim_spec *sim)
{
    const struct {
        const char *path, *from;
        int64_t *to;
    } times[] = {
        {"sim.wake", raw->wake, &sim->wake_ns},
        {"sim.wake_spread", raw->wake_spread, &sim->wake_spread_ns},
        {"sim.receive", raw->receive, &sim->receive_ns},
        {"sim.send", raw->send, &sim->send_ns},
        {"sim.tokenize", raw->tokenize, &sim->tokenize_ns},
        {"sim.token", raw->token, &sim->token_ns},
        {"sim.detokenize", raw->detokenize, &sim->detokenize_ns},
        {"sim.service", raw->service, &sim->service_ns},
        {"sim.saturated_wait", raw->saturated_wait, &sim->saturated_wait_ns},
    };

    for (size_t k = 0; k < sizeof times / sizeof *times; k++)
        tspi_spec_get_duration(in, times[k].path, times[k].from, 0, 60 * TSP_NS_PER_S, times[k].to);
    tspi_spec_get_number(in, "sim.work_spread", raw->work_spread, 0, 1, &sim->work_spread);
    tspi_spec_get_number(in, "sim.saturated", raw->saturated, 0, 1, &sim->saturated);
}

void tspi_sim_spec_get(tspi_spec_reader *in, const struct raw_sim *raw, tspi_sim_spec *sim)
{
    int delays = (int)sim->delays;
    double drift_ppm = (double)sim->drift_ppb / 1000, wander_ppm = (double)sim->wander_ppb / 1000;

    tspi_spec_get_word(in, "sim.delays", raw->delays, delays_names, TSPI_DELAYS_N, &delays);
    sim->delays = (enum tspi_delays)delays;
    tspi_spec_get_number(in, "sim.shape", raw->shape, 0.01, 100, &sim->shape);
    tspi_spec_get_text(raw->delays_file, &sim->delays_file);
    tspi_spec_get_count(in, "sim.delays_run", raw->delays_run, 1, 1000000, &sim->delays_run);
    get_work(in, raw, sim);
    tspi_spec_get_number(in, "sim.late_stamps", raw->late_stamps, 0, 1, &sim->late_stamps);
    tspi_spec_get_duration(in, "sim.late_by", raw->late_by, 0, TSPI_HOUR_NS, &sim->late_by_ns);
    tspi_spec_get_duration(in, "sim.offset", raw->offset, 0, TSPI_HOUR_NS, &sim->offset_ns);
    tspi_spec_get_number(in, "sim.drift_ppm", raw->drift_ppm, 0, 10000, &drift_ppm);
    tspi_spec_get_number(in, "sim.wander_ppm", raw->wander_ppm, 0, 10000, &wander_ppm);
    sim->drift_ppb = llround(drift_ppm * 1000);
    sim->wander_ppb = llround(wander_ppm * 1000);
    get_edges(in, raw, sim);
    get_congestion(in, raw, sim);
    if (in->rc == TSP_OK && sim->delays == TSPI_DELAYS_EMPIRICAL && !sim->delays_file)
        tspi_spec_bad(in, "sim.delays", "empirical wants a 'delays_file'");
}

/* ------------------------------------------------------------------ writing */

static void put_ends(tspi_buf *out, const char *from, const char *to)
{
    if (from)
        tspi_buf_printf(out, ", from: %s", from);
    if (to)
        tspi_buf_printf(out, ", to: %s", to);
    tspi_buf_puts(out, "}\n");
}

static void put_time(tspi_buf *out, const char *key, int64_t ns, const char *end)
{
    tspi_spec_put_duration_value(out, key, ns);
    tspi_buf_puts(out, end);
}

static void put_rows(tspi_buf *out, const tspi_sim_spec *sim)
{
    if (sim->edges_n)
        tspi_buf_puts(out, "  edges:\n");
    for (uint32_t k = 0; k < sim->edges_n; k++) {
        put_time(out, "    - {delay", sim->edges[k].delay_ns, "");
        put_ends(out, sim->edges[k].from, sim->edges[k].to);
    }
    if (sim->congestion_n)
        tspi_buf_puts(out, "  congestion:\n");
    for (uint32_t k = 0; k < sim->congestion_n; k++) {
        const tspi_sim_congestion *row = &sim->congestion[k];
        put_time(out, "    - {at", row->at_ns, ", ");
        put_time(out, "for", row->for_ns, ", ");
        put_time(out, "delay", row->delay_ns, ", ");
        put_time(out, "spread", row->spread_ns, "");
        put_ends(out, row->from, row->to);
    }
}

void tspi_sim_spec_write(const tspi_sim_spec *sim, tspi_buf *out)
{
    const struct {
        const char *key;
        int64_t ns;
    } times[] = {
        {"  wake", sim->wake_ns},
        {"  wake_spread", sim->wake_spread_ns},
        {"  receive", sim->receive_ns},
        {"  send", sim->send_ns},
        {"  tokenize", sim->tokenize_ns},
        {"  token", sim->token_ns},
        {"  detokenize", sim->detokenize_ns},
        {"  service", sim->service_ns},
        {"  late_by", sim->late_by_ns},
        {"  saturated_wait", sim->saturated_wait_ns},
        {"  offset", sim->offset_ns},
    };

    tspi_buf_printf(out, "sim:\n  delays: %s\n", delays_names[sim->delays]);
    tspi_spec_put_real(out, "  shape", sim->shape);
    tspi_spec_put_text(out, "  delays_file", sim->delays_file);
    tspi_buf_printf(out, "  delays_run: %u\n", sim->delays_run);
    for (size_t k = 0; k < sizeof times / sizeof *times; k++)
        put_time(out, times[k].key, times[k].ns, "\n");
    tspi_spec_put_real(out, "  work_spread", sim->work_spread);
    tspi_spec_put_real(out, "  saturated", sim->saturated);
    tspi_spec_put_real(out, "  late_stamps", sim->late_stamps);
    tspi_buf_printf(out, "  drift_ppm: %.3f\n  wander_ppm: %.3f\n", (double)sim->drift_ppb / 1000,
                    (double)sim->wander_ppb / 1000);
    put_rows(out, sim);
}
