/* From fitted curves to tracks in whole ns. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/solver.h"

typedef struct {
    int64_t first, last;
} range;

static void widen(range *r, int64_t stamp)
{
    r->first = stamp < r->first ? stamp : r->first;
    r->last = stamp > r->last ? stamp : r->last;
}

/* Where each node has traffic, and each clock's counts. Stray stamps outside the run count but do not stretch it. */
static bool find_traffic(tsp_solver *solver, range *nodes)
{
    const tspi_fit *fit = &solver->fit;
    const tspi_hop_store *hops = &solver->hops;

    for (uint32_t node = 0; node < fit->nodes; node++)
        nodes[node] = (range){INT64_MAX, INT64_MIN};
    for (uint32_t c = 0; c < solver->clocks; c++) {
        solver->rows[c].first = INT64_MAX;
        solver->rows[c].last = INT64_MIN;
        solver->rows[c].in = solver->rows[c].out = 0;
    }
    for (size_t row = 0; row < hops->n; row++) {
        const tspi_stored_hop *hop = &hops->hops[row];
        solver->rows[hop->from].out++;
        solver->rows[hop->to].in++;
        if (fit->t[row] < fit->t_first || fit->t[row] > fit->t_last)
            continue;
        widen(&nodes[tspi_sides_sent_node(&fit->sides, hops, row)], hop->sent);
        widen(&nodes[tspi_sides_received_node(&fit->sides, hops, row)], hop->received);
    }
    for (uint32_t node = 0; node < fit->nodes; node++)
        if (nodes[node].first <= nodes[node].last) {
            tspi_clock_row *row = &solver->rows[fit->node_clock[node]];
            row->first = nodes[node].first < row->first ? nodes[node].first : row->first;
            row->last = nodes[node].last > row->last ? nodes[node].last : row->last;
        }
    return true;
}

/* A sum no further than most from 0, whatever the curve is, so that what is made of it fits. */
static int64_t near_zero(int64_t a, double b, int64_t most)
{
    int64_t sum = tspi_add_most(a, llround(fmin(fmax(b, -9e18), 9e18)));

    return sum < -most ? -most : sum > most ? most : sum;
}

static tspi_track_knot carried(const tspi_curve *curve, int64_t at, int64_t origin, int64_t shift)
{
    double x = tspi_curve_at(curve, (double)tspi_sub_most(at, origin));

    return (tspi_track_knot){at, near_zero(shift, x, 2 * TSP_STAMP_MAX)};
}

/* The knots of one node: the curve's own, and its ends carried on to the ends of the traffic. */
static size_t node_knots(const tspi_fit *fit, uint32_t node, const range *traffic, int64_t shift, tspi_track_knot *out)
{
    const tspi_curve *curve = &fit->curves[node];
    int64_t origin = fit->origin[fit->node_clock[node]];
    bool has_traffic = traffic->first <= traffic->last;
    size_t n = 0;

    if (has_traffic && (!curve->n || traffic->first < tspi_add_most(origin, (int64_t)curve->t[0])))
        out[n++] = carried(curve, traffic->first, origin, shift);
    for (uint32_t k = 0; k < curve->n; k++) {
        tspi_track_knot knot = {near_zero(origin, curve->t[k], TSP_STAMP_MAX),
                                near_zero(shift, curve->x[k], 2 * TSP_STAMP_MAX)};
        if (!n || knot.at > out[n - 1].at)
            out[n++] = knot;
    }
    if (has_traffic && n && traffic->last > out[n - 1].at)
        out[n++] = carried(curve, traffic->last, origin, shift);
    return n;
}

static tsp_track *make_track(const tsp_solver *solver, uint32_t clock, int64_t shift, const range *nodes)
{
    const tspi_fit *fit = &solver->fit;
    uint32_t first = tspi_sides_first(&fit->sides, clock);
    uint32_t pieces = 1 + fit->sides.first[clock + 1] - fit->sides.first[clock];
    size_t cap = 0, *starts = calloc((size_t)pieces + 1, sizeof *starts);
    tspi_track_knot *knots;
    tsp_track *track = NULL;
    bool known = fit->joined[clock] && (!fit->root[clock] || pieces > 1);

    for (uint32_t k = 0; k < pieces; k++)
        cap += fit->curves[first + k].n + 2;
    knots = malloc(cap * sizeof *knots);
    for (uint32_t k = 0; knots && starts && k < pieces; k++)
        starts[k + 1] =
            starts[k] + (known ? node_knots(fit, first + k, &nodes[first + k], shift, knots + starts[k]) : 0);
    if (knots && starts)
        track = tspi_track_new(pieces, pieces > 1 ? fit->sides.cuts + fit->sides.first[clock] : NULL, starts, knots);
    free(knots);
    free(starts);
    return track;
}

bool tspi_solver_tracks(tsp_solver *solver)
{
    const tspi_fit *fit = &solver->fit;
    range *nodes = malloc(((size_t)fit->nodes + 1) * sizeof *nodes);
    int64_t *root_origin = calloc((size_t)solver->groups_n + 1, sizeof *root_origin);
    bool ok = nodes && root_origin && find_traffic(solver, nodes);

    for (uint32_t c = 0; ok && c < solver->clocks; c++)
        if (solver->root[c])
            root_origin[solver->group[c]] = fit->origin[c];
    for (uint32_t c = 0; ok && c < solver->clocks; c++) {
        tspi_clock_row *row = &solver->rows[c];
        tspi_track_free(row->estimate);
        row->estimate = make_track(solver, c, tspi_sub_most(fit->origin[c], root_origin[solver->group[c]]), nodes);
        ok = row->estimate != NULL;
    }
    free(nodes);
    free(root_origin);
    return ok;
}
