/* Every allocation of a solver's run fails once: the answer is the same to the bit, or "out of memory", never another.
 * Linked with --wrap, so that malloc, calloc and realloc of all of truespan come here. */
#include "test.h"

#include <stdatomic.h>

#include "hop_make.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *at, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *at, size_t size);

static atomic_uint_fast64_t asked;
static uint64_t refuse_at; /* the how manieth, from 1; 0: none */

static bool refused(void)
{
    return atomic_fetch_add(&asked, 1) + 1 == refuse_at;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *at, size_t size)
{
    return refused() ? NULL : __real_realloc(at, size);
}

/* Runs the solver once, with its `refuse`th allocation refused. Returns it, or NULL where it said why not. */
static tsp_solver *solve(const hop_sim *sim, uint64_t refuse, tsp_status *ret_rc)
{
    tsp_solver_config config = {.clocks = sim->clocks, .reference = TSP_NO_CLOCK, .threads = 1};
    tsp_solver *solver = NULL;
    tsp_error err = {0};

    atomic_store(&asked, 0);
    refuse_at = refuse;
    *ret_rc = tsp_solver_new(&config, &solver, &err);
    if (*ret_rc == TSP_OK)
        *ret_rc = tsp_solver_add_hops(solver, sim->hops, sim->n, &err);
    if (*ret_rc == TSP_OK)
        *ret_rc = tsp_solver_run(solver, &err);
    refuse_at = 0;
    if (*ret_rc == TSP_OK)
        return solver;
    tsp_solver_free(solver);
    return NULL;
}

static bool same(const hop_sim *sim, const tsp_solver *a, const tsp_solver *b)
{
    tsp_solver_summary_row x, y;

    tsp_solver_summary(a, &x);
    tsp_solver_summary(b, &y);
    bool equal = x.reference == y.reference && x.violations_after == y.violations_after && x.late == y.late;
    for (uint32_t c = 0; equal && c < sim->clocks; c++) {
        tsp_clock_result p, q;
        equal = tsp_solver_clock(a, c, &p, NULL) == TSP_OK && tsp_solver_clock(b, c, &q, NULL) == TSP_OK &&
                p.verdict == q.verdict && p.steps_n == q.steps_n && p.knots_n == q.knots_n &&
                !memcmp(p.knots, q.knots, p.knots_n * sizeof *p.knots);
    }
    return equal;
}

/* Every allocation of a run over the simulated hops. */
static void refuse_each(const hop_sim *sim)
{
    tsp_status rc;
    unsigned refused_n = 0;
    tsp_solver *whole = solve(sim, 0, &rc);

    REQUIRE(whole);
    uint64_t most = atomic_load(&asked);
    for (uint64_t k = 1; k <= most; k++) {
        tsp_solver *short_of = solve(sim, k, &rc);
        refused_n += rc == TSP_ENOMEM;
        if (rc != TSP_OK && rc != TSP_ENOMEM)
            TEST_FAIL("allocation %" PRIu64 " of %" PRIu64 " refused: status %d", k, most, (int)rc);
        if (short_of && !same(sim, whole, short_of))
            TEST_FAIL("allocation %" PRIu64 " of %" PRIu64 " refused: another answer", k, most);
        tsp_solver_free(short_of);
    }
    CHECK(refused_n > most / 2);
    tsp_solver_free(whole);
}

/* Clocks 0 to 2 are right, 3 goes from 15 ms behind to 15 ms ahead and talks to one of them: whose frame it is decided
 * by the tracks, not by the first guess. */
static uint32_t wronged;

static void crossing_trace(hop_sim *sim, double t)
{
    uint32_t pairs[3][2] = {{0, 1}, {0, 2}, {wronged, 3}};

    for (int k = 0; k < 6; k++)
        hop_sim_call(sim, pairs[k / 2][k % 2], pairs[k / 2][1 - k % 2], t + 1e6 * k, 1e5);
}

TEST(no_memory, is_said_and_changes_no_answer)
{
    for (int k = 0; k < 3; k++) {
        hop_sim sim = {.origin = INT64_C(1700000000123456789), .span_ns = 600e9, .reference = TSP_NO_CLOCK};
        wronged = (uint32_t)k;
        tspi_random_seed(&sim.random, seed + (uint64_t)k);
        hop_sim_set_clocks(&sim, 4, false, 0);
        sim.truth[3].x[0] = -15e6;
        sim.truth[3].x[1] = 15e6;
        hop_sim_run(&sim, 0.2, crossing_trace);
        refuse_each(&sim);
        hop_sim_release(&sim);
    }
}

TEST(no_memory, nor_where_a_clock_steps)
{
    hop_sim sim;

    REQUIRE(hop_sim_make(&sim, "step", seed));
    sim.n = sim.n < 1500 ? sim.n : 1500;
    refuse_each(&sim);
    hop_sim_release(&sim);
}
