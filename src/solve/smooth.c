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

double tspi_trend_misfit(const tspi_trend *trend, double noise_scale, const double *extra)
{
    const double *t = trend->t, *y = trend->y;
    double misfit = 0, product = 1, z2;
    moments m = {y[0], 0, trend->noise[0] * noise_scale + (extra ? extra[0] : 0), 0, trend->rate_var};

    for (uint32_t k = 1; k < trend->n; k++) {
        predict(&m, t[k] - t[k - 1], trend->q);
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

/* What the filter found at a sight: innovation, its variance, and the gains of level and rate. */
typedef struct {
    double v, f, level, rate;
} innovation;

static double filter(const tspi_trend *trend, const tspi_shock *shocks, uint32_t shocks_n, innovation *ret, moments *m)
{
    double misfit = 0, z2;

    *m = (moments){trend->y[0], 0, trend->noise[0], 0, trend->rate_var};
    for (uint32_t k = 1; k < trend->n; k++) {
        predict(m, trend->t[k] - trend->t[k - 1], trend->q);
        for (; shocks_n && shocks->before == k; shocks++, shocks_n--) {
            double lead = shocks->lead < 0 ? 1 : shocks->lead, rate = shocks->lead < 0 ? 0 : 1;
            m->p += shocks->var * lead * lead;
            m->c += shocks->var * lead * rate;
            m->d += shocks->var * rate;
        }
        innovation *i = &ret[k];
        i->v = trend->y[k] - m->a;
        i->f = m->p + trend->noise[k];
        i->level = m->p / i->f;
        i->rate = m->c / i->f;
        misfit += log(update(m, trend->y[k], trend->noise[k], &z2)) + z2;
    }
    return misfit;
}

double tspi_trend_scores(const tspi_trend *trend, const tspi_shock *shocks, uint32_t shocks_n, double *scratch,
                         tspi_score *ret_score)
{
    innovation *filtered = (innovation *)scratch;
    moments m;
    double misfit = filter(trend, shocks, shocks_n, filtered, &m), z2;
    /* Score and information of the state after a sight has been taken in; at the end only the rate's prior speaks. */
    double s = 0, r = -m.b / (m.d + trend->rate_var), ss = 0, sr = 0, rr = 1 / (m.d + trend->rate_var);

    misfit += log(update_rate(&m, trend->rate_var, &z2)) + z2;
    ret_score[trend->n - 1].cross = 0;
    for (uint32_t k = trend->n; k-- > 1;) {
        const innovation *i = &filtered[k];
        tspi_score *out = &ret_score[k];
        double g = i->level, u = i->rate, h = trend->t[k] - trend->t[k - 1];
        out->error = i->v / i->f - g * s - u * r;
        out->error_info = 1 / i->f + g * g * ss + 2 * g * u * sr + u * u * rr;
        out->level = i->v / i->f + (1 - g) * s - u * r;
        out->rate = r;
        out->info_level = (1 - g) * (1 - g) * ss - 2 * (1 - g) * u * sr + u * u * rr + 1 / i->f;
        out->info_both = (1 - g) * sr - u * rr;
        out->info_rate = rr;
        s = out->level;
        r = h * out->level + out->rate;
        ss = out->info_level;
        sr = h * ss + out->info_both;
        rr = h * (h * ss + 2 * out->info_both) + out->info_rate;
        if (k > 1)
            ret_score[k - 1].cross = -(filtered[k - 1].level * ss + filtered[k - 1].rate * sr);
    }
    return misfit;
}

double tspi_score_gain(double s, double i, double var)
{
    return s * s * var / (1 + var * i) - log1p(var * i);
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
