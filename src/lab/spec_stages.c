#include "lab/spec_stages.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const role_names[TSPI_ROLES_N] = {"gateway", "preprocess", "inference", "postprocess",
                                                     "relay",   "sink",       "service"};

const char *tspi_role_name(enum tspi_role role)
{
    return role_names[role];
}

int tspi_spec_stage(const tspi_spec *spec, const char *name)
{
    for (uint32_t k = 0; k < spec->stages_n; k++)
        if (!strcmp(spec->stages[k].name, name))
            return (int)k;
    return -1;
}

const char *tspi_spec_own_address(const tspi_spec *spec)
{
    for (uint32_t k = 0; k < spec->hosts_n; k++)
        if (!spec->hosts[k].ssh)
            return spec->hosts[k].address;
    return NULL;
}

/* ------------------------------------------------------------------ stages */

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
    stage->calls = -1;
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
    tspi_spec_get_word(in, path, raw->role ? raw->role : raw->name, role_names, TSPI_ROLE_SERVICE, &role);
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

void tspi_spec_get_stages(tspi_spec_reader *in, const struct raw_spec *raw, tspi_spec *spec)
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

/* ------------------------------------------------------------------ hosts */

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

void tspi_spec_get_hosts(tspi_spec_reader *in, const struct raw_spec *raw, tspi_spec *spec)
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

void tspi_spec_release_stages(tspi_spec *spec)
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
}
