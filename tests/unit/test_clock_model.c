#include "test.h"

#include "base/random.h"
#include "clock/clock_model.h"
#include "truespan/base.h"

static const int64_t hour_ns = 3600 * TSP_NS_PER_S;
static const int64_t epoch = INT64_C(1790000000123456789);

static int64_t error_at(tspi_model_clock *clock, int64_t since_ns)
{
    tspi_stamp stamp = tspi_model_clock_stamp(clock, clock->epoch_ns + since_ns);

    CHECK_INT(stamp.true_ns, clock->epoch_ns + since_ns);
    return stamp.local_ns - stamp.true_ns;
}

TEST(clock_model, a_clock_without_a_model_is_right)
{
    tspi_model_clock clock;
    tspi_random random;

    tspi_random_seed(&random, seed);
    tspi_model_clock_init(&clock, &(tspi_clock_model){0}, epoch);
    for (int k = 0; k < 1000; k++)
        CHECK_INT(error_at(&clock, (int64_t)tspi_random_below(&random, (uint64_t)(100 * hour_ns))), 0);
}

/* Offset and drift, exact to the ns for days: the product of ppb and ns leaves 64 bits after hours. */
TEST(clock_model, offset_and_drift_are_exact)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 2000; round++) {
        tspi_clock_model model = {
            .offset_ns = (int64_t)tspi_random_below(&random, 2 * (uint64_t)hour_ns) - hour_ns,
            .drift_ppb = (int64_t)tspi_random_below(&random, 200000001) - 100000000,
        };
        int64_t since_ns = (int64_t)tspi_random_below(&random, 1000 * (uint64_t)hour_ns);
        tspi_model_clock clock;

        tspi_model_clock_init(&clock, &model, epoch);
        __int128 product = (__int128)model.drift_ppb * since_ns;
        int64_t drifted_ns = (int64_t)(product / 1000000000);
        CHECK_INT(error_at(&clock, since_ns), model.offset_ns + drifted_ns);
        /* Stamps before the epoch (a message that a block's start overtook) follow the same line. */
        CHECK_INT(error_at(&clock, -since_ns), model.offset_ns - drifted_ns);
    }
}

TEST(clock_model, a_step_happens_at_its_nanosecond)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 200; round++) {
        tspi_clock_model model = {.steps_n = 1 + (uint32_t)tspi_random_below(&random, TSPI_CLOCK_STEPS_MAX)};
        int64_t at_ns = 0, sum_ns = 0;
        tspi_model_clock clock;

        for (uint32_t k = 0; k < model.steps_n; k++) {
            at_ns += 2 + (int64_t)tspi_random_below(&random, (uint64_t)hour_ns);
            model.steps[k].at_ns = at_ns;
            model.steps[k].size_ns = (int64_t)tspi_random_below(&random, 20000001) - 10000000;
        }
        tspi_model_clock_init(&clock, &model, epoch);
        for (uint32_t k = 0; k < model.steps_n; k++) {
            CHECK_INT(error_at(&clock, model.steps[k].at_ns - 1), sum_ns);
            sum_ns += model.steps[k].size_ns;
            CHECK_INT(error_at(&clock, model.steps[k].at_ns), sum_ns);
        }
        CHECK_INT(error_at(&clock, at_ns + hour_ns), sum_ns);
    }
}

/* A slew moves the clock at its rate, stops when it is done, and gives exactly its size. */
TEST(clock_model, a_slew_takes_its_time)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 200; round++) {
        int64_t size_ns = (int64_t)tspi_random_below(&random, 20000001) - 10000000;
        int64_t slew_ppb = 1 + (int64_t)tspi_random_below(&random, 1000000);
        int64_t takes_ns = (int64_t)((__int128)llabs(size_ns) * 1000000000 / slew_ppb);
        const tspi_clock_model model = {.steps = {{TSP_NS_PER_S, size_ns, slew_ppb}}, .steps_n = 1};
        tspi_model_clock clock;

        tspi_model_clock_init(&clock, &model, epoch);
        CHECK_INT(error_at(&clock, TSP_NS_PER_S - 1), 0);
        CHECK_INT(error_at(&clock, TSP_NS_PER_S), 0);
        CHECK_NEAR(error_at(&clock, TSP_NS_PER_S + takes_ns / 2), size_ns / 2, 2);
        CHECK_INT(error_at(&clock, TSP_NS_PER_S + takes_ns + slew_ppb + 2 * TSP_NS_PER_S), size_ns);
        CHECK(!tspi_clock_model_is_constant(&model));
    }
    CHECK(tspi_clock_model_is_constant(&(tspi_clock_model){.offset_ns = 5}));
}

TEST(clock_model, the_sawtooth_stays_within_its_peak_and_never_jumps)
{
    const tspi_clock_model model = {.ntp_peak_ns = 3000000, .ntp_period_ns = 17 * TSP_NS_PER_S};
    const int64_t step_ns = TSP_NS_PER_MS;
    tspi_model_clock clock;
    int64_t last_ns = 0, highest_ns = 0, lowest_ns = 0, period_ns = model.ntp_period_ns;

    tspi_model_clock_init(&clock, &model, epoch);
    /* The steepest part falls by two peaks in a fifth of the period. */
    int64_t steepest_ns = 2 * model.ntp_peak_ns * 5 * step_ns / period_ns + 2;
    for (int64_t since_ns = 0; since_ns < 5 * period_ns; since_ns += step_ns) {
        int64_t x = error_at(&clock, since_ns);
        CHECK(x >= -model.ntp_peak_ns && x <= model.ntp_peak_ns);
        CHECK(llabs(x - last_ns) <= steepest_ns);
        highest_ns = x > highest_ns ? x : highest_ns;
        lowest_ns = x < lowest_ns ? x : lowest_ns;
        last_ns = x;
    }
    CHECK_NEAR(highest_ns, model.ntp_peak_ns, steepest_ns);
    CHECK_NEAR(lowest_ns, -model.ntp_peak_ns, steepest_ns);
    CHECK_INT(error_at(&clock, 0), 0);
    CHECK_NEAR(error_at(&clock, 3 * period_ns), 0, 2);
}

TEST(clock_model, wander_comes_from_its_seed)
{
    tspi_clock_model model = {.wander_ppb = 500, .seed = seed};
    tspi_model_clock one, same, other;
    bool differs = false;

    tspi_model_clock_init(&one, &model, epoch);
    tspi_model_clock_init(&same, &model, epoch);
    model.seed++;
    tspi_model_clock_init(&other, &model, epoch);
    for (int k = 0; k < 600; k++) {
        int64_t since_ns = k * INT64_C(333333333), x = error_at(&one, since_ns);
        differs |= error_at(&other, since_ns) != x;
        /* The walk does not depend on how often the clock is read. */
        if (k % 50 == 0)
            CHECK_INT(error_at(&same, since_ns), x);
    }
    CHECK(differs);
}

/* The rate changes by a normal step of the stated deviation each second, and is constant in between. */
TEST(clock_model, wander_has_the_stated_deviation)
{
    enum { SECONDS = 4000 };
    const tspi_clock_model model = {.wander_ppb = 20000, .seed = seed};
    tspi_model_clock clock;
    double sum = 0, squares = 0, last_rate = 0;

    tspi_model_clock_init(&clock, &model, epoch);
    for (int64_t k = 0; k < SECONDS; k++) {
        int64_t begin = error_at(&clock, k * TSP_NS_PER_S);
        int64_t middle = error_at(&clock, k * TSP_NS_PER_S + TSP_NS_PER_S / 2);
        int64_t end = error_at(&clock, (k + 1) * TSP_NS_PER_S - 1);
        double rate = (double)(end - begin); /* ns a second = ppb */
        CHECK_NEAR(middle - begin, rate / 2, 2);
        sum += rate - last_rate;
        squares += (rate - last_rate) * (rate - last_rate);
        last_rate = rate;
    }
    double mean = sum / SECONDS, deviation = sqrt(squares / SECONDS);
    /* Five standard errors: of a mean, and of a deviation (sigma / sqrt(2n)). */
    CHECK_NEAR(mean, 0, 5 * 20000 / sqrt(SECONDS));
    CHECK_NEAR(deviation, 20000, 5 * 20000 / sqrt(2.0 * SECONDS));
}

TEST(clock_model, parts_of_a_model_add_up)
{
    const tspi_clock_model whole = {
        .offset_ns = -1234567,
        .drift_ppb = 31000,
        .wander_ppb = 700,
        .ntp_peak_ns = 250000,
        .ntp_period_ns = 9 * TSP_NS_PER_S,
        .steps = {{5 * TSP_NS_PER_S, 2000000, 0}},
        .steps_n = 1,
        .seed = seed,
    };
    tspi_clock_model parts[5] = {{0}, {0}, {0}, {0}, {0}};
    tspi_model_clock sum_clock, clocks[5];

    parts[0].offset_ns = whole.offset_ns;
    parts[1].drift_ppb = whole.drift_ppb;
    parts[2].wander_ppb = whole.wander_ppb;
    parts[2].seed = seed;
    parts[3].ntp_peak_ns = whole.ntp_peak_ns;
    parts[3].ntp_period_ns = whole.ntp_period_ns;
    parts[4].steps[0] = whole.steps[0];
    parts[4].steps_n = 1;
    tspi_model_clock_init(&sum_clock, &whole, epoch);
    for (int k = 0; k < 5; k++)
        tspi_model_clock_init(&clocks[k], &parts[k], epoch);
    for (int64_t since_ns = 0; since_ns < 20 * TSP_NS_PER_S; since_ns += 77777777) {
        int64_t sum = 0;
        for (int k = 0; k < 5; k++)
            sum += error_at(&clocks[k], since_ns);
        CHECK_INT(error_at(&sum_clock, since_ns), sum);
    }
}
