/* The part of a spec that says what stands around the pipeline: services that are called for every request, or requests
 * that are joined in batches. It becomes stages like any other, so lab and simulator run it by the same code. */
#ifndef TSPI_LAB_SPEC_TOPOLOGY_H
#define TSPI_LAB_SPEC_TOPOLOGY_H

#include <stdint.h>

#include "base/buf.h"
#include "lab/spec_reader.h"

enum tspi_shape {
    TSPI_SHAPE_PIPELINE, /* nothing beside the stages */
    TSPI_SHAPE_TREE,     /* each request is fanned out over a tree of services, answers are joined on the way back */
    TSPI_SHAPE_MESH,     /* services of which each calls a few others, drawn by the seed */
    TSPI_SHAPE_BATCH,    /* inference takes requests in batches: one span, with a link to each request's sender */
    TSPI_SHAPE_HUB,      /* spokes around one service, which visits some of them for a request, one after another */
    TSPI_SHAPES_N,
};

enum { TSPI_TREE_DEPTH_MAX = 8, TSPI_CALLS_MAX = 64 };

typedef struct {
    enum tspi_shape shape;
    uint32_t depth;  /* tree: levels below the caller; mesh: how often a call is passed on, itself counted */
    uint32_t width;  /* tree: services that each one calls; mesh, hub: services, spokes; batch: requests at the most */
    uint32_t fan;    /* mesh: others that each one calls; hub: spokes that a request visits */
    int64_t wait_ns; /* batch: how long the first of it waits for others */
} tspi_topology_spec;

struct raw_topology;
struct tspi_spec;

/* Reads what raw says onto spec->topology; the stages must be there already, and the topology's are added to them. */
void tspi_topology_get(tspi_spec_reader *in, const struct raw_topology *raw, struct tspi_spec *spec);
void tspi_topology_write(const tspi_topology_spec *topology, tspi_buf *out);

/* Give spec this shape with the shape's own figures, unless it has it already: the stages of another go. */
tsp_status tspi_topology_set(struct tspi_spec *spec, const char *shape, tsp_error *err);

const char *tspi_shape_name(enum tspi_shape shape);

/* The workers of the stage that stages[stage] calls which one of its workers calls for the request of this key; returns
 * how many. The same for the same spec and key, everywhere. */
uint32_t tspi_topology_callees(const struct tspi_spec *spec, uint32_t stage, uint32_t worker, uint64_t key,
                               uint32_t ret_workers[TSPI_CALLS_MAX]);

/* Whether nodes of stages[from] send to nodes of stages[to]: messages passed on, calls or their answers. */
bool tspi_spec_sends(const struct tspi_spec *spec, uint32_t from, uint32_t to);

/* How many nodes the spec has: the workers of all its stages. */
uint32_t tspi_spec_nodes(const struct tspi_spec *spec);

#endif
