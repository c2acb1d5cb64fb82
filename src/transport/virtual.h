/* Messages under way between inboxes of one process, in whatever time its owner keeps: virtual time for the simulator,
 * real time for a transport that stays in the process (inproc.h). Nothing is copied; messages from one inbox to another
 * keep their order. */
#ifndef TSPI_TRANSPORT_VIRTUAL_H
#define TSPI_TRANSPORT_VIRTUAL_H

#include "transport/transport.h"

typedef struct tspi_virtual_net tspi_virtual_net;

typedef struct {
    void *ctx;
    /* How long a message of so many bytes takes that leaves at sent_ns; asked once a message, in the order of sending.
     * NULL = no time at all. */
    int64_t (*delay_ns)(void *ctx, uint32_t from, uint32_t to, size_t bytes, int64_t sent_ns);
} tspi_virtual_config;

tspi_virtual_net *tspi_virtual_net_new(const tspi_virtual_config *config); /* NULL: out of memory */
void tspi_virtual_net_free(tspi_virtual_net *net);                         /* NULL is fine */

/* Send at sent_ns; takes msg whatever happens. */
tsp_status tspi_virtual_send(tspi_virtual_net *net, uint32_t from, uint32_t to, tspi_msg *take_msg, int64_t sent_ns,
                             tsp_error *err);

/* When the earliest message under way arrives; INT64_MAX = none is. */
int64_t tspi_virtual_due_ns(const tspi_virtual_net *net);

/* That message; the caller's. There must be one. */
tspi_msg *tspi_virtual_next(tspi_virtual_net *net, uint32_t *ret_to);

#endif
