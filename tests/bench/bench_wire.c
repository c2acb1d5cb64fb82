/* How fast bytes become rows, and patched bytes, on one core and on all; beside memcpy, and beside simdjson's DOM of
 * the same JSON. Input: spans as a Collector batches them: 250 spans a resource, eight services, traces of about 20
 * spans spread over them, about 560 bytes a span in protobuf. Medians of ROUNDS rounds, warm. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "shapes.h"
#include "wire/wire.h"

enum { ROUNDS = 5, BATCH = 250 };

#ifdef HAVE_SIMDJSON
int bench_simdjson_parse(const uint8_t *bytes, size_t len); /* 0 = could not */
#endif

struct spec {
    uint64_t hi, lo, id, parent;
    int64_t start, end;
    unsigned name, kind;
};

static struct spec next_span(tspi_random *random, size_t number)
{
    struct spec s;

    s.lo = (number / 2000 * 100 + tspi_random_below(random, 100)) * UINT64_C(0x9e3779b97f4a7c15) + 1;
    s.hi = s.lo * UINT64_C(0xd6e8feb86659fd93);
    s.id = tspi_random_u64(random) | 1;
    s.parent = tspi_random_u64(random) | 1;
    s.start = INT64_C(1700000000000000000) + (int64_t)number * 1000 + (int64_t)tspi_random_below(random, 1000000);
    s.end = s.start + (int64_t)tspi_random_below(random, 50000000);
    s.name = (unsigned)tspi_random_below(random, 40);
    s.kind = 1 + (unsigned)tspi_random_below(random, 3);
    return s;
}

static void proto_span(tspi_buf *out, const struct spec *s)
{
    char name[40];
    snprintf(name, sizeof name, "shop.CartService/Operation%u", s->name);

    put_span_fields(out, (uint64_t[]){s->hi, s->lo, s->id, s->parent}, name, s->kind, s->start, s->end);
    for (unsigned k = 0; k < SHAPE_ATTRIBUTES; k++)
        put_attribute(out, 9, shape_attributes[k][0], shape_attributes[k][1]);
    put_bytes(out, 15, "", 0);
    tspi_buf_append(out, "\x85\x01\x01\x01\0\0", 6);
}

static void make_proto(tspi_buf *out, size_t want)
{
    tspi_random random;
    tspi_buf spans = {0}, span = {0};

    tspi_random_seed(&random, 1);
    for (size_t number = 0; out->len < want;) {
        char host[32];
        snprintf(host, sizeof host, "node-%zu", number / BATCH % 8);
        tspi_buf_clear(&spans);
        for (unsigned k = 0; k < BATCH; k++) {
            struct spec s = next_span(&random, number++);
            tspi_buf_clear(&span);
            proto_span(&span, &s);
            put_bytes(&spans, 2, span.data, span.len);
        }
        put_batch(out, (const shape_attribute[]){{"service.name", "checkout"}, {"host.name", host}}, 2, &spans);
    }
    tspi_buf_release(&spans);
    tspi_buf_release(&span);
}

static void make_otlp_json(tspi_buf *out, size_t want)
{
    tspi_random random;

    tspi_random_seed(&random, 1);
    for (size_t number = 0; out->len < want;) {
        tspi_buf_printf(
            out,
            "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{"
            "\"stringValue\":\"checkout\"}},{\"key\":\"host.name\",\"value\":{\"stringValue\":\"node-%zu\"}}]},"
            "\"scopeSpans\":[{\"scope\":{},\"spans\":[",
            number / BATCH % 8);
        for (unsigned k = 0; k < BATCH; k++) {
            struct spec s = next_span(&random, number++);
            tspi_buf_printf(out,
                            "%s{\"traceId\":\"%016" PRIx64 "%016" PRIx64 "\",\"spanId\":\"%016" PRIx64
                            "\",\"parentSpanId\":\"%016" PRIx64
                            "\",\"flags\":257,\"name\":\"shop.CartService/Operation%u\","
                            "\"kind\":%u,\"startTimeUnixNano\":\"%" PRId64 "\",\"endTimeUnixNano\":\"%" PRId64
                            "\",\"attributes\":[",
                            k ? "," : "", s.hi, s.lo, s.id, s.parent, s.name, s.kind, s.start, s.end);
            for (unsigned a = 0; a < SHAPE_ATTRIBUTES; a++)
                tspi_buf_printf(out, "%s{\"key\":\"%s\",\"value\":{\"stringValue\":\"%s\"}}", a ? "," : "",
                                shape_attributes[a][0], shape_attributes[a][1]);
            tspi_buf_puts(out, "],\"status\":{}}");
        }
        tspi_buf_puts(out, "]}]}]}\n");
    }
}

static void make_jaeger(tspi_buf *out, size_t want)
{
    tspi_random random;

    tspi_random_seed(&random, 1);
    tspi_buf_puts(out, "{\"data\":[");
    for (size_t number = 0; out->len < want;) {
        tspi_buf_puts(out, number ? ",{\"spans\":[" : "{\"spans\":[");
        for (unsigned k = 0; k < 20; k++) {
            struct spec s = next_span(&random, number);
            s.hi = number / 20 + 1;
            s.lo = s.hi * UINT64_C(0x9e3779b97f4a7c15);
            tspi_buf_printf(
                out,
                "%s{\"traceID\":\"%016" PRIx64 "%016" PRIx64 "\",\"spanID\":\"%016" PRIx64
                "\",\"flags\":1,\"operationName\":\"shop.CartService/Operation%u\",\"references\":[{\"refType\":"
                "\"CHILD_OF\",\"traceID\":\"%016" PRIx64 "%016" PRIx64 "\",\"spanID\":\"%016" PRIx64
                "\"}],\"startTime\":%" PRId64 ",\"duration\":%" PRId64
                ",\"tags\":[{\"key\":\"span.kind\",\"type\":\"string\",\"value\":\"server\"}",
                k ? "," : "", s.hi, s.lo, s.id, s.name, s.hi, s.lo, s.parent, s.start / 1000, (s.end - s.start) / 1000);
            for (unsigned a = 0; a < SHAPE_ATTRIBUTES; a++)
                tspi_buf_printf(out, ",{\"key\":\"%s\",\"type\":\"string\",\"value\":\"%s\"}", shape_attributes[a][0],
                                shape_attributes[a][1]);
            tspi_buf_printf(out, "],\"logs\":[],\"processID\":\"p%u\",\"warnings\":null}", k % 4);
            number++;
        }
        tspi_buf_puts(out, "],\"processes\":{");
        for (unsigned k = 0; k < 4; k++)
            tspi_buf_printf(out,
                            "%s\"p%u\":{\"serviceName\":\"checkout\",\"tags\":[{\"key\":\"hostname\",\"type\":"
                            "\"string\",\"value\":\"node-%u\"}]}",
                            k ? "," : "", k, k);
        tspi_buf_puts(out, "}}");
    }
    tspi_buf_puts(out, "]}");
}

static void make_zipkin(tspi_buf *out, size_t want)
{
    tspi_random random;

    tspi_random_seed(&random, 1);
    tspi_buf_putc(out, '[');
    for (size_t number = 0; out->len < want; number++) {
        struct spec s = next_span(&random, number);
        tspi_buf_printf(
            out,
            "%s{\"traceId\":\"%016" PRIx64 "%016" PRIx64 "\",\"id\":\"%016" PRIx64 "\",\"parentId\":\"%016" PRIx64
            "\",\"name\":\"operation %u\",\"kind\":\"SERVER\",\"timestamp\":%" PRId64 ",\"duration\":%" PRId64
            ",\"localEndpoint\":{\"serviceName\":\"checkout\",\"ipv4\":\"10.0.0.%u\"},\"tags\":{",
            number ? "," : "", s.hi, s.lo, s.id, s.parent, s.name, s.start / 1000, (s.end - s.start) / 1000,
            (unsigned)(number / BATCH % 8));
        for (unsigned a = 0; a < SHAPE_ATTRIBUTES; a++)
            tspi_buf_printf(out, "%s\"%s\":\"%s\"", a ? "," : "", shape_attributes[a][0], shape_attributes[a][1]);
        tspi_buf_puts(out, "}}");
    }
    tspi_buf_putc(out, ']');
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Of this thread: what others do on the machine counts less. */
static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *times)
{
    qsort(times, ROUNDS, sizeof *times, by_value);
    return times[ROUNDS / 2];
}

static int64_t shift(void *ctx, const tspi_stamp_place *place)
{
    (void)ctx;
    return place->ns + 5000000;
}

static size_t set_bytes(const tspi_span_set *set)
{
    return set->spans_n * sizeof *set->spans + set->traces_n * (sizeof *set->traces + 2 * 8) + set->arena.used_bytes;
}

static double read_once(const tspi_buf *bytes, unsigned threads, size_t *ret_spans, double *ret_memory)
{
    tspi_wire_options options = {.threads = threads};
    tspi_span_set set = {0};
    tspi_read_report report = {0};
    tsp_error err = {0};

    double from = threads == 1 ? cpu_s() : now_s();
    if (tspi_wire_read("bench", bytes->data, bytes->len, &options, &set, &report, &err) != TSP_OK) {
        printf("%s\n", err.message);
        exit(1);
    }
    double took = (threads == 1 ? cpu_s() : now_s()) - from;
    *ret_spans = set.spans_n;
    *ret_memory = (double)set_bytes(&set) / (double)set.spans_n;
    tspi_span_set_release(&set);
    tspi_read_report_release(&report);
    return took;
}

static double patch_once(const tspi_buf *bytes, tspi_buf *out)
{
    tsp_error err = {0};

    tspi_buf_clear(out);
    double from = cpu_s();
    if (tspi_wire_patch("bench", bytes->data, bytes->len, TSPI_FORMAT_AUTO, NULL, 0, shift, NULL, out, &err) !=
        TSP_OK) {
        printf("%s\n", err.message);
        exit(1);
    }
    return cpu_s() - from;
}

static void bench(const char *name, void (*make)(tspi_buf *, size_t), size_t want)
{
    double copy[ROUNDS], one[ROUNDS], all[ROUNDS], patch[ROUNDS], memory = 0;
    tspi_buf bytes = {0}, out = {0};
    size_t spans = 0;

    make(&bytes, want);
    tspi_buf_reserve(&out, bytes.len + bytes.len / 16);
    memset(out.data, 1, out.cap);
    for (int k = 0; k < ROUNDS; k++) {
        double from = cpu_s();
        memcpy(out.data, bytes.data, bytes.len);
        copy[k] = cpu_s() - from;
        one[k] = read_once(&bytes, 1, &spans, &memory);
        all[k] = read_once(&bytes, 0, &spans, &memory);
        patch[k] = patch_once(&bytes, &out);
    }
    double gb = (double)bytes.len * 1e-9, m = (double)spans * 1e-6, c = median(copy), r = median(one),
           p = median(patch);
    printf("%-10s %4.0f B/span | memcpy %5.2f GB/s | read %5.2f GB/s %5.2f M spans/s %4.1f B/span | all cores %5.2f "
           "GB/s | "
           "patch %5.2f GB/s = %.2f memcpy",
           name, gb * 1e3 / m, gb / c, gb / r, m / r, memory, gb / median(all), gb / p, c / p);
#ifdef HAVE_SIMDJSON
    if (*bytes.data == '{' || *bytes.data == '[') {
        double dom[ROUNDS];
        for (int k = 0; k < ROUNDS; k++) {
            double from = cpu_s();
            if (!bench_simdjson_parse(bytes.data, bytes.len))
                printf(" (simdjson failed)");
            dom[k] = cpu_s() - from;
        }
        printf(" | simdjson DOM %.2f GB/s", gb / median(dom));
    }
#endif
    putchar('\n');
    tspi_buf_release(&bytes);
    tspi_buf_release(&out);
}

int main(int argc, char **argv)
{
    /* bench_wire [MEGABYTES [FORMAT]] */
    size_t want = (argc > 1 ? strtoull(argv[1], NULL, 10) : 128) << 20;

    static const struct {
        const char *name;
        void (*make)(tspi_buf *, size_t);
    } formats[] = {
        {"otlp-proto", make_proto}, {"otlp-json", make_otlp_json}, {"jaeger", make_jaeger}, {"zipkin", make_zipkin}};

    for (size_t k = 0; k < sizeof formats / sizeof formats[0]; k++)
        if (argc < 3 || !strcmp(argv[2], formats[k].name))
            bench(formats[k].name, formats[k].make, want);
    return 0;
}
