/* A clock's offset as a local linear trend: x' = rate, rate' = white noise of density q. One forward filter, one
 * backward pass (Rauch, Tung & Striebel 1965). Times in seconds, offsets in ns. */
#ifndef TSPI_SOLVE_SMOOTH_H
#define TSPI_SOLVE_SMOOTH_H

#include <stdbool.h>
#include <stdint.h>

/* n > 0 sights, oldest first, times ascending.
 * y, noise   offset, and the variance of its error, > 0
 * q          ns^2 / s^3
 * rate_var   prior variance of the rate at the first sight and at the last, (ns/s)^2: at both, so that time reversed
 *            gives the same track reversed, and neither end flaps in the wind */
typedef struct {
    uint32_t n;
    const double *t, *y, *noise;
    double q, rate_var;
} tspi_trend;

/* -2 log likelihood, up to a constant; the first sight sets the level.
 * noise_scale multiplies every noise[k] by it and adds extra[k] (extra may be NULL): so that a grid over the noise
 * needs no copies. */
double tspi_trend_misfit(const tspi_trend *trend, double noise_scale, const double *extra);

/* A shock: the clock jumps by v (lead < 0), or its rate jumps by v, lead seconds before the sight `before` >= 1, and
 * not earlier than the sight before that. v is unknown, of prior variance var. */
typedef struct {
    uint32_t before;
    double lead, var;
} tspi_shock;

/* What the series says about a shock of size v just before a sight: -2 log likelihood falls by 2 s v - v^2 i, where
 * s = h . (level, rate), i = h . info . h and h = (1, 0) for the level, (lead, 1) for the rate. So v is best s / i,
 * which gains s^2 / i. error, error_info: the same for an error of the sight itself; cross: between that error and a
 * jump of the level just before the next sight. Source: de Jong & Penzer, JASA 93 (1998): one backward pass for all
 * places. */
typedef struct {
    double level, rate;
    double info_level, info_both, info_rate;
    double error, error_info, cross;
} tspi_score;

/* Returns the misfit. shocks (shocks_n, ascending `before`) are taken as there, with their priors; ret_score: n, the
 * first unset. scratch needs 4 n doubles. */
double tspi_trend_scores(const tspi_trend *trend, const tspi_shock *shocks, uint32_t shocks_n, double *scratch,
                         tspi_score *ret_score);

/* s and i of a shock; the gain in -2 log likelihood when its size is normal of variance var about 0. */
static inline void tspi_score_of(const tspi_score *score, double lead, double *ret_s, double *ret_i)
{
    *ret_s = lead < 0 ? score->level : lead * score->level + score->rate;
    *ret_i = lead < 0 ? score->info_level : lead * (lead * score->info_level + 2 * score->info_both) + score->info_rate;
}
double tspi_score_gain(double s, double i, double var);

/* Smoothed offsets, n; scratch needs 10 n doubles. ret_var, if not NULL: the variance of each. */
void tspi_trend_smooth(const tspi_trend *trend, double *scratch, double *ret_x, double *ret_var);

#endif
