/* Dense traffic solved from a part of its hops: the verdicts and, nearly, the tracks of the whole; nothing left broken;
 * bounds that hold. */
#include "mend/mend.h"

#include <unistd.h>

#include "../bench/shapes.h"
#include "base/random.h"
#include "temporary.h"
#include "test.h"
#include "violations_in.h"

#define MS INT64_C(1000000)
#define EPOCH_NS INT64_C(1700000000123456789)
enum { HOSTS = 5, SECONDS = 30, CALLS = 1000 * SECONDS };

typedef struct {
    int64_t offset_ns[HOSTS], step_ns; /* host 1 steps in the middle */
    double drift[HOSTS], late;         /* late: the share of stamps that are written 5 to 15 ms late */
} world;

static int64_t offset(const world *w, int host, int64_t ns)
{
    int64_t stepped = host == 1 && ns > EPOCH_NS + SECONDS * TSP_NS_PER_S / 2 ? w->step_ns : 0;

    return w->offset_ns[host] + stepped + (int64_t)((double)(ns - EPOCH_NS) * w->drift[host]);
}

static void put_span(tspi_buf *spans, const world *w, int host, const uint64_t ids[4], unsigned kind, int64_t start,
                     int64_t end)
{
    tspi_buf span = {0};

    put_span_fields(&span, ids, "op", kind, start + offset(w, host, start), end + offset(w, host, end));
    put_bytes(spans, 2, span.data, span.len);
    tspi_buf_release(&span);
}

/* Calls between random hosts: 1 ms there and back and Exp(0.3 ms), 50 a second on each of 20 edges. */
static uint64_t write_calls(const char *path, const world *w, tspi_random *random)
{
    tspi_buf spans[HOSTS] = {0}, out = {0};
    FILE *f = fopen(path, "w");
    uint64_t late_n = 0;

    if (!f)
        abort();
    for (uint64_t k = 1; k <= CALLS; k++) {
        int a = (int)tspi_random_below(random, HOSTS), b = (a + 1 + (int)tspi_random_below(random, HOSTS - 1)) % HOSTS;
        int64_t start = EPOCH_NS + (int64_t)k * MS + (int64_t)tspi_random_below(random, 1000);
        int64_t begin = start + MS + (int64_t)tspi_random_exponential(random, 3e5);
        int64_t end = begin + 2 * MS, back = end + MS + (int64_t)tspi_random_exponential(random, 3e5);
        if (tspi_random_unit(random) < w->late) {
            start += 5 * MS + (int64_t)tspi_random_below(random, 10 * MS);
            late_n++;
        }
        put_span(&spans[a], w, a, (uint64_t[]){k, k, 2 * k, 0}, 3, start, back > start ? back : start);
        put_span(&spans[b], w, b, (uint64_t[]){k, k, 2 * k + 1, 2 * k}, 2, begin, end);
    }
    for (int h = 0; h < HOSTS; h++) {
        char name[16];
        snprintf(name, sizeof name, "host-%d", h);
        put_batch(&out, &(shape_attribute){"host.name", name}, 1, &spans[h]);
        tspi_buf_release(&spans[h]);
    }
    if (fwrite(out.data, 1, out.len, f) != out.len || fclose(f) != 0)
        abort();
    tspi_buf_release(&out);
    return late_n;
}

typedef struct {
    tspi_mend whole, thin;
    tspi_mend_outcome whole_outcome, thin_outcome;
    uint64_t late_n; /* stamps that were written late */
} pair;

static void mend_both(const world *w, tspi_random *random, pair *ret)
{
    char *in = temporary("in.pb"), *out = temporary("out.pb");
    tspi_mend_options options = {.paths = (const char *const *)&in, .paths_n = 1, .keep = true};
    tsp_error err = {0};

    ret->late_n = write_calls(in, w, random);
    REQUIRE(tspi_mend_open(&ret->whole, &options, &err) == TSP_OK);
    REQUIRE(tspi_mend_correct(&ret->whole, false, &ret->whole_outcome, &err) == TSP_OK);
    options.thin = true;
    options.thin_least = 1;
    REQUIRE(tspi_mend_open(&ret->thin, &options, &err) == TSP_OK);
    REQUIRE(tspi_mend_correct(&ret->thin, false, &ret->thin_outcome, &err) == TSP_OK);
    REQUIRE(tspi_mend_write(&ret->thin, out, &err) == TSP_OK);
    CHECK_INT(ret->thin_outcome.before.total, ret->whole_outcome.before.total);
    CHECK_INT(ret->thin_outcome.left.total, violations_in(out));
    unlink(in);
    unlink(out);
    free(in);
    free(out);
}

static void release(pair *p)
{
    tspi_mend_release(&p->whole);
    tspi_mend_release(&p->thin);
}

static int host_of(const tspi_mend *m, uint32_t clock)
{
    return atoi(m->causal.clocks.clocks[clock].name + strlen("host-"));
}

/* The largest distance of the tracks from the truth; and every bound holds where no stamp lies. */
static double worst_error(const world *w, const tspi_mend *m)
{
    double worst = 0;

    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++) {
        const tsp_clock_result *row = &m->answer.clocks[c];
        for (size_t k = 0; k < row->knots_n; k++) {
            const tsp_knot *knot = &row->knots[k];
            int host = host_of(m, c);
            int64_t truth = offset(w, host, knot->at_ns - offset(w, host, knot->at_ns));
            CHECK(w->late > 0 || knot->lo_ns <= truth + 2);
            CHECK(w->late > 0 || knot->hi_ns >= truth - 2);
            double error = fabs((double)(tsp_track_offset(row->track, knot->at_ns) - truth));
            worst = error > worst ? error : worst;
        }
    }
    return worst;
}

static world random_world(tspi_random *random)
{
    world w = {0};
    int a = 1 + (int)tspi_random_below(random, HOSTS - 1), b = 1 + (int)tspi_random_below(random, HOSTS - 1);

    w.offset_ns[a] = 4 * MS + (int64_t)tspi_random_below(random, 20 * MS);
    w.offset_ns[b] = -(4 * MS + (int64_t)tspi_random_below(random, 20 * MS));
    w.drift[a] = (tspi_random_unit(random) - 0.5) * 60e-6;
    return w;
}

static uint64_t steps_of(const tspi_mend *m)
{
    uint64_t n = 0;

    for (uint32_t c = 0; c < m->causal.clocks.clocks_n; c++)
        n += m->answer.clocks[c].steps_n;
    return n;
}

static void check_alike(const pair *p)
{
    for (uint32_t c = 0; c < p->whole.causal.clocks.clocks_n; c++) {
        CHECK_INT(p->thin.answer.clocks[c].verdict, p->whole.answer.clocks[c].verdict);
        CHECK_INT(p->thin.moves[c], p->whole.moves[c]);
    }
}

TEST(thin, a_part_of_dense_traffic_says_what_the_whole_says)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 2; round++) {
        world w = random_world(&random);
        pair p = {0};
        mend_both(&w, &random, &p);
        CHECK(p.thin.thinned);
        CHECK(p.thin.answer.hops_fed < p.whole.answer.hops_fed / 2);
        CHECK_INT(p.whole_outcome.left.total, 0);
        CHECK_INT(p.thin_outcome.left.total, 0);
        check_alike(&p);
        CHECK(worst_error(&w, &p.whole) < 25e3);
        CHECK(worst_error(&w, &p.thin) < 50e3);
        release(&p);
    }
}

/* 1 % of stamps are late: what is left are violations of theirs, and nobody is accused for them nor said to step. */
TEST(thin, late_stamps_are_told_from_clocks)
{
    tspi_random random;

    tspi_random_seed(&random, seed + 1);
    for (int round = 0; round < 2; round++) {
        world w = round ? random_world(&random) : (world){0};
        pair p = {0};
        w.late = 0.01;
        mend_both(&w, &random, &p);
        CHECK(p.thin.thinned);
        CHECK(p.thin_outcome.left.total <= p.late_n);
        CHECK(p.thin_outcome.left.total <= p.whole_outcome.left.total);
        for (uint32_t c = 0; c < p.thin.causal.clocks.clocks_n; c++)
            CHECK_INT(p.thin.moves[c], w.offset_ns[host_of(&p.thin, c)] != 0);
        CHECK_INT(steps_of(&p.whole), 0);
        CHECK_INT(steps_of(&p.thin), 0);
        CHECK(worst_error(&w, &p.whole) < 50e3);
        CHECK(worst_error(&w, &p.thin) < 50e3);
        release(&p);
    }
}

/* What is not dense, and what steps, is solved with every hop. */
TEST(thin, steps_want_every_hop)
{
    tspi_random random;
    world w = {.offset_ns = {0, 0, 5 * MS}, .step_ns = 9 * MS};
    pair p = {0};

    tspi_random_seed(&random, seed + 2);
    mend_both(&w, &random, &p);
    CHECK(!p.thin.thinned);
    CHECK_INT(p.thin.answer.hops_fed, p.whole.answer.hops_fed);
    CHECK_INT(p.thin_outcome.left.total, p.whole_outcome.left.total);
    for (size_t k = 0; k < p.whole.set.spans_n; k++)
        if (p.whole.set.spans[k].start_ns != p.thin.set.spans[k].start_ns ||
            p.whole.set.spans[k].end_ns != p.thin.set.spans[k].end_ns) {
            CHECK(false);
            break;
        }
    release(&p);
}
