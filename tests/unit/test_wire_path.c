/* Files, folders, compression, limits, and what is said of bad input. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/random.h"
#include "test.h"
#include "wire/wire.h"
#include "wire/wire_pack.h"

#define SPAN(trace, id, start, end)                                                                                    \
    "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"host.name\",\"value\":{\"stringValue\":\"a\"}}]},"  \
    "\"scopeSpans\":[{\"spans\":[{\"traceId\":\"" trace "\",\"spanId\":\"" id "\",\"name\":\"x\","                     \
    "\"startTimeUnixNano\":\"" start "\",\"endTimeUnixNano\":\"" end "\"}]}]}]}\n"
#define TRACE "5b8efff798038103d269b633813fc60c"
#define LINE SPAN(TRACE, "eee19b7ec3c1b174", "1544712660000000000", "1544712661000000000")

static char folder[64];

/* A new folder in the working directory's temporary place, and files in it. */
static const char *make_folder(void)
{
    const char *base = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%.40s/wire-XXXXXX", base ? base : P_tmpdir);
    return mkdtemp(folder);
}

static const char *path_of(const char *name)
{
    static char path[2][160];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static const char *put(const char *name, const void *bytes, size_t len)
{
    tsp_error err = {0};
    const char *path = path_of(name);

    CHECK_STATUS(tspi_file_replace(path, bytes, len, &err), TSP_OK, &err);
    return path;
}

static void remove_folder(void)
{
    char command[128];

    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    CHECK(system(command) == 0);
}

struct got {
    tsp_status rc;
    tspi_span_set set;
    tspi_read_report report;
    tsp_error err;
};

static struct got read_it(const char *path, bool keep_going)
{
    struct got got = {0};
    tspi_wire_options options = {.keep_going = keep_going};

    got.rc = tspi_wire_read_path(path, &options, &got.set, &got.report, &got.err);
    return got;
}

static void drop(struct got *got)
{
    tspi_span_set_release(&got->set);
    tspi_read_report_release(&got->report);
}

static struct got read_text(const char *text, bool keep_going)
{
    struct got got = {0};
    tspi_wire_options options = {.keep_going = keep_going};

    got.rc = tspi_wire_read("t.json", (const uint8_t *)text, strlen(text), &options, &got.set, &got.report, &got.err);
    return got;
}

static void expect_error(const char *text, tsp_status rc, const char *part)
{
    struct got got = read_text(text, false);

    CHECK_STATUS(got.rc, rc, &got.err);
    CHECK_CONTAINS(got.err.message, part);
    drop(&got);
}

TEST(wire_path, says_what_is_wrong_and_where)
{
    expect_error("", TSP_ERANGE, "nothing in it");
    expect_error("hello", TSP_EPARSE, "neither OTLP");
    expect_error("<html>", TSP_EPARSE, "error page");
    expect_error("{\"a\":1}", TSP_EPARSE, "none of OTLP's");
    expect_error("{\"traceEvents\":[]}", TSP_EPARSE, "Chrome");
    expect_error("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[", TSP_EPARSE,
                 "t.json: byte 32: the '[' here is never closed");
    expect_error("{\"resourceSpans\":{}}", TSP_EPARSE, "t.json: byte 17: expected '['");
    expect_error(SPAN("5b8e", "eee19b7ec3c1b174", "1", "2"), TSP_EPARSE, "traceId is neither 32 hex digits");
    expect_error(SPAN(TRACE, "eee19b7ec3c1b17g", "1", "2"), TSP_EPARSE, "spanId is neither 16 hex digits");
    expect_error(SPAN(TRACE, "eee19b7ec3c1b174", "9223372036854775808", "2"), TSP_EPARSE, "beyond the year 2262");
    expect_error(SPAN(TRACE, "eee19b7ec3c1b174", "soon", "2"), TSP_EPARSE, "startTimeUnixNano is not a whole number");
    expect_error("[{\"traceId\":\"1\",\"id\":\"2\",\"timestamp\":1544712660000000000}]", TSP_EPARSE, "microseconds");
    expect_error("[{\"traceId\":\"1\",\"id\":\"2\",\"kind\":\"FRIEND\"}]", TSP_EPARSE, "none of CLIENT");
}

TEST(wire_path, keep_going_reads_the_rest_and_counts)
{
    static const char bad_span[] = SPAN("5b8e", "eee19b7ec3c1b174", "1", "2");
    char text[4096];

    snprintf(text, sizeof text, "%s%s%s{\"resourceSpans\":[{\"scopeSpans\":[{\n%s", LINE, bad_span, LINE, LINE);
    struct got got = read_text(text, true);
    CHECK_STATUS(got.rc, TSP_OK, &got.err);
    CHECK_INT(got.set.spans_n, 3);
    CHECK_INT(got.report.bad_spans, 1);
    CHECK_INT(got.report.bad_stretches, 1);
    CHECK_CONTAINS(got.report.first_problem, "traceId");
    drop(&got);
    got = read_text(text, false);
    CHECK_STATUS(got.rc, TSP_EPARSE, &got.err);
    drop(&got);
}

TEST(wire_path, absent_ids_and_stamps_are_rows_that_join_nothing)
{
    struct got got = read_text("{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"name\":\"a\",\"parentSpanId\":"
                               "\"eee19b7ec3c1b174\",\"startTimeUnixNano\":0},{\"traceId\":\"" TRACE "\"}]}]}]}",
                               false);

    CHECK_STATUS(got.rc, TSP_OK, &got.err);
    REQUIRE(got.set.spans_n == 2);
    CHECK_INT(got.report.invalid_ids, 2);
    CHECK(got.set.spans[0].span_id == 0 && got.set.spans[0].parent_id == 0);
    CHECK(got.set.spans[0].start_ns == TSPI_NO_STAMP && got.set.spans[0].end_ns == TSPI_NO_STAMP);
    drop(&got);
}

TEST(wire_path, spans_of_one_trace_join_across_formats)
{
    tspi_span_set set = {0};
    tspi_read_report report = {0};
    tsp_error err = {0};
    static const char zipkin[] =
        "[{\"traceId\":\"d269b633813fc60c\",\"id\":\"1\",\"timestamp\":1544712660000000,\"duration\":1}]";

    CHECK_STATUS(tspi_wire_read("z", (const uint8_t *)zipkin, strlen(zipkin), NULL, &set, &report, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_wire_read("o", (const uint8_t *)LINE, strlen(LINE), NULL, &set, &report, &err), TSP_OK, &err);
    CHECK_INT(set.traces_n, 1);
    CHECK_INT(set.spans_n, 2);
    CHECK_INT(report.documents_n, 2);
    CHECK_INT(report.documents[1].first_span, 1);
    CHECK(set.traces[0].hi == UINT64_C(0x5b8efff798038103));
    tspi_span_set_release(&set);
    tspi_read_report_release(&report);
}

static tspi_buf pack(const void *bytes, size_t len, enum tspi_compression compression)
{
    tspi_buf out = {0};

    CHECK(tspi_pack_redo("x", bytes, len, compression, &out, NULL) == TSP_OK);
    return out;
}

static int64_t later(void *ctx, const tspi_stamp_place *place)
{
    (void)ctx;
    return place->ns + 7;
}

TEST(wire_path, reads_and_patches_compressed_files_as_they_were)
{
    static const enum tspi_compression kinds[] = {TSPI_PLAIN, TSPI_GZIP, TSPI_ZSTD, TSPI_FRAMED_GZIP, TSPI_FRAMED_ZSTD};
    tspi_buf framed = {0};

    REQUIRE(make_folder());
    tspi_buf_append(&framed, (uint8_t[]){0, 0, (uint8_t)(strlen(LINE) >> 8), (uint8_t)strlen(LINE)}, 4);
    tspi_buf_puts(&framed, LINE);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        bool is_framed = kinds[k] >= TSPI_FRAMED_GZIP;
        tspi_buf packed = is_framed ? pack(framed.data, framed.len, kinds[k]) : pack(LINE, strlen(LINE), kinds[k]);
        const char *path = put("trace", packed.data, packed.len);
        struct got got = read_it(path, false);
        CHECK_STATUS(got.rc, TSP_OK, &got.err);
        CHECK_INT(got.set.spans_n, 1);
        CHECK_INT(got.set.bytes, packed.len);
        REQUIRE(got.report.documents_n == 1);
        CHECK_INT(got.report.documents[0].compression, kinds[k]);
        const char *out = path_of("fixed");
        CHECK_STATUS(tspi_wire_patch_document(&got.report.documents[0], out, NULL, later, NULL, &got.err), TSP_OK,
                     &got.err);
        drop(&got);
        got = read_it(out, false);
        CHECK_STATUS(got.rc, TSP_OK, &got.err);
        CHECK_INT(got.set.spans_n ? got.set.spans[0].start_ns : 0, INT64_C(1544712660000000007));
        CHECK_INT(got.report.documents_n ? got.report.documents[0].compression : 99, kinds[k]);
        drop(&got);
        if (kinds[k] != TSPI_PLAIN && packed.len > 30) { /* cut off */
            put("trace", packed.data, packed.len - 12);
            got = read_it(path_of("trace"), false);
            CHECK_STATUS(got.rc, TSP_EPARSE, &got.err);
            CHECK_CONTAINS(got.err.message, "compressed");
            drop(&got);
        }
        tspi_buf_release(&packed);
    }
    tspi_buf_release(&framed);
    remove_folder();
}

TEST(wire_path, a_bomb_is_refused_before_it_fills_memory)
{
    size_t n = (size_t)3 << 20;
    char *blanks = malloc(n);
    tsp_error err = {0};
    tspi_buf out = {0};
    bool cut;

    memset(blanks, ' ', n);
    for (int k = 0; k < 2; k++) {
        enum tspi_compression kind = k ? TSPI_ZSTD : TSPI_GZIP;
        tspi_buf packed = pack(blanks, n, kind);
        tspi_wire_options options = {.max_plain_bytes = 1 << 20};
        tspi_buf_clear(&out);
        CHECK_STATUS(tspi_pack_undo("bomb", packed.data, packed.len, kind, &options, &out, &cut, &err), TSP_ERANGE,
                     &err);
        CHECK_CONTAINS(err.message, "more than 1048576 bytes");
        CHECK(out.len < 3 << 20);
        tspi_buf_release(&packed);
    }
    tspi_buf_release(&out);
    free(blanks);
}

TEST(wire_path, reads_a_folder_in_order_and_passes_over_the_rest)
{
    char inner[160];

    REQUIRE(make_folder());
    snprintf(inner, sizeof inner, "%s/b", folder);
    CHECK(mkdir(inner, 0755) == 0);
    put("c.json", LINE, strlen(LINE));
    put("a.jsonl", LINE LINE, strlen(LINE LINE));
    put("b/z.otlp.json", LINE, strlen(LINE));
    put("notes.txt", "hello\n", 6);
    put("empty.otlp.json", "", 0);
    put("summary.json", "{\"runs\":[]}", 11);
    struct got got = read_it(folder, false);
    CHECK_STATUS(got.rc, TSP_OK, &got.err);
    CHECK_INT(got.set.spans_n, 4);
    CHECK_INT(got.set.files, 3);
    CHECK_INT(got.report.passed_over, 3);
    REQUIRE(got.report.documents_n == 3);
    CHECK_CONTAINS(got.report.documents[0].path, "/a.jsonl");
    CHECK_CONTAINS(got.report.documents[1].path, "/b/z.otlp.json");
    CHECK_INT(got.report.documents[1].first_span, 2);
    CHECK_CONTAINS(got.report.documents[2].path, "/c.json");
    drop(&got);
    put("d.otlp.pb", "hello\n", 6); /* its name promises a trace */
    got = read_it(folder, false);
    CHECK_STATUS(got.rc, TSP_EPARSE, &got.err);
    CHECK_CONTAINS(got.err.message, "d.otlp.pb");
    drop(&got);
    got = read_it(folder, true);
    CHECK_STATUS(got.rc, TSP_OK, &got.err);
    CHECK_INT(got.set.spans_n, 4);
    CHECK_INT(got.report.bad_stretches, 1);
    drop(&got);
    remove_folder();
}

TEST(wire_path, folders_without_traces_and_files_that_are_not_there)
{
    REQUIRE(make_folder());
    struct got got = read_it(folder, false);
    CHECK_STATUS(got.rc, TSP_EPARSE, &got.err);
    CHECK_CONTAINS(got.err.message, "holds no trace file");
    drop(&got);
    got = read_it(path_of("nothing"), false);
    CHECK_STATUS(got.rc, TSP_EIO, &got.err);
    CHECK_CONTAINS(got.err.message, "No such file");
    drop(&got);
    got = read_it(put("empty", "", 0), false);
    CHECK_STATUS(got.rc, TSP_ERANGE, &got.err);
    CHECK_CONTAINS(got.err.message, "empty");
    drop(&got);
    remove_folder();
}

TEST(wire_path, many_small_files_are_read_alike_by_any_number_of_threads)
{
    tspi_random rng;

    tspi_random_seed(&rng, seed);
    REQUIRE(make_folder());
    for (int k = 0; k < 40; k++) {
        char name[32], text[2048];
        snprintf(name, sizeof name, "%02d.json", k);
        snprintf(text, sizeof text,
                 "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"host.name\",\"value\":{\"stringValue\":"
                 "\"h%u\"}}]},\"scopeSpans\":[{\"spans\":[{\"traceId\":\"%032x\",\"spanId\":\"%016x\",\"name\":\"n%u\","
                 "\"startTimeUnixNano\":%d}]}]}]}",
                 (unsigned)tspi_random_below(&rng, 5), 1 + (unsigned)tspi_random_below(&rng, 9), k + 1,
                 (unsigned)tspi_random_below(&rng, 4), k + 1);
        put(name, text, strlen(text));
    }
    struct got one = {0}, many = {0};
    tspi_wire_options options = {.threads = 1};
    CHECK_STATUS(tspi_wire_read_path(folder, &options, &one.set, &one.report, &one.err), TSP_OK, &one.err);
    options.threads = 4;
    CHECK_STATUS(tspi_wire_read_path(folder, &options, &many.set, &many.report, &many.err), TSP_OK, &many.err);
    REQUIRE(one.set.spans_n == 40 && many.set.spans_n == 40);
    CHECK(!memcmp(one.set.spans, many.set.spans, 40 * sizeof *one.set.spans));
    CHECK_INT(many.set.files, 40);
    CHECK_INT(many.set.bytes, one.set.bytes);
    REQUIRE(one.report.documents_n == 40 && many.report.documents_n == 40);
    for (size_t k = 0; k < 40; k++) {
        CHECK_STR(many.report.documents[k].path, one.report.documents[k].path);
        CHECK_INT(many.report.documents[k].first_span, one.report.documents[k].first_span);
    }
    drop(&one);
    drop(&many);
    remove_folder();
}

/* Hostile shapes that would take hours if anything were looked at again and again. */
TEST(wire_path, no_input_takes_long)
{
    tspi_buf text = {0};
    size_t n = 200000;

    for (size_t k = 0; k < n; k++)
        tspi_buf_puts(&text, "{}");
    tspi_buf_putc(&text, 0);
    struct got got = read_text((char *)text.data, true);
    CHECK_STATUS(got.rc, TSP_OK, &got.err);
    drop(&got);
    tspi_buf_clear(&text);
    for (size_t k = 0; k < n; k++)
        tspi_buf_puts(&text, k & 1 ? "{\"resourceSpans\":[{\"a\":[\n" : "{\"batches\":[{\n");
    tspi_buf_putc(&text, 0);
    got = read_text((char *)text.data, true);
    CHECK_STATUS(got.rc, TSP_OK, &got.err);
    CHECK(got.report.bad_stretches > 0 && got.report.bad_bytes > text.len / 2);
    drop(&got);
    tspi_buf_clear(&text);
    for (size_t k = 0; k < n * 10; k++)
        tspi_buf_puts(&text, "[{\"a\":");
    tspi_buf_putc(&text, 0);
    got = read_text((char *)text.data, false);
    CHECK_STATUS(got.rc, TSP_EPARSE, &got.err);
    drop(&got);
    tspi_buf_release(&text);
}
