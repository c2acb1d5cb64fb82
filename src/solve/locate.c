/* Every hop near the jump is explained on either side at a cost: how far it lies above its edge's floor, or, five times
 * worse, below it. Sorted by when the clock itself was at each, the split that costs least is the jump: usually exact
 * to the gap between two neighbouring hops. */
#include "solve/locate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "solve/constants.h"
#include "solve/order.h"

typedef struct {
    size_t row;
    bool out;             /* the clock sent it */
    double local;         /* the clock's stamp, ns since its origin */
    double before, after; /* excess over the floor when the stamp is from before, from after the jump */
    double cost_before, cost_after;
    double t; /* when, by the cheaper side */
} near_hop;

typedef struct {
    near_hop *hops;
    size_t n, cap;
} near_hops;

/* Where a jump is looked for. */
typedef struct {
    const tspi_fit *fit;
    uint32_t node, nodes; /* of its clock: under one curve, the level before the jump */
    double t, window, size;
} search;

static bool is_of(const search *s, size_t row, bool out)
{
    uint32_t node = (out ? tspi_sides_sent_node : tspi_sides_received_node)(&s->fit->sides, s->fit->hops, row);

    return node >= s->node && node < s->node + s->nodes;
}

/* u if the clock's end of the hop were after the jump. */
static double after_jump(const search *s, size_t row, bool out)
{
    return s->fit->u[row] + (out ? s->size : -s->size);
}

/* The floor of an edge from its hops at some distance from the jump; the caller has room for all of them. */
static double floor_of(const search *s, const tspi_stored_edge *edge, bool out, double *values, size_t *ret_n)
{
    const tspi_fit *fit = s->fit;
    size_t n = 0;

    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        double away = fit->t[row] - s->t;
        if (!(fit->hops->hops[row].flags & fit->without) && fabs(away) > s->window &&
            fabs(away) < LOCATE_FAR * s->window && is_of(s, row, out))
            values[n++] = away > 0 ? after_jump(s, row, out) : fit->u[row];
    }
    *ret_n = n;
    return n ? tspi_quantile(values, n, LOCATE_FLOOR_PART) : NAN;
}

static bool take_near(near_hops *near, const search *s, const tspi_stored_edge *edge, bool out, double floor)
{
    const tspi_fit *fit = s->fit;

    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        const tspi_stored_hop *hop = &fit->hops->hops[row];
        if ((hop->flags & fit->without) || !(fabs(fit->t[row] - s->t) < LOCATE_NEAR * s->window) || !is_of(s, row, out))
            continue;
        near_hop *grown = tspi_grown(near->hops, near->n, &near->cap, sizeof *grown);
        if (!grown)
            return false;
        near->hops = grown;
        near->hops[near->n++] =
            (near_hop){.row = row,
                       .out = out,
                       .local = tspi_fit_local(fit, out ? edge->from : edge->to, out ? hop->sent : hop->received),
                       .before = fit->u[row] - floor,
                       .after = after_jump(s, row, out) - floor};
    }
    return true;
}

/* All hops of the nodes near the jump, each against its own edge's floor. An edge without a floor of its own takes the
 * median of the others'. */
static bool collect(near_hops *near, const search *s)
{
    const tspi_hop_store *hops = s->fit->hops;
    uint32_t clock = s->fit->node_clock[s->node];
    size_t most = 0, n, known_n = 0;
    double *values, *floors, *known;
    bool ok;

    for (size_t e = 0; e < hops->edges_n; e++)
        most = hops->edges[e].n > most ? hops->edges[e].n : most;
    values = malloc((most + 1) * sizeof *values);
    floors = malloc(2 * (hops->edges_n + 1) * sizeof *floors);
    known = floors + hops->edges_n + 1;
    ok = values && floors;
    for (size_t e = 0; ok && e < hops->edges_n; e++) {
        const tspi_stored_edge *edge = &hops->edges[e];
        if (edge->from != clock && edge->to != clock)
            continue;
        floors[e] = floor_of(s, edge, edge->from == clock, values, &n);
        if (n)
            known[known_n++] = floors[e];
    }
    double usual = known_n ? tspi_median(known, known_n) : 0;
    for (size_t e = 0; ok && e < hops->edges_n; e++) {
        const tspi_stored_edge *edge = &hops->edges[e];
        if (edge->from == clock || edge->to == clock)
            ok = take_near(near, s, edge, edge->from == clock, isnan(floors[e]) ? usual : floors[e]);
    }
    free(values);
    free(floors);
    return ok;
}

static double cost(double excess, double usual)
{
    return excess < 0 ? fmin(-excess / (LOCATE_BELOW * usual + LOCATE_FLOOR_NS), LOCATE_COST_MOST)
                      : fmin(excess / usual, LOCATE_WAIT_MOST);
}

static bool set_costs(near_hops *near, const tspi_fit *fit, uint32_t node, double size)
{
    const double below = -LOCATE_BELOW_MOST * LOCATE_FLOOR_NS;
    double *least = malloc((near->n + 1) * sizeof *least), usual = LOCATE_FLOOR_NS;
    size_t n = 0;

    if (!least)
        return false;
    for (size_t k = 0; k < near->n; k++) {
        const near_hop *h = &near->hops[k];
        double a = h->before > below ? h->before : INFINITY, b = h->after > below ? h->after : INFINITY;
        if (isfinite(fmin(a, b)))
            least[n++] = fmax(fmin(a, b), 0);
    }
    usual += n ? tspi_median(least, n) : 0;
    free(least);
    for (size_t k = 0; k < near->n; k++) {
        near_hop *h = &near->hops[k];
        h->cost_before = cost(h->before, usual);
        h->cost_after = cost(h->after, usual);
        h->t = h->local - tspi_curve_at(&fit->curves[node], h->local) - (h->cost_before <= h->cost_after ? 0 : size);
    }
    return true;
}

static int by_time(const void *a_, const void *b_)
{
    const near_hop *a = a_, *b = b_;

    if (a->t != b->t)
        return a->t < b->t ? -1 : 1;
    return a->row < b->row ? -1 : a->row > b->row;
}

/* How many of the hops, in order, were before the jump; n >= 2. */
static size_t best_split(const near_hops *near)
{
    double sum = 0, least = INFINITY;
    size_t best = 1;

    for (size_t k = 0; k < near->n; k++)
        sum += near->hops[k].cost_after;
    for (size_t k = 0; k + 1 < near->n; k++) {
        sum += near->hops[k].cost_before - near->hops[k].cost_after;
        if (sum < least) {
            least = sum;
            best = k + 1;
        }
    }
    return best;
}

/* A backward jump: local time between cut + size / 2 and cut - size / 2 happened twice. */
static bool choose_sides(tspi_fit *fit, const near_hops *near, size_t split, const tspi_jump *jump, double t, double x)
{
    int64_t origin = fit->origin[jump->clock];
    double first = t + x + jump->size - LOCATE_MARGIN_NS, last = t + x + LOCATE_MARGIN_NS;
    tspi_side *choices = malloc((near->n + 1) * sizeof *choices);
    size_t n = 0;

    if (!choices)
        return false;
    for (size_t k = 0; k < near->n; k++) {
        const near_hop *h = &near->hops[k];
        bool after = k >= split;
        if ((h->local > first && h->local < last) || after != (h->local >= (double)(jump->cut - origin)))
            choices[n++] = (tspi_side){2 * h->row + !h->out, after ? jump->cut : jump->cut - 1};
    }
    bool ok = tspi_sides_choose(&fit->sides, fit->hops, choices, n);
    free(choices);
    return ok;
}

bool tspi_locate(tspi_fit *fit, uint32_t node, uint32_t nodes, double t, double window, tspi_jump *jump,
                 bool *ret_found)
{
    near_hops near = {0};
    int64_t origin = fit->origin[jump->clock];
    const search s = {fit, node, nodes, t, window, jump->size};
    bool ok = collect(&near, &s);

    *ret_found = ok && near.n >= 2;
    if (*ret_found) {
        ok = set_costs(&near, fit, node, jump->size);
        qsort(near.hops, near.n, sizeof *near.hops, by_time);
        size_t split = best_split(&near);
        const near_hop *a = &near.hops[split - 1], *b = &near.hops[split];
        jump->from_t = a->t;
        jump->to_t = b->t;
        jump->before = origin + (int64_t)a->local;
        jump->after = origin + (int64_t)b->local;
        if (jump->size < 0) {
            double mid = (a->t + b->t) / 2, x = tspi_curve_at(&fit->curves[node], t);
            jump->cut = origin + (int64_t)(mid + x + jump->size / 2);
            ok = ok && choose_sides(fit, &near, split, jump, mid, x);
        } else
            jump->cut = origin + (int64_t)((a->local + b->local) / 2);
    }
    free(near.hops);
    return ok;
}
