#include "base/hash.h"

#include <string.h>
#include <sys/random.h>

/* Multiply to 128 bits and fold: the mixing step of wyhash (Wang Yi, public domain idea). */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t tspi_hash64(const void *bytes, size_t len, uint64_t seed)
{
    const uint8_t *in = bytes;
    const uint64_t k0 = UINT64_C(0xa0761d6478bd642f), k1 = UINT64_C(0xe7037ed1a0b428db);
    uint64_t h = seed ^ fold(len ^ k0, k1), a, b;

    while (len > 16) {
        memcpy(&a, in, 8);
        memcpy(&b, in + 8, 8);
        h = fold(a ^ k0 ^ h, b ^ k1);
        in += 16;
        len -= 16;
    }
    uint8_t tail[16] = {0};
    if (len)
        memcpy(tail, in, len);
    memcpy(&a, tail, 8);
    memcpy(&b, tail + 8, 8);
    return fold(a ^ k0 ^ h, b ^ k1 ^ len);
}

uint64_t tspi_hash_seed(void)
{
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) < 0)
        seed = tspi_hash_mix((uint64_t)(uintptr_t)&seed); /* early boot: an address will do */
    return seed;
}
