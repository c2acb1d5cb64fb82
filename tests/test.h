/* A small test harness: TEST registers itself, main runs all of them (or those whose "suite.name" contains an
 * argument) and prints TAP, which meson reads. Random truth comes from `seed`, which is printed and can be given
 * with --seed N. A failed CHECK is reported with its place and values, and the test goes on; REQUIRE ends it. */
#ifndef TRUESPAN_TEST_H
#define TRUESPAN_TEST_H

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

typedef struct test_case {
    const char *suite, *name;
    void (*run)(void);
    struct test_case *next;
} test_case;

static test_case *test_first, **test_last = &test_first;
static uint64_t seed;
static int test_failures;
static const char *test_skipped;

#define TEST(suite_, name_)                                                                                            \
    static void test_##suite_##_##name_(void);                                                                         \
    __attribute__((constructor)) static void register_##suite_##_##name_(void)                                         \
    {                                                                                                                  \
        static test_case me = {#suite_, #name_, test_##suite_##_##name_, NULL};                                        \
        *test_last = &me;                                                                                              \
        test_last = &me.next;                                                                                          \
    }                                                                                                                  \
    static void test_##suite_##_##name_(void)

#define TEST_FAIL(...)                                                                                                 \
    do {                                                                                                               \
        test_failures++;                                                                                               \
        printf("# %s:%d: ", __FILE__, __LINE__);                                                                       \
        printf(__VA_ARGS__);                                                                                           \
        putchar('\n');                                                                                                 \
    } while (0)

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            TEST_FAIL("not true: %s", #condition);                                                                     \
    } while (0)

#define REQUIRE(condition)                                                                                             \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            TEST_FAIL("not true: %s", #condition);                                                                     \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

/* A status with its error record: prints the message when it is not what was wanted. */
#define CHECK_STATUS(got_, want_, error_)                                                                              \
    do {                                                                                                               \
        tsp_status got__ = (got_);                                                                                     \
        if (got__ != (want_))                                                                                          \
            TEST_FAIL("%s: got '%s', want '%s': %s", #got_, tsp_status_name(got__), tsp_status_name(want_),            \
                      (error_)->message);                                                                              \
    } while (0)

#define CHECK_INT(got_, want_)                                                                                         \
    do {                                                                                                               \
        int64_t got__ = (int64_t)(got_), want__ = (int64_t)(want_);                                                    \
        if (got__ != want__)                                                                                           \
            TEST_FAIL("%s: got %" PRId64 ", want %" PRId64, #got_, got__, want__);                                     \
    } while (0)

#define CHECK_NEAR(got_, want_, tolerance_)                                                                            \
    do {                                                                                                               \
        double got__ = (double)(got_), want__ = (double)(want_), tol__ = (double)(tolerance_);                         \
        if (!(fabs(got__ - want__) <= tol__))                                                                          \
            TEST_FAIL("%s: got %.9g, want %.9g within %.3g", #got_, got__, want__, tol__);                             \
    } while (0)

#define CHECK_STR(got_, want_)                                                                                         \
    do {                                                                                                               \
        const char *got__ = (got_), *want__ = (want_);                                                                 \
        if (!got__ || strcmp(got__, want__) != 0)                                                                      \
            TEST_FAIL("%s: got \"%s\", want \"%s\"", #got_, got__ ? got__ : "(null)", want__);                         \
    } while (0)

/* text must contain part. */
#define CHECK_CONTAINS(text_, part_)                                                                                   \
    do {                                                                                                               \
        const char *text__ = (text_), *part__ = (part_);                                                               \
        if (!text__ || !strstr(text__, part__))                                                                        \
            TEST_FAIL("%s: \"%s\" does not contain \"%s\"", #text_, text__ ? text__ : "(null)", part__);               \
    } while (0)

#define SKIP(reason)                                                                                                   \
    do {                                                                                                               \
        test_skipped = (reason);                                                                                       \
        return;                                                                                                        \
    } while (0)

int main(int argc, char **argv)
{
    const char *only = NULL;
    int number = 0, failed = 0;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    seed = (uint64_t)now.tv_sec * 1000003u ^ (uint64_t)now.tv_nsec ^ ((uint64_t)getpid() << 32);
    seed %= 1000000007u;
    for (int k = 1; k < argc; k++) {
        if (!strcmp(argv[k], "--seed") && k + 1 < argc)
            seed = strtoull(argv[++k], NULL, 10);
        else
            only = argv[k];
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("# seed %" PRIu64 "\n", seed);
    for (test_case *test = test_first; test; test = test->next) {
        char name[256];
        snprintf(name, sizeof name, "%s.%s", test->suite, test->name);
        if (only && !strstr(name, only))
            continue;
        test_failures = 0;
        test_skipped = NULL;
        test->run();
        number++;
        if (test_failures) {
            failed++;
            printf("not ok %d - %s\n", number, name);
        } else if (test_skipped)
            printf("ok %d - %s # SKIP %s\n", number, name, test_skipped);
        else
            printf("ok %d - %s\n", number, name);
    }
    printf("1..%d\n", number);
    return failed ? 1 : 0;
}

#endif
