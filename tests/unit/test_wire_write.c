/* Patched bytes on their way to a file: in parts or whole, past what stays, and from files that change meanwhile. */
#include <fcntl.h>
#include <sys/stat.h>

#include "../bench/shapes.h"
#include "base/random.h"
#include "temporary.h"
#include "test.h"
#include "wire/wire.h"

#define STAMP INT64_C(1700000000000000000)
enum { RESOURCES = 60 };

static void put_span(tspi_buf *scope, uint64_t k, size_t filler, uint64_t events)
{
    uint64_t ids[2] = {k, k};
    tspi_buf span = {0}, event = {0};

    put_big_endian(&span, 1, ids, 2);
    put_big_endian(&span, 2, ids, 1);
    for (; events > 0; events--) {
        tspi_buf_clear(&event);
        put_fixed64(&event, 1, STAMP + (int64_t)(k * 1000 + events));
        put_bytes(&span, 11, event.data, event.len);
    }
    put_fixed64(&span, 7, STAMP + (int64_t)k * 1000);
    put_varint(&span, 3 << 3 | 2); /* trace_state */
    put_varint(&span, filler);
    for (size_t n = 0; n < filler; n++)
        tspi_buf_putc(&span, 'x');
    put_fixed64(&span, 8, STAMP + (int64_t)k * 1000 + 500);
    put_bytes(scope, 2, span.data, span.len);
    tspi_buf_release(&span);
    tspi_buf_release(&event);
}

/* Which spans change, by the resources they stand in. */
typedef struct {
    size_t first[RESOURCES + 1]; /* rows */
    bool changes[RESOURCES];
    size_t asked_in_vain;
} plan;

static size_t resource_of(const plan *p, size_t row)
{
    size_t k = 0;

    while (k + 1 < RESOURCES && row >= p->first[k + 1])
        k++;
    return k;
}

static int64_t edit(void *ctx, const tspi_stamp_place *place)
{
    plan *p = ctx;
    bool changes = p->changes[resource_of(p, place->span)];

    p->asked_in_vain += !changes;
    return changes ? place->ns + 7000 + (int64_t)place->what * 1000 : place->ns;
}

static bool still(void *ctx, size_t row)
{
    const plan *p = ctx;

    return !p->changes[resource_of(p, row)];
}

/* Resources of no span, of a few bytes, and of many times what is handed on at once; events before and behind. */
static void random_proto(tspi_buf *all, plan *p, tspi_random *random)
{
    tspi_buf scope = {0};
    size_t row = 0;

    *p = (plan){0};
    for (unsigned r = 0; r < RESOURCES; r++) {
        uint64_t spans = tspi_random_below(random, 3) ? tspi_random_below(random, 4) : tspi_random_below(random, 200);
        p->first[r] = row;
        p->changes[r] = tspi_random_below(random, 2);
        tspi_buf_clear(&scope);
        for (uint64_t k = 0; k < spans; k++) {
            uint64_t most = tspi_random_below(random, 40) ? 2000 : 600000;
            put_span(&scope, ++row, tspi_random_below(random, most), tspi_random_below(random, 3));
        }
        put_batch(all, &(shape_attribute){"host.name", "a"}, 1, &scope);
    }
    p->first[RESOURCES] = row;
    tspi_buf_release(&scope);
}

static void put_json_span(tspi_buf *all, uint64_t k, size_t filler)
{
    tspi_buf_printf(all,
                    "{\"resourceSpans\":[{\"resource\":{},\"scopeSpans\":[{\"spans\":[{\"traceId\":\"%032llx\","
                    "\"spanId\":\"%016llx\",\"startTimeUnixNano\":\"%lld\",\"name\":\"%0*d\",\"endTimeUnixNano\":"
                    "\"%lld\"}]}]}]}\n",
                    (unsigned long long)k, (unsigned long long)k, (long long)(STAMP + (int64_t)k), (int)filler, 1,
                    (long long)(STAMP + (int64_t)k + 500));
}

/* One span a resource; framed: each behind its length. */
static void random_json(tspi_buf *all, plan *p, tspi_random *random, bool framed)
{
    *p = (plan){0};
    for (unsigned r = 0; r < RESOURCES; r++) {
        uint64_t most = tspi_random_below(random, 4) ? 2000 : 300000;
        size_t head = all->len;
        p->first[r] = r;
        p->changes[r] = tspi_random_below(random, 3) == 0;
        if (framed)
            tspi_buf_append(all, "\0\0\0\0", 4);
        put_json_span(all, r + 1, 1 + tspi_random_below(random, most));
        for (unsigned k = 0; framed && k < 4; k++)
            all->data[head + k] = (uint8_t)((all->len - head - 4) >> (24 - 8 * k));
    }
    p->first[RESOURCES] = RESOURCES;
}

typedef struct {
    tspi_buf got;
    unsigned calls, fail_at;
} sink;

static tsp_status take_away(void *ctx, const void *bytes, size_t len, tsp_error *err)
{
    sink *s = ctx;

    if (++s->calls == s->fail_at)
        return tsp_error_set(err, TSP_EIO, "the disk is full");
    tspi_buf_append(&s->got, bytes, len);
    return TSP_OK;
}

/* Handed on in parts, with and without being told what stays, or held whole: the same bytes. A failure on the way is
 * what the caller hears. */
static void hand_on_alike(const tspi_buf *all, plan *p, enum tspi_format format)
{
    tspi_buf whole = {0};
    sink asked = {0}, told = {0}, full = {.fail_at = 2};
    tspi_wire_options options = {.still = still};
    tsp_error err = {0};

    CHECK_STATUS(tspi_wire_patch("x", all->data, all->len, format, NULL, 0, edit, p, &whole, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_wire_patch_drain("x", all->data, all->len, format, NULL, 0, edit, p, take_away, &asked, &err),
                 TSP_OK, &err);
    /* By what the reading noted, in one piece or in many. */
    tspi_wire_options reading = {.threads = 1 + (all->len & 1), .chunk_bytes = 100000};
    tspi_span_set set = {0};
    tspi_read_report report = {0};
    CHECK_STATUS(tspi_wire_read("x", all->data, all->len, &reading, &set, &report, &err), TSP_OK, &err);
    REQUIRE(report.documents_n == 1);
    CHECK(format != TSPI_FORMAT_OTLP_PROTO || report.documents[0].large_n > 2);
    options.large = report.documents[0].large;
    options.large_n = report.documents[0].large_n;
    p->asked_in_vain = 0;
    CHECK_STATUS(tspi_wire_patch_drain("x", all->data, all->len, format, &options, 0, edit, p, take_away, &told, &err),
                 TSP_OK, &err);
    CHECK(format != TSPI_FORMAT_OTLP_PROTO || !p->asked_in_vain);
    CHECK(asked.calls > 2 && told.calls > 2);
    CHECK(whole.len == all->len && memcmp(whole.data, all->data, all->len) != 0);
    CHECK(asked.got.len == whole.len && !memcmp(asked.got.data, whole.data, whole.len));
    CHECK(told.got.len == whole.len && !memcmp(told.got.data, whole.data, whole.len));
    CHECK(tspi_wire_patch_drain("x", all->data, all->len, format, NULL, 0, edit, p, take_away, &full, &err) == TSP_EIO);
    CHECK_CONTAINS(err.message, "disk is full");
    tspi_read_report_release(&report);
    tspi_span_set_release(&set);
    tspi_buf_release(&asked.got);
    tspi_buf_release(&told.got);
    tspi_buf_release(&full.got);
    tspi_buf_release(&whole);
}

TEST(wire_write, patched_bytes_are_handed_on_as_they_come)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 12; round++) {
        tspi_buf all = {0};
        plan p;
        if (round % 3 == 0)
            random_proto(&all, &p, &random);
        else
            random_json(&all, &p, &random, round % 3 == 2);
        /* Something to see, whatever chance has said. */
        p.changes[0] = p.changes[RESOURCES / 2] = p.changes[RESOURCES - 1] = true;
        hand_on_alike(&all, &p, round % 3 ? TSPI_FORMAT_OTLP_JSON : TSPI_FORMAT_OTLP_PROTO);
        tspi_buf_release(&all);
    }
}

/* ---- files that change ---- */

static void put_file(const char *path, const tspi_buf *bytes)
{
    tsp_error err = {0};

    CHECK_STATUS(tspi_file_replace(path, bytes->data, bytes->len, &err), TSP_OK, &err);
}

/* What somebody may do to a file between its reading and its writing. */
static void meddle(const char *path, int how)
{
    struct stat st;
    int fd = open(path, O_RDWR);

    REQUIRE(fd >= 0 && fstat(fd, &st) == 0);
    if (how == 0)
        CHECK(pwrite(fd, "{", 1, st.st_size) == 1);
    else if (how == 1)
        CHECK(ftruncate(fd, st.st_size / 2) == 0);
    else if (how == 2) { /* the same length, other bytes */
        char last;
        CHECK(pread(fd, &last, 1, st.st_size - 3) == 1 && pwrite(fd, &last, 1, st.st_size - 3) == 1);
        CHECK(futimens(fd, (struct timespec[]){st.st_atim, {st.st_mtim.tv_sec + 1, 0}}) == 0);
    } else { /* another file of that name */
        tspi_buf bytes = {0};
        CHECK(tspi_buf_read_file(&bytes, path, 0, NULL) == TSP_OK);
        put_file(path, &bytes);
        tspi_buf_release(&bytes);
    }
    close(fd);
}

TEST(wire_write, a_file_that_changed_since_it_was_read_is_not_written_back)
{
    char *in = temporary("in.json"), *out = temporary("out.json");
    tspi_random random;

    tspi_random_seed(&random, seed + 1);
    for (int how = -1; how < 4; how++)
        for (int large = 0; large < 2; large++) {
            tspi_buf all = {0};
            plan p = {.changes = {true}};
            tspi_span_set set = {0};
            tspi_read_report report = {0};
            tspi_wire_options options = {.keep = true, .threads = 1};
            tsp_error err = {0};
            put_json_span(&all, 1, large ? 3000000 : 10);
            put_file(in, &all);
            CHECK_STATUS(tspi_wire_read_path(in, &options, &set, &report, &err), TSP_OK, &err);
            if (how >= 0)
                meddle(in, how);
            tsp_status rc = tspi_wire_patch_document(&report.documents[0], out, &options, edit, &p, &err);
            CHECK_INT(rc, how < 0 ? TSP_OK : TSP_EIO);
            CHECK_INT(access(out, F_OK) == 0, how < 0);
            if (how >= 0)
                CHECK_CONTAINS(err.message, "changed since it was read");
            unlink(out);
            tspi_read_report_release(&report);
            tspi_span_set_release(&set);
            tspi_buf_release(&all);
        }
    unlink(in);
    free(in);
    free(out);
}

/* Without the guard this is SIGBUS. */
TEST(wire_write, bytes_that_are_cut_off_under_a_mapping_read_as_zeros)
{
    char *path = temporary("cut");
    tspi_buf bytes = {0};
    tspi_mapped whole, cut;

    for (int k = 0; k < 300000; k++)
        tspi_buf_putc(&bytes, 'x');
    put_file(path, &bytes);
    int fd = open(path, O_RDWR);
    tspi_mapped_guard();
    REQUIRE(fd >= 0 && tspi_mapped_open(&cut, fd, bytes.len));
    CHECK(cut.bytes[bytes.len - 1] == 'x' && !tspi_mapped_is_cut(&cut));
    CHECK(ftruncate(fd, 100000) == 0);
    REQUIRE(tspi_mapped_open(&whole, fd, 100000));
    unsigned zeros = 0;
    for (size_t k = 0; k < bytes.len; k++)
        zeros += !cut.bytes[k];
    CHECK_INT(zeros, 200000);
    CHECK(tspi_mapped_is_cut(&cut) && !tspi_mapped_is_cut(&whole));
    CHECK_INT(whole.bytes[99999], 'x');
    tspi_mapped_close(&cut);
    tspi_mapped_close(&whole);
    close(fd);
    unlink(path);
    free(path);
    tspi_buf_release(&bytes);
}
