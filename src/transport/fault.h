/* A transport around another one that delays, jitters, loses, doubles or reorders messages on their way out. What it
 * still holds when it is closed is lost. */
#ifndef TSPI_TRANSPORT_FAULT_H
#define TSPI_TRANSPORT_FAULT_H

#include "base/random.h"
#include "transport/transport.h"

typedef struct {
    int64_t delay_ns;  /* one way */
    int64_t jitter_ns; /* half width: the delay is uniform in delay +- jitter */
    double loss;       /* share of messages lost, 0..1 */
    double duplicate;  /* share sent twice */
    bool reorder;      /* let jitter overtake; otherwise messages to one peer keep their order */
    /* The time by which messages are held back, the same that poll is given; NULL = CLOCK_MONOTONIC. */
    int64_t (*now_ns)(void *ctx);
    void *ctx;
} tspi_fault_config;

/* Takes inner: closing the wrapper closes it; on failure inner is closed too. random: copied. */
tsp_status tspi_fault_wrap(tspi_transport *take_inner, const tspi_fault_config *config, const tspi_random *random,
                           tspi_transport **ret_transport, tsp_error *err);

#endif
