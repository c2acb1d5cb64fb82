#include "base/same_math.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* ln 2 in two parts: the first has 32 low bits of zeros, so that its product with an exponent is exact. */
static const double ln2_hi = 0x1.62e42feep-1, ln2_lo = 0x1.a39ef35793c76p-33;

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172: ten terms of the
 * series leave less than 2^-56. Taking x's bits apart is exact. */
static const double odd_parts[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                                   1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};

double tspi_same_log(double x)
{
    uint64_t bits;
    int k = 0;

    memcpy(&bits, &x, sizeof bits);
    if (!(bits >> 52)) { /* subnormal */
        x *= 0x1p54;
        k = -54;
        memcpy(&bits, &x, sizeof bits);
    }
    k += (int)(bits >> 52) - 1022;
    bits = (bits & (UINT64_MAX >> 12)) | UINT64_C(1022) << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m < 0.7071067811865476) {
        m *= 2;
        k--;
    }
    double f = m - 1, s = f / (2 + f), s2 = s * s, sum = 0;
    for (int n = 0; n < 10; n++)
        sum = (sum + odd_parts[n]) * s2;
    return k * ln2_hi + (2 * s + (2 * s * sum + k * ln2_lo));
}

/* The same steps on several numbers side by side: each waits for its own last step only. */
typedef double doubles __attribute__((vector_size(TSPI_SAME_LOGS_STEP * sizeof(double))));
typedef uint64_t unsigned_words __attribute__((vector_size(TSPI_SAME_LOGS_STEP * sizeof(uint64_t))));
typedef int64_t words __attribute__((vector_size(TSPI_SAME_LOGS_STEP * sizeof(int64_t))));

void tspi_same_logs(const double *x, size_t n, double *ret_logs)
{
    for (size_t at = 0; at < n; at += TSPI_SAME_LOGS_STEP) {
        unsigned_words bits;
        memcpy(&bits, x + at, sizeof bits);
        words k = (words)(bits >> 52) - 1022;
        bits = (bits & (UINT64_MAX >> 12)) | UINT64_C(1022) << 52;
        doubles m;
        memcpy(&m, &bits, sizeof m);
        words is_low = m < 0.7071067811865476; /* all ones where it is */
        m += (doubles)((words)m & is_low);
        k += is_low;
        doubles f = m - 1, s = f / (2 + f), s2 = s * s, sum = {0};
        for (int term = 0; term < 10; term++)
            sum = (sum + odd_parts[term]) * s2;
        doubles whole = __builtin_convertvector(k, doubles);
        doubles logs = whole * ln2_hi + (2 * s + (2 * s * sum + whole * ln2_lo));
        memcpy(ret_logs + at, &logs, sizeof logs);
    }
}

/* x = k ln 2 + r with |r| <= ln 2 / 2; fourteen terms of the series of e^r leave less than 2^-57. */
double tspi_same_exp(double x)
{
    if (!(x > -746))
        return 0;
    if (x > 710)
        return INFINITY;
    double k = nearbyint(x * 1.4426950408889634), r = (x - k * ln2_hi) - k * ln2_lo, sum = 1;
    for (int n = 14; n >= 1; n--)
        sum = 1 + r / n * sum;
    return ldexp(sum, (int)k);
}
