/* What a run says of its processes' memory: the growth that was put into random series, and what /proc says. */
#include "test.h"

#include <sys/mman.h>

#include "base/random.h"
#include "lab/memory_log.h"

static const uint64_t mb = 1000000;

/* A series of so many minutes, a sample every 10 s or so: settled + growth * minutes, noise below 1 MB. The first
 * minute is a climb that must not count. */
static void note_series(tspi_memory_log *log, const char *name, double minutes, double mb_a_minute, tspi_random *random)
{
    int64_t begun_ns = (int64_t)tspi_random_below(random, 1000) * TSP_NS_PER_S;

    for (double at_s = 0; at_s <= 60 * minutes; at_s += 9.5 + tspi_random_unit(random)) {
        double climb = at_s < 60 ? 20 * (at_s / 60 - 1) : 0;
        double size = 50 + climb + mb_a_minute * at_s / 60 + tspi_random_unit(random);
        tspi_memory_note(log, name, begun_ns + (int64_t)(at_s * 1e9), (uint64_t)(size * 1e6));
    }
}

TEST(memory_log, growth_is_what_was_put_in)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 200; k++) {
        tspi_memory_log log = {0};
        double minutes = 3.5 + 30 * tspi_random_unit(&random), slope = 4 * tspi_random_unit(&random) - 1;
        note_series(&log, "inference-0", minutes, slope, &random);
        REQUIRE(log.n == 1);
        tspi_memory_figures figures = tspi_memory_measure(&log.rows[0]);
        /* From the middle of the second minute to the middle of the last one. */
        double want = slope * (minutes - 2) * 1e6;
        CHECK(figures.growth_known);
        CHECK_NEAR((double)figures.growth, want, 1.2e6 + 0.4e6 * fabs(slope));
        CHECK_NEAR(1e-9 * (double)figures.for_ns, 60 * minutes, 11);
        CHECK(figures.start < 31 * mb + mb && figures.peak >= figures.end && figures.peak >= figures.start);
        tspi_memory_release(&log);
    }
}

TEST(memory_log, a_short_run_does_not_say)
{
    tspi_memory_log log = {0};
    tspi_random random;

    tspi_random_seed(&random, seed);
    note_series(&log, "sink-0", 2.8, 10, &random);
    tspi_memory_note(&log, "gateway-0", 5, 7 * mb);
    CHECK(!tspi_memory_measure(&log.rows[0]).growth_known);
    tspi_memory_figures one = tspi_memory_measure(&log.rows[1]);
    CHECK(!one.growth_known && one.start == 7 * mb && one.peak == 7 * mb && one.end == 7 * mb && !one.for_ns);
    tspi_memory_release(&log);
}

/* After a failure everything is started anew: a process of the same name is another one. */
TEST(memory_log, a_restart_begins_a_row_and_the_longest_life_counts)
{
    tspi_memory_log log = {0};
    tspi_random random;

    tspi_random_seed(&random, seed);
    note_series(&log, "sink-0", 2, 0, &random);
    tspi_memory_restart(&log);
    note_series(&log, "sink-0", 5, 0, &random);
    tspi_memory_restart(&log);
    note_series(&log, "sink-0", 1, 0, &random);
    CHECK_INT(log.n, 3);
    CHECK(!tspi_memory_is_longest(&log, 0) && tspi_memory_is_longest(&log, 1) && !tspi_memory_is_longest(&log, 2));
    tspi_memory_release(&log);
}

/* Memory of one's own counts, what is mapped and not touched does not, nor what is shared. */
TEST(memory_log, what_proc_says_of_this_process)
{
    const size_t size = 64 * 1024 * 1024;
    uint64_t before = tspi_memory_of(getpid());
    char *own = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    REQUIRE(own != MAP_FAILED && shared != MAP_FAILED);
    CHECK(before > 0 && tspi_memory_of(getpid()) < before + size / 8);
    memset(shared, 1, size);
    CHECK(tspi_memory_of(getpid()) < before + size / 8);
    memset(own, 1, size);
    uint64_t after = tspi_memory_of(getpid());
    CHECK(after > before + size - size / 8 && after < before + size + size / 8);
    munmap(own, size);
    munmap(shared, size);
    CHECK_INT(tspi_memory_of(0x7ffffff0), 0);
}
