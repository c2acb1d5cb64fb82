/* What the transport layer costs beside a bare libzmq PUSH/PULL pair over loopback TCP: the same bytes, the same
 * options, the same way of waiting, in alternating blocks of one run.
 *
 *   latency      1,000 messages a second; from before the message is built until after it is read. Target: p50 at most
 *                1.05 times the bare pair's.
 *   throughput   as fast as they go. Target: at least 0.95 times the bare pair's. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <zmq.h>

#include "lab/priority.h"
#include "transport/transport.h"

enum { LATENCY_BLOCKS = 60, PER_BLOCK = 100, FLOOD_BLOCKS = 7, FLOOD = 200000, BODY_BYTES = 60 };
static const int64_t pace_ns = TSP_NS_PER_MS;
static const char traceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

/* One of the two ways from sender to receiver. */
struct way {
    const char *name;
    bool (*send)(struct way *way, int64_t sent_ns);      /* false: no room */
    bool (*recv)(struct way *way, int64_t *ret_sent_ns); /* false: nothing there */
    int wait_fd;
    tspi_transport *out, *in;
    uint32_t peer;
    void *push, *pull;
    size_t frame_bytes;
    pthread_t receiver;
    _Atomic uint64_t received;
    _Atomic bool stop;
    int64_t *delays_ns; /* of the receiver, while it measures */
    _Atomic size_t delays_n;
    double rates[FLOOD_BLOCKS];
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_hop: %s\n", what);
    exit(2);
}

/* ------------------------------------------------------------------ the two ways */

static bool layer_send(struct way *way, int64_t sent_ns)
{
    uint8_t body[BODY_BYTES] = {0};
    tspi_msg *msg = tspi_msg_new(7);

    memcpy(body, &sent_ns, sizeof sent_ns);
    if (!msg || tspi_msg_add_header(msg, "traceparent", traceparent, sizeof traceparent - 1) != TSP_OK ||
        tspi_msg_set_payload(msg, body, sizeof body) != TSP_OK)
        die("no message");
    way->frame_bytes = msg->len;
    tsp_status rc = way->out->ops->send(way->out, way->peer, msg, NULL);
    if (rc == TSP_EAGAIN)
        tspi_msg_free(msg);
    else if (rc != TSP_OK)
        die("cannot send");
    return rc == TSP_OK;
}

static bool layer_recv(struct way *way, int64_t *ret_sent_ns)
{
    tspi_msg *msg;
    size_t len;
    tsp_status rc = way->in->ops->recv(way->in, &msg, NULL);

    if (rc == TSP_EAGAIN)
        return false;
    if (rc != TSP_OK || !tspi_msg_header(msg, "traceparent", &len))
        die("cannot receive");
    memcpy(ret_sent_ns, tspi_msg_payload(msg, &len), sizeof *ret_sent_ns);
    tspi_msg_free(msg);
    return true;
}

static bool bare_send(struct way *way, int64_t sent_ns)
{
    uint8_t frame[256] = {0};

    memcpy(frame, &sent_ns, sizeof sent_ns);
    return zmq_send(way->push, frame, way->frame_bytes, ZMQ_DONTWAIT) >= 0;
}

static bool bare_recv(struct way *way, int64_t *ret_sent_ns)
{
    uint8_t frame[256];

    if (zmq_recv(way->pull, frame, sizeof frame, ZMQ_DONTWAIT) < 0)
        return false;
    memcpy(ret_sent_ns, frame, sizeof *ret_sent_ns);
    return true;
}

static void open_layer(struct way *way)
{
    const tspi_transport_config config = {.host = "127.0.0.1", .inbox = "bench"};
    const struct tspi_transport_ops *ops = tspi_transport_find("zmq");
    char address[256];

    *way = (struct way){.name = "transport layer", .send = layer_send, .recv = layer_recv};
    if (ops->open(&config, &way->in, NULL) != TSP_OK || ops->open(&config, &way->out, NULL) != TSP_OK ||
        ops->listen(way->in, address, sizeof address, NULL) != TSP_OK ||
        ops->connect(way->out, address, &way->peer, NULL) != TSP_OK)
        die("cannot open the transport");
    way->wait_fd = ops->wait_fd(way->in);
}

static void open_bare(struct way *way, size_t frame_bytes)
{
    char address[256];
    int hwm = 100000, linger = 0;
    size_t size = sizeof address, fd_size = sizeof way->wait_fd;

    *way = (struct way){.name = "bare libzmq", .send = bare_send, .recv = bare_recv, .frame_bytes = frame_bytes};
    way->pull = zmq_socket(zmq_ctx_new(), ZMQ_PULL);
    way->push = zmq_socket(zmq_ctx_new(), ZMQ_PUSH);
    zmq_setsockopt(way->pull, ZMQ_RCVHWM, &hwm, sizeof hwm);
    zmq_setsockopt(way->push, ZMQ_SNDHWM, &hwm, sizeof hwm);
    zmq_setsockopt(way->push, ZMQ_LINGER, &linger, sizeof linger);
    if (zmq_bind(way->pull, "tcp://127.0.0.1:*") != 0 ||
        zmq_getsockopt(way->pull, ZMQ_LAST_ENDPOINT, address, &size) != 0 || zmq_connect(way->push, address) != 0 ||
        zmq_getsockopt(way->pull, ZMQ_FD, &way->wait_fd, &fd_size) != 0)
        die("cannot open the bare pair");
}

/* ------------------------------------------------------------------ measuring */

/* As a lab node does: take what is there, then sleep on the descriptor. */
static void *receive(void *arg)
{
    struct way *way = arg;
    int64_t sent_ns;

    prctl(PR_SET_TIMERSLACK, 1UL);
    while (!way->stop) {
        if (!way->recv(way, &sent_ns)) {
            struct pollfd fd = {.fd = way->wait_fd, .events = POLLIN};
            poll(&fd, 1, 100);
            continue;
        }
        if (way->delays_ns)
            way->delays_ns[way->delays_n++] = now_ns() - sent_ns;
        way->received++;
    }
    return NULL;
}

static void wait_for(struct way *way, uint64_t received)
{
    const struct timespec nap = {0, 200000};

    for (int64_t begun_ns = now_ns(); way->received < received; nanosleep(&nap, NULL))
        if (now_ns() - begun_ns > 30 * TSP_NS_PER_S)
            die("messages are missing");
}

static void latency_block(struct way *way)
{
    uint64_t until = way->received + PER_BLOCK;
    int64_t due_ns = now_ns();

    for (int k = 0; k < PER_BLOCK; k++) {
        due_ns += pace_ns;
        struct timespec at = {due_ns / TSP_NS_PER_S, due_ns % TSP_NS_PER_S};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        while (!way->send(way, now_ns())) {
        }
    }
    wait_for(way, until);
}

static double flood_block(struct way *way)
{
    uint64_t until = way->received + FLOOD;
    int64_t begun_ns = now_ns();
    const struct timespec nap = {0, 100000};

    for (int k = 0; k < FLOOD; k++)
        while (!way->send(way, begun_ns))
            nanosleep(&nap, NULL);
    wait_for(way, until);
    return 1e9 * FLOOD / (double)(now_ns() - begun_ns);
}

static int by_size_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile_us(const struct way *way, double p)
{
    return 1e-3 * (double)way->delays_ns[(size_t)(p * (double)(way->delays_n - 1))];
}

int main(void)
{
    static struct way ways[2];
    static int64_t delays_ns[2][LATENCY_BLOCKS * PER_BLOCK];

    tspi_prefer_this_process(TSPI_PREFER_NODE); /* as the lab's nodes are */
    prctl(PR_SET_TIMERSLACK, 1UL);
    open_layer(&ways[0]);
    layer_send(&ways[0], 0); /* learns the frame's size */
    open_bare(&ways[1], ways[0].frame_bytes);
    bare_send(&ways[1], 0);
    for (int w = 0; w < 2; w++) {
        pthread_create(&ways[w].receiver, NULL, receive, &ways[w]);
        wait_for(&ways[w], 1);
    }
    for (int w = 0; w < 2; w++) { /* not measured */
        latency_block(&ways[w]);
        ways[w].delays_ns = delays_ns[w];
    }
    for (int block = 0; block < LATENCY_BLOCKS; block++)
        for (int k = 0; k < 2; k++)
            latency_block(&ways[(block + k) % 2]);
    for (int w = 0; w < 2; w++) {
        qsort(delays_ns[w], ways[w].delays_n, sizeof **delays_ns, by_size_ns);
        printf("%-16s hop of %zu bytes at 1,000/s: p50 %7.1f us, p99 %8.1f us\n", ways[w].name, ways[w].frame_bytes,
               quantile_us(&ways[w], 0.5), quantile_us(&ways[w], 0.99));
    }
    printf("ratio            p50 %.3f, p99 %.3f\n", quantile_us(&ways[0], 0.5) / quantile_us(&ways[1], 0.5),
           quantile_us(&ways[0], 0.99) / quantile_us(&ways[1], 0.99));
    ways[0].delays_ns = ways[1].delays_ns = NULL;
    for (int block = 0; block < FLOOD_BLOCKS; block++)
        for (int k = 0; k < 2; k++) {
            struct way *way = &ways[(block + k) % 2];
            way->rates[block] = flood_block(way);
        }
    for (int w = 0; w < 2; w++) {
        qsort(ways[w].rates, FLOOD_BLOCKS, sizeof *ways[w].rates, by_size);
        printf("%-16s at saturation: median %.0f messages/s, best %.0f\n", ways[w].name,
               ways[w].rates[FLOOD_BLOCKS / 2], ways[w].rates[FLOOD_BLOCKS - 1]);
        ways[w].stop = true;
        pthread_join(ways[w].receiver, NULL);
    }
    printf("ratio            %.3f\n", ways[0].rates[FLOOD_BLOCKS / 2] / ways[1].rates[FLOOD_BLOCKS / 2]);
    return 0;
}
