#include "lab/conductor.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lab/link.h"
#include "lab/netns.h"
#include "lab/priority.h"
#include "lab/remote.h"

static const int64_t start_timeout_ns = 60 * TSP_NS_PER_S; /* a large model takes its time to load */
static const int64_t word_timeout_ns = 20 * TSP_NS_PER_S;
static const int64_t quit_timeout_ns = 3 * TSP_NS_PER_S;

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static bool is_interrupted(const tspi_conductor *conductor)
{
    return conductor->interrupted && *conductor->interrupted;
}

static const char process_mode[] = "processes on loopback, the link's delay made by the transport's wrapper";

/* What the nodes must reach and no namespace of the lab holds: the engine's URL, somebody's broker. NULL = nothing. */
static const char *what_is_elsewhere(const tspi_spec *spec)
{
    if (strstr(spec->engine.name, "://"))
        return spec->engine.name;
    return !strcmp(spec->transport, "kafka") ? spec->kafka.broker : NULL;
}

tsp_status tspi_conductor_pick(const tspi_spec *spec, bool *ret_netns, char *ret_why, size_t size, tsp_error *err)
{
    bool uses_kafka = !strcmp(spec->transport, "kafka");
    const char *elsewhere = what_is_elsewhere(spec);
    tsp_error tried = {0};

    *ret_netns = false;
    if (uses_kafka && !spec->kafka.broker) {
        if (spec->hosts_n)
            return tsp_error_set(err, TSP_EINVAL,
                                 "hosts: with the transport kafka name a broker that all hosts reach: kafka.broker");
        tsp_status there = tspi_broker_available(err);
        if (there != TSP_OK)
            return there;
    }
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

/* ------------------------------------------------------------------ listening */

static tsp_status how_it_ended(const char *what, const char *name, int status, tsp_error *err)
{
    if (WIFSIGNALED(status))
        return tsp_error_set(err, TSP_ECLOSED, "%s%s was killed by signal %d (%s)", what, name, WTERMSIG(status),
                             strsignal(WTERMSIG(status)));
    return tsp_error_set(err, TSP_ECLOSED, "%s%s ended with exit code %d", what, name, WEXITSTATUS(status));
}

/* NULL = a node of this machine. */
static const tspi_host_spec *host_of(const tspi_conductor *conductor, const tspi_member *member)
{
    const tspi_host_spec *host =
        conductor->spec->hosts_n ? &conductor->spec->hosts[conductor->spec->stages[member->stage].host] : NULL;

    return host && host->ssh ? host : NULL;
}

/* What was said last on a node's standard error, such as ssh's complaint. */
static void last_log_line(const tspi_conductor *conductor, char *ret_line, size_t size)
{
    char tail[512];
    off_t end = lseek(conductor->log_fd, 0, SEEK_END), from = end > 511 ? end - 511 : 0;
    ssize_t n = end > 0 ? pread(conductor->log_fd, tail, (size_t)(end - from), from) : 0;

    while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == '\r'))
        n--;
    tail[n > 0 ? n : 0] = '\0';
    const char *line = strrchr(tail, '\n');
    snprintf(ret_line, size, "%s", line ? line + 1 : tail);
}

static tsp_status died(tspi_conductor *conductor, tspi_member *member, tsp_error *err)
{
    const tspi_host_spec *host = host_of(conductor, member);
    char line[512];
    int status;

    if (!member->pid || waitpid(member->pid, &status, 0) < 0)
        return tsp_error_set(err, TSP_ECLOSED, "node %s is gone", member->name);
    member->pid = 0;
    if (!host)
        return how_it_ended("node ", member->name, status, err);
    last_log_line(conductor, line, sizeof line);
    tsp_status rc = how_it_ended("ssh for node ", member->name, status, err);
    tsp_error_note(err, "host %s: %s", host->name, *line ? line : "without a word");
    return rc;
}

/* ssh is there before the node: check that both sides speak the same lines. */
static tsp_status on_remote_line(tspi_conductor *conductor, tspi_member *member, const char *line, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    if (!strncmp(line, "version ", 8) && strcmp(line + 8, tsp_version()) != 0)
        return tsp_error_set(err, TSP_EUNSUPPORTED, "host %s has truespan %s, and this is %s",
                             host_of(conductor, member)->name, line + 8, tsp_version());
    if (!strncmp(line, "file ", 5))
        rc = conductor->block_folder
                 ? tspi_remote_take_file(&member->control, line, member->name, conductor->block_folder, err)
                 : tsp_error_set(err, TSP_EPARSE, "it sent a file outside a block");
    if (rc != TSP_OK)
        tsp_error_note(err, "node %s", member->name);
    return rc;
}

/* The link says nothing, so nobody hears it go. */
static tsp_status check_link(tspi_conductor *conductor, tsp_error *err)
{
    int status;

    if (conductor->link_pid <= 0 || waitpid(conductor->link_pid, &status, WNOHANG) != conductor->link_pid)
        return TSP_OK;
    conductor->link_pid = 0;
    return how_it_ended("the link between the nodes", "", status, err);
}

static tsp_status on_line(tspi_conductor *conductor, tspi_member *member, const char *line, tsp_error *err)
{
    uint64_t requests, tokens, foreign;
    int64_t elapsed_ns;

    if (!strncmp(line, "error ", 6)) {
        /* A node names itself where it fails before it has a name to be known by. */
        const char *text = line + 6;
        if (!strncmp(text, "node ", 5))
            return tsp_error_set(err, TSP_EIO, "%s", text);
        return tsp_error_set(err, TSP_EIO, "node %s: %s", member->name, text);
    }
    if (!strncmp(line, "ready ", 6))
        snprintf(member->address, sizeof member->address, "%s", line + 6);
    if (sscanf(line, "progress %" SCNu64 " %" SCNu64, &requests, &tokens) == 2) {
        conductor->progress = (tspi_progress){requests, tokens};
        if (conductor->on_progress)
            conductor->on_progress(conductor->ctx, &conductor->progress);
    }
    if (sscanf(line, "done %" SCNu64 " %" SCNu64 " %" SCNd64, &requests, &tokens, &elapsed_ns) == 3) {
        conductor->result.requests += requests;
        conductor->result.tokens += tokens;
        if (elapsed_ns > conductor->result.elapsed_ns)
            conductor->result.elapsed_ns = elapsed_ns;
        conductor->gateways_done++;
    }
    if (sscanf(line, "ended %*u %" SCNu64, &foreign) == 1)
        conductor->result.foreign += foreign;
    if (member->awaited && !strncmp(line, member->awaited, strlen(member->awaited)))
        member->awaited = NULL;
    return TSP_OK;
}

static tsp_status drain(tspi_conductor *conductor, tspi_member *member, tsp_error *err)
{
    char *line;

    for (;;) {
        tsp_status rc = tspi_control_recv(&member->control, &line, err);
        if (rc == TSP_EAGAIN)
            return TSP_OK;
        if (rc == TSP_ECLOSED)
            return died(conductor, member, err);
        if (rc == TSP_OK && host_of(conductor, member))
            rc = on_remote_line(conductor, member, line, err);
        if (rc == TSP_OK)
            rc = on_line(conductor, member, line, err);
        if (rc != TSP_OK)
            return rc;
    }
}

/* Wait for lines, at most until deadline_ns, and handle them. */
static tsp_status listen_once(tspi_conductor *conductor, int64_t deadline_ns, tsp_error *err)
{
    struct pollfd fds[TSPI_LINK_NODES_MAX];
    int64_t left_ns = deadline_ns - monotonic_ns();
    int timeout_ms = left_ns <= 0 ? 0 : left_ns > 200 * TSP_NS_PER_MS ? 200 : (int)(left_ns / TSP_NS_PER_MS) + 1;

    for (uint32_t k = 0; k < conductor->members_n; k++)
        fds[k] = (struct pollfd){.fd = conductor->members[k].control.in_fd, .events = POLLIN};
    int n = poll(fds, conductor->members_n, timeout_ms);
    for (uint32_t k = 0; n > 0 && k < conductor->members_n; k++) {
        if (!fds[k].revents)
            continue;
        tsp_status rc = drain(conductor, &conductor->members[k], err);
        if (rc != TSP_OK)
            return rc;
    }
    tsp_status rc = check_link(conductor, err);
    if (rc == TSP_OK)
        rc = tspi_kafka_side_check(&conductor->kafka, err);
    return rc == TSP_OK ? tspi_media_driver_check(&conductor->media, err) : rc;
}

static const tspi_member *who_owes(const tspi_conductor *conductor)
{
    for (uint32_t k = 0; k < conductor->members_n; k++)
        if (conductor->members[k].awaited)
            return &conductor->members[k];
    return NULL;
}

static tsp_status await_all(tspi_conductor *conductor, const char *word, int64_t timeout_ns, tsp_error *err)
{
    int64_t deadline_ns = monotonic_ns() + timeout_ns;
    const tspi_member *owes;

    while ((owes = who_owes(conductor)) != NULL) {
        if (monotonic_ns() > deadline_ns)
            return tsp_error_set(err, TSP_ECLOSED, "node %s did not get '%s' within %d s", owes->name, word,
                                 (int)(timeout_ns / TSP_NS_PER_S));
        if (is_interrupted(conductor) && !strcmp(word, "ready"))
            return tsp_error_set(err, TSP_EINTERRUPTED, "interrupted");
        tsp_status rc = listen_once(conductor, deadline_ns, err);
        if (rc != TSP_OK)
            return rc;
    }
    return TSP_OK;
}

/* Say line to every node and wait until each has answered with word. */
static tsp_status ask_all(tspi_conductor *conductor, const char *line, const char *word, tsp_error *err)
{
    for (uint32_t k = 0; k < conductor->members_n; k++) {
        tspi_member *member = &conductor->members[k];
        member->awaited = word;
        if (tspi_control_send(&member->control, err, "%s", line) != TSP_OK) {
            tsp_status rc = drain(conductor, member, err);
            return rc != TSP_OK ? rc : died(conductor, member, err);
        }
    }
    return await_all(conductor, word, word_timeout_ns, err);
}

/* ------------------------------------------------------------------ starting */

static void exec_node(const tspi_conductor *conductor, const tspi_member *member, uint32_t index, const char *folder,
                      int control_fd)
{
    char spec_path[4200], worker[16], host[256], port[16], fd[16];
    uint32_t address = tspi_link_address(index);
    uint16_t base = conductor->spec->port;
    const tspi_spec *spec = conductor->spec;
    const tspi_stage_spec *stage = &spec->stages[member->stage];
    const tspi_host_spec *remote = host_of(conductor, member);
    uint16_t own_port = (uint16_t)(base ? base + (conductor->netns ? 0 : index) : 0u);

    if (remote) {
        dup2(control_fd, STDIN_FILENO);
        dup2(control_fd, STDOUT_FILENO);
        tspi_remote_exec(remote, stage->name, member->worker, own_port, conductor->kafka.run);
        return;
    }
    snprintf(spec_path, sizeof spec_path, "%s/spec.yaml", folder);
    snprintf(worker, sizeof worker, "%" PRIu32, member->worker);
    snprintf(fd, sizeof fd, "%d", control_fd);
    if (conductor->netns)
        snprintf(host, sizeof host, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
                 address & 255);
    else if (conductor->media.pid)
        snprintf(host, sizeof host, "ipc");
    else
        snprintf(host, sizeof host, "%s", spec->hosts_n ? spec->hosts[stage->host].address : "127.0.0.1");
    snprintf(port, sizeof port, "%u", own_port);
    fcntl(control_fd, F_SETFD, 0);
    const char *argv[32] = {"truespan", "lab",    "node", "--spec", spec_path, "--stage",   stage->name, "--worker",
                            worker,     "--host", host,   "--port", port,      "--control", fd};
    size_t n = 15;
    if (!conductor->netns)
        argv[n++] = "--delay-line";
    if (conductor->media.pid) {
        argv[n++] = "--media-driver";
        argv[n++] = conductor->media.folder;
    }
    if (conductor->kafka.run[0]) {
        argv[n++] = "--run";
        argv[n++] = conductor->kafka.run;
    }
    if (conductor->kafka.own.pid) {
        argv[n++] = "--broker";
        argv[n++] = conductor->kafka.own.address;
    }
    execv("/proc/self/exe", (char *const *)argv);
}

/* In the child, up to exec: die with the conductor, leave Ctrl-C to it, enter the namespace. */
static void run_child(const tspi_conductor *conductor, const tspi_member *member, uint32_t index, const char *folder,
                      int control_fd, int pass_fd)
{
    tsp_error err = {0};
    tspi_control control;
    int tun_fd;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    tspi_control_init(&control, control_fd, control_fd);
    tsp_status rc = TSP_OK;
    if (conductor->netns) {
        rc = tspi_netns_enter(index, &tun_fd, &err);
        if (rc == TSP_OK)
            rc = tspi_fd_send(pass_fd, tun_fd, &err);
    }
    if (rc == TSP_OK) {
        tspi_prefer_this_process(TSPI_PREFER_NODE);
        dup2(conductor->log_fd, STDERR_FILENO);
        exec_node(conductor, member, index, folder, control_fd);
        rc = tsp_error_sys(&err, errno, host_of(conductor, member) ? "cannot run ssh" : "cannot start a node");
    }
    tspi_control_send(&control, NULL, "error %s", err.message);
    _exit(2);
}

static tsp_status start_member(tspi_conductor *conductor, uint32_t index, const char *folder, int *ret_tun_fd,
                               tsp_error *err)
{
    tspi_member *member = &conductor->members[index];
    int control[2] = {-1, -1}, pass[2] = {-1, -1};
    tsp_status rc = TSP_OK;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, control) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pass) != 0)
        return tsp_error_sys(err, errno, "cannot make a control socket");
    member->pid = fork();
    if (member->pid == 0)
        run_child(conductor, member, index, folder, control[1], pass[1]);
    close(control[1]);
    close(pass[1]);
    tspi_control_init(&member->control, control[0], control[0]);
    fcntl(control[0], F_SETFL, O_NONBLOCK);
    if (member->pid < 0) {
        member->pid = 0;
        rc = tsp_error_sys(err, errno, "cannot start node %s", member->name);
    } else if (conductor->netns && (rc = tspi_fd_recv(pass[0], ret_tun_fd, err)) != TSP_OK) {
        tsp_error why = {0};
        if (drain(conductor, member, &why) != TSP_OK)
            *err = why;
    }
    close(pass[0]);
    member->awaited = "ready";
    if (rc == TSP_OK && host_of(conductor, member)) {
        char spec_path[4200];
        snprintf(spec_path, sizeof spec_path, "%s/spec.yaml", folder);
        rc = tspi_remote_send_setup(&member->control, conductor->spec, spec_path, err);
        if (rc == TSP_ECLOSED) { /* why, ssh has told */
            rc = drain(conductor, member, err);
            rc = rc == TSP_OK ? died(conductor, member, err) : rc;
        }
    }
    return rc;
}

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
        const tspi_stage_spec *stage = &conductor->spec->stages[member->stage];
        for (uint32_t e = 0; e < stage->to_n; e++)
            for (uint32_t other = 0; other < conductor->members_n; other++) {
                const tspi_member *to = &conductor->members[other];
                if (to->stage != stage->to[e])
                    continue;
                tsp_status rc = tspi_control_send(&member->control, err, "peer %" PRIu32 " %" PRIu32 " %s", to->stage,
                                                  to->worker, to->address);
                if (rc != TSP_OK)
                    return rc;
            }
    }
    return ask_all(conductor, "connect", "connected", err);
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

static tsp_status start_all(tspi_conductor *conductor, const char *folder, tsp_error *err)
{
    int tun_fds[TSPI_LINK_NODES_MAX];
    uint32_t n = conductor->members_n, started = 0;
    tsp_status rc = start_media(conductor, err);

    /* First of all, since it takes longest; its device comes behind the nodes'. */
    tun_fds[n] = -1;
    if (rc == TSP_OK)
        rc = tspi_kafka_side_start(&conductor->kafka, conductor->spec, conductor->netns, n, folder,
                                   conductor->interrupted, &tun_fds[n], err);
    for (; started < n && rc == TSP_OK; started++) {
        tun_fds[started] = -1;
        rc = start_member(conductor, started, folder, &tun_fds[started], err);
    }
    if (rc == TSP_OK && conductor->netns)
        rc = start_link(conductor, tun_fds, n + (tun_fds[n] >= 0), err);
    for (uint32_t k = 0; k < started; k++)
        if (tun_fds[k] >= 0)
            close(tun_fds[k]);
    if (tun_fds[n] >= 0)
        close(tun_fds[n]);
    if (rc == TSP_OK)
        rc = await_all(conductor, "ready", start_timeout_ns, err);
    return rc == TSP_OK ? introduce(conductor, err) : rc;
}

static tsp_status list_members(tspi_conductor *conductor, tsp_error *err)
{
    uint32_t n = 0;

    for (uint32_t s = 0; s < conductor->spec->stages_n; s++)
        n += conductor->spec->stages[s].workers;
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

tsp_status tspi_conductor_start(tspi_conductor *conductor, const tspi_spec *spec, bool netns, const char *folder,
                                const volatile sig_atomic_t *interrupted, tsp_error *err)
{
    char log_path[4200];

    *conductor = (tspi_conductor){.spec = spec, .netns = netns, .link_stop_fd = -1, .interrupted = interrupted};
    snprintf(log_path, sizeof log_path, "%s/nodes.log", folder);
    conductor->log_fd = open(log_path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    tsp_status rc =
        conductor->log_fd < 0 ? tsp_error_sys(err, errno, "cannot open '%s'", log_path) : list_members(conductor, err);
    if (rc == TSP_OK)
        rc = start_all(conductor, folder, err);
    if (rc != TSP_OK)
        tspi_conductor_stop(conductor);
    return rc;
}

/* ------------------------------------------------------------------ a block */

static tsp_status begin_all(tspi_conductor *conductor, const tspi_block *block, tsp_error *err)
{
    for (uint32_t k = 0; k < conductor->members_n; k++) {
        conductor->members[k].awaited = "began";
        tsp_status rc = tspi_control_send_block(&conductor->members[k].control, block, err);
        if (rc != TSP_OK)
            return rc;
    }
    return await_all(conductor, "began", word_timeout_ns, err);
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
        rc = tspi_control_send(&conductor->members[k].control, err, "go");
    while (rc == TSP_OK && conductor->gateways_done < gateways_n(conductor) && !is_interrupted(conductor))
        rc = listen_once(conductor, INT64_MAX, err);
    if (rc != TSP_OK)
        return rc;
    /* What is still on its way beside the answered requests (a mirrored branch, say) may arrive. */
    struct timespec settle = {0, 5 * TSP_NS_PER_MS};
    settle.tv_nsec += 2 * (conductor->spec->link.delay_ns < 400 * TSP_NS_PER_MS ? conductor->spec->link.delay_ns
                                                                                : 400 * TSP_NS_PER_MS);
    nanosleep(&settle, NULL);
    rc = ask_all(conductor, "end", "ended", err);
    *ret_result = conductor->result;
    if (rc == TSP_OK && is_interrupted(conductor))
        return tsp_error_set(err, TSP_EINTERRUPTED, "interrupted");
    return rc;
}

/* ------------------------------------------------------------------ ending */

static bool reap(pid_t *pid, int64_t deadline_ns)
{
    while (*pid > 0) {
        pid_t got = waitpid(*pid, NULL, WNOHANG);
        if (got == *pid || (got < 0 && errno == ECHILD)) {
            *pid = 0;
            break;
        }
        if (monotonic_ns() > deadline_ns)
            return false;
        nanosleep(&(struct timespec){0, 2 * TSP_NS_PER_MS}, NULL);
    }
    return true;
}

static void reap_or_kill(pid_t *pid, int64_t deadline_ns)
{
    if (reap(pid, deadline_ns))
        return;
    kill(*pid, SIGKILL);
    waitpid(*pid, NULL, 0);
    *pid = 0;
}

void tspi_conductor_stop(tspi_conductor *conductor)
{
    int64_t deadline_ns = monotonic_ns() + quit_timeout_ns;

    for (uint32_t k = 0; k < conductor->members_n; k++)
        if (conductor->members[k].pid)
            tspi_control_send(&conductor->members[k].control, NULL, "quit");
    for (uint32_t k = 0; k < conductor->members_n; k++) {
        reap_or_kill(&conductor->members[k].pid, deadline_ns);
        tspi_control_close(&conductor->members[k].control);
    }
    tspi_media_driver_stop(&conductor->media);
    if (conductor->link_stop_fd >= 0)
        close(conductor->link_stop_fd);
    conductor->link_stop_fd = -1;
    reap_or_kill(&conductor->link_pid, deadline_ns);
    tspi_kafka_side_stop(&conductor->kafka, conductor->log_fd);
    if (conductor->log_fd >= 0)
        close(conductor->log_fd);
    conductor->log_fd = -1;
    free(conductor->members);
    conductor->members = NULL;
    conductor->members_n = 0;
}
