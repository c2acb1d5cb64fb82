/* How well the tiny model knows a text. */
#ifndef TESTS_TINY_BITS_H
#define TESTS_TINY_BITS_H

#include <math.h>
#include <string.h>

#include "engine/tiny_bpe.h"
#include "engine/tiny_forward.h"

/* -log2 of the probability that logits give to id. */
static double token_bits(const float *logits, uint32_t vocab, uint32_t id)
{
    double sum = 0;

    for (uint32_t k = 0; k < vocab; k++)
        sum += exp((double)logits[k] - (double)logits[id]);
    return log2(sum);
}

/* Bits of a text in one go, its end-of-texts (NUL bytes) included; ret_characters counts the other bytes. */
static double text_bits(const tspi_tiny_model *model, const tspi_tiny_bpe *bpe, const uint8_t *text, size_t len,
                        size_t *ret_characters)
{
    tspi_buf ids = {0};
    tspi_tiny_state *state = NULL;
    double bits = 0;
    uint32_t last = model->begin;

    *ret_characters = 0;
    while (len) {
        const uint8_t *end = memchr(text, 0, len);
        size_t n = end ? (size_t)(end - text) : len;
        tspi_tiny_bpe_encode(bpe, text, n, &ids, NULL);
        if (end)
            tspi_tiny_piece_add(&ids, TSPI_TINY_END);
        *ret_characters += n;
        text += n + (end ? 1 : 0);
        len -= n + (end ? 1 : 0);
    }
    if (tspi_tiny_state_new(model, &state, NULL) != TSP_OK)
        return INFINITY;
    for (size_t k = 0; k < ids.len / 4; k++) {
        uint32_t id = tspi_tiny_piece_id(ids.data, k);
        bits += token_bits(tspi_tiny_forward(state, last, true), model->vocab, id);
        last = id;
    }
    tspi_tiny_state_free(state);
    tspi_buf_release(&ids);
    return bits;
}

#endif
