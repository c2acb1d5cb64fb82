/* A real media driver for the transport's tests, started when first asked for and stopped when the program ends. */
#ifndef TRUESPAN_AERON_RIG_H
#define TRUESPAN_AERON_RIG_H

#include "lab/media_driver.h"
#include "transport/transport.h"

static tspi_media_driver aeron_rig;

static void aeron_rig_stop(void)
{
    tspi_media_driver_stop(&aeron_rig);
}

/* The folder of the media driver; without one no test can go on. */
static const char *aeron_rig_folder(void)
{
    const tspi_media_driver_config config = {.idle_ns = 100000, .term_bytes = 1024 * 1024, .log_fd = -1};
    tsp_error err = {0};

    if (aeron_rig.pid)
        return aeron_rig.folder;
    if (tspi_media_driver_start(&aeron_rig, &config, &err) != TSP_OK) {
        printf("Bail out! %s\n", err.message);
        exit(1);
    }
    atexit(aeron_rig_stop);
    return aeron_rig.folder;
}

/* host: "ipc", or an address for UDP. */
static tspi_transport *aeron_rig_open(const char *host, const char *inbox, uint16_t port)
{
    const tspi_transport_config config = {.host = host, .port = port, .inbox = inbox, .folder = aeron_rig_folder()};
    tspi_transport *t = NULL;
    tsp_error err = {0};

    if (tspi_transport_find("aeron")->open(&config, &t, &err) != TSP_OK) {
        printf("Bail out! %s\n", err.message);
        exit(1);
    }
    return t;
}

#endif
