/* Whom a node sends to, and what waits because it was refused. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lab/node_inside.h"

static struct peer *find_peer(struct process *p, uint32_t stage, uint32_t worker)
{
    for (size_t k = 0; k < p->peers_n; k++)
        if (p->peers[k].stage == stage && p->peers[k].worker == worker)
            return &p->peers[k];
    return NULL;
}

static tsp_status queue(struct process *p, struct peer *peer, const tspi_content *content, tsp_error *err)
{
    tspi_msg *msg = tspi_msg_of(content);

    if (!msg)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message of %zu bytes", content->payload_len);
    msg->next = NULL;
    *peer->queue_end = msg;
    peer->queue_end = &msg->next;
    p->queued++;
    return TSP_OK;
}

tsp_status tspi_peers_send(tspi_world *world, uint32_t stage, uint32_t worker, const tspi_content *content,
                           tsp_error *err)
{
    struct process *p = (struct process *)world;
    struct peer *peer = find_peer(p, stage, worker);

    if (!peer)
        return tsp_error_set(err, TSP_EINVAL, "no worker %u of stage '%s'", worker, p->spec.stages[stage].name);
    tsp_status rc = peer->queue ? TSP_EAGAIN : tspi_transport_post(p->transport, peer->handle, content, err);
    if (rc == TSP_EAGAIN)
        rc = queue(p, peer, content, err);
    p->sent += rc == TSP_OK;
    return rc;
}

tsp_status tspi_peers_send_queued(struct process *p, tsp_error *err)
{
    for (size_t k = 0; k < p->peers_n && p->queued; k++) {
        struct peer *peer = &p->peers[k];
        while (peer->queue) {
            tspi_msg *msg = peer->queue, *next = msg->next;
            tsp_status rc = p->transport->ops->send(p->transport, peer->handle, msg, err);
            if (rc == TSP_EAGAIN)
                break;
            if (rc != TSP_OK && rc != TSP_ECLOSED)
                return rc; /* the message stays in the queue, to be freed with it */
            peer->queue = next;
            if (!next)
                peer->queue_end = &peer->queue;
            p->queued--;
            if (rc != TSP_OK)
                return rc;
        }
    }
    return TSP_OK;
}

tsp_status tspi_peers_add(struct process *p, const char *line, tsp_error *err)
{
    struct peer peer;
    int at = 0;

    if (sscanf(line, "peer %" SCNu32 " %" SCNu32 " %n", &peer.stage, &peer.worker, &at) != 2 || !at)
        return tsp_error_set(err, TSP_EPARSE, "no peer: '%.80s'", line);
    struct peer *peers = realloc(p->peers, (p->peers_n + 1) * sizeof *peers);
    if (!peers)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a peer");
    p->peers = peers;
    tsp_status rc = p->transport->ops->connect(p->transport, line + at, &peer.handle, err);
    if (rc != TSP_OK)
        return rc;
    peer.queue = NULL;
    p->peers[p->peers_n++] = peer;
    return TSP_OK;
}

/* Queue ends point into the array, which does not move any more once all peers are known. */
void tspi_peers_complete(struct process *p)
{
    for (size_t k = 0; k < p->peers_n; k++)
        p->peers[k].queue_end = &p->peers[k].queue;
}

void tspi_peers_release(struct process *p)
{
    for (size_t k = 0; k < p->peers_n; k++)
        for (tspi_msg *msg = p->peers[k].queue, *next; msg; msg = next) {
            next = msg->next;
            tspi_msg_free(msg);
        }
    free(p->peers);
}
