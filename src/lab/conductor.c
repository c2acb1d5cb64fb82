#include "lab/conductor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "lab/child.h"
#include "lab/conductor_inside.h"
#include "lab/link.h"
#include "lab/priority.h"

static const int64_t start_timeout_ns = 60 * TSP_NS_PER_S;  /* a large model takes its time to load */
static const int64_t answer_timeout_ns = 15 * TSP_NS_PER_S; /* ssh's own patience is 10 s */
static const int64_t begin_timeout_ns = 20 * TSP_NS_PER_S;
static const int64_t quit_timeout_ns = 3 * TSP_NS_PER_S;

/* ------------------------------------------------------------------ starting */

/* tun_fds: n of them, the nodes' and, after theirs, the broker's. */
static tsp_status start_link(tspi_conductor *conductor, const int *tun_fds, uint32_t n, tsp_error *err)
{
    const tspi_spec *spec = conductor->spec;
    const tspi_link_config config = {
        .delay_ns = spec->link.delay_ns,
        .jitter_ns = spec->link.jitter_ns,
        .loss = spec->link.loss,
        .rate_mbit = spec->link.rate_mbit,
        .has_hub = n > conductor->members_n,
        .hub = conductor->members_n,
    };
    tspi_random root, random;
    int stop[2];

    if (pipe2(stop, O_CLOEXEC) != 0)
        return tsp_error_sys(err, errno, "cannot make a pipe");
    tspi_random_seed(&root, spec->seed);
    random = tspi_random_split(&root, "link", 0);
    conductor->link_pid = fork();
    if (conductor->link_pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGINT, SIG_IGN);
        close(stop[1]);
        tspi_prefer_this_process(TSPI_PREFER_LINK);
        tsp_error why = {0};
        tsp_status rc = tspi_link_run(tun_fds, n, &config, &random, stop[0], &why);
        if (rc != TSP_OK)
            dprintf(conductor->log_fd, "link: %s\n", why.message);
        _exit(rc == TSP_OK ? 0 : 2);
    }
    close(stop[0]);
    conductor->link_stop_fd = stop[1];
    return conductor->link_pid < 0 ? tsp_error_sys(err, errno, "cannot start the link") : TSP_OK;
}

static tsp_status introduce(tspi_conductor *conductor, tsp_error *err)
{
    for (uint32_t k = 0; k < conductor->members_n; k++) {
        tspi_member *member = &conductor->members[k];
        for (uint32_t other = 0; other < conductor->members_n; other++) {
            const tspi_member *to = &conductor->members[other];
            if (other == k || !tspi_spec_sends(conductor->spec, member->stage, to->stage))
                continue;
            if (tspi_control_send(&member->control, err, "peer %" PRIu32 " %" PRIu32 " %s", to->stage, to->worker,
                                  to->address) != TSP_OK)
                return tspi_member_is_gone(conductor, member, err);
        }
    }
    return tspi_ask_all(conductor, "connect", "connected", err);
}

/* Nodes that are processes of one network share a media driver, and its memory. */
static tsp_status start_media(tspi_conductor *conductor, tsp_error *err)
{
    const tspi_spec *spec = conductor->spec;
    const tspi_media_driver_config config = {
        .idle_ns = spec->aeron.idle_ns, .term_bytes = spec->aeron.term_bytes, .log_fd = conductor->log_fd};

    if (strcmp(spec->transport, "aeron") != 0 || conductor->netns || spec->hosts_n)
        return TSP_OK;
    return tspi_media_driver_start(&conductor->media, &config, err);
}

/* First that something answers on other machines, and that it is truespan: soon or never. */
static tsp_status await_ready(tspi_conductor *conductor, tsp_error *err)
{
    for (uint32_t k = 0; k < conductor->members_n; k++)
        if (!tspi_host_of(conductor, &conductor->members[k]))
            conductor->members[k].awaited = NULL;
    tsp_status rc = tspi_await_all(conductor, "version", answer_timeout_ns, err);
    for (uint32_t k = 0; k < conductor->members_n; k++)
        if (!conductor->members[k].address[0])
            conductor->members[k].awaited = "ready";
    return rc == TSP_OK ? tspi_await_all(conductor, "ready", start_timeout_ns, err) : rc;
}

static tsp_status start_all(tspi_conductor *conductor, const char *folder, tsp_error *err)
{
    int tun_fds[TSPI_LINK_NODES_MAX];
    uint32_t n = conductor->members_n, started = 0;
    conductor->own_shm = conductor->netns && tspi_wants_own_shm(conductor->spec);
    tsp_status rc = start_media(conductor, err);

    /* First of all, since it takes longest; its device comes behind the nodes'. */
    tun_fds[n] = -1;
    if (rc == TSP_OK)
        rc = tspi_kafka_side_start(&conductor->kafka, conductor->spec, conductor->netns, n, folder, conductor->log_fd,
                                   conductor->interrupted, &tun_fds[n], err);
    for (; started < n && rc == TSP_OK; started++) {
        tun_fds[started] = -1;
        rc = tspi_member_start(conductor, started, folder, &tun_fds[started], err);
    }
    if (rc == TSP_OK && conductor->netns)
        rc = start_link(conductor, tun_fds, n + (tun_fds[n] >= 0), err);
    for (uint32_t k = 0; k < started; k++)
        if (tun_fds[k] >= 0)
            close(tun_fds[k]);
    if (tun_fds[n] >= 0)
        close(tun_fds[n]);
    if (rc == TSP_OK)
        rc = await_ready(conductor, err);
    return rc == TSP_OK ? introduce(conductor, err) : rc;
}

static tsp_status list_members(tspi_conductor *conductor, tsp_error *err)
{
    uint32_t n = tspi_spec_nodes(conductor->spec);

    if (n >= TSPI_LINK_NODES_MAX) /* one is kept for a broker */
        return tsp_error_set(err, TSP_EINVAL, "%u nodes are more than the %d that one lab can hold", n,
                             TSPI_LINK_NODES_MAX - 1);
    conductor->members = calloc(n, sizeof *conductor->members);
    if (!conductor->members)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for %u nodes", n);
    for (uint32_t s = 0; s < conductor->spec->stages_n; s++)
        for (uint32_t w = 0; w < conductor->spec->stages[s].workers; w++) {
            tspi_member *member = &conductor->members[conductor->members_n++];
            member->stage = s;
            member->worker = w;
            tspi_control_init(&member->control, -1, -1);
            tspi_node_name(&conductor->spec->stages[s], w, member->name, sizeof member->name);
        }
    return TSP_OK;
}

static bool any_remote(const tspi_spec *spec)
{
    for (uint32_t k = 0; k < spec->hosts_n; k++)
        if (spec->hosts[k].ssh)
            return true;
    return false;
}

tsp_status tspi_conductor_start(tspi_conductor *conductor, const tspi_conductor_config *config, tsp_error *err)
{
    char log_path[4200];

    *conductor = (tspi_conductor){.spec = config->spec,
                                  .netns = config->netns,
                                  .memory = config->memory,
                                  .link_stop_fd = -1,
                                  .epoch_ns = any_remote(config->spec) ? 0 : tspi_monotonic_epoch_ns(),
                                  .interrupted = config->interrupted};
    snprintf(log_path, sizeof log_path, "%s/nodes.log", config->folder);
    conductor->log_fd = open(log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    tsp_status rc =
        conductor->log_fd < 0 ? tsp_error_sys(err, errno, "cannot open '%s'", log_path) : list_members(conductor, err);
    if (rc == TSP_OK)
        rc = start_all(conductor, config->folder, err);
    if (rc != TSP_OK)
        tspi_conductor_stop(conductor);
    return rc;
}

/* ------------------------------------------------------------------ a block */

static tsp_status begin_all(tspi_conductor *conductor, const tspi_block *block, tsp_error *err)
{
    for (uint32_t k = 0; k < conductor->members_n; k++) {
        conductor->members[k].awaited = "began";
        if (tspi_control_send_block(&conductor->members[k].control, block, err) != TSP_OK)
            return tspi_member_is_gone(conductor, &conductor->members[k], err);
    }
    return tspi_await_all(conductor, "began", begin_timeout_ns, err);
}

static uint32_t gateways_n(const tspi_conductor *conductor)
{
    uint32_t n = 0;

    for (uint32_t k = 0; k < conductor->members_n; k++)
        n += conductor->spec->stages[conductor->members[k].stage].role == TSPI_ROLE_GATEWAY;
    return n;
}

tsp_status tspi_conductor_block(tspi_conductor *conductor, const tspi_block *block, tspi_block_result *ret_result,
                                tsp_error *err)
{
    conductor->result = (tspi_block_result){0};
    conductor->block_folder = block->folder[0] ? block->folder : NULL;
    conductor->gateways_done = 0;
    tsp_status rc = begin_all(conductor, block, err);
    for (uint32_t k = 0; k < conductor->members_n && rc == TSP_OK; k++)
        if (tspi_control_send(&conductor->members[k].control, err, "go") != TSP_OK)
            rc = tspi_member_is_gone(conductor, &conductor->members[k], err);
    while (rc == TSP_OK && conductor->gateways_done < gateways_n(conductor) && !tspi_is_interrupted(conductor))
        rc = tspi_conductor_listen(conductor, INT64_MAX, err);
    if (rc != TSP_OK)
        return rc;
    rc = tspi_conductor_settle(conductor, err);
    if (rc == TSP_OK)
        rc = tspi_ask_all(conductor, "end", "ended", err);
    *ret_result = conductor->result;
    if (rc == TSP_OK && tspi_is_interrupted(conductor))
        return tsp_error_set(err, TSP_EINTERRUPTED, "interrupted");
    return rc;
}

/* ------------------------------------------------------------------ ending */

void tspi_conductor_stop(tspi_conductor *conductor)
{
    int64_t deadline_ns = tspi_monotonic_ns() + quit_timeout_ns;

    for (uint32_t k = 0; k < conductor->members_n; k++)
        if (conductor->members[k].pid)
            tspi_control_send(&conductor->members[k].control, NULL, "quit");
    for (uint32_t k = 0; k < conductor->members_n; k++) {
        tspi_child_reap(&conductor->members[k].pid, deadline_ns);
        tspi_control_close(&conductor->members[k].control);
    }
    tspi_media_driver_stop(&conductor->media);
    if (conductor->link_stop_fd >= 0)
        close(conductor->link_stop_fd);
    conductor->link_stop_fd = -1;
    tspi_child_reap(&conductor->link_pid, deadline_ns);
    tspi_kafka_side_stop(&conductor->kafka, conductor->log_fd);
    if (conductor->log_fd >= 0)
        close(conductor->log_fd);
    conductor->log_fd = -1;
    free(conductor->members);
    conductor->members = NULL;
    conductor->members_n = 0;
}
