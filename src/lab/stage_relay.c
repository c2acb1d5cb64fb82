/* Pass on what comes: a router, a queue, a mirror. */
#include "lab/node.h"

static tsp_status on_message(tspi_node *node, tspi_incoming *incoming, tsp_error *err)
{
    tsp_status rc = tspi_node_send(node, &incoming->span, &incoming->head, incoming->body, incoming->len, err);

    return rc == TSP_OK ? tspi_node_span_end(node, &incoming->span, err) : rc;
}

const struct tspi_stage_ops tspi_stage_relay = {.on_message = on_message};
