/* Two ways from a sender to a receiver over one messaging system: the transport layer, and the bare client library that
 * it stands on, with the same message, the same settings, the same threads and the same way of waiting. bench_hop.c
 * measures them side by side; hop_NAME.c opens the bare one. */
#ifndef TRUESPAN_BENCH_HOP_H
#define TRUESPAN_BENCH_HOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "transport/transport.h"

enum { HOP_FRAME_MAX = 256, HOP_BATCH = 64, HOP_KEY = 7 };

typedef struct hop_way hop_way;
struct hop_way {
    /* One header and a body, which begins with the time of sending. false: no room now. */
    bool (*send)(hop_way *way, const tspi_content *content);
    /* Take what is there, HOP_BATCH at most, with hop_note for each. How many. */
    int (*drain)(hop_way *way);
    /* Sleep until there may be something, as a node of the lab does after drain said 0. */
    void (*wait)(hop_way *way);
    void (*turn)(hop_way *way); /* on the sender's thread, behind each message and while it waits; may be NULL */
    void (*close)(hop_way *way);
    void *sender, *receiver; /* the bare way's own, and whatever else it keeps */
    void *more[4];
    int wait_fd;
    int64_t idle_ns, turned_ns;
    tspi_transport *out, *in; /* the layer's */
    uint32_t peer;
    int64_t *delays_ns; /* while it measures */
    size_t delays_n;
    /* The receiver writes it with every message: what the sender reads must not share its cache line. */
    _Alignas(2 * 64) _Atomic uint64_t received;
};

/* A messaging system to measure. */
typedef struct {
    const char *name;   /* "aeron-udp" */
    const char *scheme; /* of the transport */
    const char *host;
    /* Fill config for open. NULL = nothing to add. */
    void (*configure)(tspi_transport_config *config);
    void (*open_bare)(hop_way *way);
    uint32_t flood;       /* messages a block at saturation */
    uint32_t warm_blocks; /* of latency, not measured, at the beginning of the run */
    int64_t full_nap_ns;  /* how long a sender sleeps that found no room; 0 = it yields */
} hop_rig;

extern const hop_rig hop_zmq, hop_aeron_udp, hop_aeron_ipc, hop_kafka;

int64_t hop_now_ns(void);

/* A message has come; body is what was sent. */
void hop_note(hop_way *way, const void *body, size_t len);

/* What a program on a library that carries bytes does for the same message, without a message object: write header and
 * body into a buffer of its own; look for the header in what came, which is not to be trusted. */
size_t hop_write_frame(uint8_t ret_frame[HOP_FRAME_MAX], const tspi_content *content);
const uint8_t *hop_read_frame(const uint8_t *frame, size_t len, size_t *ret_body_len);
_Noreturn void hop_die(const char *what);

#endif
