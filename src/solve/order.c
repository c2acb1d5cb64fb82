#include "solve/order.h"

#include <math.h>
#include <stdlib.h>

static void swap(double *a, double *b)
{
    double t = *a;

    *a = *b;
    *b = t;
}

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

/* Quickselect with a median of three; equal values are split evenly, so constant input is no worst case. */
void tspi_select(double *v, size_t n, size_t k)
{
    size_t lo = 0, hi = n;

    while (hi - lo > 16) {
        size_t mid = lo + (hi - lo) / 2, i = lo, j = hi - 1;
        if (v[mid] < v[lo])
            swap(&v[mid], &v[lo]);
        if (v[hi - 1] < v[lo])
            swap(&v[hi - 1], &v[lo]);
        if (v[hi - 1] < v[mid])
            swap(&v[hi - 1], &v[mid]);
        double pivot = v[mid];
        for (;;) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i >= j)
                break;
            swap(&v[i++], &v[j--]);
        }
        if (k <= j)
            hi = j + 1;
        else
            lo = j + 1;
    }
    insertion(v + lo, hi - lo);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

void tspi_sort(double *v, size_t n)
{
    if (n <= 24)
        insertion(v, n);
    else
        qsort(v, n, sizeof *v, by_value);
}

double tspi_quantile(double *v, size_t n, double part)
{
    double at = part * (double)(n - 1), low;
    size_t k = (size_t)at;

    tspi_select(v, n, k);
    low = v[k];
    if (k + 1 >= n || at == (double)k)
        return low;
    double next = v[k + 1];
    for (size_t q = k + 2; q < n; q++)
        next = v[q] < next ? v[q] : next;
    return low + (at - (double)k) * (next - low);
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
