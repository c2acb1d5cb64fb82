/* The graph that every proof lives in. A vertex is a node (a clock between two steps) at the instant of a kept hop;
 * neighbouring instants of one node are tied both ways by the drift limit; a hop is an arc from its sent to its
 * received vertex. A root clock *is* time: all its instants are one vertex, or, if it stepped, one a piece; all ways
 * begin at one of them. All weights are whole ns. */
#ifndef TSPI_SOLVE_GRAPH_H
#define TSPI_SOLVE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "solve/hop_store.h"
#include "solve/sides.h"

typedef struct {
    uint32_t from, to; /* vertices */
    int64_t limit;     /* x[to] - x[from] <= limit */
    size_t row;        /* of the hop */
} tspi_arc;

typedef struct {
    int64_t rho_ppb;
    unsigned threads; /* for passes over it; 0 means 1 */
    uint32_t nodes_n, vertices_n, arcs_n;
    uint32_t *first;  /* owned, nodes_n + 1: vertices of a node, by instant; a root's node has one, the other's none */
    uint8_t *is_root; /* owned, nodes_n: whose offset is 0 */
    uint8_t *is_time; /* owned, nodes_n: of a root clock, whose offset does not change */
    int64_t *at;      /* owned: instant, local stamp */
    int64_t *drift;   /* owned: tspi_drift_at(at) */
    uint8_t *tied;    /* owned: 1 when the next vertex is of the same node */
    uint32_t *node;   /* owned: of each vertex */
    tspi_arc *arcs;   /* owned */
    uint32_t *out_first, *out, *in_first, *in; /* owned: arcs by tail and by head; first: vertices_n + 1 */
    size_t vertices_room, arcs_room;           /* of the arrays above */
} tspi_graph;

/* Which hops: those whose flags have none of `without`.
 * root       a clock: 0, or 1 + the piece of it whose offset is 0
 * rho_ppb    drift limit, whole ppb
 * allowance  ns added to every hop's slack
 * prune      drop hops that others of the same edge make redundant: no bound changes (by more than PRUNE_MARGIN_NS
 *            wider)
 * False: out of memory, or more than 2^32 - 2 vertices. */
bool tspi_graph_build(tspi_graph *graph, const tspi_hop_store *hops, const tspi_sides *sides, const uint8_t *root,
                      int64_t rho_ppb, uint16_t without, int64_t allowance, bool prune);

/* The same of the hops whose only[row] is set (NULL: all). */
bool tspi_graph_build_of(tspi_graph *graph, const tspi_hop_store *hops, const tspi_sides *sides, const uint8_t *root,
                         int64_t rho_ppb, uint16_t without, int64_t allowance, bool prune, const uint8_t *only);
void tspi_graph_release(tspi_graph *graph);

/* The last vertex of a node at or before stamp, or first[node] - 1 when there is none. */
int64_t tspi_graph_before(const tspi_graph *graph, uint32_t node, int64_t stamp);

/* The tie between vertex v and v + 1. */
static inline int64_t tspi_graph_tie(const tspi_graph *graph, uint32_t v)
{
    return graph->drift[v + 1] - graph->drift[v];
}

/* Marks keep[row] for the hops that prune would keep, of those with only[row] set (NULL: all): h goes when some g of
 * its nodes has w_g + rho |sent_h - sent_g| + rho |received_h - received_g| + PRUNE_MARGIN_NS <= w_h. Exposed for its
 * test. */
void tspi_prune(const tspi_hop_store *hops, const tspi_sides *sides, const uint8_t *root, int64_t rho_ppb,
                uint16_t without, bool prune, const uint8_t *only, uint8_t *keep);

#endif
