/* causality_health over rolling windows. */
#ifndef TSPI_HEALTH_HEALTH_H
#define TSPI_HEALTH_HEALTH_H

#include "causal/hops.h"

#define TSPI_HEALTH_WINDOW_NS (30 * TSP_NS_PER_S)

/* The window (at_ns - window, at_ns]. A window without hops is healthy, with rate 0: nothing was contradicted. */
typedef struct {
    int64_t at_ns;
    uint64_t hops, violations;
    bool healthy; /* no violation in the window */
    double rate;  /* violations / hops */
} tspi_health_point;

/* Zero it for the defaults. */
typedef struct {
    int64_t window_ns; /* 0 = 30 s */
    int64_t step_ns;   /* between points; 0 = a 30th of the window. Made longer where a run would give more than 10,000
                          points; a window is a whole number of steps */
    bool with_soft;    /* count replies too; else hard hops only, as the paper's spans from send to receive */
} tspi_health_options;

/* The series of a finished run: hops between clocks, placed by their received stamp as it stands. The first point lies
 * one step behind the first hop, the last at or behind the last hop; windows that begin before the first hop hold less.
 * options may be NULL. ret_points: owned by the caller (free); NULL and 0 without hops.
 * Errors: TSP_EINVAL: a window below 1 us; TSP_ENOMEM. */
tsp_status tspi_health_measure(const tspi_join *join, const tspi_health_options *options,
                               tspi_health_point **ret_points, size_t *ret_n, tsp_error *err);

/* The same, live: add hops as they come, in any order, and ask. */
typedef struct tspi_health_ring tspi_health_ring;
tsp_status tspi_health_ring_new(const tspi_health_options *options, tspi_health_ring **ret_ring, tsp_error *err);
void tspi_health_ring_free(tspi_health_ring *ring);

/* A hop older than the window that ends with the newest hop is left out. */
void tspi_health_ring_add(tspi_health_ring *ring, int64_t received_ns, bool violation);

/* The window that ends at now_ns; a now before the newest hop counts as that hop's time. */
tspi_health_point tspi_health_ring_at(tspi_health_ring *ring, int64_t now_ns);

#endif
