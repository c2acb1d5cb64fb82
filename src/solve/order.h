/* Order statistics on arrays of doubles. All reorder the array they are given. */
#ifndef TSPI_SOLVE_ORDER_H
#define TSPI_SOLVE_ORDER_H

#include <stddef.h>

/* Afterwards v[k] is what it would be if v were sorted, with nothing larger before and nothing smaller after it. */
void tspi_select(double *v, size_t n, size_t k);
void tspi_sort(double *v, size_t n);

/* n > 0. Between two ranks, linear. */
double tspi_quantile(double *v, size_t n, double part);
double tspi_median(double *v, size_t n);

/* Several at once, for little more than the last alone: parts ascending, parts_n of them. */
void tspi_quantiles(double *v, size_t n, const double *parts, size_t parts_n, double *ret);

/* The most <= TSPI_LOWEST_MOST lowest of n >= most values, ascending; v stays as it is. */
#define TSPI_LOWEST_MOST 64
void tspi_lowest(const double *v, size_t n, size_t most, double *ret);

/* Median of the absolute values, scaled to the standard deviation of a normal. */
double tspi_mad(double *v, size_t n);

#endif
