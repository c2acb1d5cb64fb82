#include "engine/utf8_stream.h"

#include "base/random.h"
#include "base/utf8.h"
#include "test.h"

static const char *const characters[] = {"a",
                                         "\n",
                                         "\xc3\xa4",
                                         "\xe2\x82\xac",
                                         "\xed\x9f\xbf",
                                         "\xef\xbf\xbd",
                                         "\xf0\x9f\x98\x80",
                                         "\xf4\x8f\xbf\xbf",
                                         "\xe0\xa0\x80",
                                         "\xf0\x90\x80\x80"};

static void feed_in_pieces(tspi_random *random, const tspi_buf *bytes, tspi_buf *ret_text)
{
    tspi_utf8_stream stream = {.held_len = 0};

    for (size_t at = 0; at < bytes->len;) {
        size_t n = (size_t)tspi_random_below(random, 4), left = bytes->len - at, before = ret_text->len;
        n = n < left ? n : left;
        tspi_utf8_stream_feed(&stream, bytes->data + at, n, ret_text);
        CHECK_INT(tspi_utf8_valid_prefix(ret_text->data + before, ret_text->len - before), ret_text->len - before);
        at += n;
    }
}

TEST(utf8_stream, mends_every_cut)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 500; round++) {
        tspi_buf bytes = {0}, text = {0};
        for (size_t k = tspi_random_below(&random, 20); k > 0; k--)
            tspi_buf_puts(&bytes, characters[tspi_random_below(&random, sizeof characters / sizeof *characters)]);
        feed_in_pieces(&random, &bytes, &text);
        CHECK(text.len == bytes.len && (!text.len || !memcmp(text.data, bytes.data, text.len)));
        tspi_buf_release(&bytes);
        tspi_buf_release(&text);
    }
}

/* Any bytes at all: what comes out does not depend on the cuts. */
TEST(utf8_stream, reads_rubbish_the_same_however_it_is_cut)
{
    static const uint8_t likely[] = {'a', 0x80, 0xbf, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf5, 0xff, 0x9f, 0xa0};
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 2000; round++) {
        tspi_buf bytes = {0}, whole = {0}, text = {0};
        tspi_utf8_stream stream = {.held_len = 0};
        for (size_t k = tspi_random_below(&random, 12); k > 0; k--)
            tspi_buf_putc(&bytes, (char)likely[tspi_random_below(&random, sizeof likely)]);
        tspi_buf_putc(&bytes, '.'); /* nothing can be waited for beyond it */
        tspi_utf8_stream_feed(&stream, bytes.data, bytes.len, &whole);
        feed_in_pieces(&random, &bytes, &text);
        CHECK_INT(stream.held_len, 0);
        CHECK(text.len == whole.len && !memcmp(text.data, whole.data, text.len));
        tspi_buf_release(&bytes);
        tspi_buf_release(&whole);
        tspi_buf_release(&text);
    }
}

TEST(utf8_stream, replaces_what_cannot_be_mended)
{
    tspi_utf8_stream stream = {.held_len = 0};
    tspi_buf text = {0};

    tspi_utf8_stream_feed(&stream,
                          "a\xff"
                          "b\xe2\x82",
                          5, &text);
    tspi_utf8_stream_feed(&stream, NULL, 0, &text);
    tspi_utf8_stream_feed(&stream, "c", 1, &text);
    tspi_buf_putc(&text, '\0');
    CHECK_STR((char *)text.data, "a\xef\xbf\xbd"
                                 "b\xef\xbf\xbd\xef\xbf\xbd"
                                 "c");
    tspi_buf_release(&text);
}
