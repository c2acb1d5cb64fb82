/* fix from file to file: bench_fix [MEGABYTES [FOLDER [SECONDS]]]. An OTLP protobuf file as a Collector batches it
 * (calls between eight hosts, two of them skewed and drifting; 250 spans a resource, some 600 bytes a span) is written,
 * read, joined, solved, corrected and written back on one thread, with the time of each part, beside a memcpy of as
 * many bytes. FOLDER: where the two files go, best one in memory. SECONDS: of traffic that the file holds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "mend/mend.h"

enum { HOSTS = 8, BATCH = 250 };
#define EPOCH_NS INT64_C(1700000000000000000)

static const char *const attributes[][2] = {
    {"http.request.method", "POST"},
    {"url.full", "http://checkout.shop.svc.cluster.local:8080/api/v2/carts/3fd1e6/items?currency=EUR&page=2"},
    {"server.address", "checkout.shop.svc.cluster.local"},
    {"network.protocol.version", "1.1"},
    {"user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"},
    {"client.address", "10.244.3.17"},
    {"http.route", "/api/v2/carts/{cart}/items"},
    {"session.id", "0f8f3c7e-9d2f-4a58-8a34-6b1d1c8f2e55"},
};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void put_varint(tspi_buf *out, uint64_t value)
{
    for (; value > 127; value >>= 7)
        tspi_buf_putc(out, (char)(value | 128));
    tspi_buf_putc(out, (char)value);
}

static void put_bytes(tspi_buf *out, unsigned field, const void *bytes, size_t len)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, len);
    tspi_buf_append(out, bytes, len);
}

static void put_text(tspi_buf *out, unsigned field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

static void put_fixed64(tspi_buf *out, unsigned field, int64_t value)
{
    put_varint(out, field << 3 | 1);
    tspi_buf_append(out, &value, 8);
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
    unsigned n[HOSTS];
    uint64_t total, bytes;
} writer;

static void flush_host(writer *w, unsigned host)
{
    tspi_buf value = {0}, pair = {0}, resource = {0}, all = {0}, out = {0};
    char name[16];

    if (!w->n[host])
        return;
    snprintf(name, sizeof name, "host-%u", host);
    put_text(&value, 1, name);
    put_text(&pair, 1, "host.name");
    put_bytes(&pair, 2, value.data, value.len);
    put_bytes(&resource, 1, pair.data, pair.len);
    put_bytes(&all, 1, resource.data, resource.len);
    put_bytes(&all, 2, w->spans[host].data, w->spans[host].len);
    put_bytes(&out, 1, all.data, all.len);
    if (fwrite(out.data, 1, out.len, w->file) != out.len)
        abort();
    w->bytes += out.len;
    w->n[host] = 0;
    tspi_buf_clear(&w->spans[host]);
    tspi_buf_release(&value);
    tspi_buf_release(&pair);
    tspi_buf_release(&resource);
    tspi_buf_release(&all);
    tspi_buf_release(&out);
}

static void put_span(writer *w, unsigned host, uint64_t trace, uint64_t id, uint64_t parent, unsigned kind,
                     int64_t start, int64_t end)
{
    static const char *const names[] = {"", "work", "POST /api/v2/carts/{cart}/items", "checkout.Checkout/Place"};
    uint64_t ids[2] = {trace * UINT64_C(0xd6e8feb86659fd93), trace};
    tspi_buf span = {0}, pair = {0}, value = {0};

    put_bytes(&span, 1, ids, 16);
    put_bytes(&span, 2, &id, 8);
    if (parent)
        put_bytes(&span, 4, &parent, 8);
    put_text(&span, 5, names[kind]);
    put_varint(&span, 6 << 3);
    put_varint(&span, kind);
    put_fixed64(&span, 7, stamp(host, start));
    put_fixed64(&span, 8, stamp(host, end));
    for (size_t k = 0; k < sizeof attributes / sizeof *attributes; k++) {
        tspi_buf_clear(&pair);
        tspi_buf_clear(&value);
        put_text(&value, 1, attributes[k][1]);
        put_text(&pair, 1, attributes[k][0]);
        put_bytes(&pair, 2, value.data, value.len);
        put_bytes(&span, 9, pair.data, pair.len);
    }
    put_bytes(&w->spans[host], 2, span.data, span.len);
    w->total++;
    if (++w->n[host] == BATCH)
        flush_host(w, host);
    tspi_buf_release(&span);
    tspi_buf_release(&pair);
    tspi_buf_release(&value);
}

/* Traces of eight calls, each from a client on one host to a server on another, with one span of work. */
static uint64_t write_input(const char *path, uint64_t bytes, double seconds)
{
    writer w = {.file = fopen(path, "w")};
    uint64_t traces = bytes / (24 * 540) + 1, id = 1;
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
        double start = now();
        memcpy(to, from, n);
        double took = now() - start;
        best = took < best ? took : best;
        from[round] = to[round + 1];
    }
    free(from);
    free(to);
    return best * (double)bytes / (double)n;
}

/* Reading and joining by themselves, which tspi_mend_open does again. */
static void probe(const char *path, double *ret_read, double *ret_join)
{
    tspi_wire_options wire = {.threads = 1};
    tspi_causal_options options = {.threads = 1};
    tspi_span_set set = {0};
    tspi_read_report report = {0};
    tspi_causal causal = {0};
    double start = now(), middle;

    if (tspi_wire_read_path(path, &wire, &set, &report, NULL) != TSP_OK)
        abort();
    middle = now();
    if (tspi_causal_init(&causal, &set, &options, NULL) != TSP_OK)
        abort();
    *ret_join = now() - middle;
    *ret_read = middle - start;
    tspi_causal_release(&causal);
    tspi_read_report_release(&report);
    tspi_span_set_release(&set);
}

static void part(const char *what, double seconds, uint64_t spans, uint64_t bytes)
{
    printf("| %-16s | %6.2f | %6.2f | %5.2f |\n", what, seconds, (double)spans / seconds / 1e6,
           (double)bytes / seconds / 1e9);
}

int main(int argc, char **argv)
{
    uint64_t bytes = (argc > 1 ? strtoull(argv[1], NULL, 10) : 256) << 20, spans;
    const char *folder = argc > 2 ? argv[2] : P_tmpdir;
    double seconds = argc > 3 ? strtod(argv[3], NULL) : 600, start, read_s, join_s, times[4];
    char in[4096], out[4096];
    struct stat st;
    tspi_mend mend;
    tspi_mend_outcome outcome;
    tsp_error err = {0};

    snprintf(in, sizeof in, "%s/bench-fix-in.otlp.pb", folder);
    snprintf(out, sizeof out, "%s/bench-fix-out.otlp.pb", folder);
    spans = write_input(in, bytes, seconds);
    bytes = stat(in, &st) == 0 ? (uint64_t)st.st_size : 0;
    const char *path = in;
    tspi_mend_options options = {.paths = &path, .paths_n = 1, .threads = 1};
    probe(in, &read_s, &join_s);
    times[0] = now();
    tsp_status rc = tspi_mend_open(&mend, &options, &err);
    times[1] = now();
    if (rc == TSP_OK)
        rc = tspi_mend_correct(&mend, false, &outcome, &err);
    times[2] = now();
    if (rc == TSP_OK)
        rc = tspi_mend_write(&mend, out, &err);
    times[3] = now();
    if (rc != TSP_OK)
        fprintf(stderr, "%s\n", err.message);
    else {
        double copy = copy_seconds(bytes), all = times[3] - times[0];
        printf("%" PRIu64 " spans, %" PRIu64 " hops, %.2f GB; violations %" PRIu64 " -> %" PRIu64 "\n\n", spans,
               mend.answer.hops_fed, (double)bytes / 1e9, outcome.before.total, outcome.left.total);
        puts("| part | CPU s | M spans/s | GB/s |\n|---|---|---|---|");
        part("memcpy", copy, spans, bytes);
        part("read", read_s, spans, bytes);
        part("join", join_s, spans, bytes);
        part("solve", times[1] - times[0] - read_s - join_s, spans, bytes);
        part("correct, audit", times[2] - times[1], spans, bytes);
        part("write", times[3] - times[2], spans, bytes);
        part("all", all, spans, bytes);
        printf("\n%.3f of memcpy\n", copy / all);
    }
    start = now();
    tspi_mend_release(&mend);
    printf("released in %.2f s\n", now() - start);
    unlink(in);
    unlink(out);
    return rc == TSP_OK ? 0 : 1;
}
