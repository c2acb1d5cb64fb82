/* Small random weights files, so that the tiny model's code can be tried on many shapes and damaged in many places. */
#ifndef TESTS_TINY_MADE_H
#define TESTS_TINY_MADE_H

#include "base/buf.h"
#include "base/random.h"
#include "engine/tiny_model.h"

typedef struct {
    uint32_t dim, layers, heads, kv_heads, ffn, vocab, window, begin;
} made_shape;

static uint32_t made_crc(uint32_t crc, const uint8_t *bytes, size_t len)
{
    for (size_t k = 0; k < len; k++) {
        crc ^= bytes[k];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
    }
    return crc;
}

static void made_u32(tspi_buf *file, uint32_t value)
{
    uint8_t bytes[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};

    tspi_buf_append(file, bytes, 4);
}

static void made_float(tspi_buf *file, double value)
{
    float narrow = (float)value;
    uint32_t word;

    memcpy(&word, &narrow, 4);
    made_u32(file, word);
}

static void made_gains(tspi_buf *file, tspi_random *random, uint32_t n)
{
    for (uint32_t k = 0; k < n; k++)
        made_float(file, tspi_random_uniform(random, 0.5, 1.5));
}

static void made_matrix(tspi_buf *file, tspi_random *random, uint32_t rows, uint32_t cols)
{
    for (uint32_t k = 0; k < rows; k++)
        made_float(file, tspi_random_uniform(random, 0.5, 1.5) / 64 / sqrt(cols));
    for (uint32_t k = 0; k < rows * cols; k++)
        tspi_buf_putc(file, (char)(int)(tspi_random_below(random, 255) - 127));
}

/* Make the checksum true again. */
static void made_seal(tspi_buf *file)
{
    uint32_t crc = ~made_crc(made_crc(~0u, file->data, 40), file->data + 44, file->len - 44);

    for (int k = 0; k < 4; k++)
        file->data[40 + k] = (uint8_t)(crc >> 8 * k);
}

static void made_file(tspi_buf *file, tspi_random *random, made_shape s)
{
    const uint32_t words[] = {s.dim, s.layers, s.heads, s.kv_heads, s.ffn, s.vocab, s.window, s.begin, 0};
    const uint32_t size = s.dim / s.heads, kv_dim = size * s.kv_heads;

    tspi_buf_puts(file, "TSPTINY1");
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        made_u32(file, words[k]);
    made_float(file, 1e-5);
    for (uint32_t k = 0; k < size / 2; k++)
        made_float(file, tspi_random_unit(random));
    for (uint32_t k = 257; k < s.vocab; k++) {
        uint32_t left = 1 + (uint32_t)tspi_random_below(random, 256),
                 right = 1 + (uint32_t)tspi_random_below(random, 256);
        made_u32(file, left | right << 16);
    }
    made_matrix(file, random, s.vocab, s.dim);
    made_gains(file, random, s.dim);
    for (uint32_t k = 0; k < s.layers; k++) {
        made_gains(file, random, s.dim);
        made_gains(file, random, s.dim);
        made_gains(file, random, size);
        made_gains(file, random, size);
        made_matrix(file, random, s.dim, s.dim);
        made_matrix(file, random, kv_dim, s.dim);
        made_matrix(file, random, kv_dim, s.dim);
        made_matrix(file, random, s.dim, s.dim);
        made_matrix(file, random, s.ffn, s.dim);
        made_matrix(file, random, s.ffn, s.dim);
        made_matrix(file, random, s.dim, s.ffn);
    }
    made_seal(file);
}

#endif
