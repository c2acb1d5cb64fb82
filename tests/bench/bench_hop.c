/* What the transport layer costs beside the bare client library, in alternating blocks of one run (hop.h):
 *
 *   latency      1,000 messages a second; from before the message is built until after it is read. Target: p50 at most
 *                1.05 times the bare library's.
 *   throughput   as fast as they go. Target: at least 0.95 times the bare library's.
 *
 * usage: bench_hop [NAME ...]      of zmq, aeron-udp, aeron-ipc; all that the build has when none is named */
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "hop.h"
#include "lab/priority.h"

enum { LATENCY_BLOCKS = 60, PER_BLOCK = 100, BATCH = 64, BODY_BYTES = 60 };
static const int64_t pace_ns = TSP_NS_PER_MS;
static const char traceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

static const hop_rig *const rigs[] = {
    &hop_zmq,
#ifdef HAVE_AERON
    &hop_aeron_udp,
    &hop_aeron_ipc,
#endif
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

void hop_die(const char *what)
{
    fprintf(stderr, "bench_hop: %s\n", what);
    exit(2);
}

void hop_note(hop_way *way, int64_t sent_ns)
{
    if (way->delays_ns)
        way->delays_ns[way->delays_n++] = now_ns() - sent_ns;
    way->received++;
}

/* ------------------------------------------------------------------ the bare ways' message */

enum { NAME_LEN = 11, VALUE_LEN = sizeof traceparent - 1, NAME_AT = 4 + 6, BODY_AT = NAME_AT + NAME_LEN + VALUE_LEN };

/* The layer's own frame (transport.h), written by somebody who knows what is in it. */
void hop_write_frame(uint8_t ret_frame[HOP_FRAME_MAX], int64_t sent_ns)
{
    static const uint8_t head[NAME_AT] = {6 + NAME_LEN + VALUE_LEN, 0, 0, 0, NAME_LEN, 0, VALUE_LEN, 0, 0, 0};
    uint8_t body[BODY_BYTES] = {0};

    memcpy(body, &sent_ns, sizeof sent_ns);
    memcpy(ret_frame, head, sizeof head);
    memcpy(ret_frame + NAME_AT, "traceparent", NAME_LEN);
    memcpy(ret_frame + NAME_AT + NAME_LEN, traceparent, VALUE_LEN);
    memcpy(ret_frame + BODY_AT, body, sizeof body);
}

int64_t hop_read_frame(const uint8_t *frame, size_t len)
{
    int64_t sent_ns;

    if (len != BODY_AT + BODY_BYTES || frame[4] != NAME_LEN || frame[6] != VALUE_LEN ||
        memcmp(frame + NAME_AT, "traceparent", NAME_LEN) != 0)
        hop_die("another message than was sent");
    memcpy(&sent_ns, frame + BODY_AT, sizeof sent_ns);
    return sent_ns;
}

/* ------------------------------------------------------------------ the layer's way */

static bool layer_send(hop_way *way, int64_t sent_ns)
{
    uint8_t body[BODY_BYTES] = {0};
    tspi_msg *msg = tspi_msg_new(7);

    memcpy(body, &sent_ns, sizeof sent_ns);
    if (!msg || tspi_msg_add_header(msg, "traceparent", traceparent, sizeof traceparent - 1) != TSP_OK ||
        tspi_msg_set_payload(msg, body, sizeof body) != TSP_OK)
        hop_die("no message");
    way->frame_bytes = msg->len;
    tsp_status rc = way->out->ops->send(way->out, way->peer, msg, NULL);
    if (rc == TSP_EAGAIN)
        tspi_msg_free(msg);
    else if (rc != TSP_OK)
        hop_die("cannot send");
    return rc == TSP_OK;
}

static int layer_drain(hop_way *way)
{
    int n = 0;

    for (; n < BATCH; n++) {
        tspi_msg *msg;
        int64_t sent_ns;
        size_t len;
        tsp_status rc = way->in->ops->recv(way->in, &msg, NULL);
        if (rc == TSP_EAGAIN)
            break;
        if (rc != TSP_OK || !tspi_msg_header(msg, "traceparent", &len))
            hop_die("cannot receive");
        memcpy(&sent_ns, tspi_msg_payload(msg, &len), sizeof sent_ns);
        tspi_msg_free(msg);
        hop_note(way, sent_ns);
    }
    return n;
}

static void poll_transport(tspi_transport *t)
{
    if (t->ops->poll && t->ops->poll(t, now_ns(), NULL) != TSP_OK)
        hop_die("cannot go on");
}

static void layer_wait(hop_way *way)
{
    struct pollfd fd = {.fd = way->wait_fd, .events = POLLIN};
    int64_t wait_ns = TSP_NS_PER_S / 10;

    poll_transport(way->in);
    if (way->in->ops->due_ns) {
        int64_t due_ns = way->in->ops->due_ns(way->in), now = now_ns();
        wait_ns = due_ns < now + wait_ns ? due_ns - now : wait_ns;
    }
    if (wait_ns > 0)
        ppoll(&fd, 1, &(struct timespec){0, wait_ns}, NULL);
}

static void layer_turn(hop_way *way)
{
    poll_transport(way->out);
}

static void open_layer(hop_way *way, const hop_rig *rig)
{
    const struct tspi_transport_ops *ops = tspi_transport_find(rig->scheme);
    tspi_transport_config config = {.host = rig->host, .inbox = "bench"};
    char address[256];
    tsp_error err = {0};

    *way = (hop_way){.send = layer_send, .drain = layer_drain, .wait = layer_wait, .turn = layer_turn};
    if (rig->configure)
        rig->configure(&config);
    if (ops->open(&config, &way->in, &err) != TSP_OK || ops->open(&config, &way->out, &err) != TSP_OK ||
        ops->listen(way->in, address, sizeof address, &err) != TSP_OK ||
        ops->connect(way->out, address, &way->peer, &err) != TSP_OK)
        hop_die(err.message);
    way->wait_fd = ops->wait_fd(way->in);
}

/* ------------------------------------------------------------------ measuring */

/* As a lab node does: take what is there, then sleep. */
static void *receive(void *arg)
{
    hop_way *way = arg;

    prctl(PR_SET_TIMERSLACK, 1UL);
    while (!way->stop)
        if (way->drain(way) == 0)
            way->wait(way);
    return NULL;
}

static void wait_for(hop_way *way, uint64_t received)
{
    const struct timespec nap = {0, 200000};

    for (int64_t begun_ns = now_ns(); way->received < received; nanosleep(&nap, NULL)) {
        if (way->turn)
            way->turn(way);
        if (now_ns() - begun_ns > 30 * TSP_NS_PER_S)
            hop_die("messages are missing");
    }
}

static void latency_block(hop_way *way)
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

static int64_t process_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * TSP_NS_PER_S + used.tv_nsec;
}

static void flood_block(hop_way *way, uint32_t n, int block)
{
    uint64_t until = way->received + n;
    int64_t begun_ns = now_ns(), begun_cpu_ns = process_cpu_ns();

    for (uint32_t k = 0; k < n; k++)
        while (!way->send(way, begun_ns))
            sched_yield(); /* a sleep would be measured, not the sending */
    wait_for(way, until);
    way->rates[block] = 1e9 * n / (double)(now_ns() - begun_ns);
    way->cpu_ns[block] = (double)(process_cpu_ns() - begun_cpu_ns) / n;
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

static double quantile_us(const hop_way *way, double p)
{
    return 1e-3 * (double)way->delays_ns[(size_t)(p * (double)(way->delays_n - 1))];
}

static void begin(hop_way ways[2], const hop_rig *rig)
{
    open_layer(&ways[0], rig);
    while (!ways[0].send(&ways[0], 0)) /* learns the frame's size */
        ;
    ways[1] = (hop_way){.frame_bytes = ways[0].frame_bytes};
    rig->open_bare(&ways[1]);
    while (!ways[1].send(&ways[1], 0))
        ;
    for (int w = 0; w < 2; w++) {
        pthread_create(&ways[w].thread, NULL, receive, &ways[w]);
        wait_for(&ways[w], 1);
    }
}

/* One row of the table: what is measured, the layer, the bare library, their ratio. */
static void measure(const hop_rig *rig)
{
    static hop_way ways[2];
    static int64_t delays_ns[2][LATENCY_BLOCKS * PER_BLOCK];

    begin(ways, rig);
    for (int w = 0; w < 2; w++) { /* not measured */
        latency_block(&ways[w]);
        ways[w].delays_ns = delays_ns[w];
    }
    for (int block = 0; block < LATENCY_BLOCKS; block++)
        for (int k = 0; k < 2; k++)
            latency_block(&ways[(block + k) % 2]);
    for (int w = 0; w < 2; w++)
        qsort(delays_ns[w], ways[w].delays_n, sizeof **delays_ns, by_size_ns);
    double p50[2], p99[2], rate[2];
    for (int w = 0; w < 2; w++) {
        p50[w] = quantile_us(&ways[w], 0.5);
        p99[w] = quantile_us(&ways[w], 0.99);
        ways[w].delays_ns = NULL;
    }
    for (int block = 0; block < HOP_FLOOD_BLOCKS; block++)
        for (int k = 0; k < 2; k++) {
            flood_block(&ways[(block + k) % 2], rig->flood, block);
        }
    double ratios[HOP_FLOOD_BLOCKS]; /* of blocks side by side: what the machine does besides hits both */
    for (int block = 0; block < HOP_FLOOD_BLOCKS; block++)
        ratios[block] = ways[0].rates[block] / ways[1].rates[block];
    qsort(ratios, HOP_FLOOD_BLOCKS, sizeof *ratios, by_size);
    for (int w = 0; w < 2; w++) {
        qsort(ways[w].rates, HOP_FLOOD_BLOCKS, sizeof *ways[w].rates, by_size);
        rate[w] = ways[w].rates[HOP_FLOOD_BLOCKS / 2];
        qsort(ways[w].cpu_ns, HOP_FLOOD_BLOCKS, sizeof *ways[w].cpu_ns, by_size);
        ways[w].stop = true;
        pthread_join(ways[w].thread, NULL);
    }
    printf("| %s | %.1f / %.1f us | %.3f | %.1f / %.1f us | %.0f / %.0f | %.3f | %.0f / %.0f ns |\n", rig->name, p50[0],
           p50[1], p50[0] / p50[1], p99[0], p99[1], 1e-3 * rate[0], 1e-3 * rate[1], ratios[HOP_FLOOD_BLOCKS / 2],
           ways[0].cpu_ns[HOP_FLOOD_BLOCKS / 2], ways[1].cpu_ns[HOP_FLOOD_BLOCKS / 2]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    tspi_prefer_this_process(TSPI_PREFER_NODE); /* as the lab's nodes are */
    prctl(PR_SET_TIMERSLACK, 1UL);
    puts("| | p50, layer / bare | ratio | p99, layer / bare | 1,000 messages/s at saturation, layer / bare | ratio | "
         "processor time "
         "a message, layer / bare |\n| --- | --- | --- | --- | --- | --- | --- |");
    for (size_t k = 0; k < sizeof rigs / sizeof *rigs; k++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++)
            wanted |= !strcmp(argv[a], rigs[k]->name);
        if (wanted)
            measure(rigs[k]);
    }
    return 0;
}
