/* Transports within one process, all of them used by one thread: real inboxes, peers, queues and limits, and no system
 * in between. By the system's clock or by a clock of the owner's, under which whole nodes run in virtual time. */
#ifndef TSPI_TRANSPORT_INPROC_H
#define TSPI_TRANSPORT_INPROC_H

#include "transport/virtual.h"

/* Where inboxes find each other. */
typedef struct tspi_inproc tspi_inproc;

/* Messages take as long as config->delay_ns says (NULL = no time). now_ns gets config->ctx; NULL = CLOCK_MONOTONIC.
 * NULL: out of memory. */
tspi_inproc *tspi_inproc_new(const tspi_virtual_config *config, int64_t (*now_ns)(void *ctx));
/* After the last of its transports is closed. NULL is fine. */
void tspi_inproc_free(tspi_inproc *net);

/* A transport whose inbox is called config->inbox, which is its address too. The rest of config counts for nothing. */
tsp_status tspi_inproc_open(tspi_inproc *net, const tspi_transport_config *config, tspi_transport **ret_transport,
                            tsp_error *err);

#endif
