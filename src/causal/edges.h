/* Edges: all hops from one clock to another, as counts, minima and a distribution of slacks. Hops are streamed through;
 * none is stored. */
#ifndef TSPI_CAUSAL_EDGES_H
#define TSPI_CAUSAL_EDGES_H

#include "causal/hops.h"
#include "causal/slacks.h"

typedef struct {
    uint32_t from, to; /* clocks, different */
    uint64_t hops;     /* hard and soft */
    uint64_t violations, hard_violations, soft_violations;
    uint64_t within_quantum;   /* received before sent by less than the receiver's quantum: not violations */
    int64_t worst_ns;          /* the largest sent - received of a violation; 0 = none */
    int64_t first_ns, last_ns; /* received stamps, earliest and latest */
    tspi_slacks slacks[2];     /* of TSPI_HOP_HARD, TSPI_HOP_SOFT; owned. Counted only: n, min_ns, max_ns alone */
} tspi_edge;

/* What was seen on one clock: nothing here can be skew. */
typedef struct {
    uint64_t hard, soft; /* pairs on this clock */
    uint64_t hard_violations, soft_violations;
    uint64_t within_quantum;
    uint64_t calls, late_calls;  /* soft pairs between two processes: the rate at which ends come late */
    uint64_t negative_durations; /* spans that end before they start, beyond their quantum */
    uint64_t unstamped;          /* spans without a start, an end or both: 0, or absent */
    uint64_t hops_in, hops_out;  /* from and to other clocks */
    int64_t first_ns, last_ns;   /* stamps of its spans; first > last: none */
} tspi_clock_stats;

typedef struct {
    tspi_edge *edges; /* owned; ordered by (from, to) */
    size_t edges_n;
    tspi_clock_stats *stats; /* owned; a row a clock */
    uint32_t clocks_n;
    uint64_t hops, violations; /* over all edges */
} tspi_edges;

/* What is measured. Zero it for all.
 * rows     bits of span rows: only hops of which an end is one of them, and what these spans say; NULL: all
 * counts   no quantile, margin or slack of an edge will be asked for: hops are only counted, which is quicker
 * threads  0 = one a core, 1 = none; the result does not depend on it */
typedef struct {
    const uint64_t *rows;
    bool counts;
    unsigned threads;
} tspi_edges_wanted;

/* Measure edges. Errors: TSP_ENOMEM. On failure nothing needs releasing. */
tsp_status tspi_edges_measure(const tspi_join *join, uint32_t clocks_n, const tspi_edges_wanted *wanted,
                              tspi_edges *ret_edges, tsp_error *err);
void tspi_edges_release(tspi_edges *edges);

/* The edge from one clock to another, or NULL. */
tspi_edge *tspi_edges_find(const tspi_edges *edges, uint32_t from, uint32_t to);

/* Smallest slack: how much more the receiver's clock can fall behind the sender's before the first violation. Negative:
 * that is how far it is beyond. With share > 0: before that share of the hops is violated (0.01 = 1 %). */
int64_t tspi_edge_margin_ns(tspi_edge *edge, double share);

/* Quantile of the slacks of hard and soft hops together; p in [0, 1]. Within 0.05 %. */
int64_t tspi_edge_slack_ns(tspi_edge *edge, double p);

#endif
