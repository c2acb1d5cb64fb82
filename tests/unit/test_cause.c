/* What others go wrong on (and what is no skew at all), as small inputs with known truth: times in ms, B+5 = clock B
 * runs 5 ms ahead. Every answer must be right, or "cannot be known". */
#include "test.h"

#include "base/random.h"
#include "causal/causal.h"
#include "causal/cause.h"
#include "causal/twins.h"
#include "mend/judge.h"
#include "span_fixture.h"

typedef struct {
    tspi_span_set set;
    tspi_causal causal;
    tspi_evidence evidence;
    tspi_mend_judge judge;
    uint64_t hops;
    uint64_t causes[TSPI_CAUSES_N];
    uint64_t ids;
} audit;

static uint32_t host(audit *a, const char *name)
{
    return fixture_host(&a->set, name);
}

static uint32_t new_trace(audit *a)
{
    return fixture_trace(&a->set, ++a->ids);
}

/* A span in ms; returns its id, for its children. */
static uint64_t span(audit *a, uint32_t trace, uint64_t parent, uint32_t process, int kind, double start, double end)
{
    uint64_t id = ++a->ids;
    fixture_span(&a->set, trace, id, parent, process, kind, (int64_t)(start * 1e6), (int64_t)(end * 1e6));
    return id;
}

static tsp_status count(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    audit *a = ctx;

    (void)err;
    for (size_t k = 0; k < n; k++, a->hops++)
        if (tspi_hop_is_violation(&hops[k]))
            a->causes[tspi_cause_find(&a->evidence, &hops[k], a->hops, &a->judge.judge)]++;
    return TSP_OK;
}

static void analyse(audit *a, uint32_t reference_process)
{
    if (tspi_causal_init(&a->causal, &a->set, NULL, NULL) != TSP_OK ||
        tspi_evidence_init(&a->evidence, &a->causal.join, &a->causal.edges, 100, NULL) != TSP_OK ||
        tspi_mend_judge_init(&a->judge, &a->set, &a->causal,
                             reference_process == TSPI_NONE ? TSPI_NONE : a->set.processes[reference_process].clock,
                             100, 1, NULL) != TSP_OK ||
        tspi_hops_scan(&a->causal.join, count, a, NULL) != TSP_OK)
        abort();
}

static const tsp_clock_result *clock_of(const audit *a, uint32_t process)
{
    return &a->judge.mend.answer.clocks[a->set.processes[process].clock];
}

static uint64_t violations(const audit *a)
{
    uint64_t n = 0;
    for (int k = 0; k < TSPI_CAUSES_N; k++)
        n += a->causes[k];
    return n;
}

static void release(audit *a)
{
    tspi_mend_judge_release(&a->judge);
    tspi_evidence_release(&a->evidence);
    tspi_causal_release(&a->causal);
    tspi_span_set_release(&a->set);
}

static bool accused(const audit *a, uint32_t process)
{
    tsp_clock_verdict verdict = clock_of(a, process)->verdict;
    return verdict == TSP_CLOCK_PROVEN || verdict == TSP_CLOCK_SUSPECTED;
}

/* The bounds hold the true offset. */
static void check_contains(const audit *a, uint32_t process, double offset_ms)
{
    const tsp_clock_result *row = clock_of(a, process);
    CHECK(!a->judge.mend.answer.summary.contradictory);
    CHECK(row->lo_ns == TSP_UNBOUNDED_LO || row->lo_ns <= (int64_t)(offset_ms * 1e6));
    CHECK(row->hi_ns == TSP_UNBOUNDED_HI || row->hi_ns >= (int64_t)(offset_ms * 1e6));
}

TEST(cause, j1_j2_asynchronous_work_and_queues_are_no_skew)
{
    audit a = {0};
    uint32_t p = host(&a, "a"), q = host(&a, "b"), t = new_trace(&a);
    uint64_t id = span(&a, t, 0, p, TSPI_KIND_INTERNAL, 0, 10);
    span(&a, t, id, q, TSPI_KIND_INTERNAL, 20, 25);
    t = new_trace(&a);
    id = span(&a, t, 0, p, TSPI_KIND_PRODUCER, 100, 102);
    span(&a, t, id, q, TSPI_KIND_CONSUMER, 140, 141);
    analyse(&a, p);
    CHECK_INT(violations(&a), 0);
    CHECK(!accused(&a, q));
    CHECK_INT(clock_of(&a, q)->offset_ns, TSP_NO_VALUE);
    check_contains(&a, q, 0);
    release(&a);
}

/* B-30. One trace alone cannot tell; other traffic between A and B can. */
TEST(cause, j3_other_traffic_tells_what_one_trace_cannot)
{
    for (int with_calls = 0; with_calls < 2; with_calls++) {
        audit a = {0};
        uint32_t p = host(&a, "a"), q = host(&a, "b"), t = new_trace(&a);
        uint64_t id = span(&a, t, 0, p, TSPI_KIND_PRODUCER, 0, 2);
        span(&a, t, id, q, TSPI_KIND_CONSUMER, 10, 30);
        for (int k = 0; k < 20 * with_calls; k++) {
            t = new_trace(&a);
            id = span(&a, t, 0, p, TSPI_KIND_CLIENT, 100 + k, 110 + k);
            span(&a, t, id, q, TSPI_KIND_SERVER, 72 + k + 0.01 * k, 79 + k);
        }
        analyse(&a, p);
        check_contains(&a, q, -30);
        CHECK_INT(violations(&a), with_calls ? 20 : 0);
        CHECK_INT(a.causes[TSPI_CAUSE_CLOCK], with_calls ? 20 : 0);
        CHECK_INT(clock_of(&a, q)->verdict, with_calls ? TSP_CLOCK_PROVEN : TSP_CLOCK_UNKNOWN);
        if (with_calls)
            CHECK_NEAR(clock_of(&a, q)->offset_ns, -29.5e6, 1e6);
        release(&a);
    }
}

TEST(cause, j4_j5_a_clock_has_one_offset)
{
    audit a = {0};
    uint32_t p = host(&a, "a"), q = host(&a, "b"), r = host(&a, "c"), t = new_trace(&a);
    /* B-20, with a callback into A. */
    uint64_t id = span(&a, t, 0, p, TSPI_KIND_INTERNAL, 0, 100);
    id = span(&a, t, id, q, TSPI_KIND_INTERNAL, -10, 10);
    span(&a, t, id, p, TSPI_KIND_INTERNAL, 35, 45);
    /* C-5, two calls with unlike delays. */
    t = new_trace(&a);
    id = span(&a, t, 0, p, TSPI_KIND_CLIENT, 200, 300);
    span(&a, t, id, r, TSPI_KIND_SERVER, 196, 294);
    id = span(&a, t, 0, p, TSPI_KIND_CLIENT, 400, 500);
    span(&a, t, id, r, TSPI_KIND_SERVER, 403, 487);
    analyse(&a, p);
    check_contains(&a, q, -20);
    check_contains(&a, r, -5);
    CHECK_INT(violations(&a), 2);
    CHECK_INT(a.causes[TSPI_CAUSE_UNKNOWN], 2); /* of one hop and two: too few */
    CHECK(!accused(&a, q) && !accused(&a, r));
    CHECK_INT(clock_of(&a, p)->offset_ns, 0);
    release(&a);
}

TEST(cause, j6_pooling_finds_skew_that_slack_hides)
{
    tspi_random random;
    audit a = {0};
    uint32_t p = host(&a, "a"), q = host(&a, "b");

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 200; k++) { /* B-5, delays 10 and more each way: no violation */
        uint32_t t = new_trace(&a);
        double there = 10 + tspi_random_exponential(&random, 1), back = 10 + tspi_random_exponential(&random, 1);
        uint64_t id = span(&a, t, 0, p, TSPI_KIND_CLIENT, k, k + 80 + there + back);
        span(&a, t, id, q, TSPI_KIND_SERVER, k + there - 5, k + there + 80 - 5);
    }
    analyse(&a, p);
    CHECK_INT(violations(&a), 0);
    check_contains(&a, q, -5);
    CHECK_NEAR(clock_of(&a, q)->offset_ns, -5e6, 0.2e6);
    CHECK(!(clock_of(&a, q)->verdict == TSP_CLOCK_PROVEN)); /* delays could be unlike */
    release(&a);
}

TEST(cause, j7_z4_unlike_delays_stay_inside_the_bounds)
{
    audit a = {0};
    uint32_t p = host(&a, "a"), q = host(&a, "b"), r = host(&a, "c");

    for (int k = 0; k < 40; k++) {
        uint32_t t = new_trace(&a);
        uint64_t id = span(&a, t, 0, p, TSPI_KIND_CLIENT, k * 300, k * 300 + 100);
        span(&a, t, id, q, TSPI_KIND_SERVER, k * 300 - 4, k * 300 + 76); /* B-5: 1 there, 19 back */
        id = span(&a, t, 0, p, TSPI_KIND_CLIENT, k * 300 + 100, k * 300 + 200);
        span(&a, t, id, r, TSPI_KIND_SERVER, k * 300 + 96, k * 300 + 176); /* C-5: the same */
    }
    analyse(&a, p);
    check_contains(&a, q, -5);
    check_contains(&a, r, -5);
    CHECK(clock_of(&a, q)->hi_ns <= -2.7e6 && clock_of(&a, q)->hi_ns >= -4e6); /* 100 ppm over 12 s may be drift */
    CHECK(clock_of(&a, q)->lo_ns >= -26e6 && clock_of(&a, q)->lo_ns <= -24e6);
    CHECK_INT(clock_of(&a, q)->verdict, TSP_CLOCK_PROVEN);
    CHECK_INT(a.causes[TSPI_CAUSE_CLOCK], 80);
    release(&a);
}

TEST(cause, j8_one_process_without_a_host_is_one_clock)
{
    audit a = {0};
    uint32_t p = PROCESS(&a.set, "service.name", "shop"), t = new_trace(&a);
    uint64_t id = span(&a, t, 0, p, TSPI_KIND_INTERNAL, 0, 10);
    span(&a, t, id, p, TSPI_KIND_INTERNAL, 8, 14);
    analyse(&a, TSPI_NONE);
    CHECK_INT(a.causal.clocks.clocks_n, 1);
    CHECK_INT(a.causal.edges.hops, 0);
    CHECK_INT(violations(&a), 0);
    release(&a);
}

/* B+50, C right: C is never accused for being called by B. */
TEST(cause, j9_the_clock_behind_a_wrong_one_is_not_blamed)
{
    audit a = {0};
    uint32_t p = host(&a, "a"), q = host(&a, "b"), r = host(&a, "c");

    for (int k = 0; k < 30; k++) {
        double at = k * 200, jitter = 0.01 * (k % 7);
        uint32_t t = new_trace(&a);
        uint64_t id = span(&a, t, 0, p, TSPI_KIND_CLIENT, at, at + 100);
        id = span(&a, t, id, q, TSPI_KIND_SERVER, at + 60 + jitter, at + 140 - jitter);
        id = span(&a, t, id, q, TSPI_KIND_CLIENT, at + 61 + jitter, at + 139 - jitter);
        span(&a, t, id, r, TSPI_KIND_SERVER, at + 20 + jitter, at + 80 - jitter);
    }
    analyse(&a, p);
    check_contains(&a, q, 50);
    check_contains(&a, r, 0);
    CHECK(accused(&a, q));
    CHECK(!accused(&a, r));
    CHECK_NEAR(clock_of(&a, r)->offset_ns, 0, 3e6);
    CHECK_INT(a.causes[TSPI_CAUSE_CLOCK], 60);
    release(&a);
}

/* Server +30: only its ends are out of order. A single call convicts nobody; many, by a like amount, point at it. */
TEST(cause, z1_elastic_late_ends)
{
    for (int n = 1; n <= 40; n += 39) {
        audit a = {0};
        uint32_t p = host(&a, "a"), q = host(&a, "b");
        for (int k = 0; k < n; k++) {
            uint32_t t = new_trace(&a);
            uint64_t id = span(&a, t, 0, p, TSPI_KIND_CLIENT, k * 200, k * 200 + 100);
            span(&a, t, id, q, TSPI_KIND_SERVER, k * 200 + 40, k * 200 + 120 - 0.1 * (k % 5));
        }
        analyse(&a, p);
        CHECK_INT(a.causal.edges.violations, n);
        CHECK_INT(a.causes[TSPI_CAUSE_CLOCK], n == 1 ? 0 : n);
        CHECK_INT(a.causes[TSPI_CAUSE_UNKNOWN], n == 1 ? 1 : 0);
        CHECK(clock_of(&a, q)->verdict != TSP_CLOCK_PROVEN);
        CHECK_INT(clock_of(&a, q)->verdict == TSP_CLOCK_SUSPECTED, n == 40);
        check_contains(&a, q, 30);
        release(&a);
    }
}

/* The same late ends, but from servers that go on after answering: by any amount. Nobody is accused. */
TEST(cause, servers_that_go_on_after_answering_are_no_skew)
{
    tspi_random random;
    audit a = {0};
    uint32_t p = host(&a, "a"), q = host(&a, "b");

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 200; k++) {
        uint32_t t = new_trace(&a);
        double start = k * 200 + 1 + tspi_random_exponential(&random, 0.5);
        bool goes_on = tspi_random_below(&random, 3) != 0;
        uint64_t id = span(&a, t, 0, p, TSPI_KIND_CLIENT, k * 200, k * 200 + 100);
        double end = goes_on ? 99 + tspi_random_exponential(&random, 20) : 98;
        span(&a, t, id, q, TSPI_KIND_SERVER, start, k * 200 + end);
    }
    analyse(&a, p);
    CHECK_INT(a.causes[TSPI_CAUSE_CLOCK], 0);
    CHECK(!accused(&a, q));
    check_contains(&a, q, 0);
    release(&a);
}

/* B-50, one way. */
TEST(cause, z2_one_way_messages_bound_one_side)
{
    for (int n = 1; n <= 30; n += 29) {
        audit a = {0};
        uint32_t p = host(&a, "a"), q = host(&a, "b");
        for (int k = 0; k < n; k++) {
            uint32_t t = new_trace(&a);
            uint64_t id = span(&a, t, 0, p, TSPI_KIND_PRODUCER, k * 100, k * 100 + 2);
            span(&a, t, id, q, TSPI_KIND_CONSUMER, k * 100 - 45 + 0.3 * (k % 3), k * 100 - 25);
        }
        analyse(&a, p);
        CHECK_INT(a.causal.edges.violations, n);
        CHECK_INT(clock_of(&a, q)->offset_ns, TSP_NO_VALUE);
        CHECK_INT(clock_of(&a, q)->lo_ns, TSP_UNBOUNDED_LO);
        CHECK(clock_of(&a, q)->hi_ns < -44e6);
        CHECK_INT(clock_of(&a, q)->verdict, n == 1 ? TSP_CLOCK_UNKNOWN : TSP_CLOCK_PROVEN);
        CHECK_INT(a.causes[n == 1 ? TSPI_CAUSE_UNKNOWN : TSPI_CAUSE_CLOCK], n);
        check_contains(&a, q, -50);
        release(&a);
    }
}

TEST(cause, z3_services_without_addresses_are_two_clocks)
{
    audit a = {0};
    uint32_t p = PROCESS(&a.set, "service.name", "web"), q = PROCESS(&a.set, "service.name", "db"), t = new_trace(&a);
    uint64_t id = span(&a, t, 0, p, TSPI_KIND_CLIENT, 1000, 1100);
    span(&a, t, id, q, TSPI_KIND_SERVER, 960, 1040);
    analyse(&a, p);
    CHECK_INT(violations(&a), 1);
    CHECK_INT(tspi_edges_find(&a.causal.edges, a.set.processes[p].clock, a.set.processes[q].clock)->worst_ns, 40 * MS);
    check_contains(&a, q, -50);
    release(&a);
}

/* ---- not skew at all ---- */

/* Two clocks that agree; every hundredth stamp of a send is written 5 to 15 ms late. */
TEST(cause, late_stamps_are_called_late_and_accuse_nobody)
{
    tspi_random random;
    audit a = {0};
    uint32_t p = host(&a, "a"), q = host(&a, "b");
    uint64_t lies = 0;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 4000; k++) {
        uint32_t t = new_trace(&a), from = k % 2 ? p : q, to = k % 2 ? q : p;
        double sent = k, received = sent + 4 + tspi_random_exponential(&random, 0.4), late = 0;
        if (tspi_random_below(&random, 100) == 0) {
            late = tspi_random_uniform(&random, 5, 15);
            lies += sent + late > received;
        }
        uint64_t id = span(&a, t, 0, from, TSPI_KIND_PRODUCER, sent + late, sent + late + 1);
        span(&a, t, id, to, TSPI_KIND_CONSUMER, received, received + 1);
    }
    analyse(&a, TSPI_NONE);
    CHECK_INT(violations(&a), lies);
    CHECK_INT(a.causes[TSPI_CAUSE_LATE_STAMP], lies);
    CHECK(!accused(&a, p) && !accused(&a, q));
    check_contains(&a, q, 0);
    release(&a);
}

/* Hops of 1 ms and a tail, of which those that begin at one host are inverted by `from` ms, the others by `to`. */
static void exchange(audit *a, uint32_t p, uint32_t q, int n, double from, double to, tspi_random *random)
{
    for (int k = 0; k < n; k++) {
        uint32_t t = new_trace(a);
        double received = 10 * k + 1 + tspi_random_exponential(random, 0.2) - (k % 2 ? from : to);
        uint64_t id = span(a, t, 0, k % 2 ? p : q, TSPI_KIND_PRODUCER, 10 * k, 10 * k + 0.1);
        span(a, t, id, k % 2 ? q : p, TSPI_KIND_CONSUMER, received, received + 1);
    }
}

/* Every message, either way, is received before it was sent: that no clocks do, and few late stamps would be nearly all
 * of the stamps. */
TEST(cause, what_is_inverted_both_ways_is_not_late)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int n = 100; n <= 4000; n *= 6) {
        audit a = {0};
        uint32_t p = host(&a, "a"), q = host(&a, "b");
        exchange(&a, p, q, n, tspi_random_uniform(&random, 4, 20), tspi_random_uniform(&random, 4, 20), &random);
        analyse(&a, TSPI_NONE);
        CHECK(violations(&a) > (uint64_t)n * 9 / 10);
        CHECK(a.causes[TSPI_CAUSE_UNKNOWN] > violations(&a) * 98 / 100);
        CHECK(a.judge.mend.answer.summary.contradictory);
        CHECK(!accused(&a, p) && !accused(&a, q));
        release(&a);
    }
}

/* A busy machine: 23 % of the sends are stamped after the receive, by any amount, one way or both. */
TEST(cause, a_busy_machine_is_not_a_wrong_clock)
{
    tspi_random random;
    tspi_random_seed(&random, seed);
    for (int both = 0; both < 2; both++) {
        audit a = {0};
        uint32_t p = host(&a, "a"), q = host(&a, "b");
        for (int k = 0; k < 2000; k++) {
            bool back = both && k % 2;
            uint32_t t = new_trace(&a);
            double received = k + 0.2 + tspi_random_exponential(&random, 0.05);
            double stamped = k + tspi_random_exponential(&random, 0.17);
            uint64_t id = span(&a, t, 0, back ? q : p, TSPI_KIND_PRODUCER, stamped, stamped + 1);
            span(&a, t, id, back ? p : q, TSPI_KIND_CONSUMER, received, received + 1);
        }
        analyse(&a, TSPI_NONE);
        CHECK(violations(&a) > 300);
        CHECK_INT(a.causes[TSPI_CAUSE_CLOCK] + a.causes[TSPI_CAUSE_STEP], 0);
        CHECK(!accused(&a, p) && !accused(&a, q));
        release(&a);
    }
}

TEST(cause, one_clock_is_never_blamed_for_itself)
{
    audit a = {0};
    uint32_t p = host(&a, "a"), q = PROCESS(&a.set, "host.name", "a", "service.name", "other");

    for (int k = 0; k < 1000; k++) {
        uint32_t t = new_trace(&a);
        uint64_t id = span(&a, t, 0, p, TSPI_KIND_CLIENT, k * 10, k * 10 + 5);
        span(&a, t, id, q, TSPI_KIND_SERVER, k % 100 ? k * 10 + 1 : k * 10 - 1, k % 3 ? k * 10 + 4 : k * 10 + 6);
    }
    analyse(&a, TSPI_NONE);
    CHECK_INT(a.causes[TSPI_CAUSE_LATE_STAMP], 10);       /* rare: starts */
    CHECK_INT(a.causes[TSPI_CAUSE_INSTRUMENTATION], 334); /* a third of all ends */
    CHECK_INT(a.causes[TSPI_CAUSE_CLOCK], 0);
    CHECK_NEAR(a.evidence.lie_rate, 0.35, 1e-9); /* capped */
    release(&a);
}

/* ---- steps and random truth ---- */

TEST(cause, a_step_is_told_from_a_constant_offset)
{
    tspi_random random;
    tspi_random_seed(&random, seed);

    for (int round = 0; round < 20; round++) {
        audit a = {0};
        uint32_t p = host(&a, "a"), q = host(&a, "b");
        double at = tspi_random_uniform(&random, 3000, 17000), size = tspi_random_uniform(&random, 6, 30);
        uint64_t behind = 0;
        for (int k = 0; k < 4000; k++) {
            uint32_t t = new_trace(&a);
            double sent = k * 5, truth = sent + 4 + tspi_random_exponential(&random, 0.4);
            double b = truth >= at ? -size : 0;
            uint64_t id = span(&a, t, 0, p, TSPI_KIND_CLIENT, sent, truth + 8 + tspi_random_exponential(&random, 0.4));
            span(&a, t, id, q, TSPI_KIND_SERVER, truth + b, truth + 4 + b);
            behind += truth + b < sent;
        }
        analyse(&a, p);
        CHECK(a.causes[TSPI_CAUSE_STEP] >= behind * 95 / 100);
        CHECK_INT(violations(&a), behind);
        release(&a);
    }
}

/* B drifts by 40 ppm for ten minutes: no step, and the bounds hold the offset at the end. */
TEST(cause, a_drift_is_no_step)
{
    tspi_random random;
    tspi_random_seed(&random, seed);

    for (int round = 0; round < 10; round++) {
        audit a = {0};
        uint32_t p = host(&a, "a"), q = host(&a, "b");
        double first = tspi_random_uniform(&random, -20, 0), rate = 4e-5, b = first;
        for (int k = 0; k < 6000; k++) {
            uint32_t t = new_trace(&a);
            double sent = k * 100, truth = sent + 4 + tspi_random_exponential(&random, 0.4);
            b = first + rate * truth;
            uint64_t id = span(&a, t, 0, p, TSPI_KIND_CLIENT, sent, truth + 8 + tspi_random_exponential(&random, 0.4));
            span(&a, t, id, q, TSPI_KIND_SERVER, truth + b, truth + 4 + b);
        }
        analyse(&a, p);
        CHECK(violations(&a) > 0);
        CHECK(a.causes[TSPI_CAUSE_CLOCK] >= violations(&a) * 95 / 100);
        CHECK_INT(a.causes[TSPI_CAUSE_STEP], 0);
        check_contains(&a, q, b);
        release(&a);
    }
}

TEST(cause, random_offsets_are_bounded_and_named)
{
    tspi_random random;
    tspi_random_seed(&random, seed);

    for (int round = 0; round < 30; round++) {
        audit a = {0};
        enum { N = 6 };
        uint32_t process[N];
        double offset[N];
        for (int k = 0; k < N; k++) {
            char name[8];
            snprintf(name, sizeof name, "n%d", k);
            process[k] = host(&a, name);
            offset[k] = k == 0 ? 0 : tspi_random_uniform(&random, -12, 12);
        }
        for (int k = 0; k < 3000; k++) {
            int i = (int)tspi_random_below(&random, N), j = (i + 1 + (int)tspi_random_below(&random, N - 1)) % N;
            double sent = k, received = sent + 4 + tspi_random_exponential(&random, 0.4);
            uint32_t t = new_trace(&a);
            uint64_t id = span(&a, t, 0, process[i], TSPI_KIND_PRODUCER, sent + offset[i], sent + offset[i] + 1);
            span(&a, t, id, process[j], TSPI_KIND_CONSUMER, received + offset[j], received + offset[j] + 1);
        }
        analyse(&a, process[0]);
        for (int k = 1; k < N; k++) {
            check_contains(&a, process[k], offset[k]);
            CHECK_NEAR(clock_of(&a, process[k])->offset_ns, offset[k] * 1e6, 0.3e6);
            /* Some pair of clocks lies 4.5 ms apart: then a hop proves it, within the drift of 3 s. */
            if (fabs(offset[k]) > 5)
                CHECK_INT(clock_of(&a, process[k])->verdict, TSP_CLOCK_PROVEN);
            if (fabs(offset[k]) < 0.5)
                CHECK(clock_of(&a, process[k])->verdict != TSP_CLOCK_PROVEN);
        }
        CHECK(a.causes[TSPI_CAUSE_CLOCK] >= violations(&a) * 99 / 100);
        release(&a);
    }
}

/* A service as its callers see it. */
typedef struct {
    uint32_t process;
    double least_ms; /* of a hop */
    double ahead_ms; /* its clock's */
    double over_ms;  /* the mean by which it goes on after its answer */
} service;

/* One caller that asks two services in turn; the clocks that look like one. */
static size_t find_twins(audit *a, uint32_t caller, const service services[2], tspi_twin_clocks **ret_twins)
{
    tspi_random random;
    size_t n = 0;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 400; k++) {
        const service *to = &services[k % 2];
        uint32_t t = new_trace(a);
        double there = to->least_ms + tspi_random_exponential(&random, 0.05);
        double back = to->least_ms + tspi_random_exponential(&random, 0.05), begin = k + there + to->ahead_ms;
        double over = to->over_ms > 0 ? tspi_random_exponential(&random, to->over_ms) : 0;
        uint64_t id = span(a, t, 0, caller, TSPI_KIND_CLIENT, k, k + there + 2 + back);
        span(a, t, id, to->process, TSPI_KIND_SERVER, begin, begin + 2 + over);
    }
    analyse(a, TSPI_NONE);
    if (tspi_twins_find(&a->evidence, ret_twins, &n, NULL) != TSP_OK)
        TEST_FAIL("out of memory");
    return n;
}

TEST(cause, clocks_that_agree_closely_are_named_as_probably_one)
{
    audit a = {0};
    uint32_t p = host(&a, "pod-1"), q = host(&a, "pod-2"), r = host(&a, "far");
    const service services[2] = {{.process = r, .least_ms = 0.4, .ahead_ms = 0.3}, {.process = q, .least_ms = 0.03}};
    tspi_twin_clocks *twins = NULL;

    REQUIRE(find_twins(&a, p, services, &twins) == 1);
    CHECK_INT(twins[0].a, a.set.processes[p].clock);
    CHECK_INT(twins[0].b, a.set.processes[q].clock);
    CHECK(twins[0].within_ns < 60000);
    free(twins);
    release(&a);
}

TEST(cause, servers_that_go_on_for_seconds_do_not_make_far_clocks_look_close)
{
    audit a = {0};
    uint32_t p = host(&a, "caller"), q = host(&a, "slow"), r = host(&a, "far");
    const service services[2] = {{.process = r, .least_ms = 0.4}, {.process = q, .least_ms = 0.4, .over_ms = 3000}};
    tspi_twin_clocks *twins = NULL;

    CHECK_INT(find_twins(&a, p, services, &twins), 0);
    free(twins);
    release(&a);
}

/* Zipkin's corrector centres servers; nothing natural is so exact. */
TEST(cause, centred_servers_are_recognised_as_corrected)
{
    tspi_random random;
    tspi_random_seed(&random, seed);
    for (int corrected = 0; corrected < 2; corrected++) {
        audit a = {0};
        uint32_t p = host(&a, "a"), q = host(&a, "b");
        int64_t grid = -(EPOCH_NS % 1000);
        for (uint64_t k = 1; k <= 10; k++) {
            uint32_t t = new_trace(&a);
            int64_t start = grid + (int64_t)k * 1000 * MS,
                    lead = 1000 * (int64_t)(200 + tspi_random_below(&random, 5000));
            int64_t trail =
                corrected ? lead + 1000 * (int64_t)(k % 2) : 1000 * (int64_t)(200 + tspi_random_below(&random, 5000));
            fixture_span(&a.set, t, 2 * k, 0, p, TSPI_KIND_CLIENT, start, start + lead + 7 * MS + trail);
            fixture_span(&a.set, t, 2 * k + 1, 2 * k, q, TSPI_KIND_SERVER, start + lead, start + lead + 7 * MS);
        }
        analyse(&a, TSPI_NONE);
        CHECK_INT(a.evidence.adjustment.is_adjusted, corrected);
        CHECK_INT(a.evidence.adjustment.calls, 10);
        release(&a);
    }
}

TEST(cause, binomial_quorum_is_the_quantile)
{
    static const double rates[] = {1e-4, 0.01, 0.1, 0.35};

    for (uint64_t n = 1; n <= 300; n += 13)
        for (size_t r = 0; r < 4; r++) {
            uint64_t k = tspi_binomial_quorum(n, rates[r]);
            double above = 0;
            for (uint64_t x = k + 1; x <= n; x++)
                above += exp(lgamma((double)n + 1) - lgamma((double)x + 1) - lgamma((double)(n - x) + 1) +
                             (double)x * log(rates[r]) + (double)(n - x) * log1p(-rates[r]));
            CHECK(above <= 1.0001e-4);
        }
    CHECK(tspi_binomial_quorum(1000000, 0.35) < 353000);
    CHECK(tspi_binomial_quorum(5000, 0.35) > 1750);
}
