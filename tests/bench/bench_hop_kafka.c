/* What the transport layer costs beside bare librdkafka, by one real broker, in alternating blocks of one run: the same
 * bytes, headers, key and settings, the same way of waiting.
 *
 *   latency      1,000 messages a second; from before the message is built until after it is read. Target: p50 at most
 *                1.05 times the bare client's.
 *   throughput   as fast as they go. Target: at least 0.95 times the bare client's. */
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "lab/broker.h"
#include "lab/priority.h"
#include "transport/kafka_inside.h"

enum { WARM_BLOCKS = 50, LATENCY_BLOCKS = 80, PER_BLOCK = 100, FLOOD_BLOCKS = 9, FLOOD = 60000, BODY_BYTES = 60 };
static const char traceparent[] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03";

struct way {
    const char *name;
    bool (*send)(struct way *way, int64_t sent_ns);      /* false: no room */
    bool (*recv)(struct way *way, int64_t *ret_sent_ns); /* false: nothing there */
    void (*turn)(struct way *way);                       /* on the sender's thread: read delivery reports */
    int wait_fd;
    tspi_transport *out, *in;
    uint32_t peer;
    rd_kafka_t *producer, *consumer;
    rd_kafka_topic_t *topic;
    pthread_t receiver;
    _Atomic uint64_t received;
    _Atomic bool stop;
    int64_t *delays_ns;
    _Atomic size_t delays_n;
    double rates[FLOOD_BLOCKS];
};

static tspi_broker broker;
static char folder[] = "bench-kafka-XXXXXX";

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_hop_kafka: %s\n", what);
    exit(2);
}

/* ------------------------------------------------------------------ the layer */

static bool layer_send(struct way *way, int64_t sent_ns)
{
    uint8_t body[BODY_BYTES] = {0};
    tspi_msg *msg = tspi_msg_new(7);

    memcpy(body, &sent_ns, sizeof sent_ns);
    if (!msg || tspi_msg_add_header(msg, "traceparent", traceparent, sizeof traceparent - 1) != TSP_OK ||
        tspi_msg_set_payload(msg, body, sizeof body) != TSP_OK)
        die("no message");
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

static void layer_turn(struct way *way)
{
    if (way->out->ops->poll(way->out, now_ns(), NULL) != TSP_OK)
        die("a message was not delivered");
}

static void open_layer(struct way *way, const tspi_kafka_settings *settings)
{
    tspi_transport_config config = {.inbox = "layer", .run = "bench", .kafka = settings};
    const struct tspi_transport_ops *ops = tspi_transport_find("kafka");
    char address[256];

    *way = (struct way){.name = "transport layer", .send = layer_send, .recv = layer_recv, .turn = layer_turn};
    if (ops->open(&config, &way->in, NULL) != TSP_OK || ops->listen(way->in, address, sizeof address, NULL) != TSP_OK)
        die("cannot open the transport");
    config.inbox = "sender";
    if (ops->open(&config, &way->out, NULL) != TSP_OK || ops->connect(way->out, address, &way->peer, NULL) != TSP_OK)
        die("cannot open the transport");
    way->wait_fd = ops->wait_fd(way->in);
}

/* ------------------------------------------------------------------ bare librdkafka */

static bool bare_send(struct way *way, int64_t sent_ns)
{
    uint8_t body[BODY_BYTES] = {0}, key[8] = {0, 0, 0, 0, 0, 0, 0, 7};

    memcpy(body, &sent_ns, sizeof sent_ns);
    rd_kafka_resp_err_t got = rd_kafka_producev(
        way->producer, RD_KAFKA_V_RKT(way->topic), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(key, sizeof key), RD_KAFKA_V_VALUE(body, sizeof body),
        RD_KAFKA_V_HEADER("traceparent", traceparent, sizeof traceparent - 1), RD_KAFKA_V_END);
    if (got && got != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        die(rd_kafka_err2str(got));
    if (got)
        rd_kafka_poll(way->producer, 0);
    return !got;
}

static bool bare_recv(struct way *way, int64_t *ret_sent_ns)
{
    uint64_t signals;
    rd_kafka_message_t *record = rd_kafka_consumer_poll(way->consumer, 0);

    if (!record && read(way->wait_fd, &signals, sizeof signals) == sizeof signals)
        record = rd_kafka_consumer_poll(way->consumer, 0);
    if (!record)
        return false;
    bool good = !record->err && record->len == BODY_BYTES;
    rd_kafka_headers_t *headers;
    const void *value;
    size_t len;
    if (good &&
        (rd_kafka_message_headers(record, &headers) || rd_kafka_header_get_last(headers, "traceparent", &value, &len)))
        die("a header is missing");
    if (good)
        memcpy(ret_sent_ns, record->payload, sizeof *ret_sent_ns);
    rd_kafka_message_destroy(record);
    return good;
}

/* As the layer, at the same pace. */
static void bare_turn(struct way *way)
{
    static int64_t last_ns;
    int64_t now = now_ns();

    if (now - last_ns < 5 * TSP_NS_PER_MS)
        return;
    last_ns = now;
    rd_kafka_poll(way->producer, 0);
}

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *record, void *opaque)
{
    (void)client;
    (void)opaque;
    if (record->err)
        die(rd_kafka_err2str(record->err));
}

static void open_bare(struct way *way, const tspi_kafka_settings *settings)
{
    static char name[] = "bench.bare", *topic = name;
    static const uint64_t one = 1;
    rd_kafka_conf_t *out = tspi_kafka_conf_producer(settings, NULL);
    rd_kafka_conf_t *in = tspi_kafka_conf_consumer(settings, "bench.bare", "bare", NULL);

    *way = (struct way){.name = "bare librdkafka", .send = bare_send, .recv = bare_recv, .turn = bare_turn};
    rd_kafka_conf_set_dr_msg_cb(out, on_report);
    if (tspi_kafka_client(RD_KAFKA_PRODUCER, out, settings, &way->producer, NULL) != TSP_OK ||
        tspi_kafka_client(RD_KAFKA_CONSUMER, in, settings, &way->consumer, NULL) != TSP_OK ||
        tspi_kafka_make_topics(way->producer, &topic, 1, 1, 30000, NULL) != TSP_OK)
        die("cannot open the bare client");
    way->topic = rd_kafka_topic_new(way->producer, topic, NULL);
    rd_kafka_poll_set_consumer(way->consumer);
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(way->consumer, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    way->wait_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(way->consumer);
    rd_kafka_queue_io_event_enable(queue, way->wait_fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
}

/* ------------------------------------------------------------------ measuring */

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

    for (int64_t begun_ns = now_ns(); way->received < received; nanosleep(&nap, NULL)) {
        way->turn(way);
        if (now_ns() - begun_ns > 30 * TSP_NS_PER_S)
            die("messages are missing");
    }
}

static void latency_block(struct way *way)
{
    uint64_t until = way->received + PER_BLOCK;
    int64_t due_ns = now_ns();

    for (int k = 0; k < PER_BLOCK; k++) {
        due_ns += TSP_NS_PER_MS;
        struct timespec at = {due_ns / TSP_NS_PER_S, due_ns % TSP_NS_PER_S};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
        while (!way->send(way, now_ns())) {
        }
        way->turn(way);
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

static void measure_latency(struct way *ways)
{
    static int64_t delays_ns[2][LATENCY_BLOCKS * PER_BLOCK];

    for (int block = 0; block < WARM_BLOCKS; block++) /* not measured: a cold broker */
        latency_block(&ways[block % 2]);
    for (int w = 0; w < 2; w++)
        ways[w].delays_ns = delays_ns[w];
    for (int block = 0; block < LATENCY_BLOCKS; block++)
        for (int k = 0; k < 2; k++)
            latency_block(&ways[(block + k) % 2]);
    for (int w = 0; w < 2; w++) {
        qsort(delays_ns[w], ways[w].delays_n, sizeof **delays_ns, by_size_ns);
        printf("%-16s hop of %d bytes at 1,000/s: p50 %7.1f us, p99 %8.1f us\n", ways[w].name, BODY_BYTES,
               quantile_us(&ways[w], 0.5), quantile_us(&ways[w], 0.99));
    }
    printf("ratio            p50 %.3f, p99 %.3f\n", quantile_us(&ways[0], 0.5) / quantile_us(&ways[1], 0.5),
           quantile_us(&ways[0], 0.99) / quantile_us(&ways[1], 0.99));
    ways[0].delays_ns = ways[1].delays_ns = NULL;
}

static void stop_broker(void)
{
    char path[64];

    tspi_broker_stop(&broker);
    snprintf(path, sizeof path, "%s/broker.log", folder);
    unlink(path);
    rmdir(folder);
}

int main(void)
{
    static struct way ways[2];
    tsp_error err = {0};

    if (!mkdtemp(folder) || tspi_broker_start(&broker, &(tspi_broker_config){.folder = folder}, NULL, &err) != TSP_OK)
        die(err.message);
    atexit(stop_broker);
    const tspi_kafka_settings settings = {.broker = broker.address};
    tspi_prefer_this_process(TSPI_PREFER_NODE); /* as the lab's nodes are */
    prctl(PR_SET_TIMERSLACK, 1UL);
    open_layer(&ways[0], &settings);
    open_bare(&ways[1], &settings);
    for (int w = 0; w < 2; w++)
        pthread_create(&ways[w].receiver, NULL, receive, &ways[w]);
    measure_latency(ways);
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
