/* The same experiment on several transports, one after the other, as one result. */
#ifndef TSPI_LAB_ALL_TRANSPORTS_H
#define TSPI_LAB_ALL_TRANSPORTS_H

#include "lab/experiment.h"

/* The word in a spec that stands for all of them. */
#define TSPI_TRANSPORT_ALL "all"

/* As tspi_experiment_run. Where spec->transport is "all": every transport in turn, each with its own pipeline, baseline
 * and prediction, all runs in one result. One whose parts are not here (TSP_EUNSUPPORTED from its start) is left out
 * and the result says why; any other failure ends the whole. TSP_EUNSUPPORTED when none is left. */
tsp_status tspi_experiment_run_all(const tspi_spec *spec, const tspi_experiment_options *options,
                                   tspi_lab_result *ret_result, tsp_error *err);

/* Do the transports agree once each one's own hop delay is taken into account? In words; "" with fewer than two.
 * They do where every run's rate is the one that its own transport's delays without skew predict. */
void tspi_transports_verdict(const tspi_lab_result *result, char *ret_text, size_t size);

#endif
