/* Shortest ways by sweeps along clocks. What bounds a clock is shorter by a hop than what it bounds in turn, at all
 * times; waits differ less. So clocks are taken in the order of their shortest way, as Dijkstra takes vertices: two
 * passes along a clock's instants, one each way, settle all waits on it, then its hops are offered to their other ends.
 * A clock to which more is offered afterwards is taken again, for the part that changed. Memory is read in order, where
 * a heap of vertices would walk it at random. */
#ifndef TSPI_SOLVE_SWEEP_H
#define TSPI_SOLVE_SWEEP_H

#include <stdbool.h>

#include "solve/graph.h"

/* Lowers labels along arcs (forward) or against them, as tspi_reach does (bound.h), and to the same labels.
 * via        as there, but never NULL
 * ret_done   nothing is left to lower: the labels are final. Else sums were too large, or it took too long, and what is
 *            left is Dijkstra's
 * False: out of memory. */
bool tspi_sweep(const tspi_graph *graph, const int64_t *pi, bool forward, int64_t *label, uint32_t *via,
                bool *ret_done);

#endif
