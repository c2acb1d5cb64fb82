#include "solve/order.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define SAMPLE 128       /* of a large array, for a pivot */
#define SAMPLE_MARGIN 12 /* two sigma of a sample's median */
#define SAMPLED_LEAST 2048
#define INSERTED_MOST 24

static void insertion(double *v, size_t n)
{
    for (size_t k = 1; k < n; k++) {
        double x = v[k];
        size_t q = k;
        for (; q > 0 && v[q - 1] > x; q--)
            v[q] = v[q - 1];
        v[q] = x;
    }
}

/* A value near the rank k, on its far side from the nearer end: what lies beyond it is most of the array, and does not
 * hold the k-th (Floyd & Rivest 1975). */
static double pivot_for(const double *v, size_t n, size_t k)
{
    double sample[SAMPLE];
    size_t m = n < SAMPLED_LEAST ? 9 : SAMPLE, rank = (size_t)((double)k / (double)n * (double)m);
    size_t margin = n < SAMPLED_LEAST ? 1 : SAMPLE_MARGIN, stride = n / m;

    for (size_t q = 0; q < m; q++)
        sample[q] = v[q * stride + stride / 2];
    insertion(sample, m);
    if (k < n / 2)
        return sample[rank + margin < m ? rank + margin : m - 1];
    return sample[rank > margin ? rank - margin : 0];
}

/* Those below the pivot, or not above it, to the front; how many. Without a branch that values decide: half of them
 * would be guessed wrong. */
static inline size_t part(double *v, size_t n, double pivot, bool with_equal)
{
    size_t count = 0;

    for (size_t k = 0; k < n; k++) {
        double x = v[k];
        v[k] = v[count];
        v[count] = x;
        count += with_equal ? !(x > pivot) : x < pivot;
    }
    return count;
}

void tspi_select(double *v, size_t n, size_t k)
{
    while (n > INSERTED_MOST) {
        double pivot = pivot_for(v, n, k);
        size_t below = part(v, n, pivot, false);
        if (k < below) {
            n = below;
            continue;
        }
        if (!below) { /* nothing is: those equal to it, which may be many, go next */
            below = part(v, n, pivot, true);
            if (k < below)
                return;
        }
        v += below;
        n -= below;
        k -= below;
    }
    insertion(v, n);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

void tspi_sort(double *v, size_t n)
{
    if (n <= TSPI_LOWEST_MOST)
        insertion(v, n);
    else
        qsort(v, n, sizeof *v, by_value);
}

static double least_of(const double *v, size_t n)
{
    double least[4] = {v[0], v[0], v[0], v[0]};
    size_t k = 0;

    for (; k + 4 <= n; k += 4)
        for (int q = 0; q < 4; q++)
            least[q] = v[k + q] < least[q] ? v[k + q] : least[q];
    for (; k < n; k++)
        least[0] = v[k] < least[0] ? v[k] : least[0];
    for (int q = 1; q < 4; q++)
        least[0] = least[q] < least[0] ? least[q] : least[0];
    return least[0];
}

void tspi_quantiles(double *v, size_t n, const double *parts, size_t parts_n, double *ret)
{
    size_t end = n;   /* what is not below the last quantile is in place */
    double after = 0; /* the least of that */

    for (size_t q = parts_n; q-- > 0;) {
        double at = parts[q] * (double)(n - 1);
        size_t k = (size_t)at;
        if (k + 1 < end || end == n) {
            tspi_select(v, end, k);
            if (k + 1 < end)
                after = least_of(v + k + 1, end - k - 1);
            end = k + 1;
        }
        ret[q] = k + 1 >= n || at == (double)k ? v[k] : v[k] + (at - (double)k) * (after - v[k]);
    }
}

double tspi_quantile(double *v, size_t n, double part)
{
    double quantile;

    tspi_quantiles(v, n, &part, 1, &quantile);
    return quantile;
}

void tspi_lowest(const double *v, size_t n, size_t most, double *ret)
{
    double kept[2 * TSPI_LOWEST_MOST];
    size_t first = n < 2 * most ? n : 2 * most, count = most;

    memcpy(kept, v, first * sizeof *v);
    insertion(kept, first);
    for (size_t k = first; k < n; k++) {
        if (!(v[k] < kept[most - 1]))
            continue;
        kept[count++] = v[k];
        if (count == 2 * most) {
            insertion(kept, count);
            count = most;
        }
    }
    insertion(kept, count);
    memcpy(ret, kept, most * sizeof *ret);
}

double tspi_median(double *v, size_t n)
{
    return tspi_quantile(v, n, 0.5);
}

double tspi_mad(double *v, size_t n)
{
    for (size_t k = 0; k < n; k++)
        v[k] = fabs(v[k]);
    return 1.4826 * tspi_median(v, n);
}
