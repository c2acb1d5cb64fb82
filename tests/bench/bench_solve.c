/* How long the solver takes: bench_solve [HOPS [CLOCKS [SECONDS [THREADS]]]], default 1e6 hops of 100 clocks in 600 s.
 * A sparse mesh of clocks with constant drift; delays 4 ms + Exp(0.4 ms). Prints one line. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "base/random.h"
#include "truespan/clocks.h"

#define NEIGHBOURS 8
#define BATCH 4096

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv)
{
    double hops_n = argc > 1 ? strtod(argv[1], NULL) : 1e6, seconds = argc > 3 ? strtod(argv[3], NULL) : 600;
    uint32_t clocks = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 100;
    tsp_solver_config config = {.clocks = clocks, .threads = argc > 4 ? (uint32_t)strtoul(argv[4], NULL, 10) : 1};
    double *offset = calloc(2 * (size_t)clocks, sizeof *offset), *rate = offset + clocks, start, added, done;
    tsp_hop batch[BATCH];
    tsp_solver *solver = NULL;
    tsp_solver_summary_row summary;
    tsp_error err = {0};
    tspi_random random;
    struct rusage usage;
    size_t n = 0;

    if (!offset || clocks < 2 || !(hops_n >= 1) || tsp_solver_new(&config, &solver, &err) != TSP_OK)
        return 2;
    tspi_random_seed(&random, 1);
    for (uint32_t c = 1; c < clocks; c++) {
        offset[c] = tspi_random_uniform(&random, -2e7, 2e7);
        rate[c] = tspi_random_uniform(&random, -4e-5, 4e-5);
    }
    start = now();
    for (double k = 0; k < hops_n; k++) {
        double t = seconds * 1e9 * k / hops_n, r = t + 4e6 + tspi_random_exponential(&random, 4e5);
        uint32_t i = (uint32_t)tspi_random_below(&random, clocks),
                 hop = 1 + (uint32_t)tspi_random_below(&random, NEIGHBOURS / 2);
        uint32_t step = hop * hop * hop % clocks,
                 j = tspi_random_below(&random, 2) ? (i + step) % clocks : (i + clocks - step) % clocks;
        if (i == j)
            j = (i + 1) % clocks;
        batch[n++] = (tsp_hop){.from = i,
                               .to = j,
                               .tag = (uint64_t)k,
                               .sent_ns = INT64_C(1700000000000000000) + (int64_t)(t + offset[i] + rate[i] * t),
                               .received_ns = INT64_C(1700000000000000000) + (int64_t)(r + offset[j] + rate[j] * r)};
        if ((n == BATCH || k + 1 >= hops_n) && tsp_solver_add_hops(solver, batch, n, &err) != TSP_OK)
            return 2;
        n = n == BATCH ? 0 : n;
    }
    added = now();
    if (tsp_solver_run(solver, &err) != TSP_OK) {
        fprintf(stderr, "%s\n", err.message);
        return 2;
    }
    done = now();
    double worst = 0;
    for (uint32_t c = 1; c < clocks; c++) {
        tsp_clock_result result;
        if (tsp_solver_clock(solver, c, &result, NULL) == TSP_OK && result.offset_ns != TSP_NO_VALUE &&
            result.knots_n) {
            double local = (double)(result.knots[result.knots_n - 1].at_ns - INT64_C(1700000000000000000));
            double t = (local - offset[c]) / (1 + rate[c]);
            worst = fmax(worst, fabs((double)result.offset_ns - (local - t)));
        }
    }
    tsp_solver_summary(solver, &summary);
    getrusage(RUSAGE_SELF, &usage);
    printf("hops %.0f clocks %u seconds %.0f threads %u: add %.2f s, solve %.2f s, %.0f MB, worst error %.2f us, "
           "violations %" PRIu64 " -> %" PRIu64 "\n",
           hops_n, clocks, seconds, config.threads, added - start, done - added, (double)usage.ru_maxrss / 1024,
           worst / 1e3, summary.violations_before, summary.violations_after);
    tsp_solver_free(solver);
    free(offset);
    return 0;
}
