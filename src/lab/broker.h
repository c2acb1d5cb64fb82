/* A real Apache Kafka broker (KRaft, one node) for a run: started, watched and stopped by process id, on a folder of
 * its own that goes with it. Needs Java 17 and what tools/parts/kafka.sh fetches: looked for in $TRUESPAN_PARTS/kafka,
 * else where the build was told. */
#ifndef TSPI_LAB_BROKER_H
#define TSPI_LAB_BROKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "truespan/base.h"

typedef struct {
    const char *folder; /* takes broker.log, and while it runs broker/; absolute or relative to the caller */
    const char *host;   /* address or name at which its clients reach it; NULL = 127.0.0.1 */
    uint16_t port;      /* 0 = a free one */
    bool netns;         /* in a network namespace of its own, as node number `index` of the link */
    uint32_t index;
} tspi_broker_config;

typedef struct {
    pid_t pid;         /* 0 = not running */
    char address[300]; /* HOST:PORT for its clients */
    char data[4200];   /* its folder */
    char log_path[4200];
} tspi_broker;

/* Whether a broker could be started here: err says what is missing and how to have it. */
tsp_status tspi_broker_available(tsp_error *err);

/* Start it; returns once its process runs, which is some seconds before it answers (clients wait). ret_tun_fd: with
 * netns the namespace's device, owned by the caller. A zeroed broker may be stopped. */
tsp_status tspi_broker_start(tspi_broker *broker, const tspi_broker_config *config, int *ret_tun_fd, tsp_error *err);

/* TSP_OK while it runs, else TSP_ECLOSED and how it ended. */
tsp_status tspi_broker_check(tspi_broker *broker, tsp_error *err);

/* Stop it and remove its folder; broker.log stays. */
void tspi_broker_stop(tspi_broker *broker);

#endif
