/* A bare exclusive publication and a bare subscription of Aeron's C client, over UDP on loopback and through shared
 * memory, by the media driver that the layer uses as well. */
#include <aeronc.h>
#include <stdlib.h>
#include <time.h>

#include "hop.h"
#include "lab/media_driver.h"

enum { BATCH = 32, TERM_BYTES = 1024 * 1024 };
static const int64_t idle_min_ns = 10000, idle_max_ns = 100000;
static tspi_media_driver driver;

static void stop_driver(void)
{
    tspi_media_driver_stop(&driver);
}

static void configure(tspi_transport_config *config)
{
    const tspi_media_driver_config media = {.idle_ns = idle_max_ns, .term_bytes = TERM_BYTES, .log_fd = -1};
    tsp_error err = {0};

    if (!driver.pid) {
        if (tspi_media_driver_start(&driver, &media, &err) != TSP_OK)
            hop_die(err.message);
        atexit(stop_driver);
    }
    config->folder = driver.folder;
    config->aeron.idle_ns = idle_max_ns;
    config->aeron.term_bytes = TERM_BYTES;
}

static bool bare_send(hop_way *way, int64_t sent_ns)
{
    uint8_t frame[HOP_FRAME_MAX];
    int64_t rc;

    hop_write_frame(frame, sent_ns);
    do
        rc = aeron_exclusive_publication_offer(way->sender, frame, way->frame_bytes, NULL, NULL);
    while (rc == AERON_PUBLICATION_ADMIN_ACTION);
    if (rc < 0 && rc != AERON_PUBLICATION_BACK_PRESSURED && rc != AERON_PUBLICATION_NOT_CONNECTED)
        hop_die(aeron_errmsg());
    return rc >= 0;
}

static void on_fragment(void *ctx, const uint8_t *bytes, size_t len, aeron_header_t *header)
{
    (void)header;
    hop_note(ctx, hop_read_frame(bytes, len));
}

static int bare_drain(hop_way *way)
{
    int n = aeron_subscription_poll(way->receiver, on_fragment, way, BATCH);

    way->idle_ns = n > 0 ? idle_min_ns : 2 * way->idle_ns < idle_max_ns ? 2 * way->idle_ns : idle_max_ns;
    return n;
}

static void bare_wait(hop_way *way)
{
    nanosleep(&(struct timespec){0, way->idle_ns}, NULL);
}

static aeron_t *new_client(void)
{
    aeron_context_t *context;
    aeron_t *client;

    if (aeron_context_init(&context) < 0 || aeron_context_set_dir(context, driver.folder) < 0 ||
        aeron_init(&client, context) < 0 || aeron_start(client) < 0)
        hop_die(aeron_errmsg());
    return client;
}

static void open_on(hop_way *way, const char *channel, int32_t stream)
{
    aeron_async_add_subscription_t *subscribing;
    aeron_async_add_exclusive_publication_t *publishing;
    const struct timespec nap = {0, 1000000};

    way->send = bare_send;
    way->drain = bare_drain;
    way->wait = bare_wait;
    way->idle_ns = idle_min_ns;
    if (aeron_async_add_subscription(&subscribing, new_client(), channel, stream, NULL, NULL, NULL, NULL) < 0 ||
        aeron_async_add_exclusive_publication(&publishing, new_client(), channel, stream) < 0)
        hop_die(aeron_errmsg());
    while (aeron_async_add_subscription_poll((aeron_subscription_t **)&way->receiver, subscribing) == 0)
        nanosleep(&nap, NULL);
    while (aeron_async_add_exclusive_publication_poll((aeron_exclusive_publication_t **)&way->sender, publishing) == 0)
        nanosleep(&nap, NULL);
    if (!way->receiver || !way->sender)
        hop_die(aeron_errmsg());
}

static void open_bare_udp(hop_way *way)
{
    open_on(way, "aeron:udp?endpoint=127.0.0.1:24325|term-length=1048576", 9);
}

static void open_bare_ipc(hop_way *way)
{
    open_on(way, "aeron:ipc?term-length=1048576", 9);
}

const hop_rig hop_aeron_udp = {"aeron-udp", "aeron", "127.0.0.1", configure, open_bare_udp, 200000};
const hop_rig hop_aeron_ipc = {"aeron-ipc", "aeron", "ipc", configure, open_bare_ipc, 400000};
