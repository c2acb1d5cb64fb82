/* Shortest ways by sweeps along time. A hop leads forward in corrected time, so one pass over all vertices in that
 * order carries a label over any number of hops and waits; only where the best way waits backwards, for a hop that left
 * earlier, is another pass needed. Some fifteen passes through memory in order replace a heap that would walk it at
 * random. What is left to do, if anything, Dijkstra does (bound.c): the labels are the same to the bit. */
#ifndef TSPI_SOLVE_SWEEP_H
#define TSPI_SOLVE_SWEEP_H

#include <stdbool.h>

#include "solve/graph.h"

/* The vertices in about the order of corrected time at - pi, those of a node in their own order: place k holds vertex
 * order[k]. Any order is right; a good one is quick. Weights are reduced by pi, and 32 bits: what is longer than 4 s is
 * left to Dijkstra. */
typedef struct {
    uint32_t before;   /* place of the vertex before on the same node; its own: none, or too far to tell */
    uint32_t up, down; /* tie from there to here, and back */
} tspi_place;

typedef struct {
    const tspi_graph *graph; /* borrowed */
    const int64_t *pi;       /* borrowed */
    uint32_t *order;         /* owned */
    uint32_t *place_of;      /* owned: a vertex's place */
    tspi_place *places;      /* owned */
    bool whole;              /* every tie is there */
} tspi_timeline;

/* pi: a potential that is 0 at the roots. False: out of memory. */
bool tspi_timeline_init(tspi_timeline *line, const tspi_graph *graph, const int64_t *pi, unsigned threads);
void tspi_timeline_release(tspi_timeline *line);

/* Ways from the roots, along arcs (forward) or against them.
 * ret_label, ret_via   as in bound.h; room for vertices_n + 1 (room.h), the caller's, also where one is NULL
 * ret_done             nothing is left to lower: the labels are final
 * False: out of memory. */
bool tspi_sweep(const tspi_timeline *line, bool forward, int64_t **ret_label, uint32_t **ret_via, bool *ret_done);

#endif
