#include "test.h"

#include "base/random.h"
#include "transport/fault.h"

/* The wrapper around a transport that only notes what it is given, so that every delay, loss and order is seen exactly.
 */

enum { SEEN_MAX = 70000, PEERS = 3 };

struct note {
    uint32_t peer;
    uint64_t key;
};

static struct {
    tspi_transport base;
    struct note seen[SEEN_MAX];
    size_t seen_n;
    uint32_t peers_n;
    size_t room[PEERS]; /* messages a peer still takes */
    bool closed;
    tsp_status fail_with; /* instead of taking a message */
} inner;

static tsp_status inner_connect(tspi_transport *t, const char *address, uint32_t *ret_peer, tsp_error *err)
{
    (void)t, (void)address, (void)err;
    *ret_peer = inner.peers_n++;
    return TSP_OK;
}

static tsp_status inner_send(tspi_transport *t, uint32_t peer, tspi_msg *msg, tsp_error *err)
{
    (void)t;
    if (inner.fail_with == TSP_ECLOSED)
        tspi_msg_free(msg);
    if (inner.fail_with != TSP_OK)
        return tsp_error_set(err, inner.fail_with, "as the test wants it");
    if (!inner.room[peer])
        return TSP_EAGAIN;
    inner.room[peer]--;
    if (inner.seen_n < SEEN_MAX)
        inner.seen[inner.seen_n++] = (struct note){peer, msg->key};
    tspi_msg_free(msg);
    return TSP_OK;
}

static void inner_close(tspi_transport *t)
{
    (void)t;
    inner.closed = true;
}

static const struct tspi_transport_ops inner_ops = {
    .scheme = "note", .semconv = "note", .connect = inner_connect, .send = inner_send, .close = inner_close};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static tspi_transport *wrap(const tspi_fault_config *config)
{
    tspi_transport *t = NULL;
    tspi_random random;
    uint32_t peer;

    memset(&inner, 0, sizeof inner);
    inner.base.ops = &inner_ops;
    tspi_random_seed(&random, seed);
    if (tspi_fault_wrap(&inner.base, config, &random, &t, NULL) != TSP_OK)
        TEST_FAIL("no wrapper");
    for (uint32_t k = 0; k < PEERS; k++) {
        inner.room[k] = SIZE_MAX;
        t->ops->connect(t, "", &peer, NULL);
    }
    return t;
}

static tsp_status send_key(tspi_transport *t, uint32_t peer, uint64_t key)
{
    tspi_msg *msg = tspi_msg_new(key);
    tsp_status rc = t->ops->send(t, peer, msg, NULL);

    if (rc != TSP_OK && rc != TSP_ECLOSED)
        tspi_msg_free(msg);
    return rc;
}

TEST(fault, delays_lie_in_their_interval_and_fill_it)
{
    enum { N = 4000 };
    /* Each message alone: keeping the order would hold it back behind the one before. */
    const tspi_fault_config config = {.delay_ns = 4 * TSP_NS_PER_MS, .jitter_ns = 300 * TSP_NS_PER_US, .reorder = true};
    double sum = 0, lowest = INFINITY, highest = 0;
    tspi_transport *t = wrap(&config);
    int measured = 0;

    for (int k = 0; k < N; k++) {
        int64_t before_ns = now_ns();
        CHECK_INT(send_key(t, 0, 0), TSP_OK);
        int64_t after_ns = now_ns(), due_ns = t->ops->due_ns(t);
        CHECK(due_ns >= before_ns + config.delay_ns - config.jitter_ns);
        CHECK(due_ns <= after_ns + config.delay_ns + config.jitter_ns);
        CHECK_INT(inner.seen_n, k);
        CHECK_INT(t->ops->poll(t, due_ns - 1, NULL), TSP_OK);
        CHECK_INT(inner.seen_n, k);
        CHECK_INT(t->ops->poll(t, due_ns, NULL), TSP_OK);
        CHECK_INT(inner.seen_n, k + 1);
        CHECK(t->ops->due_ns(t) == INT64_MAX);
        if (after_ns - before_ns > 20000)
            continue; /* another process ran in between */
        double delay_ms = 1e-6 * (double)(due_ns - before_ns);
        sum += delay_ms;
        measured++;
        lowest = delay_ms < lowest ? delay_ms : lowest;
        highest = delay_ms > highest ? delay_ms : highest;
    }
    t->ops->close(t);
    CHECK(inner.closed);
    REQUIRE(measured > N / 4);
    CHECK_NEAR(sum / measured, 4.0, 0.03);
    CHECK(lowest < 3.71 && highest > 4.29);
}

static void flush(tspi_transport *t)
{
    CHECK_INT(t->ops->poll(t, now_ns() + 3600 * TSP_NS_PER_S, NULL), TSP_OK);
}

TEST(fault, jitter_keeps_the_order_to_each_peer)
{
    enum { N = 30000 };
    const tspi_fault_config config = {.delay_ns = TSP_NS_PER_MS, .jitter_ns = TSP_NS_PER_MS};
    uint64_t next[PEERS] = {0}, got[PEERS] = {0};
    tspi_transport *t = wrap(&config);
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < N; k++) {
        uint32_t peer = (uint32_t)tspi_random_below(&random, PEERS);
        CHECK_INT(send_key(t, peer, next[peer]++), TSP_OK);
        if (k % 100 == 0)
            CHECK_INT(t->ops->poll(t, now_ns(), NULL), TSP_OK);
    }
    flush(t);
    CHECK_INT(inner.seen_n, N);
    for (size_t k = 0; k < inner.seen_n; k++)
        CHECK_INT(inner.seen[k].key, got[inner.seen[k].peer]++);
    t->ops->close(t);
}

TEST(fault, reorders_when_asked_and_loses_nothing_then)
{
    enum { N = 20000 };
    const tspi_fault_config config = {.delay_ns = TSP_NS_PER_MS, .jitter_ns = TSP_NS_PER_MS, .reorder = true};
    static bool seen[N];
    tspi_transport *t = wrap(&config);
    size_t overtaken = 0;

    memset(seen, 0, sizeof seen);
    for (uint64_t k = 0; k < N; k++)
        CHECK_INT(send_key(t, 1, k), TSP_OK);
    flush(t);
    REQUIRE(inner.seen_n == N);
    for (size_t k = 0; k < N; k++) {
        CHECK(!seen[inner.seen[k].key]);
        seen[inner.seen[k].key] = true;
        overtaken += k && inner.seen[k].key < inner.seen[k - 1].key;
    }
    CHECK(overtaken > N / 10);
    t->ops->close(t);
}

/* hits of n trials of share p, within five standard deviations. */
static void check_share(size_t hits, size_t n, double p)
{
    CHECK_NEAR(hits, (double)n * p, 5 * sqrt((double)n * p * (1 - p)) + 1);
}

TEST(fault, loss_and_duplicates_come_at_their_rates)
{
    enum { N = 40000 };
    const tspi_fault_config config = {.loss = 0.07, .duplicate = 0.2};
    static uint8_t times[N];
    tspi_transport *t = wrap(&config);
    size_t lost = 0, twice = 0;

    CHECK(t->ops->at_least_once);
    memset(times, 0, sizeof times);
    for (uint64_t k = 0; k < N; k++)
        CHECK_INT(send_key(t, 2, k), TSP_OK);
    flush(t);
    for (size_t k = 0; k < inner.seen_n; k++) {
        times[inner.seen[k].key]++;
        CHECK(!k || inner.seen[k].key >= inner.seen[k - 1].key);
    }
    for (size_t k = 0; k < N; k++) {
        CHECK(times[k] <= 2);
        lost += times[k] == 0;
        twice += times[k] == 2;
    }
    check_share(lost, N, config.loss);
    check_share(twice, N - lost, config.duplicate);
    t->ops->close(t);
}

TEST(fault, without_faults_everything_passes_at_once_and_once)
{
    const tspi_fault_config config = {0};
    tspi_transport *t = wrap(&config);

    CHECK(!t->ops->at_least_once);
    CHECK_STR(t->ops->scheme, "note");
    for (uint64_t k = 0; k < 1000; k++) {
        CHECK_INT(send_key(t, 0, k), TSP_OK);
        CHECK_INT(t->ops->poll(t, now_ns(), NULL), TSP_OK);
        CHECK_INT(inner.seen_n, k + 1);
    }
    CHECK_INT(send_key(t, PEERS, 1), TSP_EINVAL);
    t->ops->close(t);
}

/* A peer whose queue is full holds up nobody else, and gets everything in order once it has room. */
TEST(fault, a_full_peer_holds_up_nobody_else)
{
    enum { N = 3000 };
    const tspi_fault_config config = {.delay_ns = 1000, .jitter_ns = 1000};
    tspi_transport *t = wrap(&config);
    uint64_t got[PEERS] = {0};

    inner.room[0] = 10;
    for (uint64_t k = 0; k < N; k++) {
        CHECK_INT(send_key(t, 0, k), TSP_OK);
        CHECK_INT(send_key(t, 1, k), TSP_OK);
    }
    flush(t);
    CHECK_INT(inner.seen_n, N + 10);
    /* It asks to be called again, but not at once: a node would spin. */
    int64_t polled_ns = now_ns();
    CHECK_INT(t->ops->poll(t, polled_ns, NULL), TSP_OK);
    CHECK(t->ops->due_ns(t) > polled_ns && t->ops->due_ns(t) < polled_ns + 100 * TSP_NS_PER_MS);
    for (inner.room[0] = 100; inner.seen_n < 2 * N; inner.room[0] = 100)
        flush(t);
    for (size_t k = 0; k < inner.seen_n; k++)
        CHECK_INT(inner.seen[k].key, got[inner.seen[k].peer]++);
    CHECK(t->ops->due_ns(t) == INT64_MAX);
    t->ops->close(t);
}

TEST(fault, what_it_holds_is_limited_and_freed)
{
    const tspi_fault_config config = {.delay_ns = 3600 * TSP_NS_PER_S};
    tspi_transport *t = wrap(&config);
    tsp_status rc = TSP_OK;
    size_t sent = 0;

    while (rc == TSP_OK && sent < 10000000)
        sent += (rc = send_key(t, sent % PEERS, sent)) == TSP_OK;
    CHECK_INT(rc, TSP_EAGAIN);
    CHECK(sent >= 1000 && sent <= 1000000);
    inner.room[0] = 0;
    flush(t);
    CHECK(inner.seen_n < sent);
    t->ops->close(t); /* the sanitizers count what is left */
}

TEST(fault, an_error_of_the_transport_is_handed_on)
{
    const tspi_fault_config config = {0};
    static const tsp_status codes[] = {TSP_EIO, TSP_ECLOSED};

    for (int k = 0; k < 2; k++) {
        tspi_transport *t = wrap(&config);
        tsp_error err = {0};
        CHECK_INT(send_key(t, 0, 1), TSP_OK);
        CHECK_INT(send_key(t, 0, 2), TSP_OK);
        inner.fail_with = codes[k];
        CHECK_STATUS(t->ops->poll(t, now_ns() + 1, &err), codes[k], &err);
        inner.fail_with = TSP_OK;
        flush(t);
        CHECK_INT(inner.seen_n, 1);
        t->ops->close(t);
    }
}
