/* Throughput with skew on over off, from pairs of blocks. */
#ifndef TSPI_LAB_THROUGHPUT_H
#define TSPI_LAB_THROUGHPUT_H

#include "lab/lab_result.h"
#include "truespan/base.h"

/* Fill each row's ratio and all_skews from its rates, planned pairs a row. Rows without a whole pair are dropped, and
 * of the others only whole pairs are kept. */
tsp_status tspi_throughput_measure(tspi_lab_result *result, uint32_t planned, tsp_error *err);

/* Fill all_skews alone, from the whole pairs of all rows. A row's noise is taken about its own mean. */
tsp_status tspi_throughput_pool(tspi_lab_result *result, tsp_error *err);

#endif
