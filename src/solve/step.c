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

typedef struct {
    const tspi_fit *fit;
    candidate *found; /* by node */
} hunt;

/* What a jump after the sight left out, g, gains under the trend's own rate noise. */
static double jump_gain(const tspi_score *g)
{
    double s, i;

    tspi_score_of(g + 1, -1, &s, &i);
    s -= g->cross * g->error / g->error_info;
    i -= g->cross * g->cross / g->error_info;
    return i > 0 ? tspi_score_gain(s, i, fmax(s * s / (i * i), STEP_SIZE_LEAST * STEP_SIZE_LEAST)) : 0;
}

static bool hunt_node(void *hunt_, size_t node, unsigned worker)
{
    hunt *h = hunt_;
    const tspi_series *s = &h->fit->series[node];

    (void)worker;
    h->found[node] = (candidate){0, 0};
    if (isnan(s->sigma) || s->n < 2 * STEP_EDGE + 3 || h->fit->root[h->fit->node_clock[node]])
        return true;
    double *t = malloc((size_t)s->n * (8 * sizeof *t + sizeof(tspi_score)));
    if (!t)
        return false;
    double *y = t + s->n, *with = y + s->n, *without = with + s->n, *scratch = without + s->n;
    tspi_score *score = (tspi_score *)(scratch + 4 * s->n);
    for (uint32_t k = 0; k < s->n; k++) {
        t[k] = (s->local[k] - s->local[0]) * 1e-9;
        y[k] = s->total[k] - s->total[s->n / 2];
        with[k] = without[k] = INFINITY;
    }
    for (int q = 0; q < RATE_NOISE_GRID; q++) {
        tspi_trend trend = {s->n, t, y, s->noise, pow(10, RATE_NOISE_LEAST + q), STEP_RATE_PRIOR * STEP_RATE_PRIOR};
        double misfit = tspi_trend_scores(&trend, NULL, 0, scratch, score);
        for (uint32_t g = STEP_EDGE; g + STEP_EDGE < s->n; g++) {
            double left_out = misfit - score[g].error * score[g].error / score[g].error_info + log(score[g].error_info);
            without[g] = fmin(without[g], left_out);
            with[g] = fmin(with[g], left_out - jump_gain(&score[g]));
        }
    }
    for (uint32_t g = STEP_EDGE; g + STEP_EDGE < s->n; g++)
        if (without[g] - with[g] > fmax(h->found[node].ratio, STEP_RATIO))
            h->found[node] = (candidate){without[g] - with[g], g};
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
