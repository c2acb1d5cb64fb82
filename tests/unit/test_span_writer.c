#include "test.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/random.h"
#include "lab/span_writer.h"
#include "wire/wire.h"

enum { SPANS = 3000 };

static char folder[64];

static void make_folders(void)
{
    char path[128];

    snprintf(folder, sizeof folder, "spans-XXXXXX");
    if (!mkdtemp(folder))
        TEST_FAIL("no folder to write to");
    snprintf(path, sizeof path, "%s/otlp", folder);
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/truth", folder);
    mkdir(path, 0777);
}

static void remove_folders(const char *node)
{
    static const char *const kinds[] = {"otlp", "truth"};
    char path[128];

    for (int k = 0; k < 2; k++) {
        snprintf(path, sizeof path, "%s/%s/%s.jsonl", folder, kinds[k], node);
        unlink(path);
        snprintf(path, sizeof path, "%s/%s", folder, kinds[k]);
        rmdir(path);
    }
    rmdir(folder);
}

static const char *const names[] = {
    "process inference",
    "",
    "quote \" backslash \\ slash /",
    "line\nbreak\ttab\r\b\f",
    "control \x01\x1f\x7f",
    "gr\xc3\xbc\xc3\x9f \xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80",
    "]}]}]}\n{\"resourceSpans\":[]}",
    "\\u0041 is no escape",
};

static tspi_lab_span draw_span(tspi_random *random)
{
    tspi_lab_span span = {
        .span_id = tspi_random_u64(random) | 1,
        .parent_id = tspi_random_below(random, 3) ? tspi_random_u64(random) | 1 : 0,
        .parent_is_remote = tspi_random_below(random, 2),
        .name = names[tspi_random_below(random, sizeof names / sizeof *names)],
        .kind = (enum tspi_span_kind)(1 + tspi_random_below(random, 5)),
    };

    tspi_random_bytes(random, span.trace_id, sizeof span.trace_id);
    span.trace_id[3] |= 1;
    span.start.true_ns = INT64_C(1790000000000000000) + (int64_t)(tspi_random_u64(random) >> 8);
    span.start.local_ns = span.start.true_ns + (int64_t)tspi_random_below(random, 20000001) - 10000000;
    span.end.true_ns = span.start.true_ns + (int64_t)tspi_random_below(random, 1000000);
    span.end.local_ns = span.end.true_ns + (int64_t)tspi_random_below(random, 20000001) - 10000000;
    tspi_lab_span_text(&span, "messaging.system", names[tspi_random_below(random, sizeof names / sizeof *names)]);
    tspi_lab_span_text(&span, "messaging.operation.type", tspi_random_below(random, 2) ? "send" : "process");
    tspi_lab_span_real(&span, "gen_ai.request.temperature", tspi_random_unit(random));
    if (tspi_random_below(random, 2))
        tspi_lab_span_integer(&span, "truespan.stream.sequence", (int64_t)tspi_random_below(random, 1000));
    return span;
}

static uint64_t big_endian(const uint8_t *bytes)
{
    uint64_t value = 0;

    for (int k = 0; k < 8; k++)
        value = value << 8 | bytes[k];
    return value;
}

static void check_row(const tspi_span_set *set, const tspi_span *row, const tspi_lab_span *span)
{
    CHECK(row->span_id == span->span_id && row->parent_id == span->parent_id);
    CHECK_INT(row->start_ns, span->start.local_ns);
    CHECK_INT(row->end_ns, span->end.local_ns);
    CHECK_INT(row->kind, span->kind);
    CHECK(set->traces[row->trace].hi == big_endian(span->trace_id));
    CHECK(set->traces[row->trace].lo == big_endian(span->trace_id + 8));
    CHECK_STR(set->names[row->name], span->name);
    CHECK_INT(row->operation, !strcmp(span->attributes[1].text, "send") ? TSPI_OPERATION_SEND : TSPI_OPERATION_PROCESS);
    CHECK(row->flags & TSPI_SPAN_REMOTE_KNOWN);
    CHECK_INT(!!(row->flags & TSPI_SPAN_REMOTE_PARENT), span->parent_id && span->parent_is_remote);
}

static void check_truth(const char *path, const tspi_lab_span *spans)
{
    tspi_buf text = {0};
    size_t at = 0;
    tsp_error err = {0};

    CHECK_STATUS(tspi_buf_read_file(&text, path, 0, &err), TSP_OK, &err);
    tspi_buf_putc(&text, '\0');
    for (int k = 0; k < SPANS; k++) {
        char id[17];
        int64_t start_ns, end_ns, offset_ns;
        int used = 0;
        REQUIRE(sscanf((char *)text.data + at,
                       "{\"span_id\":\"%16[0-9a-f]\",\"start\":\"%" SCNd64 "\",\"end\":\"%" SCNd64
                       "\",\"start_offset_ns\":%" SCNd64 "}\n%n",
                       id, &start_ns, &end_ns, &offset_ns, &used) == 4 &&
                used);
        CHECK(strtoull(id, NULL, 16) == spans[k].span_id);
        CHECK_INT(start_ns, spans[k].start.true_ns);
        CHECK_INT(end_ns, spans[k].end.true_ns);
        CHECK_INT(offset_ns, spans[k].start.local_ns - spans[k].start.true_ns);
        at += (size_t)used;
    }
    CHECK_INT(at, text.len - 1);
    tspi_buf_release(&text);
}

TEST(span_writer, what_is_written_is_what_a_reader_reads)
{
    static const char *const resource[][2] = {{"service.name", "inference"}, {"host.name", "inference-0 \"x\""}};
    static tspi_span_writer writer;
    static tspi_lab_span spans[SPANS];
    tspi_random random;
    tspi_span_set set = {0};
    tspi_read_report report = {0};
    tsp_error err = {0};
    char path[128];

    tspi_random_seed(&random, seed);
    make_folders();
    CHECK_STATUS(tspi_span_writer_init(&writer, resource, 2, &err), TSP_OK, &err);
    for (int k = 0; k < SPANS; k++) {
        /* Blocks open the same files again: everything is appended. */
        if (k % 1000 == 0)
            CHECK_STATUS(tspi_span_writer_open(&writer, folder, "n", &err), TSP_OK, &err);
        spans[k] = draw_span(&random);
        CHECK_STATUS(tspi_span_writer_add(&writer, &spans[k], &err), TSP_OK, &err);
        if (k % 1000 == 999) {
            CHECK_INT(writer.written, 1000);
            CHECK_STATUS(tspi_span_writer_close(&writer, &err), TSP_OK, &err);
        }
    }
    snprintf(path, sizeof path, "%s/otlp/n.jsonl", folder);
    CHECK_STATUS(tspi_wire_read_path(path, NULL, &set, &report, &err), TSP_OK, &err);
    REQUIRE(set.spans_n == SPANS);
    for (int k = 0; k < SPANS; k++)
        check_row(&set, &set.spans[k], &spans[k]);
    REQUIRE(set.processes_n == 1);
    CHECK_STR(tspi_process_get(&set.processes[0], "host.name"), "inference-0 \"x\"");
    size_t numbered = 0;
    for (int k = 0; k < SPANS; k++)
        if (spans[k].attributes_n == 4) {
            REQUIRE(numbered < set.sequences_n);
            CHECK_INT(set.sequences[numbered].span, k);
            CHECK_INT(set.sequences[numbered].number, spans[k].attributes[3].integer);
            numbered++;
        }
    CHECK_INT(numbered, set.sequences_n);
    snprintf(path, sizeof path, "%s/truth/n.jsonl", folder);
    check_truth(path, spans);
    tspi_span_writer_release(&writer);
    tspi_span_set_release(&set);
    tspi_read_report_release(&report);
    remove_folders("n");
}

/* No line is huge, so that a reader needs little memory. */
TEST(span_writer, lines_stay_short)
{
    static tspi_span_writer writer;
    tspi_random random;
    tspi_buf text = {0};
    tsp_error err = {0};
    char path[128];

    tspi_random_seed(&random, seed);
    make_folders();
    CHECK_STATUS(tspi_span_writer_init(&writer, NULL, 0, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_span_writer_open(&writer, folder, "n", &err), TSP_OK, &err);
    for (int k = 0; k < SPANS; k++) {
        tspi_lab_span span = draw_span(&random);
        CHECK_STATUS(tspi_span_writer_add(&writer, &span, &err), TSP_OK, &err);
    }
    CHECK_STATUS(tspi_span_writer_close(&writer, &err), TSP_OK, &err);
    tspi_span_writer_release(&writer);
    snprintf(path, sizeof path, "%s/otlp/n.jsonl", folder);
    CHECK_STATUS(tspi_buf_read_file(&text, path, 0, &err), TSP_OK, &err);
    for (size_t at = 0; at < text.len;) {
        const uint8_t *end = memchr(text.data + at, '\n', text.len - at);
        REQUIRE(end);
        CHECK((size_t)(end - (text.data + at)) < 70 * 1024);
        at = (size_t)(end - text.data) + 1;
    }
    tspi_buf_release(&text);
    remove_folders("n");
}

TEST(span_writer, without_a_folder_spans_are_dropped)
{
    static tspi_span_writer writer;
    tspi_random random;
    tsp_error err = {0};

    tspi_random_seed(&random, seed);
    CHECK_STATUS(tspi_span_writer_init(&writer, NULL, 0, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_span_writer_open(&writer, "", "n", &err), TSP_OK, &err);
    for (int k = 0; k < SPANS; k++) {
        tspi_lab_span span = draw_span(&random);
        CHECK_STATUS(tspi_span_writer_add(&writer, &span, &err), TSP_OK, &err);
        CHECK(writer.spans.len < 128 * 1024);
    }
    CHECK_STATUS(tspi_span_writer_close(&writer, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_span_writer_open(&writer, "there/is/no/such", "n", &err), TSP_EIO, &err);
    CHECK_CONTAINS(err.message, "there/is/no/such");
    CHECK_STATUS(tspi_span_writer_close(&writer, &err), TSP_OK, &err);
    tspi_span_writer_release(&writer);
}

/* A device that is always full, where there is one. */
TEST(span_writer, a_full_disk_is_an_error)
{
    static tspi_span_writer writer;
    tspi_random random;
    tsp_error err = {0};
    tsp_status rc = TSP_OK;

    tspi_random_seed(&random, seed);
    CHECK_STATUS(tspi_span_writer_init(&writer, NULL, 0, &err), TSP_OK, &err);
    writer.spans_fd = open("/dev/full", O_WRONLY);
    snprintf(writer.path[0], sizeof writer.path[0], "/dev/full");
    writer.is_open = true;
    if (writer.spans_fd < 0) {
        tspi_span_writer_release(&writer);
        SKIP("no /dev/full");
    }
    for (int k = 0; k < SPANS && rc == TSP_OK; k++) {
        tspi_lab_span span = draw_span(&random);
        rc = tspi_span_writer_add(&writer, &span, &err);
    }
    CHECK_INT(rc, TSP_EIO);
    CHECK_CONTAINS(err.message, "No space left");
    tspi_span_writer_close(&writer, NULL);
    tspi_span_writer_release(&writer);
}

TEST(span_json, numbers_are_those_of_printf)
{
    tspi_random random;
    tspi_buf got = {0};

    tspi_random_seed(&random, seed);
    for (int k = 0; k < 200000; k++) {
        uint64_t bits = tspi_random_u64(&random) >> tspi_random_below(&random, 64);
        int64_t value = k == 0 ? INT64_MIN : k == 1 ? INT64_MAX : k == 2 ? 0 : (int64_t)bits;
        char want[80];
        tspi_lab_span span;
        tspi_lab_span_init(&span, "", TSPI_KIND_INTERNAL);
        tspi_lab_span_integer(&span, "n", value);
        tspi_buf_clear(&got);
        tspi_span_json_attributes(&got, span.attributes, 1);
        snprintf(want, sizeof want, "{\"key\":\"n\",\"value\":{\"intValue\":\"%" PRId64 "\"}}", value);
        if (got.len != strlen(want) || memcmp(got.data, want, got.len) != 0)
            TEST_FAIL("%.*s for %s", (int)got.len, (char *)got.data, want);
    }
    tspi_buf_release(&got);
}

TEST(span_json, what_a_sort_has_in_common_changes_no_byte)
{
    tspi_random random;
    tspi_buf plain = {0}, sorted = {0};
    tspi_span_digits digits = {0};

    tspi_random_seed(&random, seed);
    for (int k = 0; k < SPANS; k++) {
        tspi_lab_span span = draw_span(&random), common = span;
        tspi_span_sort sort;
        common.attributes_n = (uint32_t)tspi_random_below(&random, span.attributes_n + 1);
        REQUIRE(tspi_span_sort_make(&sort, &common));
        tspi_span_json(&plain, &span, &digits);
        span.sort = &sort;
        span.attributes_n -= common.attributes_n;
        memmove(span.attributes, span.attributes + common.attributes_n, span.attributes_n * sizeof *span.attributes);
        tspi_span_json(&sorted, &span, &digits);
        tspi_span_sort_release(&sort);
    }
    CHECK(tspi_buf_ok(&plain) && tspi_buf_ok(&sorted));
    CHECK(plain.len == sorted.len && !memcmp(plain.data, sorted.data, plain.len));
    tspi_buf_release(&plain);
    tspi_buf_release(&sorted);
}

/* ------------------------------------------------------------------ behind */

enum { NODES = 5 };

static void write_nodes(tspi_span_writer writers[NODES], tspi_write_behind *behind, tsp_error *err)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int k = 0; k < NODES; k++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", k);
        CHECK_STATUS(tspi_span_writer_init(&writers[k], NULL, 0, err), TSP_OK, err);
        writers[k].behind = behind;
        CHECK_STATUS(tspi_span_writer_open(&writers[k], folder, name, err), TSP_OK, err);
    }
    for (int k = 0; k < 4 * SPANS; k++) {
        tspi_lab_span span = draw_span(&random);
        tspi_span_writer *writer = &writers[tspi_random_below(&random, NODES)];
        CHECK_STATUS(tspi_span_writer_add(writer, &span, err), TSP_OK, err);
    }
    for (int k = 0; k < NODES; k++)
        CHECK_STATUS(tspi_span_writer_close(&writers[k], err), TSP_OK, err);
    if (behind)
        CHECK_STATUS(tspi_write_behind_drain(behind, err), TSP_OK, err);
    for (int k = 0; k < NODES; k++)
        tspi_span_writer_release(&writers[k]);
}

static void read_nodes(tspi_buf *text)
{
    static const char *const kinds[] = {"otlp", "truth"};
    char path[128];

    for (int k = 0; k < 2 * NODES; k++) {
        snprintf(path, sizeof path, "%s/%s/n%d.jsonl", folder, kinds[k % 2], k / 2);
        CHECK_INT(tspi_buf_read_file(text, path, 0, NULL), TSP_OK);
        unlink(path);
    }
    remove_folders("n0");
}

TEST(write_behind, leaves_the_same_files)
{
    static tspi_span_writer writers[NODES];
    tspi_write_behind *behind = tspi_write_behind_new(NODES);
    tspi_buf at_once = {0}, later = {0};
    tsp_error err = {0};

    REQUIRE(behind);
    make_folders();
    write_nodes(writers, NULL, &err);
    read_nodes(&at_once);
    make_folders();
    write_nodes(writers, behind, &err);
    read_nodes(&later);
    CHECK(at_once.len > 1000000 && at_once.len == later.len && !memcmp(at_once.data, later.data, later.len));
    tspi_buf_release(&at_once);
    tspi_buf_release(&later);
    tspi_write_behind_free(behind);
}

/* A lane that counts: what it is given, in which order, and that nobody else is at it. */
struct counting {
    tspi_write_lane lane;
    uint32_t next, ended, mistakes;
    atomic_int inside;
    uint32_t fails_at; /* 0 = never */
};

static tsp_status count_chunk(tspi_write_lane *lane, tspi_buf *chunk, bool ends, tspi_buf scratch[2], tsp_error *err)
{
    struct counting *counting = (struct counting *)lane;
    uint32_t number = UINT32_MAX;

    counting->mistakes += atomic_fetch_add(&counting->inside, 1) != 0;
    if (chunk->len >= sizeof number)
        memcpy(&number, chunk->data, sizeof number);
    counting->mistakes += number != counting->next || scratch[0].len || scratch[1].len;
    tspi_buf_append(&scratch[number % 2], chunk->data, chunk->len);
    counting->next++;
    counting->ended += ends;
    atomic_fetch_sub(&counting->inside, 1);
    return counting->fails_at == counting->next ? tsp_error_set(err, TSP_EIO, "chunk %u", number) : TSP_OK;
}

static void give(tspi_write_behind *behind, struct counting *counting, uint32_t number, size_t bytes, bool ends,
                 tsp_error *err)
{
    tspi_buf buf = {0};

    tspi_buf_append(&buf, &number, sizeof number);
    REQUIRE(tspi_buf_reserve(&buf, bytes));
    memset(buf.data + buf.len, 0, bytes);
    buf.len += bytes;
    CHECK_STATUS(tspi_write_behind_give(behind, &counting->lane, &buf, ends, err), TSP_OK, err);
    CHECK_INT(buf.len, 0);
    tspi_buf_release(&buf);
}

TEST(write_behind, a_lane_is_written_in_its_order_and_by_one_at_a_time)
{
    enum { LANES = 7, CHUNKS = 20000 };
    static struct counting lanes[LANES];
    tspi_write_behind *behind = tspi_write_behind_new(LANES);
    uint32_t given[LANES] = {0};
    tspi_random random;
    tsp_error err = {0};

    REQUIRE(behind);
    tspi_random_seed(&random, seed);
    for (int k = 0; k < LANES; k++)
        lanes[k] = (struct counting){.lane.write = count_chunk};
    for (int k = 0; k < CHUNKS; k++) {
        uint32_t to = (uint32_t)tspi_random_below(&random, LANES);
        give(behind, &lanes[to], given[to]++, tspi_random_below(&random, 40000), false, &err);
        if (k % 1000 == 0) {
            tspi_write_behind_finish(behind, &lanes[to].lane);
            CHECK_INT(lanes[to].next, given[to]);
        }
    }
    for (uint32_t k = 0; k < LANES; k++)
        give(behind, &lanes[k], given[k]++, 0, true, &err);
    CHECK_STATUS(tspi_write_behind_drain(behind, &err), TSP_OK, &err);
    for (int k = 0; k < LANES; k++) {
        CHECK_INT(lanes[k].next, given[k]);
        CHECK_INT(lanes[k].ended, 1);
        CHECK_INT(lanes[k].mistakes, 0);
    }
    tspi_write_behind_free(behind);
}

TEST(write_behind, says_what_failed_and_goes_on_after_that)
{
    static struct counting lane;
    tspi_write_behind *behind = tspi_write_behind_new(1);
    tsp_error err = {0};

    REQUIRE(behind);
    lane = (struct counting){.lane.write = count_chunk, .fails_at = 1};
    give(behind, &lane, 0, 0, false, &err);
    CHECK_STATUS(tspi_write_behind_drain(behind, &err), TSP_EIO, &err);
    CHECK_CONTAINS(err.message, "chunk 0");
    CHECK_STATUS(tspi_write_behind_drain(behind, &err), TSP_OK, &err);
    give(behind, &lane, 1, 100, true, &err);
    tspi_write_behind_free(behind); /* waits */
    CHECK_INT(lane.next, 2);
    CHECK_INT(lane.ended, 1);
}

/* Behind, a full disk is told by the drain, and the next block's files are whole again. */
TEST(write_behind, a_full_disk_ends_a_block_and_not_the_next)
{
    static tspi_span_writer writer;
    tspi_write_behind *behind = tspi_write_behind_new(1);
    tspi_random random;
    tspi_buf text = {0};
    tsp_error err = {0};
    char path[128];

    REQUIRE(behind);
    tspi_random_seed(&random, seed);
    make_folders();
    CHECK_STATUS(tspi_span_writer_init(&writer, NULL, 0, &err), TSP_OK, &err);
    writer.behind = behind;
    CHECK_STATUS(tspi_span_writer_open(&writer, folder, "n", &err), TSP_OK, &err);
    close(writer.spans_fd);
    writer.spans_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (writer.spans_fd < 0)
        SKIP("no /dev/full");
    tsp_status rc = TSP_OK;
    for (int k = 0; k < SPANS && rc == TSP_OK; k++) {
        tspi_lab_span span = draw_span(&random);
        rc = tspi_span_writer_add(&writer, &span, NULL);
    }
    tspi_span_writer_close(&writer, NULL);
    CHECK_STATUS(tspi_write_behind_drain(behind, &err), TSP_EIO, &err);
    CHECK_CONTAINS(err.message, "No space left");
    CHECK_STATUS(tspi_span_writer_open(&writer, folder, "n", &err), TSP_OK, &err);
    tspi_lab_span span = draw_span(&random);
    CHECK_STATUS(tspi_span_writer_add(&writer, &span, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_span_writer_close(&writer, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_write_behind_drain(behind, &err), TSP_OK, &err);
    snprintf(path, sizeof path, "%s/otlp/n.jsonl", folder);
    CHECK_STATUS(tspi_buf_read_file(&text, path, 0, &err), TSP_OK, &err);
    CHECK(text.len > 20 && !memcmp(text.data, "{\"resourceSpans\":", 17) && text.data[text.len - 1] == '\n');
    tspi_buf_release(&text);
    tspi_span_writer_release(&writer);
    tspi_write_behind_free(behind);
    remove_folders("n");
}
