/* Sums and differences of nanoseconds that stop at the ends of 64 bits, for stamps and offsets of clocks that lie
 * centuries apart: what they say of such clocks need not be right, but must be defined. */
#ifndef TSPI_BASE_SATURATE_H
#define TSPI_BASE_SATURATE_H

#include <stdint.h>

static inline int64_t tspi_add_most(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? INT64_MIN : INT64_MAX) : sum;
}

static inline int64_t tspi_sub_most(int64_t a, int64_t b)
{
    int64_t difference;

    return __builtin_sub_overflow(a, b, &difference) ? (b > 0 ? INT64_MIN : INT64_MAX) : difference;
}

#endif
