/* fix from file to file: bench_fix [MEGABYTES [FOLDER [SECONDS [ROUNDS [ATTRIBUTES [THREADS]]]]]]. An OTLP protobuf
 * file as a Collector batches it (calls between eight hosts, two of them skewed and drifting; 250 spans a resource,
 * some 530 bytes a span) is written, read, joined, solved, corrected and written back on one thread, with the CPU time
 * of each part (the median of ROUNDS), beside a memcpy of as many bytes, and cp of the file. FOLDER: where the files
 * go, best one in memory. SECONDS: of traffic that the file holds. ROUNDS 0: the file is written, and left. ATTRIBUTES:
 * of a span; less or more than usual make spans smaller or larger. THREADS: more than one, and times are those of a
 * clock on the wall; memcpy's and cp's are one thread's still. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "mend/mend.h"
#include "shapes.h"

enum { HOSTS = 8, BATCH = 250 };
#define EPOCH_NS INT64_C(1700000000000000000)

/* CPU seconds, and how many of them the kernel's; of several threads the wall's. */
typedef struct {
    double all, kernel;
} cpu;

static unsigned threads = 1;

static cpu now(void)
{
    struct rusage use;
    struct timespec t;

    getrusage(RUSAGE_SELF, &use);
    clock_gettime(threads > 1 ? CLOCK_MONOTONIC : CLOCK_PROCESS_CPUTIME_ID, &t);
    return (cpu){(double)t.tv_sec + 1e-9 * (double)t.tv_nsec,
                 (double)use.ru_stime.tv_sec + 1e-6 * (double)use.ru_stime.tv_usec};
}

static cpu since(cpu start)
{
    cpu end = now();

    return (cpu){end.all - start.all, end.kernel - start.kernel};
}

static int64_t stamp(unsigned host, int64_t ns)
{
    static const int64_t offset_ns[HOSTS] = {0, 0, 7000000, 0, 0, -12000000, 0, 0};
    static const double drift[HOSTS] = {0, 0, 10e-6, 0, 0, -20e-6, 0, 0};

    return ns + offset_ns[host] + (int64_t)((double)(ns - EPOCH_NS) * drift[host]);
}

/* Batches of spans, one a host, that are flushed when they are full. */
typedef struct {
    FILE *file;
    tspi_buf spans[HOSTS];
    unsigned n[HOSTS], attributes;
    uint64_t total, bytes;
} writer;

static void flush_host(writer *w, unsigned host)
{
    tspi_buf out = {0};
    char name[16];

    if (!w->n[host])
        return;
    snprintf(name, sizeof name, "host-%u", host);
    put_batch(&out, &(shape_attribute){"host.name", name}, 1, &w->spans[host]);
    if (fwrite(out.data, 1, out.len, w->file) != out.len)
        abort();
    w->bytes += out.len;
    w->n[host] = 0;
    tspi_buf_clear(&w->spans[host]);
    tspi_buf_release(&out);
}

static void put_span(writer *w, unsigned host, uint64_t trace, uint64_t id, uint64_t parent, unsigned kind,
                     int64_t start, int64_t end)
{
    static const char *const names[] = {"", "work", "POST /api/v2/carts/{cart}/items", "checkout.Checkout/Place"};
    uint64_t ids[4] = {trace * UINT64_C(0xd6e8feb86659fd93), trace, id, parent};
    tspi_buf span = {0};

    put_span_fields(&span, ids, names[kind], kind, stamp(host, start), stamp(host, end));
    for (unsigned k = 0; k < w->attributes; k++)
        put_attribute(&span, 9, shape_attributes[k % SHAPE_ATTRIBUTES][0], shape_attributes[k % SHAPE_ATTRIBUTES][1]);
    put_bytes(&w->spans[host], 2, span.data, span.len);
    w->total++;
    if (++w->n[host] == BATCH)
        flush_host(w, host);
    tspi_buf_release(&span);
}

/* Traces of eight calls, each from a client on one host to a server on another, with one span of work. */
static uint64_t write_input(const char *path, uint64_t bytes, double seconds, unsigned attributes)
{
    writer w = {.file = fopen(path, "w"), .attributes = attributes};
    uint64_t a_span = 96 + UINT64_C(444) * attributes / SHAPE_ATTRIBUTES, traces = bytes / (24 * a_span) + 1, id = 1;
    tspi_random random;

    tspi_random_seed(&random, 1);
    if (!w.file) {
        perror(path);
        exit(2);
    }
    for (uint64_t trace = 1; w.bytes < bytes; trace++) {
        int64_t t = EPOCH_NS + (int64_t)((double)trace / (double)traces * seconds * 1e9);
        unsigned at = (unsigned)tspi_random_below(&random, HOSTS);
        uint64_t parent = 0, mixed = trace * UINT64_C(0x9e3779b97f4a7c15);
        for (int call = 0; call < 8; call++) {
            unsigned to = (at + 1 + (unsigned)tspi_random_below(&random, HOSTS - 1)) % HOSTS;
            int64_t there = t + 4000000 + (int64_t)tspi_random_exponential(&random, 400000);
            int64_t back = there + 3000000 + (int64_t)tspi_random_exponential(&random, 400000);
            uint64_t client = ++id * UINT64_C(0xd6e8feb86659fd93), server = ++id * UINT64_C(0xd6e8feb86659fd93);
            put_span(&w, at, mixed, client, parent, 3, t, back + 4000000);
            put_span(&w, to, mixed, server, client, 2, there, back);
            put_span(&w, to, mixed, ++id * UINT64_C(0xd6e8feb86659fd93), server, 1, there + 1000, back - 1000);
            parent = server;
            t = there + 100000;
            at = to;
        }
    }
    for (unsigned host = 0; host < HOSTS; host++) {
        flush_host(&w, host);
        tspi_buf_release(&w.spans[host]);
    }
    if (fclose(w.file) != 0)
        abort();
    return w.total;
}

static double copy_seconds(uint64_t bytes)
{
    size_t n = bytes > (64 << 20) ? (64 << 20) : bytes;
    char *from = malloc(n), *to = malloc(n);
    double best = 1e9;

    if (!from || !to)
        abort();
    memset(from, 1, n);
    for (int round = 0; round < 5; round++) {
        cpu start = now();
        memcpy(to, from, n);
        double took = since(start).all;
        best = took < best ? took : best;
        from[round] = to[round + 1];
    }
    free(from);
    free(to);
    return best * (double)bytes / (double)n;
}

/* Reading and joining by themselves, which tspi_mend_open does again. */
static void probe(const char *path, cpu *ret_read, cpu *ret_join)
{
    tspi_wire_options wire = {.threads = threads};
    tspi_causal_options options = {.threads = threads, .counts = true};
    tspi_span_set set = {0};
    tspi_read_report report = {0};
    tspi_causal causal = {0};
    cpu start = now();

    if (tspi_wire_read_path(path, &wire, &set, &report, NULL) != TSP_OK)
        abort();
    *ret_read = since(start);
    start = now();
    if (tspi_causal_init(&causal, &set, &options, NULL) != TSP_OK)
        abort();
    *ret_join = since(start);
    tspi_causal_release(&causal);
    tspi_read_report_release(&report);
    tspi_span_set_release(&set);
}

/* cp's own CPU time; its copy stays. A virtual machine asks its host for pages that were not used for some seconds, at
 * 2 s a GB: so the copy keeps as many pages as will be written until they are, and warm_memory the rest. */
static cpu cp_seconds(const char *in, const char *out)
{
    struct rusage before, after;
    pid_t child;
    int status = 1;

    getrusage(RUSAGE_CHILDREN, &before);
    if ((child = fork()) == 0) {
        execlp("cp", "cp", in, out, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return (cpu){0, 0};
    getrusage(RUSAGE_CHILDREN, &after);
    double user = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                  1e-6 * (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec);
    double kernel = (double)(after.ru_stime.tv_sec - before.ru_stime.tv_sec) +
                    1e-6 * (double)(after.ru_stime.tv_usec - before.ru_stime.tv_usec);
    return (cpu){user + kernel, kernel};
}

static void warm_memory(uint64_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    if (at != MAP_FAILED)
        munmap(at, bytes);
}

enum { COPY, CP, READ, JOIN, SOLVE, CORRECT, WRITE, RELEASE, ALL, PARTS, MOST_ROUNDS = 15 };
static const char *const names[PARTS] = {
    "memcpy", "cp", "read", "join", "solve", "correct, audit", "write", "release", "all",
};

static int ascending(const void *a, const void *b)
{
    const cpu *x = a, *y = b;

    return (x->all > y->all) - (x->all < y->all);
}

static bool run_once(const char *in, const char *out, uint64_t bytes, cpu *s, bool say)
{
    tspi_mend_options options = {.paths = &in, .paths_n = 1, .threads = threads, .thin = true};
    tspi_mend mend;
    tspi_mend_outcome outcome;
    tsp_error err = {0};

    s[COPY] = (cpu){copy_seconds(bytes), 0};
    cp_seconds(in, out);
    unlink(out);
    s[CP] = cp_seconds(in, out);
    warm_memory(bytes / 2);
    probe(in, &s[READ], &s[JOIN]);
    cpu begin = now(), part = begin;
    tsp_status rc = tspi_mend_open(&mend, &options, &err);
    s[SOLVE] = since(part);
    s[SOLVE].all -= s[READ].all + s[JOIN].all;
    s[SOLVE].kernel -= s[READ].kernel + s[JOIN].kernel;
    part = now();
    if (rc == TSP_OK)
        rc = tspi_mend_correct(&mend, false, &outcome, &err);
    s[CORRECT] = since(part);
    unlink(out);
    part = now();
    if (rc == TSP_OK)
        rc = tspi_mend_write(&mend, out, &err);
    s[WRITE] = since(part);
    if (rc != TSP_OK) {
        fprintf(stderr, "%s\n", err.message);
        return false;
    }
    if (say)
        printf("%zu spans, %" PRIu64 " hops solved, %.2f GB; violations %" PRIu64 " -> %" PRIu64 "\n\n",
               mend.set.spans_n, mend.answer.hops_fed, (double)bytes / 1e9, outcome.before.total, outcome.left.total);
    part = now();
    tspi_mend_release(&mend);
    s[RELEASE] = since(part);
    s[ALL] = since(begin);
    return true;
}

int main(int argc, char **argv)
{
    uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 256) << 20, spans;
    const char *folder = argc > 2 ? argv[2] : P_tmpdir;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 600;
    cpu times[PARTS][MOST_ROUNDS], s[PARTS], median[PARTS];
    int rounds = argc > 4 ? atoi(argv[4]) : 3;
    unsigned attributes = argc > 5 ? (unsigned)atoi(argv[5]) : SHAPE_ATTRIBUTES;
    char in[4096], out[4096];
    struct stat st;
    bool ok = true;

    snprintf(in, sizeof in, "%s/bench-fix-in.otlp.pb", folder);
    snprintf(out, sizeof out, "%s/bench-fix-out.otlp.pb", folder);
    spans = write_input(in, bytes, seconds, attributes);
    threads = argc > 6 ? (unsigned)atoi(argv[6]) : 1;
    bytes = stat(in, &st) == 0 ? (uint64_t)st.st_size : 0;
    if (rounds <= 0)
        return 0;
    rounds = rounds < MOST_ROUNDS ? rounds : MOST_ROUNDS;
    for (int round = 0; round < rounds && ok; round++) {
        ok = run_once(in, out, bytes, s, round == 0);
        for (int k = 0; k < PARTS; k++)
            times[k][round] = s[k];
    }
    if (ok)
        puts("| part | seconds | of it kernel | M spans/s | GB/s | least |\n|---|---|---|---|---|---|");
    for (int k = 0; k < PARTS && ok; k++) {
        qsort(times[k], (size_t)rounds, sizeof *times[k], ascending);
        median[k] = times[k][rounds / 2];
        printf("| %-16s | %6.3f | %6.3f | %6.2f | %5.2f | %6.3f |\n", names[k], median[k].all, median[k].kernel,
               (double)spans / median[k].all / 1e6, (double)bytes / median[k].all / 1e9, times[k][0].all);
    }

    if (ok)
        printf("\n%.3f of memcpy, %.3f of cp\n", median[COPY].all / median[ALL].all, median[CP].all / median[ALL].all);
    unlink(in);
    unlink(out);
    return ok ? 0 : 1;
}
