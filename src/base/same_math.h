/* Logarithm, exponential and power that give the same bits on every machine: from +, -, *, / and square root alone,
 * which IEEE 754 fixes. A libm's own differ in the last bit from version to version, and with the processor it runs on;
 * what a seed decides must not. Within 2 ulp of the true value. */
#ifndef TSPI_BASE_SAME_MATH_H
#define TSPI_BASE_SAME_MATH_H

#include <stddef.h>

/* Natural logarithm; x > 0 and finite. */
double tspi_same_log(double x);

/* The same of n numbers, none of them subnormal, some four times as fast: to the bit what tspi_same_log gives. n: a
 * multiple of TSPI_SAME_LOGS_STEP. ret_logs may be x. */
enum { TSPI_SAME_LOGS_STEP = 8 };
void tspi_same_logs(const double *x, size_t n, double *ret_logs);

/* e to the x; 0 or infinity outside of about [-745, 709]. */
double tspi_same_exp(double x);

/* x to the y = exp(y log x); x > 0. Its relative error grows as y log x does. */
static inline double tspi_same_pow(double x, double y)
{
    return tspi_same_exp(y * tspi_same_log(x));
}

#endif
