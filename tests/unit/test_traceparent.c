#include "test.h"

#include "base/random.h"
#include "lab/traceparent.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define GOOD "00-" TRACE "-" SPAN "-01"

TEST(traceparent, random_contexts_come_back)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 5000; k++) {
        tspi_trace_context context, back;
        char text[TSPI_TRACEPARENT_LEN + 1];

        tspi_random_bytes(&random, context.trace_id, sizeof context.trace_id);
        context.trace_id[tspi_random_below(&random, 16)] |= 1;
        context.span_id = tspi_random_u64(&random) | UINT64_C(1) << tspi_random_below(&random, 64);
        context.flags = (uint8_t)tspi_random_below(&random, 256);
        tspi_traceparent_write(&context, text);
        CHECK_INT(strlen(text), TSPI_TRACEPARENT_LEN);
        REQUIRE(tspi_traceparent_parse(text, strlen(text), &back));
        CHECK(!memcmp(back.trace_id, context.trace_id, 16));
        CHECK(back.span_id == context.span_id);
        CHECK_INT(back.flags, context.flags);
    }
}

TEST(traceparent, writes_the_example_of_the_specification)
{
    tspi_trace_context context;
    char text[TSPI_TRACEPARENT_LEN + 1];

    REQUIRE(tspi_traceparent_parse(GOOD, strlen(GOOD), &context));
    CHECK(context.span_id == UINT64_C(0x00f067aa0ba902b7));
    CHECK_INT(context.trace_id[0], 0x4b);
    CHECK_INT(context.trace_id[15], 0x36);
    CHECK_INT(context.flags, 1);
    tspi_traceparent_write(&context, text);
    CHECK_STR(text, GOOD);
}

/* The cases of w3c/trace-context's own test suite, and a few of ours. */
TEST(traceparent, judges_headers_as_the_specification_does)
{
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {GOOD, true},
        {"00-" TRACE "-" SPAN "-00", true},
        {"00-" TRACE "-" SPAN "-ff", true}, /* unknown flags are ignored */
        {"00-12345678901234567890123456789012-1234567890123456-01", true},
        /* a later version, with and without more behind a dash */
        {"cc-" TRACE "-" SPAN "-01", true},
        {"01-" TRACE "-" SPAN "-01-what-the-future-will-be-like", true},
        {"01-" TRACE "-" SPAN "-01-", true},
        {"01-" TRACE "-" SPAN "-01.what-the-future-will-not-be-like", false},
        {"01-" TRACE "-" SPAN "-010", false},
        /* version 00 is 55 bytes long */
        {GOOD "-", false},
        {GOOD "-extra", false},
        {GOOD "0", false},
        {GOOD " ", false},
        {" " GOOD, false},
        {"", false},
        {"00", false},
        {"00-" TRACE "-" SPAN "-0", false},
        {"00-" TRACE "-" SPAN "-", false},
        {"00-" TRACE "-" SPAN, false},
        /* version ff is forbidden, and must be hex */
        {"ff-" TRACE "-" SPAN "-01", false},
        {"FF-" TRACE "-" SPAN "-01", false},
        {"0x-" TRACE "-" SPAN "-01", false},
        {".0-" TRACE "-" SPAN "-01", false},
        {"0.-" TRACE "-" SPAN "-01", false},
        /* ids of zeros */
        {"00-00000000000000000000000000000000-" SPAN "-01", false},
        {"00-" TRACE "-0000000000000000-01", false},
        /* upper case, and digits that are none */
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01", false},
        {"00-" TRACE "-00F067AA0BA902B7-01", false},
        {"00-" TRACE "-" SPAN "-0A", false},
        {"00-.2345678901234567890123456789012-1234567890123456-01", false},
        {"00-1234567890123456789012345678901.-1234567890123456-01", false},
        {"00-12345678901234567890123456789012-.234567890123456-01", false},
        {"00-12345678901234567890123456789012-123456789012345.-01", false},
        {"00-12345678901234567890123456789012-1234567890123456-.0", false},
        {"00-12345678901234567890123456789012-1234567890123456-0.", false},
        {"00-12345678901234567890123456789012-1234567890123456-0\xc3", false},
        /* parts too short, too long, or not parted by dashes */
        {"00-1234567890123456789012345678901-1234567890123456-01", false},
        {"00-123456789012345678901234567890123-1234567890123456-01", false},
        {"00-12345678901234567890123456789012-123456789012345-01", false},
        {"00-12345678901234567890123456789012-12345678901234567-01", false},
        {"00_" TRACE "-" SPAN "-01", false},
        {"00-" TRACE "_" SPAN "-01", false},
        {"00-" TRACE "-" SPAN "_01", false},
    };

    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        size_t len = strlen(rows[k].text);
        char *exact = malloc(len ? len : 1); /* a read behind the end is for the sanitizers to see */
        tspi_trace_context context;
        memcpy(exact, rows[k].text, len);
        if (tspi_traceparent_parse(exact, len, &context) != rows[k].valid)
            TEST_FAIL("'%s' should be %s", rows[k].text, rows[k].valid ? "valid" : "invalid");
        free(exact);
    }
}

/* One wrong byte anywhere, or an early end, is never taken for a header unless it is one. */
TEST(traceparent, a_damaged_header_is_refused)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 20000; k++) {
        char text[] = GOOD;
        size_t at = tspi_random_below(&random, TSPI_TRACEPARENT_LEN);
        char was = text[at];
        tspi_trace_context context;

        text[at] = (char)tspi_random_below(&random, 256);
        bool hex = strchr("0123456789abcdef", text[at]) && text[at];
        bool dash = at == 2 || at == 35 || at == 52;
        bool want = text[at] == was || (!dash && hex);
        CHECK_INT(tspi_traceparent_parse(text, TSPI_TRACEPARENT_LEN, &context), want);
        CHECK(!tspi_traceparent_parse(text, at, &context));
    }
}
