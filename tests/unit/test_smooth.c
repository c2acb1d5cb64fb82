/* The smoother against an oracle that shares nothing with it: the posterior of all levels and rates at once, by dense
 * linear algebra. */
#include "test.h"

#include "base/random.h"
#include "solve/smooth.h"

#define MOST 9

typedef struct {
    uint32_t n;
    double t[MOST], y[MOST], noise[MOST];
    tspi_trend trend;
} run;

static void make_run(run *r, tspi_random *random)
{
    double level = tspi_random_uniform(random, -1e5, 1e5), rate = tspi_random_uniform(random, -5e3, 5e3);

    r->n = 1 + (uint32_t)tspi_random_below(random, MOST);
    for (uint32_t k = 0; k < r->n; k++) {
        r->t[k] = (k ? r->t[k - 1] : 0) + tspi_random_uniform(random, 0.1, 3);
        r->noise[k] = pow(10, tspi_random_uniform(random, 2, 6));
        r->y[k] = level + rate * r->t[k] + sqrt(r->noise[k]) * tspi_random_uniform(random, -2, 2);
    }
    r->trend = (tspi_trend){r->n,
                            r->t,
                            r->y,
                            r->noise,
                            pow(10, tspi_random_uniform(random, -2, 6)),
                            pow(10, tspi_random_uniform(random, 0, 8))};
}

/* Adds (c . x - v)^2 * weight to x' A x - 2 b . x. */
static void add_term(long double a[][2 * MOST + 2], long double *b, int m, const long double *c, long double v,
                     long double weight)
{
    for (int i = 0; i < m; i++) {
        b[i] += weight * c[i] * v;
        for (int j = 0; j < m; j++)
            a[i][j] += weight * c[i] * c[j];
    }
}

static void solve_dense(long double a[][2 * MOST + 2], long double *b, int m)
{
    for (int i = 0; i < m; i++)
        for (int k = i + 1; k < m; k++) { /* positive definite: no pivots */
            long double f = a[k][i] / a[i][i];
            for (int j = i; j < m; j++)
                a[k][j] -= f * a[i][j];
            b[k] -= f * b[i];
        }
    for (int i = m; i-- > 0;) {
        for (int j = i + 1; j < m; j++)
            b[i] -= a[i][j] * b[j];
        b[i] /= a[i][i];
    }
}

/* States: a level and a rate at each sight. */
static void by_hand(const run *r, double *ret_x)
{
    long double a[2 * MOST + 2][2 * MOST + 2] = {{0}}, b[2 * MOST + 2] = {0};
    int m = 2 * (int)r->n;

    for (int s = 0; s + 1 < (int)r->n; s++) {
        /* The noises of a step have covariance q (h^3/3 h^2/2; h^2/2 h): the rate's, and what of the level's it does
         * not explain. */
        long double h = r->t[s + 1] - r->t[s], q = r->trend.q, level[2 * MOST + 2] = {0}, rate[2 * MOST + 2] = {0};
        rate[2 * s + 1] = -1;
        rate[2 * s + 3] = 1;
        level[2 * s] = -1;
        level[2 * s + 1] = level[2 * s + 3] = -h / 2;
        level[2 * s + 2] = 1;
        add_term(a, b, m, rate, 0, 1 / (q * h));
        add_term(a, b, m, level, 0, 12 / (q * h * h * h));
    }
    for (int k = 0; k < (int)r->n; k++) {
        long double c[2 * MOST + 2] = {0};
        c[2 * k] = 1;
        add_term(a, b, m, c, r->y[k], 1 / r->noise[k]);
    }
    for (int end = 0; end < 2; end++) {
        long double c[2 * MOST + 2] = {0};
        c[end ? m - 1 : 1] = 1;
        add_term(a, b, m, c, 0, 1 / r->trend.rate_var);
    }
    solve_dense(a, b, m);
    for (int k = 0; k < (int)r->n; k++)
        ret_x[k] = (double)b[2 * k];
}

TEST(smooth, is_the_posterior)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 300; round++) {
        run r;
        double x[MOST], want[MOST], scratch[10 * MOST];
        make_run(&r, &random);
        tspi_trend_smooth(&r.trend, scratch, x, NULL);
        by_hand(&r, want);
        for (uint32_t k = 0; k < r.n; k++)
            CHECK_NEAR(x[k], want[k], 1e-3 * sqrt(r.noise[k]) + 1e-2);
    }
}

TEST(smooth, reversed_time_reverses_the_track)
{
    tspi_random random;

    tspi_random_seed(&random, seed + 1);
    for (int round = 0; round < 300; round++) {
        run r, back;
        double x[MOST], y[MOST], scratch[10 * MOST];
        make_run(&r, &random);
        back = r;
        for (uint32_t k = 0; k < r.n; k++) {
            back.t[k] = -r.t[r.n - 1 - k];
            back.y[k] = r.y[r.n - 1 - k];
            back.noise[k] = r.noise[r.n - 1 - k];
        }
        back.trend = (tspi_trend){back.n, back.t, back.y, back.noise, r.trend.q, r.trend.rate_var};
        tspi_trend_smooth(&r.trend, scratch, x, NULL);
        tspi_trend_smooth(&back.trend, scratch, y, NULL);
        for (uint32_t k = 0; k < r.n; k++)
            CHECK_NEAR(x[k], y[r.n - 1 - k], 1e-4 * sqrt(r.noise[k]));
        CHECK_NEAR(tspi_trend_misfit(&r.trend, 1, NULL), tspi_trend_misfit(&back.trend, 1, NULL), 1e-3);
    }
}

/* Minus 2 log likelihood by hand: with a shock of this size taken out of what was seen, and a sight left out. */
static double misfit_with(const run *r, uint32_t before, double lead, double size, uint32_t without)
{
    run less = {0};

    for (uint32_t k = 0; k < r->n; k++) {
        if (k == without)
            continue;
        double since = r->t[k] - r->t[before] + lead;
        less.t[less.n] = r->t[k];
        less.noise[less.n] = r->noise[k];
        less.y[less.n++] = r->y[k] - (k < before ? 0 : lead < 0 ? size : size * since);
    }
    less.trend = (tspi_trend){less.n, less.t, less.y, less.noise, r->trend.q, r->trend.rate_var};
    /* The prior of the last rate is that of what is left; the shock's own part of it is not to be forgiven. */
    return tspi_trend_misfit(&less.trend, 1, NULL);
}

/* A score and its information are the first two derivatives of the misfit; the best size gains what they say. */
TEST(smooth, scores_are_what_shocks_would_gain)
{
    tspi_random random;

    tspi_random_seed(&random, seed + 2);
    for (int round = 0; round < 300; round++) {
        run r;
        tspi_score score[MOST];
        double scratch[4 * MOST], s, i;
        make_run(&r, &random);
        if (r.n < 5)
            continue;
        double misfit = tspi_trend_scores(&r.trend, NULL, 0, scratch, score);
        CHECK_NEAR(misfit, tspi_trend_misfit(&r.trend, 1, NULL), 1e-6 * fabs(misfit) + 1e-6);
        uint32_t k = 1 + (uint32_t)tspi_random_below(&random, r.n - 3);
        tspi_score_of(&score[k], -1, &s, &i);
        double jump = s / i;
        CHECK_NEAR(misfit - misfit_with(&r, k, -1, jump, UINT32_MAX), s * s / i, 1e-4 * fabs(misfit) + 1e-3);
        /* Without the sight before the jump. */
        const tspi_score *left = &score[k];
        double without = misfit - left->error * left->error / left->error_info + log(left->error_info);
        CHECK_NEAR(without, misfit_with(&r, k, -1, 0, k), 1e-5 * fabs(misfit) + 1e-3);
        tspi_score_of(&score[k + 1], -1, &s, &i);
        s -= left->cross * left->error / left->error_info;
        i -= left->cross * left->cross / left->error_info;
        CHECK_NEAR(without - misfit_with(&r, k + 1, -1, s / i, k), s * s / i, 1e-4 * fabs(misfit) + 1e-3);
    }
}
