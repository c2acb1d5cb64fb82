/* Finding steps. A jump of a node's level is taken when it makes its series that much likelier, with the rate's noise
 * refitted under both hypotheses: a clock that wanders must not look like one that steps. */
#include "solve/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/locate.h"
#include "solve/order.h"
#include "solve/parallel.h"
#include "solve/relax.h"
#include "solve/smooth.h"

typedef struct {
    double ratio; /* 0: none */
    uint32_t at;  /* the window that may be mixed */
} candidate;

typedef struct {
    double level, slope; /* of t - origin */
} line;

/* A robust line through n <= STEP_SIDE points: median of slopes, median of levels at t = at. */
static line line_through(const double *t, const double *y, uint32_t n, double at, double most_slope)
{
    double slopes[STEP_SIDE * STEP_SIDE], levels[STEP_SIDE];
    uint32_t slopes_n = 0;

    for (uint32_t a = 0; a < n; a++)
        for (uint32_t b = a + 1; b < n; b++)
            slopes[slopes_n++] = (y[b] - y[a]) / (t[b] - t[a]);
    double slope = slopes_n ? tspi_median(slopes, slopes_n) : 0;
    slope = fmin(fmax(slope, -most_slope), most_slope);
    for (uint32_t a = 0; a < n; a++)
        levels[a] = y[a] - slope * (t[a] - at);
    return (line){tspi_median(levels, n), slope};
}

/* The most likely places: where the mean of two windows after differs most from that of two before. */
static uint32_t likely_places(const tspi_series *s, double *detrended, uint32_t *ret_places, double *ret_largest)
{
    double largest[STEP_PLACES];
    uint32_t n = 0;

    for (uint32_t k = 0; k + 1 < s->n; k++)
        detrended[k] = (s->total[k + 1] - s->total[k]) / (s->local[k + 1] - s->local[k]);
    double slope = tspi_median(detrended, s->n - 1);
    for (uint32_t k = 0; k < s->n; k++)
        detrended[k] = s->total[k] - slope * (s->local[k] - s->local[0]);
    for (uint32_t g = STEP_EDGE; g + STEP_EDGE < s->n; g++) {
        double d = fabs(detrended[g + 1] + detrended[g + 2] - detrended[g - 1] - detrended[g - 2]) / 2;
        uint32_t at = n < STEP_PLACES ? n++ : STEP_PLACES - 1;
        if (at == STEP_PLACES - 1 && n == STEP_PLACES && largest[at] >= d && g >= STEP_EDGE + STEP_PLACES)
            continue;
        while (at > 0 && largest[at - 1] < d) {
            largest[at] = largest[at - 1];
            ret_places[at] = ret_places[at - 1];
            at--;
        }
        largest[at] = d;
        ret_places[at] = g;
    }
    *ret_largest = n ? largest[0] : 0;
    return n;
}

typedef struct {
    const tspi_fit *fit;
    candidate *found; /* by node */
} hunt;

static bool hunt_node(void *hunt_, size_t node, unsigned worker)
{
    hunt *h = hunt_;
    const tspi_series *s = &h->fit->series[node];
    uint32_t places[STEP_PLACES], places_n;
    double largest;

    (void)worker;
    h->found[node] = (candidate){0, 0};
    if (isnan(s->sigma) || s->n < 2 * STEP_EDGE + 3 || h->fit->root[h->fit->node_clock[node]])
        return true;
    double *t = malloc(2 * (size_t)s->n * sizeof *t), *y = t + s->n;
    if (!t)
        return false;
    places_n = likely_places(s, t, places, &largest);
    double origin = s->total[s->n / 2], jump = fmax(largest, STEP_SIZE_LEAST);
    for (uint32_t k = 0; k < s->n; k++) {
        t[k] = (s->local[k] - s->local[0]) * 1e-9;
        y[k] = s->total[k] - origin;
    }
    for (uint32_t p = 0; p < places_n; p++) {
        double without = INFINITY, with = INFINITY;
        for (int q = 0; q < RATE_NOISE_GRID; q++) {
            tspi_trend trend = {s->n, t, y, s->noise, pow(10, RATE_NOISE_LEAST + q), STEP_RATE_PRIOR * STEP_RATE_PRIOR};
            without = fmin(without, tspi_trend_misfit(&trend, 1, NULL, places[p] + 1, 0));
            with = fmin(with, tspi_trend_misfit(&trend, 1, NULL, places[p] + 1, jump * jump));
        }
        if (without - with > h->found[node].ratio && without - with > STEP_RATIO)
            h->found[node] = (candidate){without - with, places[p]};
    }
    free(t);
    return true;
}

/* Both halves start from their own windows. */
static bool split_curve(tspi_fit *fit, uint32_t node, const tspi_series *s, uint32_t g)
{
    double margin = s->window / 2, at = s->local[g];
    uint32_t left = 0, right = s->n;

    while (left < s->n && s->local[left] <= at - margin)
        left++;
    while (right > 0 && s->local[right - 1] >= at + margin)
        right--;
    return tspi_curve_set(&fit->curves[node], s->local, s->total, left) &&
           tspi_curve_set(&fit->curves[node + 1], s->local + right, s->total + right, s->n - right);
}

static bool take_step(tspi_fit *fit, uint32_t node, uint32_t g)
{
    const tspi_series s = fit->series[node];
    uint32_t first = g >= STEP_SIDE ? g - STEP_SIDE : 0, last = g + STEP_SIDE < s.n ? g + STEP_SIDE : s.n - 1;
    double at = s.local[g];
    line before = line_through(s.local + first, s.total + first, g - first, at, 2 * fit->rho);
    line after = line_through(s.local + g + 1, s.total + g + 1, last - g, at, 2 * fit->rho);
    double t[3] = {s.local[first], at, s.local[last]};
    double x[3] = {before.level + before.slope * (t[0] - at), before.level, before.level + after.slope * (t[2] - at)};
    tspi_jump jump = {.clock = fit->node_clock[node], .size = after.level - before.level};
    tspi_jump *grown = realloc(fit->jumps, (fit->jumps_n + 1) * sizeof *grown);

    if (!grown)
        return false;
    fit->jumps = grown;
    jump.found = jump.size;
    /* The level before, carried on: so that a hop after the jump sees all of it. */
    if (!tspi_curve_set(&fit->curves[node], t, x, 3) || !tspi_fit_evaluate(fit))
        return false;
    bool located;
    if (!tspi_locate(fit, node, at - before.level, s.window, &jump, &located))
        return false;
    if (!located || !tspi_fit_cut(fit, jump.clock, jump.cut))
        return !located;
    fit->jumps[fit->jumps_n++] = jump;
    /* The series has moved with the nodes, but the copy's arrays are the same. */
    return split_curve(fit, node, &s, g) && tspi_fit_evaluate(fit);
}

bool tspi_steps_find(tspi_fit *fit)
{
    bool ok = true;

    for (int round = 0; ok && round < STEPS_MOST; round++) {
        hunt h = {fit, calloc(fit->nodes + 1, sizeof *h.found)};
        uint32_t best = 0;
        ok = h.found && tspi_parallel(fit->threads, fit->nodes, hunt_node, &h);
        for (uint32_t node = 1; ok && node < fit->nodes; node++)
            if (h.found[node].ratio > h.found[best].ratio)
                best = node;
        candidate taken = ok ? h.found[best] : (candidate){0, 0};
        uint32_t nodes = fit->nodes;
        free(h.found);
        if (!ok || taken.ratio == 0)
            break;
        ok = take_step(fit, best, taken.at);
        for (uint32_t node = 0; node < fit->nodes; node++)
            fit->window_of[node] = fit->base_window;
        ok = ok && tspi_relax(fit, fmin(0.4, 2 * fit->quantile));
        if (fit->nodes == nodes) /* it could not be located */
            break;
    }
    return ok;
}
