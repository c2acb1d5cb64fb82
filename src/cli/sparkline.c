#include "cli/sparkline.h"

#include <math.h>
#include <stdio.h>

#include "truespan/base.h"

enum { LEVELS = 8, WIDE_SCREEN = 132, NARROW = 16 };
#define SCALE_LEAST_NS 10e3       /* stamps are seldom better than 10 us: below it is no movement to show */
#define SCALE_PART 100            /* of the room between the bounds */
#define SCALE_SIGMAS 8            /* a level is then one standard error */
#define GAP_NS (2 * TSP_NS_PER_S) /* knots lie at most a second apart where there is traffic */

void sparkline_axis_init(sparkline_axis *axis)
{
    *axis = (sparkline_axis){INT64_MAX, INT64_MIN};
}

void sparkline_axis_add(sparkline_axis *axis, const tsp_knot *knots, size_t n)
{
    if (!n)
        return;
    axis->from_ns = knots[0].at_ns < axis->from_ns ? knots[0].at_ns : axis->from_ns;
    axis->to_ns = knots[n - 1].at_ns > axis->to_ns ? knots[n - 1].at_ns : axis->to_ns;
}

double sparkline_scale_ns(int64_t sigma_ns, int64_t lo_ns, int64_t hi_ns)
{
    double scale = fmax(SCALE_LEAST_NS, SCALE_SIGMAS * (double)sigma_ns);

    if (lo_ns != TSP_UNBOUNDED_LO && hi_ns != TSP_UNBOUNDED_HI)
        scale = fmax(scale, ((double)hi_ns - (double)lo_ns) / SCALE_PART);
    return scale;
}

/* The range of what is known; false: nothing is. */
static bool find_range(const tsp_knot *knots, size_t n, double *ret_least, double *ret_most)
{
    *ret_least = INFINITY;
    *ret_most = -INFINITY;
    for (size_t k = 0; k < n; k++)
        if (knots[k].offset_ns != TSP_NO_VALUE) {
            *ret_least = fmin(*ret_least, (double)knots[k].offset_ns);
            *ret_most = fmax(*ret_most, (double)knots[k].offset_ns);
        }
    return *ret_least <= *ret_most;
}

/* The mean of the knots from *at up to a time; NAN: there is none. A short run has columns without a knot, between
 * knots that hold: those show the knot before. */
static double column_value(const tsp_knot *knots, size_t n, size_t *at, double until, bool last)
{
    double sum = 0;
    size_t known = 0;

    for (; *at < n && ((double)knots[*at].at_ns < until || last); ++*at)
        if (knots[*at].offset_ns != TSP_NO_VALUE) {
            sum += (double)knots[*at].offset_ns;
            known++;
        }
    if (known)
        return sum / (double)known;
    if (!*at || *at == n || knots[*at - 1].offset_ns == TSP_NO_VALUE ||
        knots[*at].at_ns - knots[*at - 1].at_ns > GAP_NS)
        return NAN;
    return (double)knots[*at - 1].offset_ns;
}

unsigned sparkline_columns(unsigned columns)
{
    return !columns || columns >= WIDE_SCREEN ? SPARKLINE_COLUMNS : NARROW;
}

void sparkline_draw(const sparkline_axis *axis, const tsp_knot *knots, size_t n, double scale_ns, unsigned columns,
                    bool utf8, char ret[SPARKLINE_BYTES])
{
    static const char *const blocks[LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const marks[LEVELS] = {"_", ".", ",", "-", "~", "=", "^", "\""};
    double least, most, from = (double)axis->from_ns, to = (double)axis->to_ns;
    size_t len = 0, end = 0, at = 0;

    ret[0] = 0;
    if (axis->from_ns >= axis->to_ns || !find_range(knots, n, &least, &most))
        return;
    double span = fmax(most - least, scale_ns), low = (least + most) / 2 - span / 2;
    for (unsigned column = 1; column <= columns; column++) {
        double until = from + (to - from) * column / columns;
        double value = column_value(knots, n, &at, until, column == columns);
        int level = isnan(value) ? -1 : (int)((value - low) / span * (LEVELS - 0.001));
        level = level >= LEVELS ? LEVELS - 1 : level;
        len += (size_t)snprintf(ret + len, SPARKLINE_BYTES - len, "%s",
                                level < 0 ? " "
                                : utf8    ? blocks[level]
                                          : marks[level]);
        end = level < 0 ? end : len;
    }
    ret[end] = 0;
}
