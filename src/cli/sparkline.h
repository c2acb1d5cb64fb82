/* An offset over time as one line of characters. */
#ifndef TSPI_CLI_SPARKLINE_H
#define TSPI_CLI_SPARKLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "truespan/clocks.h"

enum { SPARKLINE_COLUMNS = 24, SPARKLINE_BYTES = SPARKLINE_COLUMNS * 4 };

/* How many characters it gets in a terminal of so many columns; 0 = no terminal. */
unsigned sparkline_columns(unsigned columns);

/* The time that all lines of a table share. Zero it with sparkline_axis_init, then take in every clock's knots. */
typedef struct {
    int64_t from_ns, to_ns;
} sparkline_axis;
void sparkline_axis_init(sparkline_axis *axis);
void sparkline_axis_add(sparkline_axis *axis, const tsp_knot *knots, size_t n);

/* The finest scale that is honest for a clock: what its estimate's noise and its bounds leave open, so that a quiet
 * clock is a flat line. lo, hi: unbounded is welcome. */
double sparkline_scale_ns(int64_t sigma_ns, int64_t lo_ns, int64_t hi_ns);

/* n knots of one clock, oldest first, as columns characters, at most SPARKLINE_COLUMNS; blank where nothing is known;
 * no blanks at the end. The line's full height is the clock's own range, or scale_ns if that is more. utf8: block
 * elements, else ASCII. ret: SPARKLINE_BYTES bytes. */
void sparkline_draw(const sparkline_axis *axis, const tsp_knot *knots, size_t n, double scale_ns, unsigned columns,
                    bool utf8, char ret[SPARKLINE_BYTES]);

#endif
