/* What an experiment writes into its folder beside what nodes write there. */
#ifndef TSPI_LAB_RUN_FOLDER_H
#define TSPI_LAB_RUN_FOLDER_H

#include "lab/lab_result.h"
#include "lab/node.h"

/* The experiment's folder and those of its runs, and spec.yaml. */
tsp_status tspi_run_folders_make(const tspi_spec *spec, const tspi_lab_result *result, tsp_error *err);

/* A line in the run's own log: the block at row `at` of n is done. */
void tspi_run_folder_log(const tspi_run_result *run, uint32_t at, uint32_t n, const tspi_block *block,
                         const tspi_block_result *done);

/* After the last block: gather the nodes' shares of the truth into one file. */
tsp_status tspi_run_folder_finish(const tspi_spec *spec, const tspi_run_result *run, tsp_error *err);

#endif
