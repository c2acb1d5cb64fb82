/* What transport.h promises, checked on every driver (transport_rig.h), bare and behind the fault wrapper. */
#include "test.h"

#include <dirent.h>

#include "transport_rig.h"

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

static void check_order(void)
{
    enum { N = 12000 };
    tspi_transport *in = open_transport("in", 0), *out[SENDERS];
    uint32_t sent[SENDERS][KEYS] = {{0}}, got[SENDERS][KEYS] = {{0}}, peer[SENDERS];
    int under_way = 0;
    tspi_random random;
    char address[256];

    tspi_random_seed(&random, seed);
    listen_at(in, address);
    for (int k = 0; k < SENDERS; k++) {
        out[k] = open_transport("out", 0);
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
    check_each(check_order);
}

/* Messages lent by the handful; now and then the borrower has enough. */
struct borrower {
    tspi_random random;
    uint32_t got, *sizes;
    bool had_enough;
};

static bool borrow(void *ctx, const tspi_msg *msg)
{
    struct borrower *b = ctx;
    size_t len, wanted = b->sizes[b->got];
    const uint8_t *payload = tspi_msg_payload(msg, &len);

    CHECK(!b->had_enough);
    CHECK_INT(len, wanted);
    CHECK_INT(read_label(msg).number, b->got);
    for (size_t k = sizeof(struct label); k < len && k < wanted; k += 97)
        CHECK_INT(payload[k], (uint8_t)(k ^ b->got));
    b->got++;
    b->had_enough = tspi_random_below(&b->random, 20) == 0;
    return !b->had_enough;
}

static bool send_patterned(tspi_transport *out, uint32_t peer, uint32_t number, size_t len)
{
    static uint8_t payload[200000];
    const struct label label = {0, 0, number};
    const tspi_content content = {.payload = payload, .payload_len = len};

    for (size_t k = 0; k < len; k++)
        payload[k] = (uint8_t)(k ^ number);
    memcpy(payload, &label, sizeof label);
    tsp_error err = {0};
    tsp_status rc = tspi_transport_post(out, peer, &content, &err);
    if (rc != TSP_EAGAIN)
        CHECK_STATUS(rc, TSP_OK, &err);
    turn(out);
    return rc == TSP_OK;
}

/* One frame of several parts now and then, amid those that lie whole in a library's buffer. */
static void check_lending(void)
{
    enum { N = 3000 };
    tspi_transport *in = open_transport("in", 0), *out = open_transport("out", 0);
    static uint32_t sizes[N];
    struct borrower b = {.sizes = sizes};
    char address[256];
    uint32_t sent = 0;

    tspi_random_seed(&b.random, seed);
    for (int k = 0; k < N; k++)
        sizes[k] = (uint32_t)sizeof(struct label) +
                   (uint32_t)tspi_random_below(&b.random, tspi_random_below(&b.random, 50) ? 500 : 150000);
    listen_at(in, address);
    uint32_t peer = connect_to(out, address);
    for (int64_t deadline_ns = soon(); b.got < N && now_ns() < deadline_ns;) {
        for (int k = 0; k < 100 && sent < N && send_patterned(out, peer, sent, sizes[sent]); k++)
            sent++;
        uint32_t max = 1 + (uint32_t)tspi_random_below(&b.random, 100), before = b.got, n = 0;
        tsp_error err = {0};
        b.had_enough = false;
        tsp_status rc = tspi_transport_deliver(in, max, borrow, &b, &n, &err);
        CHECK(n <= max);
        CHECK_INT(n, b.got - before);
        if (rc != TSP_EAGAIN)
            CHECK_STATUS(rc, TSP_OK, &err);
        turn(in);
        turn(out);
        if (rc == TSP_EAGAIN)
            sleep_until(in->ops->wait_fd(in), earlier(earlier(now_ns() + TSP_NS_PER_MS, in), out));
    }
    CHECK_INT(b.got, N);
    out->ops->close(out);
    in->ops->close(in);
}

TEST(transport, what_is_lent_comes_whole_and_in_order)
{
    check_each(check_lending);
}

static void check_bytes(void)
{
    static const size_t sizes[] = {0, 1, 13, 8000, 8191, 8192, 8193, 65536, 1000000, 8 * 1024 * 1024};
    enum { SIZES = sizeof sizes / sizeof *sizes, LARGEST = 8 * 1024 * 1024 };
    tspi_transport *in = open_transport("in", 0), *out = open_transport("out", 0);
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
    check_each(check_bytes);
}

/* A receiver that does not read: the queues fill, send says so, other peers go on, and nothing is lost. */
static void check_slow_receiver(void)
{
    enum { AT_MOST = 2000000, STORED = 150000 };
    tspi_transport *slow = open_transport("slow", 0), *fast = open_transport("fast", 0),
                   *out = open_transport("out", 0);
    char slow_at[256], fast_at[256];
    uint32_t sent = 0;
    tsp_status rc = TSP_OK;

    listen_at(slow, slow_at);
    listen_at(fast, fast_at);
    uint32_t to_slow = connect_to(out, slow_at), to_fast = connect_to(out, fast_at);
    if (current
            ->stores) /* what cannot be refused for the receiver's sake is refused only while the broker catches up */
        while (sent < STORED)
            sent += try_send(out, to_slow, labelled(0, 0, sent, 100)) == TSP_OK;
    else {
        while (rc == TSP_OK && sent < AT_MOST)
            sent += (rc = try_send(out, to_slow, labelled(0, 0, sent, 100))) == TSP_OK;
        CHECK_INT(rc, TSP_EAGAIN);
        CHECK(sent > 500);
    }
    if (!faults) { /* the wrapper's limit is for all peers together */
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
    check_each(check_slow_receiver);
}

/* The inbox goes and comes back at its address: what is sent from then on arrives, in order and once. What was under
 * way when it went may be lost. */
static void check_peer_back(void)
{
    tspi_transport *in = open_transport("in", 0), *out = open_transport("out", 0);
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
    in = open_transport("in", (uint16_t)atoi(strrchr(address, ':') + 1));
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
    check_each(check_peer_back);
}

/* The inbox need not be there yet when somebody connects and sends. */
static void check_early_bird(void)
{
    tspi_transport *first = open_transport("in", 0), *out = open_transport("out", 0);
    char address[256];

    listen_at(first, address);
    first->ops->close(first);
    uint32_t peer = connect_to(out, address);
    for (uint32_t k = 0; k < 50; k++)
        CHECK_INT(try_send(out, peer, labelled(0, 0, k, 0)), TSP_OK);
    tspi_transport *in = open_transport("in", (uint16_t)atoi(strrchr(address, ':') + 1));
    listen_at(in, address);
    for (uint32_t k = 0; k < 50; k++)
        expect(in, &out, 1, k);
    out->ops->close(out);
    in->ops->close(in);
}

TEST(transport, an_inbox_may_open_after_the_first_message_is_sent)
{
    check_each(check_early_bird);
}

/* Send up to n numbered messages; how many went. Only a driver with a small window may refuse some. */
static uint32_t send_numbered(tspi_transport *out, uint32_t peer, uint32_t from, uint32_t n)
{
    for (uint32_t k = from; k < n; k++)
        if (try_send(out, peer, labelled(0, 0, k, 200)) != TSP_OK) {
            CHECK(current->window);
            return k;
        }
    return n;
}

/* A sender that closes behind its last message: what left arrives in order, and a driver that holds nothing back
 * delivers all of it. Then a receiver that closes amid the stream. */
static void check_close(void)
{
    enum { N = 5000 };
    tspi_transport *in = open_transport("in", 0), *out = open_transport("out", 0);
    char address[256];
    tspi_msg *msg;
    uint32_t got = 0;
    bool whole = !faults && !current->window;

    listen_at(in, address);
    uint32_t peer = connect_to(out, address), sent = send_numbered(out, peer, 0, N);
    out->ops->close(out);
    while (got < sent && (msg = next_message(in, NULL, 0, whole ? soon() : now_ns() + 200 * TSP_NS_PER_MS))) {
        CHECK_INT(read_label(msg).number, got++);
        tspi_msg_free(msg);
    }
    CHECK(got > 0 || faults);
    if (whole)
        CHECK_INT(got, N);
    out = open_transport("out", 0);
    peer = connect_to(out, address);
    sent = send_numbered(out, peer, 0, N / 2);
    expect(in, &out, 1, 0);
    in->ops->close(in);
    send_numbered(out, peer, sent, N);
    int64_t begun_ns = now_ns();
    out->ops->close(out); /* to nobody: it waits a moment, not for ever */
    CHECK(now_ns() - begun_ns < 5 * TSP_NS_PER_S);
}

TEST(transport, closing_amid_messages_neither_hangs_nor_crashes)
{
    check_each(check_close);
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

static void check_reconnects(void)
{
    const char *more = getenv("TRUESPAN_TIMES"); /* make soak-transport */
    const uint32_t times = (faults ? 100 : current->senders) * (more ? (uint32_t)atoi(more) : 1);
    tspi_transport *in = open_transport("in", 0);
    char address[256];
    int before = 0;

    listen_at(in, address);
    for (uint32_t k = 0; k < times; k++) {
        tspi_transport *out = open_transport("out", 0);
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

TEST(transport, thousands_of_senders_come_and_go)
{
    check_each(check_reconnects);
}

/* ------------------------------------------------------------------ faults over each driver */

static void check_each_with(const tspi_fault_config *config, void (*check)(void))
{
    faults = config;
    for (const struct driver *driver = drivers; announce(driver); driver++)
        check();
    faults = NULL;
}

static void check_delay(void)
{
    tspi_transport *in = open_transport("in", 0), *out = open_transport("out", 0);
    int64_t least_ns = faults->delay_ns - faults->jitter_ns, most_ns = faults->delay_ns + faults->jitter_ns;
    int64_t lowest_ns = INT64_MAX, highest_ns = 0;
    char address[256];

    listen_at(in, address);
    uint32_t peer = connect_to(out, address);
    for (uint32_t k = 0; k < 40; k++) {
        int64_t sent_ns = now_ns();
        CHECK_INT(try_send(out, peer, labelled(0, 0, k, 0)), TSP_OK);
        expect(in, &out, 1, k);
        int64_t took_ns = now_ns() - sent_ns;
        lowest_ns = took_ns < lowest_ns ? took_ns : lowest_ns;
        highest_ns = took_ns > highest_ns ? took_ns : highest_ns;
    }
    CHECK(lowest_ns >= least_ns);
    CHECK(highest_ns - lowest_ns > faults->jitter_ns / 2); /* the chance of less is below 1e-15 */
    if (current->virtual)                                  /* nothing else takes time there but the net's own delay */
        CHECK(highest_ns <= most_ns + virtual_delay_ns(NULL, 0, 0, 999, 0));
    out->ops->close(out);
    in->ops->close(in);
}

TEST(transport, the_wrapper_delays_and_jitters_over_each)
{
    check_each_with(&(tspi_fault_config){.delay_ns = 2000000, .jitter_ns = 500000}, check_delay);
}

enum { FAULTED = 4000 };

/* What has come of each number. Returns whether the one wanted came, after which nothing older is under way. */
static bool note_copies(tspi_transport *in, tspi_transport *out, uint8_t copies[FAULTED], uint32_t *last,
                        int64_t until_ns)
{
    tspi_msg *msg = next_message(in, &out, 1, until_ns);

    if (!msg)
        return false;
    uint32_t number = read_label(msg).number;
    tspi_msg_free(msg);
    CHECK(number >= *last); /* in order, second copies too */
    *last = number;
    if (number < FAULTED)
        copies[number]++;
    return number >= FAULTED;
}

static void check_loss(void)
{
    static uint8_t copies[FAULTED];
    tspi_transport *in = open_transport("in", 0), *out = open_transport("out", 0);
    uint32_t number = 0, last = 0, lost = 0, doubled = 0, more = 0;
    char address[256];

    memset(copies, 0, sizeof copies);
    listen_at(in, address);
    uint32_t peer = connect_to(out, address);
    CHECK(out->ops->at_least_once);
    while (number < FAULTED) {
        if (try_send(out, peer, labelled(0, 0, number, 0)) == TSP_OK)
            number++;
        else
            note_copies(in, out, copies, &last, now_ns() + TSP_NS_PER_MS);
    }
    /* An end may be lost as well: so they go on until one has come. */
    for (int64_t deadline_ns = soon(); now_ns() < deadline_ns; number++) {
        try_send(out, peer, labelled(0, 0, number, 0));
        if (note_copies(in, out, copies, &last, now_ns() + TSP_NS_PER_MS))
            break;
    }
    CHECK(last >= FAULTED);
    for (uint32_t k = 0; k < FAULTED; k++) {
        lost += !copies[k];
        doubled += copies[k] == 2;
        more += copies[k] > 2;
    }
    double sent = FAULTED, kept = sent * (1 - faults->loss); /* six standard deviations */
    CHECK_NEAR(lost, sent * faults->loss, 6 * sqrt(sent * faults->loss * (1 - faults->loss)));
    CHECK_NEAR(doubled, kept * faults->duplicate,
               6 * sqrt(kept * faults->duplicate) + 6 * sqrt(sent) * faults->duplicate);
    CHECK_INT(more, 0);
    out->ops->close(out);
    in->ops->close(in);
}

TEST(transport, the_wrapper_loses_and_doubles_over_each)
{
    check_each_with(&(tspi_fault_config){.jitter_ns = 100000, .delay_ns = 100000, .loss = 0.3, .duplicate = 0.2},
                    check_loss);
}

static void check_reorder(void)
{
    static uint8_t copies[FAULTED];
    tspi_transport *in = open_transport("in", 0), *out = open_transport("out", 0);
    uint32_t sent = 0, got = 0, overtaken = 0, last = 0;
    char address[256];
    tspi_msg *msg;

    memset(copies, 0, sizeof copies);
    listen_at(in, address);
    uint32_t peer = connect_to(out, address);
    while (got < FAULTED) {
        if (sent < FAULTED && try_send(out, peer, labelled(0, 0, sent, 0)) == TSP_OK) {
            sent++;
            continue;
        }
        if (!(msg = next_message(in, &out, 1, soon())))
            break;
        uint32_t number = read_label(msg).number;
        tspi_msg_free(msg);
        if (number < FAULTED)
            copies[number]++;
        overtaken += number < last;
        last = number;
        got++;
    }
    for (uint32_t k = 0; k < FAULTED; k++)
        CHECK_INT(copies[k], 1);
    CHECK(overtaken > 10);
    out->ops->close(out);
    in->ops->close(in);
}

TEST(transport, the_wrapper_lets_overtake_over_each_and_loses_nothing)
{
    check_each_with(&(tspi_fault_config){.delay_ns = 20000000, .jitter_ns = 20000000, .reorder = true}, check_reorder);
}

/* ------------------------------------------------------------------ misuse */

static void check_misuse(void)
{
    tspi_transport *in = open_transport("in", 0), *half = open_transport("half", 0);
    char address[256], other[256];
    tsp_error err = {0};
    tspi_msg *msg;

    listen_at(in, address);
    tspi_transport *second = open_transport("second", (uint16_t)atoi(strrchr(address, ':') + 1));
    if (!current->stores) { /* at a broker a name finds an inbox, not a port */
        CHECK_STATUS(second->ops->listen(second, other, sizeof other, &err), TSP_EIO, &err);
        CHECK_CONTAINS(err.message, "taken");
        CHECK_CONTAINS(err.message, strrchr(address, ':') + 1);
    }
    msg = tspi_msg_new(0);
    CHECK_INT(half->ops->send(half, 0, msg, NULL), TSP_EINVAL);
    tspi_msg_free(msg);
    uint32_t peer;
    CHECK(half->ops->connect(half, current->named ? "" : "no address", &peer, &err) != TSP_OK);
    CHECK(err.message[0]);
    CHECK_INT(half->ops->recv(half, &msg, NULL), TSP_EAGAIN);
    second->ops->close(second);
    half->ops->close(half); /* half-open is fine */
    in->ops->close(in);
}

TEST(transport, misuse_is_an_error)
{
    check_each(check_misuse);
    CHECK(!tspi_transport_find("carrier-pigeon"));
    CHECK(tspi_transport_find("zmq") == &tspi_transport_zmq);
}
