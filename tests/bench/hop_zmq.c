/* A bare libzmq PUSH/PULL pair over loopback TCP. */
#include <poll.h>
#include <zmq.h>

#include "hop.h"

static bool bare_send(hop_way *way, const tspi_content *content)
{
    uint8_t frame[HOP_FRAME_MAX];

    return zmq_send(way->sender, frame, hop_write_frame(frame, content), ZMQ_DONTWAIT) >= 0;
}

static int bare_drain(hop_way *way)
{
    uint8_t frame[HOP_FRAME_MAX];
    int n = 0, len;
    size_t body_len;

    for (; n < HOP_BATCH && (len = zmq_recv(way->receiver, frame, sizeof frame, ZMQ_DONTWAIT)) >= 0; n++) {
        const uint8_t *body = hop_read_frame(frame, (size_t)len, &body_len);
        hop_note(way, body, body_len);
    }
    return n;
}

static void bare_wait(hop_way *way)
{
    struct pollfd fd = {.fd = way->wait_fd, .events = POLLIN};
    poll(&fd, 1, 100);
}

static void bare_close(hop_way *way)
{
    zmq_close(way->sender);
    zmq_close(way->receiver);
    zmq_ctx_term(way->more[0]);
    zmq_ctx_term(way->more[1]);
}

/* The options of src/transport/zmq.c. */
static void *open_socket(void *context, int type)
{
    void *socket = zmq_socket(context, type);
    int hwm = 100000, linger = 500, reconnect_ms = 20;
    int64_t largest = TSPI_MSG_MAX_BYTES;

    zmq_setsockopt(socket, type == ZMQ_PUSH ? ZMQ_SNDHWM : ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_setsockopt(socket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(socket, ZMQ_RECONNECT_IVL, &reconnect_ms, sizeof reconnect_ms);
    zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest);
    return socket;
}

static void open_bare(hop_way *way)
{
    char address[256];
    size_t size = sizeof address, fd_size = sizeof way->wait_fd;

    *way = (hop_way){.send = bare_send, .drain = bare_drain, .wait = bare_wait, .close = bare_close};
    for (int k = 0; k < 2; k++)
        way->more[k] = zmq_ctx_new();
    way->receiver = open_socket(way->more[0], ZMQ_PULL);
    way->sender = open_socket(way->more[1], ZMQ_PUSH);
    if (zmq_bind(way->receiver, "tcp://127.0.0.1:*") != 0 ||
        zmq_getsockopt(way->receiver, ZMQ_LAST_ENDPOINT, address, &size) != 0 ||
        zmq_connect(way->sender, address) != 0 || zmq_getsockopt(way->receiver, ZMQ_FD, &way->wait_fd, &fd_size) != 0)
        hop_die("cannot open the bare pair");
}

const hop_rig hop_zmq = {.name = "zmq", .scheme = "zmq", .host = "127.0.0.1", .open_bare = open_bare, .flood = 100000};
