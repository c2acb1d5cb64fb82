/* What the transport layer costs beside the bare client library, in one run (hop.h):
 *
 *   latency      1,000 messages a second; from before the message is built until after it is read. Target: p50 at most
 *                1.05 times the bare library's.
 *   throughput   as fast as they go. Target: at least 0.95 times the bare library's.
 *
 * Blocks alternate, layer and bare side by side, and each pair gives one ratio: what else the machine does hits both.
 * Both ways are opened anew every round, now one first, now the other: where threads and buffers come to lie counts for
 * some percent, and would count for one side in a whole run. A ratio is the median of its pairs, with the 95 % interval
 * of a median by ranks.
 *
 * usage: bench_hop [NAME ...]      of zmq, aeron-udp, aeron-ipc, kafka; all that can run here when none is named */
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "hop.h"
#include "lab/lab_stats.h"
#include "lab/priority.h"

enum { ROUNDS = 6, LATENCY_PAIRS = 12, FLOOD_PAIRS = 20, PER_BLOCK = 100, BODY_BYTES = 60 };
enum { LATENCY_N = ROUNDS * LATENCY_PAIRS, FLOOD_N = ROUNDS * FLOOD_PAIRS };
enum { LAYER, BARE, WAYS };
static const int64_t pace_ns = TSP_NS_PER_MS;
static const char traceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

static const hop_rig *const rigs[] = {
    &hop_zmq,
#ifdef HAVE_AERON
    &hop_aeron_udp,
    &hop_aeron_ipc,
#endif
#ifdef HAVE_KAFKA
    &hop_kafka,
#endif
};

int64_t hop_now_ns(void)
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

void hop_note(hop_way *way, const void *body, size_t len)
{
    int64_t sent_ns;

    if (len != BODY_BYTES)
        hop_die("another message than was sent");
    memcpy(&sent_ns, body, sizeof sent_ns);
    if (way->delays_ns)
        way->delays_ns[way->delays_n++] = hop_now_ns() - sent_ns;
    /* Nobody else writes it. */
    uint64_t received = atomic_load_explicit(&way->received, memory_order_relaxed);
    atomic_store_explicit(&way->received, received + 1, memory_order_release);
}

/* ------------------------------------------------------------------ the layer's way */

static bool layer_send(hop_way *way, const tspi_content *content)
{
    tsp_status rc = tspi_transport_post(way->out, way->peer, content, NULL);

    if (rc != TSP_OK && rc != TSP_EAGAIN)
        hop_die("cannot send");
    return rc == TSP_OK;
}

static bool layer_read(void *way, const tspi_msg *msg)
{
    size_t len;

    if (!tspi_msg_header(msg, "traceparent", &len))
        hop_die("a header is missing");
    const void *body = tspi_msg_payload(msg, &len);
    hop_note(way, body, len);
    return true;
}

/* As a node of the lab does. */
static int layer_drain(hop_way *way)
{
    uint32_t n;
    tsp_status rc = tspi_transport_deliver(way->in, HOP_BATCH, layer_read, way, &n, NULL);

    if (rc != TSP_OK && rc != TSP_EAGAIN)
        hop_die("cannot receive");
    return (int)n;
}

static void poll_transport(tspi_transport *t)
{
    if (t->ops->poll && t->ops->poll(t, hop_now_ns(), NULL) != TSP_OK)
        hop_die("cannot go on");
}

static void layer_wait(hop_way *way)
{
    struct pollfd fd = {.fd = way->wait_fd, .events = POLLIN};
    int64_t wait_ns = TSP_NS_PER_S / 10;

    poll_transport(way->in);
    if (way->in->ops->due_ns) {
        int64_t due_ns = way->in->ops->due_ns(way->in), now_ns = hop_now_ns();
        wait_ns = due_ns < now_ns + wait_ns ? due_ns - now_ns : wait_ns;
    }
    if (wait_ns > 0)
        ppoll(&fd, 1, &(struct timespec){0, wait_ns}, NULL);
}

static void layer_turn(hop_way *way)
{
    poll_transport(way->out);
}

static void layer_close(hop_way *way)
{
    way->out->ops->close(way->out);
    way->in->ops->close(way->in);
}

static void open_layer(hop_way *way, const hop_rig *rig)
{
    const struct tspi_transport_ops *ops = tspi_transport_find(rig->scheme);
    tspi_transport_config config = {.host = rig->host, .inbox = "bench"};
    char address[256];
    tsp_error err = {0};

    *way = (hop_way){
        .send = layer_send, .drain = layer_drain, .wait = layer_wait, .turn = layer_turn, .close = layer_close};
    if (rig->configure)
        rig->configure(&config);
    if (ops->open(&config, &way->in, &err) != TSP_OK || ops->listen(way->in, address, sizeof address, &err) != TSP_OK)
        hop_die(err.message);
    config.inbox = "sender";
    if (ops->open(&config, &way->out, &err) != TSP_OK || ops->connect(way->out, address, &way->peer, &err) != TSP_OK)
        hop_die(err.message);
    way->wait_fd = ops->wait_fd(way->in);
}

/* ------------------------------------------------------------------ the receiver */

/* One thread for both ways, which serves the one that is measured: the other's would wake up in between. */
static struct {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t told;
    hop_way *_Atomic way; /* NULL = rest */
    bool at_rest, stop;
} receiver = {.lock = PTHREAD_MUTEX_INITIALIZER, .told = PTHREAD_COND_INITIALIZER};

/* As a lab node does: take what is there, then sleep. */
static void *receive(void *arg)
{
    (void)arg;
    prctl(PR_SET_TIMERSLACK, 1UL);
    for (;;) {
        hop_way *way = receiver.way;
        if (way && way->drain(way) == 0)
            way->wait(way);
        if (way)
            continue;
        pthread_mutex_lock(&receiver.lock);
        receiver.at_rest = true;
        pthread_cond_broadcast(&receiver.told);
        while (!receiver.way && !receiver.stop)
            pthread_cond_wait(&receiver.told, &receiver.lock);
        receiver.at_rest = false;
        bool stop = receiver.stop;
        pthread_mutex_unlock(&receiver.lock);
        if (stop)
            return NULL;
    }
}

static void serve(hop_way *way)
{
    pthread_mutex_lock(&receiver.lock);
    receiver.way = way;
    pthread_cond_broadcast(&receiver.told);
    while (!way && !receiver.at_rest)
        pthread_cond_wait(&receiver.told, &receiver.lock);
    pthread_mutex_unlock(&receiver.lock);
}

static void wait_for(hop_way *way, uint64_t received)
{
    const struct timespec nap = {0, 200000};

    for (int64_t begun_ns = hop_now_ns(); way->received < received; nanosleep(&nap, NULL)) {
        if (way->turn)
            way->turn(way);
        if (hop_now_ns() - begun_ns > 30 * TSP_NS_PER_S)
            hop_die("messages are missing");
    }
}

/* ------------------------------------------------------------------ blocks */

static bool send_one(hop_way *way, int64_t sent_ns)
{
    uint8_t body[BODY_BYTES] = {0};
    const tspi_msg_header_view header = {"traceparent", traceparent, sizeof "traceparent" - 1, sizeof traceparent - 1};
    const tspi_content content = {HOP_KEY, &header, 1, body, sizeof body};

    memcpy(body, &sent_ns, sizeof sent_ns);
    return way->send(way, &content);
}

static void send_until_taken(hop_way *way, const hop_rig *rig, int64_t sent_ns)
{
    while (!send_one(way, sent_ns))
        if (rig->full_nap_ns)
            nanosleep(&(struct timespec){0, rig->full_nap_ns}, NULL);
        else
            sched_yield();
}

/* Median hop of PER_BLOCK messages; delays_ns takes them all. */
static double latency_block(hop_way *way, const hop_rig *rig, int64_t *delays_ns)
{
    uint64_t until = way->received + PER_BLOCK;
    int64_t sorted_ns[PER_BLOCK];

    way->delays_ns = delays_ns;
    way->delays_n = 0;
    serve(way);
    int64_t due_ns = hop_now_ns();
    for (int k = 0; k < PER_BLOCK; k++) {
        due_ns += pace_ns;
        struct timespec at = {due_ns / TSP_NS_PER_S, due_ns % TSP_NS_PER_S};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        send_until_taken(way, rig, hop_now_ns());
        if (way->turn)
            way->turn(way);
    }
    wait_for(way, until);
    serve(NULL);
    way->delays_ns = NULL;
    memcpy(sorted_ns, delays_ns, sizeof sorted_ns);
    tspi_sort_ns(sorted_ns, PER_BLOCK);
    return (double)tspi_quantile_ns(sorted_ns, PER_BLOCK, 0.5);
}

static int64_t process_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return used.tv_sec * TSP_NS_PER_S + used.tv_nsec;
}

/* Messages a second, and ns of processor time a message. */
static double flood_block(hop_way *way, const hop_rig *rig, double *ret_cpu_ns)
{
    uint64_t until = way->received + rig->flood;

    serve(way);
    int64_t begun_ns = hop_now_ns(), begun_cpu_ns = process_cpu_ns();
    for (uint32_t k = 0; k < rig->flood; k++)
        send_until_taken(way, rig, begun_ns);
    wait_for(way, until);
    double taken_ns = (double)(hop_now_ns() - begun_ns);
    *ret_cpu_ns = (double)(process_cpu_ns() - begun_cpu_ns) / rig->flood;
    serve(NULL);
    return 1e9 * rig->flood / taken_ns;
}

/* ------------------------------------------------------------------ a system */

static struct {
    int64_t delays_ns[WAYS][LATENCY_N * PER_BLOCK];
    double p50_ns[WAYS][LATENCY_N], rate[WAYS][FLOOD_N], cpu_ns[WAYS][FLOOD_N];
} seen;

static void round_of(const hop_rig *rig, int number)
{
    static hop_way ways[WAYS];
    static int64_t unused_ns[PER_BLOCK];

    for (int k = 0; k < WAYS; k++) {
        int w = (number + k) % WAYS;
        if (w == LAYER)
            open_layer(&ways[w], rig);
        else
            rig->open_bare(&ways[w]);
    }
    for (uint32_t k = 0; k < 2 + (number ? 0 : rig->warm_blocks); k++)
        latency_block(&ways[k % WAYS], rig, unused_ns);
    for (int pair = number * LATENCY_PAIRS; pair < (number + 1) * LATENCY_PAIRS; pair++)
        for (int k = 0; k < WAYS; k++) {
            int w = (pair + k) % WAYS;
            seen.p50_ns[w][pair] = latency_block(&ways[w], rig, &seen.delays_ns[w][pair * PER_BLOCK]);
        }
    for (int pair = number * FLOOD_PAIRS; pair < (number + 1) * FLOOD_PAIRS; pair++)
        for (int k = 0; k < WAYS; k++) {
            int w = (pair + k) % WAYS;
            seen.rate[w][pair] = flood_block(&ways[w], rig, &seen.cpu_ns[w][pair]);
        }
    for (int w = 0; w < WAYS; w++)
        ways[w].close(&ways[w]);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values, int n)
{
    double sorted[LATENCY_N > FLOOD_N ? LATENCY_N : FLOOD_N];

    memcpy(sorted, values, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, by_size);
    return 0.5 * (sorted[(n - 1) / 2] + sorted[n / 2]);
}

/* Median of layer over bare, pair by pair. Its interval: the values whose ranks lie 1.96 standard deviations of a
 * binomial with p = 1/2 from the middle. */
static tspi_ratio ratio_of(const double *layer, const double *bare, int n)
{
    double ratios[LATENCY_N > FLOOD_N ? LATENCY_N : FLOOD_N];
    int off = (int)(0.98 * sqrt(n)) + 1;

    for (int k = 0; k < n; k++)
        ratios[k] = layer[k] / bare[k];
    qsort(ratios, (size_t)n, sizeof *ratios, by_size);
    return (tspi_ratio){median(ratios, n), ratios[n / 2 - off], ratios[(n - 1) / 2 + off]};
}

/* One row of the table. */
static void measure(const hop_rig *rig)
{
    double p99_us[WAYS];

    for (int number = 0; number < ROUNDS; number++)
        round_of(rig, number);
    for (int w = 0; w < WAYS; w++) {
        tspi_sort_ns(seen.delays_ns[w], LATENCY_N * PER_BLOCK);
        p99_us[w] = 1e-3 * (double)tspi_quantile_ns(seen.delays_ns[w], LATENCY_N * PER_BLOCK, 0.99);
    }
    tspi_ratio p50 = ratio_of(seen.p50_ns[LAYER], seen.p50_ns[BARE], LATENCY_N),
               rate = ratio_of(seen.rate[LAYER], seen.rate[BARE], FLOOD_N),
               cpu = ratio_of(seen.cpu_ns[LAYER], seen.cpu_ns[BARE], FLOOD_N);
    printf("| %s | %.1f / %.1f us | %.3f (%.3f – %.3f) | %.0f / %.0f us | %.0f / %.0f | %.3f (%.3f – %.3f) | "
           "%.0f / %.0f ns | %.3f (%.3f – %.3f) |\n",
           rig->name, 1e-3 * median(seen.p50_ns[LAYER], LATENCY_N), 1e-3 * median(seen.p50_ns[BARE], LATENCY_N),
           p50.ratio, p50.lo, p50.hi, p99_us[LAYER], p99_us[BARE], 1e-3 * median(seen.rate[LAYER], FLOOD_N),
           1e-3 * median(seen.rate[BARE], FLOOD_N), rate.ratio, rate.lo, rate.hi, median(seen.cpu_ns[LAYER], FLOOD_N),
           median(seen.cpu_ns[BARE], FLOOD_N), cpu.ratio, cpu.lo, cpu.hi);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    tspi_prefer_this_process(TSPI_PREFER_NODE); /* as the lab's nodes are */
    prctl(PR_SET_TIMERSLACK, 1UL);
    pthread_create(&receiver.thread, NULL, receive, NULL);
    puts("| | p50, layer / bare | ratio (95 %) | p99, layer / bare | 1,000 messages/s at saturation, layer / bare | "
         "ratio (95 %) | processor time a message, layer / bare | ratio (95 %) |\n"
         "| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (size_t k = 0; k < sizeof rigs / sizeof *rigs; k++) {
        bool wanted = argc < 2;
        for (int a = 1; a < argc; a++)
            wanted |= !strcmp(argv[a], rigs[k]->name);
        if (wanted)
            measure(rigs[k]);
    }
    pthread_mutex_lock(&receiver.lock);
    receiver.stop = true;
    pthread_cond_broadcast(&receiver.told);
    pthread_mutex_unlock(&receiver.lock);
    pthread_join(receiver.thread, NULL);
    return 0;
}
