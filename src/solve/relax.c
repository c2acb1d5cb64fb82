#include "solve/relax.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/motion.h"
#include "solve/order.h"
#include "solve/parallel.h"
#include "solve/smooth.h"
#include "solve/window.h"

#define PIECES 64
#define NOT_FOUND NAN

static const double rate_priors[RATE_PRIORS_N] = RATE_PRIORS;

/* One node's series on its way through a pass. */
typedef struct {
    uint32_t n;
    double *memory; /* owned: all below */
    double *t, *y, *relative, *excess2, *local, *total;
    uint32_t *at;      /* owned: window of each sight */
    double origin;     /* added to y again */
    double scatter;    /* of its cycle means, ns; NAN: too few to tell */
    double level_step; /* mean step between neighbouring cycle means */
    double count;      /* usual hops in a window */
    double window;
    double prior; /* of the noise, ns */
    double reach; /* decades by which the noise may differ from that */
    double best;  /* least misfit of its own, and where */
    uint32_t best_prior, best_rate_noise;
} series;

typedef struct {
    tspi_fit *fit;
    series *all; /* owned, nodes */
    double sum[PIECES][RATE_PRIORS_N][RATE_NOISE_GRID];
    uint32_t prior, rate_noise; /* chosen for all */
    uint8_t *prior_of;          /* owned, clocks: each one's own, or the same */
} pass;

static double noise_of(int k)
{
    return pow(10, NOISE_GRID_LEAST + NOISE_GRID_STEP * k);
}

static double rate_noise_of(int k)
{
    return pow(10, RATE_NOISE_LEAST + k);
}

typedef struct {
    double level, count;
} weighed;

static int by_level(const void *a_, const void *b_)
{
    const weighed *a = a_, *b = b_;

    return a->level < b->level ? -1 : a->level > b->level;
}

/* The level below which LEVEL_PART of the hops' windows lie. */
static double usual_level(const tspi_sight *sights, uint32_t n, weighed *scratch)
{
    double total = 0, below = 0;

    for (uint32_t k = 0; k < n; k++) {
        scratch[k] = (weighed){sights[k].level, sights[k].count};
        total += sights[k].count;
    }
    qsort(scratch, n, sizeof *scratch, by_level);
    for (uint32_t k = 0; k < n; k++) {
        below += scratch[k].count;
        if (below >= LEVEL_PART * total)
            return scratch[k].level;
    }
    return scratch[n - 1].level;
}

/* The scatter of cycle means, ns; they are free of clock error. Of coarse stamps they hardly scatter, and a clock is
 * off by part of a grain all the same: by anything in it, as far as is known. NAN: too few to tell. */
static double scatter_of(const tspi_sight *sights, uint32_t n, double grain, double *scratch)
{
    for (uint32_t k = 0; k + 1 < n; k++)
        scratch[k] = sights[k + 1].level - sights[k].level;
    return n >= 5 ? tspi_mad(scratch, n - 1) / sqrt(2) + NOISE_FLOOR_NS + grain / sqrt(12) : NOT_FOUND;
}

/* How far a cycle mean lies below those of the windows beside it, beyond scatter: no cycle is faster for a window or
 * two, but stamps that lie make it look so, by as much as they put the clock off where two clocks make the cycle. The
 * second lowest of DIP_BESIDE windows either way is what lies do not reach. */
static double dip_of(const tspi_sight *sights, uint32_t n, uint32_t k, double usual, double scatter)
{
    double lowest = INFINITY, next = usual;
    uint32_t first = k > DIP_BESIDE ? k - DIP_BESIDE : 0, last = k + DIP_BESIDE < n ? k + DIP_BESIDE : n - 1;

    for (uint32_t q = first; q <= last; q++) {
        double level = q == k ? INFINITY : sights[q].level;
        next = fmin(next, fmax(level, lowest));
        lowest = fmin(lowest, level);
    }
    return next - sights[k].level > DIP_SIGMA * scatter ? next - sights[k].level : 0;
}

static bool build(series *s, const tspi_fit *fit, uint32_t node, const tspi_windows *windows)
{
    const tspi_sight *sights = windows->sights + windows->first[node];
    uint32_t n = (uint32_t)(windows->first[node + 1] - windows->first[node]);
    double *scratch;

    if (!n)
        return true;
    s->memory = malloc((size_t)n * 8 * sizeof(double));
    s->at = malloc((size_t)n * sizeof *s->at);
    if (!s->memory || !s->at)
        return false;
    s->n = n;
    s->t = s->memory;
    s->y = s->t + n;
    s->relative = s->y + n;
    s->excess2 = s->relative + n;
    s->local = s->excess2 + n;
    s->total = s->local + n;
    scratch = s->total + n; /* 2 n */
    double usual = usual_level(sights, n, (weighed *)scratch);
    for (uint32_t k = 0; k < n; k++)
        scratch[k] = sights[k].count;
    s->count = fmax(tspi_median(scratch, n), 1);
    s->window = windows->length;
    s->scatter = scatter_of(sights, n, fit->grain[fit->node_clock[node]], scratch);
    for (uint32_t k = 0; k < n; k++) {
        double t = windows->t0 + windows->length * (sights[k].window + 0.5), ratio = sights[k].count / s->count;
        double excess = fmax(0, sights[k].level - usual), dip = dip_of(sights, n, k, usual, s->scatter);
        s->local[k] = t + tspi_curve_at(&fit->curves[node], t);
        s->total[k] = tspi_curve_at(&fit->curves[node], s->local[k]) + sights[k].y -
                      tspi_motion_at(fit, fit->node_clock[node], t);
        s->at[k] = sights[k].window;
        s->t[k] = (s->local[k] - s->local[0]) * 1e-9;
        s->relative[k] = 1 / fmin(fmax(ratio * ratio, WEIGHT_LEAST), WEIGHT_MOST);
        s->excess2[k] = excess * excess / EXCESS_DIVISOR + dip * dip;
        scratch[k] = s->total[k];
    }
    s->origin = tspi_median(scratch, n);
    for (uint32_t k = 0; k < n; k++)
        s->y[k] = s->total[k] - s->origin;
    s->level_step = 0;
    for (uint32_t k = 0; k + 1 < n; k++)
        s->level_step += fabs(sights[k + 1].level - sights[k].level) / (n - 1);
    return true;
}

/* Where a clock has too few windows to tell its own noise: what it was when it had more, else that of the others, by
 * count. Two or three sights would put a drift down to noise as gladly. */
static bool set_priors(pass *p)
{
    double *known = malloc((p->fit->nodes + 1) * sizeof *known), pooled = NOISE_DEFAULT_NS;
    uint32_t n = 0;

    if (!known)
        return false;
    for (uint32_t node = 0; node < p->fit->nodes; node++)
        if (p->all[node].n && !isnan(p->all[node].scatter))
            known[n++] = p->all[node].scatter * p->all[node].count;
    for (uint32_t node = 0; n == 0 && node < p->fit->nodes; node++)
        if (p->all[node].n >= 2)
            known[n++] = p->all[node].level_step * p->all[node].count;
    if (n)
        pooled = fmax(tspi_median(known, n), NOISE_FLOOR_NS);
    for (uint32_t node = 0; node < p->fit->nodes; node++) {
        series *s = &p->all[node];
        double before = p->fit->series[node].noise_hops;
        s->prior = !s->n ? 0 : !isnan(s->scatter) ? s->scatter : (before > 0 ? before : pooled) / s->count;
        s->prior = fmax(s->prior, 1);
        s->reach = isnan(s->scatter) && before > 0 ? NOISE_KNOWN_REACH : NOISE_REACH;
    }
    free(known);
    return true;
}

/* Misfit at the best noise of the grid. */
static double best_noise(const series *s, double q, double rate_prior, int *ret_k)
{
    double best = INFINITY;

    *ret_k = 0;
    for (int k = 0; k < NOISE_GRID; k++) {
        double noise = noise_of(k), away = log10(noise / s->prior);
        bool at_end = (k == 0 && away > 0) || (k == NOISE_GRID - 1 && away < 0);
        if (fabs(away) > s->reach && !at_end)
            continue;
        tspi_trend trend = {s->n, s->t, s->y, s->relative, q, rate_prior * rate_prior};
        double misfit = tspi_trend_misfit(&trend, noise * noise, s->excess2) + NOISE_PRIOR * away * away;
        if (misfit < best) {
            best = misfit;
            *ret_k = k;
        }
    }
    return best;
}

static bool judge_piece(void *pass_, size_t piece, unsigned worker)
{
    pass *p = pass_;
    size_t n = p->fit->nodes;
    int k;

    (void)worker;
    for (size_t node = piece * n / PIECES; node < (piece + 1) * n / PIECES; node++) {
        series *s = &p->all[node];
        s->best = INFINITY;
        for (uint32_t prior = 0; s->n > 1 && prior < RATE_PRIORS_N; prior++)
            for (uint32_t q = 0; q < RATE_NOISE_GRID; q++) {
                double misfit = best_noise(s, rate_noise_of((int)q), rate_priors[prior], &k);
                p->sum[piece][prior][q] += misfit;
                if (misfit >= s->best)
                    continue;
                s->best = misfit;
                s->best_prior = prior;
                s->best_rate_noise = q;
            }
    }
    return true;
}

/* One rate noise and one prior for all clocks: those of the least misfit over all. */
static void choose(pass *p)
{
    double best = INFINITY;

    for (uint32_t prior = 0; prior < RATE_PRIORS_N; prior++)
        for (uint32_t q = 0; q < RATE_NOISE_GRID; q++) {
            double sum = 0;
            for (int piece = 0; piece < PIECES; piece++)
                sum += p->sum[piece][prior][q];
            if (sum < best) {
                best = sum;
                p->prior = prior;
                p->rate_noise = q;
            }
        }
}

/* The nearest track that obeys the drift limit: the middle of the two envelopes. */
static void limit_rate(const double *t, double *x, uint32_t n, double rho, double *up, double *low)
{
    bool within = true;

    for (uint32_t k = 1; k < n && within; k++)
        within = fabs(x[k] - x[k - 1]) <= rho * (t[k] - t[k - 1]);
    if (within)
        return;
    memcpy(up, x, n * sizeof *x);
    memcpy(low, x, n * sizeof *x);
    for (uint32_t k = 1; k < n; k++) {
        double reach = rho * (t[k] - t[k - 1]);
        up[k] = fmin(up[k], up[k - 1] + reach);
        low[k] = fmax(low[k], low[k - 1] - reach);
    }
    for (uint32_t k = n - 1; k-- > 0;) {
        double reach = rho * (t[k + 1] - t[k]);
        up[k] = fmin(up[k], up[k + 1] + reach);
        low[k] = fmax(low[k], low[k + 1] - reach);
    }
    for (uint32_t k = 0; k < n; k++)
        x[k] = (up[k] + low[k]) / 2;
}

/* A clock that drifts unlike the others has a prior of its own, in all its pieces if one shows it: a clock that steps
 * is the same oscillator before and after, and a short piece by itself would put its drift down to noise. */
static bool choose_prior(void *pass_, size_t clock, unsigned worker)
{
    const pass *p = pass_;
    const tspi_sides *sides = &p->fit->sides;
    uint32_t first = tspi_sides_first(sides, (uint32_t)clock), end = tspi_sides_first(sides, (uint32_t)clock + 1);
    double rate_noise = rate_noise_of((int)p->rate_noise), most = OWN_PRIOR_RATIO;
    int noise;

    (void)worker;
    p->prior_of[clock] = (uint8_t)p->prior;
    for (uint32_t node = first; node < end; node++) {
        const series *s = &p->all[node];
        if (p->fit->series[node].rate_prior) {
            p->prior_of[clock] = p->fit->series[node].rate_prior - 1;
            return true;
        }
        double shared = s->n > 1 ? best_noise(s, rate_noise, rate_priors[p->prior], &noise) : 0;
        for (uint8_t prior = 0; prior < RATE_PRIORS_N && s->n > 1; prior++) {
            double gain = shared - best_noise(s, rate_noise, rate_priors[prior], &noise);
            if (gain > most) {
                most = gain;
                p->prior_of[clock] = prior;
            }
        }
    }
    return true;
}

static void choose_noise(const pass *p, uint32_t node, double *ret_q, double *ret_rate_prior, int *ret_noise)
{
    const series *s = &p->all[node];

    *ret_q = rate_noise_of((int)p->rate_noise);
    *ret_rate_prior = rate_priors[p->prior_of[p->fit->node_clock[node]]];
    double misfit = best_noise(s, *ret_q, *ret_rate_prior, ret_noise);
    if (misfit > s->best + OWN_RATIO) { /* a clock unlike the others */
        *ret_q = rate_noise_of((int)s->best_rate_noise);
        *ret_rate_prior = rate_priors[s->best_prior];
        best_noise(s, *ret_q, *ret_rate_prior, ret_noise);
    }
}

/* The smoothed series and the node's bends make its curve. */
static bool set_curve(tspi_fit *fit, uint32_t node, const series *s, double *x, double *scratch)
{
    tspi_curve *curve = &fit->curves[node];
    uint32_t clock = fit->node_clock[node];

    if (!fit->bends_n) {
        if (fit->limit_rates)
            limit_rate(s->local, x, s->n, fit->rho, scratch, scratch + s->n);
        return tspi_curve_set(curve, s->local, x, s->n);
    }
    for (uint32_t k = 0; k < s->n; k++)
        scratch[k] = fit->t_first + s->window * (s->at[k] + 0.5);
    tspi_curve smooth = {scratch, x, s->n};
    if (!tspi_motion_put_in(fit, clock, &smooth, curve))
        return false;
    double *limits = fit->limit_rates ? malloc(2 * ((size_t)curve->n + 1) * sizeof *limits) : NULL;
    if (limits)
        limit_rate(curve->t, curve->x, curve->n, fit->rho, limits, limits + curve->n);
    free(limits);
    return !fit->limit_rates || limits;
}

static bool smooth_node(void *pass_, size_t node, unsigned worker)
{
    pass *p = pass_;
    tspi_fit *fit = p->fit;
    series *s = &p->all[node];
    tspi_series *out = &fit->series[node];
    int best;

    (void)worker;
    if (!s->n)
        return true;
    double q, rate_prior;
    choose_noise(p, (uint32_t)node, &q, &rate_prior, &best);
    double sigma = noise_of(best), step_sigma = fmin(sigma, STEP_NOISE_MOST * s->prior);
    double noise_hops = isnan(s->scatter) && out->noise_hops > 0 ? out->noise_hops : sigma * s->count;
    double *noise = malloc((size_t)s->n * 12 * sizeof(double)), *x = noise + s->n, *scratch = x + s->n;
    if (!noise)
        return false;
    for (uint32_t k = 0; k < s->n; k++)
        noise[k] = s->relative[k] * sigma * sigma + s->excess2[k];
    tspi_trend trend = {s->n, s->t, s->y, noise, q, rate_prior * rate_prior};
    tspi_trend_smooth(&trend, scratch, x, NULL);
    for (uint32_t k = 0; k < s->n; k++)
        x[k] += s->origin;
    bool ok = set_curve(fit, (uint32_t)node, s, x, scratch);
    free(noise);
    free(out->local);
    free(out->total);
    free(out->noise);
    free(out->at);
    *out = (tspi_series){.sigma = sigma,
                         .stiff = fmin(1e8, sigma * sigma / (q * pow(s->window * 1e-9, 3))),
                         .window = s->window,
                         .noise_hops = noise_hops,
                         .rate_prior = fit->limit_rates && p->prior_of[fit->node_clock[node]] != p->prior
                                           ? 1 + p->prior_of[fit->node_clock[node]]
                                           : out->rate_prior,
                         .windows = (uint32_t)round((s->local[s->n - 1] - s->local[0]) / s->window) + 1,
                         .n = s->n,
                         .local = malloc(s->n * sizeof(double)),
                         .total = malloc(s->n * sizeof(double)),
                         .noise = malloc(s->n * sizeof(double)),
                         .at = malloc(s->n * sizeof *out->at)};
    if (!ok || !out->local || !out->total || !out->noise || !out->at)
        return false;
    for (uint32_t k = 0; k < s->n; k++) {
        out->local[k] = s->local[k];
        out->total[k] = s->total[k];
        out->at[k] = s->at[k];
        out->noise[k] = s->relative[k] * step_sigma * step_sigma + s->excess2[k];
    }
    return true;
}

static int by_number(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* Windows of each length in use, and from them the series of the nodes that use it. */
static bool build_all(pass *p, double quantile)
{
    tspi_fit *fit = p->fit;
    double *lengths = malloc((fit->nodes + 1) * sizeof *lengths);
    uint32_t n = 0;
    bool ok = lengths != NULL;

    for (uint32_t node = 0; ok && node < fit->nodes; node++)
        if (!fit->root[fit->node_clock[node]])
            lengths[n++] = fit->window_of[node];
    if (ok)
        qsort(lengths, n, sizeof *lengths, by_number);
    for (uint32_t k = 0; ok && k < n; k++) {
        tspi_windows windows;
        if (k > 0 && lengths[k] == lengths[k - 1])
            continue;
        ok = tspi_windows_find(fit, lengths[k], quantile, &windows);
        for (uint32_t node = 0; ok && node < fit->nodes; node++)
            if (fit->window_of[node] == lengths[k] && !fit->root[fit->node_clock[node]])
                ok = build(&p->all[node], fit, node, &windows);
        tspi_windows_release(&windows);
    }
    free(lengths);
    return ok;
}

/* Bends and roots' steps are known better now: what is left of them in the series is taken out. */
static bool measure(pass *p)
{
    tspi_fit *fit = p->fit;
    tspi_seen *seen = malloc(((size_t)fit->nodes + 1) * sizeof *seen);
    double *change = malloc(((size_t)fit->bends_n + fit->jumps_n + 1) * sizeof *change);
    uint32_t n = 0;
    bool ok = seen && change;

    for (uint32_t node = 0; ok && node < fit->nodes; node++) {
        series *s = &p->all[node];
        if (s->n < 2)
            continue;
        double *noise = malloc(s->n * sizeof *noise), q, rate_prior;
        int best;
        choose_noise(p, node, &q, &rate_prior, &best);
        for (uint32_t k = 0; noise && k < s->n; k++)
            noise[k] = s->relative[k] * noise_of(best) * noise_of(best) + s->excess2[k];
        seen[n++] = (tspi_seen){node, s->window, s->at, {s->n, s->t, s->y, noise, q, rate_prior * rate_prior}};
        ok = noise != NULL;
    }
    ok = ok && tspi_motion_measure(fit, seen, n, change);
    for (uint32_t j = 0; seen && j < n; j++) {
        series *s = &p->all[seen[j].node];
        for (uint32_t k = 0; ok && k < s->n; k++) {
            double by = tspi_motion_change(fit, change, seen[j].node, fit->t_first + s->window * (s->at[k] + 0.5));
            s->y[k] += by;
            s->total[k] += by;
        }
        free((double *)seen[j].trend.noise);
    }
    free(seen);
    free(change);
    return ok;
}

static bool any_root_jump(const tspi_fit *fit)
{
    bool any = false;

    for (uint32_t k = 0; k < fit->jumps_n; k++)
        any = any || fit->root[fit->jumps[k].clock];
    return any;
}

bool tspi_relax(tspi_fit *fit, double quantile)
{
    pass *p = calloc(1, sizeof *p);
    bool ok;

    if (!p)
        return false;
    p->fit = fit;
    p->all = calloc((size_t)fit->nodes + 1, sizeof *p->all);
    p->prior_of = calloc((size_t)fit->clocks + 1, 1);
    for (uint32_t node = 0; node < fit->nodes; node++) {
        fit->series[node].sigma = NOT_FOUND;
        fit->series[node].n = 0;
    }
    ok = p->all && p->prior_of && build_all(p, quantile) && set_priors(p) &&
         tspi_parallel(fit->threads, PIECES, judge_piece, p);
    if (ok) {
        choose(p);
        ok = tspi_parallel(fit->threads, fit->clocks, choose_prior, p);
        if (ok && (fit->bends_n || any_root_jump(fit)))
            ok = measure(p);
        ok = ok && tspi_parallel(fit->threads, fit->nodes, smooth_node, p) && tspi_fit_evaluate(fit);
    }
    for (uint32_t node = 0; p->all && node < fit->nodes; node++) {
        free(p->all[node].memory);
        free(p->all[node].at);
    }
    free(p->all);
    free(p->prior_of);
    free(p);
    return ok;
}

void tspi_relax_windows(tspi_fit *fit)
{
    const double base = fit->base_window, least = base / 2;
    double longest = 0;

    for (uint32_t node = 0; node < fit->nodes; node++) {
        const tspi_series *s = &fit->series[node];
        if (isnan(s->sigma))
            continue;
        double grow = fmin(fmax(pow(fmax(s->stiff, 1e-8), 0.25), WINDOW_SHRINK), WINDOW_GROW);
        double most = s->windows * s->window / (s->stiff > STIFF ? WINDOW_STIFF_PARTS : WINDOW_LEAST_PARTS);
        double want = fmin(fmax(s->window * grow, least), fmax(most, least));
        fit->window_of[node] = base * exp2(floor(log2(want / base) + 0.5));
        longest = fmax(longest, fit->window_of[node]);
    }
    /* A clock without sights is likeliest to close a cycle in the longest window that is balanced anyhow. */
    for (uint32_t node = 0; longest > 0 && node < fit->nodes; node++)
        if (isnan(fit->series[node].sigma))
            fit->window_of[node] = longest;
}
