/* The streaming summary held against the truth, and against itself: whoever saw the hops, in whatever order. */
#include "test.h"

#include "hop_sim.h"
#include "score.h"
#include "solve/stream_summary.h"
#include "truespan/stream.h"

#ifndef SEEDS
#define SEEDS 3
#endif

static tsp_stream *new_stream(void)
{
    tsp_stream_config config = {0};
    tsp_stream *stream = NULL;

    if (tsp_stream_new(&config, &stream, NULL) != TSP_OK)
        abort();
    return stream;
}

/* Names in the order of the clocks' numbers. */
static void clock_name(uint32_t clock, char ret[16])
{
    snprintf(ret, 16, "clock-%05u", clock);
}

/* Add hop k of the simulation, by names, as an instance would that has seen the clocks in an order of its own. */
static void add(tsp_stream *stream, const hop_sim *sim, size_t k)
{
    tsp_hop hop = sim->hops[k];
    char from[16], to[16];

    clock_name(hop.from, from);
    clock_name(hop.to, to);
    hop.tag = k;
    if (tsp_stream_clock(stream, from, &hop.from, NULL) != TSP_OK ||
        tsp_stream_clock(stream, to, &hop.to, NULL) != TSP_OK || tsp_stream_add_hops(stream, &hop, 1, NULL) != TSP_OK)
        abort();
}

static size_t *shuffled(size_t n, tspi_random *random)
{
    size_t *order = malloc((n + 1) * sizeof *order);

    for (size_t k = 0; k < n; k++)
        order[k] = k;
    for (size_t k = n; k > 1; k--) {
        size_t other = tspi_random_below(random, k), kept = order[k - 1];
        order[k - 1] = order[other];
        order[other] = kept;
    }
    return order;
}

enum { INSTANCES = 3 };

/* Every hop to one of three instances, in random order; two are merged in memory, one as bytes. */
static tsp_stream *feed(const hop_sim *sim, tspi_random *random)
{
    tsp_stream *instances[INSTANCES];
    size_t *order = shuffled(sim->n, random), n = 0;
    uint8_t *bytes = NULL;
    tsp_error err = {0};

    for (int k = 0; k < INSTANCES; k++)
        instances[k] = new_stream();
    for (size_t k = 0; k < sim->n; k++)
        add(instances[tspi_random_below(random, INSTANCES)], sim, order[k]);
    CHECK_STATUS(tsp_stream_merge(instances[0], instances[1], &err), TSP_OK, &err);
    CHECK_STATUS(tsp_stream_pack(instances[2], &bytes, &n, &err), TSP_OK, &err);
    CHECK_STATUS(tsp_stream_merge_packed(instances[0], bytes, n, &err), TSP_OK, &err);
    free(bytes);
    free(order);
    for (int k = 1; k < INSTANCES; k++)
        tsp_stream_free(instances[k]);
    return instances[0];
}

/* p99_us: a limit on every seed's p99, some three times the worst of a hundred seeds. invented: steps a seed that are
 * none. */
static void recover(const char *shape, double p99_us, uint32_t invented)
{
    uint64_t found = 0, steps = 0;

    for (unsigned k = 0; k < SEEDS; k++) {
        hop_sim sim;
        sim_score s;
        tspi_random random;
        tsp_solver *solver = NULL;
        tsp_stream_totals totals;
        tsp_error err = {0};
        tspi_random_seed(&random, seed + k);
        REQUIRE(hop_sim_make(&sim, shape, seed + k));
        tsp_stream *stream = feed(&sim, &random);
        CHECK_STATUS(tsp_stream_solver(stream, "clock-00000", &solver, NULL, &err), TSP_OK, &err);
        CHECK_STATUS(tsp_solver_run(solver, &err), TSP_OK, &err);
        REQUIRE(sim_score_solver(&sim, solver, &s));
        tsp_stream_totals_of(stream, &totals);
        printf("# %s, seed %" PRIu64 ": p50 %.2f p99 %.2f us, %" PRIu64 " of %" PRIu64 " hops kept\n", shape, seed + k,
               s.p50_us, s.p99_us, totals.kept, totals.hops);
        CHECK_INT(totals.hops_now, sim.n);
        CHECK(s.knots > 0);
        CHECK_INT(s.covered, s.knots);
        CHECK_INT(s.after, 0);
        CHECK_INT(s.accused, 0);
        CHECK(s.steps <= s.steps_true + invented);
        CHECK(s.p99_us <= p99_us);
        steps += s.steps_true;
        found += s.steps_found;
        tsp_solver_free(solver);
        tsp_stream_free(stream);
        hop_sim_release(&sim);
    }
    CHECK_INT(found, steps);
}

TEST(stream, rpc)
{
    recover("rpc", 4, 0);
}

TEST(stream, step)
{
    recover("step", 6, 0);
}

TEST(stream, wander)
{
    recover("wander", 25, 0);
}

TEST(stream, late_stamps)
{
    recover("late", 6, 0);
}

TEST(stream, pipeline)
{
    recover("pipeline", 20, 0);
}

TEST(stream, sparse_mesh)
{
    recover("mesh", 120, 0);
}

/* 250 hops an edge and second, 2 % of stamps late: the fastest hops that are kept are mostly lies. Of all the hops,
 * too, the solver makes a step of some us now and then. */
TEST(stream, dense_with_lies)
{
    recover("dense", 10, 4);
}
