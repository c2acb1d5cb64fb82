#include "test.h"

#include "engine/tiny_forward.h"
#include "tiny_bits.h"
#include "tiny_made.h"

static tspi_tiny_model builtin_model(void)
{
    tspi_tiny_model model = {0};
    size_t len;
    const void *bytes = tspi_tiny_model_builtin(&len);

    tspi_tiny_model_read(bytes, len, tspi_tiny_kernel_best(), &model, NULL);
    return model;
}

static double most_apart(const float *a, const float *b, uint32_t n)
{
    double most = 0;

    for (uint32_t k = 0; k < n; k++)
        most = fmax(most, fabs((double)a[k] - (double)b[k]));
    return most;
}

/* Add ids[from .. to) to a new state; the logits after the last, to be freed. */
static float *logits_after(const tspi_tiny_model *model, const uint32_t *ids, size_t from, size_t to)
{
    tspi_tiny_state *state = NULL;
    float *copy = malloc(model->vocab * sizeof *copy), *logits = NULL;

    tspi_tiny_state_new(model, &state, NULL);
    for (size_t k = from; k < to; k++)
        logits = tspi_tiny_forward(state, ids[k], k + 1 == to);
    memcpy(copy, logits, model->vocab * sizeof *copy);
    tspi_tiny_state_free(state);
    return copy;
}

/* A long-lived cache, its ring turned many times, against a state that starts afresh with the tokens that attention
 * can reach. Their positions differ, hence the sines by a rounding, and now and then an int8 step with them (see
 * tiny_oracle.py): that moves these logits, whose spread is a few units, by hundredths. With less than what
 * attention can reach they are off by units. The same tokens from the very start give the same bits. */
TEST(tiny_forward, the_cache_equals_a_full_recomputation)
{
    const made_shape shape = {64, 3, 4, 2, 96, 300, 12, 1};
    tspi_random random;
    tspi_buf file = {0};
    tspi_tiny_model model = {0};
    tspi_tiny_state *state = NULL;
    tsp_error err = {0};
    uint32_t ids[400];
    double worst = 0, with_five = 0;

    tspi_random_seed(&random, seed);
    made_file(&file, &random, shape);
    CHECK_STATUS(tspi_tiny_model_read(file.data, file.len, tspi_tiny_kernel_best(), &model, &err), TSP_OK, &err);
    tspi_buf_release(&file);
    REQUIRE(model.block != NULL);
    CHECK_STATUS(tspi_tiny_state_new(&model, &state, &err), TSP_OK, &err);
    for (size_t n = 1; n <= 400; n++) {
        const size_t reach = (size_t)tspi_tiny_reach(&model);
        ids[n - 1] = (uint32_t)tspi_random_below(&random, shape.vocab);
        const float *got = tspi_tiny_forward(state, ids[n - 1], true);
        if (n % 37 && n != reach + 1)
            continue;
        float *same = logits_after(&model, ids, 0, n),
              *newest = logits_after(&model, ids, n > reach ? n - reach : 0, n);
        CHECK_INT(memcmp(got, same, shape.vocab * sizeof *got), 0);
        worst = fmax(worst, most_apart(got, newest, shape.vocab));
        free(newest);
        newest = logits_after(&model, ids, n - 5, n);
        with_five = fmax(with_five, most_apart(got, newest, shape.vocab));
        free(newest);
        free(same);
    }
    printf("# reach %d: apart by %.3g; with five tokens only by %.3g\n", (int)tspi_tiny_reach(&model), worst,
           with_five);
    CHECK(worst < 0.5);
    CHECK(with_five > 1);
    tspi_tiny_state_free(state);
    tspi_tiny_model_release(&model);
}

TEST(tiny_forward, unwanted_logits_change_nothing)
{
    tspi_tiny_model model = builtin_model();
    tspi_tiny_state *a = NULL, *b = NULL;
    tspi_random random;

    REQUIRE(model.block != NULL);
    tspi_random_seed(&random, seed);
    tspi_tiny_state_new(&model, &a, NULL);
    tspi_tiny_state_new(&model, &b, NULL);
    for (int k = 0; k < 200; k++) {
        uint32_t id = (uint32_t)tspi_random_below(&random, model.vocab);
        const float *all = tspi_tiny_forward(a, id, true), *last = tspi_tiny_forward(b, id, k % 20 == 19);
        if (last)
            CHECK_INT(memcmp(all, last, model.vocab * sizeof *all), 0);
    }
    tspi_tiny_state_free(a);
    tspi_tiny_state_free(b);
    tspi_tiny_model_release(&model);
}

static double bits_a_character(const tspi_tiny_model *model, const tspi_buf *text)
{
    tspi_tiny_bpe *bpe = NULL;
    size_t characters = 0;
    double bits;

    tspi_tiny_bpe_new(model, &bpe, NULL);
    bits = text_bits(model, bpe, text->data, text->len, &characters);
    tspi_tiny_bpe_free(bpe);
    return bits / (double)characters;
}

/* The text comes from what training never saw. Chance alone needs log2(vocab) bits a token, about 3.2 a character. */
TEST(tiny_forward, the_builtin_weights_know_english_they_never_saw)
{
    const double bound = 1.50;
    tspi_tiny_model model = builtin_model(), noise = {0};
    tspi_buf text = {0}, file = {0};
    tspi_random random;
    tsp_error err = {0};
    double bits;

    REQUIRE(model.block != NULL);
    CHECK_STATUS(tspi_buf_read_file(&text, TEST_DATA "/tiny_held_out.txt", 0, &err), TSP_OK, &err);
    REQUIRE(text.len > 3000);
    bits = bits_a_character(&model, &text);
    printf("# %.3f bits a character\n", bits);
    CHECK(bits < bound);

    tspi_random_seed(&random, seed);
    made_file(&file, &random,
              (made_shape){model.dim, 1, model.heads, model.kv_heads, 64, model.vocab, 16, model.begin});
    CHECK_STATUS(tspi_tiny_model_read(file.data, file.len, tspi_tiny_kernel_best(), &noise, &err), TSP_OK, &err);
    bits = bits_a_character(&noise, &text);
    printf("# random weights: %.3f\n", bits);
    CHECK(bits > 2.5);
    tspi_tiny_model_release(&noise);
    tspi_tiny_model_release(&model);
    tspi_buf_release(&file);
    tspi_buf_release(&text);
}
