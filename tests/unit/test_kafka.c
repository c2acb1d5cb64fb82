/* What the Kafka driver does besides what every transport promises, against a real broker: groups of several workers,
 * topics an edge, losses told, what a run leaves behind, strangers' records. Skipped where there is no broker to start.
 */
#include "test.h"

#include <arpa/inet.h>
#include <librdkafka/rdkafka.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/random.h"
#include "kafka_rig.h"
#include "transport/transport.h"

#define NEEDS_BROKER                                                                                                   \
    do {                                                                                                               \
        if (!kafka_rig_broker())                                                                                       \
            SKIP(kafka_rig.err.message);                                                                               \
    } while (0)

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static tspi_msg *next_message(tspi_transport *t, int64_t timeout_ns)
{
    int64_t deadline_ns = now_ns() + timeout_ns;
    tspi_msg *msg = NULL;
    tsp_error err = {0};

    for (;;) {
        tsp_status rc = t->ops->recv(t, &msg, &err);
        if (rc == TSP_OK)
            return msg;
        if (rc != TSP_EAGAIN || now_ns() > deadline_ns) {
            CHECK_STATUS(rc, TSP_EAGAIN, &err);
            return NULL;
        }
        struct pollfd fd = {.fd = t->ops->wait_fd(t), .events = POLLIN};
        poll(&fd, 1, 5);
    }
}

static void send_number(tspi_transport *t, uint32_t peer, uint32_t number)
{
    tspi_msg *msg = tspi_msg_new(number);
    tsp_error err = {0};

    tspi_msg_set_payload(msg, &number, sizeof number);
    CHECK_STATUS(t->ops->send(t, peer, msg, &err), TSP_OK, &err);
}

/* ------------------------------------------------------------------ groups */

enum { WORKERS = 12, PER_WORKER = 50 };
static const char *const from[] = {"left", "right"};

struct worker {
    tspi_transport *t;
    char address[256];
    tsp_status rc;
    tsp_error err;
};

static _Atomic int listening; /* inboxes that are open, or failed */

static void *listen_in_thread(void *arg)
{
    struct worker *worker = arg;

    worker->rc = worker->t->ops->listen(worker->t, worker->address, sizeof worker->address, &worker->err);
    listening++;
    /* A group settles only while all its members look after it, as a lab's nodes do: nothing comes yet. */
    while (listening < WORKERS)
        CHECK(!next_message(worker->t, TSP_NS_PER_MS));
    return NULL;
}

/* Twelve, so that names sorted as text would come in another order than numbers; all at once, as a lab starts them. */
static void open_group(struct worker *workers)
{
    pthread_t threads[WORKERS];

    for (uint32_t k = 0; k < WORKERS; k++) {
        workers[k] = (struct worker){.t = kafka_rig_open(&(tspi_transport_config){.inbox = "sum-0",
                                                                                  .run = "group",
                                                                                  .stage = "sum",
                                                                                  .worker = k,
                                                                                  .workers = WORKERS,
                                                                                  .from = from,
                                                                                  .from_n = 2})};
        pthread_create(&threads[k], NULL, listen_in_thread, &workers[k]);
    }
    for (uint32_t k = 0; k < WORKERS; k++) {
        pthread_join(threads[k], NULL);
        CHECK_STATUS(workers[k].rc, TSP_OK, &workers[k].err);
    }
}

/* One message of worker k, if there is one soon: it was sent to k, and comes in its sender's order. */
static bool take_one(struct worker *worker, uint32_t k, uint32_t got[2])
{
    tspi_msg *msg = next_message(worker->t, TSP_NS_PER_MS);
    uint32_t number;
    size_t len;

    if (!msg)
        return false;
    memcpy(&number, tspi_msg_payload(msg, &len), sizeof number);
    CHECK_INT(number >> 16, k);
    CHECK_INT(number & 255, got[number >> 8 & 1]++);
    CHECK_INT(msg->key, number);
    tspi_msg_free(msg);
    return true;
}

TEST(kafka, each_worker_of_a_group_hears_what_is_sent_to_it)
{
    static struct worker workers[WORKERS];
    tspi_transport *out[2];
    uint32_t got[WORKERS][2] = {{0}}, left = WORKERS * 2 * PER_WORKER;

    NEEDS_BROKER;
    open_group(workers);
    for (uint32_t s = 0; s < 2; s++) {
        out[s] = kafka_rig_open(&(tspi_transport_config){.inbox = "out", .run = "group", .stage = from[s]});
        for (uint32_t k = 0; k < WORKERS; k++) {
            uint32_t peer;
            REQUIRE(out[s]->ops->connect(out[s], workers[k].address, &peer, NULL) == TSP_OK);
            for (uint32_t m = 0; m < PER_WORKER; m++)
                send_number(out[s], peer, k << 16 | s << 8 | m);
        }
    }
    /* In turns: a group settles only while all its members look after it, as a lab's nodes do. */
    for (int64_t deadline_ns = now_ns() + 30 * TSP_NS_PER_S; left && now_ns() < deadline_ns;)
        for (uint32_t k = 0; k < WORKERS; k++)
            left -= take_one(&workers[k], k, got[k]);
    CHECK_INT(left, 0);
    for (uint32_t s = 0; s < 2; s++)
        out[s]->ops->close(out[s]);
    for (uint32_t k = 0; k < WORKERS; k++)
        workers[k].t->ops->close(workers[k].t);
}

/* ------------------------------------------------------------------ losses */

/* A partition that the topic lacks stands for whatever keeps a message from being delivered. */
TEST(kafka, what_is_not_delivered_is_told)
{
    NEEDS_BROKER;
    tspi_transport *in = kafka_rig_open(&(tspi_transport_config){.inbox = "in", .run = "loss"});
    tspi_transport *out = kafka_rig_open(&(tspi_transport_config){.inbox = "out", .run = "loss"});
    char address[256];
    tsp_error err = {0};
    tsp_status rc = TSP_OK;
    uint32_t peer, bad;

    CHECK_STATUS(in->ops->listen(in, address, sizeof address, &err), TSP_OK, &err);
    CHECK_INT(out->ops->connect(out, address, &peer, NULL), TSP_OK);
    send_number(out, peer, 1);
    tspi_msg_free(next_message(in, 20 * TSP_NS_PER_S));
    CHECK_STATUS(out->ops->poll(out, now_ns() + TSP_NS_PER_S, &err), TSP_OK, &err);
    CHECK_INT(out->ops->connect(out, "kafka:loss.in/7", &bad, NULL), TSP_OK);
    tspi_msg *msg = tspi_msg_new(2);
    rc = out->ops->send(out, bad, msg, &err);
    if (rc != TSP_OK)
        tspi_msg_free(msg);
    for (int64_t deadline_ns = now_ns() + 20 * TSP_NS_PER_S; rc == TSP_OK && now_ns() < deadline_ns;) {
        poll(NULL, 0, 5);
        rc = out->ops->poll(out, now_ns() + TSP_NS_PER_S, &err);
    }
    CHECK_INT(rc, TSP_EIO);
    CHECK_CONTAINS(err.message, "partition");
    out->ops->close(out);
    in->ops->close(in);
}

/* ------------------------------------------------------------------ what a run leaves */

/* Topics and groups whose names begin with prefix. */
static int count_leftovers(const char *prefix)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    const struct rd_kafka_metadata *metadata = NULL;
    const struct rd_kafka_group_list *groups = NULL;
    char why[256];
    int n = 0;

    rd_kafka_conf_set(conf, "bootstrap.servers", kafka_rig_broker(), why, sizeof why);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    CHECK(!rd_kafka_metadata(client, 1, NULL, &metadata, 10000));
    CHECK(!rd_kafka_list_groups(client, NULL, &groups, 10000));
    for (int k = 0; metadata && k < metadata->topic_cnt; k++)
        n += !strncmp(metadata->topics[k].topic, prefix, strlen(prefix));
    for (int k = 0; groups && k < groups->group_cnt; k++)
        n += !strncmp(groups->groups[k].group, prefix, strlen(prefix));
    rd_kafka_metadata_destroy(metadata);
    rd_kafka_group_list_destroy(groups);
    rd_kafka_destroy(client);
    return n;
}

static void open_and_close(const char *run)
{
    tspi_transport *t = kafka_rig_open(&(tspi_transport_config){.inbox = "in", .run = run, .from = from, .from_n = 2});
    char address[256];
    tsp_error err = {0};

    CHECK_STATUS(t->ops->listen(t, address, sizeof address, &err), TSP_OK, &err);
    t->ops->close(t);
}

TEST(kafka, a_run_cleans_up_its_own_and_nothing_else)
{
    tsp_error err = {0};

    NEEDS_BROKER;
    open_and_close("clean");
    open_and_close("clean2");
    CHECK_INT(count_leftovers("clean."), 3);
    CHECK_STATUS(tspi_kafka_clean_up(kafka_rig_broker(), "clean", &err), TSP_OK, &err);
    for (int try = 0; try < 100 && count_leftovers("clean."); try++) /* a removal shows a moment later */
        poll(NULL, 0, 20);
    CHECK_INT(count_leftovers("clean."), 0);
    CHECK_INT(count_leftovers("clean2."), 3);
    CHECK_STATUS(tspi_kafka_clean_up(kafka_rig_broker(), "clean", &err), TSP_OK, &err);
}

/* ------------------------------------------------------------------ strangers */

/* Any key, any headers, any payload, or none of them. */
static void produce_strange(rd_kafka_t *client, tspi_random *random)
{
    uint8_t bytes[300];
    rd_kafka_headers_t *headers = rd_kafka_headers_new(2);

    tspi_random_bytes(random, bytes, sizeof bytes);
    for (uint64_t n = tspi_random_below(random, 4); n; n--) {
        const void *value = tspi_random_below(random, 3) ? bytes : NULL;
        rd_kafka_header_add(headers, (char *)bytes, (ssize_t)tspi_random_below(random, 20), value,
                            value ? (ssize_t)tspi_random_below(random, sizeof bytes) : 0);
    }
    void *payload = tspi_random_below(random, 3) ? bytes : NULL;
    size_t len = payload ? tspi_random_below(random, sizeof bytes) : 0;
    size_t key_len = tspi_random_below(random, 12);
    CHECK(!rd_kafka_producev(client, RD_KAFKA_V_TOPIC("strange.in"), RD_KAFKA_V_PARTITION(0),
                             RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_KEY(bytes, key_len),
                             RD_KAFKA_V_VALUE(payload, len), RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END));
}

TEST(kafka, strange_records_do_no_harm)
{
    enum { N = 2000 };
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    tspi_random random;
    char address[256], why[256];
    tsp_error err = {0};

    NEEDS_BROKER;
    tspi_random_seed(&random, seed);
    tspi_transport *in = kafka_rig_open(&(tspi_transport_config){.inbox = "in", .run = "strange"});
    CHECK_STATUS(in->ops->listen(in, address, sizeof address, &err), TSP_OK, &err);
    rd_kafka_conf_set(conf, "bootstrap.servers", kafka_rig_broker(), why, sizeof why);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    for (int k = 0; k < N; k++)
        produce_strange(client, &random);
    rd_kafka_flush(client, 10000);
    for (int k = 0; k < N; k++) {
        tspi_msg *msg = next_message(in, 20 * TSP_NS_PER_S);
        REQUIRE(msg);
        tspi_msg *again = NULL;
        CHECK_STATUS(tspi_msg_parse(msg->frame, msg->len, &again, &err), TSP_OK, &err);
        tspi_msg_free(again);
        tspi_msg_free(msg);
    }
    rd_kafka_destroy(client);
    in->ops->close(in);
}

/* ------------------------------------------------------------------ wrong words: no broker needed */

TEST(kafka, nobody_at_the_address_is_told_soon)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    char broker[64];
    tsp_error err = {0};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    /* Bound and not listening: refused, and nobody else takes it meanwhile. */
    REQUIRE(bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && getsockname(fd, (struct sockaddr *)&at, &size) == 0);
    snprintf(broker, sizeof broker, "127.0.0.1:%u", ntohs(at.sin_port));
    int64_t begun_ns = now_ns();
    CHECK_STATUS(tspi_kafka_probe(broker, TSP_NS_PER_S, NULL, &err), TSP_EIO, &err);
    CHECK(now_ns() - begun_ns < 4 * TSP_NS_PER_S);
    CHECK_CONTAINS(err.message, broker);
    CHECK_CONTAINS(err.message, "refused");
    volatile sig_atomic_t interrupted = 1;
    CHECK_STATUS(tspi_kafka_probe(broker, 60 * TSP_NS_PER_S, &interrupted, &err), TSP_EINTERRUPTED, &err);
    close(fd);
}

TEST(kafka, settings_are_checked)
{
    static const struct {
        const char *setting, *word;
    } rows[] = {{"no.such.setting=1", "no.such.setting"}, {"linger.ms=soon", "linger.ms"}, {"acks", "NAME=VALUE"}};
    tsp_error err = {0};

    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        const tspi_kafka_settings settings = {.broker = "127.0.0.1:9", .extra = &rows[k].setting, .extra_n = 1};
        CHECK_STATUS(tspi_kafka_check(&settings, &err), TSP_EINVAL, &err);
        CHECK_CONTAINS(err.message, rows[k].word);
    }
    const char *const good[] = {"compression.type=lz4", "linger.ms=3"};
    const tspi_kafka_settings settings = {.broker = "127.0.0.1:9", .acks = "1", .extra = good, .extra_n = 2};
    CHECK_STATUS(tspi_kafka_check(&settings, &err), TSP_OK, &err);
}
