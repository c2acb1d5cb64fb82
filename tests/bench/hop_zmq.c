/* A bare libzmq PUSH/PULL pair over loopback TCP. */
#include <poll.h>
#include <zmq.h>

#include "hop.h"

enum { BATCH = 64 };

static bool bare_send(hop_way *way, int64_t sent_ns)
{
    uint8_t frame[HOP_FRAME_MAX];

    hop_write_frame(frame, sent_ns);
    return zmq_send(way->sender, frame, way->frame_bytes, ZMQ_DONTWAIT) >= 0;
}

static int bare_drain(hop_way *way)
{
    uint8_t frame[HOP_FRAME_MAX];
    int n = 0, len;

    for (; n < BATCH && (len = zmq_recv(way->receiver, frame, sizeof frame, ZMQ_DONTWAIT)) >= 0; n++)
        hop_note(way, hop_read_frame(frame, (size_t)len));
    return n;
}

static void bare_wait(hop_way *way)
{
    struct pollfd fd = {.fd = way->wait_fd, .events = POLLIN};
    poll(&fd, 1, 100);
}

static void open_bare(hop_way *way)
{
    char address[256];
    int hwm = 100000, linger = 0;
    size_t size = sizeof address, fd_size = sizeof way->wait_fd;

    way->send = bare_send;
    way->drain = bare_drain;
    way->wait = bare_wait;
    way->receiver = zmq_socket(zmq_ctx_new(), ZMQ_PULL);
    way->sender = zmq_socket(zmq_ctx_new(), ZMQ_PUSH);
    zmq_setsockopt(way->receiver, ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_setsockopt(way->sender, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(way->sender, ZMQ_LINGER, &linger, sizeof linger);
    if (zmq_bind(way->receiver, "tcp://127.0.0.1:*") != 0 ||
        zmq_getsockopt(way->receiver, ZMQ_LAST_ENDPOINT, address, &size) != 0 ||
        zmq_connect(way->sender, address) != 0 || zmq_getsockopt(way->receiver, ZMQ_FD, &way->wait_fd, &fd_size) != 0)
        hop_die("cannot open the bare pair");
}

const hop_rig hop_zmq = {"zmq", "zmq", "127.0.0.1", NULL, open_bare, 200000};
