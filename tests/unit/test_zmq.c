/* What the ZeroMQ driver does besides what every transport promises: strangers at the door. */
#include "test.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <zmq.h>

#include "base/random.h"
#include "transport_talk.h"

static void send_raw(const char *address, const void *bytes, size_t len)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 || send(fd, bytes, len, MSG_NOSIGNAL) < 0)
        TEST_FAIL("no connection");
    close(fd);
}

/* As next_message, over what is no frame: noise may pass for ZMTP 1.0, which has no greeting. */
static tspi_msg *next_frame(tspi_transport *t, int64_t deadline_ns)
{
    tspi_msg *msg;

    while (now_ns() < deadline_ns) {
        tsp_status rc = t->ops->recv(t, &msg, NULL);
        if (rc == TSP_OK)
            return msg;
        struct pollfd fd = {.fd = t->ops->wait_fd(t), .events = POLLIN};
        if (rc == TSP_EAGAIN)
            poll(&fd, 1, 100);
    }
    return NULL;
}

TEST(zmq, noise_on_the_port_does_no_harm)
{
    /* ZMTP 3 greeting, NULL mechanism, READY as PUSH, then a frame that claims 2^62 bytes. */
    static const uint8_t greedy[] =
        "\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        "\0\0\0\0\0\0\0\0\0\0\0\0"
        "\x04\x1a\x05READY\x0bSocket-Type\0\0\0\x04PUSH"
        "\x02\x40\0\0\0\0\0\0\0";
    tspi_transport *in = open_zmq("in", 0), *out = open_zmq("out", 0);
    tspi_random random;
    char address[256];
    uint8_t noise[4096];

    tspi_random_seed(&random, seed);
    listen_at(in, address);
    uint32_t peer = connect_to(out, address);
    for (uint32_t k = 0; k < 50; k++) {
        size_t len = 1 + tspi_random_below(&random, sizeof noise);
        tspi_random_bytes(&random, noise, len);
        send_raw(address, noise, len);
        send_raw(address, greedy, sizeof greedy - 1 - tspi_random_below(&random, 20));
        send_raw(address, greedy, sizeof greedy - 1);
        CHECK_INT(try_send(out, peer, labelled(0, 0, k, 0)), TSP_OK);
        tspi_msg *msg = next_frame(in, soon());
        REQUIRE(msg);
        CHECK_INT(read_label(msg).number, k);
        tspi_msg_free(msg);
    }
    out->ops->close(out);
    in->ops->close(in);
}

/* A stranger that speaks ZeroMQ but no frames: one error a message, and the next message is read. */
TEST(zmq, what_is_no_frame_is_refused)
{
    tspi_transport *in = open_zmq("in", 0);
    void *context = zmq_ctx_new(), *push = zmq_socket(context, ZMQ_PUSH);
    tspi_msg *good = labelled(0, 0, 5, 0), *msg;
    tsp_error err = {0};
    char address[256];
    tsp_status rc = TSP_EAGAIN;

    listen_at(in, address);
    CHECK_INT(zmq_connect(push, address), 0);
    zmq_send(push, "\xff\xff\xff\xff", 4, 0);
    zmq_send(push, good->frame, good->len, 0);
    for (int64_t deadline_ns = soon(); rc == TSP_EAGAIN && now_ns() < deadline_ns;) {
        struct pollfd fd = {.fd = in->ops->wait_fd(in), .events = POLLIN};
        if ((rc = in->ops->recv(in, &msg, &err)) == TSP_EAGAIN)
            poll(&fd, 1, 100);
    }
    CHECK_STATUS(rc, TSP_EPARSE, &err);
    expect(in, NULL, 0, 5);
    tspi_msg_free(good);
    zmq_close(push);
    zmq_ctx_term(context);
    in->ops->close(in);
}
