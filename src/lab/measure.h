/* From a run's folder to its figures. The traces are read by the front door, as any user's files are; the truth beside
 * them is not read. */
#ifndef TSPI_LAB_MEASURE_H
#define TSPI_LAB_MEASURE_H

#include "lab/lab_result.h"
#include "lab/spec.h"

/* Fill run's causal figures from run->folder/otlp. */
tsp_status tspi_measure_traces(const tspi_spec *spec, tspi_run_result *run, tsp_error *err);

/* Fill latencies and outputs from run->folder/requests.jsonl. reference: SHA-256 of each prompt's text, 32 bytes a
 * prompt, or NULL when the engine's outputs cannot be compared. */
tsp_status tspi_measure_requests(const uint8_t (*reference)[32], uint32_t prompts_n, tspi_run_result *run,
                                 tsp_error *err);

/* The rates that the hop delays of baseline predict for run's skew: on an edge that leaves the skewed stage the share
 * of hops faster than the skew. Nothing is predicted without a baseline, of the null run, or of a clock that is off by
 * more than a constant. */
tsp_status tspi_measure_predict(const tspi_spec *spec, const tspi_run_result *baseline, tspi_run_result *run,
                                tsp_error *err);

#endif
