#include "base/same_math.h"

#include <math.h>

/* ln 2 in two parts: the first has 32 low bits of zeros, so that its product with an exponent is exact. */
static const double ln2_hi = 0x1.62e42feep-1, ln2_lo = 0x1.a39ef35793c76p-33;

/* x = 2^k m with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| < 0.172: ten terms of the
 * series leave less than 2^-56. frexp and ldexp are exact. */
double tspi_same_log(double x)
{
    int k;
    double m = frexp(x, &k);

    if (m < 0.7071067811865476) {
        m *= 2;
        k--;
    }
    double f = m - 1, s = f / (2 + f), s2 = s * s, sum = 0;
    for (int n = 21; n >= 3; n -= 2)
        sum = (sum + 1.0 / n) * s2;
    return k * ln2_hi + (2 * s + (2 * s * sum + k * ln2_lo));
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
