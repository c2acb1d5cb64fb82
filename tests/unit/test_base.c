#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/due_queue.h"
#include "base/duration.h"
#include "base/hex.h"
#include "base/random.h"
#include "base/same_math.h"
#include "base/utf8.h"

TEST(error, keeps_code_offset_and_grows_context_in_front)
{
    tsp_error err = {0};

    CHECK_INT(tsp_error_at(&err, TSP_EPARSE, 17, "want a %s", "number"), TSP_EPARSE);
    tsp_error_note(&err, "while loading '%s'", "a.json");
    CHECK_INT(err.code, TSP_EPARSE);
    CHECK_INT(err.offset, 17);
    CHECK_STR(err.message, "while loading 'a.json': want a number");
    CHECK_INT(tsp_error_set(NULL, TSP_EINVAL, "nobody listens"), TSP_EINVAL);
}

TEST(error, a_long_message_is_cut_not_overrun)
{
    tsp_error err = {0};
    char text[2000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    tsp_error_set(&err, TSP_EIO, "%s", text);
    tsp_error_note(&err, "%s", text);
    CHECK_INT(strlen(err.message), sizeof err.message - 1);
}

TEST(arena, things_do_not_overlap_and_are_aligned)
{
    tspi_arena arena = {0};
    tspi_random random;
    enum { N = 500 };
    unsigned char *thing[N];
    size_t size[N];

    tspi_random_seed(&random, seed);
    for (int k = 0; k < N; k++) {
        size[k] = (size_t)tspi_random_below(&random, k % 50 ? 300 : 90000);
        thing[k] = tspi_arena_alloc(&arena, size[k]);
        REQUIRE(thing[k] != NULL);
        CHECK_INT((uintptr_t)thing[k] % 16, 0);
        memset(thing[k], k & 255, size[k]);
    }
    for (int k = 0; k < N; k++)
        for (size_t b = 0; b < size[k]; b++)
            if (thing[k][b] != (k & 255)) {
                TEST_FAIL("thing %d was overwritten", k);
                break;
            }
    tspi_arena_release(&arena);
}

TEST(arena, keeps_its_limit_and_refuses_absurd_sizes)
{
    tspi_arena arena = {.limit_bytes = 1000};

    CHECK(tspi_arena_alloc(&arena, 900) != NULL);
    CHECK(tspi_arena_alloc(&arena, 200) == NULL);
    CHECK(tspi_arena_calloc(&arena, SIZE_MAX / 2, 4) == NULL);
    CHECK(tspi_arena_alloc(&arena, SIZE_MAX - 3) == NULL);
    tspi_arena_release(&arena);
}

TEST(buf, json_strings_escape_and_mend_utf8)
{
    tspi_buf buf = {0};

    tspi_buf_json_string(&buf, "a\"b\\c\n\x01\xc3\xa9\xff\xed\xa0\x80", 13);
    tspi_buf_putc(&buf, 0);
    CHECK_STR((char *)buf.data, "\"a\\\"b\\\\c\\n\\u0001\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    tspi_buf_release(&buf);
}

TEST(buf, replaces_a_file_whole_or_not_at_all)
{
    char path[] = "/tmp/truespan-test-XXXXXX";
    tsp_error err = {0};
    tspi_buf got = {0};
    int fd = mkstemp(path);

    REQUIRE(fd >= 0);
    close(fd);
    CHECK_STATUS(tspi_file_replace(path, "new", 3, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_buf_read_file(&got, path, 0, &err), TSP_OK, &err);
    CHECK_INT(got.len, 3);
    CHECK_INT(tspi_file_replace("/nonexistent/dir/file", "x", 1, &err), TSP_EIO);
    CHECK_CONTAINS(err.message, "/nonexistent/dir/file");
    CHECK_INT(tspi_buf_read_file(&got, path, 2, &err), TSP_ERANGE);
    tspi_buf_release(&got);
    unlink(path);
}

/* Replacing what stands there: its mode stays, a link still leads to it, and what is no file stays what it is. */
TEST(buf, a_replaced_file_keeps_its_mode_and_its_links)
{
    char folder[] = "/tmp/truespan-replace-XXXXXX", path[3][64];
    struct stat st;
    char got[8] = "";
    tsp_error err = {0};

    REQUIRE(mkdtemp(folder) != NULL);
    snprintf(path[0], sizeof path[0], "%s/file", folder);
    snprintf(path[1], sizeof path[1], "%s/link", folder);
    snprintf(path[2], sizeof path[2], "%s/pipe", folder);
    CHECK_STATUS(tspi_file_replace(path[0], "old", 3, &err), TSP_OK, &err);
    REQUIRE(chmod(path[0], 0640) == 0 && symlink("file", path[1]) == 0 && mkfifo(path[2], 0600) == 0);
    CHECK_STATUS(tspi_file_replace(path[1], "new", 3, &err), TSP_OK, &err);
    CHECK(lstat(path[1], &st) == 0 && S_ISLNK(st.st_mode));
    CHECK(stat(path[0], &st) == 0 && (st.st_mode & 07777) == 0640 && st.st_size == 3);
    int reader = open(path[2], O_RDONLY | O_NONBLOCK);
    CHECK_STATUS(tspi_file_replace(path[2], "pipe", 4, &err), TSP_OK, &err);
    CHECK(lstat(path[2], &st) == 0 && S_ISFIFO(st.st_mode));
    CHECK(read(reader, got, sizeof got) == 4 && !memcmp(got, "pipe", 4));
    close(reader);
    for (int k = 0; k < 3; k++)
        CHECK(unlink(path[k]) == 0);
    CHECK(rmdir(folder) == 0);
}

TEST(utf8, accepts_exactly_rfc3629)
{
    for (uint32_t c = 0; c < 0x110000; c += c < 0x900 ? 1 : 97) {
        uint8_t b[4];
        size_t n;
        if (c < 0x80)
            n = 1, b[0] = (uint8_t)c;
        else if (c < 0x800)
            n = 2, b[0] = (uint8_t)(0xc0 | c >> 6), b[1] = (uint8_t)(0x80 | (c & 63));
        else if (c < 0x10000)
            n = 3, b[0] = (uint8_t)(0xe0 | c >> 12), b[1] = (uint8_t)(0x80 | (c >> 6 & 63)),
            b[2] = (uint8_t)(0x80 | (c & 63));
        else
            n = 4, b[0] = (uint8_t)(0xf0 | c >> 18), b[1] = (uint8_t)(0x80 | (c >> 12 & 63)),
            b[2] = (uint8_t)(0x80 | (c >> 6 & 63)), b[3] = (uint8_t)(0x80 | (c & 63));
        bool surrogate = c >= 0xd800 && c < 0xe000;
        if (tspi_utf8_char(b, n) != (surrogate ? 0 : n))
            TEST_FAIL("U+%04X", c);
        if (tspi_utf8_char(b, n - 1) != 0)
            TEST_FAIL("cut U+%04X", c);
    }
    CHECK_INT(tspi_utf8_char((const uint8_t *)"\xc0\x80", 2), 0);
    CHECK_INT(tspi_utf8_char((const uint8_t *)"\xe0\x80\x80", 3), 0);
    CHECK_INT(tspi_utf8_char((const uint8_t *)"\xf4\x90\x80\x80", 4), 0);
    CHECK_INT(tspi_utf8_valid_prefix((const uint8_t *)"ab\xc3\xa9\xe2\x82", 6), 4);
}

TEST(random, children_are_reproducible_and_unrelated)
{
    tspi_random parent, again, a, b;

    tspi_random_seed(&parent, seed);
    tspi_random_seed(&again, seed);
    a = tspi_random_split(&parent, "link", 3);
    b = tspi_random_split(&again, "link", 3);
    CHECK(tspi_random_u64(&a) == tspi_random_u64(&b));
    b = tspi_random_split(&parent, "link", 4);
    CHECK(tspi_random_u64(&a) != tspi_random_u64(&b));
    b = tspi_random_split(&parent, "clock", 3);
    CHECK(tspi_random_u64(&a) != tspi_random_u64(&b));
}

/* Against the libm, which is right to an ulp or so; and to the bit against what it gave when it was written. */
TEST(hex, digits_are_those_of_printf)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 5000; round++) {
        uint8_t bytes[40];
        char got[81] = "", want[81] = "";
        size_t n = tspi_random_below(&random, sizeof bytes + 1);
        tspi_random_bytes(&random, bytes, n);
        tspi_hex_write(bytes, n, got);
        for (size_t k = 0; k < n; k++)
            snprintf(want + 2 * k, 3, "%02x", bytes[k]);
        CHECK_STR(got, want);
    }
}

TEST(same_math, logs_side_by_side_are_those_one_by_one)
{
    enum { N = 40 * TSPI_SAME_LOGS_STEP };
    double x[N], logs[N];
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 200; round++) {
        for (int k = 0; k < N; k++) {
            int exponent = (int)tspi_random_below(&random, round % 2 ? 3 : 2046) - (round % 2 ? 1 : 1022);
            x[k] = ldexp(1 + tspi_random_unit(&random), exponent);
        }
        x[0] = 1;
        x[1] = 0x1p-53;
        x[2] = 0.7071067811865476;
        x[3] = 1 - 0x1p-53;
        tspi_same_logs(x, N, logs);
        for (int k = 0; k < N; k++) {
            double want = tspi_same_log(x[k]);
            CHECK(!memcmp(&want, &logs[k], sizeof want));
        }
    }
}

TEST(random, drawn_ahead_is_the_same)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    tspi_random_ahead ahead = tspi_random_ahead_of(&random);
    for (int k = 0; k < 20000; k++) {
        if (k * 7 % 5 < 2)
            CHECK(tspi_random_unit(&random) == tspi_random_ahead_unit(&ahead));
        else
            CHECK(tspi_random_exponential(&random, k) == tspi_random_ahead_exponential(&ahead, k));
    }
}

TEST(same_math, log_and_exp_are_right_and_the_same_everywhere)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 200000; k++) {
        double x = ldexp(1.0 + tspi_random_unit(&random), (int)tspi_random_below(&random, 200) - 100);
        double y = tspi_random_uniform(&random, -700, 700), near_one = 1 + tspi_random_uniform(&random, -1e-3, 1e-3);
        CHECK_NEAR(tspi_same_log(x), log(x), 4.6e-16 * fabs(log(x)));
        CHECK_NEAR(tspi_same_log(near_one), log(near_one), 4.6e-16 * fabs(log(near_one)));
        CHECK_NEAR(tspi_same_exp(y), exp(y), 6e-16 * exp(y));
    }
    CHECK(tspi_same_log(1) == 0 && tspi_same_exp(0) == 1);
    CHECK(tspi_same_exp(-800) == 0 && isinf(tspi_same_exp(800)));
    uint64_t sum = 0;
    for (int k = 1; k <= 1000; k++) {
        double values[] = {tspi_same_log(k * 0.37), tspi_same_exp(k * 0.37 - 180), tspi_same_pow(k, 1 / 1.5)};
        for (int v = 0; v < 3; v++) {
            uint64_t bits;
            memcpy(&bits, &values[v], sizeof bits);
            sum = (sum ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
        }
    }
    CHECK_INT((int64_t)sum, INT64_C(-7298304178856384840));
}

TEST(random, moments_are_right)
{
    enum { N = 200000 };
    tspi_random random;
    double sum = 0, sum2 = 0, mean = 0, below = 0;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < N; k++) {
        double z = tspi_random_normal(&random);
        sum += z;
        sum2 += z * z;
        mean += tspi_random_exponential(&random, 5.0);
        below += (double)tspi_random_below(&random, 7);
    }
    CHECK_NEAR(sum / N, 0.0, 6 / sqrt(N));
    CHECK_NEAR(sum2 / N, 1.0, 6 * sqrt(2.0 / N));
    CHECK_NEAR(mean / N, 5.0, 6 * 5 / sqrt(N));
    CHECK_NEAR(below / N, 3.0, 6 * 2 / sqrt(N));
}

TEST(duration, reads_back_what_it_writes)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 20000; k++) {
        int64_t ns = (int64_t)(tspi_random_u64(&random) >> tspi_random_below(&random, 64)), got = -1;
        char text[64];
        if (k & 1)
            ns = -ns;
        if (k % 3 == 0)
            ns = ns / 1000 * 1000;
        tspi_duration_format(ns, text, sizeof text);
        if (!tspi_duration_parse(text, &got) || got != ns)
            TEST_FAIL("%" PRId64 " -> %s -> %" PRId64, ns, text, got);
    }
}

TEST(duration, knows_units_and_refuses_plain_numbers)
{
    static const struct {
        const char *text;
        int64_t ns;
    } good[] = {{"5ms", 5000000},  {"250us", 250000},   {"2h", 7200000000000}, {"-1.5us", -1500}, {"0ms", 0},
                {"0.3ms", 300000}, {"1m", 60000000000}, {"1min", 60000000000}, {"10ns", 10},      {"\xc2\xb5s", 0}};
    static const char *const bad[] = {"", "5", "0", "ms", "5 ms", "5MS", "1e3ms", "--5ms", "300000000d", "5.5.5s"};
    int64_t ns;

    for (size_t k = 0; k + 1 < sizeof good / sizeof *good; k++) {
        CHECK(tspi_duration_parse(good[k].text, &ns));
        CHECK_INT(ns, good[k].ns);
    }
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        if (tspi_duration_parse(bad[k], &ns))
            TEST_FAIL("accepted '%s' as %" PRId64, bad[k], ns);
}

TEST(due_queue, gives_things_back_by_time_and_equal_times_in_order)
{
    enum { N = 3000 };
    tspi_due_queue queue = {0};
    tspi_random random;
    static uint32_t things[N];
    int64_t last_ns = INT64_MIN;
    uint64_t last_order = 0;
    size_t pushed = 0, popped = 0;

    tspi_random_seed(&random, seed);
    while (popped < N) {
        if (pushed < N && (pushed == popped || tspi_random_below(&random, 3))) {
            things[pushed] = (uint32_t)pushed;
            /* Never earlier than what has left the queue already, so that the whole order can be checked. */
            int64_t due_ns = (last_ns == INT64_MIN ? 0 : last_ns) + (int64_t)tspi_random_below(&random, 20);
            REQUIRE(tspi_due_push(&queue, due_ns, &things[pushed], (uint32_t)pushed));
            pushed++;
            continue;
        }
        CHECK_INT(tspi_due_first(&queue)->due_ns, queue.heap[0].due_ns);
        tspi_due due = tspi_due_pop(&queue);
        CHECK(due.due_ns > last_ns || (due.due_ns == last_ns && due.order > last_order));
        CHECK_INT(*(uint32_t *)due.thing, due.to);
        last_ns = due.due_ns;
        last_order = due.order;
        popped++;
    }
    CHECK(tspi_due_first(&queue) == NULL);
    tspi_due_release(&queue, NULL);
}
