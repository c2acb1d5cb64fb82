/* Max-balancing: the offsets at which, for every group of vertices, the fastest hop out looks exactly as fast as the
 * fastest hop in (Schneider & Schneider 1991). They are unique within a strongly connected group. */
#ifndef TSPI_SOLVE_BALANCE_H
#define TSPI_SOLVE_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* w: the smallest slack seen from -> to, ns. */
typedef struct {
    uint32_t from, to;
    double w;
} tspi_balance_edge;

/* What one thread needs to balance graphs one after the other. Zero it to initialise. */
typedef struct tspi_balancer {
    void *memory;
    size_t cap;
} tspi_balancer;

void tspi_balancer_release(tspi_balancer *balancer);

/* n          vertices
 * root       n flags, or NULL: vertices whose group's joining counts for level
 * ret_x      n offsets: w - x[to] + x[from] is balanced; meaningful within a group
 * ret_group  n group numbers; vertices share one when a cycle of edges joins them
 * ret_level  n: the cycle mean at which the vertex came into one group with a root; INFINITY: never
 * False: out of memory. Work is bounded (constants.h): what is not joined by then keeps groups of its own. Source:
 * Young, Tarjan & Orlin, Networks 21 (1991): parametric shortest paths with contraction, O(n m + n^2 log n). */
bool tspi_balance(tspi_balancer *balancer, uint32_t n, const tspi_balance_edge *edges, size_t edges_n,
                  const uint8_t *root, double *ret_x, uint32_t *ret_group, double *ret_level);

#endif
