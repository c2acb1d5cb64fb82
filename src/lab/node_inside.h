/* What the files of a node's process share: node_process.c is its loop and its commands, node_open.c brings it up,
 * node_peers.c sends. */
#ifndef TSPI_LAB_NODE_INSIDE_H
#define TSPI_LAB_NODE_INSIDE_H

#include "lab/media_driver.h"
#include "lab/node_process.h"
#include "lab/remote.h"

/* One peer: a worker of a stage that this node may send to. */
struct peer {
    uint32_t stage, worker, handle;
    tspi_msg *queue, **queue_end; /* refused with TSP_EAGAIN: sent again in order */
};

struct process {
    tspi_world world; /* first: the node's callbacks get a pointer to it */
    int64_t epoch_ns; /* as in its configuration */
    tspi_spec spec;
    tspi_node node;
    tspi_transport *transport;
    tspi_media_driver media; /* of this node alone, where the transport wants one */
    int64_t media_checked_ns;
    tspi_control control;
    struct peer *peers;
    size_t peers_n;
    size_t queued;
    uint64_t foreign_seen, foreign_told;
    uint64_t sent, received; /* messages to and from other nodes of the lab, since the start */
    bool done_told, quit;
    tspi_remote_place remote; /* of a node far from its conductor; its folder is "" beside it */
    int64_t heard_ns;         /* a word of the conductor's */
    int64_t progress_ns, memory_ns;
};

/* Read the spec, make the node, open its inbox, say "ready". */
tsp_status tspi_node_open(struct process *p, const tspi_node_process_config *config, tsp_error *err);

/* The world's way to send. */
tsp_status tspi_peers_send(tspi_world *world, uint32_t stage, uint32_t worker, const tspi_content *content,
                           tsp_error *err);
/* Offer again what was refused before. */
tsp_status tspi_peers_send_queued(struct process *p, tsp_error *err);
/* From the command "peer STAGE WORKER ADDRESS". */
tsp_status tspi_peers_add(struct process *p, const char *line, tsp_error *err);
/* All are known: from now on they may be sent to. */
void tspi_peers_complete(struct process *p);
void tspi_peers_release(struct process *p);

#endif
