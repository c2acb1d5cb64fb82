#include "test.h"

#include "engine/tiny_bpe.h"
#include "engine/tiny_forward.h"
#include "tiny_made.h"

static const made_shape small = {16, 2, 2, 1, 24, 300, 8, 11};

/* Read, and if it can be read use it: whatever the bytes are, nothing may go wrong but the status. */
static tsp_status try(const uint8_t *bytes, size_t len, tsp_error *err)
{
    tspi_tiny_model model;
    tspi_tiny_bpe *bpe = NULL;
    tspi_tiny_state *state = NULL;
    tspi_buf ids = {0};
    /* A copy of its exact size, so that the address sanitiser sees every byte too far. */
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    tsp_status rc = tspi_tiny_model_read(copy, len, tspi_tiny_kernel_best(), &model, err);

    free(copy);
    if (rc != TSP_OK)
        return rc;
    if (tspi_tiny_bpe_new(&model, &bpe, NULL) == TSP_OK)
        tspi_tiny_bpe_encode(bpe, (const uint8_t *)"In the beginning \xf0\x9f", 19, &ids, NULL);
    if (tspi_tiny_state_new(&model, &state, NULL) == TSP_OK)
        for (uint32_t k = 0; k < 10; k++)
            tspi_tiny_forward(state, k * 29 % model.vocab, k > 7);
    tspi_buf_release(&ids);
    tspi_tiny_state_free(state);
    tspi_tiny_bpe_free(bpe);
    tspi_tiny_model_release(&model);
    return rc;
}

TEST(tiny_model, every_flipped_byte_and_every_cut_is_noticed)
{
    tspi_random random;
    tspi_buf file = {0};
    tsp_error err = {0};

    tspi_random_seed(&random, seed);
    made_file(&file, &random, small);
    CHECK_STATUS(try(file.data, file.len, &err), TSP_OK, &err);
    for (size_t k = 0; k < file.len; k++) {
        uint8_t flip = (uint8_t)(1 + tspi_random_below(&random, 255));
        file.data[k] ^= flip;
        err = (tsp_error){0};
        CHECK_STATUS(try(file.data, file.len, &err), TSP_EPARSE, &err);
        CHECK_CONTAINS(err.message, "tiny weights");
        file.data[k] ^= flip;
        CHECK_STATUS(try(file.data, k, &err), TSP_EPARSE, &err);
    }
    tspi_buf_putc(&file, 0);
    CHECK_STATUS(try(file.data, file.len, &err), TSP_EPARSE, &err);
    tspi_buf_release(&file);
}

/* Someone who repairs the checksum gets an error or a model, and never memory that is not his. */
TEST(tiny_model, damage_behind_a_true_checksum_is_harmless)
{
    tspi_random random;
    tspi_buf good = {0}, bad = {0};
    int refused = 0;

    tspi_random_seed(&random, seed);
    made_file(&good, &random, small);
    for (int round = 0; round < 4000; round++) {
        size_t at =
            tspi_random_below(&random, 3) ? 8 + tspi_random_below(&random, 300) : tspi_random_below(&random, good.len);
        tspi_buf_clear(&bad);
        tspi_buf_append(&bad, good.data,
                        tspi_random_below(&random, 4) ? good.len : 44 + tspi_random_below(&random, good.len - 44));
        if (at < bad.len)
            bad.data[at] = (uint8_t)tspi_random_u64(&random);
        made_seal(&bad);
        refused += try(bad.data, bad.len, NULL) != TSP_OK;
    }
    printf("# %d of 4000 refused\n", refused);
    CHECK(refused > 1000 && refused < 4000);
    tspi_buf_release(&good);
    tspi_buf_release(&bad);
}

TEST(tiny_model, absurd_shapes_are_refused)
{
    static const uint32_t absurd[] = {0, 1, 3, 7, 0x7fffffff, 0x80000000, 0xffffffff, 0x10000, 0x10001};
    tspi_random random;
    tspi_buf file = {0};
    tsp_error err = {0};

    tspi_random_seed(&random, seed);
    made_file(&file, &random, small);
    for (size_t word = 0; word < 8; word++) {
        uint8_t keep[4];
        memcpy(keep, file.data + 8 + 4 * word, 4);
        for (size_t k = 0; k < sizeof absurd / sizeof *absurd; k++) {
            for (int b = 0; b < 4; b++)
                file.data[8 + 4 * word + b] = (uint8_t)(absurd[k] >> 8 * b);
            if (!memcmp(keep, file.data + 8 + 4 * word, 4))
                continue;
            made_seal(&file);
            tsp_status rc = try(file.data, file.len, &err);
            bool fine = word == 7 && absurd[k] < small.vocab; /* any token may begin a prompt */
            if ((rc == TSP_OK) != fine || (rc != TSP_OK && rc != TSP_EPARSE && rc != TSP_EUNSUPPORTED))
                TEST_FAIL("word %zu = %u: %s", word, absurd[k], tsp_status_name(rc));
        }
        memcpy(file.data + 8 + 4 * word, keep, 4);
    }
    tspi_buf_release(&file);
}

TEST(tiny_model, the_builtin_weights_are_whole_and_of_modest_size)
{
    tspi_tiny_model model;
    tsp_error err = {0};
    size_t len;
    const void *bytes = tspi_tiny_model_builtin(&len);

    CHECK(len > 1000000 && len < 1400000);
    CHECK_STATUS(tspi_tiny_model_read(bytes, len, tspi_tiny_kernel_best(), &model, &err), TSP_OK, &err);
    CHECK_INT(model.begin, 1 + '\n');
    tspi_tiny_model_release(&model);
    CHECK_STATUS(tspi_tiny_model_read(bytes, len, NULL, &model, &err), TSP_OK, &err);
    CHECK(model.layer == NULL);
    tspi_tiny_model_release(&model);
    CHECK_STATUS(tspi_tiny_model_read(bytes, len / 2, NULL, &model, &err), TSP_EPARSE, &err);
}
