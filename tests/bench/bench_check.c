/* How fast `truespan check` reads OTLP protobuf, joins it, and finds every violation; beside memcpy of the same bytes
 * in the same run. Prints a line a figure: name, median of five, unit. Argument: number of spans in thousands [2000].
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/random.h"
#include "causal/causal.h"
#include "causal/cause.h"
#include "wire/wire.h"

enum { ROUNDS = 5, SPANS_A_TRACE = 10, NODES = 6 };

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); /* one thread: so that a busy machine changes little */
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void varint(tspi_buf *b, uint64_t v)
{
    for (; v > 127; v >>= 7)
        tspi_buf_putc(b, (char)(v | 128));
    tspi_buf_putc(b, (char)v);
}

static void bytes_field(tspi_buf *b, unsigned field, const void *data, size_t len)
{
    varint(b, field << 3 | 2);
    varint(b, len);
    tspi_buf_append(b, data, len);
}

static void fixed_field(tspi_buf *b, unsigned field, int64_t ns)
{
    varint(b, field << 3 | 1);
    for (int k = 0; k < 8; k++)
        tspi_buf_putc(b, (char)((uint64_t)ns >> (8 * k)));
}

static void text_attribute(tspi_buf *b, unsigned field, const char *key, const char *value)
{
    tspi_buf any = {0}, pair = {0};
    bytes_field(&any, 1, value, strlen(value));
    bytes_field(&pair, 1, key, strlen(key));
    bytes_field(&pair, 2, any.data, any.len);
    bytes_field(b, field, pair.data, pair.len);
    tspi_buf_release(&any);
    tspi_buf_release(&pair);
}

static void id_bytes(uint8_t *ret, uint64_t id)
{
    for (int k = 0; k < 8; k++)
        ret[k] = (uint8_t)(id >> (56 - 8 * k));
}

/* CLIENT and SERVER spans alternate down a chain over the nodes, with four attributes each, about 190 bytes. */
static void add_span(tspi_buf *out, uint64_t trace, uint64_t id, uint64_t parent, int kind, int64_t start, int64_t end)
{
    tspi_buf span = {0};
    uint8_t trace_id[16], span_id[8], parent_id[8];

    id_bytes(trace_id, trace * UINT64_C(0x9e3779b97f4a7c15));
    id_bytes(trace_id + 8, trace + 1);
    id_bytes(span_id, id);
    id_bytes(parent_id, parent);
    bytes_field(&span, 1, trace_id, 16);
    bytes_field(&span, 2, span_id, 8);
    if (parent)
        bytes_field(&span, 4, parent_id, 8);
    bytes_field(&span, 5, kind == 2 ? "shop.Cart/Add" : "shop.Stock/Get", kind == 2 ? 13 : 14);
    varint(&span, 6 << 3);
    varint(&span, (uint64_t)kind);
    fixed_field(&span, 7, start);
    fixed_field(&span, 8, end);
    text_attribute(&span, 9, "rpc.system", "grpc");
    text_attribute(&span, 9, "rpc.service", "shop.Cart");
    text_attribute(&span, 9, "net.peer.name", "cart.shop.svc.cluster.local");
    bytes_field(out, 2, span.data, span.len);
    tspi_buf_release(&span);
}

/* A batch of one node's spans, as an exporter sends them: a resource, a scope, 100 traces' worth. */
static void flush_batch(tspi_buf *out, unsigned node, tspi_buf *spans)
{
    tspi_buf resource = {0}, body = {0};
    char name[32];

    snprintf(name, sizeof name, "node-%u", node);
    text_attribute(&resource, 1, "service.name", "shop");
    text_attribute(&resource, 1, "host.name", name);
    bytes_field(&body, 1, resource.data, resource.len);
    bytes_field(&body, 2, spans->data, spans->len);
    bytes_field(out, 1, body.data, body.len);
    tspi_buf_clear(spans);
    tspi_buf_release(&resource);
    tspi_buf_release(&body);
}

static void generate(tspi_buf *out, size_t spans_n)
{
    tspi_buf batch[NODES] = {{0}};
    tspi_random random;
    int64_t at = INT64_C(1700000000123456789);

    tspi_random_seed(&random, 1);
    for (size_t k = 0, trace = 0; k < spans_n; k += SPANS_A_TRACE, trace++) {
        uint64_t parent = 0;
        unsigned node = (unsigned)tspi_random_below(&random, NODES);
        int64_t start = at, end = at + 40000000;
        for (unsigned s = 0; s < SPANS_A_TRACE; s++) {
            uint64_t id = tspi_random_u64(&random);
            int kind = s % 2 ? 3 : 2; /* server, client, server, ... */
            if (s && kind == 2)
                node = (node + 1 + (unsigned)tspi_random_below(&random, NODES - 1)) % NODES;
            int64_t skew = node == 3 ? 1500000 : 0;
            add_span(&batch[node], trace, id, parent, kind, start + skew, end + skew);
            parent = id;
            int64_t step = 200000 + (int64_t)tspi_random_exponential(&random, 800000);
            start += step;
            end -= 200000 + (int64_t)tspi_random_exponential(&random, 800000);
        }
        at += 1000000;
        if (trace % 100 == 99)
            for (unsigned n = 0; n < NODES; n++)
                flush_batch(out, n, &batch[n]);
    }
    for (unsigned n = 0; n < NODES; n++) {
        flush_batch(out, n, &batch[n]);
        tspi_buf_release(&batch[n]);
    }
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

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

int main(int argc, char **argv)
{
    size_t wanted = (argc > 1 ? strtoul(argv[1], NULL, 10) : 2000) * 1000;
    static double copy[ROUNDS], read[ROUNDS], join[ROUNDS], causes[ROUNDS];
    double heap = 0, hops = 0, spans = 0;
    tspi_buf input = {0};
    tsp_error err = {0};

    generate(&input, wanted);
    void *aside = malloc(input.len);
    if (!tspi_buf_ok(&input) || !aside)
        return 1;
    memset(aside, 1, input.len);
    for (int k = 0; k < ROUNDS; k++) {
        tspi_span_set set = {0};
        tspi_read_report report = {0};
        tspi_causal causal = {0};
        tspi_evidence evidence = {0};
        tspi_wire_options wire = {.threads = 1};
        tspi_causal_options options = {.threads = 1};
        size_t before = heap_bytes();
        double t0 = now_s();
        memcpy(aside, input.data, input.len);
        double t1 = now_s();
        if (tspi_wire_read("bench", input.data, input.len, &wire, &set, &report, &err) != TSP_OK)
            return 1;
        double t2 = now_s();
        if (tspi_causal_init(&causal, &set, &options, &err) != TSP_OK)
            return 1;
        double t3 = now_s();
        heap = (double)(heap_bytes() - before);
        if (tspi_evidence_init(&evidence, &causal.join, &causal.edges, 100, &err) != TSP_OK)
            return 1;
        double t4 = now_s();
        copy[k] = t1 - t0;
        read[k] = t2 - t1;
        join[k] = t3 - t2;
        causes[k] = t4 - t3;
        hops = (double)causal.edges.hops;
        spans = (double)set.spans_n;
        tspi_evidence_release(&evidence);
        tspi_causal_release(&causal);
        tspi_read_report_release(&report);
        tspi_span_set_release(&set);
    }
    double gb = (double)input.len * 1e-9, r = median(read), j = median(join), c = median(causes), m = median(copy);
    printf("spans %.0f, hops %.0f, %.0f bytes a span\n", spans, hops, (double)input.len / spans);
    printf("memcpy                    %8.2f GB/s\n", gb / m);
    printf("read                      %8.2f GB/s  %6.2f M spans/s\n", gb / r, spans / r * 1e-6);
    printf("join, hops, violations    %8.2f GB/s  %6.2f M spans/s\n", gb / j, spans / j * 1e-6);
    printf("evidence for causes       %8.2f GB/s  %6.2f M spans/s\n", gb / c, spans / c * 1e-6);
    printf("read + hops + violations  %8.2f GB/s  %6.2f M spans/s\n", gb / (r + j), spans / (r + j) * 1e-6);
    printf("with causes               %8.2f GB/s  %6.2f M spans/s\n", gb / (r + j + c), spans / (r + j + c) * 1e-6);
    printf("memory when joined        %8.1f bytes a span\n", heap / spans);
    free(aside);
    tspi_buf_release(&input);
    return 0;
}
