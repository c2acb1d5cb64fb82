/* Proofs: feasibility and bounds, in exact integers.
 *
 * A potential is an offset for each vertex that no arc and no tie contradicts. Given any guess, tspi_potential lowers
 * it as little as need be until nothing contradicts it, or finds a negative cycle: a proof that no clocks within the
 * drift limit explain the stamps. With a potential all reduced weights are >= 0, and one run of Dijkstra each way
 * gives every bound. */
#ifndef TSPI_SOLVE_BOUND_H
#define TSPI_SOLVE_BOUND_H

#include "solve/graph.h"

/* One step of a path: an arc, or a tie to the vertex before or after. */
#define TSPI_VIA_NONE UINT32_MAX
#define TSPI_VIA_BEFORE (UINT32_MAX - 1) /* from the vertex before, by a tie */
#define TSPI_VIA_AFTER (UINT32_MAX - 2)  /* from the vertex after */

typedef struct {
    uint32_t from, to; /* vertices */
    uint32_t via;      /* arc, or one of the above */
} tspi_link;

typedef enum { TSPI_FEASIBLE, TSPI_CYCLE, TSPI_NO_MEMORY } tspi_feasibility;

/* pi          vertices_n offsets: in, a guess; out (feasible), at most that, contradicted by nothing
 * ret_links   (cycle) malloc'ed, in order, the end of each the start of the next; the caller frees it */
tspi_feasibility tspi_potential(const tspi_graph *graph, int64_t *pi, tspi_link **ret_links, size_t *ret_n);

/* Shortest ways from sources, along arcs (forward) or against them.
 * label     vertices_n; in: where a way may begin, and at what cost; INT64_MAX elsewhere. out: for forward, the
 *           largest x that the sources' values allow; for backward, minus the smallest. INT64_MAX: unreachable.
 *           forward: label[v] = min over u of label[u] + d(u, v); backward: min over u of label[u] + d(v, u)
 * pi        a potential
 * via       how each vertex was reached (TSPI_VIA_NONE where a way may begin), kept up to date; or NULL
 * False: out of memory. Sums that would overflow count as unreachable, which only widens. */
bool tspi_reach(const tspi_graph *graph, const int64_t *pi, bool forward, int64_t *label, uint32_t *via);

/* Bounds of every vertex against the roots. Quickest when pi is 0 there. */
typedef struct {
    size_t room;               /* of each array */
    int64_t *hi, *lo;          /* owned: TSP_UNBOUNDED_HI and _LO where nothing bounds */
    uint32_t *via_hi, *via_lo; /* owned */
} tspi_bounds;
bool tspi_bounds_find(const tspi_graph *graph, const int64_t *pi, unsigned threads, tspi_bounds *ret_bounds);
void tspi_bounds_release(tspi_bounds *bounds);

/* Bounds of a node at any instant. */
void tspi_bounds_at(const tspi_graph *graph, const tspi_bounds *bounds, uint32_t node, int64_t stamp, int64_t *ret_lo,
                    int64_t *ret_hi);

/* The same for stamps that follow each other: hint is the vertex at which the last one was found; any number at first.
 */
void tspi_bounds_near(const tspi_graph *graph, const tspi_bounds *bounds, uint32_t node, int64_t stamp, int64_t *hint,
                      int64_t *ret_lo, int64_t *ret_hi);

/* The chain that makes the bound of vertex v: from a root to v (upper), or from v to a root. malloc'ed, in order. */
bool tspi_bounds_chain(const tspi_graph *graph, const tspi_bounds *bounds, uint32_t v, bool upper,
                       tspi_link **ret_links, size_t *ret_n);

#endif
