/* The clocks of an audit as a table: the accused first, each with its offset over time. */
#include <stdlib.h>
#include <string.h>

#include "cli/check_print.h"
#include "cli/sparkline.h"
#include "cli/table.h"

/* unknown: what stands where there is no value. */
static void add_value(table *t, int64_t ns, const char *unknown)
{
    char text[32] = "+";

    if (ns == TSP_NO_VALUE || ns == TSP_UNBOUNDED_LO || ns == TSP_UNBOUNDED_HI)
        table_add(t, unknown);
    else {
        format_ns(ns, text + (ns > 0), sizeof text - (ns > 0));
        table_add(t, text);
    }
}

/* A group may have a reference that nothing speaks for. */
static bool is_reference(const tsp_check_clock *clock)
{
    return clock->is_reference && clock->verdict == TSP_CLOCK_OK;
}

static void add_clock(table *t, const tsp_check_clock *clock, const sparkline_axis *axis, const check_screen *screen)
{
    char line[SPARKLINE_BYTES] = "";

    table_add(t, clock->name);
    table_add(t, is_reference(clock) ? "reference" : tsp_clock_verdict_name(clock->verdict));
    add_value(t, clock->offset_ns, "unknown");
    add_value(t, clock->lo_ns, "unbounded");
    add_value(t, clock->hi_ns, "unbounded");
    if (clock->knots_n)
        sparkline_draw(axis, clock->knots, clock->knots_n,
                       sparkline_scale_ns(clock->sigma_ns, clock->lo_ns, clock->hi_ns),
                       sparkline_columns(screen->columns), screen->utf8, line);
    table_add(t, line);
}

static int rank(const tsp_check_clock *clock)
{
    static const int ranks[] = {
        [TSP_CLOCK_PROVEN] = 0, [TSP_CLOCK_SUSPECTED] = 1, [TSP_CLOCK_OK] = 3, [TSP_CLOCK_UNKNOWN] = 4};

    return is_reference(clock) ? 2 : ranks[clock->verdict];
}

/* By pointers into the rows; equal ranks keep the order of the rows. */
static int accused_first(const void *a, const void *b)
{
    const tsp_check_clock *x = *(const tsp_check_clock *const *)a, *y = *(const tsp_check_clock *const *)b;

    if (rank(x) != rank(y))
        return rank(x) < rank(y) ? -1 : 1;
    return x < y ? -1 : x > y;
}

void check_print_clocks(const tsp_check *check, uint64_t shown, const check_screen *screen, FILE *out)
{
    static const int spare[] = {5, -1};
    static const char *const heads[] = {"clock", "verdict", "offset", "at least", "at most", "offset over time"};
    size_t n;
    const tsp_check_clock *rows = tsp_check_clocks(check, &n);
    const tsp_check_clock **order;
    sparkline_axis axis;
    table t;

    if (!tsp_check_totals_of(check)->solved || n < 2 || !(order = calloc(n, sizeof *order)))
        return;
    sparkline_axis_init(&axis);
    for (size_t k = 0; k < n; k++) {
        order[k] = &rows[k];
        sparkline_axis_add(&axis, rows[k].knots, rows[k].knots_n);
    }
    qsort(order, n, sizeof *order, accused_first);
    shown = shown && shown < n ? shown : n;
    fputs("\nClocks\n", out);
    table_init(&t, "llrrrl");
    for (size_t k = 0; k < sizeof heads / sizeof *heads; k++)
        table_add(&t, heads[k]);
    for (size_t k = 0; k < shown; k++)
        add_clock(&t, order[k], &axis, screen);
    table_squeeze(&t, 2, screen->columns, 1, screen->utf8);
    table_fit(&t, 2, screen->columns, spare);
    table_print(&t, 2, out);
    table_release(&t);
    if (shown < n)
        fprintf(out, "  ... and %llu more (--edges 0 shows all)\n", (unsigned long long)(n - shown));
    free(order);
}
