/* Lanes: spans of one clock laid side by side so that in each lane they nest, as chrome://tracing and Perfetto want
 * them on one thread. */
#ifndef TSPI_REPORT_LANES_H
#define TSPI_REPORT_LANES_H

#include <stddef.h>
#include <stdint.h>

#include "truespan/base.h"

/* One span. clock: whose. lane: filled, from 0 a clock. */
typedef struct {
    int64_t start_ns, end_ns; /* end >= start */
    uint32_t row, clock, lane;
} tspi_lane_span;

/* Sort the spans by (clock, start, longest first, row) and give each the first lane of its clock in which it lies
 * within, or behind, what is open there. ret_lanes: clocks_n numbers of lanes. At most TSPI_LANES_MAX a clock: what
 * would need more goes into the last, cut short nowhere. TSP_ENOMEM. */
enum { TSPI_LANES_MAX = 4096 };
tsp_status tspi_lanes_assign(tspi_lane_span *spans, size_t n, uint32_t clocks_n, uint32_t *ret_lanes, tsp_error *err);

#endif
