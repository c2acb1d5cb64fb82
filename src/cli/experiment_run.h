/* An experiment from the command line: its folder, its progress, its table. */
#ifndef TSPI_CLI_EXPERIMENT_RUN_H
#define TSPI_CLI_EXPERIMENT_RUN_H

#include "lab/experiment.h"

/* Run a checked spec on runner with the options chosen, print the table or the JSON, leave the folder. name: the
 * command, for messages. Returns the exit code. */
int experiment_run(const char *name, const tspi_spec *spec, const struct tspi_runner_ops *runner);

/* Say what went wrong; returns the exit code. */
int experiment_fail(const char *name, const tsp_error *err);

#endif
