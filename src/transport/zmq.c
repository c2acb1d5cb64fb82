/* ZeroMQ: the inbox is a PULL socket, every peer a PUSH socket of its own, so that a slow receiver holds up nobody
 * else. A frame is one single-part message. */
#include <zmq.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transport/content.h"

/* Frames from this size on are handed to libzmq without a copy; below, a copy costs less than its reference count. */
enum { ZERO_COPY_BYTES = 8 * 1024 };
/* Messages that a peer's queue holds before send says TSP_EAGAIN: some seconds of the lab's busiest edge. */
enum { HIGH_WATER_MARK = 100000 };
/* How long close waits for queued messages to leave. */
enum { LINGER_MS = 500 };

struct zmq_transport {
    tspi_transport base;
    void *context, *inbox;
    tspi_msg *waiting; /* for what comes next, so that a look in vain costs no message; its handle is `slot` */
    void *slot;
    void **peers;
    uint32_t peers_n;
    char host[256], name[128];
    uint16_t port;
    int wait_fd;
};

static tsp_status fail(tsp_error *err, const char *what)
{
    return tsp_error_set(err, TSP_EIO, "ZeroMQ: %s: %s", what, zmq_strerror(zmq_errno()));
}

static void zmq_transport_close(tspi_transport *transport)
{
    struct zmq_transport *t = (struct zmq_transport *)transport;

    tspi_msg_free(t->waiting);
    if (t->inbox)
        zmq_close(t->inbox);
    for (uint32_t k = 0; k < t->peers_n; k++)
        zmq_close(t->peers[k]);
    free(t->peers);
    if (t->context)
        zmq_ctx_term(t->context);
    free(t);
}

static void *socket_new(struct zmq_transport *t, int type)
{
    void *socket = zmq_socket(t->context, type);
    int hwm = HIGH_WATER_MARK, linger = LINGER_MS, reconnect_ms = 20;
    int64_t largest = TSPI_MSG_MAX_BYTES;

    if (!socket)
        return NULL;
    zmq_setsockopt(socket, type == ZMQ_PUSH ? ZMQ_SNDHWM : ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &reconnect_ms, sizeof reconnect_ms);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest); /* or a stranger's length is believed */
    return socket;
}

static tsp_status zmq_transport_open(const tspi_transport_config *config, tspi_transport **ret_transport,
                                     tsp_error *err)
{
    struct zmq_transport *t = calloc(1, sizeof *t);

    if (!t)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a transport");
    t->base.ops = &tspi_transport_zmq;
    t->port = config->port;
    t->wait_fd = -1;
    snprintf(t->host, sizeof t->host, "%s", config->host);
    snprintf(t->name, sizeof t->name, "%s", config->inbox);
    t->context = zmq_ctx_new();
    if (!t->context || !(t->inbox = socket_new(t, ZMQ_PULL))) {
        tsp_status rc = fail(err, "cannot start");
        zmq_transport_close(&t->base);
        return rc;
    }
    *ret_transport = &t->base;
    return TSP_OK;
}

static tsp_status zmq_transport_listen(tspi_transport *transport, char *ret_address, size_t size, tsp_error *err)
{
    struct zmq_transport *t = (struct zmq_transport *)transport;
    char address[320];
    size_t fd_size = sizeof t->wait_fd;

    if (t->port)
        snprintf(address, sizeof address, "tcp://%s:%u", t->host, t->port);
    else
        snprintf(address, sizeof address, "tcp://%s:*", t->host);
    if (zmq_bind(t->inbox, address) != 0) {
        if (zmq_errno() == EADDRINUSE)
            return tsp_error_set(err, TSP_EIO, "port %u on %s is taken: choose another 'port' or leave it out", t->port,
                                 t->host);
        char what[384];
        snprintf(what, sizeof what, "cannot listen on %s", address);
        return fail(err, what);
    }
    if (zmq_getsockopt(t->inbox, ZMQ_LAST_ENDPOINT, ret_address, &size) != 0 ||
        zmq_getsockopt(t->inbox, ZMQ_FD, &t->wait_fd, &fd_size) != 0)
        return fail(err, "cannot ask the inbox for its address");
    return TSP_OK;
}

static tsp_status zmq_transport_connect(tspi_transport *transport, const char *address, uint32_t *ret_peer,
                                        tsp_error *err)
{
    struct zmq_transport *t = (struct zmq_transport *)transport;
    void **peers = realloc(t->peers, (t->peers_n + 1) * sizeof *peers);

    if (!peers)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a peer");
    t->peers = peers;
    void *socket = socket_new(t, ZMQ_PUSH);
    if (!socket)
        return fail(err, "cannot make a socket");
    t->peers[t->peers_n] = socket;
    *ret_peer = t->peers_n++;
    if (zmq_connect(socket, address) != 0) {
        char what[384];
        snprintf(what, sizeof what, "cannot connect to %s", address);
        return fail(err, what);
    }
    return TSP_OK;
}

static void release_frame(void *frame, void *hint)
{
    (void)frame;
    tspi_msg_free(hint);
}

static tsp_status zmq_transport_send(tspi_transport *transport, uint32_t peer, tspi_msg *msg, tsp_error *err)
{
    struct zmq_transport *t = (struct zmq_transport *)transport;
    int sent;

    if (peer >= t->peers_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    if (msg->len < ZERO_COPY_BYTES) {
        sent = zmq_send(t->peers[peer], msg->frame, msg->len, ZMQ_DONTWAIT);
        if (sent >= 0)
            tspi_msg_free(msg);
    } else {
        /* Once a message is built on the frame, libzmq owns it: so ask for room first. Only this thread uses the
         * socket, so room that is there stays there. */
        int events = 0;
        size_t events_size = sizeof events;
        if (zmq_getsockopt(t->peers[peer], ZMQ_EVENTS, &events, &events_size) == 0 && !(events & ZMQ_POLLOUT))
            return TSP_EAGAIN;
        zmq_msg_t out;
        zmq_msg_init_data(&out, msg->frame, msg->len, release_frame, msg);
        sent = zmq_msg_send(&out, t->peers[peer], ZMQ_DONTWAIT);
        if (sent < 0) {
            fail(err, "cannot send");
            zmq_msg_close(&out);
            return TSP_ECLOSED;
        }
    }
    if (sent >= 0)
        return TSP_OK;
    if (zmq_errno() == EAGAIN || zmq_errno() == EINTR)
        return TSP_EAGAIN;
    return fail(err, "cannot send");
}

/* The frame is written into libzmq's own message: no copy of it anywhere else. */
static tsp_status zmq_transport_post(tspi_transport *transport, uint32_t peer, const tspi_content *content,
                                     tsp_error *err)
{
    struct zmq_transport *t = (struct zmq_transport *)transport;
    size_t len = tspi_content_len(content);
    zmq_msg_t out;

    if (peer >= t->peers_n)
        return tsp_error_set(err, TSP_EINVAL, "no peer %u", peer);
    if (len == SIZE_MAX || zmq_msg_init_size(&out, len) != 0)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message of %zu bytes", content->payload_len);
    tspi_content_write(content, zmq_msg_data(&out));
    if (zmq_msg_send(&out, t->peers[peer], ZMQ_DONTWAIT) >= 0)
        return TSP_OK;
    bool is_full = zmq_errno() == EAGAIN || zmq_errno() == EINTR;
    tsp_status rc = is_full ? TSP_EAGAIN : fail(err, "cannot send");
    zmq_msg_close(&out);
    return rc;
}

static void release_received(void *in)
{
    zmq_msg_close(in);
}

static tsp_status zmq_transport_recv(tspi_transport *transport, tspi_msg **ret_msg, tsp_error *err)
{
    struct zmq_transport *t = (struct zmq_transport *)transport;
    tspi_msg *msg = t->waiting;

    if (!msg) {
        msg = t->waiting = tspi_msg_around(sizeof(zmq_msg_t), release_received, &t->slot);
        if (!msg)
            return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message");
        zmq_msg_init(t->slot);
    }
    if (zmq_msg_recv(t->slot, t->inbox, ZMQ_DONTWAIT) < 0) {
        int number = zmq_errno();
        return number == EAGAIN || number == EINTR
                   ? TSP_EAGAIN
                   : tsp_error_set(err, TSP_EIO, "ZeroMQ: cannot receive: %s", zmq_strerror(number));
    }
    t->waiting = NULL;
    msg->frame = zmq_msg_data(t->slot);
    msg->len = zmq_msg_size(t->slot);
    tsp_status rc = tspi_msg_check(msg, err);
    if (rc == TSP_OK)
        *ret_msg = msg;
    else
        tspi_msg_free(msg);
    return rc;
}

static int zmq_transport_wait_fd(tspi_transport *transport)
{
    return ((struct zmq_transport *)transport)->wait_fd;
}

const struct tspi_transport_ops tspi_transport_zmq = {
    .scheme = "zmq",
    .semconv = "zeromq",
    .open = zmq_transport_open,
    .listen = zmq_transport_listen,
    .connect = zmq_transport_connect,
    .send = zmq_transport_send,
    .post = zmq_transport_post,
    .recv = zmq_transport_recv,
    .wait_fd = zmq_transport_wait_fd,
    .close = zmq_transport_close,
};
