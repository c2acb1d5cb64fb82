/* The table of docs/solver.md: solve_table [--seeds N] [--first SEED] [--threads N] [--json DIR] [SHAPE ...] */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "score.h"

#define MOST_SEEDS 100000

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

typedef struct {
    unsigned seeds, threads;
    uint64_t first;
    const char *json;
    bool each;
} options;

static bool run_shape(const char *shape, const options *o)
{
    double *p99 = calloc(o->seeds, sizeof *p99), *p50 = calloc(o->seeds, sizeof *p50), seconds = 0;
    sim_score all = {0};
    bool ok = p99 && p50;

    for (unsigned k = 0; ok && k < o->seeds; k++) {
        hop_sim sim;
        sim_score s;
        ok = hop_sim_make(&sim, shape, o->first + k);
        if (!ok) {
            fprintf(stderr, "no shape '%s'\n", shape);
            break;
        }
        if (o->json) {
            char path[512];
            snprintf(path, sizeof path, "%s/%s-%" PRIu64 ".json", o->json, shape, o->first + k);
            ok = hop_sim_write_json(&sim, path);
        }
        ok = ok && sim_score_run(&sim, o->threads, 0, &s);
        hop_sim_release(&sim);
        if (!ok)
            break;
        if (o->each)
            printf("%-10s %3" PRIu64 " p50 %.2f p99 %.2f max %.2f cov %" PRIu64 "/%" PRIu64 " viol %" PRIu64
                   " -> %" PRIu64 "+%" PRIu64 " accused %u steps %u/%u/%u (%.2f us) late %" PRIu64 "/%" PRIu64
                   "/%" PRIu64 " %.2fs\n",
                   shape, o->first + k, s.p50_us, s.p99_us, s.worst_us, s.covered, s.knots, s.before, s.after,
                   s.after_lies, s.accused, s.steps_found, s.steps, s.steps_true, s.step_error_us, s.late_right,
                   s.late_labelled, s.late_true, s.seconds);
        p50[k] = s.p50_us;
        p99[k] = s.p99_us;
        all.knots += s.knots;
        all.covered += s.covered;
        all.before += s.before;
        all.after += s.after;
        all.after_lies += s.after_lies;
        all.accused += s.accused;
        all.convicted += s.convicted;
        all.proven += s.proven;
        all.suspected += s.suspected;
        all.wrong += s.wrong;
        all.steps += s.steps;
        all.steps_true += s.steps_true;
        all.steps_found += s.steps_found;
        all.half_width_us += s.half_width_us / o->seeds;
        seconds += s.seconds;
    }
    if (ok) {
        qsort(p50, o->seeds, sizeof *p50, by_value);
        qsort(p99, o->seeds, sizeof *p99, by_value);
        printf("| %-10s | %.5f | %" PRIu64 " -> %" PRIu64 " (+%" PRIu64
               " lies) | %.2f | %.2f / %.2f | %u (%u proven) | %u of %u, %u extra | %.0f | %.2f | %u of %u (%u proven) "
               "|\n",
               shape, all.knots ? (double)all.covered / (double)all.knots : 1.0, all.before, all.after, all.after_lies,
               p50[o->seeds / 2], p99[o->seeds / 2], p99[o->seeds - 1], all.accused, all.convicted, all.steps_found,
               all.steps_true, all.steps - all.steps_found, all.half_width_us, seconds / o->seeds,
               all.proven + all.suspected - all.accused, all.wrong, all.proven - all.convicted);
        fflush(stdout);
    }
    free(p50);
    free(p99);
    return ok;
}

int main(int argc, char **argv)
{
    options o = {.seeds = 8, .first = 201, .threads = 1};
    const char *shapes[64] = {0};
    size_t n = 0;

    for (int k = 1; k < argc; k++) {
        if (!strcmp(argv[k], "--each"))
            o.each = true;
        else if (!strcmp(argv[k], "--seeds") && k + 1 < argc)
            o.seeds = (unsigned)strtoul(argv[++k], NULL, 10);
        else if (!strcmp(argv[k], "--first") && k + 1 < argc)
            o.first = strtoull(argv[++k], NULL, 10);
        else if (!strcmp(argv[k], "--threads") && k + 1 < argc)
            o.threads = (unsigned)strtoul(argv[++k], NULL, 10);
        else if (!strcmp(argv[k], "--json") && k + 1 < argc)
            o.json = argv[++k];
        else if (n < 63)
            shapes[n++] = argv[k];
    }
    if (o.seeds < 1 || o.seeds > MOST_SEEDS)
        return 2;
    puts("| trace | coverage | violations | p50 us | p99 us median / worst | accused | steps | half-width us | s | "
         "found |");
    puts("|---|---|---|---|---|---|---|---|---|---|");
    for (size_t k = 0; n ? k < n : hop_sim_shapes[k] != NULL; k++)
        if (!run_shape(n ? shapes[k] : hop_sim_shapes[k], &o))
            return 1;
    return 0;
}
