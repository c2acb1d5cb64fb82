/* What tests of the solver ask of it again and again. */
#ifndef TESTS_SIM_SOLVED_H
#define TESTS_SIM_SOLVED_H

#include "test.h"

#include "truespan/clocks.h"

#define MS 1000000
#define S INT64_C(1000000000)
#define T0 INT64_C(1700000000000000000)

/* A solver that has run on these hops; free it. NULL: it could not, and the test has failed. */
static inline tsp_solver *solve_with(const tsp_solver_config *config, const tsp_hop *hops, size_t n)
{
    tsp_solver *solver = NULL;
    tsp_error err = {0};

    if (tsp_solver_new(config, &solver, &err) != TSP_OK || tsp_solver_add_hops(solver, hops, n, &err) != TSP_OK ||
        tsp_solver_run(solver, &err) != TSP_OK) {
        TEST_FAIL("%s", err.message);
        tsp_solver_free(solver);
        return NULL;
    }
    return solver;
}

static inline tsp_solver *solve(uint32_t clocks, uint32_t reference, const tsp_hop *hops, size_t n)
{
    tsp_solver_config config = {.clocks = clocks, .reference = reference};

    return solve_with(&config, hops, n);
}

static inline tsp_clock_result clock_of(const tsp_solver *solver, uint32_t clock)
{
    tsp_clock_result result = {0};

    if (tsp_solver_clock(solver, clock, &result, NULL) != TSP_OK)
        TEST_FAIL("no clock %u", clock);
    return result;
}

static inline tsp_solver_summary_row summary_of(const tsp_solver *solver)
{
    tsp_solver_summary_row summary;

    tsp_solver_summary(solver, &summary);
    return summary;
}

#endif
