/* Talking over a transport in a test: sending what can be told apart, sleeping as a node does, receiving. */
#ifndef TRUESPAN_TRANSPORT_TALK_H
#define TRUESPAN_TRANSPORT_TALK_H

#include <poll.h>

#include "base/random.h"
#include "transport/transport.h"

static bool in_virtual_time; /* which stands still but for who sleeps in it */
static int64_t virtual_now_ns = TSP_NS_PER_S;

static inline int64_t read_virtual(void *ctx)
{
    (void)ctx;
    return virtual_now_ns;
}

static inline int64_t real_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static inline int64_t now_ns(void)
{
    return in_virtual_time ? virtual_now_ns : real_ns();
}

/* Until fd is readable or that time has come. */
static inline void sleep_until(int fd, int64_t due_ns)
{
    struct pollfd fds = {.fd = fd, .events = POLLIN};
    int64_t wait_ns = due_ns - now_ns();

    wait_ns = wait_ns > 0 ? wait_ns : 0;
    if (in_virtual_time)
        virtual_now_ns += wait_ns;
    else
        ppoll(&fds, 1, &(struct timespec){wait_ns / TSP_NS_PER_S, wait_ns % TSP_NS_PER_S}, NULL);
}

static inline void turn(tspi_transport *t)
{
    tsp_error err = {0};
    if (t->ops->poll)
        CHECK_STATUS(t->ops->poll(t, now_ns(), &err), TSP_OK, &err);
}

static inline void listen_at(tspi_transport *t, char address[256])
{
    tsp_error err = {0};
    CHECK_STATUS(t->ops->listen(t, address, 256, &err), TSP_OK, &err);
}

static inline uint32_t connect_to(tspi_transport *t, const char *address)
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

static inline tspi_msg *labelled(uint32_t sender, uint32_t key, uint32_t number, size_t padding)
{
    uint8_t payload[2048] = {0};
    const struct label label = {sender, key, number};
    tspi_msg *msg = tspi_msg_new((uint64_t)sender << 32 | key);

    memcpy(payload, &label, sizeof label);
    tspi_msg_set_payload(msg, payload, sizeof label + padding);
    return msg;
}

/* There are two ways to send and two to receive, which any program may mix. */
static inline bool other_way(void)
{
    static tspi_random random;
    static bool is_seeded;

    if (!is_seeded)
        tspi_random_seed(&random, seed);
    is_seeded = true;
    return tspi_random_below(&random, 2);
}

/* Send what msg holds without giving it away. */
static inline tsp_status post(tspi_transport *t, uint32_t peer, const tspi_msg *msg, tsp_error *err)
{
    tspi_msg_header_view headers[8];
    tspi_content content = {.key = msg->key, .headers = headers};

    for (size_t at = 0; content.headers_n < 8 && tspi_msg_next_header(msg, &at, &headers[content.headers_n]);)
        content.headers_n++;
    content.payload = tspi_msg_payload(msg, &content.payload_len);
    return tspi_transport_post(t, peer, &content, err);
}

static inline tsp_status try_send(tspi_transport *t, uint32_t peer, tspi_msg *msg)
{
    tsp_error err = {0};
    bool is_posted = other_way();
    tsp_status rc = is_posted ? post(t, peer, msg, &err) : t->ops->send(t, peer, msg, &err);

    if (is_posted && rc == TSP_OK)
        tspi_msg_free(msg);
    turn(t);
    if (rc != TSP_OK && rc != TSP_EAGAIN)
        CHECK_STATUS(rc, TSP_OK, &err);
    if (rc != TSP_OK && rc != TSP_ECLOSED)
        tspi_msg_free(msg);
    return rc;
}

static inline int64_t earlier(int64_t due_ns, tspi_transport *t)
{
    int64_t its_ns = t->ops->due_ns ? t->ops->due_ns(t) : INT64_MAX;
    return its_ns < due_ns ? its_ns : due_ns;
}

/* Keep a copy of what is only lent. */
static inline bool keep_copy(void *ret_msg, const tspi_msg *msg)
{
    tspi_msg **copy = ret_msg;

    CHECK(!*copy);
    CHECK_INT(tspi_msg_parse(msg->frame, msg->len, copy, NULL), TSP_OK);
    if (*copy)
        (*copy)->key = msg->key;
    return true;
}

static inline tsp_status take(tspi_transport *t, tspi_msg **ret_msg, tsp_error *err)
{
    uint32_t n = 0;

    if (other_way())
        return t->ops->recv(t, ret_msg, err);
    *ret_msg = NULL;
    tsp_status rc = tspi_transport_deliver(t, 1, keep_copy, ret_msg, &n, err);
    CHECK_INT(n, rc == TSP_OK);
    return rc;
}

/* The next message, or NULL after deadline_ns. others: n transports that must have their turn meanwhile. */
static inline tspi_msg *next_message(tspi_transport *t, tspi_transport *const *others, size_t n, int64_t deadline_ns)
{
    tspi_msg *msg;
    tsp_error err = {0};

    for (;;) {
        tsp_status rc = take(t, &msg, &err);
        if (rc == TSP_OK)
            return msg;
        if (rc != TSP_EAGAIN) {
            CHECK_STATUS(rc, TSP_OK, &err);
            return NULL;
        }
        turn(t);
        for (size_t k = 0; k < n; k++)
            turn(others[k]);
        if (now_ns() >= deadline_ns)
            return NULL;
        int64_t due_ns = earlier(deadline_ns, t);
        for (size_t k = 0; k < n; k++)
            due_ns = earlier(due_ns, others[k]);
        sleep_until(t->ops->wait_fd(t), due_ns);
    }
}

static inline int64_t soon(void)
{
    return now_ns() + 30 * TSP_NS_PER_S;
}

static inline struct label read_label(const tspi_msg *msg)
{
    struct label label = {UINT32_MAX, 0, 0};
    size_t len;
    const uint8_t *payload = tspi_msg_payload(msg, &len);

    if (len >= sizeof label)
        memcpy(&label, payload, sizeof label);
    return label;
}

static inline void expect(tspi_transport *t, tspi_transport *const *others, size_t n, uint32_t number)
{
    tspi_msg *msg = next_message(t, others, n, soon());
    if (!msg)
        TEST_FAIL("message %u did not come", number);
    else
        CHECK_INT(read_label(msg).number, number);
    tspi_msg_free(msg);
}

static inline tspi_transport *open_zmq(const char *inbox, uint16_t port)
{
    const tspi_transport_config config = {.host = "127.0.0.1", .port = port, .inbox = inbox};
    tspi_transport *t = NULL;
    tsp_error err = {0};

    CHECK_STATUS(tspi_transport_find("zmq")->open(&config, &t, &err), TSP_OK, &err);
    return t;
}

#endif
