#include "report/lanes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

/* Ends of what is open in a lane, the innermost last. */
typedef struct {
    int64_t *ends; /* owned */
    size_t n, cap;
} lane;

static int by_clock_and_start(const void *a, const void *b)
{
    const tspi_lane_span *x = a, *y = b;

    if (x->clock != y->clock)
        return x->clock < y->clock ? -1 : 1;
    if (x->start_ns != y->start_ns)
        return x->start_ns < y->start_ns ? -1 : 1;
    if (x->end_ns != y->end_ns)
        return x->end_ns > y->end_ns ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static tsp_status push(lane *l, int64_t end_ns, tsp_error *err)
{
    int64_t *ends = tspi_grown(l->ends, l->n, &l->cap, sizeof *ends);

    if (!ends)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the lanes of a trace");
    l->ends = ends;
    l->ends[l->n++] = end_ns;
    return TSP_OK;
}

/* Close what ended by start; true when the span lies within what is left. */
static bool fits(lane *l, const tspi_lane_span *span)
{
    while (l->n && l->ends[l->n - 1] <= span->start_ns)
        l->n--;
    return !l->n || span->end_ns <= l->ends[l->n - 1];
}

tsp_status tspi_lanes_assign(tspi_lane_span *spans, size_t n, uint32_t clocks_n, uint32_t *ret_lanes, tsp_error *err)
{
    lane *lanes = calloc(TSPI_LANES_MAX, sizeof *lanes);
    uint32_t open = 0, clock = UINT32_MAX;
    tsp_status rc = lanes ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the lanes of a trace");

    memset(ret_lanes, 0, clocks_n * sizeof *ret_lanes);
    if (n)
        qsort(spans, n, sizeof *spans, by_clock_and_start);
    for (size_t k = 0; k < n && rc == TSP_OK; k++) {
        if (spans[k].clock != clock) {
            clock = spans[k].clock;
            for (uint32_t l = 0; l < open; l++)
                lanes[l].n = 0;
            open = 0;
        }
        uint32_t at = 0;
        while (at < open && at + 1 < TSPI_LANES_MAX && !fits(&lanes[at], &spans[k]))
            at++;
        if (at == open)
            open++;
        spans[k].lane = at;
        rc = push(&lanes[at], spans[k].end_ns, err);
        ret_lanes[clock] = open;
    }
    for (uint32_t l = 0; lanes && l < TSPI_LANES_MAX; l++)
        free(lanes[l].ends);
    free(lanes);
    return rc;
}
