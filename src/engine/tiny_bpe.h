/* The tiny model's tokeniser: byte pair encoding. Any bytes become tokens and those tokens the same bytes again. */
#ifndef TSPI_ENGINE_TINY_BPE_H
#define TSPI_ENGINE_TINY_BPE_H

#include "base/buf.h"
#include "engine/tiny_model.h"

typedef struct tspi_tiny_bpe tspi_tiny_bpe;

/* merges are copied. Errors: TSP_EPARSE: a token longer than 64 bytes; TSP_ENOMEM. */
tsp_status tspi_tiny_bpe_new(const tspi_tiny_model *model, tspi_tiny_bpe **ret_bpe, tsp_error *err);
void tspi_tiny_bpe_free(tspi_tiny_bpe *bpe);

/* Append the tokens of text as int32, little-endian. */
tsp_status tspi_tiny_bpe_encode(const tspi_tiny_bpe *bpe, const uint8_t *text, size_t len, tspi_buf *ret_ids,
                                tsp_error *err);

/* The bytes of one token; none for the end-of-text. id < vocab. */
const uint8_t *tspi_tiny_bpe_bytes(const tspi_tiny_bpe *bpe, uint32_t id, size_t *ret_len);

/* Token k of a piece. */
static inline uint32_t tspi_tiny_piece_id(const void *piece, size_t k)
{
    const uint8_t *b = (const uint8_t *)piece + 4 * k;
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}
void tspi_tiny_piece_add(tspi_buf *piece, uint32_t id);

#endif
