/* Two ways from a sender to a receiver over one messaging system: the transport layer, and the bare client library that
 * it stands on, with the same bytes, the same options and the same way of waiting. bench_hop.c measures them side by
 * side; hop_NAME.c opens the bare one. */
#ifndef TRUESPAN_BENCH_HOP_H
#define TRUESPAN_BENCH_HOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/transport.h"

enum { HOP_FRAME_MAX = 256, HOP_FLOOD_BLOCKS = 15 };

typedef struct hop_way hop_way;
struct hop_way {
    /* One message of frame_bytes that begins with sent_ns (the layer: whose payload does). false: no room now. */
    bool (*send)(hop_way *way, int64_t sent_ns);
    /* Take what is there, a batch at most, with hop_note for each. How many. */
    int (*drain)(hop_way *way);
    /* Sleep until there may be something, as a node of the lab does after drain said 0. */
    void (*wait)(hop_way *way);
    void (*turn)(hop_way *way); /* on the sender's thread, while it waits; may be NULL */
    size_t frame_bytes;
    void *sender, *receiver; /* the bare way's own */
    int wait_fd;
    int64_t idle_ns;
    tspi_transport *out, *in; /* the layer's */
    uint32_t peer;
    pthread_t thread;
    _Atomic uint64_t received;
    _Atomic bool stop;
    int64_t *delays_ns; /* while it measures */
    _Atomic size_t delays_n;
    double rates[HOP_FLOOD_BLOCKS], cpu_ns[HOP_FLOOD_BLOCKS]; /* of each flood: messages a second, ns a message */
};

/* A messaging system to measure. */
typedef struct {
    const char *name;   /* "aeron-udp" */
    const char *scheme; /* of the transport */
    const char *host;
    /* Fill config for open. NULL = nothing to add. */
    void (*configure)(tspi_transport_config *config);
    /* Fill the bare way; way->frame_bytes is set. */
    void (*open_bare)(hop_way *way);
    uint32_t flood; /* messages a block at saturation */
} hop_rig;

extern const hop_rig hop_zmq, hop_aeron_udp, hop_aeron_ipc;

/* A message that was sent at sent_ns has come. */
void hop_note(hop_way *way, int64_t sent_ns);

/* What a program on the bare library would do for the same message, without a message object: write header and payload
 * into a buffer of its own; find both in what came. */
void hop_write_frame(uint8_t ret_frame[HOP_FRAME_MAX], int64_t sent_ns);
int64_t hop_read_frame(const uint8_t *frame, size_t len);
_Noreturn void hop_die(const char *what);

#endif
