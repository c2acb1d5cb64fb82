#include "test.h"

#include "base/random.h"
#include "causal/slacks.h"

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t draw(tspi_random *random)
{
    double magnitude = exp(tspi_random_uniform(random, 0, 40)); /* up to 2e17 */
    return (int64_t)(tspi_random_below(random, 2) ? magnitude : -magnitude);
}

TEST(slacks, quantiles_agree_with_sorting)
{
    tspi_random random;
    tspi_random_seed(&random, seed);
    static const size_t sizes[] = {1, 2, 7, 40, 255, 256, 257, 5000};

    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        size_t n = sizes[s];
        int64_t *truth = malloc(n * sizeof *truth);
        tspi_slacks slacks = {0}, parts[3] = {{0}}, merged = {0};
        for (size_t k = 0; k < n; k++) {
            truth[k] = draw(&random);
            REQUIRE(tspi_slacks_add(&slacks, truth[k]));
            REQUIRE(tspi_slacks_add(&parts[tspi_random_below(&random, 3)], truth[k]));
        }
        for (int k = 0; k < 3; k++)
            REQUIRE(tspi_slacks_merge(&merged, &parts[k]));
        qsort(truth, n, sizeof *truth, compare);
        CHECK_INT(slacks.min_ns, truth[0]);
        CHECK_INT(slacks.max_ns, truth[n - 1]);
        for (int q = 0; q <= 100; q++) {
            double p = q / 100.0;
            size_t rank = (size_t)ceil(p * (double)n);
            int64_t want = truth[rank ? rank - 1 : 0], got = tspi_slacks_quantile(&slacks, p);
            CHECK_NEAR(got, want, n <= TSPI_SLACKS_EXACT ? 0 : 1 + fabs((double)want) / 2000);
            CHECK_INT(tspi_slacks_quantile(&merged, p), got);
        }
        CHECK_INT(tspi_slacks_below(&slacks, INT64_MAX), n);
        CHECK_INT(tspi_slacks_below(&slacks, truth[0]), 0);
        free(truth);
        tspi_slacks_release(&slacks);
        tspi_slacks_release(&merged);
        for (int k = 0; k < 3; k++)
            tspi_slacks_release(&parts[k]);
    }
}

TEST(slacks, small_numbers_and_extremes_have_buckets)
{
    static const int64_t values[] = {0,   1,   -1,   127,  128,  255,       256,          257,
                                     511, 512, -128, -256, -257, INT64_MAX, INT64_MIN + 1};

    for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
        tspi_slacks slacks = {0};
        REQUIRE(tspi_slacks_add(&slacks, INT64_MIN));
        REQUIRE(tspi_slacks_add(&slacks, INT64_MAX));
        for (int i = 0; i < 400; i++)
            REQUIRE(tspi_slacks_add(&slacks, values[k]));
        CHECK_NEAR((double)tspi_slacks_quantile(&slacks, 0.5), (double)values[k], fabs((double)values[k]) / 2000);
        tspi_slacks_release(&slacks);
    }
}

/* Honest tails are hardly ever fenced off, and a lie three mean delays (or 1 %) below them always is. */
TEST(slacks, fence_takes_lies_and_leaves_tails)
{
    tspi_random random;
    int fenced = 0;
    tspi_random_seed(&random, seed);

    for (int round = 0; round < 200; round++) {
        tspi_slacks slacks = {0};
        size_t n = 8 + (size_t)tspi_random_below(&random, 400);
        double mean = tspi_random_uniform(&random, 1e3, 1e6);
        int64_t least = INT64_MAX;
        for (size_t k = 0; k < n; k++) {
            int64_t slack = 4000000 + (int64_t)tspi_random_exponential(&random, mean);
            least = slack < least ? slack : least;
            REQUIRE(tspi_slacks_add(&slacks, slack));
        }
        fenced += tspi_slacks_fence(&slacks) > least;
        if (n >= 100)
            /* or a bucket and its neighbour below, where the sample has gone into buckets of 0.4 % */
            CHECK(tspi_slacks_fence(&slacks) > 4000000 - (int64_t)(3 * mean) - 4000000 / 100);
        tspi_slacks_release(&slacks);
    }
    CHECK(fenced <= 20); /* of 200 honest samples, mostly small ones */
    tspi_slacks few = {0};
    REQUIRE(tspi_slacks_add(&few, 5));
    CHECK_INT(tspi_slacks_fence(&few), INT64_MIN);
    tspi_slacks_release(&few);
}
