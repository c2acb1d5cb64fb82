/* The lab's blocks in virtual time. */
#ifndef TSPI_SIM_SIM_RUNNER_H
#define TSPI_SIM_SIM_RUNNER_H

#include "lab/runner.h"

extern const struct tspi_runner_ops tspi_sim_runner;

/* Stop after so much real time, as if the user had interrupted; 0 = never. Set it before the runner starts. */
extern int64_t tspi_sim_time_limit_ns;

#endif
