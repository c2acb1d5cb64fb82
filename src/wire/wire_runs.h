/* Traces of several runs of the lab or the simulator that were read as one. */
#ifndef TSPI_WIRE_WIRE_RUNS_H
#define TSPI_WIRE_WIRE_RUNS_H

#include "wire/wire.h"

/* How many runs the files belong to, and the last one's folder: len bytes, borrowed from the report. */
size_t tspi_runs_among(const tspi_read_report *report, const char **ret_last, size_t *ret_len);

#endif
