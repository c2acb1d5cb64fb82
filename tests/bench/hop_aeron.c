/* A bare exclusive publication and a bare subscription of Aeron's C client, over UDP on loopback and through shared
 * memory, by the media driver that the layer uses as well. */
#include <aeronc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "hop.h"
#include "lab/media_driver.h"

enum { TERM_BYTES = 1024 * 1024, STREAM = 9 };
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

static bool bare_send(hop_way *way, const tspi_content *content)
{
    uint8_t frame[HOP_FRAME_MAX];
    size_t len = hop_write_frame(frame, content);
    int64_t rc;

    do
        rc = aeron_exclusive_publication_offer(way->sender, frame, len, NULL, NULL);
    while (rc == AERON_PUBLICATION_ADMIN_ACTION);
    if (rc < 0 && rc != AERON_PUBLICATION_BACK_PRESSURED && rc != AERON_PUBLICATION_NOT_CONNECTED)
        hop_die(aeron_errmsg());
    return rc >= 0;
}

static void on_fragment(void *ctx, const uint8_t *bytes, size_t len, aeron_header_t *header)
{
    size_t body_len;
    const uint8_t *body = hop_read_frame(bytes, len, &body_len);

    (void)header;
    hop_note(ctx, body, body_len);
}

static int bare_drain(hop_way *way)
{
    int n = aeron_subscription_poll(way->receiver, on_fragment, way, HOP_BATCH);

    if (n > 0)
        way->idle_ns = idle_min_ns;
    return n;
}

static void bare_wait(hop_way *way)
{
    ppoll(NULL, 0, &(struct timespec){0, way->idle_ns}, NULL);
    way->idle_ns = 2 * way->idle_ns < idle_max_ns ? 2 * way->idle_ns : idle_max_ns;
}

/* A client of its own at either end, with the settings of src/transport/aeron.c. */
static aeron_t *new_client(hop_way *way, int end)
{
    aeron_context_t *context;
    aeron_t *client;

    if (aeron_context_init(&context) < 0 || aeron_context_set_dir(context, driver.folder) < 0 ||
        aeron_context_set_keepalive_interval_ns(context, 100000000) < 0 ||
        aeron_context_set_idle_strategy_init_args(context, "2ms") < 0 ||
        aeron_context_set_idle_strategy(context, "sleeping") < 0 || aeron_init(&client, context) < 0 ||
        aeron_start(client) < 0)
        hop_die(aeron_errmsg());
    way->more[end] = client;
    way->more[2 + end] = context;
    return client;
}

static void bare_close(hop_way *way)
{
    aeron_exclusive_publication_close(way->sender, NULL, NULL);
    aeron_subscription_close(way->receiver, NULL, NULL);
    for (int end = 0; end < 2; end++) {
        aeron_close(way->more[end]);
        aeron_context_close(way->more[2 + end]);
    }
}

static void open_on(hop_way *way, const char *channel)
{
    aeron_async_add_subscription_t *subscribing;
    aeron_async_add_exclusive_publication_t *publishing;
    const struct timespec nap = {0, 1000000};

    *way = (hop_way){
        .send = bare_send, .drain = bare_drain, .wait = bare_wait, .close = bare_close, .idle_ns = idle_min_ns};
    if (aeron_async_add_subscription(&subscribing, new_client(way, 0), channel, STREAM, NULL, NULL, NULL, NULL) < 0 ||
        aeron_async_add_exclusive_publication(&publishing, new_client(way, 1), channel, STREAM) < 0)
        hop_die(aeron_errmsg());
    while (aeron_async_add_subscription_poll((aeron_subscription_t **)&way->receiver, subscribing) == 0)
        nanosleep(&nap, NULL);
    while (aeron_async_add_exclusive_publication_poll((aeron_exclusive_publication_t **)&way->sender, publishing) == 0)
        nanosleep(&nap, NULL);
    if (!way->receiver || !way->sender)
        hop_die(aeron_errmsg());
}

/* A port of its own each time: the one before lingers. */
static void open_bare_udp(hop_way *way)
{
    static int port = 24325;
    char channel[96];

    snprintf(channel, sizeof channel, "aeron:udp?endpoint=127.0.0.1:%d|term-length=%d", port++, TERM_BYTES);
    open_on(way, channel);
}

static void open_bare_ipc(hop_way *way)
{
    open_on(way, "aeron:ipc?term-length=1048576");
}

const hop_rig hop_aeron_udp = {.name = "aeron-udp",
                               .scheme = "aeron",
                               .host = "127.0.0.1",
                               .configure = configure,
                               .open_bare = open_bare_udp,
                               .flood = 60000};
const hop_rig hop_aeron_ipc = {.name = "aeron-ipc",
                               .scheme = "aeron",
                               .host = "ipc",
                               .configure = configure,
                               .open_bare = open_bare_ipc,
                               .flood = 1000000};
