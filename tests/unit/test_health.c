#include "test.h"

#include "base/random.h"
#include "causal/causal.h"
#include "health/health.h"
#include "span_fixture.h"

#define SECOND TSP_NS_PER_S

/* A hop from clock a to clock b a tenth of a second, negative in (10 s, 20 s]. */
TEST(health, unhealthy_as_long_as_the_window_holds_a_negative_hop)
{
    tspi_span_set set = {0};
    tspi_causal causal = {0};
    tspi_health_point *points = NULL;
    size_t n = 0;
    tsp_error err = {0};
    uint32_t a = fixture_host(&set, "a"), b = fixture_host(&set, "b"), trace = fixture_trace(&set, 1);

    for (int k = 0; k < 1000; k++) {
        int64_t received = k * SECOND / 10, delay = k > 100 && k <= 200 ? -MS : MS;
        fixture_span(&set, trace, (uint64_t)k * 2 + 1, 0, a, TSPI_KIND_PRODUCER, received - delay,
                     received - delay + 1);
        fixture_span(&set, trace, (uint64_t)k * 2 + 2, (uint64_t)k * 2 + 1, b, TSPI_KIND_CONSUMER, received,
                     received + 1);
    }
    REQUIRE(tspi_causal_init(&causal, &set, NULL, &err) == TSP_OK);
    CHECK_STATUS(tspi_health_measure(&causal.join, NULL, &points, &n, &err), TSP_OK, &err);
    REQUIRE(n == 100);
    for (size_t k = 0; k < n; k++) {
        int64_t at_s = (points[k].at_ns - EPOCH_NS) / SECOND;
        CHECK_INT(at_s, k + 1);
        CHECK_INT(points[k].healthy, at_s <= 10 || at_s > 50);
        CHECK_INT(points[k].hops, at_s < 30 ? at_s * 10 : 300);
        if (at_s >= 30 && at_s <= 40)
            CHECK_NEAR(points[k].rate, 100.0 / 300, 1e-9);
    }
    free(points);
    tspi_causal_release(&causal);
    tspi_span_set_release(&set);
}

TEST(health, no_hops_no_points_and_absurd_ranges_stay_small)
{
    tspi_span_set set = {0};
    tspi_causal causal = {0};
    tspi_health_point *points = NULL;
    size_t n = 5;
    uint32_t a = fixture_host(&set, "a"), b = fixture_host(&set, "b"), trace = fixture_trace(&set, 1);

    REQUIRE(tspi_causal_init(&causal, &set, NULL, NULL) == TSP_OK);
    CHECK(tspi_health_measure(&causal.join, NULL, &points, &n, NULL) == TSP_OK);
    CHECK_INT(n, 0);
    tspi_causal_release(&causal);

    fixture_span(&set, trace, 1, 0, a, TSPI_KIND_CLIENT, -EPOCH_NS, 0);
    fixture_span(&set, trace, 2, 1, b, TSPI_KIND_SERVER, -EPOCH_NS + 1, 0);
    fixture_span(&set, trace, 3, 1, b, TSPI_KIND_SERVER, INT64_MAX - EPOCH_NS, 0);
    REQUIRE(tspi_causal_init(&causal, &set, NULL, NULL) == TSP_OK);
    CHECK(tspi_health_measure(&causal.join, NULL, &points, &n, NULL) == TSP_OK);
    CHECK(n >= 1 && n <= 10001);
    free(points);
    tspi_causal_release(&causal);
    tspi_span_set_release(&set);
}

TEST(health, ring_equals_a_list_of_everything)
{
    enum { N = 3000 };
    static struct {
        int64_t at;
        bool bad;
    } hops[N];
    tspi_health_ring *ring = NULL;
    tspi_health_options options = {.window_ns = 3000, .step_ns = 100};
    tspi_random random;
    int64_t now = 100000, newest = INT64_MIN; /* late hops stay above 0, where division rounds down */

    tspi_random_seed(&random, seed);
    REQUIRE(tspi_health_ring_new(&options, &ring, NULL) == TSP_OK);
    for (int k = 0; k < N; k++) {
        now += (int64_t)tspi_random_below(&random, k % 500 == 0 ? 9000 : 60);
        hops[k].at = now - (int64_t)tspi_random_below(&random, 1000);
        hops[k].bad = tspi_random_below(&random, 50) == 0;
        tspi_health_ring_add(ring, hops[k].at, hops[k].bad);
        newest = hops[k].at > newest ? hops[k].at : newest;
        tspi_health_point got = tspi_health_ring_at(ring, newest);
        uint64_t want = 0, bad = 0;
        for (int j = 0; j <= k; j++)
            if (hops[j].at / 100 > newest / 100 - 30) {
                want++;
                bad += hops[j].bad;
            }
        CHECK_INT(got.hops, want);
        CHECK_INT(got.violations, bad);
        CHECK_INT(got.healthy, bad == 0);
    }
    tspi_health_ring_free(ring);
    options.step_ns = 5000;
    CHECK_INT(tspi_health_ring_new(&options, &ring, NULL), TSP_EINVAL);
}
