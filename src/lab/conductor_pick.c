/* How nodes are separated: network namespaces, processes on loopback, or other machines; and what must be here for it,
 * asked before anything is started. */
#include <stdio.h>
#include <string.h>

#include "lab/conductor_inside.h"
#include "lab/netns.h"

static const char process_mode[] = "processes on loopback, the link's delay made by the transport's wrapper";

/* What the nodes must reach and no namespace of the lab holds: the engine's URL, somebody's broker. NULL = nothing. */
static const char *what_is_elsewhere(const tspi_spec *spec)
{
    if (strstr(spec->engine.name, "://"))
        return spec->engine.name;
    return !strcmp(spec->transport, "kafka") ? spec->kafka.broker : NULL;
}

static uint32_t count_streams(const tspi_spec *spec)
{
    uint32_t n = 0;

    for (uint32_t s = 0; s < spec->stages_n; s++)
        for (uint32_t to = 0; to < spec->stages_n; to++)
            if (tspi_spec_sends(spec, s, to))
                n += spec->stages[s].workers * spec->stages[to].workers;
    return n;
}

/* The parts that the transport needs beside its nodes. */
static tsp_status check_parts(const tspi_spec *spec, bool own_drivers, tsp_error *err)
{
    if (!strcmp(spec->transport, "aeron") && !spec->hosts_n) {
        tsp_status rc = tspi_media_drivers_fit(own_drivers ? tspi_spec_nodes(spec) : 1, count_streams(spec),
                                               spec->aeron.term_bytes, err);
        return rc == TSP_OK || !own_drivers || !tspi_own_shm_available() ? rc : TSP_OK;
    }
    if (strcmp(spec->transport, "kafka") != 0 || spec->kafka.broker)
        return TSP_OK;
    if (spec->hosts_n && !tspi_spec_own_address(spec))
        return tsp_error_set(
            err, TSP_EINVAL,
            "hosts: the lab's own Kafka broker runs on this machine, and no host without 'ssh' says at "
            "which address the others reach it: add one (its stages may be []), or name a broker that "
            "all of them reach (kafka.broker)");
    return tspi_broker_available(err);
}

/* Namespaces, where this user may make them; why not, where not. */
static tsp_status pick_netns(const tspi_spec *spec, bool *ret_netns, char *ret_why, size_t size, tsp_error *err)
{
    bool uses_kafka = !strcmp(spec->transport, "kafka");
    tsp_error tried = {0};
    tsp_status rc = tspi_netns_available(&tried);

    if (rc != TSP_OK && spec->nodes == TSPI_NODES_NETNS)
        return tsp_error_set(err, rc, "--nodes netns: %s", tried.message);
    *ret_netns = rc == TSP_OK;
    if (*ret_netns)
        snprintf(ret_why, size,
                 "a network namespace a node%s, joined by a userspace link: real sockets over the link's delay%s",
                 uses_kafka ? " and one for the broker" : "",
                 uses_kafka ? ", half of it to the broker and half from it" : "");
    else
        snprintf(ret_why, size, "%s, because this user %s", process_mode, tried.message);
    return TSP_OK;
}

static tsp_status pick(const tspi_spec *spec, bool *ret_netns, char *ret_why, size_t size, tsp_error *err)
{
    const char *elsewhere = what_is_elsewhere(spec);

    *ret_netns = false;
    if (spec->hosts_n) {
        if (spec->nodes == TSPI_NODES_NETNS)
            return tsp_error_set(err, TSP_EINVAL,
                                 "nodes: netns: with hosts the network is the hosts' own: use process");
        snprintf(ret_why, size,
                 "nodes on %u host%s over ssh: their own network, the link's delay on top by the transport's wrapper",
                 spec->hosts_n, spec->hosts_n == 1 ? "" : "s");
        return TSP_OK;
    }
    if (spec->nodes == TSPI_NODES_PROCESS) {
        snprintf(ret_why, size, "%s (as asked)", process_mode);
        return TSP_OK;
    }
    if (elsewhere && spec->nodes == TSPI_NODES_NETNS)
        return tsp_error_set(err, TSP_EINVAL,
                             "--nodes netns: a node in a network namespace cannot reach %s: use process", elsewhere);
    if (elsewhere) {
        snprintf(ret_why, size, "%s, because from a network namespace %s is out of reach", process_mode, elsewhere);
        return TSP_OK;
    }
    return pick_netns(spec, ret_netns, ret_why, size, err);
}

bool tspi_wants_own_shm(const tspi_spec *spec)
{
    tsp_error why = {0};

    return !strcmp(spec->transport, "aeron") &&
           tspi_media_drivers_fit(tspi_spec_nodes(spec), count_streams(spec), spec->aeron.term_bytes, &why) != TSP_OK;
}

tsp_status tspi_conductor_pick(const tspi_spec *spec, bool *ret_netns, char *ret_why, size_t size, tsp_error *err)
{
    tsp_status rc = pick(spec, ret_netns, ret_why, size, err);

    return rc == TSP_OK ? check_parts(spec, *ret_netns, err) : rc;
}
