#include "test.h"

#include "base/random.h"
#include "base/utf8.h"
#include "engine/engine.h"
#include "engine/tiny_bpe.h"

static void add_character(tspi_buf *text, uint32_t c)
{
    if (c < 0x80)
        tspi_buf_putc(text, (char)c);
    else if (c < 0x800)
        tspi_buf_printf(text, "%c%c", 0xc0 | (int)(c >> 6), 0x80 | (int)(c & 63));
    else if (c < 0x10000)
        tspi_buf_printf(text, "%c%c%c", 0xe0 | (int)(c >> 12), 0x80 | (int)(c >> 6 & 63), 0x80 | (int)(c & 63));
    else
        tspi_buf_printf(text, "%c%c%c%c", 0xf0 | (int)(c >> 18), 0x80 | (int)(c >> 12 & 63), 0x80 | (int)(c >> 6 & 63),
                        0x80 | (int)(c & 63));
}

static void random_text(tspi_random *random, tspi_buf *text)
{
    static const char *const words[] = {"In the beginning", " unto",           " LORD", "\n", "  ",
                                        "righteousness",    "\xf0\x9f\x91\x8d"};

    tspi_buf_clear(text);
    for (uint64_t n = tspi_random_below(random, 60); n > 0; n--) {
        uint32_t c;
        switch (tspi_random_below(random, 5)) {
        case 0:
            tspi_buf_puts(text, words[tspi_random_below(random, sizeof words / sizeof *words)]);
            break;
        case 1:
            add_character(text, (uint32_t)tspi_random_below(random, 128)); /* NUL too */
            break;
        case 2:
            for (uint64_t k = tspi_random_below(random, 100); k > 0; k--)
                tspi_buf_putc(text, "eth"[k % 3]);
            break;
        default:
            do
                c = (uint32_t)tspi_random_below(random, 0x110000);
            while (c >= 0xd800 && c < 0xe000);
            add_character(text, c);
        }
    }
}

static tspi_engine *open_engine(unsigned jobs)
{
    tspi_engine_config config = {.name = "tiny", .jobs = jobs, .max_sessions = 1};
    tspi_engine *engine = NULL;

    tspi_engine_open(&config, &engine, NULL);
    return engine;
}

/* One token at a time, every piece of text whole: what comes out is what went in. */
TEST(tiny_bpe, any_text_comes_back_character_by_character)
{
    tspi_engine *front = open_engine(TSPI_ENGINE_TOKENIZE), *back = open_engine(TSPI_ENGINE_DETOKENIZE);
    tspi_buf text = {0}, piece = {0}, got = {0};
    tspi_random random;
    tsp_error err = {0};

    REQUIRE(front && back);
    tspi_random_seed(&random, seed);
    for (int round = 0; round < 500; round++) {
        tspi_detokenizer *d = NULL;
        uint32_t tokens = 0;
        random_text(&random, &text);
        tspi_buf_clear(&piece);
        tspi_buf_clear(&got);
        CHECK_STATUS(front->ops->tokenize(front, (char *)text.data, text.len, &piece, &tokens, &err), TSP_OK, &err);
        CHECK_INT(piece.len, 4 * tokens);
        CHECK_STATUS(back->ops->detokenizer_new(back, &d, &err), TSP_OK, &err);
        for (uint32_t k = 0; k < tokens; k++) {
            CHECK_STATUS(back->ops->detokenize(d, piece.data + 4 * k, 4, &got, &err), TSP_OK, &err);
            CHECK_INT(tspi_utf8_valid_prefix(got.data, got.len), got.len);
        }
        if (got.len != text.len || (got.len && memcmp(got.data, text.data, got.len) != 0))
            TEST_FAIL("round %d: %zu bytes came back as %zu", round, text.len, got.len);
        back->ops->detokenizer_free(d);
    }
    tspi_buf_release(&text);
    tspi_buf_release(&piece);
    tspi_buf_release(&got);
    tspi_engine_close(front);
    tspi_engine_close(back);
}

TEST(tiny_bpe, bytes_that_are_no_text_become_replacement_characters)
{
    tspi_engine *engine = open_engine(TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DETOKENIZE);
    tspi_buf piece = {0}, got = {0}, text = {0};
    tspi_detokenizer *d = NULL;
    tspi_random random;
    tsp_error err = {0};

    REQUIRE(engine != NULL);
    tspi_random_seed(&random, seed);
    CHECK_STATUS(engine->ops->detokenizer_new(engine, &d, &err), TSP_OK, &err);
    engine->ops->tokenize(engine, "a\xff\xc3(\xe2\x82 \xed\xa0\x80z", 11, &piece, NULL, &err);
    CHECK_STATUS(engine->ops->detokenize(d, piece.data, piece.len, &got, &err), TSP_OK, &err);
    tspi_buf_putc(&got, 0);
    CHECK_STR((char *)got.data,
              "a\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd \xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
    for (int round = 0; round < 300; round++) {
        uint8_t noise[200];
        size_t n = tspi_random_below(&random, sizeof noise);
        tspi_random_bytes(&random, noise, n);
        tspi_buf_clear(&piece);
        tspi_buf_clear(&got);
        CHECK_STATUS(engine->ops->tokenize(engine, (char *)noise, n, &piece, NULL, &err), TSP_OK, &err);
        CHECK_STATUS(engine->ops->detokenize(d, piece.data, piece.len, &got, &err), TSP_OK, &err);
        CHECK_INT(tspi_utf8_valid_prefix(got.data, got.len), got.len);
    }
    tspi_buf_release(&piece);
    tspi_buf_release(&got);
    tspi_buf_release(&text);
    engine->ops->detokenizer_free(d);
    tspi_engine_close(engine);
}

TEST(tiny_bpe, pieces_that_are_no_tokens_are_refused)
{
    tspi_engine *engine = open_engine(TSPI_ENGINE_DETOKENIZE);
    tspi_detokenizer *d = NULL;
    tspi_buf got = {0};
    tsp_error err = {0};

    REQUIRE(engine != NULL);
    CHECK_STATUS(engine->ops->detokenizer_new(engine, &d, &err), TSP_OK, &err);
    CHECK_STATUS(engine->ops->detokenize(d, "abc", 3, &got, &err), TSP_EPARSE, &err);
    CHECK_STATUS(engine->ops->detokenize(d, "\xff\xff\xff\xff", 4, &got, &err), TSP_EPARSE, &err);
    CHECK_STATUS(engine->ops->detokenize(d, "\x00\x06\x00\x00", 4, &got, &err), TSP_EPARSE, &err);
    CHECK_STATUS(engine->ops->detokenize(d, "", 0, &got, &err), TSP_OK, &err);
    CHECK_INT(got.len, 0);
    CHECK_INT(engine->ops->tokenize(engine, "x", 1, &got, NULL, &err), TSP_EINVAL);
    engine->ops->detokenizer_free(d);
    tspi_buf_release(&got);
    tspi_engine_close(engine);
}
