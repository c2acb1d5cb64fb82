/* The tiny model's arithmetic: int8 matrices times int8 vectors, and the few functions around them.
 *
 * The same bits on every machine, compiler and instruction set. This is how: products are summed in int32, which is
 * exact in any order; everything in float is a fixed sequence of IEEE additions, multiplications, divisions and square
 * roots on four lanes, written with compiler vectors (no reassociation: no -ffast-math; no fused multiply-add: the
 * project compiles with -ffp-contract=off); exp, sine and cosine are our own polynomials, not libm's. */
#ifndef TSPI_ENGINE_TINY_KERNEL_H
#define TSPI_ENGINE_TINY_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TSPI_TINY_ROWS = 16, /* matrices are packed in blocks of so many rows, padded with zeros */
};

/* Packed by a kernel's pack. All pointers are borrowed from the model's one block. */
typedef struct {
    uint32_t rows, cols;
    int8_t *weights; /* 64-byte aligned, blocks * TSPI_TINY_ROWS * cols */
    float *scale;    /* a row; padded rows have 0 */
    int32_t *bias;   /* a row: -128 * the sum of its weights, for kernels that need unsigned activations */
} tspi_tiny_matrix;

/* A vector rounded to int8: x[k] is about q[k] * scale. q is 64-byte aligned, |q| <= 127. */
typedef struct {
    int8_t *q;
    float scale;
} tspi_tiny_vector;

typedef struct {
    const char *name;
    bool (*usable)(void); /* on this machine */
    /* Where weight (row, col) of a matrix with cols columns lies. */
    size_t (*place)(uint32_t row, uint32_t col, uint32_t cols);
    /* ret[r] = scale[r] * x.scale * (row r . x.q), for all padded rows. */
    void (*multiply)(const tspi_tiny_matrix *m, const tspi_tiny_vector *x, float *ret);
} tspi_tiny_kernel;

/* All kernels of this build, the fastest first; the last is portable. *ret_n: how many. */
const tspi_tiny_kernel *const *tspi_tiny_kernels(size_t *ret_n);

/* The first usable one. */
const tspi_tiny_kernel *tspi_tiny_kernel_best(void);

/* In the functions below n is a multiple of 4 and pointers are 16-byte aligned. */

/* x[k] rounded to nearest even in units of max|x| / 127. */
void tspi_tiny_round(const float *x, size_t n, tspi_tiny_vector *ret);

/* ret = x / sqrt(mean(x^2) + eps) * gain; gain may be NULL (all 1); ret may be x. */
void tspi_tiny_norm(const float *x, const float *gain, size_t n, float eps, float *ret);

/* The sum of a[k] * b[k]. */
float tspi_tiny_dot(const float *a, const float *b, size_t n);

/* ret[k] = unit * (q . row k of keys), for rows of n that lie stride apart. */
void tspi_tiny_dots(const float *q, const float *keys, size_t stride, size_t rows, size_t n, float unit, float *ret);

/* sum += weight[0] * row 0 of values, then weight[1] * row 1 and so on. n is a multiple of 8. */
void tspi_tiny_mix(float *sum, const float *weight, const float *values, size_t stride, size_t rows, size_t n);

/* sum[k] += x[k]. */
void tspi_tiny_add(float *sum, const float *x, size_t n);

/* x[k] = exp(x[k] - the largest x); the largest x if ret_max is not NULL; the sum in order is returned. */
float tspi_tiny_exp_all(float *x, size_t n, float *ret_max);

/* gate[k] = gate[k] / (1 + exp(-gate[k])) * up[k]. */
void tspi_tiny_swiglu(float *gate, const float *up, size_t n);

/* Sine and cosine of angle >= 0, absolute error below 1e-9 up to 1e6, below 1e-6 up to 1e9. */
void tspi_tiny_sincos(double angle, double *ret_sin, double *ret_cos);

#endif
