#include "solve/smooth.h"

#include <math.h>

/* Mean (a, b) and covariance (p c; c d) of level and rate. */
typedef struct {
    double a, b, p, c, d;
} moments;

static inline void predict(moments *m, double h, double q)
{
    m->a += h * m->b;
    m->p += 2 * h * m->c + h * h * m->d + q * h * h * h / 3;
    m->c += h * m->d + q * h * h / 2;
    m->d += q * h;
}

/* Returns the innovation's variance; its square over the variance goes to *ret_z2. */
static inline double update(moments *m, double y, double noise, double *ret_z2)
{
    double e = y - m->a, s = m->p + noise, g = m->p / s, u = m->c / s;

    m->a += g * e;
    m->b += u * e;
    m->d -= u * m->c;
    m->c *= noise / s;
    m->p *= noise / s;
    *ret_z2 = e * e / s;
    return s;
}

/* The rate is 0, to within its prior. */
static inline double update_rate(moments *m, double rate_var, double *ret_z2)
{
    double s = m->d + rate_var, g = m->c / s, u = m->d / s, e = -m->b;

    m->a += g * e;
    m->b += u * e;
    m->p -= g * m->c;
    m->c *= rate_var / s;
    m->d *= rate_var / s;
    *ret_z2 = e * e / s;
    return s;
}

double tspi_trend_misfit(const tspi_trend *trend, double noise_scale, const double *extra, uint32_t jump,
                         double jump_var)
{
    const double *t = trend->t, *y = trend->y;
    double misfit = 0, product = 1, z2;
    uint32_t first = jump == 1 ? 1 : 0;
    moments m = {y[first], 0, trend->noise[first] * noise_scale + (extra ? extra[first] : 0), 0, trend->rate_var};

    for (uint32_t k = first + 1; k < trend->n; k++) {
        predict(&m, t[k] - t[k - 1], trend->q);
        if (jump && k == jump)
            m.p += jump_var;
        if (jump && k == jump - 1)
            continue;
        product *= update(&m, y[k], trend->noise[k] * noise_scale + (extra ? extra[k] : 0), &z2);
        misfit += z2;
        if (product > 1e200 || product < 1e-200) { /* one logarithm for many */
            misfit += log(product);
            product = 1;
        }
    }
    product *= update_rate(&m, trend->rate_var, &z2);
    return misfit + z2 + log(product);
}

/* One step of the backward pass: from the smoothed moments after h to those before, f being the filter's before and g
 * what it predicted from them. */
static moments step_back(const moments *s, const moments *f, const moments *g, double h)
{
    double det = g->p * g->d - g->c * g->c;

    if (!(det > 0))
        return *f;
    /* Gain = P F' (P-)^-1. */
    double m00 = f->p + h * f->c, m01 = f->c, m10 = f->c + h * f->d, m11 = f->d;
    double g00 = (m00 * g->d - m01 * g->c) / det, g01 = (m01 * g->p - m00 * g->c) / det;
    double g10 = (m10 * g->d - m11 * g->c) / det, g11 = (m11 * g->p - m10 * g->c) / det;
    double ea = s->a - g->a, eb = s->b - g->b, dp = s->p - g->p, dc = s->c - g->c, dd = s->d - g->d;
    moments next = {f->a + g00 * ea + g01 * eb, f->b + g10 * ea + g11 * eb, 0, 0, 0};

    next.p = f->p + g00 * (g00 * dp + g01 * dc) + g01 * (g00 * dc + g01 * dd);
    next.c = f->c + g00 * (g10 * dp + g11 * dc) + g01 * (g10 * dc + g11 * dd);
    next.d = f->d + g10 * (g10 * dp + g11 * dc) + g11 * (g10 * dc + g11 * dd);
    return next;
}

void tspi_trend_smooth(const tspi_trend *trend, double *scratch, double *ret_x, double *ret_var)
{
    moments *before = (moments *)scratch, *after = before + trend->n;
    uint32_t n = trend->n;
    double z2;

    after[0] = (moments){trend->y[0], 0, trend->noise[0], 0, trend->rate_var};
    for (uint32_t k = 1; k < n; k++) {
        after[k] = after[k - 1];
        predict(&after[k], trend->t[k] - trend->t[k - 1], trend->q);
        before[k] = after[k];
        update(&after[k], trend->y[k], trend->noise[k], &z2);
    }
    update_rate(&after[n - 1], trend->rate_var, &z2);
    moments s = after[n - 1];
    for (uint32_t k = n; k-- > 0;) {
        if (k + 1 < n)
            s = step_back(&s, &after[k], &before[k + 1], trend->t[k + 1] - trend->t[k]);
        ret_x[k] = s.a;
        if (ret_var)
            ret_var[k] = s.p > 0 ? s.p : 0;
    }
}
