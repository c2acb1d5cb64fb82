#include "test.h"

#include "base/random.h"
#include "lab/lab_stats.h"

/* Wilson's formula in 50-digit arithmetic; the rows with 263, 148, 20 and 29 agree with table I of Newcombe, Statistics
 * in Medicine 17 (1998). */
TEST(lab_stats, wilson_agrees_with_exact_arithmetic)
{
    static const struct {
        uint64_t hits, n;
        double effect, lo, hi;
    } rows[] = {
        {0, 10, 1, 0.000000000000000, 0.277532799862889},    {1, 10, 1, 0.017876213095073, 0.404150026795238},
        {5, 10, 1, 0.236593090512564, 0.763406909487436},    {10, 10, 1, 0.722467200137111, 1.000000000000000},
        {3, 1000, 1, 0.001020783881139, 0.008783014053503},  {81, 263, 1, 0.255288519878274, 0.366209576982800},
        {15, 148, 1, 0.062386399530736, 0.160487241723308},  {0, 20, 1, 0.000000000000000, 0.161125158052819},
        {1, 29, 1, 0.006113214292763, 0.171755218793203},    {500, 1000, 4, 0.438491261808901, 0.561508738191099},
        {7, 100, 2.5, 0.023275011840721, 0.192079565188945}, {123456, 1000000, 1, 0.122812696531423, 0.124102196414004},
    };

    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        tspi_interval got = tspi_wilson(rows[k].hits, rows[k].n, rows[k].effect);
        CHECK_NEAR(got.lo, rows[k].lo, 1e-13);
        CHECK_NEAR(got.hi, rows[k].hi, 1e-13);
    }
    tspi_interval nothing = tspi_wilson(0, 0, 1);
    CHECK(nothing.lo == 0 && nothing.hi == 1);
}

TEST(lab_stats, wilson_always_holds_its_estimate)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 20000; k++) {
        uint64_t n = 1 + tspi_random_below(&random, UINT64_C(1) << tspi_random_below(&random, 40));
        uint64_t hits = k % 3 == 0 ? 0 : k % 3 == 1 ? n : tspi_random_below(&random, n + 1);
        tspi_interval got = tspi_wilson(hits, n, tspi_random_uniform(&random, 0, 50));
        double p = (double)hits / (double)n;
        CHECK(got.lo >= 0 && got.lo <= p && p <= got.hi && got.hi <= 1);
    }
}

static bool happens(tspi_random *random, double p)
{
    return tspi_random_unit(random) < p;
}

/* The interval of many random samples holds the truth in about 95 % of them, averaged over shares. */
TEST(lab_stats, wilson_covers)
{
    enum { SAMPLES = 20000, N = 200 };
    tspi_random random;
    int covered = 0;

    tspi_random_seed(&random, seed);
    for (int sample = 0; sample < SAMPLES; sample++) {
        double p = tspi_random_uniform(&random, 0.02, 0.98);
        uint64_t hits = 0;
        for (int k = 0; k < N; k++)
            hits += happens(&random, p);
        tspi_interval got = tspi_wilson(hits, N, 1);
        covered += got.lo <= p && p <= got.hi;
    }
    CHECK_NEAR((double)covered / SAMPLES, 0.95, 0.012);
}

/* Clusters of m that agree with correlation rho: with probability rho a member copies its cluster's coin. Copying has
 * an intra-class correlation of exactly rho^2. */
static void draw_clusters(tspi_random *random, int clusters_n, int m, double copy, double p,
                          tspi_clusters *ret_clusters)
{
    *ret_clusters = (tspi_clusters){0};
    for (int c = 0; c < clusters_n; c++) {
        bool shared = happens(random, p);
        uint64_t hits = 0;
        for (int k = 0; k < m; k++)
            hits += happens(random, copy) ? shared : happens(random, p);
        tspi_cluster_add(ret_clusters, hits, (uint64_t)m);
    }
}

TEST(lab_stats, the_design_effect_is_kishs)
{
    static const struct {
        int m;
        double copy, p;
    } rows[] = {{10, 0.5, 0.3}, {40, 0.3, 0.5}, {5, 0.9, 0.1}, {25, 0.0, 0.4}, {2, 1.0, 0.5}};
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        tspi_clusters clusters;
        double rho = rows[row].copy * rows[row].copy, want = 1 + (rows[row].m - 1) * rho;
        draw_clusters(&random, 20000, rows[row].m, rows[row].copy, rows[row].p, &clusters);
        CHECK_NEAR(tspi_design_effect(&clusters), want, 0.06 * want);
    }
}

/* With the design effect the interval covers for clustered samples, too; without it, it would not. */
TEST(lab_stats, wilson_with_the_design_effect_covers_clustered_samples)
{
    enum { SAMPLES = 3000, CLUSTERS = 60, M = 20 };
    const double p = 0.3, copy = 0.5;
    tspi_random random;
    int covered = 0, naive = 0;

    tspi_random_seed(&random, seed);
    for (int sample = 0; sample < SAMPLES; sample++) {
        tspi_clusters clusters;
        draw_clusters(&random, CLUSTERS, M, copy, p, &clusters);
        tspi_interval got = tspi_wilson(clusters.hits, clusters.size, tspi_design_effect(&clusters));
        covered += got.lo <= p && p <= got.hi;
        got = tspi_wilson(clusters.hits, clusters.size, 1);
        naive += got.lo <= p && p <= got.hi;
    }
    CHECK_NEAR((double)covered / SAMPLES, 0.95, 0.02);
    CHECK((double)naive / SAMPLES < 0.85);
}

TEST(lab_stats, the_design_effect_of_little_is_one)
{
    tspi_clusters clusters = {0};

    CHECK(tspi_design_effect(&clusters) == 1);
    tspi_cluster_add(&clusters, 3, 9);
    CHECK(tspi_design_effect(&clusters) == 1);
    clusters = (tspi_clusters){0};
    for (int k = 0; k < 50; k++)
        tspi_cluster_add(&clusters, 0, 7);
    CHECK(tspi_design_effect(&clusters) == 1);
    clusters = (tspi_clusters){0};
    for (int k = 0; k < 50; k++)
        tspi_cluster_add(&clusters, 7, 7);
    CHECK(tspi_design_effect(&clusters) == 1);
}

/* Column 0.975 of the table in any textbook. */
TEST(lab_stats, student_t_agrees_with_the_tables)
{
    static const struct {
        unsigned df;
        double t;
    } rows[] = {
        {1, 12.706}, {2, 4.303},  {3, 3.182},  {4, 2.776},  {5, 2.571},   {6, 2.447},    {7, 2.365},
        {8, 2.306},  {9, 2.262},  {10, 2.228}, {11, 2.201}, {12, 2.179},  {13, 2.160},   {14, 2.145},
        {15, 2.131}, {16, 2.120}, {17, 2.110}, {18, 2.101}, {19, 2.093},  {20, 2.086},   {24, 2.064},
        {30, 2.042}, {40, 2.021}, {60, 2.000}, {80, 1.990}, {120, 1.980}, {1000, 1.962}, {1000000, 1.960},
    };

    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        CHECK_NEAR(tspi_student_t(0.05, rows[k].df), rows[k].t, 1.0e-3);
    CHECK_NEAR(tspi_student_t(0.01, 10), 3.1693, 1.0e-3);
    CHECK_NEAR(tspi_student_t(0.01, 60), 2.6603, 1.0e-3);
    CHECK_NEAR(tspi_student_t(0.001, 24), 3.7454, 1.0e-3);
    CHECK_NEAR(tspi_student_t(0.10, 5), 2.0150, 1.0e-3);
    CHECK(isinf(tspi_student_t(0.05, 0)));
    for (unsigned df = 1; df < 2000; df++)
        CHECK(tspi_student_t(0.05, df) > tspi_student_t(0.05, df + 1));
}

/* Pairs with a known ratio and log-normal noise whose deviation is estimated from them. */
TEST(lab_stats, the_ratio_interval_covers)
{
    enum { SAMPLES = 20000, PAIRS = 6 };
    const double truth = 0.97, noise = 0.03;
    tspi_random random;
    int covered = 0;

    tspi_random_seed(&random, seed);
    for (int sample = 0; sample < SAMPLES; sample++) {
        double logs[PAIRS], mean = 0, squares = 0;
        for (int k = 0; k < PAIRS; k++) {
            logs[k] = log(truth) + noise * tspi_random_normal(&random);
            mean += logs[k] / PAIRS;
        }
        for (int k = 0; k < PAIRS; k++)
            squares += (logs[k] - mean) * (logs[k] - mean);
        tspi_ratio got = tspi_ratio_of(logs, PAIRS, sqrt(squares / (PAIRS - 1)), PAIRS - 1, 0.05);
        CHECK(got.lo <= got.ratio && got.ratio <= got.hi);
        CHECK_NEAR(got.ratio, exp(mean), 1e-12);
        covered += got.lo <= truth && truth <= got.hi;
    }
    CHECK_NEAR((double)covered / SAMPLES, 0.95, 0.01);
}

TEST(lab_stats, quantiles_and_counts_are_those_of_the_definition)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 300; round++) {
        size_t n = 1 + tspi_random_below(&random, 300);
        int64_t *values = malloc(n * sizeof *values);
        for (size_t k = 0; k < n; k++)
            values[k] = (int64_t)(tspi_random_u64(&random) >> tspi_random_below(&random, 63));
        tspi_sort_ns(values, n);
        for (size_t k = 1; k < n; k++)
            CHECK(values[k - 1] <= values[k]);
        for (int q = 0; q <= 100; q++) {
            /* The smallest value that at least a share p of all is not above. */
            int64_t got = tspi_quantile_ns(values, n, q / 100.0);
            size_t below = 0, upto = 0;
            for (size_t k = 0; k < n; k++) {
                below += values[k] < got;
                upto += values[k] <= got;
            }
            CHECK(100 * upto + 1e-9 >= (size_t)q * n);
            CHECK(!below || 100 * below < (size_t)q * n);
            CHECK_INT(tspi_count_below_ns(values, n, got), below);
        }
        CHECK_INT(tspi_quantile_ns(values, n, 0), values[0]);
        CHECK_INT(tspi_quantile_ns(values, n, 1), values[n - 1]);
        CHECK_INT(tspi_count_below_ns(values, n, INT64_MIN), 0);
        CHECK_INT(tspi_count_below_ns(values, 0, 5), 0);
        free(values);
    }
    tspi_sort_ns(NULL, 0);
}
