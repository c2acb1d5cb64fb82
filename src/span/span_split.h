/* Taking traces out of a set. */
#ifndef TSPI_SPAN_SPAN_SPLIT_H
#define TSPI_SPAN_SPAN_SPLIT_H

#include "span/span_set.h"

/* Move the traces whose byte in leave is set, with all that hangs on them, to ret_gone, and let the set be what it
 * would be had it never seen them; but its processes all stay, in their rows. ret_gone has spans, traces, links,
 * sequences and events (rows in the order in which they were; released like any set); its processes are borrowed from
 * nobody: there are none, the numbers are the set's. Its names are none either: equal numbers are equal names. Errors:
 * TSP_ENOMEM; then the set is as it was. */
tsp_status tspi_span_set_split(tspi_span_set *set, const uint8_t *leave, tspi_span_set *ret_gone, tsp_error *err);

#endif
