/* A child process: how it ended, in words, and how to see it end. */
#ifndef TSPI_LAB_CHILD_H
#define TSPI_LAB_CHILD_H

#include <sys/types.h>

#include "truespan/base.h"

/* TSP_ECLOSED, and "WHAT was killed by signal 9 (Killed)" or "WHAT ended with exit code 3". status: waitpid's. */
tsp_status tspi_child_ended(const char *what, int status, tsp_error *err);

/* TSP_OK while it runs; else *pid becomes 0, and tspi_child_ended. A pid of 0 or below is nobody. */
tsp_status tspi_child_check(pid_t *pid, const char *what, tsp_error *err);

/* Wait for its end until deadline_ns (CLOCK_MONOTONIC), then kill it. *pid becomes 0. */
void tspi_child_reap(pid_t *pid, int64_t deadline_ns);

/* CLOCK_MONOTONIC. */
int64_t tspi_monotonic_ns(void);

/* Unix time less CLOCK_MONOTONIC, ns, as the machine's clock has it now. Of several readings the one that took least
 * counts: a process that waits between its two clocks would see them apart. */
int64_t tspi_monotonic_epoch_ns(void);

#endif
