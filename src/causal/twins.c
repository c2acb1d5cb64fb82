#include "causal/twins.h"

#include <stdlib.h>

/* NTP in a good network. */
#define USUAL_SPREAD_NS TSP_NS_PER_MS

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* By how much requests alone put one clock ahead of the other at least: answers may be late for other reasons. */
static int64_t proven_by_requests(const tspi_evidence *e, const tspi_edge *there, const tspi_edge *back)
{
    int64_t up = e->rows[there - e->edges->edges].least_ns[TSPI_HOP_HARD];
    int64_t down = e->rows[back - e->edges->edges].least_ns[TSPI_HOP_HARD], lower = smaller(up, down);

    return lower < 0 ? -lower : 0;
}

/* What the edge's low tail leaves, for a pair with enough hops; TSPI_UNBOUNDED otherwise. */
static int64_t least(const tspi_evidence *e, const tspi_edge *edge)
{
    const tspi_edge_evidence *row = &e->rows[edge - e->edges->edges];

    if (edge->hops - row->fenced[0] - row->fenced[1] < TSPI_FEW_HOPS)
        return TSPI_UNBOUNDED;
    return smaller(row->least_ns[0], row->least_ns[1]);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* S of the criterion. */
static int64_t usual_spread(int64_t *proven, size_t n)
{
    if (!n)
        return USUAL_SPREAD_NS;
    qsort(proven, n, sizeof *proven, ascending);
    return proven[n / 2] > USUAL_SPREAD_NS ? proven[n / 2] : USUAL_SPREAD_NS;
}

tsp_status tspi_twins_find(const tspi_evidence *e, tspi_twin_clocks **ret_twins, size_t *ret_n, tsp_error *err)
{
    size_t edges_n = e->edges->edges_n, n = 0, kept = 0, proven_n = 0;
    tspi_twin_clocks *twins = malloc((edges_n + 1) * sizeof *twins);
    int64_t *width = malloc((edges_n + 1) * sizeof *width), *proven = malloc((edges_n + 1) * sizeof *proven);

    if (!twins || !width || !proven) {
        free(twins);
        free(width);
        free(proven);
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted comparing clocks");
    }
    for (size_t k = 0; k < edges_n; k++) {
        const tspi_edge *there = &e->edges->edges[k];
        const tspi_edge *back = there->from < there->to ? tspi_edges_find(e->edges, there->to, there->from) : NULL;
        int64_t up = back ? least(e, there) : TSPI_UNBOUNDED, down = back ? least(e, back) : TSPI_UNBOUNDED, sum;
        if (up == TSPI_UNBOUNDED || down == TSPI_UNBOUNDED || __builtin_add_overflow(up, down, &sum))
            continue;
        if (up < 0 || down < 0) {
            int64_t ns = proven_by_requests(e, there, back);
            if (ns)
                proven[proven_n++] = ns;
            continue;
        }
        twins[n] = (tspi_twin_clocks){there->from, there->to, up > down ? up : down};
        width[n++] = sum;
    }
    int64_t limit = usual_spread(proven, proven_n) / 10; /* W / 2S <= 5 % */
    for (size_t k = 0; k < n; k++)
        if (width[k] <= limit)
            twins[kept++] = twins[k];
    free(width);
    free(proven);
    *ret_twins = twins;
    *ret_n = kept;
    return TSP_OK;
}
