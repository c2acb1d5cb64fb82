#include "base/buf.h"
#include "base/random.h"
#include "test.h"
#include "wire/json_scan.h"

static tspi_random rng;

/* A random JSON value, rich in brackets, quotes and backslashes inside strings. */
static void put_value(tspi_buf *out, unsigned depth)
{
    static const char *const pieces[] = {"{", "}", "[", "]", "\\\"", "\\\\", "\\\\\\\"", "a", ",", ":", "\\u007b", "é"};
    unsigned what = (unsigned)tspi_random_below(&rng, depth ? 6 : 3);

    if (what < 2) {
        tspi_buf_putc(out, '"');
        for (uint64_t n = tspi_random_below(&rng, 12); n; n--)
            tspi_buf_puts(out, pieces[tspi_random_below(&rng, sizeof pieces / sizeof pieces[0])]);
        tspi_buf_putc(out, '"');
    } else if (what == 2)
        tspi_buf_puts(out, "-12.5e3");
    else {
        bool object = what & 1;
        uint64_t n = tspi_random_below(&rng, 5);
        tspi_buf_putc(out, object ? '{' : '[');
        for (uint64_t k = 0; k < n; k++) {
            tspi_buf_puts(out, k ? ", " : "");
            tspi_buf_puts(out, object ? "\"k\":" : "");
            put_value(out, depth - 1);
        }
        tspi_buf_putc(out, object ? '}' : ']');
    }
}

/* The slow, obvious way. */
static size_t obvious_end(const uint8_t *at, size_t len)
{
    size_t depth = 0;

    for (size_t k = 0; k < len; k++) {
        if (at[k] == '"') {
            for (k++; k < len && at[k] != '"'; k++)
                k += at[k] == '\\';
            continue;
        }
        depth += at[k] == '{' || at[k] == '[';
        if ((at[k] == '}' || at[k] == ']') && !--depth)
            return k + 1;
    }
    return 0;
}

TEST(json_scan, passes_over_containers_as_the_obvious_loop_does)
{
    tspi_random_seed(&rng, seed);
    for (int round = 0; round < 3000; round++) {
        tspi_buf text = {0};
        tspi_buf_putc(&text, '[');
        put_value(&text, 6);
        tspi_buf_putc(&text, ']');
        size_t whole = text.len;
        put_value(&text, 2); /* something behind it */
        size_t cut = tspi_random_below(&rng, 4) ? text.len : (size_t)tspi_random_below(&rng, whole);
        uint8_t *exact = malloc(cut + 1); /* so that a sanitizer sees reads beyond it */
        memcpy(exact, text.data, cut);
        size_t want = obvious_end(exact, cut);
        const uint8_t *got = cut ? tspi_json_container_end(exact, exact + cut) : NULL;
        const uint8_t *slow = cut ? tspi_json_container_end_portable(exact, exact + cut) : NULL;
        CHECK_INT(got ? got - exact : 0, want);
        CHECK_INT(slow ? slow - exact : 0, want);
        CHECK(cut != text.len || want == whole);
        free(exact);
        tspi_buf_release(&text);
    }
}

TEST(json_scan, walks_what_was_written)
{
    tspi_random_seed(&rng, seed);
    for (int round = 0; round < 1000; round++) {
        tspi_buf text = {0};
        tspi_json_text key;
        size_t members = (size_t)tspi_random_below(&rng, 9), seen = 0;
        tspi_buf_puts(&text, " {");
        for (size_t k = 0; k < members; k++) {
            tspi_buf_printf(&text, "%s\n   \"key\\u002d%zu\" : ", k ? "," : "", k);
            put_value(&text, 3);
        }
        tspi_buf_puts(&text, "                                  }");
        tspi_json json = {.at = text.data, .end = text.data + text.len};
        for (bool more = tspi_json_open(&json, '{'); more; more = tspi_json_more(&json, '{')) {
            char want[16];
            if (!tspi_json_key(&json, &key) || !tspi_json_skip(&json))
                break;
            snprintf(want, sizeof want, "key-%zu", seen++);
            CHECK(tspi_json_is(&key, want, strlen(want)));
        }
        CHECK(!json.problem && tspi_json_peek(&json) == -1);
        CHECK_INT(seen, members);
        tspi_buf_release(&text);
    }
}

static enum tspi_json_number number(const char *text, unsigned scale, int64_t *ret)
{
    return tspi_json_number_text((const uint8_t *)text, strlen(text), scale, ret);
}

TEST(json_scan, reads_numbers_exactly)
{
    static const struct {
        const char *text;
        unsigned scale;
        enum tspi_json_number want;
        int64_t value;
    } cases[] = {
        {"0", 0, TSPI_JSON_NUMBER, 0},
        {"-0", 0, TSPI_JSON_NUMBER, 0},
        {"9007199254740993", 0, TSPI_JSON_NUMBER, INT64_C(9007199254740993)}, /* 2^53 + 1: no double */
        {"1544712660000000001", 0, TSPI_JSON_NUMBER, INT64_C(1544712660000000001)},
        {"9223372036854775807", 0, TSPI_JSON_NUMBER, INT64_MAX},
        {"-9223372036854775808", 0, TSPI_JSON_NUMBER, INT64_MIN},
        {"9223372036854775808", 0, TSPI_JSON_TOO_BIG, 0},
        {"99999999999999999999999999999999999999999999999999", 0, TSPI_JSON_TOO_BIG, 0},
        {"1.5e15", 3, TSPI_JSON_NUMBER, INT64_C(1500000000000000000)},
        {"1.5E+15", 3, TSPI_JSON_NUMBER, INT64_C(1500000000000000000)},
        {"1571896375237354.5", 3, TSPI_JSON_NUMBER, INT64_C(1571896375237354500)},
        {"1571896375237354.0000000000000000000000000000000000000000000000", 3, TSPI_JSON_NUMBER,
         INT64_C(1571896375237354000)},
        {"1.0001", 3, TSPI_JSON_FRACTION, 0},
        {"1e-3", 3, TSPI_JSON_NUMBER, 1},
        {"1e-4", 3, TSPI_JSON_FRACTION, 0},
        {"1e999999999999", 3, TSPI_JSON_TOO_BIG, 0},
        {"0e999999999999", 3, TSPI_JSON_NUMBER, 0},
        {"1e-999999999999", 3, TSPI_JSON_FRACTION, 0},
        {"9223372036854776", 3, TSPI_JSON_TOO_BIG, 0},
        {"", 0, TSPI_JSON_NOT_ONE, 0},
        {"-", 0, TSPI_JSON_NOT_ONE, 0},
        {"1.", 0, TSPI_JSON_NOT_ONE, 0},
        {"1e", 0, TSPI_JSON_NOT_ONE, 0},
        {"1e+", 0, TSPI_JSON_NOT_ONE, 0},
        {".5", 0, TSPI_JSON_NOT_ONE, 0},
        {"12a", 0, TSPI_JSON_NOT_ONE, 0},
        {"0x10", 0, TSPI_JSON_NOT_ONE, 0},
    };

    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        int64_t value = 0;
        enum tspi_json_number got = number(cases[k].text, cases[k].scale, &value);
        if (got != cases[k].want || (got == TSPI_JSON_NUMBER && value != cases[k].value))
            TEST_FAIL("\"%s\": kind %d, value %" PRId64, cases[k].text, got, value);
    }
}

TEST(json_scan, undoes_escapes)
{
    static const char *const cases[][2] = {
        {"plain", "plain"},
        {"a\\n\\t\\\"\\\\\\/\\b\\f\\r", "a\n\t\"\\/\b\f\r"},
        {"\\u00e9\\u20AC", "é€"},
        {"\\ud83d\\ude00!", "😀!"},
        {"\\ud83d!", "\xef\xbf\xbd!"},
        {"\\ude00", "\xef\xbf\xbd"},
        {"\\u12", "\\u12"},
        {"\\x", "\\x"},
        {"end\\", "end\\"},
    };

    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        char out[64];
        tspi_json_text text = {(const uint8_t *)cases[k][0], strlen(cases[k][0]), true};
        size_t n = tspi_json_unescape(&text, out);
        CHECK(n <= text.len);
        out[n] = 0;
        CHECK_STR(out, cases[k][1]);
    }
}
