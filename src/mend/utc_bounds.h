/* What is known of clocks from outside: at a moment of its own, a clock's offset from UTC lay between two limits. Read
 * from what chrony prints, or from CSV. docs/clocks.md says how such files are written. */
#ifndef TSPI_MEND_UTC_BOUNDS_H
#define TSPI_MEND_UTC_BOUNDS_H

#include "base/arena.h"
#include "truespan/base.h"

/* offset = clock - UTC, ns: lo <= offset <= hi when the clock showed at_ns. */
typedef struct {
    const char *clock; /* in the arena */
    uint32_t row;      /* the caller's, of that clock; the reader leaves it 0 */
    uint32_t line;
    int64_t at_ns, lo_ns, hi_ns;
} tspi_utc_bound;

/* Zero it to initialise. unsynchronised: reports of chrony that say that it knows no time: they bound nothing. */
typedef struct {
    tspi_arena arena;
    tspi_utc_bound *rows; /* owned, in the order of the file */
    size_t n, cap;
    uint64_t unsynchronised;
} tspi_utc_bounds;

/* "-" is standard input. Errors name file, line and field: TSP_EIO; TSP_EPARSE; TSP_ERANGE: a number that no clock can
 * show; TSP_ENOMEM. */
tsp_status tspi_utc_bounds_read(const char *path, tspi_utc_bounds *ret_bounds, tsp_error *err);
void tspi_utc_bounds_release(tspi_utc_bounds *bounds);

#endif
