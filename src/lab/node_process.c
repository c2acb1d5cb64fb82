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
#include <time.h>

#include "lab/kafka_side.h"
#include "lab/media_driver.h"
#include "lab/remote.h"
#include "transport/fault.h"

/* How often the gateway tells how far it is. */
static const int64_t progress_every_ns = 100 * TSP_NS_PER_MS;
static const int64_t media_check_every_ns = 100 * TSP_NS_PER_MS;
/* Messages taken in one go before timers, work and commands get their turn. */
enum { RECEIVE_BURST = 64 };
/* Messages of strangers that the log tells about, each. */
enum { FOREIGN_LOGGED_MAX = 10 };

/* One peer: a worker of a stage that this node may send to. */
struct peer {
    uint32_t stage, worker, handle;
    tspi_msg *queue, **queue_end; /* refused with TSP_EAGAIN: sent again in order */
};

struct process {
    tspi_world world; /* first: the node's callbacks get a pointer to it */
    tspi_spec spec;
    tspi_node node;
    tspi_transport *transport;
    tspi_media_driver media; /* of this node alone, where the transport wants one */
    int64_t media_checked_ns;
    tspi_control control;
    struct peer *peers;
    size_t peers_n;
    size_t queued;
    uint64_t foreign_seen, foreign_told;
    bool done_told, quit;
    char remote_folder[4096]; /* where files of blocks lie until they are sent; "" = beside the conductor */
    int64_t progress_ns;
};

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static int64_t world_wall_ns(tspi_world *world)
{
    (void)world;
    return read_clock(CLOCK_REALTIME);
}

static int64_t world_monotonic_ns(tspi_world *world)
{
    (void)world;
    return read_clock(CLOCK_MONOTONIC);
}

/* ------------------------------------------------------------------ sending */

static struct peer *find_peer(struct process *p, uint32_t stage, uint32_t worker)
{
    for (size_t k = 0; k < p->peers_n; k++)
        if (p->peers[k].stage == stage && p->peers[k].worker == worker)
            return &p->peers[k];
    return NULL;
}

static tsp_status world_send(tspi_world *world, uint32_t stage, uint32_t worker, tspi_msg *take_msg, tsp_error *err)
{
    struct process *p = (struct process *)world;
    struct peer *peer = find_peer(p, stage, worker);

    if (!peer) {
        tspi_msg_free(take_msg);
        return tsp_error_set(err, TSP_EINVAL, "no worker %u of stage '%s'", worker, p->spec.stages[stage].name);
    }
    tsp_status rc = peer->queue ? TSP_EAGAIN : p->transport->ops->send(p->transport, peer->handle, take_msg, err);
    if (rc == TSP_EAGAIN) {
        take_msg->next = NULL;
        *peer->queue_end = take_msg;
        peer->queue_end = &take_msg->next;
        p->queued++;
        return TSP_OK;
    }
    if (rc != TSP_OK && rc != TSP_ECLOSED)
        tspi_msg_free(take_msg);
    return rc;
}

static tsp_status send_queued(struct process *p, tsp_error *err)
{
    for (size_t k = 0; k < p->peers_n && p->queued; k++) {
        struct peer *peer = &p->peers[k];
        while (peer->queue) {
            tspi_msg *msg = peer->queue, *next = msg->next;
            tsp_status rc = p->transport->ops->send(p->transport, peer->handle, msg, err);
            if (rc == TSP_EAGAIN)
                break;
            if (rc != TSP_OK && rc != TSP_ECLOSED)
                return rc; /* the message stays in the queue, to be freed with it */
            peer->queue = next;
            if (!next)
                peer->queue_end = &peer->queue;
            p->queued--;
            if (rc != TSP_OK)
                return rc;
        }
    }
    return TSP_OK;
}

/* ------------------------------------------------------------------ commands */

static tsp_status add_peer(struct process *p, const char *line, tsp_error *err)
{
    struct peer peer;
    int at = 0;

    if (sscanf(line, "peer %" SCNu32 " %" SCNu32 " %n", &peer.stage, &peer.worker, &at) != 2 || !at)
        return tsp_error_set(err, TSP_EPARSE, "no peer: '%.80s'", line);
    struct peer *peers = realloc(p->peers, (p->peers_n + 1) * sizeof *peers);
    if (!peers)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a peer");
    p->peers = peers;
    tsp_status rc = p->transport->ops->connect(p->transport, line + at, &peer.handle, err);
    if (rc != TSP_OK)
        return rc;
    peer.queue = NULL;
    p->peers[p->peers_n++] = peer;
    return TSP_OK;
}

/* Queue ends point into the array, which does not move any more once all peers are known. */
static void peers_are_complete(struct process *p)
{
    for (size_t k = 0; k < p->peers_n; k++)
        p->peers[k].queue_end = &p->peers[k].queue;
}

static tsp_status end_block(struct process *p, tsp_error *err)
{
    uint64_t foreign = p->node.foreign - p->foreign_told;
    tsp_status rc = tspi_node_end(&p->node, err);

    if (rc == TSP_OK && p->remote_folder[0])
        rc = tspi_remote_send_block_files(&p->control, p->remote_folder, p->node.name, err);
    if (rc != TSP_OK)
        return rc;
    p->foreign_told += foreign;
    return tspi_control_send(&p->control, err, "ended %" PRIu64 " %" PRIu64, p->node.spans.written, foreign);
}

static tsp_status obey(struct process *p, const char *line, tsp_error *err)
{
    tspi_block block;
    tsp_status rc;

    if (!strncmp(line, "peer ", 5))
        return add_peer(p, line, err);
    if (!strcmp(line, "connect")) {
        peers_are_complete(p);
        return tspi_control_send(&p->control, err, "connected");
    }
    if (!strncmp(line, "begin ", 6)) {
        rc = tspi_control_parse_block(line, &block, err);
        if (rc == TSP_OK && p->remote_folder[0] && block.folder[0])
            snprintf(block.folder, sizeof block.folder, "%.*s/block", (int)sizeof block.folder - 8, p->remote_folder);
        if (rc == TSP_OK)
            rc = tspi_node_begin(&p->node, &block, err);
        p->done_told = false;
        return rc == TSP_OK ? tspi_control_send(&p->control, err, "began") : rc;
    }
    if (!strcmp(line, "go"))
        return tspi_node_go(&p->node, err);
    if (!strcmp(line, "end"))
        return end_block(p, err);
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
    }
    return TSP_OK;
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

static tsp_status receive_some(struct process *p, int *ret_n, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (*ret_n = 0; *ret_n < RECEIVE_BURST && rc == TSP_OK; ++*ret_n) {
        tspi_msg *msg;
        tsp_error why = {0};
        rc = p->transport->ops->recv(p->transport, &msg, &why);
        if (rc == TSP_EAGAIN)
            return TSP_OK;
        if (rc == TSP_OK)
            rc = tspi_node_receive(&p->node, msg, err);
        else if (rc == TSP_EPARSE) {
            tspi_node_drop_foreign(&p->node, &why);
            rc = TSP_OK;
        } else if (err)
            *err = why;
        log_foreign(p);
    }
    return rc;
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
    int received;
    tsp_status rc = receive_some(p, &received, err);
    int64_t now_ns = read_clock(CLOCK_MONOTONIC);

    if (rc == TSP_OK)
        rc = tspi_node_tick(&p->node, err);
    bool busy = rc == TSP_OK && tspi_node_busy(&p->node);
    if (busy)
        rc = tspi_node_work(&p->node, err);
    if (rc == TSP_OK && p->transport->ops->poll)
        rc = p->transport->ops->poll(p->transport, now_ns, err);
    if (rc == TSP_OK && p->queued)
        rc = send_queued(p, err);
    if (rc == TSP_OK)
        rc = check_media(p, now_ns, err);
    if (rc == TSP_OK)
        rc = tell(p, now_ns, err);
    if (rc == TSP_OK)
        rc = obey_all(p, err);
    if (rc == TSP_OK && !busy && !received && !p->quit)
        sleep_until(p, next_due_ns(p), read_clock(CLOCK_MONOTONIC));
    return rc;
}

/* ------------------------------------------------------------------ start and end */

static tsp_status open_media(struct process *p, const tspi_node_process_config *config, const char **ret_folder,
                             tsp_error *err)
{
    const tspi_media_driver_config media = {
        .idle_ns = p->spec.aeron.idle_ns, .term_bytes = p->spec.aeron.term_bytes, .log_fd = STDERR_FILENO};

    *ret_folder = config->media_driver;
    if (config->media_driver || strcmp(p->spec.transport, "aeron") != 0)
        return TSP_OK;
    *ret_folder = p->media.folder;
    return tspi_media_driver_start(&p->media, &media, err);
}

/* Names of the stages that send to this one. */
static uint32_t find_senders(const struct process *p, const char *ret_from[TSPI_STAGES_MAX])
{
    uint32_t n = 0, stage = (uint32_t)(p->node.stage - p->spec.stages);

    for (uint32_t s = 0; s < p->spec.stages_n; s++)
        for (uint32_t e = 0; e < p->spec.stages[s].to_n; e++)
            if (p->spec.stages[s].to[e] == stage)
                ret_from[n++] = p->spec.stages[s].name;
    return n;
}

static tsp_status open_transport(struct process *p, const tspi_node_process_config *config, tsp_error *err)
{
    const struct tspi_transport_ops *ops = tspi_transport_find(p->spec.transport);
    const char *from[TSPI_STAGES_MAX];
    const tspi_kafka_settings kafka = tspi_kafka_side_settings(&p->spec.kafka, config->broker);
    tspi_transport_config transport = {
        .host = config->host,
        .port = config->port,
        .inbox = p->node.name,
        .run = config->run,
        .stage = p->node.stage->name,
        .worker = config->worker,
        .workers = p->node.stage->workers,
        .from = from,
        .from_n = find_senders(p, from),
        .kafka = &kafka,
        .aeron = {.idle_ns = p->spec.aeron.idle_ns, .term_bytes = p->spec.aeron.term_bytes},
    };
    char address[512];

    if (!ops)
        return tsp_error_set(err, TSP_EUNSUPPORTED, "this build has no transport '%s'", p->spec.transport);
    tsp_status rc = open_media(p, config, &transport.folder, err);
    if (rc == TSP_OK)
        rc = ops->open(&transport, &p->transport, err);
    if (rc == TSP_OK && config->delay_line) {
        const tspi_fault_config fault = {
            .delay_ns = p->spec.link.delay_ns, .jitter_ns = p->spec.link.jitter_ns, .loss = p->spec.link.loss};
        tspi_random random = tspi_random_split(&p->node.random, "link", 0);
        tspi_transport *inner = p->transport;
        p->transport = NULL;
        rc = tspi_fault_wrap(inner, &fault, &random, &p->transport, err);
    }
    if (rc == TSP_OK)
        rc = p->transport->ops->listen(p->transport, address, sizeof address, err);
    if (rc == TSP_OK)
        rc = tspi_control_send(&p->control, err, "ready %s", address);
    return rc;
}

/* The conductor's files have come: the prompts, if it sent any, are not where its spec says. */
static tsp_status use_sent_prompts(struct process *p, tsp_error *err)
{
    char path[4200];

    if (!p->remote_folder[0] || !p->spec.load.prompts)
        return TSP_OK;
    snprintf(path, sizeof path, "%s/prompts.txt", p->remote_folder);
    free(p->spec.load.prompts);
    p->spec.load.prompts = strdup(path);
    return p->spec.load.prompts ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory");
}

static tsp_status read_spec(struct process *p, const tspi_node_process_config *config, tsp_error *err)
{
    char sent_path[4200];
    const char *path = config->spec_path;
    tspi_buf text = {0};
    tsp_status rc = TSP_OK;

    if (!path) {
        rc = tspi_remote_receive_setup(&p->control, p->remote_folder, sizeof p->remote_folder, err);
        snprintf(sent_path, sizeof sent_path, "%s/spec.yaml", p->remote_folder);
        path = sent_path;
    }
    if (rc == TSP_OK)
        rc = tspi_buf_read_file(&text, path, 0, err);
    if (rc == TSP_OK)
        rc = tspi_spec_read((char *)text.data, text.len, path, &p->spec, err);
    tspi_buf_release(&text);
    return rc == TSP_OK ? use_sent_prompts(p, err) : rc;
}

static tsp_status start(struct process *p, const tspi_node_process_config *config, tsp_error *err)
{
    tsp_status rc = read_spec(p, config, err);

    if (rc != TSP_OK)
        return rc;
    int stage = tspi_spec_stage(&p->spec, config->stage);
    const struct tspi_transport_ops *ops = tspi_transport_find(p->spec.transport);
    if (stage < 0)
        return tsp_error_set(err, TSP_EINVAL, "%s: there is no stage '%s'",
                             config->spec_path ? config->spec_path : "the spec that was sent", config->stage);
    p->world = (tspi_world){
        .wall_ns = world_wall_ns,
        .monotonic_ns = world_monotonic_ns,
        .send = world_send,
        .messaging_system = ops ? ops->semconv : p->spec.transport,
    };
    rc = tspi_node_init(&p->node, &p->spec, (uint32_t)stage, config->worker, &p->world, err);
    return rc == TSP_OK ? open_transport(p, config, err) : rc;
}

static void stop(struct process *p)
{
    if (p->node.ops)
        tspi_node_release(&p->node);
    if (p->transport)
        p->transport->ops->close(p->transport);
    tspi_media_driver_stop(&p->media);
    for (size_t k = 0; k < p->peers_n; k++)
        for (tspi_msg *msg = p->peers[k].queue, *next; msg; msg = next) {
            next = msg->next;
            tspi_msg_free(msg);
        }
    free(p->peers);
    tspi_control_close(&p->control);
    tspi_spec_release(&p->spec);
}

tsp_status tspi_node_process_run(const tspi_node_process_config *config, tsp_error *err)
{
    struct process p = {0};

    prctl(PR_SET_TIMERSLACK, 1UL); /* wake when due, not up to 50 us later */
    signal(SIGPIPE, SIG_IGN);      /* a conductor that is gone shows as an error, and the node tidies up */
    tspi_control_init(&p.control, config->control_in_fd, config->control_out_fd);
    tsp_status rc = start(&p, config, err);
    fcntl(config->control_in_fd, F_SETFL, fcntl(config->control_in_fd, F_GETFL) | O_NONBLOCK);
    while (rc == TSP_OK && !p.quit)
        rc = turn(&p, err);
    if (rc != TSP_OK)
        tspi_control_send(&p.control, NULL, "error %s", err->message);
    stop(&p);
    tspi_remote_remove(p.remote_folder);
    return rc;
}
