/* What the Aeron driver does when Aeron says no: no receiver, no room, the end of a term and of all positions, a media
 * driver that dies or hangs, shared memory that is full. Each against a real media driver. */
#include "test.h"

#include <arpa/inet.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lab/media_driver.h"
#include "transport_talk.h"

enum { TERM_BYTES = 64 * 1024, PADDING = 200 };

static const tspi_media_driver_config media = {.idle_ns = 100000, .term_bytes = TERM_BYTES, .log_fd = -1};

static tspi_media_driver start_driver(void)
{
    tspi_media_driver driver;
    tsp_error err = {0};

    if (tspi_media_driver_start(&driver, &media, &err) != TSP_OK) {
        printf("Bail out! %s\n", err.message);
        exit(1);
    }
    return driver;
}

static tspi_transport *open_at(const tspi_media_driver *driver, const char *inbox)
{
    const tspi_transport_config config = {
        .host = "127.0.0.1", .inbox = inbox, .folder = driver->folder, .aeron.term_bytes = TERM_BYTES};
    tspi_transport *t = NULL;
    tsp_error err = {0};

    CHECK_STATUS(tspi_transport_find("aeron")->open(&config, &t, &err), TSP_OK, &err);
    return t;
}

/* Send n messages, numbered from `from`, as room comes; meanwhile receive, in order, from *got on. */
static void pass(tspi_transport *out, uint32_t peer, tspi_transport *in, uint32_t from, uint32_t n, uint32_t *got)
{
    int64_t deadline_ns = soon();

    for (uint32_t sent = from; *got < from + n && now_ns() < deadline_ns;) {
        if (sent < from + n && try_send(out, peer, labelled(0, 0, sent, PADDING)) == TSP_OK) {
            sent++;
            continue;
        }
        tspi_msg *msg = next_message(in, &out, 1, deadline_ns);
        if (!msg)
            break;
        CHECK_INT(read_label(msg).number, (*got)++);
        tspi_msg_free(msg);
    }
    CHECK_INT(*got, from + n);
}

/* Where nobody has listened: of a receiver that left a moment ago the sender thinks for a while that it is slow. */
static uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        TEST_FAIL("no free port");
    close(fd);
    return ntohs(at.sin_port);
}

TEST(aeron, without_a_receiver_messages_wait_and_then_send_says_no)
{
    tspi_media_driver driver = start_driver();
    tspi_transport *in, *out = open_at(&driver, "out");
    const uint16_t port = free_port();
    uint32_t sent = 0, got = 0;
    char address[256];

    snprintf(address, sizeof address, "aeron:udp?endpoint=127.0.0.1:%u", port);
    uint32_t peer = connect_to(out, address);
    while (sent < 100000 && try_send(out, peer, labelled(0, 0, sent, PADDING)) == TSP_OK)
        sent++;
    CHECK(sent > 10000 && sent < 100000);
    const tspi_transport_config config = {.host = "127.0.0.1", .port = port, .inbox = "in", .folder = driver.folder};
    REQUIRE(tspi_transport_find("aeron")->open(&config, &in, NULL) == TSP_OK);
    listen_at(in, address);
    for (; got < sent; got++)
        expect(in, &out, 1, got);
    pass(out, peer, in, sent, 100, &got);
    out->ops->close(out);
    in->ops->close(in);
    tspi_media_driver_stop(&driver);
}

/* A window of half a term, and a term that ends every 250 messages: back pressure and administration all the way. */
TEST(aeron, back_pressure_and_the_ends_of_terms_lose_nothing)
{
    tspi_media_driver driver = start_driver();
    tspi_transport *in = open_at(&driver, "in"), *out = open_at(&driver, "out");
    char address[256];
    uint32_t got = 0, sent = 0;

    listen_at(in, address);
    uint32_t peer = connect_to(out, address);
    pass(out, peer, in, 0, 1, &got); /* connected */
    for (sent = got; sent < 5000 && try_send(out, peer, labelled(0, 0, sent, PADDING)) == TSP_OK;)
        sent++;
    CHECK(sent < 1000); /* it says so while the receiver does not read */
    for (; got < sent; got++)
        expect(in, &out, 1, got);
    pass(out, peer, in, sent, 20000, &got);
    out->ops->close(out);
    in->ops->close(in);
    tspi_media_driver_stop(&driver);
}

/* A stream that begins in the last term it can have: after 64 KB its positions are used up, and another takes its
 * place, again and again. */
TEST(aeron, used_up_positions_are_followed_by_a_new_stream)
{
    tspi_media_driver driver = start_driver();
    tspi_transport *in = open_at(&driver, "in"), *out = open_at(&driver, "out");
    char address[256], last_term[320];
    uint32_t got = 0;

    listen_at(in, address);
    snprintf(last_term, sizeof last_term, "%s|init-term-id=0|term-id=2147483647|term-offset=0", address);
    uint32_t peer = connect_to(out, last_term);
    pass(out, peer, in, 0, 900, &got); /* more than three terms */
    out->ops->close(out);
    in->ops->close(in);
    tspi_media_driver_stop(&driver);
}

/* Send until that is an error, for 10 s at most: what it says, and how long it took. */
static int64_t send_until_it_fails(tspi_transport *out, uint32_t peer, tsp_error *err)
{
    int64_t begun_ns = now_ns();
    tsp_status rc = TSP_OK;

    while (now_ns() - begun_ns < 10 * TSP_NS_PER_S && (rc == TSP_OK || rc == TSP_EAGAIN)) {
        tspi_msg *msg = labelled(0, 0, 0, PADDING);
        rc = out->ops->send(out, peer, msg, err);
        if (rc != TSP_OK && rc != TSP_ECLOSED)
            tspi_msg_free(msg);
        if (rc == TSP_OK || rc == TSP_EAGAIN)
            rc = out->ops->poll(out, now_ns(), err);
        sleep_until(-1, now_ns() + TSP_NS_PER_MS);
    }
    CHECK_STATUS(rc, TSP_EIO, err);
    return now_ns() - begun_ns;
}

static void check_lost_driver(int signal)
{
    tspi_media_driver driver = start_driver();
    tspi_transport *in = open_at(&driver, "in"), *out = open_at(&driver, "out");
    char address[256];
    tsp_error err = {0};
    tspi_msg *msg;
    uint32_t got = 0;

    listen_at(in, address);
    uint32_t peer = connect_to(out, address);
    pass(out, peer, in, 0, 300, &got);
    kill(driver.pid, signal);
    CHECK(send_until_it_fails(out, peer, &err) < 6 * TSP_NS_PER_S);
    CHECK_CONTAINS(err.message, "media driver");
    CHECK_CONTAINS(err.message, "gone");
    /* So says the receiver, once it has given out what had come. */
    tsp_status rc = TSP_EAGAIN;
    for (int64_t deadline_ns = soon(); (rc == TSP_OK || rc == TSP_EAGAIN) && now_ns() < deadline_ns;) {
        if ((rc = in->ops->recv(in, &msg, &err)) == TSP_OK)
            tspi_msg_free(msg);
    }
    CHECK_STATUS(rc, TSP_EIO, &err);
    CHECK_CONTAINS(err.message, "gone");
    int64_t begun_ns = now_ns();
    out->ops->close(out);
    in->ops->close(in);
    CHECK(now_ns() - begun_ns < 5 * TSP_NS_PER_S);
    kill(driver.pid, SIGKILL);
    tspi_media_driver_stop(&driver);
}

TEST(aeron, a_media_driver_that_dies_is_an_error_soon)
{
    check_lost_driver(SIGKILL);
}

TEST(aeron, a_media_driver_that_hangs_is_an_error_soon)
{
    check_lost_driver(SIGSTOP);
}

TEST(aeron, a_folder_without_a_media_driver_is_named)
{
    const tspi_transport_config config = {.host = "127.0.0.1", .inbox = "in", .folder = "no-such-folder"};
    tspi_transport *t = NULL;
    tsp_error err = {0};

    CHECK_STATUS(tspi_transport_find("aeron")->open(&config, &t, &err), TSP_EIO, &err);
    CHECK_CONTAINS(err.message, "no-such-folder");
}

/* ------------------------------------------------------------------ shared memory that is full */

enum { NO_RIGHT = 77 };

/* A /dev/shm of our own, of so many bytes, in a mount namespace that goes with the process. */
static bool shrink_shared_memory(const char *size)
{
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("truespan-test", "/dev/shm", "tmpfs", 0, size) == 0;
}

static void too_small_to_start(void)
{
    tspi_media_driver driver;
    tsp_error err = {0};

    if (!shrink_shared_memory("size=1m"))
        exit(NO_RIGHT);
    CHECK_STATUS(tspi_media_driver_start(&driver, &media, &err), TSP_EIO, &err);
    CHECK_CONTAINS(err.message, "/dev/shm");
}

static void too_small_for_streams(void)
{
    tsp_error err = {0};
    uint32_t streams = 0, peer;

    if (!shrink_shared_memory("size=16m"))
        exit(NO_RIGHT);
    tspi_media_driver driver = start_driver();
    tspi_transport *in = open_at(&driver, "in"), *out = open_at(&driver, "out");
    char address[256];
    tsp_status rc = TSP_OK;

    listen_at(in, address);
    for (int64_t deadline_ns = soon(); rc == TSP_OK && streams < 1000 && now_ns() < deadline_ns; streams++) {
        uint32_t got = 0;
        rc = out->ops->connect(out, address, &peer, &err);
        while (rc == TSP_OK && !got && now_ns() < deadline_ns) {
            tspi_msg *msg = labelled(0, 0, 0, 1000);
            rc = out->ops->send(out, peer, msg, &err);
            if (rc != TSP_OK)
                tspi_msg_free(msg);
            rc = rc == TSP_OK || rc == TSP_EAGAIN ? out->ops->poll(out, now_ns(), &err) : rc;
            tsp_status read = in->ops->recv(in, &msg, &err);
            if (read == TSP_OK) {
                got++;
                tspi_msg_free(msg);
            } else if (read != TSP_EAGAIN)
                rc = read;
        }
    }
    CHECK_STATUS(rc, TSP_EIO, &err);
    CHECK_CONTAINS(err.message, "aeron.term_bytes");
    CHECK(streams > 2);
    out->ops->close(out);
    in->ops->close(in);
    tspi_media_driver_stop(&driver);
}

/* In a process of its own, which has the mount to itself. */
static void run_apart(void (*test)(void))
{
    int status = 0;

    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        test_failures = 0;
        test();
        fflush(NULL);
        _exit(test_failures != 0);
    }
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_RIGHT)
        SKIP("mounting needs root");
    CHECK_INT(status, 0);
}

TEST(aeron, shared_memory_too_small_for_a_media_driver_is_named)
{
    run_apart(too_small_to_start);
}

TEST(aeron, shared_memory_too_small_for_another_stream_is_an_error)
{
    run_apart(too_small_for_streams);
}
