/* What becomes of steps once the tracks beside them are known better. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "solve/constants.h"
#include "solve/locate.h"
#include "solve/motion.h"
#include "solve/order.h"
#include "solve/relax.h"
#include "solve/step.h"

static double sigma_of(const tspi_fit *fit, uint32_t node)
{
    return isnan(fit->series[node].sigma) ? STEP_SIGMA_DEFAULT_NS : fit->series[node].sigma;
}

/* What a jump is on the fitted tracks. */
static double size_of(const tspi_fit *fit, const tspi_jump *jump)
{
    uint32_t after = tspi_sides_node(&fit->sides, jump->clock, jump->cut);
    double at = tspi_fit_local(fit, jump->clock, jump->cut);

    return tspi_curve_at(&fit->curves[after], at) - tspi_curve_at(&fit->curves[after - 1], at);
}

/* Measure every jump; join those that do not hold up. */
static bool join_again(tspi_fit *fit, bool *ret_joined)
{
    uint32_t kept = 0;

    *ret_joined = false;
    for (uint32_t k = 0; k < fit->jumps_n; k++) {
        tspi_jump jump = fit->jumps[k];
        uint32_t after = tspi_sides_node(&fit->sides, jump.clock, jump.cut);
        jump.size = size_of(fit, &jump);
        double least = STEP_KEEP_SIGMA * hypot(sigma_of(fit, after - 1), sigma_of(fit, after));
        if (fabs(jump.size) >= fmax(least, STEP_KEEP_PART * fabs(jump.found))) {
            fit->jumps[kept++] = jump;
            continue;
        }
        *ret_joined = true;
        if (!tspi_fit_uncut(fit, jump.clock, jump.cut))
            return false;
    }
    fit->jumps_n = kept;
    return true;
}

/* The curves of the nodes beside a jump as one, the jump taken out: it begins as the first and goes on as the second.
 */
static bool bridge(const tspi_curve *before, const tspi_curve *after, double at, double size, tspi_curve *ret)
{
    double *t = malloc(2 * ((size_t)before->n + after->n + 2) * sizeof *t), *x = t + before->n + after->n + 2;
    uint32_t n = 0;

    if (!t)
        return false;
    for (uint32_t k = 0; k < before->n && before->t[k] < at; k++, n++) {
        t[n] = before->t[k];
        x[n] = before->x[k];
    }
    t[n] = at;
    x[n++] = tspi_curve_at(before, at);
    for (uint32_t k = 0; k < after->n; k++)
        if (after->t[k] > at) {
            t[n] = after->t[k];
            x[n++] = after->x[k] - size;
        }
    bool ok = tspi_curve_set(ret, t, x, n);
    free(t);
    return ok;
}

/* A jump was located while others were still smeared over the hops beside it. Now that more are known, where was it?
 * The tracks beside it stay as they are. */
static bool locate_again(tspi_fit *fit, tspi_jump *jump)
{
    uint32_t node = tspi_sides_node(&fit->sides, jump->clock, jump->cut) - 1;
    tspi_curve *curves = &fit->curves[node], kept[2] = {curves[0], curves[1]};
    double at = tspi_fit_local(fit, jump->clock, jump->cut);
    tspi_jump moved = *jump;
    bool located = false;

    curves[0] = curves[1] = (tspi_curve){0};
    tspi_sides_forget(&fit->sides, fit->hops, jump->clock, jump->cut);
    bool ok = bridge(&kept[0], &kept[1], at, jump->size, &curves[0]) &&
              bridge(&kept[0], &kept[1], at, jump->size, &curves[1]) && tspi_fit_evaluate(fit) &&
              tspi_locate(fit, node, 2, (jump->from_t + jump->to_t) / 2, fit->base_window, &moved, &located);
    if (located && tspi_sides_move(&fit->sides, jump->clock, jump->cut, moved.cut))
        *jump = moved;
    else if (located)
        tspi_sides_forget(&fit->sides, fit->hops, jump->clock, moved.cut);
    for (int k = 0; k < 2; k++) {
        free(curves[k].t);
        free(curves[k].x);
        curves[k] = kept[k];
    }
    return ok && tspi_fit_evaluate(fit);
}

bool tspi_steps_locate(tspi_fit *fit, double t, double reach, bool *ret_moved)
{
    bool ok = true;

    *ret_moved = false;
    for (uint32_t k = 0; ok && k < fit->jumps_n; k++) {
        tspi_jump *jump = &fit->jumps[k];
        int64_t cut = jump->cut;
        if (fabs((jump->from_t + jump->to_t) / 2 - t) > reach)
            continue;
        jump->size = size_of(fit, jump);
        ok = locate_again(fit, jump);
        *ret_moved = *ret_moved || cut != jump->cut;
    }
    return ok;
}

/* How wide around its cut a jump leaves the side of a stamp open. */
static double reach_of(const tspi_jump *jump)
{
    return fabs(jump->size) / 2 + (jump->to_t - jump->from_t) / 2;
}

typedef bool (*visitor)(tspi_fit *fit, const tspi_jump *jump, const tspi_stored_edge *edge, size_t row, bool out,
                        void *context);

/* Every hop with a stamp of the jump's clock within reach + extra of the cut. */
static bool visit(tspi_fit *fit, const tspi_jump *jump, double extra, visitor each, void *context)
{
    double cut = tspi_fit_local(fit, jump->clock, jump->cut), reach = reach_of(jump) + extra;

    for (size_t e = 0; e < fit->hops->edges_n; e++) {
        const tspi_stored_edge *edge = &fit->hops->edges[e];
        if (edge->from != jump->clock && edge->to != jump->clock)
            continue;
        bool out = edge->from == jump->clock;
        for (size_t row = edge->first; row < edge->first + edge->n; row++) {
            const tspi_stored_hop *hop = &fit->hops->hops[row];
            double at = tspi_fit_local(fit, jump->clock, out ? hop->sent : hop->received);
            if (fabs(at - cut) < reach && !each(fit, jump, edge, row, out, context))
                return false;
        }
    }
    return true;
}

typedef struct {
    tspi_side *choices;
    size_t n, cap;
    const tspi_stored_edge *edge; /* the last one, and its low quantiles by kind */
    double low[2];
} siding;

static bool find_low(const tspi_fit *fit, const tspi_stored_edge *edge, siding *s)
{
    double *values = malloc((edge->n + 1) * sizeof *values);

    if (!values)
        return false;
    for (int soft = 0; soft < 2; soft++) {
        size_t n = 0;
        for (size_t row = edge->first; row < edge->first + edge->n; row++)
            if (!(fit->hops->hops[row].flags & TSPI_STORED_SOFT) == !soft)
                values[n++] = fit->u[row];
        s->low[soft] = n ? tspi_quantile(values, n, LIE_PART) : 0;
    }
    s->edge = edge;
    free(values);
    return true;
}

static double misfit(double u, double low)
{
    return u < low ? LOCATE_BELOW_MOST * (low - u) : u - low;
}

static bool choose_side(tspi_fit *fit, const tspi_jump *jump, const tspi_stored_edge *edge, size_t row, bool out,
                        void *context)
{
    siding *s = context;
    const tspi_stored_hop *hop = &fit->hops->hops[row];
    uint32_t after = tspi_sides_node(&fit->sides, jump->clock, jump->cut), node;
    double at = tspi_fit_local(fit, jump->clock, out ? hop->sent : hop->received), sign = out ? 1 : -1, low;

    if (s->edge != edge && !find_low(fit, edge, s))
        return false;
    low = s->low[!!(hop->flags & TSPI_STORED_SOFT)];
    node = (out ? tspi_sides_sent_node : tspi_sides_received_node)(&fit->sides, fit->hops, row);
    double now = tspi_curve_at(&fit->curves[node], at);
    double u_before = fit->u[row] + sign * (tspi_curve_at(&fit->curves[after - 1], at) - now);
    double u_after = fit->u[row] + sign * (tspi_curve_at(&fit->curves[after], at) - now);
    tspi_side *choices = tspi_grown(s->choices, s->n, &s->cap, sizeof *choices);
    if (!choices)
        return false;
    s->choices = choices;
    s->choices[s->n++] =
        (tspi_side){2 * row + !out, misfit(u_before, low) <= misfit(u_after, low) ? jump->cut - 1 : jump->cut};
    return true;
}

bool tspi_steps_settle(tspi_fit *fit)
{
    bool joined, moved, ok = join_again(fit, &joined);

    if (!ok || !(fit->jumps_n || joined))
        return ok;
    if (joined) {
        for (uint32_t node = 0; node < fit->nodes; node++)
            fit->window_of[node] = fit->base_window;
        if (!tspi_motion_set_roots(fit) || !tspi_fit_evaluate(fit) || !tspi_relax(fit, fit->quantile))
            return false;
    }
    ok = tspi_steps_locate(fit, 0, INFINITY, &moved);
    for (uint32_t k = 0; ok && k < fit->jumps_n; k++) {
        siding s = {0};
        ok = visit(fit, &fit->jumps[k], LOCATE_MARGIN_NS, choose_side, &s) &&
             tspi_sides_choose(&fit->sides, fit->hops, s.choices, s.n);
        free(s.choices);
    }
    return ok && tspi_fit_evaluate(fit);
}

static bool flag_ambiguous(tspi_fit *fit, const tspi_jump *jump, const tspi_stored_edge *edge, size_t row, bool out,
                           void *context)
{
    (void)jump, (void)edge, (void)out, (void)context;
    fit->hops->hops[row].flags |= TSPI_STORED_AMBIGUOUS;
    return true;
}

bool tspi_steps_ambiguous(tspi_fit *fit)
{
    for (size_t row = 0; row < fit->hops->n; row++)
        fit->hops->hops[row].flags &= (uint16_t)~TSPI_STORED_AMBIGUOUS;
    for (uint32_t k = 0; k < fit->jumps_n; k++)
        visit(fit, &fit->jumps[k], 0, flag_ambiguous, NULL);
    return true;
}
