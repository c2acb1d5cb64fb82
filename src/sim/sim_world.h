/* All nodes of a pipeline in one process and in virtual time. A node is a process with one thread, as in the lab: it
 * sleeps until a message or a timer wakes it, which takes a moment; what it does costs time, and what comes meanwhile
 * waits. */
#ifndef TSPI_SIM_SIM_WORLD_H
#define TSPI_SIM_SIM_WORLD_H

#include "lab/runner.h"
#include "sim/sim_engine.h"

typedef struct tspi_sim_world tspi_sim_world;

/* When virtual time begins, Unix ns: 2026-01-01T00:00:00Z. */
#define TSPI_SIM_EPOCH_NS INT64_C(1767225600000000000)

/* Every node of spec, asleep. spec and answers are borrowed for the world's life. */
tsp_status tspi_sim_world_new(const tspi_spec *spec, tspi_answers *answers, tspi_sim_world **ret_world, tsp_error *err);
void tspi_sim_world_free(tspi_sim_world *world);

/* A block from begin to end; virtual time goes on behind it. go_on: asked now and then; anything but TSP_OK stops the
 * block, and what there is was written all the same. */
tsp_status tspi_sim_world_block(tspi_sim_world *world, const tspi_block *block, bool saturated,
                                tsp_status (*go_on)(void *ctx, const tspi_progress *progress, tsp_error *err),
                                void *ctx, tspi_block_result *ret_result, tsp_error *err);

#endif
