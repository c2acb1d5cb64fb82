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
 * needs no copies.
 * jump       sight before which the level may jump by about sqrt(jump_var), sight jump - 1 left out; 0 = none. With
 *            jump_var 0 the sight is left out all the same. */
double tspi_trend_misfit(const tspi_trend *trend, double noise_scale, const double *extra, uint32_t jump,
                         double jump_var);

/* Smoothed offsets, n; scratch needs 10 n doubles. ret_var, if not NULL: the variance of each. */
void tspi_trend_smooth(const tspi_trend *trend, double *scratch, double *ret_x, double *ret_var);

#endif
