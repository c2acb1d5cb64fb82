/* Traces to clocks and back: what tspi_mend_correct says is left must be what an audit of the written file finds,
 * however coarsely its processes stamp. */
#include "mend/mend.h"

#include <unistd.h>

#include "base/random.h"
#include "temporary.h"
#include "test.h"
#include "violations_in.h"

#define MS INT64_C(1000000)
#define EPOCH_NS INT64_C(1700000000123456789)
enum { HOSTS = 5, CALLS = 250 };

typedef struct {
    int64_t offset_ns[HOSTS];
    int64_t grid_ns[HOSTS]; /* stamps are multiples of it, rounded down */
} world;

static long long stamp(const world *w, int host, int64_t ns)
{
    int64_t local = ns + w->offset_ns[host];
    return local - local % w->grid_ns[host];
}

static void write_span(FILE *f, const world *w, int host, uint64_t trace, uint64_t id, uint64_t parent, int kind,
                       int64_t start, int64_t end)
{
    char parent_text[20] = "";

    if (parent)
        snprintf(parent_text, sizeof parent_text, "%016llx", (unsigned long long)parent);
    fprintf(f,
            "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"host.name\",\"value\":{\"stringValue\":"
            "\"host-%d\"}}]},\"scopeSpans\":[{\"spans\":[{\"traceId\":\"%032llx\",\"spanId\":\"%016llx\","
            "\"parentSpanId\":\"%s\",\"kind\":%d,\"name\":\"op\",\"startTimeUnixNano\":\"%lld\","
            "\"endTimeUnixNano\":\"%lld\"}]}]}]}\n",
            host, (unsigned long long)trace, (unsigned long long)id, parent_text, kind, stamp(w, host, start),
            stamp(w, host, end));
}

/* Calls between random hosts; a CLIENT span, a SERVER span and one inside it. */
static void write_trace(const char *path, const world *w, tspi_random *random)
{
    FILE *f = fopen(path, "w");

    if (!f)
        abort();
    for (uint64_t k = 0; k < CALLS; k++) {
        int a = (int)tspi_random_below(random, HOSTS), b = (a + 1 + (int)tspi_random_below(random, HOSTS - 1)) % HOSTS;
        int64_t start = EPOCH_NS + (int64_t)k * 40 * MS + (int64_t)tspi_random_below(random, 1000);
        int64_t begin = start + MS + (int64_t)tspi_random_exponential(random, 3e5);
        int64_t end = begin + 2 * MS, back = end + MS + (int64_t)tspi_random_exponential(random, 3e5);
        write_span(f, w, a, k + 1, 4 * k + 1, 0, 3, start, back);
        write_span(f, w, b, k + 1, 4 * k + 2, 4 * k + 1, 2, begin, end);
        write_span(f, w, b, k + 1, 4 * k + 3, 4 * k + 2, 1, begin + 100, end - 100);
    }
    fclose(f);
}

static void mend_one(const world *w, tspi_random *random, bool coarse)
{
    char *in = temporary("in.json"), *out = temporary("out.json");
    tspi_mend mend;
    tspi_mend_outcome outcome;
    tspi_mend_options options = {.paths = (const char *const *)&in, .paths_n = 1};
    tsp_error err = {0};

    write_trace(in, w, random);
    tsp_status rc = tspi_mend_open(&mend, &options, &err);
    CHECK_STATUS(rc, TSP_OK, &err);
    if (rc == TSP_OK) {
        CHECK(tspi_mend_correct(&mend, false, &outcome, &err) == TSP_OK);
        CHECK(tspi_mend_write(&mend, out, &err) == TSP_OK);
        CHECK_INT(outcome.before.total, violations_in(in));
        CHECK_INT(outcome.left.total, violations_in(out));
        CHECK_INT(outcome.left.hard + outcome.left.soft, 0);
        CHECK(coarse || outcome.left.total == 0);
        for (uint32_t c = 0; c < mend.causal.clocks.clocks_n; c++) {
            int host = atoi(mend.causal.clocks.clocks[c].name + strlen("host-"));
            const tsp_track *track = mend.answer.clocks[c].track;
            /* A right clock stays, or gives way by less than its neighbours' stamps are coarse. */
            if (mend.moves[c] && !w->offset_ns[host]) {
                CHECK(coarse);
                CHECK_NEAR((double)tsp_track_offset(track, EPOCH_NS), 0, 1e6);
            }
        }
    }
    tspi_mend_release(&mend);
    unlink(in);
    unlink(out);
    free(in);
    free(out);
}

TEST(mend, what_is_left_is_what_an_audit_finds)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 8; round++) {
        world w = {{0}, {1, 1, 1, 1, 1}};
        w.offset_ns[1 + tspi_random_below(&random, HOSTS - 1)] =
            (round % 2 ? 1 : -1) * (int64_t)(4 * MS + (int64_t)tspi_random_below(&random, 20 * MS));
        mend_one(&w, &random, false);
    }
}

/* Clocks that stamp in whole ms or us, the wrong ones among them: once moved by no whole ms they no longer look coarse.
 */
TEST(mend, coarse_stamps_leave_no_hop_broken)
{
    static const int64_t grids[] = {1, 1000, 1000000};
    tspi_random random;

    tspi_random_seed(&random, seed + 1);
    for (int round = 0; round < 8; round++) {
        world w = {{0}, {1, 1, 1, 1, 1}};
        for (int h = 0; h < HOSTS; h++)
            w.grid_ns[h] = grids[tspi_random_below(&random, 3)];
        w.offset_ns[1 + tspi_random_below(&random, HOSTS - 1)] =
            (round % 2 ? 1 : -1) * (int64_t)(4 * MS + (int64_t)tspi_random_below(&random, 20 * MS));
        mend_one(&w, &random, true);
    }
}

TEST(mend, no_skew_moves_nothing)
{
    tspi_random random;
    world w = {{0}, {1, 1000, 1, 1, 1000000}};
    char *in = temporary("still.json");
    tspi_mend_options options = {.paths = (const char *const *)&in, .paths_n = 1};
    tspi_mend mend;
    tspi_mend_outcome outcome;

    tspi_random_seed(&random, seed + 2);
    write_trace(in, &w, &random);
    REQUIRE(tspi_mend_open(&mend, &options, NULL) == TSP_OK);
    CHECK(tspi_mend_correct(&mend, false, &outcome, NULL) == TSP_OK);
    CHECK(outcome.spans_moved == 0);
    CHECK(outcome.clocks_moved == 0);
    tspi_mend_release(&mend);
    unlink(in);
    free(in);
}
