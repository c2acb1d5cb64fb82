/* Aeron's media driver as a child process: what nodes send to each other by Aeron passes through it. Each node starts
 * its own, but where all nodes are processes of one network the conductor starts one for all, and they share its
 * memory. It lives in a folder of shared memory, dies with whoever started it, and takes the folder with it. */
#ifndef TSPI_LAB_MEDIA_DRIVER_H
#define TSPI_LAB_MEDIA_DRIVER_H

#include <stdint.h>
#include <sys/types.h>

#include "truespan/base.h"

typedef struct {
    int64_t idle_ns;     /* the longest sleep between two looks for work */
    uint32_t term_bytes; /* of each of a stream's three buffers */
    int log_fd;          /* takes what it prints; -1 = nobody does */
} tspi_media_driver_config;

typedef struct {
    pid_t pid;        /* 0 = not running */
    char folder[80];  /* what Aeron calls its dir; "" = none */
    char scratch[64]; /* the folder around it (scratch.h) */
    int lock_fd;      /* its lock, until the driver has it */
} tspi_media_driver;

/* Start one, in a new folder, and wait until it serves. TSP_EUNSUPPORTED: this build has no Aeron. On failure nothing
 * is left. */
tsp_status tspi_media_driver_start(tspi_media_driver *driver, const tspi_media_driver_config *config, tsp_error *err);
/* Whether it still runs, if it was started: TSP_ECLOSED, and how it ended. */
tsp_status tspi_media_driver_check(tspi_media_driver *driver, tsp_error *err);
/* A driver that is all zero is fine. */
void tspi_media_driver_stop(tspi_media_driver *driver);

/* Whether shared memory has room for so many drivers with so many streams between them: TSP_EUNSUPPORTED, and what to
 * do about it. */
tsp_status tspi_media_drivers_fit(uint32_t drivers, uint32_t streams, uint32_t term_bytes, tsp_error *err);

#endif
