/* Sets of row numbers, a bit a row, the lowest bit of the first word first. */
#ifndef TSPI_BASE_BITS_H
#define TSPI_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Words for n rows. */
static inline size_t tspi_bits_words(size_t n)
{
    return n / 64 + 1;
}

static inline bool tspi_bits_has(const uint64_t *bits, size_t row)
{
    return bits[row / 64] >> (row % 64) & 1;
}

static inline void tspi_bits_add(uint64_t *bits, size_t row)
{
    bits[row / 64] |= UINT64_C(1) << (row % 64);
}

/* The first row of the set from row on, or n: for (k = next(bits, 0, n); k < n; k = next(bits, k + 1, n)). */
static inline size_t tspi_bits_next(const uint64_t *bits, size_t row, size_t n)
{
    if (row >= n)
        return n;
    uint64_t word = bits[row / 64] >> (row % 64);
    if (word) {
        row += (size_t)__builtin_ctzll(word);
        return row < n ? row : n;
    }
    for (size_t k = row / 64 + 1; k * 64 < n; k++)
        if (bits[k]) {
            row = k * 64 + (size_t)__builtin_ctzll(bits[k]);
            return row < n ? row : n;
        }
    return n;
}

#endif
