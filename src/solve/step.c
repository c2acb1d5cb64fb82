/* Finding steps, one after the other: hunted in the series, located in the hops, and the clock is cut in two there. A
 * jump is taken when it makes the series that much likelier with the rate's noise refitted under both hypotheses: a
 * clock that wanders must not look like one that steps. */
#include "solve/step.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/hunt.h"
#include "solve/locate.h"
#include "solve/motion.h"
#include "solve/order.h"
#include "solve/relax.h"

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

/* The lines either side of sight g, and the one before carried on as the node's curve: so that a hop after the jump
 * sees all of it. */
static bool carry_on(tspi_fit *fit, uint32_t node, uint32_t g, line *ret_before, line *ret_after)
{
    const tspi_series *s = &fit->series[node];
    uint32_t first = g >= STEP_SIDE ? g - STEP_SIDE : 0, last = g + STEP_SIDE < s->n ? g + STEP_SIDE : s->n - 1;
    double at = s->local[g];
    line before = line_through(s->local + first, s->total + first, g - first, at, 2 * fit->rho);
    line after = line_through(s->local + g + 1, s->total + g + 1, last - g, at, 2 * fit->rho);
    double t[3] = {s->local[first], at, s->local[last]};
    double x[3] = {before.level + before.slope * (t[0] - at), before.level, before.level + after.slope * (t[2] - at)};

    *ret_before = before;
    *ret_after = after;
    return tspi_curve_set(&fit->curves[node], t, x, 3);
}

/* Series have no bends; curves do. */
static void put_bends_back(const tspi_fit *fit, uint32_t node)
{
    tspi_series *s = &fit->series[node];

    for (uint32_t k = 0; fit->bends_n && k < s->n; k++)
        s->total[k] += tspi_motion_at(fit, fit->node_clock[node], tspi_sight_time(fit, s, k));
}

static bool add_jump(tspi_fit *fit, const tspi_jump *jump)
{
    tspi_jump *grown = realloc(fit->jumps, (fit->jumps_n + 1) * sizeof *grown);

    if (!grown)
        return false;
    fit->jumps = grown;
    grown[fit->jumps_n++] = *jump;
    return true;
}

static bool take_step(tspi_fit *fit, const tspi_find *find)
{
    uint32_t node = find->node, g = 0;
    line before, after;
    bool located;

    put_bends_back(fit, node);
    const tspi_series s = fit->series[node];
    while (s.at[g] < find->window)
        g++;
    if (!carry_on(fit, node, g, &before, &after) || !tspi_fit_evaluate(fit))
        return false;
    tspi_jump jump = {.clock = find->clock, .size = after.level - before.level, .found = after.level - before.level};
    if (!tspi_locate(fit, node, 1, s.local[g] - before.level, s.window, &jump, &located))
        return false;
    if (!located || !tspi_fit_cut(fit, jump.clock, jump.cut))
        return !located;
    /* The series has moved with the nodes, but the copy's arrays are the same. */
    return add_jump(fit, &jump) && split_curve(fit, node, &s, g) && tspi_fit_evaluate(fit);
}

static bool is_told(const tspi_fit *fit, uint32_t node, uint32_t root)
{
    return fit->series[node].n && fit->node_clock[node] != root &&
           fit->group[fit->node_clock[node]] == fit->group[root];
}

/* What all series show is taken out of them again: the others go on as they were, and the root's later pieces lie
 * higher by the jump. */
static bool lift_after(tspi_fit *fit, const tspi_find *find, double size)
{
    bool ok = true;

    for (uint32_t node = 0; ok && node < fit->nodes; node++) {
        tspi_series *s = &fit->series[node];
        uint32_t n = 0;
        if (!is_told(fit, node, find->clock))
            continue;
        for (uint32_t k = 0; k < s->n; k++) {
            if (s->at[k] == find->window)
                continue;
            double x = s->total[k] + (s->at[k] > find->window ? size : 0);
            s->local[n] = tspi_sight_time(fit, s, k) + x;
            s->total[n++] = x;
        }
        ok = !n || tspi_curve_set(&fit->curves[node], s->local, s->total, n);
    }
    return ok;
}

static bool take_root_step(tspi_fit *fit, const tspi_find *find)
{
    tspi_jump jump = {.clock = find->clock, .size = find->size, .found = find->size};
    double window = fit->base_window, x = 0;
    bool located;
    line before, after;

    for (uint32_t node = 0; node < fit->nodes; node++) {
        tspi_series *s = &fit->series[node];
        uint32_t g = 0;
        if (!is_told(fit, node, find->clock))
            continue;
        put_bends_back(fit, node);
        window = s->window;
        while (g < s->n && s->at[g] < find->window)
            g++;
        if (g >= 2 && g + 2 < s->n && !carry_on(fit, node, g, &before, &after))
            return false;
    }
    if (!tspi_fit_evaluate(fit))
        return false;
    uint32_t node = tspi_sides_node(&fit->sides, find->clock, fit->origin[find->clock] + (int64_t)find->t);
    x = tspi_curve_at(&fit->curves[node], find->t);
    node = tspi_sides_node(&fit->sides, find->clock, fit->origin[find->clock] + (int64_t)(find->t + x));
    if (!tspi_locate(fit, node, 1, find->t, window, &jump, &located))
        return false;
    if (!located || !tspi_fit_cut(fit, jump.clock, jump.cut))
        return !located;
    return add_jump(fit, &jump) && lift_after(fit, find, jump.size) && tspi_motion_set_roots(fit) &&
           tspi_fit_evaluate(fit);
}

static bool take(tspi_fit *fit, const tspi_find *find)
{
    return find->node == UINT32_MAX ? take_root_step(fit, find) : take_step(fit, find);
}

/* A slew that lasts some windows is two bends. Either of them alone may explain less than a step amid it; both together
 * explain all of it, as a step does not. One bend more must pay for itself. ret_taken: both were added. */
static bool take_slew(tspi_fit *fit, const tspi_find *step, const tspi_find *bend, bool *ret_taken)
{
    tspi_find second;

    *ret_taken = false;
    if (!tspi_motion_add(fit, bend) || !tspi_hunt(fit, TSPI_BEND, &second))
        return false;
    if (second.clock == bend->clock && second.ratio >= BEND_RATIO &&
        bend->ratio + second.ratio >= step->ratio + step->spared + BEND_RATIO) {
        *ret_taken = true;
        return tspi_motion_add(fit, &second);
    }
    tspi_motion_drop(fit, bend);
    return true;
}

static bool relax_again(tspi_fit *fit)
{
    for (uint32_t node = 0; node < fit->nodes; node++)
        fit->window_of[node] = fit->base_window;
    return tspi_relax(fit, fmin(0.4, 2 * fit->quantile));
}

/* The step that was found last was smeared over the floors by which those before it were located, and a step that is
 * elsewhere makes others look likely that are not there. */
static bool locate_beside(tspi_fit *fit)
{
    const tspi_jump *last = &fit->jumps[fit->jumps_n - 1];
    bool moved;

    if (!tspi_steps_locate(fit, (last->from_t + last->to_t) / 2, LOCATE_FAR * fit->base_window, &moved))
        return false;
    return !moved || relax_again(fit);
}

bool tspi_changes_find(tspi_fit *fit)
{
    uint32_t pending = 0;
    bool ok = true;

    for (int round = 0; ok && round < STEPS_MOST + BENDS_MOST; round++) {
        tspi_find step, bend;
        uint32_t nodes = fit->nodes;
        bool any = false, located = true, slew = false;
        if (!tspi_hunt(fit, TSPI_STEP, &step) || !tspi_hunt(fit, TSPI_BEND, &bend))
            return false;
        if (bend.ratio >= BEND_RATIO && bend.ratio > step.ratio && pending < BENDS_MOST) {
            ok = tspi_motion_add(fit, &bend);
            pending++;
            continue;
        }
        if (bend.ratio >= BEND_RATIO && bend.clock == step.clock && pending + 1 < BENDS_MOST) {
            ok = take_slew(fit, &step, &bend, &slew);
            if (!ok || slew) {
                pending += 2;
                continue;
            }
        }
        if (pending)
            ok = tspi_motion_settle(fit, &any);
        pending = 0;
        if (ok && !any && step.ratio < STEP_RATIO)
            break;
        if (ok && !any) {
            ok = take(fit, &step);
            located = fit->nodes > nodes;
        }
        ok = ok && relax_again(fit) && (any || !located || locate_beside(fit));
        if (!located)
            break;
    }
    return ok;
}
