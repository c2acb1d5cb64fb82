#include "lab/node_process.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lab/child.h"
#include "lab/memory_log.h"
#include "lab/node_inside.h"

/* How often the gateway tells how far it is. */
static const int64_t progress_every_ns = 100 * TSP_NS_PER_MS;
static const int64_t media_check_every_ns = 100 * TSP_NS_PER_MS;
/* Messages taken in one go before timers, work and commands get their turn. */
enum { RECEIVE_BURST = 64 };
/* Messages of strangers that the log tells about, each. */
enum { FOREIGN_LOGGED_MAX = 10 };

/* ------------------------------------------------------------------ commands */

static tsp_status tell_memory(struct process *p, int64_t now_ns, tsp_error *err)
{
    if (p->memory_ns && now_ns - p->memory_ns < TSPI_MEMORY_EVERY_NS)
        return TSP_OK;
    p->memory_ns = now_ns;
    return tspi_control_send(&p->control, err, "memory %" PRIu64 " %" PRIu64, tspi_memory_of(getpid()),
                             p->media.pid > 0 ? tspi_memory_of(p->media.pid) : 0);
}

static tsp_status end_block(struct process *p, tsp_error *err)
{
    uint64_t foreign = p->node.foreign - p->foreign_told;
    tsp_status rc = tspi_node_end(&p->node, err);

    p->memory_ns = 0; /* the last word on it, if no other block comes */
    if (rc == TSP_OK)
        rc = tell_memory(p, tspi_monotonic_ns(), err);
    if (rc == TSP_OK && p->remote.folder[0])
        rc = tspi_remote_send_block_files(&p->control, p->remote.folder, p->node.name, err);
    if (rc != TSP_OK)
        return rc;
    p->foreign_told += foreign;
    return tspi_control_send(&p->control, err, "ended %" PRIu64 " %" PRIu64, p->node.spans.written, foreign);
}

/* Whether something is still to be sent because of what came. A gateway's next request is none of that. */
static bool has_work(struct process *p)
{
    return p->queued || tspi_node_busy(&p->node) ||
           (p->node.stage->role != TSPI_ROLE_GATEWAY && tspi_node_due_ns(&p->node) != INT64_MAX);
}

static tsp_status obey(struct process *p, const char *line, tsp_error *err)
{
    tspi_block block;
    tsp_status rc;

    if (!strncmp(line, "peer ", 5))
        return tspi_peers_add(p, line, err);
    if (!strcmp(line, "connect")) {
        tspi_peers_complete(p);
        return tspi_control_send(&p->control, err, "connected");
    }
    if (!strncmp(line, "begin ", 6)) {
        rc = tspi_control_parse_block(line, &block, err);
        if (rc == TSP_OK && p->remote.folder[0] && block.folder[0])
            snprintf(block.folder, sizeof block.folder, "%.*s/block", (int)sizeof block.folder - 8, p->remote.folder);
        if (rc == TSP_OK)
            rc = tspi_node_begin(&p->node, &block, err);
        p->done_told = false;
        return rc == TSP_OK ? tspi_control_send(&p->control, err, "began") : rc;
    }
    if (!strcmp(line, "go"))
        return tspi_node_go(&p->node, err);
    if (!strcmp(line, "count"))
        return tspi_control_send(&p->control, err, "counted %" PRIu64 " %" PRIu64 " %d", p->sent, p->received,
                                 has_work(p));
    if (!strcmp(line, "end"))
        return end_block(p, err);
    if (!strcmp(line, "here"))
        return TSP_OK;
    if (!strcmp(line, "quit")) {
        p->quit = true;
        return TSP_OK;
    }
    return tsp_error_set(err, TSP_EPARSE, "unknown command '%.80s'", line);
}

static tsp_status obey_all(struct process *p, tsp_error *err)
{
    char *line;

    while (!p->quit) {
        tsp_status rc = tspi_control_recv(&p->control, &line, err);
        if (rc == TSP_EAGAIN)
            return TSP_OK;
        if (rc == TSP_ECLOSED) { /* the conductor is gone: so is the run */
            p->quit = true;
            return TSP_OK;
        }
        if (rc == TSP_OK)
            rc = obey(p, line, err);
        if (rc != TSP_OK)
            return rc;
        p->heard_ns = tspi_monotonic_ns();
    }
    return TSP_OK;
}

/* On another machine the connection may be cut without a word: then this node would wait for its conductor for ever. */
static tsp_status check_conductor(const struct process *p, int64_t now_ns, tsp_error *err)
{
    if (!p->remote.folder[0] || now_ns - p->heard_ns < TSPI_CONTROL_SILENCE_NS)
        return TSP_OK;
    return tsp_error_set(err, TSP_ECLOSED, "%s: nothing was heard of the conductor for %d s", p->node.name,
                         (int)(TSPI_CONTROL_SILENCE_NS / TSP_NS_PER_S));
}

static tsp_status tell(struct process *p, int64_t now_ns, tsp_error *err)
{
    if (p->node.stage->role != TSPI_ROLE_GATEWAY || !p->node.in_block)
        return TSP_OK;
    if (p->node.done && !p->done_told) {
        p->done_told = true;
        return tspi_control_send(&p->control, err, "done %" PRIu64 " %" PRIu64 " %" PRId64, p->node.result.requests,
                                 p->node.result.tokens, p->node.result.elapsed_ns);
    }
    if (now_ns - p->progress_ns < progress_every_ns)
        return TSP_OK;
    p->progress_ns = now_ns;
    return tspi_control_send(&p->control, err, "progress %" PRIu64 " %" PRIu64, p->node.requests_seen,
                             p->node.tokens_seen);
}

/* ------------------------------------------------------------------ the loop */

/* Whoever can reach an inbox can send to it. */
static void log_foreign(struct process *p)
{
    if (p->node.foreign == p->foreign_seen)
        return;
    if (p->foreign_seen < FOREIGN_LOGGED_MAX)
        fprintf(stderr, "%s: a message was dropped: %s\n", p->node.name, p->node.foreign_why.message);
    p->foreign_seen = p->node.foreign;
}

/* For the length of a burst. */
struct receiving {
    struct process *p;
    tsp_status rc;
    tsp_error *err;
};

static bool on_msg(void *ctx, const tspi_msg *msg)
{
    struct receiving *receiving = ctx;
    uint64_t foreign = receiving->p->node.foreign;

    receiving->rc = tspi_node_receive(&receiving->p->node, msg, receiving->err);
    receiving->p->received += receiving->p->node.foreign == foreign;
    log_foreign(receiving->p);
    return receiving->rc == TSP_OK;
}

static tsp_status receive_some(struct process *p, uint32_t *ret_n, tsp_error *err)
{
    struct receiving receiving = {p, TSP_OK, err};

    for (*ret_n = 0; *ret_n < RECEIVE_BURST && receiving.rc == TSP_OK;) {
        uint32_t n;
        tsp_error why = {0};
        tsp_status rc = tspi_transport_deliver(p->transport, RECEIVE_BURST - *ret_n, on_msg, &receiving, &n, &why);
        *ret_n += n;
        if (rc == TSP_EAGAIN)
            break;
        if (rc == TSP_EPARSE) {
            tspi_node_drop_foreign(&p->node, &why);
            log_foreign(p);
            ++*ret_n;
        } else if (rc != TSP_OK && receiving.rc == TSP_OK) {
            receiving.rc = rc;
            if (err)
                *err = why;
        }
    }
    return receiving.rc;
}

static int64_t next_due_ns(struct process *p)
{
    int64_t due = tspi_node_due_ns(&p->node);

    if (p->transport->ops->due_ns) {
        int64_t transport_due = p->transport->ops->due_ns(p->transport);
        due = transport_due < due ? transport_due : due;
    }
    return due;
}

static void sleep_until(struct process *p, int64_t due_ns, int64_t now_ns)
{
    struct pollfd fds[3] = {
        {.fd = p->control.in_fd, .events = POLLIN},
        {.fd = p->transport->ops->wait_fd(p->transport), .events = POLLIN},
        {.fd = -1, .events = POLLIN},
    };
    /* Queued messages wait for room, which no descriptor announces. */
    int64_t longest_ns = p->queued ? TSP_NS_PER_MS : p->media.pid ? media_check_every_ns : TSP_NS_PER_S;
    int64_t wait_ns = due_ns < now_ns + longest_ns ? due_ns - now_ns : longest_ns;

    if (p->node.engine && p->node.engine->ops->wait_fd)
        fds[2].fd = p->node.engine->ops->wait_fd(p->node.engine);
    if (wait_ns <= 0)
        return;
    struct timespec timeout = {wait_ns / TSP_NS_PER_S, wait_ns % TSP_NS_PER_S};
    ppoll(fds, 3, &timeout, NULL);
}

/* A media driver of this node's own says nothing when it dies. */
static tsp_status check_media(struct process *p, int64_t now_ns, tsp_error *err)
{
    if (!p->media.pid || now_ns - p->media_checked_ns < media_check_every_ns)
        return TSP_OK;
    p->media_checked_ns = now_ns;
    return tspi_media_driver_check(&p->media, err);
}

static tsp_status turn(struct process *p, tsp_error *err)
{
    uint32_t received;
    tsp_status rc = receive_some(p, &received, err);
    int64_t now_ns = tspi_monotonic_ns();

    if (rc == TSP_OK)
        rc = tspi_node_tick(&p->node, err);
    bool busy = rc == TSP_OK && tspi_node_busy(&p->node);
    if (busy)
        rc = tspi_node_work(&p->node, err);
    if (rc == TSP_OK && p->transport->ops->poll)
        rc = p->transport->ops->poll(p->transport, now_ns, err);
    if (rc == TSP_OK && p->queued)
        rc = tspi_peers_send_queued(p, err);
    if (rc == TSP_OK)
        rc = check_media(p, now_ns, err);
    if (rc == TSP_OK)
        rc = tell(p, now_ns, err);
    if (rc == TSP_OK)
        rc = tell_memory(p, now_ns, err);
    if (rc == TSP_OK)
        rc = obey_all(p, err);
    if (rc == TSP_OK)
        rc = check_conductor(p, now_ns, err);
    if (rc == TSP_OK && !busy && !received && !p->quit)
        sleep_until(p, next_due_ns(p), tspi_monotonic_ns());
    return rc;
}

static void stop(struct process *p)
{
    if (p->node.ops)
        tspi_node_release(&p->node);
    if (p->transport)
        p->transport->ops->close(p->transport);
    tspi_media_driver_stop(&p->media);
    tspi_peers_release(p);
    tspi_control_close(&p->control);
    tspi_spec_release(&p->spec);
}

tsp_status tspi_node_process_run(const tspi_node_process_config *config, tsp_error *err)
{
    struct process p = {0};

    prctl(PR_SET_NAME, "truespan"); /* it was run as /proc/self/exe */
    prctl(PR_SET_TIMERSLACK, 1UL);  /* wake when due, not up to 50 us later */
    signal(SIGPIPE, SIG_IGN);       /* a conductor that is gone shows as an error, and the node tidies up */
    tspi_control_init(&p.control, config->control_in_fd, config->control_out_fd);
    tsp_status rc = tspi_node_open(&p, config, err);
    p.heard_ns = tspi_monotonic_ns();
    fcntl(config->control_in_fd, F_SETFL, fcntl(config->control_in_fd, F_GETFL) | O_NONBLOCK);
    while (rc == TSP_OK && !p.quit)
        rc = turn(&p, err);
    if (rc != TSP_OK)
        tspi_control_send(&p.control, NULL, "error %s", err->message);
    stop(&p);
    tspi_remote_leave(&p.remote);
    return rc;
}
