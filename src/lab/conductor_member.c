#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lab/conductor_inside.h"
#include "lab/link.h"
#include "lab/netns.h"
#include "lab/priority.h"
#include "lab/remote.h"

/* Room for a media driver and a few dozen streams; a mount takes no more than its files do. */
static const uint64_t own_shm_bytes = UINT64_C(1) << 30;

static void exec_node(const tspi_conductor *conductor, const tspi_member *member, uint32_t index, const char *folder,
                      int control_fd)
{
    char spec_path[4200], worker[16], host[256], port[16], fd[16], epoch[32];
    uint32_t address = tspi_link_address(index);
    uint16_t base = conductor->spec->port;
    const tspi_spec *spec = conductor->spec;
    const tspi_stage_spec *stage = &spec->stages[member->stage];
    const tspi_host_spec *remote = tspi_host_of(conductor, member);
    uint16_t own_port = (uint16_t)(base ? base + (conductor->netns ? 0 : index) : 0u);

    if (remote) {
        dup2(control_fd, STDIN_FILENO);
        dup2(control_fd, STDOUT_FILENO);
        tspi_remote_exec(remote, stage->name, member->worker, own_port, conductor->kafka.run,
                         conductor->kafka.own.address);
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
    if (conductor->epoch_ns > 0) {
        snprintf(epoch, sizeof epoch, "%" PRId64, conductor->epoch_ns);
        argv[n++] = "--epoch";
        argv[n++] = epoch;
    }
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
    if (rc == TSP_OK && conductor->own_shm)
        rc = tspi_own_shm_enter(own_shm_bytes, &err);
    if (rc == TSP_OK) {
        tspi_prefer_this_process(TSPI_PREFER_NODE);
        dup2(conductor->log_fd, STDERR_FILENO);
        exec_node(conductor, member, index, folder, control_fd);
        rc = tsp_error_sys(&err, errno, tspi_host_of(conductor, member) ? "cannot run ssh" : "cannot start a node");
    }
    tspi_control_send(&control, NULL, "error %s", err.message);
    _exit(2);
}

tsp_status tspi_member_start(tspi_conductor *conductor, uint32_t index, const char *folder, int *ret_tun_fd,
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
        if (tspi_member_drain(conductor, member, &why) != TSP_OK)
            *err = why;
    }
    close(pass[0]);
    member->awaited = tspi_host_of(conductor, member) ? "version" : "ready";
    if (rc == TSP_OK && tspi_host_of(conductor, member)) {
        char spec_path[4200];
        snprintf(spec_path, sizeof spec_path, "%s/spec.yaml", folder);
        rc = tspi_remote_send_setup(&member->control, conductor->spec, spec_path, err);
        if (rc == TSP_ECLOSED) /* why, ssh has told */
            rc = tspi_member_is_gone(conductor, member, err);
    }
    return rc;
}
