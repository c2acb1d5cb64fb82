#include "lab/lab_stats.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static const double z95 = 1.959963984540054;

tspi_interval tspi_wilson(uint64_t hits, uint64_t n, double design_effect)
{
    if (!n)
        return (tspi_interval){0, 1};
    double m = (double)n / (design_effect > 1 ? design_effect : 1), p = (double)hits / (double)n;
    double centre = p + z95 * z95 / (2 * m), spread = z95 * sqrt(p * (1 - p) / m + z95 * z95 / (4 * m * m));
    double scale = 1 + z95 * z95 / m;
    tspi_interval interval = {(centre - spread) / scale, (centre + spread) / scale};

    /* At the ends the interval contains the estimate exactly; rounding must not push it out. */
    if (!hits || interval.lo < 0)
        interval.lo = 0;
    if (hits == n || interval.hi > 1)
        interval.hi = 1;
    return interval;
}

void tspi_cluster_add(tspi_clusters *clusters, uint64_t hits, uint64_t size)
{
    double h = (double)hits, s = (double)size;

    clusters->hits2 += h * h;
    clusters->hits_size += h * s;
    clusters->size2 += s * s;
    clusters->hits += hits;
    clusters->size += size;
    clusters->clusters++;
}

double tspi_design_effect(const tspi_clusters *clusters)
{
    double n = (double)clusters->size, k = (double)clusters->clusters;

    if (clusters->clusters < 2 || !clusters->hits || clusters->hits == clusters->size)
        return 1;
    /* Sum over clusters of (hits - p * size)^2, from the sums; ratio estimator of a share. */
    double p = (double)clusters->hits / n;
    double between = clusters->hits2 - 2 * p * clusters->hits_size + p * p * clusters->size2;
    double effect = between * k / (k - 1) / (n * p * (1 - p));
    return effect > 1 ? effect : 1;
}

/* The standard normal deviate that |z| exceeds with probability p, by bisection: exact enough, and seldom asked for. */
static double normal_deviate(double p)
{
    double lo = 0, hi = 40;

    for (int k = 0; k < 80; k++) {
        double mid = (lo + hi) / 2;
        if (erfc(mid / 1.4142135623730951) > p)
            lo = mid;
        else
            hi = mid;
    }
    return hi;
}

double tspi_student_t(double p, unsigned df)
{
    double n = df, pi = 3.141592653589793;

    if (df < 1)
        return INFINITY;
    if (df == 1)
        return tan(pi / 2 * (1 - p));
    if (df == 2)
        return sqrt(2 / (p * (2 - p)) - 2);
    double a = 1 / (n - 0.5), b = 48 / (a * a), c = ((20700 * a / b - 98) * a - 16) * a + 96.36;
    double d = ((94.5 / (b + c) - 3) / b + 1) * sqrt(a * pi / 2) * n, x = d * p, y = pow(x, 2 / n);
    if (y > 0.05 + a) {
        x = -normal_deviate(p);
        y = x * x;
        if (df < 5)
            c += 0.3 * (n - 4.5) * (x + 0.6);
        c = (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b + c;
        y = (((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x;
        y = expm1(a * y * y);
    } else
        y = ((1 / (((n + 6) / (n * y) - 0.089 * d - 0.822) * (n + 2) * 3) + 0.5 / (n + 4)) * y - 1) * (n + 1) /
                (n + 2) +
            1 / y;
    return sqrt(n * y);
}

tspi_ratio tspi_ratio_of(const double *log_ratios, size_t n, double sd, unsigned df, double p)
{
    double mean = 0;

    for (size_t k = 0; k < n; k++)
        mean += log_ratios[k] / (double)n;
    double half = tspi_student_t(p, df) * sd / sqrt((double)n);
    return (tspi_ratio){exp(mean), exp(mean - half), exp(mean + half)};
}

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

void tspi_sort_ns(int64_t *values, size_t n)
{
    if (n)
        qsort(values, n, sizeof *values, compare_ns);
}

int64_t tspi_quantile_ns(const int64_t *sorted, size_t n, double p)
{
    /* 0.07 * 100 is a little more than 7 in binary, and means 7. */
    double rank = ceil(p * (double)n * (1 - 4 * DBL_EPSILON));
    size_t k = rank < 1 ? 0 : (size_t)rank - 1;

    return sorted[k < n ? k : n - 1];
}

size_t tspi_count_below_ns(const int64_t *sorted, size_t n, int64_t limit)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (sorted[mid] < limit)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}
