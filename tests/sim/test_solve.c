/* The solver from its front door: what must not change its answer, what must; proofs and frames; hostile input. Whom it
 * accuses: test_verdicts.c. */
#include "test.h"

#include "hop_sim.h"
#include "solved.h"

/* The same results, to the bit. */
static void check_same(const tsp_solver *a, const tsp_solver *b, uint32_t clocks)
{
    for (uint32_t c = 0; c < clocks; c++) {
        tsp_clock_result x = clock_of(a, c), y = clock_of(b, c);
        CHECK_INT(x.verdict, y.verdict);
        CHECK_INT(x.offset_ns, y.offset_ns);
        CHECK_INT(x.knots_n, y.knots_n);
        CHECK_INT(x.steps_n, y.steps_n);
        CHECK_INT(x.bends_n, y.bends_n);
        if (x.knots_n == y.knots_n)
            CHECK(memcmp(x.knots, y.knots, x.knots_n * sizeof *x.knots) == 0);
    }
}

static void check_permuted(const char *shape)
{
    hop_sim sim;
    tsp_solver_config config = {.reference = 0, .threads = 4};

    REQUIRE(hop_sim_make(&sim, shape, seed));
    config.clocks = sim.clocks;
    tsp_solver *a = solve(sim.clocks, 0, sim.hops, sim.n);
    for (size_t k = sim.n; k-- > 1;) {
        size_t q = tspi_random_below(&sim.random, k + 1);
        tsp_hop swap = sim.hops[k];
        sim.hops[k] = sim.hops[q];
        sim.hops[q] = swap;
    }
    tsp_solver *b = solve_with(&config, sim.hops, sim.n);
    REQUIRE(a && b);
    check_same(a, b, sim.clocks);
    tsp_solver_free(a);
    tsp_solver_free(b);
    hop_sim_release(&sim);
}

TEST(solve, order_and_threads_change_nothing)
{
    check_permuted("rpc");
    check_permuted("step");
    check_permuted("mesh");
}

/* Shift one clock by c: its offset moves by c, everyone else's stays. */
TEST(solve, a_shift_shifts_only_that_clock)
{
    hop_sim sim;
    const int64_t by = 123456789;

    REQUIRE(hop_sim_make(&sim, "rpc", seed));
    tsp_solver *a = solve(sim.clocks, 0, sim.hops, sim.n);
    for (size_t k = 0; k < sim.n; k++) {
        if (sim.hops[k].from == 2)
            sim.hops[k].sent_ns += by;
        if (sim.hops[k].to == 2)
            sim.hops[k].received_ns += by;
    }
    tsp_solver *b = solve(sim.clocks, 0, sim.hops, sim.n);
    REQUIRE(a && b);
    for (uint32_t c = 0; c < sim.clocks; c++) {
        tsp_clock_result x = clock_of(a, c), y = clock_of(b, c);
        CHECK_NEAR(y.offset_ns - x.offset_ns, c == 2 ? by : 0, 3);
        CHECK_NEAR(y.hi_ns - x.hi_ns, c == 2 ? by : 0, 30);
        CHECK_NEAR(y.lo_ns - x.lo_ns, c == 2 ? by : 0, 30);
    }
    tsp_solver_free(a);
    tsp_solver_free(b);
    hop_sim_release(&sim);
}

/* Time reversed: every hop runs the other way and every offset changes its sign. */
TEST(solve, reversed_time_reverses_the_answer)
{
    hop_sim sim;

    REQUIRE(hop_sim_make(&sim, "rpc", seed));
    tsp_solver *a = solve(sim.clocks, 0, sim.hops, sim.n);
    for (size_t k = 0; k < sim.n; k++) {
        tsp_hop *hop = &sim.hops[k], old = *hop;
        hop->from = old.to;
        hop->to = old.from;
        hop->sent_ns = 2 * sim.origin - old.received_ns;
        hop->received_ns = 2 * sim.origin - old.sent_ns;
    }
    tsp_solver *b = solve(sim.clocks, 0, sim.hops, sim.n);
    REQUIRE(a && b);
    for (uint32_t c = 0; c < sim.clocks; c++) {
        tsp_clock_result x = clock_of(a, c), y = clock_of(b, c);
        /* The end of one is the beginning of the other: compare the same instants. */
        CHECK_NEAR(x.offset_ns, -y.knots[0].offset_ns, 20);
        CHECK_NEAR(x.knots[0].offset_ns, -y.offset_ns, 20);
        int64_t at = x.knots[x.knots_n / 2].at_ns;
        for (size_t k = 0; k < y.knots_n; k++)
            if (llabs(y.knots[k].at_ns - (2 * sim.origin - at)) < S / 2)
                CHECK_NEAR(y.knots[k].hi_ns, -x.knots[x.knots_n / 2].lo_ns, 120000); /* 1 s of drift apart */
    }
    tsp_solver_free(a);
    tsp_solver_free(b);
    hop_sim_release(&sim);
}

/* A constant added to every delay of a cycle moves no estimate and widens the bounds by half of it either way. */
TEST(solve, slower_everywhere_moves_no_estimate)
{
    hop_sim sim;

    REQUIRE(hop_sim_make(&sim, "rpc", seed));
    tsp_solver *a = solve(sim.clocks, 0, sim.hops, sim.n);
    for (size_t k = 0; k < sim.n; k++)
        sim.hops[k].received_ns += 2 * MS;
    tsp_solver *b = solve(sim.clocks, 0, sim.hops, sim.n);
    REQUIRE(a && b);
    for (uint32_t c = 1; c < sim.clocks; c++) {
        tsp_clock_result x = clock_of(a, c), y = clock_of(b, c);
        CHECK_NEAR(x.offset_ns, y.offset_ns, 3000);
        CHECK_NEAR((y.hi_ns - y.lo_ns) - (x.hi_ns - x.lo_ns), 4 * MS, 10000);
    }
    tsp_solver_free(a);
    tsp_solver_free(b);
    hop_sim_release(&sim);
}

/* The chain of hops is the proof: it leads from the reference to the clock (or back), every link is true of the input,
 * and the limits add up to the bound. */
static void why_adds_up(const char *shape)
{
    hop_sim sim;

    REQUIRE(hop_sim_make(&sim, shape, seed));
    tsp_solver *solver = solve(sim.clocks, 0, sim.hops, sim.n);
    REQUIRE(solver);
    for (uint32_t c = 1; c < sim.clocks; c++)
        for (int upper = 0; upper < 2; upper++) {
            tsp_clock_result result = clock_of(solver, c);
            const tsp_knot *knot = &result.knots[tspi_random_below(&sim.random, result.knots_n)];
            tsp_proof_link *links = NULL;
            tsp_error err = {0};
            size_t n = 0;
            int64_t sum = 0;
            CHECK_STATUS(tsp_solver_why(solver, c, knot->at_ns, upper, &links, &n, &err), TSP_OK, &err);
            REQUIRE(n >= 2);
            for (size_t k = 0; k < n; k++) {
                sum += links[k].limit_ns;
                if (k > 0)
                    CHECK_INT(links[k].from, links[k - 1].to);
                if (k > 0)
                    CHECK_INT(links[k].from_ns, links[k - 1].to_ns);
                if (links[k].hop == TSP_NO_HOP) {
                    CHECK_INT(links[k].from, links[k].to);
                    if (links[k].from == 0)
                        CHECK_INT(links[k].limit_ns, 0); /* the reference does not drift from itself */
                    else
                        CHECK_NEAR(links[k].limit_ns, 1e-4 * fabs((double)(links[k].to_ns - links[k].from_ns)), 3);
                    continue;
                }
                const tsp_hop *hop = &sim.hops[links[k].hop];
                CHECK_INT(hop->tag, links[k].tag);
                CHECK_INT(hop->from, links[k].from);
                CHECK_INT(hop->received_ns, links[k].to_ns);
                CHECK_INT(links[k].limit_ns, hop->received_ns - hop->sent_ns + 3);
            }
            CHECK_INT(sum, upper ? knot->hi_ns : -knot->lo_ns);
            CHECK_INT(upper ? links[0].from : links[n - 1].to, 0);
            CHECK_INT(upper ? links[n - 1].to : links[0].from, c);
            free(links);
        }
    tsp_solver_free(solver);
    hop_sim_release(&sim);
}

TEST(solve, why_adds_up)
{
    why_adds_up("drift");
}

/* A reference that stepped: some proofs lead through what it showed before and after. */
TEST(solve, why_adds_up_beyond_a_step_of_the_reference)
{
    why_adds_up("ref-step");
}

/* Two groups that never speak to each other: one frame each. */
TEST(solve, groups_have_a_frame_each)
{
    tsp_hop hops[400];
    size_t n = 0;

    for (int k = 0; k < 100; k++)
        for (uint32_t g = 0; g < 2; g++) {
            int64_t t = T0 + k * 10 * MS, x = g ? 50 * MS : 7 * MS;
            hops[n++] = (tsp_hop){.from = 2 * g, .to = 2 * g + 1, .sent_ns = t, .received_ns = t + MS + x};
            hops[n++] = (tsp_hop){.from = 2 * g + 1, .to = 2 * g, .sent_ns = t + 2 * MS + x, .received_ns = t + 3 * MS};
        }
    tsp_solver *solver = solve(5, 0, hops, n);
    REQUIRE(solver);
    CHECK_INT(summary_of(solver).groups, 3);
    CHECK_INT(clock_of(solver, 0).group, clock_of(solver, 1).group);
    CHECK(clock_of(solver, 2).group != clock_of(solver, 0).group);
    CHECK_INT(clock_of(solver, 1).verdict, TSP_CLOCK_PROVEN);
    CHECK_NEAR(clock_of(solver, 1).offset_ns, 7 * MS, 1000);
    CHECK_INT(clock_of(solver, 1).at_least_ns > 5 * MS, 1);
    CHECK(clock_of(solver, 2).is_reference != clock_of(solver, 3).is_reference);
    CHECK_NEAR(llabs(clock_of(solver, 2).offset_ns - clock_of(solver, 3).offset_ns), 50 * MS, 1000);
    CHECK_INT(clock_of(solver, 4).knots_n, 0); /* silent */
    CHECK_INT(summary_of(solver).violations_after, 0);
    tsp_solver_free(solver);
}

/* Without a reference: the frame in which most clocks need no correction. */
TEST(solve, finds_the_frame_of_the_many)
{
    hop_sim sim;

    REQUIRE(hop_sim_make(&sim, "null", seed));
    uint32_t wrong = (uint32_t)tspi_random_below(&sim.random, sim.clocks);
    for (size_t k = 0; k < sim.n; k++) {
        if (sim.hops[k].from == wrong)
            sim.hops[k].sent_ns += 30 * MS;
        if (sim.hops[k].to == wrong)
            sim.hops[k].received_ns += 30 * MS;
    }
    tsp_solver *solver = solve(sim.clocks, TSP_NO_CLOCK, sim.hops, sim.n);
    REQUIRE(solver);
    for (uint32_t c = 0; c < sim.clocks; c++) {
        tsp_clock_result result = clock_of(solver, c);
        CHECK_INT(result.verdict, c == wrong ? TSP_CLOCK_PROVEN : TSP_CLOCK_OK);
        CHECK_NEAR(result.offset_ns, c == wrong ? 30 * MS : 0, 3000);
        CHECK(c == wrong || tsp_track_correct(result.track, T0) == T0); /* the right ones stay as they are */
    }
    tsp_solver_free(solver);
    hop_sim_release(&sim);
}

/* External bounds make time absolute. */
TEST(solve, bounds_to_utc)
{
    hop_sim sim;
    tsp_solver_config config = {.reference = TSP_NO_CLOCK};
    tsp_solver *solver;
    tsp_error err = {0};

    REQUIRE(hop_sim_make(&sim, "null", seed));
    config.clocks = sim.clocks;
    REQUIRE(tsp_solver_new(&config, &solver, &err) == TSP_OK);
    CHECK_STATUS(tsp_solver_add_hops(solver, sim.hops, sim.n, &err), TSP_OK, &err);
    for (int k = 0; k < 60; k++) /* chrony on clock 1 says: 10 ms ahead, give or take 0.2 ms */
        CHECK_STATUS(tsp_solver_add_bound(solver, 1, sim.origin + k * S, 98 * MS / 10, 102 * MS / 10, 7, &err), TSP_OK,
                     &err);
    CHECK_STATUS(tsp_solver_run(solver, &err), TSP_OK, &err);
    CHECK_INT(summary_of(solver).reference, TSP_NO_CLOCK);
    for (uint32_t c = 0; c < sim.clocks; c++) {
        tsp_clock_result result = clock_of(solver, c);
        CHECK_INT(result.verdict, TSP_CLOCK_PROVEN);
        CHECK_NEAR(result.offset_ns, 10 * MS, 20000);
        CHECK(result.lo_ns <= 10 * MS && result.hi_ns >= 10 * MS);
    }
    CHECK(clock_of(solver, 1).hi_ns - clock_of(solver, 1).lo_ns < MS);
    CHECK_INT(summary_of(solver).violations_after, 0);
    tsp_solver_free(solver);
    hop_sim_release(&sim);
}

/* Rule: a window's excess over the usual cycle mean bounds its error. For a tenth of the run everything towards clock 2
 * is 3 ms slower: half of that would be its error if the window were believed. */
TEST(solve, a_congested_window_is_not_believed)
{
    hop_sim sim;

    REQUIRE(hop_sim_make(&sim, "null", seed));
    for (size_t k = 0; k < sim.n; k++) {
        int64_t t = sim.hops[k].sent_ns - sim.origin;
        if (sim.hops[k].to == 2 && t > 30 * S && t < 36 * S)
            sim.hops[k].received_ns += 3 * MS;
    }
    tsp_solver *solver = solve(sim.clocks, 0, sim.hops, sim.n);
    REQUIRE(solver);
    tsp_clock_result result = clock_of(solver, 2);
    CHECK_INT(result.verdict, TSP_CLOCK_OK);
    CHECK_INT(result.steps_n, 0);
    for (size_t k = 0; k < result.knots_n; k++)
        CHECK_NEAR(result.knots[k].offset_ns, 0, 20000);
    tsp_solver_free(solver);
    hop_sim_release(&sim);
}

/* Rule: a shift at the usual cycle mean is a moving clock and no outlier: 1 ms within twenty seconds is followed. */
TEST(solve, a_moving_clock_is_followed)
{
    hop_sim sim;

    REQUIRE(hop_sim_make(&sim, "null", seed));
    for (size_t k = 0; k < sim.n; k++)
        for (int end = 0; end < 2; end++) {
            int64_t *stamp = end ? &sim.hops[k].received_ns : &sim.hops[k].sent_ns, t = *stamp - sim.origin - 30 * S;
            if ((end ? sim.hops[k].to : sim.hops[k].from) == 2 && t > 0)
                *stamp += t < 20 * S ? t / 20000 : MS;
        }
    tsp_solver *solver = solve(sim.clocks, 0, sim.hops, sim.n);
    REQUIRE(solver);
    tsp_clock_result result = clock_of(solver, 2);
    CHECK_INT(result.steps_n, 0);
    for (size_t k = 0; k < result.knots_n; k++) {
        double t = (double)(result.knots[k].at_ns - sim.origin - 30 * S);
        CHECK_NEAR(result.knots[k].offset_ns, t < 0 ? 0 : t < 20e9 ? t / 20000 : MS, 80000);
    }
    CHECK_INT(summary_of(solver).violations_after, 0);
    tsp_solver_free(solver);
    hop_sim_release(&sim);
}

/* No clocks within the drift limit explain these: the cycle is named, nobody is proven wrong. */
TEST(solve, names_a_contradiction)
{
    tsp_hop hops[200];
    size_t n = 0, links_n;
    int64_t sum = 0;

    for (int k = 0; k < 100; k++) { /* both directions received 1 ms before they were sent */
        int64_t t = T0 + k * 10 * MS;
        hops[n] = (tsp_hop){.from = 0, .to = 1, .sent_ns = t, .received_ns = t - MS, .tag = n};
        n++;
        hops[n] = (tsp_hop){.from = 1, .to = 0, .sent_ns = t + 5 * MS, .received_ns = t + 4 * MS, .tag = n};
        n++;
    }
    tsp_solver *solver = solve(2, 0, hops, n);
    REQUIRE(solver);
    CHECK(summary_of(solver).contradictory);
    CHECK(clock_of(solver, 1).verdict != TSP_CLOCK_PROVEN);
    const tsp_proof_link *links = tsp_solver_conflict(solver, &links_n);
    REQUIRE(links_n >= 2);
    for (size_t k = 0; k < links_n; k++) {
        sum += links[k].limit_ns;
        CHECK_INT(links[k].to, links[(k + 1) % links_n].from);
    }
    CHECK(sum < 0);
    tsp_solver_free(solver);
}

/* One hop that lies among a hundred that do not: it is set aside or fenced, and the rest is solved. */
TEST(solve, one_lie_does_not_spoil_the_rest)
{
    hop_sim sim;

    REQUIRE(hop_sim_make(&sim, "rpc", seed));
    for (int k = 0; k < 5; k++)
        sim.hops[tspi_random_below(&sim.random, sim.n)].sent_ns += 500 * MS;
    tsp_solver *solver = solve(sim.clocks, 0, sim.hops, sim.n);
    REQUIRE(solver);
    CHECK(!summary_of(solver).contradictory);
    CHECK_INT(summary_of(solver).violations_after, 0);
    CHECK(summary_of(solver).violations_lies >= 4);
    for (uint32_t c = 1; c < sim.clocks; c++) {
        tsp_clock_result result = clock_of(solver, c);
        CHECK_NEAR(result.offset_ns, hop_sim_offset(&sim, c, result.knots[result.knots_n - 1].at_ns), 5000);
    }
    tsp_solver_free(solver);
    hop_sim_release(&sim);
}

/* Stamps of 1970 and of the far future, also mixed; all stamps equal; constant slack; a single hop; none at all. */
TEST(solve, survives_odd_stamps)
{
    tsp_hop hops[400];
    tsp_solver *solver;
    tsp_error err = {0};
    tsp_solver_config config = {.clocks = 2, .reference = 0};

    for (int shape = 0; shape < 6; shape++) {
        size_t n = shape == 4 ? 1 : shape == 5 ? 0 : 400;
        for (size_t k = 0; k < n; k++) {
            int64_t t = shape == 2 ? T0 : T0 + (int64_t)k * MS;
            hops[k] =
                (tsp_hop){.from = k & 1, .to = !(k & 1), .sent_ns = t, .received_ns = t + (shape == 2 ? 0 : 3 * MS)};
            if (shape == 0 && k % 97 == 5)
                *(k & 2 ? &hops[k].sent_ns : &hops[k].received_ns) = k % 3 ? 0 : TSP_STAMP_MAX;
            if (shape == 1) /* a clock without a battery */
                *(k & 1 ? &hops[k].sent_ns : &hops[k].received_ns) -= T0;
        }
        solver = solve(2, 0, hops, n);
        REQUIRE(solver);
        tsp_clock_result result = clock_of(solver, 1);
        if (shape == 1) {
            CHECK_INT(result.verdict, TSP_CLOCK_PROVEN);
            CHECK_NEAR(result.offset_ns + T0, 0, 1000);
        }
        if (shape == 2 || shape == 3)
            CHECK_NEAR(result.offset_ns, 0, 10);
        if (shape < 4)
            CHECK_INT(summary_of(solver).violations_after, 0);
        if (shape >= 4)
            CHECK_INT(result.offset_ns, TSP_NO_VALUE);
        tsp_solver_free(solver);
    }
    REQUIRE(tsp_solver_new(&config, &solver, &err) == TSP_OK);
    hops[0] = (tsp_hop){.from = 0, .to = 2, .sent_ns = T0, .received_ns = T0};
    CHECK(tsp_solver_add_hops(solver, hops, 1, &err) == TSP_EINVAL);
    hops[0] = (tsp_hop){.from = 0, .to = 1, .sent_ns = INT64_MAX, .received_ns = T0};
    CHECK(tsp_solver_add_hops(solver, hops, 1, &err) == TSP_ERANGE);
    tsp_solver_free(solver);
    config.reference = 2;
    CHECK(tsp_solver_new(&config, &solver, &err) == TSP_EINVAL);
}

/* A million clocks of one hop each: an answer, within time and memory. */
TEST(solve, a_million_clocks)
{
    enum { N = 1000000 };
    tsp_hop *hops = malloc(N * sizeof *hops);
    REQUIRE(hops);
    for (uint32_t k = 0; k < N; k++)
        hops[k] = (tsp_hop){.from = k, .to = (k + 1) % N, .sent_ns = T0 + k, .received_ns = T0 + k + MS};
    tsp_solver *ring = solve(N, 0, hops, N); /* one cycle through all of them */
    for (uint32_t k = 0; k < N; k++)
        hops[k] = (tsp_hop){.from = k & ~1u, .to = k | 1, .sent_ns = T0 + k, .received_ns = T0 + k + MS};
    tsp_solver *pairs = solve(N, TSP_NO_CLOCK, hops, N);
    REQUIRE(ring && pairs);
    CHECK_INT(summary_of(pairs).groups, N / 2);
    CHECK(clock_of(ring, N / 2).hi_ns >= 0);
    tsp_solver_free(ring);
    tsp_solver_free(pairs);
    free(hops);
}

/* Fixing the fixed changes nothing: corrected stamps give clocks that nothing speaks against. */
TEST(solve, corrected_stamps_need_no_correction)
{
    hop_sim sim;

    REQUIRE(hop_sim_make(&sim, "drift", seed));
    tsp_solver *first = solve(sim.clocks, 0, sim.hops, sim.n);
    REQUIRE(first);
    for (size_t k = 0; k < sim.n; k++)
        tsp_solver_correct_hop(first, k, &sim.hops[k].sent_ns, &sim.hops[k].received_ns);
    tsp_solver *second = solve(sim.clocks, 0, sim.hops, sim.n);
    REQUIRE(second);
    for (uint32_t c = 0; c < sim.clocks; c++) {
        tsp_clock_result result = clock_of(second, c);
        CHECK_INT(result.verdict, TSP_CLOCK_OK);
        CHECK(result.untouched);
        CHECK_INT(tsp_track_correct(result.track, T0 + 77), T0 + 77);
    }
    tsp_solver_free(first);
    tsp_solver_free(second);
    hop_sim_release(&sim);
}
