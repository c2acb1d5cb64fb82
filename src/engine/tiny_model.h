/* The tiny model's weights: a Llama-style transformer, its matrices as int8, its tokeniser's merges beside them.
 *
 * The file, little-endian, nothing between the parts:
 *   "TSPTINY1"; u32 dim, layers, heads, kv_heads, ffn, vocab, window, begin; u32 crc; the rest below.
 *   crc is that of zlib (CRC-32, ISO 3309) over all other bytes in their order.
 *   eps f32; turn f32[head_dim / 2], the rotation of each pair of a head in radians a token; head_dim is dim / heads
 *   merges u16[vocab - 257][2]: token 257 + k is its two parts one after another; 0 ends a text, 1 + b is byte b
 *   embed matrix (vocab, dim), also the output's; final_norm f32[dim]
 *   a layer: attn_norm f32[dim], ffn_norm f32[dim], q_norm f32[head_dim], k_norm f32[head_dim],
 *     wq (dim, dim), wk (kv_dim, dim), wv (kv_dim, dim), wo (dim, dim), gate (ffn, dim), up (ffn, dim), down (dim, ffn)
 *   a matrix (rows, cols): scale f32[rows], weights i8[rows][cols] in -127..127. */
#ifndef TSPI_ENGINE_TINY_MODEL_H
#define TSPI_ENGINE_TINY_MODEL_H

#include <stddef.h>
#include <stdint.h>

#include "engine/tiny_kernel.h"
#include "truespan/base.h"

enum {
    TSPI_TINY_END = 0,           /* the token that ends a text */
    TSPI_TINY_FIRST_MERGE = 257, /* ids below are the end and the 256 bytes */
};

typedef struct {
    float *attn_norm, *ffn_norm, *q_norm, *k_norm;
    tspi_tiny_matrix wq, wk, wv, wo, gate, up, down;
} tspi_tiny_layer;

typedef struct {
    uint32_t dim, layers, heads, kv_heads, ffn, vocab;
    uint32_t window; /* a token sees itself and the window - 1 before it */
    uint32_t begin;  /* the token that stands before every prompt, where the training text had it before a verse */
    uint32_t head_dim, kv_dim;
    float eps;
    const uint16_t *merges; /* two a merge; in the block */

    /* All below only if the matrices were asked for. */
    const tspi_tiny_kernel *kernel;
    float *turn, *final_norm;
    tspi_tiny_matrix embed;
    tspi_tiny_layer *layer;

    void *block; /* owned: everything above that is a pointer lies in it */
} tspi_tiny_model;

/* Read a weights file of len bytes (borrowed for the call).
 * kernel     the matrices are packed for it; NULL: no matrices, for one who only needs the tokeniser
 * ret_model  set only on TSP_OK; the caller owns it: tspi_tiny_model_release
 * Errors     TSP_EPARSE: cut, damaged or not such a file; TSP_EUNSUPPORTED: a shape that this code cannot run */
tsp_status tspi_tiny_model_read(const void *bytes, size_t len, const tspi_tiny_kernel *kernel,
                                tspi_tiny_model *ret_model, tsp_error *err);
void tspi_tiny_model_release(tspi_tiny_model *model);

/* The weights inside the executable. */
const void *tspi_tiny_model_builtin(size_t *ret_len);

#endif
