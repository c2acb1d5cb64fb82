/* Aeron: the inbox is a subscription, every peer an exclusive publication, over UDP or through the shared memory of one
 * media driver ("ipc"). The media driver is a process of its own: src/lab/media_driver.h.
 *
 * Aeron has no descriptor to sleep on. So due_ns asks for another look, soon after something came and less and less
 * often after that: docs/transports.md has what this costs. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "transport/aeron_stream.h"

/* Every UDP inbox has an endpoint of its own, so the stream's number says nothing. */
enum { UDP_STREAM = 1 };
/* Ports of "ipc" are numbers of streams; those that nobody asked for begin here. */
enum { FIRST_FREE_PORT = 1024, FREE_PORTS = UINT16_MAX - FIRST_FREE_PORT };
/* A media driver that lives stirs every 100 ms (its timer). */
enum { DRIVER_TIMEOUT_MS = 5000, KEEPALIVE_MS = 100 };
/* How long open waits for a media driver that is only just starting. */
static const int64_t driver_start_ns = 10 * TSP_NS_PER_S;
/* How often the client's own thread looks for word from the media driver: publications and senders that come and go. */
static const char client_sleep[] = "2ms";
/* How long close waits for queued messages to leave. */
static const int64_t linger_ns = TSP_NS_PER_S / 2;
/* The first sleep after something came; doubled with every look in vain. */
static const int64_t idle_min_ns = 10000;
static const int64_t idle_max_default_ns = 100000;

struct aeron_transport {
    tspi_transport base;
    aeron_context_t *context;
    aeron_t *client;
    tspi_aeron_inbox inbox;
    tspi_aeron_peer *peers;
    uint32_t peers_n;
    char host[256], folder[256];
    uint16_t port;
    uint32_t term_bytes;
    int claim_fd;                 /* a lock on the inbox's name */
    int64_t idle_ns, idle_max_ns; /* the next sleep, the longest */
    int64_t due_ns;               /* when to look again; 0 = not reckoned since the last look in vain */
    /* What the client's own thread has to say; the first one counts. */
    pthread_mutex_t lock;
    _Atomic bool failed;
    int failure_code;
    char failure[200];
};

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static bool is_ipc(const struct aeron_transport *t)
{
    return !strcmp(t->host, "ipc");
}

/* ------------------------------------------------------------------ the client */

static void on_error(void *ctx, int code, const char *message)
{
    struct aeron_transport *t = ctx;

    pthread_mutex_lock(&t->lock);
    if (!atomic_load(&t->failed)) {
        t->failure_code = code;
        snprintf(t->failure, sizeof t->failure, "%.*s", (int)strcspn(message, "\n"), message);
        atomic_store(&t->failed, true);
    }
    pthread_mutex_unlock(&t->lock);
}

static tsp_status check_client(struct aeron_transport *t, tsp_error *err)
{
    if (!atomic_load_explicit(&t->failed, memory_order_relaxed))
        return TSP_OK;
    pthread_mutex_lock(&t->lock);
    tsp_status rc = abs(t->failure_code) == AERON_CLIENT_ERROR_DRIVER_TIMEOUT
                        ? tsp_error_set(err, TSP_EIO, "Aeron: the media driver of %s is gone", t->folder)
                        : tsp_error_set(err, TSP_EIO, "Aeron: %s", t->failure);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

static void unclaim(struct aeron_transport *t)
{
    if (t->claim_fd >= 0)
        close(t->claim_fd);
    t->claim_fd = -1;
}

static void aeron_transport_close(tspi_transport *transport)
{
    struct aeron_transport *t = (struct aeron_transport *)transport;
    int64_t deadline_ns = monotonic_ns() + linger_ns;

    for (uint32_t k = 0; k < t->peers_n; k++) {
        tspi_aeron_peer *peer = &t->peers[k];
        while (peer->first && !atomic_load(&t->failed) && monotonic_ns() < deadline_ns &&
               tspi_aeron_peer_turn(peer, NULL) == TSP_OK && peer->first)
            nanosleep(&(struct timespec){0, TSP_NS_PER_MS / 5}, NULL);
        tspi_aeron_peer_close(peer);
    }
    tspi_aeron_inbox_close(&t->inbox);
    if (t->client)
        aeron_close(t->client);
    if (t->context)
        aeron_context_close(t->context);
    unclaim(t);
    pthread_mutex_destroy(&t->lock);
    free(t->peers);
    free(t);
}

static tsp_status connect_client(struct aeron_transport *t, const char *name, tsp_error *err)
{
    int64_t deadline_ns = monotonic_ns() + driver_start_ns;

    if (aeron_context_init(&t->context) < 0 || aeron_context_set_dir(t->context, t->folder) < 0 ||
        aeron_context_set_client_name(t->context, name) < 0 ||
        aeron_context_set_driver_timeout_ms(t->context, DRIVER_TIMEOUT_MS) < 0 ||
        aeron_context_set_keepalive_interval_ns(t->context, KEEPALIVE_MS * (uint64_t)TSP_NS_PER_MS) < 0 ||
        aeron_context_set_idle_strategy_init_args(t->context, client_sleep) < 0 ||
        aeron_context_set_idle_strategy(t->context, "sleeping") < 0 ||
        aeron_context_set_error_handler(t->context, on_error, t) < 0)
        return tspi_aeron_fail(err, "cannot configure the client");
    while (aeron_init(&t->client, t->context) < 0)
        if (monotonic_ns() > deadline_ns)
            return tsp_error_set(err, TSP_EIO, "Aeron: there is no media driver in %s", t->folder);
    return aeron_start(t->client) < 0 ? tspi_aeron_fail(err, "cannot start the client") : TSP_OK;
}

static tsp_status aeron_transport_open(const tspi_transport_config *config, tspi_transport **ret_transport,
                                       tsp_error *err)
{
    struct aeron_transport *t;

    if (!config->folder)
        return tsp_error_set(err, TSP_EINVAL, "Aeron: no folder of a media driver was given");
    t = calloc(1, sizeof *t);
    if (!t)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a transport");
    t->base.ops = &tspi_transport_aeron;
    t->port = config->port;
    t->term_bytes = config->aeron.term_bytes;
    t->idle_max_ns = config->aeron.idle_ns ? config->aeron.idle_ns : idle_max_default_ns;
    t->idle_ns = idle_min_ns;
    t->claim_fd = -1;
    pthread_mutex_init(&t->lock, NULL);
    snprintf(t->host, sizeof t->host, "%s", config->host);
    snprintf(t->folder, sizeof t->folder, "%s", config->folder);
    tsp_status rc = connect_client(t, config->inbox, err);
    if (rc != TSP_OK) {
        aeron_transport_close(&t->base);
        return rc;
    }
    *ret_transport = &t->base;
    return TSP_OK;
}

/* ------------------------------------------------------------------ the inbox */

static tsp_status is_taken(const struct aeron_transport *t, uint16_t port, tsp_error *err)
{
    return tsp_error_set(err, TSP_EIO, "port %u on %s is taken: choose another 'port' or leave it out", port, t->host);
}

/* Aeron lets any number of subscriptions share a channel, and all of them get everything: so a lock in the media
 * driver's folder says whose inbox it is. It goes with the process that holds it. */
static tsp_status claim(struct aeron_transport *t, uint16_t port, tsp_error *err)
{
    char path[400];

    snprintf(path, sizeof path, "%s/inbox-%s-%u", t->folder, is_ipc(t) ? "ipc" : "udp", port);
    t->claim_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (t->claim_fd < 0)
        return tsp_error_sys(err, errno, "cannot open '%s'", path);
    if (flock(t->claim_fd, LOCK_EX | LOCK_NB) == 0)
        return TSP_OK;
    unclaim(t);
    return is_taken(t, port, err);
}

/* The media driver counts what its clients ask for, over all of them: a good start for a number nobody else has. */
static tsp_status claim_any(struct aeron_transport *t, uint16_t *ret_port, tsp_error *err)
{
    int64_t first = aeron_next_correlation_id(t->client);
    tsp_status rc = TSP_EIO;

    for (int64_t k = 0; k < FREE_PORTS && rc == TSP_EIO; k++) {
        *ret_port = (uint16_t)(FIRST_FREE_PORT + (uint64_t)(first + k) % FREE_PORTS);
        rc = claim(t, *ret_port, err);
    }
    return rc;
}

static tsp_status listen_ipc(struct aeron_transport *t, char *ret_address, size_t size, tsp_error *err)
{
    uint16_t port = t->port;
    tsp_status rc = port ? claim(t, port, err) : claim_any(t, &port, err);

    if (rc == TSP_OK)
        rc = tspi_aeron_inbox_open(&t->inbox, t->client, "aeron:ipc", port, err);
    snprintf(ret_address, size, "aeron:ipc:%u", port);
    return rc;
}

/* A port that is free now. Aeron could be asked for one, but such an inbox cannot be opened again at the address that
 * it got: to Aeron that is another channel, and the port is taken while the first one's senders linger. */
static uint16_t free_port(const char *host)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || inet_pton(AF_INET, host, &at.sin_addr) != 1 || bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        at.sin_port = 0;
    if (fd >= 0)
        close(fd);
    return ntohs(at.sin_port);
}

static tsp_status listen_at_port(struct aeron_transport *t, uint16_t port, char *ret_address, size_t size,
                                 tsp_error *err)
{
    char taken[16];
    tsp_status rc = claim(t, port, err);

    snprintf(ret_address, size, "aeron:udp?endpoint=%s:%u", t->host, port);
    if (rc != TSP_OK)
        return rc;
    rc = tspi_aeron_inbox_open(&t->inbox, t->client, ret_address, UDP_STREAM, err);
    snprintf(taken, sizeof taken, "\n(%d) ", EADDRINUSE);
    if (rc != TSP_OK && strstr(aeron_errmsg(), taken))
        rc = is_taken(t, port, err);
    if (rc != TSP_OK)
        unclaim(t);
    return rc;
}

static tsp_status listen_udp(struct aeron_transport *t, char *ret_address, size_t size, tsp_error *err)
{
    enum { TRIES = 8 };
    tsp_status rc = TSP_EIO;

    if (t->port)
        return listen_at_port(t, t->port, ret_address, size, err);
    for (int k = 0; k < TRIES && rc != TSP_OK; k++) {
        uint16_t port = free_port(t->host);
        if (!port)
            return tsp_error_set(err, TSP_EIO, "Aeron: there is no free port on '%s', or no such address", t->host);
        rc = listen_at_port(t, port, ret_address, size, err);
    }
    return rc;
}

static tsp_status aeron_transport_listen(tspi_transport *transport, char *ret_address, size_t size, tsp_error *err)
{
    struct aeron_transport *t = (struct aeron_transport *)transport;

    return is_ipc(t) ? listen_ipc(t, ret_address, size, err) : listen_udp(t, ret_address, size, err);
}

/* What a look came to: when to look again, and whether there still is a media driver. */
static tsp_status looked(struct aeron_transport *t, tsp_status rc, tsp_error *err)
{
    t->due_ns = 0;
    if (rc != TSP_EAGAIN) {
        t->idle_ns = idle_min_ns;
        return rc;
    }
    return check_client(t, err) == TSP_OK ? TSP_EAGAIN : TSP_EIO;
}

static tsp_status aeron_transport_recv(tspi_transport *transport, tspi_msg **ret_msg, tsp_error *err)
{
    struct aeron_transport *t = (struct aeron_transport *)transport;
    return looked(t, tspi_aeron_inbox_recv(&t->inbox, ret_msg, err), err);
}

static tsp_status aeron_transport_deliver(tspi_transport *transport, uint32_t max, tspi_on_msg on_msg, void *ctx,
                                          uint32_t *ret_n, tsp_error *err)
{
    struct aeron_transport *t = (struct aeron_transport *)transport;
    return looked(t, tspi_aeron_inbox_deliver(&t->inbox, max, on_msg, ctx, ret_n, err), err);
}

/* ------------------------------------------------------------------ peers */

static tsp_status aeron_transport_connect(tspi_transport *transport, const char *address, uint32_t *ret_peer,
                                          tsp_error *err)
{
    struct aeron_transport *t = (struct aeron_transport *)transport;
    tspi_aeron_peer peer = {.client = t->client, .stream = UDP_STREAM};
    unsigned port;
    int used = 0;

    if (sscanf(address, "aeron:ipc:%5u%n", &port, &used) == 1 && !address[used]) {
        peer.stream = (int32_t)port;
        used = snprintf(peer.channel, sizeof peer.channel, "aeron:ipc?");
    } else if (!strncmp(address, "aeron:udp?", 10))
        used = snprintf(peer.channel, sizeof peer.channel, "%s|", address);
    else
        return tsp_error_set(err, TSP_EINVAL, "'%.80s' is no address of an Aeron inbox", address);
    if (used > (int)sizeof peer.channel - 32)
        return tsp_error_set(err, TSP_EINVAL, "an address of %d bytes is too long", used);
    if (t->term_bytes)
        snprintf(peer.channel + used, sizeof peer.channel - (size_t)used, "term-length=%" PRIu32, t->term_bytes);
    else
        peer.channel[used - 1] = '\0';
    tspi_aeron_peer *peers = realloc(t->peers, (t->peers_n + 1) * sizeof *peers);
    if (!peers)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a peer");
    t->peers = peers;
    tsp_status rc = tspi_aeron_peer_open(&peer, err);
    if (rc == TSP_OK) {
        peers[t->peers_n] = peer;
        *ret_peer = t->peers_n++;
    }
    return rc;
}

static tsp_status aeron_transport_send(tspi_transport *transport, uint32_t peer, tspi_msg *msg, tsp_error *err)
{
    struct aeron_transport *t = (struct aeron_transport *)transport;

    if (peer >= t->peers_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    return tspi_aeron_peer_send(&t->peers[peer], msg, err);
}

static tsp_status aeron_transport_post(tspi_transport *transport, uint32_t peer, const tspi_content *content,
                                       tsp_error *err)
{
    struct aeron_transport *t = (struct aeron_transport *)transport;

    if (peer >= t->peers_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    return tspi_aeron_peer_post(&t->peers[peer], content, err);
}

static tsp_status aeron_transport_poll(tspi_transport *transport, int64_t now_ns, tsp_error *err)
{
    struct aeron_transport *t = (struct aeron_transport *)transport;
    tsp_status rc = check_client(t, err);

    (void)now_ns;
    for (uint32_t k = 0; k < t->peers_n && rc == TSP_OK; k++)
        if (tspi_aeron_peer_is_waiting(&t->peers[k]))
            rc = tspi_aeron_peer_turn(&t->peers[k], err);
    return rc;
}

static int64_t aeron_transport_due_ns(tspi_transport *transport)
{
    struct aeron_transport *t = (struct aeron_transport *)transport;

    if (t->inbox.first)
        return 0;
    if (t->inbox.subscription) {
        /* Reckoned only when somebody wants to sleep: a busy inbox is looked at far more often than the clock is. */
        if (!t->due_ns) {
            t->due_ns = monotonic_ns() + t->idle_ns;
            t->idle_ns = 2 * t->idle_ns < t->idle_max_ns ? 2 * t->idle_ns : t->idle_max_ns;
        }
        return t->due_ns;
    }
    for (uint32_t k = 0; k < t->peers_n; k++)
        if (tspi_aeron_peer_is_waiting(&t->peers[k]))
            return monotonic_ns() + t->idle_max_ns;
    return INT64_MAX;
}

static int aeron_transport_wait_fd(tspi_transport *transport)
{
    (void)transport;
    return -1;
}

const struct tspi_transport_ops tspi_transport_aeron = {
    .scheme = "aeron",
    .semconv = "aeron",
    .open = aeron_transport_open,
    .listen = aeron_transport_listen,
    .connect = aeron_transport_connect,
    .send = aeron_transport_send,
    .post = aeron_transport_post,
    .recv = aeron_transport_recv,
    .deliver = aeron_transport_deliver,
    .wait_fd = aeron_transport_wait_fd,
    .due_ns = aeron_transport_due_ns,
    .poll = aeron_transport_poll,
    .close = aeron_transport_close,
};
