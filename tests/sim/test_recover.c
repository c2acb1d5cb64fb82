/* Random truth from a printed seed, then recovery: for every shape of docs/solver.md's table, coverage is whole, no
 * violation is left, nobody is wrongly accused, and errors stay within limits that hold with room to spare. `soak`
 * runs the same over many more seeds (--seeds). */
#include "test.h"

#include "score.h"

#ifndef SEEDS
#define SEEDS 3
#endif

/* p99_us: a limit on every seed's p99, some three times the worst of a hundred seeds. */
static void recover(const char *shape, double p99_us, uint64_t steps_missed)
{
    uint64_t found = 0, steps = 0;

    for (uint64_t k = 0; k < SEEDS; k++) {
        hop_sim sim;
        sim_score s;
        REQUIRE(hop_sim_make(&sim, shape, seed + k));
        REQUIRE(sim_score_run(&sim, 1, 0, &s));
        hop_sim_release(&sim);
        if (s.covered != s.knots || s.after || s.accused || s.p99_us > p99_us)
            printf("# %s, seed %" PRIu64 ": p99 %.2f us\n", shape, seed + k, s.p99_us);
        CHECK(s.knots > 0);
        CHECK_INT(s.covered, s.knots);
        CHECK_INT(s.after, 0);
        CHECK_INT(s.accused, 0);
        CHECK(s.steps <= s.steps_true);
        if (p99_us > 0)
            CHECK(s.p99_us <= p99_us);
        else
            CHECK_INT(s.estimated, 0);
        steps += s.steps_true;
        found += s.steps_found;
    }
    CHECK(found + steps_missed >= steps);
}

TEST(recover, rpc_tree)
{
    recover("rpc", 4, 0);
}

TEST(recover, drift)
{
    recover("drift", 2, 0);
}

TEST(recover, wander)
{
    recover("wander", 25, 0);
}

TEST(recover, step)
{
    recover("step", 6, 0);
}

/* So near an end that few hops show one side of it: none of them may be taken for lies. */
TEST(recover, step_near_an_end)
{
    recover("early-step", 10, 0);
}

/* What the reference does shows in all the others, and is charged to it alone. */
TEST(recover, the_reference_slews)
{
    recover("slew-5", 200, 0);
}

TEST(recover, any_clock_slews)
{
    recover("slew-any", 400, 0);
}

/* No reference given: the frame is one of the clocks that do not move. */
TEST(recover, any_clock_slews_and_none_is_named)
{
    recover("slew-any-free", 400, 0);
}

TEST(recover, the_reference_steps)
{
    recover("ref-step", 12, 0);
}

TEST(recover, any_clock_steps_and_none_is_named)
{
    recover("ref-step-free", 12, 0);
}

TEST(recover, pipeline)
{
    recover("pipeline", 20, 0);
}

TEST(recover, sparse_mesh)
{
    recover("mesh", 120, 0);
}

TEST(recover, late_stamps)
{
    recover("late", 6, 0);
}

TEST(recover, many_lies)
{
    recover("lies", 300, 0);
}

TEST(recover, no_skew)
{
    recover("null", 4, 0);
}

TEST(recover, hub)
{
    recover("hub", 120, 0);
}

TEST(recover, congestion_one_way)
{
    recover("congestion", 10, 0);
}

/* One-way traffic bounds one side only, and gives no estimate. */
TEST(recover, one_way_is_honest)
{
    recover("one-way", 0, 0);
}

/* Delays of 1 and 19 ms: the error is half the asymmetry, and inside the bounds. */
TEST(recover, asymmetry_is_inside_the_bounds)
{
    recover("asymmetric", 9100, 0);
}
