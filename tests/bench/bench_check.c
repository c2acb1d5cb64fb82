/* How fast `truespan check` reads OTLP protobuf, joins it, and finds every violation; beside memcpy of the same bytes
 * in the same run. CPU time of one thread, medians of ROUNDS rounds, warm. Arguments: spans in thousands [1000], and
 * which input: short (spans of 174 bytes), wide (800 bytes), both in batches as a Collector writes them, or apart
 * (wide, each node's spans behind one another). Memory: resident pages at the peak beyond those before the round. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/buf.h"
#include "base/random.h"
#include "causal/causal.h"
#include "causal/cause.h"
#include "shapes.h"
#include "wire/wire.h"

enum { ROUNDS = 5, SPANS_A_TRACE = 10, NODES = 6 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* one thread: so that a busy machine changes little */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* What spans carry beside the rest: little, as hand-written instrumentation leaves it, or what an HTTP client's does.
 */
static void make_attributes(tspi_buf *out, bool wide)
{
    put_attribute(out, 9, "rpc.system", "grpc");
    put_attribute(out, 9, "rpc.service", "shop.Cart");
    put_attribute(out, 9, "net.peer.name", "cart.shop.svc.cluster.local");
    if (!wide)
        return;
    for (unsigned k = 0; k < SHAPE_ATTRIBUTES; k++)
        put_attribute(out, 9, shape_attributes[k][0], shape_attributes[k][1]);
    put_attribute(out, 9, "url.scheme", "http");
    put_attribute(out, 9, "app.feature_flags", "new-checkout,fast-search");
    put_attribute(out, 9, "k8s.namespace.name", "shop-production");
    put_attribute(out, 9, "telemetry.pipeline", "otel-collector-gateway-7d9c5b7c4-xk2lp");
}

/* CLIENT and SERVER spans alternate down a chain over the nodes. */
static void add_span(tspi_buf *out, const tspi_buf *attributes, const uint64_t *ids, int kind, int64_t start,
                     int64_t end)
{
    static tspi_buf span;
    tspi_buf_clear(&span);
    put_span_fields(&span, (uint64_t[]){ids[0] * UINT64_C(0x9e3779b97f4a7c15), ids[0] + 1, ids[1], ids[2]},
                    kind == 2 ? "shop.Cart/Add" : "shop.Stock/Get", (unsigned)kind, start, end);
    tspi_buf_append(&span, attributes->data, attributes->len);
    put_bytes(out, 2, span.data, span.len);
}

/* A batch of one node's spans, as an exporter sends them: a resource, a scope, 100 traces' worth. */
static void flush_batch(tspi_buf *out, unsigned node, tspi_buf *spans)
{
    char name[32];

    snprintf(name, sizeof name, "node-%u", node);
    put_batch(out, (const shape_attribute[]){{"service.name", "shop"}, {"host.name", name}}, 2, spans);
    tspi_buf_clear(spans);
}

/* A batch holds the spans that one node had in traces_a_batch traces. */
static void generate(tspi_buf *out, size_t spans_n, bool wide, size_t traces_a_batch)
{
    tspi_buf batch[NODES] = {{0}}, attributes = {0};
    tspi_random random;
    int64_t at = INT64_C(1700000000123456789);

    make_attributes(&attributes, wide);
    tspi_random_seed(&random, 1);
    for (size_t k = 0, trace = 0; k < spans_n; k += SPANS_A_TRACE, trace++) {
        uint64_t ids[3] = {trace, 0, 0};
        unsigned node = (unsigned)tspi_random_below(&random, NODES);
        int64_t start = at, end = at + 40000000;
        for (unsigned s = 0; s < SPANS_A_TRACE; s++) {
            ids[1] = tspi_random_u64(&random);
            int kind = s % 2 ? 3 : 2; /* server, client, server, ... */
            if (s && kind == 2)
                node = (node + 1 + (unsigned)tspi_random_below(&random, NODES - 1)) % NODES;
            int64_t skew = node == 3 ? 1500000 : 0;
            add_span(&batch[node], &attributes, ids, kind, start + skew, end + skew);
            ids[2] = ids[1];
            int64_t step = 200000 + (int64_t)tspi_random_exponential(&random, 800000);
            start += step;
            end -= 200000 + (int64_t)tspi_random_exponential(&random, 800000);
        }
        at += 1000000;
        if (trace % traces_a_batch == traces_a_batch - 1)
            for (unsigned n = 0; n < NODES; n++)
                flush_batch(out, n, &batch[n]);
    }
    for (unsigned n = 0; n < NODES; n++) {
        flush_batch(out, n, &batch[n]);
        tspi_buf_release(&batch[n]);
    }
    tspi_buf_release(&attributes);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, ascending);
    return values[ROUNDS / 2];
}

/* A line of /proc/self/status, in bytes. */
static double status_bytes(const char *key)
{
    char line[200];
    double kib = 0;
    FILE *file = fopen("/proc/self/status", "r");

    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, key, strlen(key)))
            kib = strtod(line + strlen(key), NULL);
    if (file)
        fclose(file);
    return kib * 1024;
}

/* From here on VmHWM is the peak since now. */
static void forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");

    if (file) {
        fputs("5", file);
        fclose(file);
    }
}

static long faults(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

enum { COPY, READ, JOIN, CAUSES, FIGURES };
typedef struct {
    double s[FIGURES][ROUNDS], spans, hops, peak, held;
    long faults[FIGURES];
} figures;

static void run_once(const tspi_buf *input, void *aside, int round, figures *f)
{
    tspi_span_set set = {0};
    tspi_read_report report = {0};
    tspi_causal causal = {0};
    tspi_evidence evidence = {0};
    tspi_wire_options wire = {.threads = 1};
    tspi_causal_options options = {.threads = 1};
    tsp_error err = {0};
    double t[FIGURES + 1];
    long n[FIGURES + 1];

    malloc_trim(0);
    forget_peak();
    double before = status_bytes("VmRSS:");
    t[0] = now_s(), n[0] = faults();
    memcpy(aside, input->data, input->len);
    t[1] = now_s(), n[1] = faults();
    tsp_status rc = tspi_wire_read("bench", input->data, input->len, &wire, &set, &report, &err);
    t[2] = now_s(), n[2] = faults();
    if (rc == TSP_OK)
        rc = tspi_causal_init(&causal, &set, &options, &err);
    t[3] = now_s(), n[3] = faults();
    f->held = status_bytes("VmRSS:") - before;
    f->peak = status_bytes("VmHWM:") - before;
    double later = now_s();
    if (rc == TSP_OK)
        rc = tspi_evidence_init(&evidence, &causal.join, &causal.edges, 100, &err);
    t[4] = t[3] + now_s() - later, n[4] = faults();
    if (rc != TSP_OK) {
        fprintf(stderr, "%s\n", err.message);
        exit(1);
    }
    for (int k = 0; k < FIGURES; k++) {
        f->s[k][round] = t[k + 1] - t[k];
        f->faults[k] = n[k + 1] - n[k];
    }
    f->hops = (double)causal.edges.hops;
    f->spans = (double)set.spans_n;
    tspi_evidence_release(&evidence);
    tspi_causal_release(&causal);
    tspi_read_report_release(&report);
    tspi_span_set_release(&set);
}

static void line(const char *what, double gb, double spans, double s, double copy)
{
    printf("  %-26s %6.2f GB/s = %.2f memcpy  %6.2f M spans/s\n", what, gb / s, copy / s, spans / s * 1e-6);
}

static void bench(const char *name, size_t spans, bool wide, size_t traces_a_batch)
{
    static figures f;
    double sum[2][ROUNDS];
    tspi_buf input = {0};

    generate(&input, spans, wide, traces_a_batch);
    void *aside = malloc(input.len);
    if (!tspi_buf_ok(&input) || !aside)
        exit(1);
    memset(aside, 1, input.len);
    for (int k = 0; k < ROUNDS; k++) {
        run_once(&input, aside, k, &f);
        sum[0][k] = f.s[READ][k] + f.s[JOIN][k];
        sum[1][k] = sum[0][k] + f.s[CAUSES][k];
    }
    double gb = (double)input.len * 1e-9, copy = median(f.s[COPY]);
    printf("%s: %.0f spans of %.0f bytes, %.0f hops\n", name, f.spans, (double)input.len / f.spans, f.hops);
    line("memcpy", gb, f.spans, copy, copy);
    line("read", gb, f.spans, median(f.s[READ]), copy);
    line("join, hops, violations", gb, f.spans, median(f.s[JOIN]), copy);
    line("evidence for causes", gb, f.spans, median(f.s[CAUSES]), copy);
    line("read + hops + violations", gb, f.spans, median(sum[0]), copy);
    line("with causes", gb, f.spans, median(sum[1]), copy);
    printf("  memory beyond the input    %6.1f bytes a span at the peak, %.1f once joined; faults %ld + %ld\n",
           f.peak / f.spans, f.held / f.spans, f.faults[READ], f.faults[JOIN]);
    free(aside);
    tspi_buf_release(&input);
}

int main(int argc, char **argv)
{
    size_t spans = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1000) * 1000;
    const char *only = argc > 2 ? argv[2] : "";

    if (!*only || !strcmp(only, "short"))
        bench("short", spans, false, 100);
    if (!*only || !strcmp(only, "wide"))
        bench("wide", spans, true, 100);
    if (!*only || !strcmp(only, "apart"))
        bench("apart", spans, true, SIZE_MAX);
    return 0;
}
