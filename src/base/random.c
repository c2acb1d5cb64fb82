#include "base/random.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/same_math.h"

static uint64_t splitmix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

void tspi_random_seed(tspi_random *random, uint64_t seed)
{
    for (int k = 0; k < 4; k++)
        random->s[k] = splitmix(&seed);
}

tspi_random tspi_random_split(const tspi_random *parent, const char *label, uint64_t index)
{
    tspi_random child;
    uint64_t seed = tspi_hash64(label, strlen(label), parent->s[0] ^ rotl(parent->s[2], 17));

    tspi_random_seed(&child, seed + index * UINT64_C(0x9e3779b97f4a7c15));
    return child;
}

uint64_t tspi_random_u64(tspi_random *random)
{
    uint64_t *s = random->s, result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint64_t tspi_random_below(tspi_random *random, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, x;

    do
        x = tspi_random_u64(random);
    while (x >= limit);
    return x % n;
}

double tspi_random_unit(tspi_random *random)
{
    return (double)(tspi_random_u64(random) >> 11) * 0x1p-53;
}

double tspi_random_uniform(tspi_random *random, double lo, double hi)
{
    return lo + (hi - lo) * tspi_random_unit(random);
}

double tspi_random_exponential(tspi_random *random, double mean)
{
    return -mean * tspi_same_log(1.0 - tspi_random_unit(random));
}

/* The polar method (Marsaglia & Bray 1964), which needs no sine. */
double tspi_random_normal(tspi_random *random)
{
    double x, y, r2;

    do {
        x = tspi_random_uniform(random, -1.0, 1.0);
        y = tspi_random_uniform(random, -1.0, 1.0);
        r2 = x * x + y * y;
    } while (r2 >= 1.0 || r2 == 0.0);
    return x * sqrt(-2.0 * tspi_same_log(r2) / r2);
}

void tspi_random_ahead_refill(tspi_random_ahead *ahead)
{
    for (int k = 0; k < TSPI_RANDOM_AHEAD; k++) {
        ahead->units[k] = tspi_random_unit(&ahead->random);
        ahead->logs[k] = 1.0 - ahead->units[k]; /* at least 2^-53 */
    }
    tspi_same_logs(ahead->logs, TSPI_RANDOM_AHEAD, ahead->logs);
    ahead->at = 0;
}

void tspi_random_bytes(tspi_random *random, void *bytes, size_t len)
{
    uint8_t *out = bytes;

    while (len) {
        uint64_t word = tspi_random_u64(random);
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(out, &word, n);
        out += n;
        len -= n;
    }
}
