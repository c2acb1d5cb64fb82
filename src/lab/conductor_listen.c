#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/child.h"
#include "lab/conductor_inside.h"
#include "lab/link.h"
#include "lab/remote.h"

static const int64_t word_timeout_ns = 20 * TSP_NS_PER_S;

const tspi_host_spec *tspi_host_of(const tspi_conductor *conductor, const tspi_member *member)
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

/* "node inference-0", and on which machine where it is another. */
static const char *name_of(const tspi_conductor *conductor, const tspi_member *member, char *name, size_t size)
{
    const tspi_host_spec *host = tspi_host_of(conductor, member);

    snprintf(name, size, "node %s%s%s", member->name, host ? " on host " : "", host ? host->name : "");
    return name;
}

static tsp_status died(tspi_conductor *conductor, tspi_member *member, tsp_error *err)
{
    const tspi_host_spec *host = tspi_host_of(conductor, member);
    char line[512], name[160], what[200];
    int status;

    name_of(conductor, member, name, sizeof name);
    if (!member->pid || waitpid(member->pid, &status, 0) < 0)
        return tsp_error_set(err, TSP_ECLOSED, "%s is gone", name);
    member->pid = 0;
    if (!host)
        return tspi_child_ended(name, status, err);
    last_log_line(conductor, line, sizeof line);
    snprintf(what, sizeof what, "ssh for %s", name);
    tsp_status rc = tspi_child_ended(what, status, err);
    tsp_error_note(err, "host %s: %s", host->name, *line ? line : "without a word");
    return rc;
}

/* A node on another machine that hears nothing gives its run up: when the network between is cut, nobody else could
 * tell it (control.h). */
static void keep_in_touch(tspi_conductor *conductor)
{
    int64_t now_ns = tspi_monotonic_ns();

    if (!conductor->spec->hosts_n || now_ns < conductor->touch_due_ns)
        return;
    conductor->touch_due_ns = now_ns + TSPI_CONTROL_TOUCH_EVERY_NS;
    for (uint32_t k = 0; k < conductor->members_n; k++)
        if (conductor->members[k].pid && tspi_host_of(conductor, &conductor->members[k]))
            tspi_control_send(&conductor->members[k].control, NULL, "here");
}

static void meanwhile(void *ctx)
{
    keep_in_touch(ctx);
}

/* ssh is there before the node: check that both sides speak the same lines. */
static tsp_status on_remote_line(tspi_conductor *conductor, tspi_member *member, const char *line, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    if (member->awaited && !strcmp(member->awaited, "version") && strncmp(line, "version ", 8) != 0 &&
        strncmp(line, "error ", 6) != 0) {
        /* A shell that greets; whatever else it is, it will be the last line of the log. */
        dprintf(conductor->log_fd, "%s: %s\n", tspi_host_of(conductor, member)->name, line);
        return TSP_OK;
    }
    if (!strncmp(line, "version ", 8) && strcmp(line + 8, tsp_version()) != 0)
        return tsp_error_set(err, TSP_EUNSUPPORTED, "host %s has truespan %s, and this is %s",
                             tspi_host_of(conductor, member)->name, line + 8, tsp_version());
    if (!strncmp(line, "file ", 5))
        rc = conductor->block_folder ? tspi_remote_take_file(&member->control, line, member->name,
                                                             conductor->block_folder, meanwhile, conductor, err)
                                     : tsp_error_set(err, TSP_EPARSE, "it sent a file outside a block");
    if (rc != TSP_OK)
        tsp_error_note(err, "node %s", member->name);
    return rc;
}

/* A node names itself where it fails before it has a name to be known by. */
static tsp_status failed(const tspi_conductor *conductor, const tspi_member *member, const char *text, tsp_error *err)
{
    const tspi_host_spec *host = tspi_host_of(conductor, member);
    char name[160];

    if (!strncmp(text, "node ", 5))
        return tsp_error_set(err, TSP_EIO, "%s%s%s%s", host ? "host " : "", host ? host->name : "", host ? ": " : "",
                             text);
    return tsp_error_set(err, TSP_EIO, "%s: %s", name_of(conductor, member, name, sizeof name), text);
}

static void note_memory(tspi_conductor *conductor, const tspi_member *member, uint64_t bytes, uint64_t driver_bytes)
{
    char name[160];

    if (!conductor->memory)
        return;
    tspi_memory_note(conductor->memory, member->name, tspi_monotonic_ns(), bytes);
    snprintf(name, sizeof name, "media driver of %s", member->name);
    if (driver_bytes)
        tspi_memory_note(conductor->memory, name, tspi_monotonic_ns(), driver_bytes);
}

/* What runs beside the nodes cannot say it itself. */
static void note_own_memory(tspi_conductor *conductor)
{
    int64_t now_ns = tspi_monotonic_ns();
    const struct {
        const char *name;
        pid_t pid;
    } parts[] = {{"conductor", getpid()},
                 {"link", conductor->link_pid},
                 {"Kafka broker", conductor->kafka.own.pid},
                 {"media driver", conductor->media.pid}};

    if (!conductor->memory || now_ns < conductor->memory_due_ns)
        return;
    conductor->memory_due_ns = now_ns + TSPI_MEMORY_EVERY_NS;
    for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
        uint64_t bytes = parts[k].pid > 0 ? tspi_memory_of(parts[k].pid) : 0;
        if (bytes)
            tspi_memory_note(conductor->memory, parts[k].name, now_ns, bytes);
    }
}

static tsp_status on_line(tspi_conductor *conductor, tspi_member *member, const char *line, tsp_error *err)
{
    uint64_t requests, tokens, foreign, bytes, driver_bytes, sent, received;
    int64_t elapsed_ns;
    unsigned work;

    if (!strncmp(line, "error ", 6))
        return failed(conductor, member, line + 6, err);
    if (sscanf(line, "memory %" SCNu64 " %" SCNu64, &bytes, &driver_bytes) == 2)
        note_memory(conductor, member, bytes, driver_bytes);
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
    if (sscanf(line, "counted %" SCNu64 " %" SCNu64 " %u", &sent, &received, &work) == 3) {
        conductor->counted.sent += sent;
        conductor->counted.received += received;
        conductor->counted.at_work += work;
    }
    if (sscanf(line, "ended %*u %" SCNu64, &foreign) == 1)
        conductor->result.foreign += foreign;
    if (member->awaited && !strncmp(line, member->awaited, strlen(member->awaited)))
        member->awaited = NULL;
    return TSP_OK;
}

tsp_status tspi_member_drain(tspi_conductor *conductor, tspi_member *member, tsp_error *err)
{
    char *line;

    for (;;) {
        tsp_status rc = tspi_control_recv(&member->control, &line, err);
        if (rc == TSP_EAGAIN)
            return TSP_OK;
        if (rc == TSP_ECLOSED)
            return died(conductor, member, err);
        if (rc == TSP_OK && tspi_host_of(conductor, member))
            rc = on_remote_line(conductor, member, line, err);
        if (rc == TSP_OK)
            rc = on_line(conductor, member, line, err);
        if (rc != TSP_OK)
            return rc;
    }
}

tsp_status tspi_conductor_listen(tspi_conductor *conductor, int64_t deadline_ns, tsp_error *err)
{
    struct pollfd fds[TSPI_LINK_NODES_MAX];
    int64_t left_ns = deadline_ns - tspi_monotonic_ns();
    int timeout_ms = left_ns <= 0 ? 0 : left_ns > 200 * TSP_NS_PER_MS ? 200 : (int)(left_ns / TSP_NS_PER_MS) + 1;

    for (uint32_t k = 0; k < conductor->members_n; k++)
        fds[k] = (struct pollfd){.fd = conductor->members[k].control.in_fd, .events = POLLIN};
    int n = poll(fds, conductor->members_n, timeout_ms);
    for (uint32_t k = 0; n > 0 && k < conductor->members_n; k++) {
        if (!fds[k].revents)
            continue;
        tsp_status rc = tspi_member_drain(conductor, &conductor->members[k], err);
        if (rc != TSP_OK)
            return rc;
    }
    keep_in_touch(conductor);
    note_own_memory(conductor);
    tsp_status rc = tspi_child_check(&conductor->link_pid, "the link between the nodes", err);
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

tsp_status tspi_await_all(tspi_conductor *conductor, const char *word, int64_t timeout_ns, tsp_error *err)
{
    int64_t deadline_ns = tspi_monotonic_ns() + timeout_ns;
    const tspi_member *owes;
    char name[160];

    while ((owes = who_owes(conductor)) != NULL) {
        if (tspi_monotonic_ns() > deadline_ns)
            return tsp_error_set(err, TSP_ECLOSED, "%s did not say '%s' within %d s",
                                 name_of(conductor, owes, name, sizeof name), word, (int)(timeout_ns / TSP_NS_PER_S));
        if (tspi_is_interrupted(conductor) && (!strcmp(word, "ready") || !strcmp(word, "version")))
            return tsp_error_set(err, TSP_EINTERRUPTED, "interrupted");
        tsp_status rc = tspi_conductor_listen(conductor, deadline_ns, err);
        if (rc != TSP_OK)
            return rc;
    }
    return TSP_OK;
}

tsp_status tspi_member_is_gone(tspi_conductor *conductor, tspi_member *member, tsp_error *err)
{
    tsp_status rc = tspi_member_drain(conductor, member, err);

    return rc != TSP_OK ? rc : died(conductor, member, err);
}

tsp_status tspi_ask_all(tspi_conductor *conductor, const char *line, const char *word, tsp_error *err)
{
    for (uint32_t k = 0; k < conductor->members_n; k++) {
        tspi_member *member = &conductor->members[k];
        member->awaited = word;
        if (tspi_control_send(&member->control, err, "%s", line) != TSP_OK)
            return tspi_member_is_gone(conductor, member, err);
    }
    return tspi_await_all(conductor, word, word_timeout_ns, err);
}
