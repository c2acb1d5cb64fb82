/* What transport.h promises, checked on every driver: a new driver adds a row to `drivers`. */
#include "test.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <zmq.h>

#include "base/random.h"
#include "transport/fault.h"

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static tspi_transport *open_zmq(const char *inbox, uint16_t port)
{
    const tspi_transport_config config = {.host = "127.0.0.1", .port = port, .inbox = inbox};
    tspi_transport *t = NULL;
    tsp_error err = {0};

    CHECK_STATUS(tspi_transport_find("zmq")->open(&config, &t, &err), TSP_OK, &err);
    return t;
}

static tspi_transport *wrap(tspi_transport *inner)
{
    const tspi_fault_config config = {.delay_ns = 200000, .jitter_ns = 100000};
    tspi_transport *t = NULL;
    tspi_random random;

    tspi_random_seed(&random, seed);
    CHECK_INT(tspi_fault_wrap(inner, &config, &random, &t, NULL), TSP_OK);
    return t;
}

static tspi_transport *open_fault(const char *inbox, uint16_t port)
{
    return wrap(open_zmq(inbox, port));
}

#ifdef HAVE_AERON
#include "aeron_rig.h"

static tspi_transport *open_aeron_udp(const char *inbox, uint16_t port)
{
    return aeron_rig_open("127.0.0.1", inbox, port);
}

static tspi_transport *open_aeron_ipc(const char *inbox, uint16_t port)
{
    return aeron_rig_open("ipc", inbox, port);
}

static tspi_transport *open_aeron_fault(const char *inbox, uint16_t port)
{
    return wrap(open_aeron_udp(inbox, port));
}
#endif

#ifdef HAVE_KAFKA
#include "kafka_rig.h"

/* A run of its own for every inbox; its number stands for the port, by which an inbox is found again. */
static tspi_transport *open_kafka(const char *inbox, uint16_t port)
{
    static uint16_t runs;
    char run[32];

    snprintf(run, sizeof run, "%u-run", port ? port : ++runs);
    return kafka_rig_open(&(tspi_transport_config){.inbox = inbox, .run = run});
}

static tspi_transport *open_kafka_fault(const char *inbox, uint16_t port)
{
    return wrap(open_kafka(inbox, port));
}

static bool has_kafka(void)
{
    return kafka_rig_broker() != NULL;
}
#endif

static const struct driver {
    const char *name;
    tspi_transport *(*open)(const char *inbox, uint16_t port);
    bool holds;          /* what is sent leaves a little later, and not at all when it is closed before */
    bool window;         /* what does not fit into the receiver's window when the sender closes is lost */
    bool stores;         /* a broker keeps what nobody reads: a slow receiver stops nobody, and connections are dear */
    bool (*there)(void); /* NULL = always */
} drivers[] = {
    {"zmq", open_zmq, .holds = false},
    {"zmq behind the fault wrapper", open_fault, .holds = true},
#ifdef HAVE_AERON
    {"aeron over UDP", open_aeron_udp, .window = true},
    {"aeron through shared memory", open_aeron_ipc, .window = true},
    {"aeron behind the fault wrapper", open_aeron_fault, .holds = true, .window = true},
#endif
#ifdef HAVE_KAFKA
    {"kafka", open_kafka, .stores = true, .there = has_kafka},
    {"kafka behind the fault wrapper", open_kafka_fault, .holds = true, .stores = true, .there = has_kafka},
#endif
};

enum { DRIVERS_N = sizeof drivers / sizeof *drivers };

/* The next driver that is there. Says where the time goes, and which of them failed. */
static const struct driver *announce(const struct driver *driver)
{
    static int64_t begun_ns;
    static const struct driver *last;
    static int failures;

    if (last)
        printf("# %s: %.2f s%s\n", last->name, 1e-9 * (double)(now_ns() - begun_ns),
               test_failures > failures ? ", FAILED" : "");
    while (driver < drivers + DRIVERS_N && driver->there && !driver->there())
        driver++;
    begun_ns = now_ns();
    failures = driver ? test_failures : 0;
    last = driver < drivers + DRIVERS_N ? driver : NULL;
    return last;
}

#define FOR_EACH_DRIVER(driver_) for (const struct driver *driver_ = drivers; announce(driver_); driver_++)

/* ------------------------------------------------------------------ helpers */

static void turn(tspi_transport *t)
{
    tsp_error err = {0};
    if (t->ops->poll)
        CHECK_STATUS(t->ops->poll(t, now_ns(), &err), TSP_OK, &err);
}

static void listen_at(tspi_transport *t, char address[256])
{
    tsp_error err = {0};
    CHECK_STATUS(t->ops->listen(t, address, 256, &err), TSP_OK, &err);
}

static uint32_t connect_to(tspi_transport *t, const char *address)
{
    tsp_error err = {0};
    uint32_t peer = 0;
    CHECK_STATUS(t->ops->connect(t, address, &peer, &err), TSP_OK, &err);
    return peer;
}

/* What the tests send: who, and the how-manieth. */
struct label {
    uint32_t sender, key, number;
};

static tspi_msg *labelled(uint32_t sender, uint32_t key, uint32_t number, size_t padding)
{
    uint8_t payload[2048] = {0};
    const struct label label = {sender, key, number};
    tspi_msg *msg = tspi_msg_new((uint64_t)sender << 32 | key);

    memcpy(payload, &label, sizeof label);
    tspi_msg_set_payload(msg, payload, sizeof label + padding);
    return msg;
}

static tsp_status try_send(tspi_transport *t, uint32_t peer, tspi_msg *msg)
{
    tsp_error err = {0};
    tsp_status rc = t->ops->send(t, peer, msg, &err);

    turn(t);
    if (rc != TSP_OK && rc != TSP_EAGAIN)
        CHECK_STATUS(rc, TSP_OK, &err);
    if (rc != TSP_OK && rc != TSP_ECLOSED)
        tspi_msg_free(msg);
    return rc;
}

/* The next message, or NULL after deadline_ns. others: n transports that must have their turn meanwhile. */
static tspi_msg *next_message(tspi_transport *t, tspi_transport *const *others, size_t n, int64_t deadline_ns)
{
    tspi_msg *msg;
    tsp_error err = {0};

    for (;;) {
        tsp_status rc = t->ops->recv(t, &msg, &err);
        if (rc == TSP_OK)
            return msg;
        if (rc != TSP_EAGAIN) {
            CHECK_STATUS(rc, TSP_OK, &err);
            return NULL;
        }
        turn(t);
        int64_t now = now_ns(), due_ns = deadline_ns, own_ns = t->ops->due_ns ? t->ops->due_ns(t) : INT64_MAX;
        if (now > deadline_ns)
            return NULL;
        due_ns = own_ns < due_ns ? own_ns : due_ns;
        for (size_t k = 0; k < n; k++) {
            turn(others[k]);
            int64_t other_ns = others[k]->ops->due_ns ? others[k]->ops->due_ns(others[k]) : INT64_MAX;
            due_ns = other_ns < due_ns ? other_ns : due_ns;
        }
        struct pollfd fd = {.fd = t->ops->wait_fd(t), .events = POLLIN};
        int64_t wait_ns = due_ns > now ? due_ns - now : 0;
        struct timespec timeout = {wait_ns / TSP_NS_PER_S, wait_ns % TSP_NS_PER_S};
        ppoll(&fd, 1, &timeout, NULL);
    }
}

static int64_t soon(void)
{
    return now_ns() + 30 * TSP_NS_PER_S;
}

static struct label read_label(const tspi_msg *msg)
{
    struct label label = {UINT32_MAX, 0, 0};
    size_t len;
    const uint8_t *payload = tspi_msg_payload(msg, &len);

    if (len >= sizeof label)
        memcpy(&label, payload, sizeof label);
    return label;
}

static void expect(tspi_transport *t, tspi_transport *const *others, size_t n, uint32_t number)
{
    tspi_msg *msg = next_message(t, others, n, soon());
    if (!msg)
        TEST_FAIL("message %u did not come", number);
    else
        CHECK_INT(read_label(msg).number, number);
    tspi_msg_free(msg);
}

/* ------------------------------------------------------------------ the suite */

enum { SENDERS = 4, KEYS = 7 };

/* Receive a message and see that it is the next of its sender and key; false: none came. */
static bool take_in_order(tspi_transport *in, tspi_transport *const *out, size_t n, uint32_t got[SENDERS][KEYS])
{
    tspi_msg *msg = next_message(in, out, n, soon());

    if (!msg)
        return false;
    struct label label = read_label(msg);
    if (label.sender < SENDERS && label.key < KEYS)
        CHECK_INT(label.number, got[label.sender][label.key]++);
    else
        TEST_FAIL("a message nobody sent");
    tspi_msg_free(msg);
    return true;
}

static void check_order(const struct driver *driver)
{
    enum { N = 12000 };
    tspi_transport *in = driver->open("in", 0), *out[SENDERS];
    uint32_t sent[SENDERS][KEYS] = {{0}}, got[SENDERS][KEYS] = {{0}}, peer[SENDERS];
    int under_way = 0;
    tspi_random random;
    char address[256];

    tspi_random_seed(&random, seed);
    listen_at(in, address);
    for (int k = 0; k < SENDERS; k++) {
        out[k] = driver->open("out", 0);
        peer[k] = connect_to(out[k], address);
    }
    for (int k = 0; k < N; k++) {
        uint32_t s = (uint32_t)tspi_random_below(&random, SENDERS), key = (uint32_t)tspi_random_below(&random, KEYS);
        if (try_send(out[s], peer[s], labelled(s, key, sent[s][key], tspi_random_below(&random, 500))) == TSP_OK) {
            sent[s][key]++;
            under_way++;
        } else if (!take_in_order(in, out, SENDERS, got))
            break;
        else
            under_way--;
    }
    while (under_way > 0 && take_in_order(in, out, SENDERS, got))
        under_way--;
    CHECK(!memcmp(sent, got, sizeof sent));
    for (int k = 0; k < SENDERS; k++)
        turn(out[k]);
    CHECK(!next_message(in, NULL, 0, now_ns() + 20 * TSP_NS_PER_MS)); /* nothing twice */
    for (int k = 0; k < SENDERS; k++)
        out[k]->ops->close(out[k]);
    in->ops->close(in);
}

TEST(transport, order_is_kept_and_nothing_lost_or_doubled)
{
    FOR_EACH_DRIVER(driver)
    check_order(driver);
}

static void check_bytes(const struct driver *driver)
{
    static const size_t sizes[] = {0, 1, 13, 8000, 8191, 8192, 8193, 65536, 1000000, 8 * 1024 * 1024};
    enum { SIZES = sizeof sizes / sizeof *sizes, LARGEST = 8 * 1024 * 1024 };
    tspi_transport *in = driver->open("in", 0), *out = driver->open("out", 0);
    uint8_t *payload = malloc(LARGEST), value[SIZES][256];
    tspi_random random;
    char address[256];
    size_t len;

    tspi_random_seed(&random, seed);
    tspi_random_bytes(&random, payload, LARGEST);
    tspi_random_bytes(&random, value, sizeof value);
    listen_at(in, address);
    uint32_t peer = connect_to(out, address);
    for (size_t k = 0; k < SIZES; k++) {
        tspi_msg *msg = tspi_msg_new(k);
        value[k][k] = 0;
        CHECK_INT(tspi_msg_add_header(msg, "any bytes", value[k], sizeof value[k]), TSP_OK);
        CHECK_INT(tspi_msg_add_header(msg, "empty", NULL, 0), TSP_OK);
        CHECK_INT(tspi_msg_add_header(msg, "\xc3\xa9", "\0\0", 2), TSP_OK);
        CHECK_INT(tspi_msg_set_payload(msg, payload, sizes[k]), TSP_OK);
        CHECK_INT(try_send(out, peer, msg), TSP_OK);
    }
    for (size_t k = 0; k < SIZES; k++) {
        tspi_msg *msg = next_message(in, &out, 1, soon());
        REQUIRE(msg);
        const void *got = tspi_msg_header(msg, "any bytes", &len);
        CHECK(got && len == sizeof value[k] && !memcmp(got, value[k], len));
        CHECK(tspi_msg_header(msg, "empty", &len) && len == 0);
        got = tspi_msg_header(msg, "\xc3\xa9", &len);
        CHECK(got && len == 2 && !memcmp(got, "\0\0", 2));
        got = tspi_msg_payload(msg, &len);
        CHECK_INT(len, sizes[k]);
        CHECK(len != sizes[k] || !memcmp(got, payload, len));
        tspi_msg_free(msg);
    }
    free(payload);
    out->ops->close(out);
    in->ops->close(in);
}

TEST(transport, headers_and_payloads_arrive_byte_for_byte)
{
    FOR_EACH_DRIVER(driver)
    check_bytes(driver);
}

/* A receiver that does not read: the queues fill, send says so, other peers go on, and nothing is lost. */
static void check_slow_receiver(const struct driver *driver)
{
    enum { AT_MOST = 2000000, STORED = 150000 };
    tspi_transport *slow = driver->open("slow", 0), *fast = driver->open("fast", 0), *out = driver->open("out", 0);
    char slow_at[256], fast_at[256];
    uint32_t sent = 0;
    tsp_status rc = TSP_OK;

    listen_at(slow, slow_at);
    listen_at(fast, fast_at);
    uint32_t to_slow = connect_to(out, slow_at), to_fast = connect_to(out, fast_at);
    if (driver->stores) /* what cannot be refused for the receiver's sake is refused only while the broker catches up */
        while (sent < STORED)
            sent += try_send(out, to_slow, labelled(0, 0, sent, 100)) == TSP_OK;
    else {
        while (rc == TSP_OK && sent < AT_MOST)
            sent += (rc = try_send(out, to_slow, labelled(0, 0, sent, 100))) == TSP_OK;
        CHECK_INT(rc, TSP_EAGAIN);
        CHECK(sent > 500);
    }
    if (!driver->holds) { /* the wrapper's limit is for all peers together */
        CHECK_INT(try_send(out, to_fast, labelled(0, 0, 77, 0)), TSP_OK);
        expect(fast, &out, 1, 77);
    }
    for (uint32_t k = 0; k < sent; k++) {
        tspi_msg *msg = next_message(slow, &out, 1, soon());
        if (!msg || read_label(msg).number != k) {
            TEST_FAIL("message %u of %u is missing", k, sent);
            tspi_msg_free(msg);
            break;
        }
        tspi_msg_free(msg);
    }
    CHECK_INT(try_send(out, to_slow, labelled(0, 0, 88, 0)), TSP_OK); /* there is room again */
    expect(slow, &out, 1, 88);
    out->ops->close(out);
    fast->ops->close(fast);
    slow->ops->close(slow);
}

TEST(transport, a_slow_receiver_makes_send_wait_and_loses_nothing)
{
    FOR_EACH_DRIVER(driver)
    check_slow_receiver(driver);
}

/* The inbox goes and comes back at its address: what is sent from then on arrives, in order and once. What was under
 * way when it went may be lost. */
static void check_peer_back(const struct driver *driver)
{
    tspi_transport *in = driver->open("in", 0), *out = driver->open("out", 0);
    char address[256];
    tspi_msg *msg = NULL;
    uint32_t number = 0;

    listen_at(in, address);
    uint32_t peer = connect_to(out, address);
    for (; number < 100; number++)
        CHECK_INT(try_send(out, peer, labelled(0, 0, number, 0)), TSP_OK);
    for (uint32_t k = 0; k < 100; k++)
        expect(in, &out, 1, k);
    in->ops->close(in);
    for (; number < 200; number++)
        CHECK_INT(try_send(out, peer, labelled(0, 0, number, 0)), TSP_OK);
    in = driver->open("in", (uint16_t)atoi(strrchr(address, ':') + 1));
    listen_at(in, address);
    /* Send until something comes: the connection is there again. */
    uint32_t last = 0;
    for (int64_t deadline_ns = soon(); !msg && now_ns() < deadline_ns; number++) {
        CHECK_INT(try_send(out, peer, labelled(0, 0, number, 0)), TSP_OK);
        msg = next_message(in, &out, 1, now_ns() + TSP_NS_PER_MS);
    }
    REQUIRE(msg);
    uint32_t until = number + 100;
    for (; number < until; number++)
        CHECK_INT(try_send(out, peer, labelled(0, 0, number, 0)), TSP_OK);
    for (; msg; msg = last + 1 < until ? next_message(in, &out, 1, soon()) : NULL) {
        uint32_t got = read_label(msg).number;
        CHECK(got >= 100 && got > last && got < until);
        CHECK(last < until - 100 || got == last + 1);
        last = got;
        tspi_msg_free(msg);
    }
    CHECK_INT(last, until - 1);
    out->ops->close(out);
    in->ops->close(in);
}

TEST(transport, a_peer_may_go_and_come_back)
{
    FOR_EACH_DRIVER(driver)
    check_peer_back(driver);
}

/* The inbox need not be there yet when somebody connects and sends. */
static void check_early_bird(const struct driver *driver)
{
    tspi_transport *first = driver->open("in", 0), *out = driver->open("out", 0);
    char address[256];

    listen_at(first, address);
    first->ops->close(first);
    uint32_t peer = connect_to(out, address);
    for (uint32_t k = 0; k < 50; k++)
        CHECK_INT(try_send(out, peer, labelled(0, 0, k, 0)), TSP_OK);
    tspi_transport *in = driver->open("in", (uint16_t)atoi(strrchr(address, ':') + 1));
    listen_at(in, address);
    for (uint32_t k = 0; k < 50; k++)
        expect(in, &out, 1, k);
    out->ops->close(out);
    in->ops->close(in);
}

TEST(transport, an_inbox_may_open_after_the_first_message_is_sent)
{
    FOR_EACH_DRIVER(driver)
    check_early_bird(driver);
}

/* Send up to n numbered messages; how many went. Only a driver with a small window may refuse some. */
static uint32_t send_numbered(const struct driver *driver, tspi_transport *out, uint32_t peer, uint32_t from,
                              uint32_t n)
{
    for (uint32_t k = from; k < n; k++)
        if (try_send(out, peer, labelled(0, 0, k, 200)) != TSP_OK) {
            CHECK(driver->window);
            return k;
        }
    return n;
}

/* A sender that closes behind its last message: what left arrives in order, and a driver that holds nothing back
 * delivers all of it. Then a receiver that closes amid the stream. */
static void check_close(const struct driver *driver)
{
    enum { N = 5000 };
    tspi_transport *in = driver->open("in", 0), *out = driver->open("out", 0);
    char address[256];
    tspi_msg *msg;
    uint32_t got = 0;
    bool whole = !driver->holds && !driver->window;

    listen_at(in, address);
    uint32_t peer = connect_to(out, address), sent = send_numbered(driver, out, peer, 0, N);
    out->ops->close(out);
    while (got < sent && (msg = next_message(in, NULL, 0, whole ? soon() : now_ns() + 200 * TSP_NS_PER_MS))) {
        CHECK_INT(read_label(msg).number, got++);
        tspi_msg_free(msg);
    }
    CHECK(got > 0 || driver->holds);
    if (whole)
        CHECK_INT(got, N);
    out = driver->open("out", 0);
    peer = connect_to(out, address);
    sent = send_numbered(driver, out, peer, 0, N / 2);
    expect(in, &out, 1, 0);
    in->ops->close(in);
    send_numbered(driver, out, peer, sent, N);
    int64_t begun_ns = now_ns();
    out->ops->close(out); /* to nobody: it waits a moment, not for ever */
    CHECK(now_ns() - begun_ns < 5 * TSP_NS_PER_S);
}

TEST(transport, closing_amid_messages_neither_hangs_nor_crashes)
{
    FOR_EACH_DRIVER(driver)
    check_close(driver);
}

static int open_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int n = 0;

    while (folder && readdir(folder))
        n++;
    if (folder)
        closedir(folder);
    return n;
}

static void check_reconnects(const struct driver *driver)
{
    const uint32_t times = driver->stores ? 200 : driver->holds ? 100 : 1000;
    tspi_transport *in = driver->open("in", 0);
    char address[256];
    int before = 0;

    listen_at(in, address);
    for (uint32_t k = 0; k < times; k++) {
        tspi_transport *out = driver->open("out", 0);
        uint32_t peer = connect_to(out, address);
        CHECK_INT(try_send(out, peer, labelled(0, 0, k, 0)), TSP_OK);
        expect(in, &out, 1, k);
        out->ops->close(out);
        if (k == 10)
            before = open_descriptors();
    }
    /* The other end of the last few may still be closing. */
    CHECK(open_descriptors() < before + 20);
    in->ops->close(in);
}

TEST(transport, a_thousand_senders_come_and_go)
{
    FOR_EACH_DRIVER(driver)
    check_reconnects(driver);
}

static void check_misuse(const struct driver *driver)
{
    tspi_transport *in = driver->open("in", 0), *half = driver->open("half", 0);
    char address[256], other[256];
    tsp_error err = {0};
    tspi_msg *msg;

    listen_at(in, address);
    tspi_transport *second = driver->open("second", (uint16_t)atoi(strrchr(address, ':') + 1));
    if (!driver->stores) { /* at a broker a name finds an inbox, not a port */
        CHECK_STATUS(second->ops->listen(second, other, sizeof other, &err), TSP_EIO, &err);
        CHECK_CONTAINS(err.message, "taken");
        CHECK_CONTAINS(err.message, strrchr(address, ':') + 1);
    }
    msg = tspi_msg_new(0);
    CHECK_INT(half->ops->send(half, 0, msg, NULL), TSP_EINVAL);
    tspi_msg_free(msg);
    uint32_t peer;
    CHECK(half->ops->connect(half, "no address", &peer, &err) != TSP_OK);
    CHECK(err.message[0]);
    CHECK_INT(half->ops->recv(half, &msg, NULL), TSP_EAGAIN);
    second->ops->close(second);
    half->ops->close(half); /* half-open is fine */
    in->ops->close(in);
}

TEST(transport, misuse_is_an_error)
{
    FOR_EACH_DRIVER(driver)
    check_misuse(driver);
    CHECK(!tspi_transport_find("carrier-pigeon"));
    CHECK(tspi_transport_find("zmq") == &tspi_transport_zmq);
}

/* ------------------------------------------------------------------ ZeroMQ only: strangers at the door */

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
