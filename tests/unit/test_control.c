#include "test.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "base/random.h"
#include "lab/control.h"

static void open_pair(tspi_control *one, tspi_control *other)
{
    int fds[2] = {-1, -1};

    if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        TEST_FAIL("no socket pair");
    tspi_control_init(one, fds[0], fds[0]);
    tspi_control_init(other, fds[1], fds[1]);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    fcntl(fds[1], F_SETFL, O_NONBLOCK);
}

/* Lines come out whole however the stream is cut into pieces. */
TEST(control, lines_split_anywhere)
{
    enum { LINES = 2000 };
    tspi_control in, out;
    tspi_random random;
    tspi_buf text = {0};
    size_t sent = 0, got = 0;
    char *line;

    tspi_random_seed(&random, seed);
    open_pair(&in, &out);
    for (int k = 0; k < LINES; k++)
        tspi_buf_printf(&text, "%d %.*s\n", k, (int)tspi_random_below(&random, 60),
                        "the quick brown fox jumps over the lazy dog, twice and again");
    while (got < LINES) {
        size_t piece = 1 + tspi_random_below(&random, tspi_random_below(&random, 8) ? 30 : 9000);
        if (piece > text.len - sent)
            piece = text.len - sent;
        ssize_t n = write(out.out_fd, text.data + sent, piece);
        sent += n > 0 ? (size_t)n : 0;
        tsp_status rc;
        while ((rc = tspi_control_recv(&in, &line, NULL)) == TSP_OK) {
            CHECK_INT(atoi(line), got);
            CHECK(!strchr(line, '\n'));
            got++;
        }
        CHECK_INT(rc, TSP_EAGAIN);
    }
    CHECK_INT(sent, text.len);
    tspi_control_close(&out);
    CHECK_INT(tspi_control_recv(&in, &line, NULL), TSP_ECLOSED);
    tspi_control_close(&in);
    tspi_buf_release(&text);
}

TEST(control, an_endless_line_is_refused)
{
    tspi_control in, out;
    char piece[4096], *line;
    tsp_status rc = TSP_EAGAIN;
    size_t total = 0;

    open_pair(&in, &out);
    memset(piece, 'x', sizeof piece);
    while (rc == TSP_EAGAIN && total < 1024 * 1024) {
        ssize_t n = write(out.out_fd, piece, sizeof piece);
        total += n > 0 ? (size_t)n : 0;
        rc = tspi_control_recv(&in, &line, NULL);
    }
    CHECK_INT(rc, TSP_EPARSE);
    tspi_control_close(&in);
    tspi_control_close(&out);
}

TEST(control, a_line_to_nobody_says_so)
{
    tspi_control in, out;
    tsp_error err = {0};

    open_pair(&in, &out);
    CHECK_STATUS(tspi_control_send(&out, &err, "hello %d", 7), TSP_OK, &err);
    tspi_control_close(&in);
    CHECK_STATUS(tspi_control_send(&out, &err, "hello"), TSP_ECLOSED, &err);
    tspi_control_close(&out);
    tspi_control_close(&out); /* twice is fine */
}

static int64_t any(tspi_random *random)
{
    return (int64_t)(tspi_random_u64(random) >> (1 + tspi_random_below(random, 63))) *
           (tspi_random_below(random, 2) ? 1 : -1);
}

static tspi_block draw_block(tspi_random *random)
{
    tspi_block block = {
        .id = (uint32_t)tspi_random_u64(random),
        .arrival = (enum tspi_arrival)tspi_random_below(random, 3),
        .rate_per_s = tspi_random_exponential(random, 1000),
        .concurrency = (uint32_t)tspi_random_u64(random),
        .requests = (uint32_t)tspi_random_u64(random),
        .duration_ns = any(random),
        .seed = tspi_random_u64(random),
        .clock =
            {
                .offset_ns = any(random),
                .drift_ppb = any(random),
                .wander_ppb = any(random),
                .ntp_peak_ns = any(random),
                .ntp_period_ns = any(random),
                .seed = tspi_random_u64(random),
                .steps_n = (uint32_t)tspi_random_below(random, TSPI_CLOCK_STEPS_MAX + 1),
            },
    };

    for (uint32_t k = 0; k < block.clock.steps_n; k++) {
        block.clock.steps[k].at_ns = any(random);
        block.clock.steps[k].size_ns = any(random);
        block.clock.steps[k].slew_ppb = any(random);
    }
    size_t len = tspi_random_below(random, 4) ? tspi_random_below(random, 200) : 0;
    for (size_t k = 0; k < len; k++) {
        uint8_t c = (uint8_t)(1 + tspi_random_below(random, 255));
        block.folder[k] = c == '\n' ? ' ' : (char)c; /* any path but one with a line's end */
    }
    return block;
}

static void check_same_block(const tspi_block *got, const tspi_block *want)
{
    const tspi_clock_model *a = &got->clock, *b = &want->clock;

    CHECK_INT(got->id, want->id);
    CHECK_INT(got->arrival, want->arrival);
    CHECK(got->rate_per_s == want->rate_per_s);
    CHECK_INT(got->concurrency, want->concurrency);
    CHECK_INT(got->requests, want->requests);
    CHECK_INT(got->duration_ns, want->duration_ns);
    CHECK(got->seed == want->seed && a->seed == b->seed);
    CHECK_INT(a->offset_ns, b->offset_ns);
    CHECK_INT(a->drift_ppb, b->drift_ppb);
    CHECK_INT(a->wander_ppb, b->wander_ppb);
    CHECK_INT(a->ntp_peak_ns, b->ntp_peak_ns);
    CHECK_INT(a->ntp_period_ns, b->ntp_period_ns);
    CHECK_INT(a->steps_n, b->steps_n);
    for (uint32_t k = 0; k < b->steps_n && k < a->steps_n; k++) {
        CHECK_INT(a->steps[k].at_ns, b->steps[k].at_ns);
        CHECK_INT(a->steps[k].size_ns, b->steps[k].size_ns);
        CHECK_INT(a->steps[k].slew_ppb, b->steps[k].slew_ppb);
    }
    CHECK_STR(got->folder, want->folder);
}

TEST(control, random_blocks_come_back)
{
    static tspi_block block, back;
    tspi_control in, out;
    tspi_random random;
    tsp_error err = {0};

    tspi_random_seed(&random, seed);
    open_pair(&in, &out);
    for (int k = 0; k < 3000; k++) {
        char *line;
        block = draw_block(&random);
        CHECK_STATUS(tspi_control_send_block(&out, &block, &err), TSP_OK, &err);
        REQUIRE(tspi_control_recv(&in, &line, &err) == TSP_OK);
        CHECK_STATUS(tspi_control_parse_block(line, &back, &err), TSP_OK, &err);
        check_same_block(&back, &block);
    }
    tspi_control_close(&in);
    tspi_control_close(&out);
}

TEST(control, bent_blocks_never_crash)
{
    static tspi_block block, back;
    tspi_control in, out;
    tspi_random random;

    tspi_random_seed(&random, seed);
    open_pair(&in, &out);
    for (int k = 0; k < 3000; k++) {
        char *line;
        block = draw_block(&random);
        tspi_control_send_block(&out, &block, NULL);
        REQUIRE(tspi_control_recv(&in, &line, NULL) == TSP_OK);
        size_t len = strlen(line);
        for (uint64_t bends = 1 + tspi_random_below(&random, 5); bends; bends--)
            line[tspi_random_below(&random, len)] = (char)(1 + tspi_random_below(&random, 255));
        line[tspi_random_below(&random, len + 1)] = '\0';
        if (tspi_control_parse_block(line, &back, NULL) == TSP_OK)
            CHECK(back.clock.steps_n <= TSPI_CLOCK_STEPS_MAX);
    }
    CHECK_INT(tspi_control_parse_block("begin", &back, NULL), TSP_EPARSE);
    CHECK_INT(tspi_control_parse_block("", &back, NULL), TSP_EPARSE);
    tspi_control_close(&in);
    tspi_control_close(&out);
}
