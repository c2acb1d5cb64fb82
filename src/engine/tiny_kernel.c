#include "engine/tiny_kernel.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* ---- matrix times vector, portable ----
 * Two columns of 16 rows at a time. |w|, |q| <= 127, so the sum of two products fits an int16. */

typedef int16_t i16x8 __attribute__((vector_size(16)));
typedef int32_t i32x4 __attribute__((vector_size(16)));
typedef uint32_t u32x4 __attribute__((vector_size(16)));
typedef int8_t i8x4 __attribute__((vector_size(4)));
typedef int8_t i8x8 __attribute__((vector_size(8)));
typedef int16_t i16x4 __attribute__((vector_size(8)));
typedef float f32x4 __attribute__((vector_size(16), may_alias));

static bool always_usable(void)
{
    return true;
}

static size_t place_pairs(uint32_t row, uint32_t col, uint32_t cols)
{
    size_t block = row / TSPI_TINY_ROWS;

    return block * TSPI_TINY_ROWS * cols + (size_t)(col / 2) * 32 + (col % 2) * 16 + row % TSPI_TINY_ROWS;
}

static void finish_block(const tspi_tiny_matrix *m, const int32_t *sum, size_t row, float scale, float *ret)
{
    for (size_t k = 0; k < TSPI_TINY_ROWS; k++)
        ret[row + k] = (float)sum[k] * scale * m->scale[row + k];
}

/* Half a block: 8 rows, of which two columns lie 16 bytes apart. */
static void multiply_half(const int8_t *w, const int8_t *q, uint32_t cols, int32_t *ret_sum)
{
    i32x4 low = {0}, high = {0};

    for (uint32_t c = 0; c < cols; c += 2, w += 32) {
        i8x8 even, odd;
        i16x8 products;
        i16x4 half;
        memcpy(&even, w, 8);
        memcpy(&odd, w + 16, 8);
        products = __builtin_convertvector(even, i16x8) * q[c] + __builtin_convertvector(odd, i16x8) * q[c + 1];
        memcpy(&half, &products, 8);
        low += __builtin_convertvector(half, i32x4);
        memcpy(&half, (char *)&products + 8, 8);
        high += __builtin_convertvector(half, i32x4);
    }
    memcpy(ret_sum, &low, sizeof low);
    memcpy(ret_sum + 4, &high, sizeof high);
}

static void multiply_portable(const tspi_tiny_matrix *m, const tspi_tiny_vector *x, float *ret)
{
    for (uint32_t row = 0; row < m->rows; row += TSPI_TINY_ROWS) {
        const int8_t *w = m->weights + (size_t)row * m->cols;
        int32_t sum[TSPI_TINY_ROWS];
        multiply_half(w, x->q, m->cols, sum);
        multiply_half(w + 8, x->q, m->cols, sum + 8);
        finish_block(m, sum, row, x->scale, ret);
    }
}

static const tspi_tiny_kernel portable = {"portable", always_usable, place_pairs, multiply_portable};

#if defined(__x86_64__)

/* ---- the same for x86-64 with more ----
 * Four columns of 16 rows lie together: 64 bytes, one word of four bytes a row. */

static size_t place_quads(uint32_t row, uint32_t col, uint32_t cols)
{
    size_t block = row / TSPI_TINY_ROWS;

    return block * TSPI_TINY_ROWS * cols + (size_t)(col / 4) * 64 + (row % TSPI_TINY_ROWS) * 4 + col % 4;
}

static int32_t four_bytes(const int8_t *q)
{
    int32_t word;

    memcpy(&word, q, 4);
    return word;
}

/* Every x86-64 has this one. Bytes become int16 by doubling each and shifting the copy out again; the sum of a row
 * stands in two neighbouring lanes until the end. */
static void multiply_sse2(const tspi_tiny_matrix *m, const tspi_tiny_vector *x, float *ret)
{
    for (uint32_t row = 0; row < m->rows; row += TSPI_TINY_ROWS) {
        const int8_t *w = m->weights + (size_t)row * m->cols;
        __m128i sum[8] = {0};
        int32_t halves[2 * TSPI_TINY_ROWS], whole[TSPI_TINY_ROWS];
        for (uint32_t c = 0; c < m->cols; c += 4, w += 64) {
            const __m128i bytes = _mm_set1_epi32(four_bytes(x->q + c));
            const __m128i q = _mm_srai_epi16(_mm_unpacklo_epi8(bytes, bytes), 8);
            for (int k = 0; k < 4; k++) {
                const __m128i weight = _mm_load_si128((const __m128i *)(w + 16 * k));
                const __m128i low = _mm_srai_epi16(_mm_unpacklo_epi8(weight, weight), 8);
                const __m128i high = _mm_srai_epi16(_mm_unpackhi_epi8(weight, weight), 8);
                sum[2 * k] = _mm_add_epi32(sum[2 * k], _mm_madd_epi16(low, q));
                sum[2 * k + 1] = _mm_add_epi32(sum[2 * k + 1], _mm_madd_epi16(high, q));
            }
        }
        memcpy(halves, sum, sizeof halves);
        for (int k = 0; k < TSPI_TINY_ROWS; k++)
            whole[k] = halves[2 * k] + halves[2 * k + 1];
        finish_block(m, whole, row, x->scale, ret);
    }
}

static const tspi_tiny_kernel sse2 = {"sse2", always_usable, place_quads, multiply_sse2};

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

/* The instruction wants one unsigned factor: |q|, the sign going to the weight. No pair saturates: 2 * 127 * 127. */
__attribute__((target("avx2"))) static void multiply_avx2(const tspi_tiny_matrix *m, const tspi_tiny_vector *x,
                                                          float *ret)
{
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256 scale = _mm256_set1_ps(x->scale);

    for (uint32_t row = 0; row < m->rows; row += TSPI_TINY_ROWS) {
        const int8_t *w = m->weights + (size_t)row * m->cols;
        __m256i sum[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
        for (uint32_t c = 0; c < m->cols; c += 4, w += 64) {
            const __m256i q = _mm256_set1_epi32(four_bytes(x->q + c)), size = _mm256_abs_epi8(q);
            for (int k = 0; k < 2; k++) {
                __m256i weight = _mm256_load_si256((const __m256i *)(w + 32 * k));
                __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(weight, q));
                sum[k] = _mm256_add_epi32(sum[k], _mm256_madd_epi16(pairs, ones));
            }
        }
        for (int k = 0; k < 2; k++) {
            __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum[k]), scale);
            _mm256_storeu_ps(ret + row + 8 * k, _mm256_mul_ps(scaled, _mm256_loadu_ps(m->scale + row + 8 * k)));
        }
    }
}

static const tspi_tiny_kernel avx2 = {"avx2", has_avx2, place_quads, multiply_avx2};

static bool has_vnni(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vnni");
}

#define VNNI __attribute__((target("avx512f,avx512vnni")))

VNNI static inline void finish_vnni(const tspi_tiny_matrix *m, __m512i sum, uint32_t row, float scale, float *ret)
{
    __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(scale));

    _mm512_storeu_ps(ret + row, _mm512_mul_ps(scaled, _mm512_loadu_ps(m->scale + row)));
}

/* Here too one factor is unsigned: q + 128, which the bias of each row takes back. Four blocks at a time, because the
 * instruction's latency is several times its rate. */
VNNI static void multiply_vnni(const tspi_tiny_matrix *m, const tspi_tiny_vector *x, float *ret)
{
    const __m512i flip = _mm512_set1_epi32((int32_t)0x80808080u);
    const size_t block = (size_t)TSPI_TINY_ROWS * m->cols;
    uint32_t row = 0;

    for (; row + 4 * TSPI_TINY_ROWS <= m->rows; row += 4 * TSPI_TINY_ROWS) {
        const int8_t *w = m->weights + (size_t)row * m->cols;
        __m512i sum[4];
        for (int k = 0; k < 4; k++)
            sum[k] = _mm512_loadu_si512(m->bias + row + TSPI_TINY_ROWS * k);
        for (uint32_t c = 0; c < m->cols; c += 4, w += 64) {
            const __m512i q = _mm512_xor_si512(_mm512_set1_epi32(four_bytes(x->q + c)), flip);
            for (int k = 0; k < 4; k++)
                sum[k] = _mm512_dpbusd_epi32(sum[k], q, _mm512_load_si512(w + k * block));
        }
        for (int k = 0; k < 4; k++)
            finish_vnni(m, sum[k], row + TSPI_TINY_ROWS * (uint32_t)k, x->scale, ret);
    }
    for (; row < m->rows; row += TSPI_TINY_ROWS) {
        const int8_t *w = m->weights + (size_t)row * m->cols;
        __m512i sum = _mm512_loadu_si512(m->bias + row);
        for (uint32_t c = 0; c < m->cols; c += 4, w += 64) {
            const __m512i q = _mm512_xor_si512(_mm512_set1_epi32(four_bytes(x->q + c)), flip);
            sum = _mm512_dpbusd_epi32(sum, q, _mm512_load_si512(w));
        }
        finish_vnni(m, sum, row, x->scale, ret);
    }
}

static const tspi_tiny_kernel vnni = {"avx512-vnni", has_vnni, place_quads, multiply_vnni};

static const tspi_tiny_kernel *const kernels[] = {&vnni, &avx2, &sse2, &portable};
#else
static const tspi_tiny_kernel *const kernels[] = {&portable};
#endif

const tspi_tiny_kernel *const *tspi_tiny_kernels(size_t *ret_n)
{
    *ret_n = sizeof kernels / sizeof *kernels;
    return kernels;
}

const tspi_tiny_kernel *tspi_tiny_kernel_best(void)
{
    size_t k = 0;

    while (!kernels[k]->usable())
        k++;
    return kernels[k];
}

/* ---- float, four lanes in a fixed order ---- */

static inline float lanes_sum(f32x4 v)
{
    return (v[0] + v[2]) + (v[1] + v[3]);
}

/* Adding this to |x| < 2^22 leaves x, rounded to nearest even, in the low bits. */
static const float magic = 12582912.0f; /* 1.5 * 2^23 */

static inline f32x4 lanes_select(i32x4 mask, f32x4 yes, f32x4 no)
{
    return (f32x4)(((i32x4)yes & mask) | ((i32x4)no & ~mask));
}

/* The largest x[k]; its order does not matter. */
static float largest(const float *x, size_t n)
{
    const f32x4 *v = (const f32x4 *)x;
    f32x4 most = v[0];
    float low, high;

    for (size_t k = 1; k < n / 4; k++)
        most = lanes_select(v[k] > most, v[k], most);
    low = most[0] > most[1] ? most[0] : most[1];
    high = most[2] > most[3] ? most[2] : most[3];
    return low > high ? low : high;
}

static float largest_size(const float *x, size_t n)
{
    const f32x4 *v = (const f32x4 *)x;
    const i32x4 no_sign = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX};
    f32x4 most = {0}, size;

    for (size_t k = 0; k < n / 4; k++) {
        size = (f32x4)((i32x4)v[k] & no_sign);
        most = lanes_select(size > most, size, most);
    }
    return largest((const float *)&most, 4);
}

void tspi_tiny_round(const float *x, size_t n, tspi_tiny_vector *ret)
{
    const f32x4 *v = (const f32x4 *)x;
    const float most = largest_size(x, n), inverse = 127.0f / most;

    ret->scale = most / 127.0f;
    if (!(ret->scale > 1e-30f && ret->scale < 1e30f)) { /* nothing to round, or not a number: all zero */
        ret->scale = 0;
        memset(ret->q, 0, n);
        return;
    }
    for (size_t k = 0; k < n / 4; k++) {
        f32x4 shifted = v[k] * inverse + magic;
        i8x4 q = __builtin_convertvector((i32x4)shifted, i8x4);
        memcpy(ret->q + 4 * k, &q, sizeof q);
    }
}

void tspi_tiny_norm(const float *x, const float *gain, size_t n, float eps, float *ret)
{
    const float factor = 1.0f / sqrtf(tspi_tiny_dot(x, x, n) / (float)n + eps);
    const f32x4 *v = (const f32x4 *)x, *g = (const f32x4 *)gain;
    f32x4 *to = (f32x4 *)ret;

    for (size_t k = 0; k < n / 4; k++)
        to[k] = gain ? v[k] * factor * g[k] : v[k] * factor;
}

static inline float dot(const float *a, const float *b, size_t n)
{
    const f32x4 *va = (const f32x4 *)a, *vb = (const f32x4 *)b;
    f32x4 even = {0}, odd = {0};
    size_t k = 0;

    for (; k + 2 <= n / 4; k += 2) {
        even += va[k] * vb[k];
        odd += va[k + 1] * vb[k + 1];
    }
    if (k < n / 4)
        even += va[k] * vb[k];
    return lanes_sum(even + odd);
}

float tspi_tiny_dot(const float *a, const float *b, size_t n)
{
    return dot(a, b, n);
}

void tspi_tiny_dots(const float *q, const float *keys, size_t stride, size_t rows, size_t n, float unit, float *ret)
{
    for (size_t k = 0; k < rows; k++)
        ret[k] = dot(q, keys + k * stride, n) * unit;
}

/* Eight lanes at a time over all rows, so that the sums stay in registers. */
void tspi_tiny_mix(float *sum, const float *weight, const float *values, size_t stride, size_t rows, size_t n)
{
    for (size_t c = 0; c < n; c += 8) {
        f32x4 low = *(f32x4 *)(sum + c), high = *(f32x4 *)(sum + c + 4);
        for (size_t k = 0; k < rows; k++) {
            const f32x4 *v = (const f32x4 *)(values + k * stride + c);
            low += v[0] * weight[k];
            high += v[1] * weight[k];
        }
        *(f32x4 *)(sum + c) = low;
        *(f32x4 *)(sum + c + 4) = high;
    }
}

void tspi_tiny_add(float *sum, const float *x, size_t n)
{
    f32x4 *vs = (f32x4 *)sum;
    const f32x4 *vx = (const f32x4 *)x;

    for (size_t k = 0; k < n / 4; k++)
        vs[k] += vx[k];
}

/* exp(x) for x <= 0 as 2^i * e^r with |r| <= ln(2)/2; the series of e^r to r^7 / 7!, relative error below 2e-7. */
static inline void exp_lanes(f32x4 *x)
{
    const f32x4 low = {-87.0f, -87.0f, -87.0f, -87.0f};
    f32x4 v = *x, shifted, whole, r, series;
    i32x4 below = v < low;
    u32x4 bits;

    v = lanes_select(below, low, v);
    shifted = v * 1.44269504f + magic; /* log2(e) */
    whole = shifted - magic;
    r = v - whole * 0.693359375f; /* ln(2) in two parts; this one has nine bits, so the product is exact */
    r = r + whole * 2.12194440e-4f;
    series = r * (1.0f / 5040) + 1.0f / 720;
    series = series * r + 1.0f / 120;
    series = series * r + 1.0f / 24;
    series = series * r + 1.0f / 6;
    series = series * r + 0.5f;
    series = series * r + 1.0f;
    series = series * r + 1.0f;
    memcpy(&bits, &shifted, sizeof bits);
    bits = ((bits - 0x4b400000) << 23) + (u32x4)series; /* magic's own bits taken off, the rest into the exponent */
    *x = (f32x4)((i32x4)bits & ~below);                 /* below -87: zero */
}

float tspi_tiny_exp_all(float *x, size_t n, float *ret_max)
{
    f32x4 *v = (f32x4 *)x, sum = {0};
    const float most = largest(x, n);

    for (size_t k = 0; k < n / 4; k++) {
        v[k] -= most;
        exp_lanes(&v[k]);
        sum += v[k];
    }
    if (ret_max)
        *ret_max = most;
    return lanes_sum(sum);
}

void tspi_tiny_swiglu(float *gate, const float *up, size_t n)
{
    f32x4 *g = (f32x4 *)gate;
    const f32x4 *u = (const f32x4 *)up;

    for (size_t k = 0; k < n / 4; k++) {
        /* With t = exp(-|g|), 1 / (1 + exp(-g)) is 1 / (1 + t) for g >= 0 and t / (1 + t) below: t never overflows. */
        i32x4 negative = g[k] < 0;
        f32x4 t = (f32x4)((i32x4)g[k] | (i32x4){INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN});
        f32x4 one = {1, 1, 1, 1}, top;
        exp_lanes(&t);
        top = lanes_select(negative, t, one);
        g[k] = g[k] * (top / (one + t)) * u[k];
    }
}

void tspi_tiny_sincos(double angle, double *ret_sin, double *ret_cos)
{
    const int64_t quarter = (int64_t)(angle * 0.63661977236758134308 + 0.5); /* 2 / pi */
    const double n = (double)quarter;
    /* pi/2 in two parts, the first of 33 bits; then the Taylor series on |r| <= pi/4. */
    const double r = (angle - n * 1.57079632673412561417e+00) - n * 6.07710050650619224932e-11, z = r * r;
    double s =
        r + r * z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880 + z * (-1.0 / 39916800)))));
    double c = 1 + z * (-0.5 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800)))));

    switch (quarter & 3) {
    case 0:
        *ret_sin = s, *ret_cos = c;
        break;
    case 1:
        *ret_sin = c, *ret_cos = -s;
        break;
    case 2:
        *ret_sin = -s, *ret_cos = -c;
        break;
    default:
        *ret_sin = -c, *ret_cos = s;
    }
}
