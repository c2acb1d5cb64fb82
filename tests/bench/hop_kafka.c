/* A bare producer and a bare consumer of librdkafka, by a real broker that the layer uses as well. */
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "hop.h"
#include "lab/broker.h"
#include "transport/kafka_inside.h"

enum { FLOOD = 60000, WARM_BLOCKS = 50, TOPIC_MS = 30000 };
/* The layer's pace of reading delivery reports. */
static const int64_t report_every_ns = 5 * TSP_NS_PER_MS;

static tspi_broker broker;
static tspi_kafka_settings settings;
static char folder[] = "bench-kafka-XXXXXX";

static void stop_broker(void)
{
    char path[64];

    tspi_broker_stop(&broker);
    snprintf(path, sizeof path, "%s/broker.log", folder);
    unlink(path);
    rmdir(folder);
}

static void configure(tspi_transport_config *config)
{
    static unsigned runs;
    static char run[32];
    tsp_error err = {0};

    if (!broker.pid) {
        if (!mkdtemp(folder) ||
            tspi_broker_start(&broker, &(tspi_broker_config){.folder = folder}, NULL, &err) != TSP_OK)
            hop_die(err.message);
        atexit(stop_broker);
        settings.broker = broker.address;
    }
    snprintf(run, sizeof run, "bench-%u", runs++);
    config->run = run;
    config->kafka = &settings;
}

static bool bare_send(hop_way *way, const tspi_content *content)
{
    const uint8_t key[8] = {0, 0, 0, 0, 0, 0, 0, HOP_KEY};
    rd_kafka_resp_err_t got = rd_kafka_producev(
        way->sender, RD_KAFKA_V_RKT(way->more[0]), RD_KAFKA_V_PARTITION(0), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(key, sizeof key), RD_KAFKA_V_VALUE((void *)content->payload, content->payload_len),
        RD_KAFKA_V_HEADER(content->headers->name, content->headers->value, content->headers->len), RD_KAFKA_V_END);

    if (got && got != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        hop_die(rd_kafka_err2str(got));
    if (got)
        rd_kafka_poll(way->sender, 0);
    return !got;
}

static void read_record(hop_way *way, rd_kafka_message_t *record)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t len;

    if (!record->err) {
        if (rd_kafka_message_headers(record, &headers) ||
            rd_kafka_header_get_last(headers, "traceparent", &value, &len))
            hop_die("a header is missing");
        hop_note(way, record->payload, record->len);
    }
    rd_kafka_message_destroy(record);
}

static int bare_drain(hop_way *way)
{
    rd_kafka_message_t *records[HOP_BATCH];
    uint64_t signals;
    ssize_t n = rd_kafka_consume_batch_queue(way->more[1], 0, records, HOP_BATCH);

    if (n <= 0 && read(way->wait_fd, &signals, sizeof signals) == sizeof signals)
        n = rd_kafka_consume_batch_queue(way->more[1], 0, records, HOP_BATCH);
    for (ssize_t k = 0; k < n; k++)
        read_record(way, records[k]);
    return (int)n;
}

static void bare_wait(hop_way *way)
{
    struct pollfd fd = {.fd = way->wait_fd, .events = POLLIN};
    poll(&fd, 1, 100);
}

static void bare_turn(hop_way *way)
{
    int64_t now_ns = hop_now_ns();

    if (now_ns - way->turned_ns < report_every_ns)
        return;
    way->turned_ns = now_ns;
    rd_kafka_poll(way->sender, 0);
}

static void on_report(rd_kafka_t *client, const rd_kafka_message_t *record, void *opaque)
{
    (void)client;
    (void)opaque;
    if (record->err)
        hop_die(rd_kafka_err2str(record->err));
}

static void bare_close(hop_way *way)
{
    rd_kafka_topic_destroy(way->more[0]);
    rd_kafka_destroy(way->sender);
    rd_kafka_queue_destroy(way->more[1]);
    rd_kafka_consumer_close(way->receiver);
    rd_kafka_destroy(way->receiver);
    close(way->wait_fd);
}

static void listen_to(hop_way *way, const char *topic)
{
    static const uint64_t one = 1;
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);

    rd_kafka_poll_set_consumer(way->receiver);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(way->receiver, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    way->wait_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    way->more[1] = rd_kafka_queue_get_consumer(way->receiver);
    rd_kafka_queue_io_event_enable(way->more[1], way->wait_fd, &one, sizeof one);
}

static void open_bare(hop_way *way)
{
    static unsigned n;
    char name[32], *topic = name, why[128];
    rd_kafka_conf_t *out = tspi_kafka_conf_producer(&settings, NULL);
    rd_kafka_t *producer, *consumer;

    snprintf(name, sizeof name, "bare-%u", n++);
    rd_kafka_conf_t *in = tspi_kafka_conf_consumer(&settings, name, "bare", NULL);
    *way = (hop_way){.send = bare_send, .drain = bare_drain, .wait = bare_wait, .turn = bare_turn, .close = bare_close};
    rd_kafka_conf_set_dr_msg_cb(out, on_report);
    rd_kafka_conf_set(in, "enable.auto.offset.store", "true", why, sizeof why);
    if (tspi_kafka_client(RD_KAFKA_PRODUCER, out, &settings, &producer, NULL) != TSP_OK ||
        tspi_kafka_client(RD_KAFKA_CONSUMER, in, &settings, &consumer, NULL) != TSP_OK ||
        tspi_kafka_make_topics(producer, &topic, 1, 1, TOPIC_MS, NULL) != TSP_OK)
        hop_die("cannot open the bare client");
    way->sender = producer;
    way->receiver = consumer;
    way->more[0] = rd_kafka_topic_new(producer, topic, NULL);
    listen_to(way, topic);
}

const hop_rig hop_kafka = {.name = "kafka",
                           .scheme = "kafka",
                           .configure = configure,
                           .open_bare = open_bare,
                           .flood = FLOOD,
                           .warm_blocks = WARM_BLOCKS,
                           .full_nap_ns = 100000};
