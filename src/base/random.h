/* Seeded, splittable random numbers: xoshiro256** (Blackman & Vigna 2018), seeded through SplitMix64.
 * The same seed gives the same numbers on every machine. Not for secrets. */
#ifndef TSPI_BASE_RANDOM_H
#define TSPI_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t s[4];
} tspi_random;

void tspi_random_seed(tspi_random *random, uint64_t seed);

/* A generator that depends on the parent's seed and on label only, not on how much the parent has been used since
 * it was seeded: so a new stage or a new draw does not change everyone else's numbers. */
tspi_random tspi_random_split(const tspi_random *parent, const char *label, uint64_t index);

uint64_t tspi_random_u64(tspi_random *random);

/* Uniform in [0, n), without bias; n > 0. */
uint64_t tspi_random_below(tspi_random *random, uint64_t n);

/* Uniform in [0, 1). */
double tspi_random_unit(tspi_random *random);

/* Uniform in [lo, hi). */
double tspi_random_uniform(tspi_random *random, double lo, double hi);

/* Exponential with the given mean, in the mean's unit. */
double tspi_random_exponential(tspi_random *random, double mean);

/* Standard normal. */
double tspi_random_normal(tspi_random *random);

/* A generator that draws ahead, for who wants many exponential numbers: what it gives is, to the bit and in the same
 * order, what the functions above give for the generator that it was made from. */
enum { TSPI_RANDOM_AHEAD = 16 };
typedef struct {
    tspi_random random;
    double units[TSPI_RANDOM_AHEAD], logs[TSPI_RANDOM_AHEAD]; /* logs: of 1 - unit */
    uint32_t at;
} tspi_random_ahead;

static inline tspi_random_ahead tspi_random_ahead_of(const tspi_random *random)
{
    return (tspi_random_ahead){.random = *random, .at = TSPI_RANDOM_AHEAD};
}

void tspi_random_ahead_refill(tspi_random_ahead *ahead);

static inline double tspi_random_ahead_unit(tspi_random_ahead *ahead)
{
    if (ahead->at == TSPI_RANDOM_AHEAD)
        tspi_random_ahead_refill(ahead);
    return ahead->units[ahead->at++];
}

static inline double tspi_random_ahead_exponential(tspi_random_ahead *ahead, double mean)
{
    if (ahead->at == TSPI_RANDOM_AHEAD)
        tspi_random_ahead_refill(ahead);
    return -mean * ahead->logs[ahead->at++];
}

void tspi_random_bytes(tspi_random *random, void *bytes, size_t len);

#endif
