/* Random spans, written in every format and many of its variants, must read back as they were chosen; and edited, as
 * they were edited. The writers here are simple and share nothing with the readers. */
#include "base/random.h"
#include "test.h"
#include "wire/wire.h"

enum { SPANS = 60, HOSTS = 5 };

struct model_span {
    uint64_t trace_hi, trace_lo, id, parent;
    int64_t start_ns, end_ns; /* TSPI_NO_STAMP = left out */
    unsigned kind, host;
    bool error, has_event, has_link;
    int64_t event_ns;
    char name[40];
};

static tspi_random rng;
static struct model_span model[SPANS];

static bool coin(unsigned one_in)
{
    return tspi_random_below(&rng, one_in) == 0;
}

/* unit_ns: what the format can hold. */
static void make_model(int64_t unit_ns, bool long_traces)
{
    static const char *const names[] = {"GET /", "a\"quoted\"", "back\\slash", "größe", "tab\there",
                                        "",      "{\"x\":[1]}", "poll"};

    for (unsigned k = 0; k < SPANS; k++) {
        struct model_span *s = &model[k];
        s->trace_hi = long_traces ? 1 + tspi_random_below(&rng, 3) : 0;
        s->trace_lo = 1000 + s->trace_hi * 10 + tspi_random_below(&rng, 3);
        s->id = tspi_random_u64(&rng) | 1;
        s->parent = coin(3) ? 0 : tspi_random_u64(&rng) | 1;
        s->start_ns =
            (INT64_C(1600000000000000000) + (int64_t)tspi_random_below(&rng, UINT64_C(1) << 50)) / unit_ns * unit_ns;
        s->end_ns = s->start_ns + (int64_t)tspi_random_below(&rng, 1000000) * unit_ns;
        s->has_event = coin(4);
        s->event_ns = s->start_ns + (int64_t)tspi_random_below(&rng, 1000) * unit_ns;
        s->has_link = coin(5);
        s->kind = (unsigned)tspi_random_below(&rng, 6);
        s->host = k / 12 % HOSTS;
        s->error = coin(6);
        if (coin(8))
            s->end_ns = TSPI_NO_STAMP;
        snprintf(s->name, sizeof s->name, "%s", names[tspi_random_below(&rng, sizeof names / sizeof names[0])]);
    }
}

/* JSON blanks, here and there. */
static void blank(tspi_buf *out)
{
    if (coin(6))
        tspi_buf_puts(out, coin(2) ? "\n        \t " : " ");
}

static void member(tspi_buf *out, bool *first, const char *name)
{
    tspi_buf_putc(out, *first ? '{' : ',');
    *first = false;
    blank(out);
    tspi_buf_printf(out, "\"%s\"", name);
    blank(out);
    tspi_buf_putc(out, ':');
    blank(out);
}

static void put_hex(tspi_buf *out, uint64_t hi, uint64_t lo, bool wide)
{
    if (wide)
        tspi_buf_printf(out, "\"%016" PRIx64 "%016" PRIX64 "\"", hi, lo);
    else
        tspi_buf_printf(out, "\"%016" PRIx64 "\"", lo);
}

static void put_base64(tspi_buf *out, uint64_t hi, uint64_t lo, bool wide)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned n = wide ? 16 : 8;
    uint8_t bytes[18] = {0};

    for (unsigned k = 0; k < n; k++)
        bytes[k] = (uint8_t)((wide && k < 8 ? hi : lo) >> (56 - 8 * (k & 7)));
    tspi_buf_putc(out, '"');
    for (unsigned k = 0; k < n; k += 3) {
        uint32_t three = (uint32_t)bytes[k] << 16 | (uint32_t)bytes[k + 1] << 8 | bytes[k + 2];
        for (unsigned d = 0; d < 4; d++) {
            if (k + (d ? d - 1 : 0) >= n)
                tspi_buf_putc(out, '=');
            else if (digits[three >> (18 - 6 * d) & 63] == '/' && coin(2))
                tspi_buf_puts(out, "\\/");
            else
                tspi_buf_putc(out, digits[three >> (18 - 6 * d) & 63]);
        }
    }
    tspi_buf_putc(out, '"');
}

static void put_stamp(tspi_buf *out, int64_t ns)
{
    const char *quote = coin(3) ? "" : "\"";
    tspi_buf_printf(out, "%s%" PRId64 "%s", quote, ns, quote);
}

static void noise(tspi_buf *out, bool *first)
{
    static const char *const values[] = {
        "null", "true", "[1,{\"spans\":[]},\"]\"]", "\"\\\\\"", "{\"startTimeUnixNano\":\"7\"}", "-1.5e9"};

    if (!coin(3))
        return;
    member(out, first, "unknownField");
    tspi_buf_puts(out, values[tspi_random_below(&rng, sizeof values / sizeof values[0])]);
}

static void otlp_json_span(tspi_buf *out, const struct model_span *s)
{
    static const char *const kinds[] = {"UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    bool first = true, snake = coin(3), base64 = coin(3);
    void (*put_id)(tspi_buf *, uint64_t, uint64_t, bool) = base64 ? put_base64 : put_hex;

    if (s->end_ns != TSPI_NO_STAMP || coin(2)) {
        member(out, &first, snake ? "end_time_unix_nano" : "endTimeUnixNano");
        if (s->end_ns == TSPI_NO_STAMP)
            tspi_buf_puts(out, coin(2) ? "\"0\"" : "null");
        else
            put_stamp(out, s->end_ns);
    }
    noise(out, &first);
    member(out, &first, snake ? "trace_id" : "traceId");
    put_id(out, s->trace_hi, s->trace_lo, true);
    member(out, &first, snake ? "span_id" : "spanId");
    put_id(out, 0, s->id, false);
    if (s->parent) {
        member(out, &first, snake ? "parent_span_id" : "parentSpanId");
        put_id(out, 0, s->parent, false);
    } else if (coin(2)) {
        member(out, &first, "parentSpanId");
        tspi_buf_puts(out, "\"\"");
    }
    member(out, &first, "name");
    tspi_buf_json_string(out, s->name, strlen(s->name));
    member(out, &first, "kind");
    if (coin(3))
        tspi_buf_printf(out, "\"SPAN_KIND_%s\"", kinds[s->kind]);
    else
        tspi_buf_printf(out, "%u", s->kind);
    if (s->has_event) {
        member(out, &first, "events");
        tspi_buf_puts(
            out,
            "[{\"attributes\":[{\"key\":\"gen_ai.token.index\",\"value\":{\"intValue\":\"5\"}}],\"timeUnixNano\":");
        put_stamp(out, s->event_ns);
        tspi_buf_puts(out, "}]");
    }
    noise(out, &first);
    member(out, &first, snake ? "start_time_unix_nano" : "startTimeUnixNano");
    put_stamp(out, s->start_ns);
    member(out, &first, "attributes");
    tspi_buf_puts(
        out,
        "[{\"key\":\"x\",\"value\":{\"kvlistValue\":{\"values\":[]}}},{\"value\":{\"boolValue\":true},\"key\":\"y\"}]");
    if (s->has_link) {
        member(out, &first, "links");
        tspi_buf_puts(out, "[{\"traceId\":");
        put_id(out, 9, 9, true);
        tspi_buf_puts(out, ",\"spanId\":");
        put_id(out, 0, s->id ^ 2, false);
        tspi_buf_puts(out, "}]");
    }
    member(out, &first, "status");
    tspi_buf_puts(out, s->error ? (coin(2) ? "{\"code\":2}" : "{\"code\":\"STATUS_CODE_ERROR\"}") : "{}");
    tspi_buf_putc(out, '}');
}

/* One document for each host's run of spans; on lines of their own, or one behind another. */
static void write_otlp_json(tspi_buf *out)
{
    static const char *const tops[] = {"resourceSpans", "resource_spans", "batches"};
    static const char *const scopes[] = {"scopeSpans", "scope_spans", "instrumentationLibrarySpans"};
    bool one_document = coin(2), late_resource = coin(2);
    const char *top = tops[tspi_random_below(&rng, 3)], *scope = scopes[tspi_random_below(&rng, 3)];

    for (unsigned k = 0; k < SPANS; k += 12) {
        char resource[200];
        snprintf(resource, sizeof resource,
                 "\"resource\":{\"attributes\":[{\"key\":\"host.name\",\"value\":{\"stringValue\":\"h%u\"}}]}",
                 model[k].host);
        if (!k || !one_document)
            tspi_buf_printf(out, "{\"%s\":[", top);
        tspi_buf_printf(out, "{%s%s\"%s\":[{\"spans\":[", late_resource ? "" : resource, late_resource ? "" : ",",
                        scope);
        for (unsigned j = k; j < k + 12; j++) {
            tspi_buf_puts(out, j > k ? "," : "");
            otlp_json_span(out, &model[j]);
        }
        tspi_buf_printf(out, "]}]%s%s}", late_resource ? "," : "", late_resource ? resource : "");
        if (one_document && k + 12 < SPANS)
            tspi_buf_putc(out, ',');
        else
            tspi_buf_puts(out, "]}\n");
    }
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

static void put_fixed64(tspi_buf *out, unsigned field, uint64_t value)
{
    put_varint(out, field << 3 | 1);
    for (unsigned k = 0; k < 8; k++)
        tspi_buf_putc(out, (char)(value >> (8 * k)));
}

static void put_id_bytes(tspi_buf *out, unsigned field, uint64_t hi, uint64_t lo, bool wide)
{
    uint8_t bytes[16];

    for (unsigned k = 0; k < 16; k++)
        bytes[k] = (uint8_t)((k < 8 ? hi : lo) >> (56 - 8 * (k & 7)));
    put_bytes(out, field, wide ? bytes : bytes + 8, wide ? 16 : 8);
}

static void put_key_value(tspi_buf *out, unsigned field, const char *key, const char *value)
{
    tspi_buf any = {0}, kv = {0};

    put_bytes(&any, 1, value, strlen(value));
    put_bytes(&kv, 1, key, strlen(key));
    put_bytes(&kv, 2, any.data, any.len);
    put_bytes(out, field, kv.data, kv.len);
    tspi_buf_release(&any);
    tspi_buf_release(&kv);
}

static void otlp_proto_span(tspi_buf *out, const struct model_span *s)
{
    tspi_buf inner = {0};
    bool stamps_first = coin(4);

    if (stamps_first)
        put_fixed64(out, 7, (uint64_t)s->start_ns);
    put_id_bytes(out, 1, s->trace_hi, s->trace_lo, true);
    put_id_bytes(out, 2, 0, s->id, false);
    if (s->parent)
        put_id_bytes(out, 4, 0, s->parent, false);
    put_bytes(out, 5, s->name, strlen(s->name));
    put_varint(out, 6 << 3);
    put_varint(out, s->kind);
    if (coin(5)) /* the last one counts */
        put_fixed64(out, 7, 12345);
    put_fixed64(out, 7, (uint64_t)s->start_ns);
    if (s->end_ns != TSPI_NO_STAMP)
        put_fixed64(out, 8, (uint64_t)s->end_ns);
    put_key_value(out, 9, "some.attribute", "with a value that nobody needs");
    if (s->has_event) {
        tspi_buf any = {0}, kv = {0};
        put_fixed64(&inner, 1, (uint64_t)s->event_ns);
        put_varint(&any, 3 << 3);
        put_varint(&any, 5);
        put_bytes(&kv, 1, "gen_ai.token.index", 18);
        put_bytes(&kv, 2, any.data, any.len);
        put_bytes(&inner, 3, kv.data, kv.len);
        put_bytes(out, 11, inner.data, inner.len);
        tspi_buf_release(&any);
        tspi_buf_release(&kv);
        tspi_buf_clear(&inner);
    }
    if (s->has_link) {
        put_id_bytes(&inner, 1, 9, 9, true);
        put_id_bytes(&inner, 2, 0, s->id ^ 2, false);
        put_bytes(out, 13, inner.data, inner.len);
        tspi_buf_clear(&inner);
    }
    if (s->error)
        put_bytes(out, 15, "\x18\x02", 2);
    put_fixed64(out, 999, 1); /* from a later version */
    tspi_buf_release(&inner);
}

static void write_otlp_proto(tspi_buf *out, bool framed)
{
    bool late_resource = coin(2);

    for (unsigned k = 0; k < SPANS; k += 12) {
        tspi_buf resource = {0}, scope = {0}, rs = {0}, span = {0}, message = {0};
        char host[8];
        snprintf(host, sizeof host, "h%u", model[k].host);
        put_key_value(&resource, 1, "host.name", host);
        for (unsigned j = k; j < k + 12; j++) {
            tspi_buf_clear(&span);
            otlp_proto_span(&span, &model[j]);
            put_bytes(&scope, 2, span.data, span.len);
        }
        if (!late_resource)
            put_bytes(&rs, 1, resource.data, resource.len);
        put_bytes(&rs, 2, scope.data, scope.len);
        if (late_resource)
            put_bytes(&rs, 1, resource.data, resource.len);
        put_bytes(&message, 1, rs.data, rs.len);
        for (unsigned b = 0; framed && b < 4; b++)
            tspi_buf_putc(out, (char)(message.len >> (24 - 8 * b)));
        tspi_buf_append(out, message.data, message.len);
        tspi_buf_release(&resource);
        tspi_buf_release(&scope);
        tspi_buf_release(&rs);
        tspi_buf_release(&span);
        tspi_buf_release(&message);
    }
}

static void put_short_hex(tspi_buf *out, uint64_t hi, uint64_t lo)
{
    if (hi)
        tspi_buf_printf(out, "\"%" PRIx64 "%016" PRIx64 "\"", hi, lo);
    else
        tspi_buf_printf(out, "\"%0*" PRIx64 "\"", coin(2) ? 1 : 16, lo);
}

static void jaeger_span(tspi_buf *out, const struct model_span *s)
{
    static const char *const kinds[] = {"", "internal", "server", "client", "producer", "consumer"};
    bool first = true;

    if (s->end_ns != TSPI_NO_STAMP && coin(2)) {
        member(out, &first, "duration");
        tspi_buf_printf(out, "%" PRId64, (s->end_ns - s->start_ns) / 1000);
    }
    member(out, &first, "spanID");
    put_short_hex(out, 0, s->id);
    noise(out, &first);
    member(out, &first, "references");
    tspi_buf_putc(out, '[');
    if (s->parent) {
        tspi_buf_puts(out, "{\"refType\":\"CHILD_OF\",\"traceID\":");
        put_short_hex(out, s->trace_hi, s->trace_lo);
        tspi_buf_puts(out, ",\"spanID\":");
        put_short_hex(out, 0, s->parent);
        tspi_buf_puts(out, coin(3) ? ",\"span\":{\"startTime\":1,\"spanID\":\"2\"}}" : "}");
    }
    if (s->has_link) {
        tspi_buf_printf(out, "%s{\"refType\":\"%s\",\"traceID\":\"9\",\"spanID\":\"%" PRIx64 "\"}",
                        s->parent ? "," : "", "FOLLOWS_FROM", s->id ^ 2);
    }
    tspi_buf_putc(out, ']');
    member(out, &first, "traceID");
    put_short_hex(out, s->trace_hi, s->trace_lo);
    member(out, &first, "operationName");
    tspi_buf_json_string(out, s->name, strlen(s->name));
    member(out, &first, "startTime");
    tspi_buf_printf(out, "%" PRId64, s->start_ns / 1000);
    if (s->end_ns != TSPI_NO_STAMP) { /* perhaps for the second time: the last one counts */
        member(out, &first, "duration");
        tspi_buf_printf(out, "%" PRId64, (s->end_ns - s->start_ns) / 1000);
    }
    member(out, &first, "tags");
    tspi_buf_printf(out, "[{\"key\":\"span.kind\",\"type\":\"string\",\"value\":\"%s\"}%s]", kinds[s->kind],
                    s->error ? ",{\"key\":\"error\",\"type\":\"bool\",\"value\":true}" : "");
    member(out, &first, "logs");
    tspi_buf_putc(out, '[');
    if (s->has_event)
        tspi_buf_printf(out,
                        "{\"timestamp\":%" PRId64 ",\"fields\":[{\"key\":\"index\",\"type\":\"int64\",\"value\":5}]}",
                        s->event_ns / 1000);
    tspi_buf_putc(out, ']');
    member(out, &first, "processID");
    tspi_buf_printf(out, "\"p%u\"}", s->host);
}

static void write_jaeger(tspi_buf *out)
{
    bool early = coin(2);
    tspi_buf processes = {0};

    tspi_buf_puts(&processes, "\"processes\":{");
    for (unsigned k = 0; k < HOSTS; k++)
        tspi_buf_printf(&processes,
                        "%s\"p%u\":{\"serviceName\":\"s\",\"tags\":[{\"key\":\"host.name\",\"value\":\"h%u\"}]}",
                        k ? "," : "", k, k);
    tspi_buf_putc(&processes, '}');
    tspi_buf_puts(out, "{\"data\":[");
    for (unsigned k = 0; k < SPANS; k += 20) {
        tspi_buf_printf(out, "%s{", k ? "," : "");
        if (early)
            tspi_buf_append(out, processes.data, processes.len);
        tspi_buf_printf(out, "%s\"spans\":[", early ? "," : "");
        for (unsigned j = k; j < k + 20; j++) {
            tspi_buf_puts(out, j > k ? "," : "");
            jaeger_span(out, &model[j]);
        }
        tspi_buf_putc(out, ']');
        if (!early) {
            tspi_buf_putc(out, ',');
            tspi_buf_append(out, processes.data, processes.len);
        }
        tspi_buf_putc(out, '}');
    }
    tspi_buf_puts(out, "],\"total\":0,\"errors\":null}");
    tspi_buf_release(&processes);
}

static void zipkin_span(tspi_buf *out, const struct model_span *s)
{
    static const char *const kinds[] = {"", "", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"};
    bool first = true;

    if (s->end_ns != TSPI_NO_STAMP) {
        member(out, &first, "duration");
        tspi_buf_printf(out, "%" PRId64, (s->end_ns - s->start_ns) / 1000);
    }
    member(out, &first, "traceId");
    if (s->trace_hi)
        put_hex(out, s->trace_hi, s->trace_lo, true);
    else
        put_hex(out, 0, s->trace_lo, coin(2));
    member(out, &first, "id");
    put_hex(out, 0, s->id, false);
    if (s->parent) {
        member(out, &first, "parentId");
        put_hex(out, 0, s->parent, false);
    }
    if (kinds[s->kind][0]) {
        member(out, &first, "kind");
        tspi_buf_printf(out, "\"%s\"", kinds[s->kind]);
    }
    noise(out, &first);
    member(out, &first, "name");
    tspi_buf_json_string(out, s->name, strlen(s->name));
    member(out, &first, "timestamp");
    tspi_buf_printf(out, "%" PRId64, s->start_ns / 1000);
    member(out, &first, "localEndpoint");
    tspi_buf_printf(out, "{\"serviceName\":\"s\",\"ipv4\":\"h%u\"}", s->host);
    member(out, &first, "annotations");
    tspi_buf_printf(out, "[{\"value\":\"x\",\"timestamp\":%" PRId64 "}]", s->event_ns / 1000);
    member(out, &first, "tags");
    tspi_buf_puts(out, s->error ? "{\"error\":\"\"}}" : "{\"http.path\":\"/error\"}}");
}

static void write_zipkin(tspi_buf *out)
{
    bool nested = coin(2);

    tspi_buf_puts(out, nested ? "[[" : "[");
    for (unsigned k = 0; k < SPANS; k++) {
        tspi_buf_puts(out, !k ? "" : nested && k % 7 == 0 ? "],[" : ",\n");
        zipkin_span(out, &model[k]);
    }
    tspi_buf_puts(out, nested ? "]]" : "]");
}

static const char *host_key(enum tspi_format format)
{
    return format == TSPI_FORMAT_ZIPKIN_JSON ? "ip" : "host.name";
}

static void check_row(const tspi_span_set *set, size_t k, enum tspi_format format)
{
    const tspi_span *got = &set->spans[k];
    const struct model_span *want = &model[k];
    char host[8];

    snprintf(host, sizeof host, "h%u", want->host);
    CHECK(set->traces[got->trace].hi == want->trace_hi && set->traces[got->trace].lo == want->trace_lo);
    CHECK(got->span_id == want->id && got->parent_id == want->parent);
    CHECK_INT(got->start_ns, want->start_ns);
    CHECK_INT(got->end_ns, want->end_ns);
    CHECK_INT(got->kind, format == TSPI_FORMAT_ZIPKIN_JSON && want->kind == 1 ? 0 : want->kind);
    CHECK_INT(got->flags & ~TSPI_SPAN_SHARED, want->error ? TSPI_SPAN_ERROR : 0);
    CHECK_STR(set->names[got->name], want->name);
    CHECK_STR(tspi_process_get(&set->processes[got->process], host_key(format)), host);
}

static void check_details(const tspi_span_set *set, enum tspi_format format)
{
    size_t links = 0, events = 0;

    if (format == TSPI_FORMAT_ZIPKIN_JSON)
        return;
    for (size_t k = 0; k < SPANS; k++) {
        if (model[k].has_link) {
            REQUIRE(links < set->links_n);
            CHECK(set->links[links].from == k && set->links[links].span_id == (model[k].id ^ 2));
            CHECK(set->traces[set->links[links].trace].lo == 9);
            links++;
        }
        if (model[k].has_event) {
            REQUIRE(events < set->events_n);
            CHECK_INT(set->events[events].span, k);
            CHECK_INT(set->events[events].number, 5);
            CHECK_INT(set->events[events].at_ns, model[k].event_ns);
            events++;
        }
    }
    CHECK(links == set->links_n && events == set->events_n);
}

static void check_read(const tspi_buf *bytes, enum tspi_format format, unsigned threads)
{
    tspi_wire_options options = {.threads = threads, .chunk_bytes = threads > 1 ? 500 : 0};
    tspi_span_set set = {0};
    tspi_read_report report = {0};
    tsp_error err = {0};

    CHECK_STATUS(tspi_wire_read("model", bytes->data, bytes->len, &options, &set, &report, &err), TSP_OK, &err);
    CHECK_INT(report.documents_n ? report.documents[0].format : TSPI_FORMAT_AUTO, format);
    CHECK_INT(set.spans_n, SPANS);
    CHECK_INT(set.processes_n, HOSTS);
    for (size_t k = 0; k < set.spans_n && k < SPANS; k++)
        check_row(&set, k, format);
    check_details(&set, format);
    tspi_span_set_release(&set);
    tspi_read_report_release(&report);
}

/* What the edits say, remembered in the model: so that a second reading is checked by the same code. */
static int64_t edit(void *ctx, const tspi_stamp_place *place)
{
    struct model_span *s = &model[place->span];
    int64_t by = ((const int64_t *)ctx)[place->span];

    if (place->what == TSPI_STAMP_START)
        s->start_ns += by;
    else if (place->what == TSPI_STAMP_END)
        s->end_ns += by;
    else
        s->event_ns += by;
    return place->ns + by;
}

static int64_t same(void *ctx, const tspi_stamp_place *place)
{
    (void)ctx;
    return place->ns;
}

static int64_t to_micro(int64_t ns)
{
    return ns == TSPI_NO_STAMP ? ns : (ns + 500) / 1000 * 1000;
}

static void check_patch(const tspi_buf *bytes, enum tspi_format format)
{
    bool micro = format == TSPI_FORMAT_JAEGER_JSON || format == TSPI_FORMAT_ZIPKIN_JSON;
    int64_t by[SPANS];
    tspi_buf out = {0};
    tsp_error err = {0};

    CHECK_STATUS(tspi_wire_patch("model", bytes->data, bytes->len, format, NULL, 0, same, NULL, &out, &err), TSP_OK,
                 &err);
    CHECK(out.len == bytes->len && !memcmp(out.data, bytes->data, out.len));
    tspi_buf_clear(&out);
    for (unsigned k = 0; k < SPANS; k++)
        by[k] = coin(4)
                    ? 0
                    : (int64_t)tspi_random_below(&rng, UINT64_C(2000000000000000000)) - INT64_C(1000000000000000000);
    CHECK_STATUS(tspi_wire_patch("model", bytes->data, bytes->len, TSPI_FORMAT_AUTO, NULL, 0, edit, by, &out, &err),
                 TSP_OK, &err);
    for (unsigned k = 0; micro && k < SPANS; k++) {
        model[k].start_ns = to_micro(model[k].start_ns);
        model[k].end_ns = to_micro(model[k].end_ns);
        model[k].event_ns = to_micro(model[k].event_ns);
    }
    if (!micro && (format == TSPI_FORMAT_OTLP_PROTO || format == TSPI_FORMAT_OTLP_PROTO_FRAMED))
        CHECK_INT(out.len, bytes->len);
    check_read(&out, format, 1);
    tspi_buf_release(&out);
}

static void check_format(enum tspi_format format, bool long_traces)
{
    bool micro = format == TSPI_FORMAT_JAEGER_JSON || format == TSPI_FORMAT_ZIPKIN_JSON;

    for (int round = 0; round < 60; round++) {
        tspi_buf bytes = {0};
        make_model(micro ? 1000 : 1, long_traces);
        if (format == TSPI_FORMAT_OTLP_JSON)
            write_otlp_json(&bytes);
        else if (format == TSPI_FORMAT_JAEGER_JSON)
            write_jaeger(&bytes);
        else if (format == TSPI_FORMAT_ZIPKIN_JSON)
            write_zipkin(&bytes);
        else
            write_otlp_proto(&bytes, format == TSPI_FORMAT_OTLP_PROTO_FRAMED);
        int before = test_failures;
        check_read(&bytes, format, 1);
        check_read(&bytes, format, 3);
        check_patch(&bytes, format);
        if (test_failures > before)
            printf("# round %d: %.*s\n", round, (int)(bytes.len < 3000 ? bytes.len : 3000), (char *)bytes.data);
        tspi_buf_release(&bytes);
        if (test_failures)
            return;
    }
}

TEST(wire_model, otlp_protobuf)
{
    tspi_random_seed(&rng, seed);
    check_format(TSPI_FORMAT_OTLP_PROTO, true);
}

TEST(wire_model, otlp_protobuf_frames)
{
    tspi_random_seed(&rng, seed + 1);
    check_format(TSPI_FORMAT_OTLP_PROTO_FRAMED, true);
}

TEST(wire_model, otlp_json)
{
    tspi_random_seed(&rng, seed + 2);
    check_format(TSPI_FORMAT_OTLP_JSON, true);
}

TEST(wire_model, jaeger)
{
    tspi_random_seed(&rng, seed + 3);
    check_format(TSPI_FORMAT_JAEGER_JSON, true);
    check_format(TSPI_FORMAT_JAEGER_JSON, false);
}

TEST(wire_model, zipkin)
{
    tspi_random_seed(&rng, seed + 4);
    check_format(TSPI_FORMAT_ZIPKIN_JSON, true);
    check_format(TSPI_FORMAT_ZIPKIN_JSON, false);
}
