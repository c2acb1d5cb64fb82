/* A fast 64-bit hash for tables and seeds. Not for secrets: see sha256.h for fingerprints. */
#ifndef TSPI_BASE_HASH_H
#define TSPI_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t tspi_hash64(const void *bytes, size_t len, uint64_t seed);

/* One 64-bit word to another, every bit of the input reaching every bit of the output. */
static inline uint64_t tspi_hash_mix(uint64_t x)
{
    x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ (x >> 32);
}

/* Random in each run: so that no input can be made to collide in a table keyed by it. */
uint64_t tspi_hash_seed(void);

#endif
