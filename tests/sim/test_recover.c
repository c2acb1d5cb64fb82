/* Random truth from a printed seed, then recovery: for every shape of docs/solver.md's table, coverage is whole, no
 * violation is left, nobody is wrongly accused, and errors stay within limits that hold with room to spare (limits.c).
 * soak_solve holds thousands of seeds against the same limits. */
#include "test.h"

#include <math.h>

#include "limits.h"
#include "solved.h"

#define SEEDS 3

/* missed: of so many runs the estimates may be off; the proofs of none. */
static void recover_seeds(const char *shape, uint64_t first, uint64_t seeds, uint64_t missed)
{
    const sim_limit *limit = sim_limit_of(shape);

    REQUIRE(limit);
    for (uint64_t k = 0; k < seeds; k++) {
        hop_sim sim;
        sim_score s;
        REQUIRE(hop_sim_make(&sim, shape, first + k));
        REQUIRE(sim_score_run(&sim, 1, 0, &s));
        hop_sim_release(&sim);
        const char *broken = sim_limit_broken(limit, &s);
        if (broken && missed && s.covered == s.knots && !s.after && !s.accused)
            missed--;
        else if (broken)
            TEST_FAIL("%s, seed %" PRIu64 ": %s: %" PRIu64 " of %" PRIu64 " knots covered, %" PRIu64
                      " violations left, %u accused, %u of %u steps found, %u told, p99 %.2f us",
                      shape, first + k, broken, s.covered, s.knots, s.after, s.accused, s.steps_found, s.steps_true,
                      s.steps, s.p99_us);
    }
}

static void recover(const char *shape)
{
    recover_seeds(shape, seed, SEEDS, 0);
}

TEST(recover, rpc_tree)
{
    recover("rpc");
}

TEST(recover, drift)
{
    recover("drift");
}

TEST(recover, wander)
{
    recover("wander");
}

TEST(recover, step)
{
    recover("step");
}

TEST(recover, step_near_an_end)
{
    recover("early-step");
}

/* Six steps a minute, of two clocks: each is located again whenever another is found beside it, and when all are known.
 * Before, one seed in a dozen was off by hundreds of microseconds for the rest of the run, and one step in fifteen was
 * misplaced. In the first run the reference is told to have stepped, too, at first. */
TEST(recover, many_steps)
{
    enum { RUNS = 40 };
    uint64_t found = 0, steps = 0, bad = 0;

    for (uint64_t k = 0; k < RUNS; k++) {
        hop_sim sim;
        sim_score s;
        REQUIRE(hop_sim_make(&sim, "steps", k ? seed + k : 7216));
        REQUIRE(sim_score_run(&sim, 1, 0, &s));
        hop_sim_release(&sim);
        CHECK_INT(s.accused, 0);
        steps += s.steps_true;
        found += s.steps_found;
        bad += s.p99_us > 100 || s.covered < s.knots || s.after;
    }
    if (found + 14 < steps || bad > 2)
        TEST_FAIL("%" PRIu64 " of %" PRIu64 " steps found, %" PRIu64 " of %d runs far off", found, steps, bad, RUNS);
}

/* Of two clocks that step within a window or two of each other the one that is found first is misplaced by a second, by
 * the other's smear: unless it was located again at once, others were found that are none, and true ones joined: 2 to 4
 * ms off. (Another compiler may draw another trace from a seed, in which a step is a hop beside its place.) */
TEST(recover, steps_near_each_other_are_told_apart)
{
    static const uint64_t seeds[] = {7559, 7707, 8147};

    for (size_t k = 0; k < sizeof seeds / sizeof *seeds; k++) {
        hop_sim sim;
        sim_score s;
        REQUIRE(hop_sim_make(&sim, "steps", seeds[k]));
        REQUIRE(sim_score_run(&sim, 1, 0, &s));
        hop_sim_release(&sim);
        CHECK_INT(s.covered, s.knots);
        CHECK_INT(s.after, 0);
        CHECK(s.steps_found + 1 >= s.steps_true && s.steps <= s.steps_true + 1);
        CHECK(s.p99_us < 100);
    }
}

/* A clock that steps drifts on as it did before, also where the piece behind the step is too short to tell. */
TEST(recover, a_clock_that_steps_keeps_its_drift)
{
    enum { RUNS = 24 };
    uint32_t told = 0;

    for (uint64_t k = 0; k < RUNS; k++) {
        hop_sim sim;
        REQUIRE(hop_sim_make(&sim, "ring-step", seed + k));
        tsp_solver *solver = solve(sim.clocks, sim.reference, sim.hops, sim.n);
        REQUIRE(solver);
        const hop_sim_clock *truth = &sim.truth[2];
        double ppb = (truth->x[1] - truth->x[0]) / (truth->t[1] - truth->t[0]) * 1e9;
        tsp_clock_result result = clock_of(solver, 2);
        told += result.steps_n == 1 && fabs((double)result.drift_ppb - ppb) < 1500;
        tsp_solver_free(solver);
        hop_sim_release(&sim);
    }
    if (told < RUNS - 5)
        TEST_FAIL("drift and step told in %u of %d runs", told, RUNS);
}

/* Three runs of a thousand are taken for a step, or their bends for others. */
TEST(recover, the_reference_slews)
{
    recover_seeds("slew-5", seed, 6, 1);
}

/* What the bends of the reference say that it has moved by, at a true time: the frame is right before the first. */
static double moved_by(const hop_sim *sim, const tsp_clock_result *result, double t)
{
    double x = 0;

    for (size_t k = 0; k < result->bends_n; k++)
        x += fmax(0, t - (double)(result->bends[k].at_ns - sim->origin)) * (double)result->bends[k].rate_ppb * 1e-9;
    return x;
}

/* Bends are told as their clock's, and add up to the slew: half of it amid it, all of it thereafter. Nobody else bends,
 * but for three runs of a hundred. */
TEST(recover, the_bends_of_a_slew_are_told)
{
    enum { RUNS = 6 };
    uint32_t right = 0;

    for (uint64_t k = 0; k < RUNS; k++) {
        hop_sim sim;
        REQUIRE(hop_sim_make(&sim, "slew-5", seed + k));
        tsp_solver *solver = solve(sim.clocks, sim.reference, sim.hops, sim.n);
        REQUIRE(solver);
        size_t others = 0;
        for (uint32_t c = 1; c < sim.clocks; c++)
            others += clock_of(solver, c).bends_n;
        const hop_sim_clock *truth = &sim.truth[0]; /* knots: the start, both ends of the slew, the end */
        tsp_clock_result result = clock_of(solver, 0);
        double size = truth->x[2] - truth->x[1], amid = moved_by(&sim, &result, (truth->t[1] + truth->t[2]) / 2);
        right += !others && fabs(amid - size / 2) < fabs(size) / 8 &&
                 fabs(moved_by(&sim, &result, truth->t[2] + 60e9) - size) < fabs(size) / 8;
        tsp_solver_free(solver);
        hop_sim_release(&sim);
    }
    if (right < RUNS - 3)
        TEST_FAIL("the bends of %u of %d slews are told", right, RUNS);
}

/* Of this slew neither bend explains as much alone as a step amid it does. It was taken for three. */
TEST(recover, a_slew_is_two_bends_not_a_step)
{
    recover_seeds("slew-5", 380698181, 1, 0);
}

/* Four bends for two, in pairs half a window apart: known by their sum, and so they must stay. */
TEST(recover, bends_near_each_other_keep_their_sum)
{
    recover_seeds("slew-5", 51010, 1, 0);
}

TEST(recover, any_clock_slews)
{
    recover("slew-any");
}

TEST(recover, any_clock_slews_and_none_is_named)
{
    recover("slew-any-free");
}

TEST(recover, the_reference_steps)
{
    recover("ref-step");
}

TEST(recover, any_clock_steps_and_none_is_named)
{
    recover("ref-step-free");
}

TEST(recover, pipeline)
{
    recover("pipeline");
}

TEST(recover, sparse_mesh)
{
    recover("mesh");
}

TEST(recover, late_stamps)
{
    recover("late");
}

TEST(recover, many_lies)
{
    recover("lies");
}

TEST(recover, no_skew)
{
    recover("null");
}

TEST(recover, hub)
{
    recover("hub");
}

TEST(recover, congestion_one_way)
{
    recover("congestion");
}

TEST(recover, one_way_is_honest)
{
    recover("one-way");
}

TEST(recover, asymmetry_is_inside_the_bounds)
{
    recover("asymmetric");
}
