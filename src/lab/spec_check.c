/* A spec as a whole: which roles may follow which, no cycle, values that fit each other. */
#include <stdarg.h>
#include <stdio.h>

#include "lab/spec.h"

/* Depth-first over the edges; edges into the gateway close the loop and do not count. 1 = on the way, 2 = done. */
static bool has_cycle(const tspi_spec *spec, uint32_t at, char *seen, uint32_t *ret_where)
{
    seen[at] = 1;
    for (uint32_t e = 0; e < spec->stages[at].to_n; e++) {
        uint32_t to = spec->stages[at].to[e];
        if (spec->stages[to].role == TSPI_ROLE_GATEWAY || seen[to] == 2)
            continue;
        if (seen[to] == 1) {
            *ret_where = to;
            return true;
        }
        if (has_cycle(spec, to, seen, ret_where))
            return true;
    }
    seen[at] = 2;
    return false;
}

/* What each role reads and writes decides which roles may follow it. */
static bool may_follow(enum tspi_role from, enum tspi_role to)
{
    switch (from) {
    case TSPI_ROLE_GATEWAY:
        return to == TSPI_ROLE_PREPROCESS || to == TSPI_ROLE_RELAY;
    case TSPI_ROLE_PREPROCESS:
        return to == TSPI_ROLE_INFERENCE || to == TSPI_ROLE_RELAY;
    case TSPI_ROLE_INFERENCE:
        return to == TSPI_ROLE_POSTPROCESS || to == TSPI_ROLE_RELAY;
    case TSPI_ROLE_POSTPROCESS:
        return to == TSPI_ROLE_SINK || to == TSPI_ROLE_RELAY;
    case TSPI_ROLE_RELAY:
        return to != TSPI_ROLE_GATEWAY && to != TSPI_ROLE_SERVICE;
    default:
        return to == TSPI_ROLE_GATEWAY;
    }
}

/* Fill the key that is to blame and fail. */
TSP_PRINTF(4, 5)
static tsp_status blame(char *ret_key, const char *key, tsp_error *err, const char *format, ...)
{
    char what[256];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (ret_key)
        snprintf(ret_key, TSPI_SPEC_KEY_MAX, "%s", key);
    return tsp_error_set(err, TSP_EINVAL, "%s: %s", key, what);
}

static tsp_status check_stage(const tspi_spec *spec, uint32_t k, char *ret_key, tsp_error *err)
{
    const tspi_stage_spec *stage = &spec->stages[k];
    char key[TSPI_SPEC_KEY_MAX];

    snprintf(key, sizeof key, "stages[%u]", k);
    if (!stage->to_n && stage->role != TSPI_ROLE_RELAY && stage->role != TSPI_ROLE_SERVICE)
        return blame(ret_key, key, err, "stage '%s' sends to nobody: give it 'to'", stage->name);
    for (uint32_t e = 0; e < stage->to_n; e++) {
        const tspi_stage_spec *to = &spec->stages[stage->to[e]];
        snprintf(key, sizeof key, "stages[%u].to[%u]", k, e);
        if (!may_follow(stage->role, to->role))
            return blame(ret_key, key, err, "stage '%s' (%s) cannot send to '%s' (%s)", stage->name,
                         tspi_role_name(stage->role), to->name, tspi_role_name(to->role));
    }
    return TSP_OK;
}

static tsp_status check_edges(const tspi_spec *spec, char *ret_key, tsp_error *err)
{
    uint32_t count[TSPI_ROLES_N] = {0};
    char seen[TSPI_STAGES_MAX] = {0};

    for (uint32_t k = 0; k < spec->stages_n; k++) {
        tsp_status rc = check_stage(spec, k, ret_key, err);
        if (rc != TSP_OK)
            return rc;
        count[spec->stages[k].role]++;
    }
    for (int role = 0; role < TSPI_ROLES_N; role++)
        if (role != TSPI_ROLE_RELAY && role != TSPI_ROLE_SERVICE && count[role] != 1)
            return blame(ret_key, "stages", err, "the pipeline needs exactly one stage of role %s, it has %u",
                         tspi_role_name((enum tspi_role)role), count[role]);
    for (uint32_t k = 0, where = 0; k < spec->stages_n; k++)
        if (!seen[k] && has_cycle(spec, k, seen, &where)) {
            char key[TSPI_SPEC_KEY_MAX];
            snprintf(key, sizeof key, "stages[%u]", where);
            return blame(ret_key, key, err, "the stages form a cycle through '%s'", spec->stages[where].name);
        }
    return TSP_OK;
}

/* An edge that no message takes: nothing would happen, and nobody would know why. */
static tsp_status check_way(const tspi_spec *spec, const char *list, uint32_t row, const char *from, const char *to,
                            char *ret_key, tsp_error *err)
{
    const char *const names[] = {from, to}, *const ends[] = {".from", ".to"};
    char key[TSPI_SPEC_KEY_MAX];

    for (int k = 0; k < 2; k++)
        if (names[k] && tspi_spec_stage(spec, names[k]) < 0) {
            snprintf(key, sizeof key, "sim.%s[%u]%s", list, row, ends[k]);
            return blame(ret_key, key, err, "there is no stage '%s'", names[k]);
        }
    if (!from || !to ||
        tspi_spec_sends(spec, (uint32_t)tspi_spec_stage(spec, from), (uint32_t)tspi_spec_stage(spec, to)))
        return TSP_OK;
    snprintf(key, sizeof key, "sim.%s[%u]", list, row);
    return blame(ret_key, key, err, "no message goes from '%s' to '%s'", from, to);
}

static tsp_status check_sim(const tspi_spec *spec, char *ret_key, tsp_error *err)
{
    const tspi_sim_spec *sim = &spec->sim;
    tsp_status rc = TSP_OK;

    if (sim->delays_file && sim->delays != TSPI_DELAYS_EMPIRICAL)
        return blame(ret_key, "sim.delays_file", err, "it is read where 'delays' is empirical");
    for (uint32_t k = 0; k < sim->edges_n && rc == TSP_OK; k++)
        rc = check_way(spec, "edges", k, sim->edges[k].from, sim->edges[k].to, ret_key, err);
    for (uint32_t k = 0; k < sim->congestion_n && rc == TSP_OK; k++)
        rc = check_way(spec, "congestion", k, sim->congestion[k].from, sim->congestion[k].to, ret_key, err);
    return rc;
}

tsp_status tspi_spec_check(const tspi_spec *spec, char ret_key[TSPI_SPEC_KEY_MAX], tsp_error *err)
{
    tsp_status rc = check_edges(spec, ret_key, err);

    if (rc != TSP_OK)
        return rc;
    if (spec->link.jitter_ns > spec->link.delay_ns)
        return blame(ret_key, "link.jitter", err, "it is larger than the delay, and no message can arrive early");
    if (tspi_spec_stage(spec, spec->clock_stage) < 0)
        return blame(ret_key, "clock.stage", err, "there is no stage '%s'", spec->clock_stage);
    if (spec->port && spec->port + tspi_spec_nodes(spec) - 1 > UINT16_MAX)
        return blame(ret_key, "port", err, "%u is too high: %u nodes count up from it", spec->port,
                     tspi_spec_nodes(spec));
    if (spec->topology.shape == TSPI_SHAPE_BATCH && spec->topology.width > spec->engine.slots)
        return blame(ret_key, "topology.width", err, "a batch of %u needs as many engine.slots, there are %u",
                     spec->topology.width, spec->engine.slots);
    if ((spec->clock.ntp_peak_ns != 0) != (spec->clock.ntp_period_ns != 0))
        return blame(ret_key, "clock", err, "a disciplined clock needs both ntp_peak and ntp_period");
    return check_sim(spec, ret_key, err);
}
