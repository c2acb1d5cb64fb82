#include "causal/slacks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Buckets of |ns|: 0 .. 2047 one each, then 1024 an octave. */
#define SUB_BITS 10

static int32_t bucket_of_magnitude(uint64_t ns)
{
    if (ns < (2u << SUB_BITS))
        return (int32_t)ns;
    int octave = 63 - __builtin_clzll(ns);
    int shift = octave - SUB_BITS;
    return (int32_t)(((uint32_t)shift << SUB_BITS) + (uint32_t)(ns >> shift));
}

static int32_t bucket_of(int64_t ns)
{
    return ns >= 0 ? bucket_of_magnitude((uint64_t)ns) : -1 - bucket_of_magnitude(0 - (uint64_t)ns - 1);
}

/* The middle of a bucket. */
static int64_t magnitude_of(int32_t bucket)
{
    if (bucket < (2 << SUB_BITS))
        return bucket;
    int shift = (bucket >> SUB_BITS) - 1;
    uint64_t base = (uint64_t)(bucket - (shift << SUB_BITS)) << shift;
    return (int64_t)(base + ((UINT64_C(1) << shift) >> 1));
}

static int64_t value_of(int32_t bucket)
{
    return bucket >= 0 ? magnitude_of(bucket) : -1 - magnitude_of(-1 - bucket);
}

void tspi_slacks_release(tspi_slacks *slacks)
{
    if (!slacks)
        return;
    free(slacks->values);
    free(slacks->buckets);
    memset(slacks, 0, sizeof *slacks);
}

/* Room for bucket b, with some to spare on the side that grows. */
static bool cover(tspi_slacks *s, int32_t b)
{
    if (s->buckets && b >= s->first && b < s->first + s->buckets_n)
        return true;
    int32_t lo = s->buckets && s->first < b ? s->first : b, end = b + 1;
    if (s->buckets && s->first + s->buckets_n > end)
        end = s->first + s->buckets_n;
    int32_t spare = 32 + s->buckets_n / 4;
    if (!s->buckets || b < s->first)
        lo -= spare;
    if (!s->buckets || b >= s->first + s->buckets_n)
        end += spare;
    uint32_t *bigger = calloc((size_t)(end - lo), sizeof *bigger);
    if (!bigger)
        return false;
    if (s->buckets)
        memcpy(bigger + (s->first - lo), s->buckets, (size_t)s->buckets_n * sizeof *bigger);
    free(s->buckets);
    s->buckets = bigger;
    s->first = lo;
    s->buckets_n = end - lo;
    return true;
}

static bool spill(tspi_slacks *s)
{
    for (uint64_t k = 0; k < s->n; k++)
        if (!cover(s, bucket_of(s->values[k])))
            return false;
    for (uint64_t k = 0; k < s->n; k++)
        s->buckets[bucket_of(s->values[k]) - s->first]++;
    free(s->values);
    s->values = NULL;
    return true;
}

static bool add_exact(tspi_slacks *s, int64_t ns)
{
    if (s->n == s->values_cap) {
        uint32_t cap = s->values_cap ? s->values_cap * 2 : 8;
        int64_t *bigger = realloc(s->values, cap * sizeof *bigger);
        if (!bigger)
            return false;
        s->values = bigger;
        s->values_cap = cap;
    }
    s->values[s->n] = ns;
    s->sorted = false;
    return true;
}

bool tspi_slacks_add(tspi_slacks *s, int64_t ns)
{
    if (!s->buckets && s->n < TSPI_SLACKS_EXACT) {
        if (!add_exact(s, ns))
            return false;
    } else {
        if (!s->buckets && !spill(s))
            return false;
        int32_t b = bucket_of(ns);
        if (!cover(s, b))
            return false;
        s->buckets[b - s->first]++;
    }
    if (!s->n || ns < s->min_ns)
        s->min_ns = ns;
    if (!s->n || ns > s->max_ns)
        s->max_ns = ns;
    s->n++;
    return true;
}

bool tspi_slacks_merge(tspi_slacks *s, const tspi_slacks *other)
{
    if (!other->n)
        return true;
    if (!other->buckets) {
        for (uint64_t k = 0; k < other->n; k++)
            if (!tspi_slacks_add(s, other->values[k]))
                return false;
        return true;
    }
    if ((!s->buckets && s->n && !spill(s)) || !cover(s, other->first) || !cover(s, other->first + other->buckets_n - 1))
        return false;
    for (int32_t k = 0; k < other->buckets_n; k++)
        s->buckets[other->first + k - s->first] += other->buckets[k];
    if (!s->n || other->min_ns < s->min_ns)
        s->min_ns = other->min_ns;
    if (!s->n || other->max_ns > s->max_ns)
        s->max_ns = other->max_ns;
    s->n += other->n;
    return true;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort(tspi_slacks *s)
{
    if (!s->sorted)
        qsort(s->values, (size_t)s->n, sizeof *s->values, compare);
    s->sorted = true;
}

int64_t tspi_slacks_rank(tspi_slacks *s, uint64_t rank)
{
    if (rank <= 1)
        return s->min_ns;
    if (rank >= s->n)
        return s->max_ns;
    if (!s->buckets) {
        sort(s);
        return s->values[rank - 1];
    }
    uint64_t seen = 0;
    for (int32_t k = 0; k < s->buckets_n; k++)
        if ((seen += s->buckets[k]) >= rank) {
            int64_t ns = value_of(s->first + k);
            return ns < s->min_ns ? s->min_ns : ns > s->max_ns ? s->max_ns : ns;
        }
    return s->max_ns;
}

int64_t tspi_slacks_quantile(tspi_slacks *s, double p)
{
    return tspi_slacks_rank(s, (uint64_t)ceil(p * (double)s->n));
}

uint64_t tspi_slacks_below(tspi_slacks *s, int64_t ns)
{
    uint64_t below = 0;

    if (!s->buckets) {
        for (uint64_t k = 0; k < s->n; k++)
            below += s->values[k] < ns;
        return below;
    }
    for (int32_t k = 0; k < s->buckets_n && s->first + k < bucket_of(ns); k++)
        below += s->buckets[k];
    return below;
}

int64_t tspi_slacks_fence(tspi_slacks *s)
{
    if (s->n < 8)
        return INT64_MIN;
    bool many = s->n >= 40;
    int64_t low = tspi_slacks_quantile(s, many ? 0.05 : 0.20), high = tspi_slacks_quantile(s, many ? 0.20 : 0.50);
    int64_t spread, fence;
    /* Two quantiles in one bucket look equal though their values are not: a bucket's width either way. */
    int64_t width = s->buckets ? 2 * (llabs(low) >> SUB_BITS) : 0;
    if (__builtin_sub_overflow(high, low, &spread) || __builtin_mul_overflow(spread, many ? 4 : 3, &spread) ||
        __builtin_sub_overflow(low, spread, &fence) || __builtin_sub_overflow(fence, width, &fence))
        return INT64_MIN;
    return fence;
}
