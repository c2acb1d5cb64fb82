/* How long a message takes in virtual time. */
#ifndef TSPI_SIM_SIM_DELAY_H
#define TSPI_SIM_SIM_DELAY_H

#include "base/random.h"
#include "lab/spec.h"

typedef struct tspi_sim_delay tspi_sim_delay;

/* spec is borrowed. Reads sim.delays_file: a delay a line ("4.1ms"), or three words, "FROM TO DELAY" with names of
 * stages, which then hold for that edge alone; '#' begins a comment. */
tsp_status tspi_sim_delay_new(const tspi_spec *spec, const tspi_random *random, tspi_sim_delay **ret_delay,
                              tsp_error *err);
void tspi_sim_delay_free(tspi_sim_delay *delay);

/* from, to: rows of spec->stages. node: the sender's number, for the rate of its line. since_ns: since the block began.
 */
int64_t tspi_sim_delay_draw(tspi_sim_delay *delay, uint32_t from, uint32_t to, uint32_t node, size_t bytes,
                            int64_t since_ns);

/* A new block: lines are free. */
void tspi_sim_delay_begin(tspi_sim_delay *delay);

#endif
