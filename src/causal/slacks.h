/* A sample of slacks in little memory: exact while it is small, then a histogram with 1024 buckets an octave on either
 * side of zero, so that a quantile is off by less than 0.05 % of itself. Minimum and maximum are always exact. Samples
 * merge without loss. */
#ifndef TSPI_CAUSAL_SLACKS_H
#define TSPI_CAUSAL_SLACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TSPI_SLACKS_EXACT = 256 };

/* Zero it to initialise. */
typedef struct {
    uint64_t n;
    int64_t min_ns, max_ns; /* of n >= 1 */
    int64_t *values;        /* owned: the sample itself while n <= TSPI_SLACKS_EXACT */
    uint32_t *buckets;      /* owned: afterwards; counts of buckets first .. first + buckets_n - 1 */
    int32_t first, buckets_n;
    uint32_t values_cap;
    bool sorted;
} tspi_slacks;

void tspi_slacks_release(tspi_slacks *slacks);

/* false: memory is exhausted, and the value is not counted. */
bool tspi_slacks_add(tspi_slacks *slacks, int64_t ns);
/* n more values between these: n, min_ns and max_ns stay right, but there is no distribution any more. */
static inline void tspi_slacks_count(tspi_slacks *slacks, uint64_t n, int64_t min_ns, int64_t max_ns)
{
    if (!slacks->n || min_ns < slacks->min_ns)
        slacks->min_ns = min_ns;
    if (!slacks->n || max_ns > slacks->max_ns)
        slacks->max_ns = max_ns;
    slacks->n += n;
}
bool tspi_slacks_merge(tspi_slacks *slacks, const tspi_slacks *other);

/* The smallest value that at least a fraction p of the sample does not exceed; p in [0, 1], n >= 1.
 * (So p = 0 is the minimum and p = 1 the maximum.) */
int64_t tspi_slacks_quantile(tspi_slacks *slacks, double p);

/* The value of the rank-th smallest, counted from 1; rank <= n. */
int64_t tspi_slacks_rank(tspi_slacks *slacks, uint64_t rank);

/* About how many lie below ns: exact while small, else to a bucket. */
uint64_t tspi_slacks_below(tspi_slacks *slacks, int64_t ns);

/* SOLVER.md, step 7: what lies below this is far under the low tail of its own sample and says nothing of clocks.
 * n >= 40: q05 - 4 (q20 - q05). 8 <= n < 40: q20 - 3 (q50 - q20). Fewer: INT64_MIN, no fence. */
int64_t tspi_slacks_fence(tspi_slacks *slacks);

#endif
