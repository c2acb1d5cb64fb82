#include "solve/motion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"

static double bend_at(const tspi_bend *bend, double t)
{
    return t > bend->t ? bend->rate * (t - bend->t) * 1e-9 : 0;
}

double tspi_motion_at(const tspi_fit *fit, uint32_t clock, double t)
{
    double x = 0;

    for (uint32_t b = 0; b < fit->bends_n; b++)
        if (fit->bends[b].clock == clock)
            x += bend_at(&fit->bends[b], t);
    return x;
}

static double time_of(const tspi_jump *jump)
{
    return (jump->from_t + jump->to_t) / 2;
}

/* The level of a piece of a clock: all that it has jumped by until then. */
static double level_of(const tspi_fit *fit, uint32_t clock, uint32_t piece)
{
    double level = 0;

    for (uint32_t k = 0; k < fit->jumps_n; k++)
        if (fit->jumps[k].clock == clock &&
            tspi_sides_node(&fit->sides, clock, fit->jumps[k].cut) <= tspi_sides_first(&fit->sides, clock) + piece)
            level += fit->jumps[k].size;
    return level;
}

static uint32_t pieces_of(const tspi_fit *fit, uint32_t clock)
{
    return 1 + fit->sides.first[clock + 1] - fit->sides.first[clock];
}

bool tspi_motion_is_there(const tspi_fit *fit, uint32_t clock)
{
    bool moved = pieces_of(fit, clock) > 1;

    for (uint32_t b = 0; b < fit->bends_n && !moved; b++)
        moved = fit->bends[b].clock == clock;
    return moved;
}

/* One piece of a root: its level, and its bends. */
static bool set_root(tspi_fit *fit, uint32_t clock, uint32_t piece)
{
    double at = fit->t_first, level = level_of(fit, clock, piece);
    const tspi_curve constant = {&at, &level, 1};

    return tspi_motion_put_in(fit, clock, &constant, &fit->curves[tspi_sides_first(&fit->sides, clock) + piece]);
}

bool tspi_motion_set_roots(tspi_fit *fit)
{
    bool ok = true;

    for (uint32_t c = 0; ok && c < fit->clocks; c++) {
        if (fit->root[c] && !tspi_motion_is_there(fit, c))
            fit->curves[tspi_sides_first(&fit->sides, c)].n = 0; /* of a step that was joined again some may be left */
        for (uint32_t piece = 0; ok && fit->root[c] && tspi_motion_is_there(fit, c) && piece < pieces_of(fit, c);
             piece++)
            ok = set_root(fit, c, piece);
    }
    return ok;
}

/* ---- measuring ---- */

static bool is_of(const tspi_fit *fit, uint32_t owner, uint32_t clock)
{
    return owner == clock || (fit->root[owner] && fit->group[owner] == fit->group[clock]);
}

double tspi_motion_change(const tspi_fit *fit, const double *change, uint32_t node, double t)
{
    uint32_t clock = fit->node_clock[node];
    double x = 0;

    for (uint32_t b = 0; b < fit->bends_n; b++) {
        tspi_bend bend = fit->bends[b];
        bend.rate = bend.clock == clock ? -change[b] : change[b];
        if (is_of(fit, bend.clock, clock))
            x += bend_at(&bend, t);
    }
    for (uint32_t k = 0; k < fit->jumps_n; k++)
        if (fit->root[fit->jumps[k].clock] && is_of(fit, fit->jumps[k].clock, clock) && t > time_of(&fit->jumps[k]))
            x += change[fit->bends_n + k];
    return x;
}

static int by_place(const void *a_, const void *b_)
{
    const tspi_known *a = a_, *b = b_;

    return a->shock.before < b->shock.before ? -1 : a->shock.before > b->shock.before;
}

static void add_known(tspi_known *known, uint32_t *n, const tspi_fit *fit, const tspi_seen *seen, uint32_t which,
                      double t, bool bend)
{
    double first = fit->t_first + seen->window / 2;
    uint32_t k = 1;

    while (k < seen->trend.n && first + seen->window * seen->at[k] <= t)
        k++;
    if (k == seen->trend.n || t <= first + seen->window * seen->at[k - 1])
        return;
    double lead = (first + seen->window * seen->at[k] - t) * 1e-9;
    known[(*n)++] =
        (tspi_known){{k, bend ? lead : -1, bend ? BEND_PRIOR * BEND_PRIOR : STEP_PRIOR * STEP_PRIOR}, which};
}

uint32_t tspi_motion_known(const tspi_fit *fit, const tspi_seen *seen, bool steps, tspi_known *ret_known)
{
    uint32_t clock = fit->node_clock[seen->node], n = 0;

    for (uint32_t b = 0; b < fit->bends_n; b++)
        if (is_of(fit, fit->bends[b].clock, clock))
            add_known(ret_known, &n, fit, seen, b, fit->bends[b].t, true);
    for (uint32_t k = 0; steps && k < fit->jumps_n; k++)
        if (fit->root[fit->jumps[k].clock] && is_of(fit, fit->jumps[k].clock, clock))
            add_known(ret_known, &n, fit, seen, fit->bends_n + k, time_of(&fit->jumps[k]), false);
    qsort(ret_known, n, sizeof *ret_known, by_place);
    return n;
}

/* The variance of a shock given the series; score: at its place. */
static double variance_of(const tspi_shock *shock, const tspi_score *score)
{
    double s, i;

    tspi_score_of(score, shock->lead, &s, &i);
    return shock->var * fmax(1 - shock->var * i, 1e-9);
}

/* What one series adds to the weighted sums: the mean of each shock given the series and the others, weighted by its
 * precision. All bends of a series have one weight, that of their mean variance: where windows are long, bends near
 * each other are hardly told apart, but what they add up to is known, and must be the same in a mean over series. A
 * root's motion shows in others the other way round. */
static bool measure_series(const tspi_fit *fit, const tspi_seen *seen, tspi_known *known, double *sum, double *weight)
{
    uint32_t n = tspi_motion_known(fit, seen, true, known), clock = fit->node_clock[seen->node];
    tspi_score *score;
    double *scratch;
    tspi_shock *shocks;

    if (!n)
        return true;
    scratch = malloc(seen->trend.n * (4 * sizeof *scratch + sizeof *score) + n * sizeof *shocks);
    if (!scratch)
        return false;
    score = (tspi_score *)(scratch + 4 * seen->trend.n);
    shocks = (tspi_shock *)(score + seen->trend.n);
    for (uint32_t k = 0; k < n; k++)
        shocks[k] = known[k].shock;
    tspi_trend_scores(&seen->trend, shocks, n, scratch, score);
    double bends_var = 0, bends = 0;
    for (uint32_t k = 0; k < n; k++)
        if (known[k].which < fit->bends_n) {
            bends_var += variance_of(&shocks[k], &score[shocks[k].before]);
            bends++;
        }
    for (uint32_t k = 0; k < n; k++) {
        const tspi_shock *shock = &shocks[k];
        uint32_t which = known[k].which;
        uint32_t owner = which < fit->bends_n ? fit->bends[which].clock : fit->jumps[which - fit->bends_n].clock;
        double s, i;
        tspi_score_of(&score[shock->before], shock->lead, &s, &i);
        double precision = which < fit->bends_n ? bends / bends_var : 1 / variance_of(shock, &score[shock->before]);
        sum[which] += (owner == clock ? 1 : -1) * precision * shock->var * s;
        weight[which] += precision;
    }
    free(scratch);
    return true;
}

bool tspi_motion_measure(tspi_fit *fit, const tspi_seen *seen, uint32_t seen_n, double *ret_change)
{
    uint32_t n = fit->bends_n + fit->jumps_n;
    double *weight = calloc((size_t)n + 1, sizeof *weight);
    tspi_known *known = malloc(((size_t)n + 1) * sizeof *known);
    bool ok = weight && known;

    memset(ret_change, 0, n * sizeof *ret_change);
    for (uint32_t k = 0; ok && k < seen_n; k++)
        ok = measure_series(fit, &seen[k], known, ret_change, weight);
    for (uint32_t k = 0; ok && k < n; k++) {
        ret_change[k] = weight[k] > 0 ? ret_change[k] / weight[k] : 0;
        *(k < fit->bends_n ? &fit->bends[k].rate : &fit->jumps[k - fit->bends_n].size) += ret_change[k];
    }
    free(weight);
    free(known);
    return ok && tspi_motion_set_roots(fit);
}

/* ---- finding ---- */

bool tspi_motion_add(tspi_fit *fit, const tspi_find *find)
{
    tspi_bend *grown = realloc(fit->bends, (fit->bends_n + 1) * sizeof *grown);
    uint32_t at = fit->bends_n;

    if (!grown)
        return false;
    fit->bends = grown;
    for (; at > 0 && grown[at - 1].t > find->t; at--)
        grown[at] = grown[at - 1];
    grown[at] = (tspi_bend){.clock = find->clock, .t = find->t, .gain = find->ratio};
    fit->bends_n++;
    return true;
}

void tspi_motion_drop(tspi_fit *fit, const tspi_find *find)
{
    uint32_t at = 0;

    while (at < fit->bends_n && (fit->bends[at].clock != find->clock || fit->bends[at].t != find->t))
        at++;
    if (at == fit->bends_n)
        return;
    fit->bends_n--;
    for (; at < fit->bends_n; at++)
        fit->bends[at] = fit->bends[at + 1];
}

/* Of the bends found in this hunt (gain > 0), those of a clock all of whose bends together are not beyond doubt. */
static bool drop_doubtful(tspi_fit *fit)
{
    uint32_t kept = 0, found = 0;

    for (uint32_t b = 0; b < fit->bends_n; b++) {
        double gain = 0;
        for (uint32_t k = 0; k < fit->bends_n; k++)
            gain += fit->bends[k].clock == fit->bends[b].clock ? fabs(fit->bends[k].gain) : 0;
        fit->bends[b].gain = gain < STEP_RATIO ? NAN : fit->bends[b].gain;
        if (isnan(fit->bends[b].gain)) /* the others of the clock see its gain no more, and go as well */
            continue;
        found += fit->bends[b].gain > 0;
    }
    for (uint32_t b = 0; b < fit->bends_n; b++)
        if (!isnan(fit->bends[b].gain))
            fit->bends[kept++] = fit->bends[b];
    fit->bends_n = kept;
    return found > 0;
}

/* The trend of a series with the rate noise that suits it best, given what is known to be there. */
static bool seen_of(const tspi_fit *fit, uint32_t node, double *memory, tspi_seen *ret)
{
    const tspi_series *s = &fit->series[node];
    double *t = memory, *y = t + s->n, *scratch = y + s->n, least = INFINITY, best = 0;
    tspi_score *score = (tspi_score *)(scratch + 4 * s->n);
    tspi_known *known = malloc(((size_t)fit->bends_n + 1) * (sizeof *known + sizeof(tspi_shock)));

    if (!known)
        return false;
    tspi_shock *shocks = (tspi_shock *)(known + fit->bends_n + 1);
    for (uint32_t k = 0; k < s->n; k++) {
        t[k] = (s->local[k] - s->local[0]) * 1e-9;
        y[k] = s->total[k] - s->total[s->n / 2];
    }
    *ret = (tspi_seen){node, s->window, s->at, {s->n, t, y, s->noise, 0, STEP_RATE_PRIOR * STEP_RATE_PRIOR}};
    uint32_t n = tspi_motion_known(fit, ret, false, known);
    for (uint32_t k = 0; k < n; k++)
        shocks[k] = known[k].shock;
    for (int q = 0; q < RATE_NOISE_GRID; q++) {
        ret->trend.q = pow(10, RATE_NOISE_LEAST + q);
        double misfit = tspi_trend_scores(&ret->trend, shocks, n, scratch, score);
        if (misfit < least) {
            least = misfit;
            best = ret->trend.q;
        }
    }
    ret->trend.q = best;
    free(known);
    return true;
}

/* The tracks were smeared over the bends: measured anew, without smoothing. */
static bool set_curve(tspi_fit *fit, uint32_t node, const double *change)
{
    tspi_series *s = &fit->series[node];

    for (uint32_t k = 0; k < s->n; k++) {
        double t = tspi_sight_time(fit, s, k), by = tspi_motion_change(fit, change, node, t);
        by += tspi_motion_at(fit, fit->node_clock[node], t);
        s->total[k] += by;
        s->local[k] = t + s->total[k];
    }
    return tspi_curve_set(&fit->curves[node], s->local, s->total, s->n);
}

static bool measure_found(tspi_fit *fit)
{
    double **memory = calloc((size_t)fit->nodes + 1, sizeof *memory);
    tspi_seen *seen = malloc(((size_t)fit->nodes + 1) * sizeof *seen);
    double *change = malloc(((size_t)fit->bends_n + fit->jumps_n + 1) * sizeof *change);
    uint32_t n = 0;
    bool ok = memory && seen && change;

    for (uint32_t node = 0; ok && node < fit->nodes; node++) {
        const tspi_series *s = &fit->series[node];
        if (isnan(s->sigma) || s->n < 2)
            continue;
        memory[n] = malloc(s->n * (6 * sizeof(double) + sizeof(tspi_score)));
        ok = memory[n] && seen_of(fit, node, memory[n], &seen[n]);
        n++;
    }
    ok = ok && tspi_motion_measure(fit, seen, n, change);
    for (uint32_t k = 0; k < n && memory; k++) {
        ok = ok && set_curve(fit, seen[k].node, change);
        free(memory[k]);
    }
    free(memory);
    free(seen);
    free(change);
    return ok && tspi_fit_evaluate(fit);
}

bool tspi_motion_settle(tspi_fit *fit, bool *ret_any)
{
    *ret_any = drop_doubtful(fit);
    for (uint32_t b = 0; b < fit->bends_n; b++) /* beyond doubt from now on */
        fit->bends[b].gain = -INFINITY;
    return !*ret_any || measure_found(fit);
}

/* ---- back to the roots' time ---- */

static uint32_t longest_piece(const tspi_fit *fit, uint32_t clock)
{
    uint32_t best = 0, pieces = pieces_of(fit, clock);
    double longest = -1, since = fit->t_first;

    for (uint32_t piece = 0; piece < pieces; piece++) {
        double until = piece + 1 == pieces
                           ? fit->t_last
                           : tspi_fit_local(fit, clock, fit->sides.cuts[fit->sides.first[clock] + piece]) -
                                 level_of(fit, clock, piece);
        if (until - since > longest) {
            longest = until - since;
            best = piece;
        }
        since = until;
    }
    return best;
}

/* A curve with further knots where a clock bends, and, if it does, at both ends of the run: what lies beyond the
 * curve's own knots is carried on from them, not from the bends. times: room for bends_n + 2. */
static uint32_t bend_times(const tspi_fit *fit, uint32_t clock, double *times)
{
    uint32_t n = 0;

    times[n++] = fit->t_first;
    for (uint32_t b = 0; b < fit->bends_n; b++)
        if (fit->bends[b].clock == clock && fit->bends[b].t > times[n - 1])
            times[n++] = fit->bends[b].t;
    if (n == 1)
        return 0;
    if (fit->t_last > times[n - 1])
        times[n++] = fit->t_last;
    return n;
}

/* The knots of a curve and further ones, ascending. memory: room for both. Returns how many. */
static uint32_t merge_knots(const tspi_curve *curve, const double *times, uint32_t times_n, double *ret_t,
                            double *ret_x)
{
    uint32_t n = 0, k = 0, b = 0;

    while (k < curve->n || b < times_n) {
        bool own = b == times_n || (k < curve->n && curve->t[k] <= times[b]);
        double at = own ? curve->t[k] : times[b], x = own ? curve->x[k] : tspi_curve_at(curve, times[b]);
        k += own;
        b += !own;
        if (n && at <= ret_t[n - 1])
            continue;
        ret_t[n] = at;
        ret_x[n++] = x;
    }
    return n;
}

bool tspi_motion_put_in(const tspi_fit *fit, uint32_t clock, const tspi_curve *smooth, tspi_curve *ret_curve)
{
    size_t most = (size_t)smooth->n + fit->bends_n + 2;
    double *t = malloc(3 * most * sizeof *t), *x = t + most, *times = x + most;

    if (!t)
        return false;
    uint32_t n = merge_knots(smooth, times, bend_times(fit, clock, times), t, x);
    for (uint32_t k = 0; k < n; k++) {
        x[k] += tspi_motion_at(fit, clock, t[k]);
        t[k] += x[k];
    }
    bool ok = tspi_curve_set(ret_curve, t, x, n);
    free(t);
    return ok;
}

/* A node's curve minus what the root shows at level `level`. */
static bool count_from(tspi_fit *fit, uint32_t node, uint32_t root, double level)
{
    tspi_curve *curve = &fit->curves[node];
    size_t most = (size_t)curve->n + fit->bends_n + 2;
    double *t = malloc(3 * most * sizeof *t), *x = t + most, *times = x + most;

    if (!t)
        return false;
    uint32_t times_n = bend_times(fit, root, times);
    for (uint32_t k = 0; k < times_n; k++)
        times[k] += tspi_curve_at(curve, times[k]); /* read on the node's clock */
    uint32_t n = merge_knots(curve, times, times_n, t, x);
    for (uint32_t k = 0; k < n; k++)
        x[k] -= level + tspi_motion_at(fit, root, t[k] - x[k]);
    bool ok = tspi_curve_set(curve, t, x, n);
    free(t);
    return ok;
}

static bool return_to(tspi_fit *fit, uint32_t clock, uint8_t *ret_piece)
{
    uint32_t piece = longest_piece(fit, clock), first = tspi_sides_first(&fit->sides, clock);
    double level = level_of(fit, clock, piece);
    bool ok = true;

    for (uint32_t node = 0; ok && node < fit->nodes; node++) {
        uint32_t of = fit->node_clock[node];
        if (of != clock && fit->group[of] == fit->group[clock] && fit->curves[node].n)
            ok = count_from(fit, node, clock, level);
    }
    for (uint32_t k = 0; ok && k < pieces_of(fit, clock); k++) {
        double at = 0, x = level_of(fit, clock, k) - level;
        ok = tspi_curve_set(&fit->curves[first + k], &at, &x, k != piece);
    }
    if (fit->t_first < fit->t_last) {
        double end = tspi_motion_at(fit, clock, fit->t_last);
        fit->t_first += fmin(level, 0);
        fit->t_last += fmax(level + end, 0);
    }
    *ret_piece = (uint8_t)(1 + piece);
    return ok;
}

/* What each clock showed when it bent. */
static void stamp_bends(tspi_fit *fit)
{
    for (uint32_t b = 0; b < fit->bends_n; b++) {
        tspi_bend *bend = &fit->bends[b];
        double x = 0;
        for (int round = 0; round < 3; round++) { /* offsets change by parts of a million of themselves */
            int64_t stamp = tspi_add_most(fit->origin[bend->clock], (int64_t)(bend->t + x));
            x = tspi_curve_at(&fit->curves[tspi_sides_node(&fit->sides, bend->clock, stamp)], bend->t + x);
        }
        bend->at = tspi_add_most(fit->origin[bend->clock], (int64_t)(bend->t + x));
    }
}

bool tspi_motion_return(tspi_fit *fit, uint8_t *root)
{
    bool ok = true, any = false;

    stamp_bends(fit);
    for (uint32_t c = 0; ok && c < fit->clocks; c++)
        if (fit->root[c] && tspi_motion_is_there(fit, c)) {
            ok = return_to(fit, c, &root[c]);
            any = true;
        }
    return ok && (!any || tspi_fit_evaluate(fit));
}
