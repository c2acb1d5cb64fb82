#include "test.h"

#include "base/random.h"
#include "engine/tiny_kernel.h"

enum { ROWS_MOST = 96, COLS_MOST = 320 };

static int8_t weights[ROWS_MOST * COLS_MOST] __attribute__((aligned(64)));
static int8_t q[COLS_MOST] __attribute__((aligned(64)));
static int8_t plain[ROWS_MOST][COLS_MOST];

/* Every kernel against sums in plain C; extremes are drawn often, since that is where int16 and bytes overflow. */
TEST(tiny_kernel, every_kernel_multiplies_exactly)
{
    tspi_random random;
    size_t n;
    const tspi_tiny_kernel *const *kernels = tspi_tiny_kernels(&n);
    float scale[ROWS_MOST], got[ROWS_MOST];
    int32_t bias[ROWS_MOST];

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 200; round++) {
        uint32_t rows = 16 * (1 + (uint32_t)tspi_random_below(&random, ROWS_MOST / 16));
        uint32_t cols = 4 * (1 + (uint32_t)tspi_random_below(&random, COLS_MOST / 4));
        uint64_t edge = tspi_random_below(&random, 3);
        tspi_tiny_vector x = {q, (float)tspi_random_uniform(&random, 0.01, 1)};
        tspi_tiny_matrix m = {rows, cols, weights, scale, bias};
        for (uint32_t c = 0; c < cols; c++)
            q[c] = (int8_t)(edge ? (tspi_random_below(&random, 2) ? 127 : -127)
                                 : (int)tspi_random_below(&random, 255) - 127);
        for (uint32_t r = 0; r < rows; r++) {
            scale[r] = (float)tspi_random_uniform(&random, 0.01, 1);
            bias[r] = 0;
            for (uint32_t c = 0; c < cols; c++) {
                plain[r][c] = (int8_t)(edge == 2 ? (tspi_random_below(&random, 2) ? 127 : -127)
                                                 : (int)tspi_random_below(&random, 255) - 127);
                bias[r] -= 128 * plain[r][c];
            }
        }
        for (size_t k = 0; k < n; k++) {
            if (!kernels[k]->usable())
                continue;
            for (uint32_t r = 0; r < rows; r++)
                for (uint32_t c = 0; c < cols; c++)
                    weights[kernels[k]->place(r, c, cols)] = plain[r][c];
            kernels[k]->multiply(&m, &x, got);
            for (uint32_t r = 0; r < rows; r++) {
                int32_t sum = 0;
                for (uint32_t c = 0; c < cols; c++)
                    sum += plain[r][c] * q[c];
                float want = (float)sum * x.scale * scale[r];
                if (memcmp(&want, &got[r], sizeof want) != 0)
                    TEST_FAIL("%s, %u x %u, row %u: got %.9g, want %.9g", kernels[k]->name, rows, cols, r,
                              (double)got[r], (double)want);
            }
        }
    }
}

TEST(tiny_kernel, exp_is_within_a_few_units_in_the_last_place)
{
    float x[4] __attribute__((aligned(16)));
    double worst = 0;

    for (double at = 0; at > -86; at -= 0.00371) {
        float most = 0;
        x[0] = 1;
        x[1] = x[2] = x[3] = 1 + (float)at;
        double exact = exp((double)x[1] - 1);
        tspi_tiny_exp_all(x, 4, &most);
        CHECK_NEAR(most, 1, 0);
        CHECK_NEAR(x[0], 1, 0);
        worst = fmax(worst, fabs((double)x[1] / exact - 1));
    }
    printf("# worst relative error of exp %.3g\n", worst);
    CHECK(worst < 5e-7);
    x[0] = 0, x[1] = -1e30f, x[2] = -88, x[3] = -INFINITY;
    CHECK_NEAR(tspi_tiny_exp_all(x, 4, NULL), 1, 0);
}

TEST(tiny_kernel, sine_and_cosine_hold_for_large_angles)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 100000; k++) {
        double angle = tspi_random_unit(&random) * pow(10, (double)tspi_random_below(&random, 10)), s, c;
        double most = angle < 1e6 ? 1e-9 : 1e-6;
        tspi_tiny_sincos(angle, &s, &c);
        CHECK_NEAR(s, sin(angle), most);
        CHECK_NEAR(c, cos(angle), most);
    }
}

TEST(tiny_kernel, swiglu_norm_and_rounding_follow_their_formulas)
{
    enum { N = 64 };
    float gate[N] __attribute__((aligned(16))), up[N] __attribute__((aligned(16))), x[N] __attribute__((aligned(16)));
    tspi_tiny_vector v = {q, 0};
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < N; k++) {
        gate[k] = x[k] = (float)tspi_random_uniform(&random, -30, 30);
        up[k] = (float)tspi_random_normal(&random);
    }
    gate[0] = x[0] = -200; /* exp(200) is beyond a float */
    tspi_tiny_swiglu(gate, up, N);
    for (int k = 0; k < N; k++)
        CHECK_NEAR(gate[k], (double)x[k] / (1 + exp(-(double)x[k])) * (double)up[k], 2e-6 * fabs((double)x[k]));
    tspi_tiny_round(x, N, &v);
    for (int k = 0; k < N; k++)
        CHECK_NEAR((double)v.q[k] * (double)v.scale, x[k], (double)v.scale * 0.5001);
    CHECK_INT(v.q[0], -127);
    memset(x, 0, sizeof x);
    tspi_tiny_round(x, N, &v);
    CHECK_NEAR(v.scale, 0, 0);
    for (int k = 0; k < N; k++)
        x[k] = 3;
    tspi_tiny_norm(x, up, N, 0, x);
    for (int k = 0; k < N; k++)
        CHECK_NEAR(x[k], up[k], 1e-6);
}
