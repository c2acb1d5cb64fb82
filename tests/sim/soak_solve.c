/* Thousands of seeds of every shape of limits.c, shape by shape at each seed, so that a run that is stopped has seen
 * all of them: soak_solve [--seeds N] [--first SEED] [--keep FILE]
 *
 * Says how far it is every half minute, each run that breaks its limits as it is met, and at the end, or when stopped,
 * a line a shape with quantiles over its seeds and one of all. --keep FILE: a row a run is kept there, and the same
 * command goes on from them, unless the program is another by now. TAP on stdout. */
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "limits.h"

#define MOST_SEEDS 1000000
#define SAY_SECONDS 30

typedef struct {
    const sim_limit *limit;
    double *p50_us, *p99_us; /* owned; a seed's, of those with an estimate */
    size_t estimated;
    uint64_t runs, broken, knots, covered, before, after, lies;
    uint64_t accused, steps, steps_true, steps_found;
    double step_error_us; /* the worst */
} tally;

typedef struct {
    uint64_t seeds, first, build;
    const char *path;
    FILE *keep;
    tally *tallies; /* owned; one a shape */
    size_t shapes;
    uint64_t done, before; /* runs; of them, those that were kept by an earlier call */
} soak;

static volatile sig_atomic_t stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    stopped = 1;
}

static double now_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void add(tally *t, uint64_t seed, const sim_score *s)
{
    const char *broken = sim_limit_broken(t->limit, s);

    if (broken) {
        t->broken++;
        printf("# %s, seed %" PRIu64 ": %s: %" PRIu64 " of %" PRIu64 " knots covered, %" PRIu64
               " left, %u accused, %u of %u steps found, %u told, p99 %.2f us\n",
               t->limit->shape, seed, broken, s->covered, s->knots, s->after, s->accused, s->steps_found, s->steps_true,
               s->steps, s->p99_us);
    }
    if (s->estimated) {
        t->p50_us[t->estimated] = s->p50_us;
        t->p99_us[t->estimated++] = s->p99_us;
    }
    t->runs++;
    t->knots += s->knots;
    t->covered += s->covered;
    t->before += s->before;
    t->after += s->after;
    t->lies += s->after_lies;
    t->accused += s->accused;
    t->steps += s->steps;
    t->steps_true += s->steps_true;
    t->steps_found += s->steps_found;
    t->step_error_us = fmax(t->step_error_us, s->step_error_us);
}

/* A run is a line of the kept file, in the order in which runs are made. */
static void keep_row(FILE *keep, uint64_t seed, const sim_limit *limit, const sim_score *s)
{
    fprintf(keep,
            "%" PRIu64 " %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
            " %u %u %u %u %.17g %.17g %.17g\n",
            seed, limit->shape, s->knots, s->covered, s->estimated, s->before, s->after, s->after_lies, s->accused,
            s->steps, s->steps_true, s->steps_found, s->p50_us, s->p99_us, s->step_error_us);
    fflush(keep);
}

static bool read_row(const char *line, uint64_t want_seed, const sim_limit *want, sim_score *ret_s)
{
    sim_score s = {0};
    uint64_t seed;
    char shape[32];

    if (sscanf(line,
               "%" SCNu64 " %31s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
               " %u %u %u %u %lf %lf %lf\n",
               &seed, shape, &s.knots, &s.covered, &s.estimated, &s.before, &s.after, &s.after_lies, &s.accused,
               &s.steps, &s.steps_true, &s.steps_found, &s.p50_us, &s.p99_us, &s.step_error_us) != 15)
        return false;
    *ret_s = s;
    return seed == want_seed && !strcmp(shape, want->shape) && strchr(line, '\n');
}

/* What this program is, so that rows of another solver are not taken for its own. */
static uint64_t hash_of_program(void)
{
    static char bytes[1 << 16];
    uint64_t hash = 0;
    FILE *file = fopen("/proc/self/exe", "rb");

    if (!file)
        return 0;
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, file)) > 0;)
        hash = tspi_hash64(bytes, n, hash);
    fclose(file);
    return hash;
}

/* Takes up the rows that an earlier call left, and cuts off half a row at the end. */
static bool open_kept(soak *k)
{
    char line[512];
    uint64_t build, first;
    long good = 0;

    k->keep = fopen(k->path, "a+");
    if (!k->keep) {
        perror(k->path);
        return false;
    }
    rewind(k->keep);
    bool ours = fgets(line, sizeof line, k->keep) &&
                sscanf(line, "soak %" SCNx64 " first %" SCNu64, &build, &first) == 2 && build == k->build &&
                (!k->first || first == k->first);
    if (ours) {
        k->first = first;
        good = ftell(k->keep);
    }
    while (ours && k->done < k->seeds * k->shapes && fgets(line, sizeof line, k->keep)) {
        tally *t = &k->tallies[k->done % k->shapes];
        sim_score s;
        uint64_t seed = k->first + k->done / k->shapes;
        if (!read_row(line, seed, t->limit, &s))
            break;
        add(t, seed, &s);
        k->done++;
        good = ftell(k->keep);
    }
    k->before = k->done;
    if (ftruncate(fileno(k->keep), good) != 0) {
        perror(k->path);
        return false;
    }
    fseek(k->keep, 0, SEEK_END);
    if (!ours) {
        k->first = k->first ? k->first : (uint64_t)time(NULL) * UINT64_C(1000003) % UINT64_C(1000000007);
        fprintf(k->keep, "soak %" PRIx64 " first %" PRIu64 "\n", k->build, k->first);
    }
    return true;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double quantile(const double *sorted, size_t n, double part)
{
    return n ? sorted[(size_t)(part * (double)(n - 1))] : NAN;
}

/* One line that sums all up: what must be whole or nothing, and how often a limit was broken. */
static void say_all(const soak *k, const char *when)
{
    tally all = {0};

    for (size_t n = 0; n < k->shapes; n++) {
        const tally *t = &k->tallies[n];
        all.broken += t->broken;
        all.knots += t->knots;
        all.covered += t->covered;
        all.before += t->before;
        all.after += t->after;
        all.accused += t->accused;
        all.steps += t->steps;
        all.steps_true += t->steps_true;
        all.steps_found += t->steps_found;
    }
    printf("# %s%" PRIu64 " runs, %" PRIu64 " of %" PRIu64 " knots covered, violations %" PRIu64 " -> %" PRIu64
           ", wrongly accused %" PRIu64 ", steps %" PRIu64 " of %" PRIu64 " found and located, %" PRIu64
           " told besides, runs beyond a limit %" PRIu64 "\n",
           when, k->done, all.covered, all.knots, all.before, all.after, all.accused, all.steps_found, all.steps_true,
           all.steps - all.steps_found, all.broken);
}

static bool say_table(const soak *k)
{
    bool good = true;

    puts("# | trace | seeds | coverage of knots | violations | p50 | p99: median / 99 % of seeds / worst | limit | "
         "accused | steps found, told besides, error |");
    puts("# |---|---|---|---|---|---|---|---|---|");
    for (size_t n = 0; n < k->shapes; n++) {
        tally *t = &k->tallies[n];
        qsort(t->p50_us, t->estimated, sizeof *t->p50_us, by_value);
        qsort(t->p99_us, t->estimated, sizeof *t->p99_us, by_value);
        printf("# | %s | %" PRIu64 " | %s%.5f | %" PRIu64 " -> %" PRIu64 " (%" PRIu64
               " lies) | %.2f | %.2f / %.2f / %.2f | %g | %" PRIu64 " | %" PRIu64 " of %" PRIu64 ", %" PRIu64
               ", %.1f |\n",
               t->limit->shape, t->runs, t->covered == t->knots ? "" : "NOT ",
               t->knots ? (double)t->covered / (double)t->knots : 1.0, t->before, t->after, t->lies,
               quantile(t->p50_us, t->estimated, 0.5), quantile(t->p99_us, t->estimated, 0.5),
               quantile(t->p99_us, t->estimated, 0.99), quantile(t->p99_us, t->estimated, 1), t->limit->p99_us,
               t->accused, t->steps_found, t->steps_true, t->steps - t->steps_found, t->step_error_us);
    }
    for (size_t n = 0; n < k->shapes; n++) {
        const tally *t = &k->tallies[n];
        bool ok = t->runs > 0 && !t->broken;
        printf("%s %zu - soak.%s: %" PRIu64 " seeds\n", ok ? "ok" : "not ok", n + 1, t->limit->shape, t->runs);
        good = good && ok;
    }
    printf("1..%zu\n", k->shapes);
    return good;
}

static bool run_all(soak *k)
{
    uint64_t wanted = k->seeds * k->shapes;
    double start = now_seconds(), said = start;

    while (k->done < wanted && !stopped) {
        tally *t = &k->tallies[k->done % k->shapes];
        uint64_t seed = k->first + k->done / k->shapes;
        hop_sim sim;
        sim_score s;
        if (!hop_sim_make(&sim, t->limit->shape, seed)) {
            fprintf(stderr, "no shape '%s'\n", t->limit->shape);
            return false;
        }
        bool ok = sim_score_run(&sim, 1, 0, &s);
        hop_sim_release(&sim);
        if (!ok) {
            fprintf(stderr, "%s, seed %" PRIu64 ": the solver failed\n", t->limit->shape, seed);
            return false;
        }
        add(t, seed, &s);
        if (k->keep)
            keep_row(k->keep, seed, t->limit, &s);
        k->done++;
        double now = now_seconds(), left = (now - start) / (double)(k->done - k->before) * (double)(wanted - k->done);
        if (now - said >= SAY_SECONDS) {
            char when[64];
            snprintf(when, sizeof when, "%.1f %%, %.0f min left: ", 100.0 * (double)k->done / (double)wanted,
                     left / 60);
            say_all(k, when);
            said = now;
        }
    }
    return true;
}

static bool read_words(soak *k, int argc, char **argv)
{
    k->seeds = 1000;
    for (int n = 1; n < argc; n++) {
        if (!strcmp(argv[n], "--seeds") && n + 1 < argc)
            k->seeds = strtoull(argv[++n], NULL, 10);
        else if (!strcmp(argv[n], "--first") && n + 1 < argc)
            k->first = strtoull(argv[++n], NULL, 10);
        else if (!strcmp(argv[n], "--keep") && n + 1 < argc)
            k->path = argv[++n];
        else
            return false;
    }
    return k->seeds >= 1 && k->seeds <= MOST_SEEDS;
}

int main(int argc, char **argv)
{
    soak k = {0};
    struct sigaction action = {.sa_handler = stop};
    bool ok;

    if (!read_words(&k, argc, argv)) {
        fprintf(stderr, "usage: soak_solve [--seeds N] [--first SEED] [--keep FILE], N from 1 to %d\n", MOST_SEEDS);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    while (sim_limits[k.shapes].shape)
        k.shapes++;
    k.tallies = calloc(k.shapes, sizeof *k.tallies);
    ok = k.tallies != NULL;
    for (size_t n = 0; ok && n < k.shapes; n++) {
        k.tallies[n] = (tally){.limit = &sim_limits[n],
                               .p50_us = calloc(k.seeds, sizeof(double)),
                               .p99_us = calloc(k.seeds, sizeof(double))};
        ok = k.tallies[n].p50_us && k.tallies[n].p99_us;
    }
    k.build = hash_of_program();
    if (ok && k.path)
        ok = open_kept(&k);
    else if (!k.first)
        k.first = (uint64_t)time(NULL) * UINT64_C(1000003) % UINT64_C(1000000007);
    if (ok) {
        printf("# seeds %" PRIu64 " to %" PRIu64 " of %zu shapes; %" PRIu64 " runs were made before\n", k.first,
               k.first + k.seeds - 1, k.shapes, k.before);
        ok = run_all(&k);
        bool good = say_table(&k);
        say_all(&k, stopped && k.path ? "Stopped; the same command goes on. " : "");
        ok = ok && good && !stopped;
    }
    if (k.keep)
        fclose(k.keep);
    for (size_t n = 0; k.tallies && n < k.shapes; n++) {
        free(k.tallies[n].p50_us);
        free(k.tallies[n].p99_us);
    }
    free(k.tallies);
    return ok ? 0 : 1;
}
