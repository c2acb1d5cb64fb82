/* Stamps that contradict each other as a body: of those clocks nothing is said, and of the others what would be said
 * without them. Random truth. */
#include <stdlib.h>

#include "test.h"

#include "base/random.h"
#include "solved.h"

enum { CLOCKS_MOST = 9, HOPS_MOST = 16000 };

typedef struct {
    tsp_hop hops[HOPS_MOST];
    size_t n;
    double off_ms[CLOCKS_MOST], ppm[CLOCKS_MOST];
    uint32_t twofold; /* a clock that is two machines, or CLOCKS_MOST: none */
    double part, apart_ms;
    tspi_random random;
} world;

static world *world_new(uint64_t number)
{
    world *w = calloc(1, sizeof *w);

    if (w) {
        tspi_random_seed(&w->random, number);
        w->twofold = CLOCKS_MOST;
    }
    return w;
}

static double draw(world *w, double lo, double hi)
{
    return tspi_random_uniform(&w->random, lo, hi);
}

static uint32_t below(world *w, uint32_t n)
{
    return (uint32_t)tspi_random_below(&w->random, n);
}

/* What a clock shows at a true time in ms. */
static int64_t shown(world *w, uint32_t clock, double t)
{
    double x = w->off_ms[clock] + w->ppm[clock] * 1e-6 * t;

    if (clock == w->twofold && draw(w, 0, 1) < w->part)
        x -= w->apart_ms;
    return T0 + (int64_t)((t + x) * MS);
}

static void add_hop(world *w, uint32_t from, uint32_t to, int64_t sent, int64_t received)
{
    w->hops[w->n] = (tsp_hop){.from = from, .to = to, .sent_ns = sent, .received_ns = received, .tag = w->n};
    w->n++;
}

/* Hops between any two of the clocks, over a minute. */
static void exchange(world *w, uint32_t clocks, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        uint32_t from = below(w, clocks), to = (from + 1 + below(w, clocks - 1)) % clocks;
        double t = 60000.0 * (double)k / (double)n, r = t + 1 + tspi_random_exponential(&w->random, 0.3);
        int64_t sent = shown(w, from, t);
        add_hop(w, from, to, sent, shown(w, to, r));
    }
}

/* Both ways received before sent. */
static void contradict(world *w, uint32_t a, uint32_t b, size_t n)
{
    for (size_t k = 0; k < 2 * n; k++) {
        uint32_t from = k % 2 ? b : a, to = k % 2 ? a : b;
        double t = 60000.0 * (double)k / (double)(2 * n);
        int64_t sent = shown(w, from, t);
        add_hop(w, from, to, sent, shown(w, to, t - draw(w, 1, 5)));
    }
}

static bool is_unknown(const tsp_clock_result *c)
{
    return c->verdict == TSP_CLOCK_UNKNOWN && c->offset_ns == TSP_NO_VALUE && c->lo_ns == TSP_UNBOUNDED_LO &&
           c->hi_ns == TSP_UNBOUNDED_HI && !c->at_least_ns;
}

/* Nothing is called proven where stamps contradict each other. */
static bool is_same(const tsp_clock_result *with, const tsp_clock_result *without)
{
    tsp_clock_verdict verdict = without->verdict == TSP_CLOCK_PROVEN ? TSP_CLOCK_SUSPECTED : without->verdict;
    bool same = with->verdict == verdict && with->offset_ns == without->offset_ns && with->lo_ns == without->lo_ns &&
                with->hi_ns == without->hi_ns && with->drift_ppb == without->drift_ppb &&
                with->is_reference == without->is_reference && with->knots_n == without->knots_n;

    for (size_t k = 0; same && k < with->knots_n; k++)
        same = with->knots[k].at_ns == without->knots[k].at_ns && with->knots[k].lo_ns == without->knots[k].lo_ns &&
               with->knots[k].hi_ns == without->knots[k].hi_ns;
    return same;
}

TEST(contradicted, the_others_are_as_without_it)
{
    for (uint64_t round = 0; round < 12; round++) {
        world *w = world_new(seed + round);
        REQUIRE(w);
        uint32_t sound = 3 + below(w, 4), x = sound;
        for (uint32_t c = 1; c < sound; c++)
            w->off_ms[c] = below(w, 2) ? draw(w, -30, 30) : 0;
        exchange(w, sound, 1000 + below(w, 4000));
        size_t before = w->n;
        for (uint32_t c = 0, many = 1 + below(w, sound); c < many; c++)
            contradict(w, c, x, 5 + below(w, below(w, 2) ? 20 : 300));
        tsp_solver *without = solve(sound + 1, TSP_NO_CLOCK, w->hops, before);
        tsp_solver *with = solve(sound + 1, TSP_NO_CLOCK, w->hops, w->n);
        REQUIRE(with && without);
        CHECK(summary_of(with).contradictory && !summary_of(without).contradictory);
        for (uint32_t c = 0; c < sound; c++) {
            tsp_clock_result a = clock_of(with, c), b = clock_of(without, c);
            if (!is_same(&a, &b))
                TEST_FAIL("round %u: clock %u is %d, %lld; without the contradiction %d, %lld", (unsigned)round, c,
                          a.verdict, (long long)a.offset_ns, b.verdict, (long long)b.offset_ns);
        }
        tsp_clock_result of_x = clock_of(with, x);
        CHECK(is_unknown(&of_x));
        CHECK_INT(of_x.hops_in + of_x.hops_out, w->n - before);
        CHECK_INT(summary_of(with).conflicts, w->n - before);
        for (size_t k = before; k < w->n; k++)
            CHECK_INT(tsp_solver_hop_label(with, k), TSP_HOP_CONFLICT);
        size_t links;
        CHECK(tsp_solver_conflict(with, &links) && links >= 2);
        tsp_solver_free(with);
        tsp_solver_free(without);
        free(w);
    }
}

/* Of clocks 0 to n - 2 clock 1 is off by 30 ms, and of clock n - 1 nothing can be said. False: no contradiction was
 * found. */
static bool judge_beside(world *w, uint32_t n, const char *what)
{
    tsp_solver *solver = solve(n, TSP_NO_CLOCK, w->hops, w->n);

    if (!solver)
        return false;
    bool contradictory = summary_of(solver).contradictory;
    for (uint32_t c = 0; c + 1 < n && contradictory; c++) {
        tsp_clock_result of = clock_of(solver, c);
        if (of.verdict != (c == 1 ? TSP_CLOCK_SUSPECTED : TSP_CLOCK_OK) ||
            llabs(of.offset_ns - (c == 1 ? 30 * MS : 0)) > 200000)
            TEST_FAIL("%s: clock %u is %d, %lld", what, c, of.verdict, (long long)of.offset_ns);
    }
    tsp_clock_result last = clock_of(solver, n - 1);
    if (contradictory && (last.verdict != TSP_CLOCK_UNKNOWN || last.offset_ns != TSP_NO_VALUE || last.steps_n))
        TEST_FAIL("%s: of clock %u: %d, %lld, %zu steps", what, n - 1, last.verdict, (long long)last.offset_ns,
                  last.steps_n);
    tsp_solver_free(solver);
    return contradictory;
}

/* Two machines go by one name, and their clocks are apart. */
TEST(contradicted, two_machines_of_one_name)
{
    uint32_t told = 0;

    for (uint64_t round = 0; round < 12; round++) {
        world *w = world_new(seed + round);
        REQUIRE(w);
        uint32_t n = 5 + below(w, 4);
        w->off_ms[1] = 30;
        w->twofold = n - 1;
        w->part = draw(w, 0.35, 0.65);
        w->apart_ms = draw(w, 8, 40);
        exchange(w, n, (40 + below(w, 100)) * n * (n - 1));
        told += judge_beside(w, n, "two machines");
        free(w);
    }
    CHECK_INT(told, 12);
}

/* A clock that drifts far beyond the limit. */
TEST(contradicted, a_clock_beyond_the_drift_limit)
{
    for (uint64_t round = 0; round < 12; round++) {
        world *w = world_new(seed + round);
        REQUIRE(w);
        uint32_t n = 5 + below(w, 4);
        w->off_ms[1] = 30;
        w->ppm[n - 1] = (below(w, 2) ? 1 : -1) * draw(w, 500, 5000);
        exchange(w, n, 3000 + below(w, 6000));
        CHECK(judge_beside(w, n, "a fast clock"));
        free(w);
    }
}

/* Where nothing else is left nothing is said of anybody; but a reference that was named is the truth. */
TEST(contradicted, nothing_but_contradictions)
{
    for (uint64_t round = 0; round < 40; round++) {
        world *w = world_new(seed + round);
        REQUIRE(w);
        uint32_t n = 2 + below(w, 4), named = round % 4 ? TSP_NO_CLOCK : below(w, n);
        size_t each = 4 + below(w, below(w, 2) ? 8 : 300); /* of fewer, one lie each may be taken for all */
        for (uint32_t c = 0; c < n; c++)
            w->off_ms[c] = draw(w, -5, 5);
        if (round % 2 || n == 2) /* any two both ways, or a ring one way */
            for (uint32_t c = 0; c < n; c++)
                for (uint32_t d = 0; d < c; d++)
                    contradict(w, c, d, each);
        else
            for (size_t k = 0; k < each * n; k++) {
                uint32_t c = (uint32_t)(k % n), d = (c + 1) % n;
                double t = 20.0 * (double)k;
                int64_t sent = shown(w, c, t);
                add_hop(w, c, d, sent, shown(w, d, t - draw(w, 12, 20)));
            }
        tsp_solver *solver = solve(n, named, w->hops, w->n);
        REQUIRE(solver);
        CHECK(summary_of(solver).contradictory);
        for (uint32_t c = 0; c < n; c++) {
            tsp_clock_result of = clock_of(solver, c);
            if (c == named ? of.verdict != TSP_CLOCK_OK : !is_unknown(&of))
                TEST_FAIL("round %u: clock %u of %u is %d, %lld", (unsigned)round, c, n, of.verdict,
                          (long long)of.offset_ns);
        }
        CHECK_INT(summary_of(solver).violations_lies, summary_of(solver).violations_before);
        tsp_solver_free(solver);
        free(w);
    }
}

/* More hops may follow a run, and then the contradiction may be none. */
TEST(contradicted, what_was_set_aside_takes_part_again)
{
    world *w = world_new(seed);
    tsp_solver_config config = {.clocks = 3, .reference = TSP_NO_CLOCK};
    tsp_solver *solver, *again;

    REQUIRE(w);
    exchange(w, 2, 400);
    contradict(w, 0, 2, 100);
    size_t first = w->n;
    exchange(w, 3, 400);
    solver = solve_with(&config, w->hops, first);
    again = solve_with(&config, w->hops, w->n);
    REQUIRE(solver && again);
    REQUIRE(tsp_solver_add_hops(solver, w->hops + first, w->n - first, NULL) == TSP_OK);
    REQUIRE(tsp_solver_run(solver, NULL) == TSP_OK);
    for (uint32_t c = 0; c < 3; c++) {
        tsp_clock_result a = clock_of(solver, c), b = clock_of(again, c);
        CHECK(a.verdict == b.verdict && a.offset_ns == b.offset_ns && a.lo_ns == b.lo_ns && a.hi_ns == b.hi_ns);
        CHECK_INT(a.hops_in, b.hops_in);
    }
    for (size_t k = 0; k < w->n; k++)
        CHECK_INT(tsp_solver_hop_label(solver, k), tsp_solver_hop_label(again, k));
    tsp_solver_free(solver);
    tsp_solver_free(again);
    free(w);
}
