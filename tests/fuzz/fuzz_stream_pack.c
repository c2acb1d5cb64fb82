/* Packed summaries of streams, from whoever sends them. The input's hash is put right first, or nothing would be read.
 * Nothing crashes, hangs or leaks; what is refused is explained and merges nothing; what is taken packs into bytes that
 * merge into the same bytes, and those merged twice keep the same hops; a solver takes what comes out of it. */
#include "fuzz_wire.h"
#include "truespan/stream.h"

enum { HASH_N = 8, SOLVED_MOST = 300 };

static tsp_stream *new_stream(int64_t bucket_ns)
{
    tsp_stream_config config = {.bucket_ns = bucket_ns, .most_clocks = 200, .most_bytes = 1 << 20};
    tsp_stream *stream = NULL;

    FUZZ_CHECK(tsp_stream_new(&config, &stream, NULL) == TSP_OK);
    return stream;
}

static tspi_buf pack(const tsp_stream *stream)
{
    tspi_buf packed = {0};

    FUZZ_CHECK(tsp_stream_pack(stream, &packed.data, &packed.len, NULL) == TSP_OK);
    return packed;
}

static bool merge(tsp_stream *stream, const tspi_buf *bytes)
{
    tsp_stream_totals before, after;
    tsp_error err = {0};

    tsp_stream_totals_of(stream, &before);
    tsp_status rc = tsp_stream_merge_packed(stream, bytes->data, bytes->len, &err);
    tsp_stream_totals_of(stream, &after);
    FUZZ_CHECK(rc == TSP_OK || err.message[0]);
    FUZZ_CHECK(rc == TSP_OK || rc == TSP_EPARSE || rc == TSP_ENOMEM);
    if (rc == TSP_EPARSE)
        FUZZ_CHECK(after.clocks == before.clocks && after.hops == before.hops && after.buckets == before.buckets);
    return rc == TSP_OK;
}

static void check_same(const tsp_stream *stream, int64_t bucket_ns)
{
    tspi_buf first = pack(stream), second;
    tsp_stream *again = new_stream(bucket_ns);
    tsp_stream_totals once, twice;

    FUZZ_CHECK(merge(again, &first));
    second = pack(again);
    FUZZ_CHECK(first.len == second.len && !memcmp(first.data, second.data, first.len));
    tsp_stream_totals_of(again, &once);
    FUZZ_CHECK(merge(again, &first));
    tsp_stream_totals_of(again, &twice);
    FUZZ_CHECK(twice.kept == once.kept && twice.buckets == once.buckets && twice.edges == once.edges);
    tsp_stream_free(again);
    tspi_buf_release(&first);
    tspi_buf_release(&second);
}

static void check_solved(const tsp_stream *stream)
{
    tsp_stream_totals totals;
    tsp_solver *solver = NULL;
    tsp_error err = {0};

    tsp_stream_totals_of(stream, &totals);
    if (totals.kept > SOLVED_MOST)
        return;
    FUZZ_CHECK(tsp_stream_solver(stream, NULL, &solver, NULL, &err) == TSP_OK);
    FUZZ_CHECK(tsp_solver_run(solver, &err) == TSP_OK);
    for (uint32_t c = 0; c < totals.clocks; c++) {
        tsp_clock_result clock;
        FUZZ_CHECK(tsp_solver_clock(solver, c, &clock, NULL) == TSP_OK);
        for (size_t k = 0; k < clock.knots_n; k++)
            FUZZ_CHECK(clock.knots[k].lo_ns <= clock.knots[k].hi_ns);
    }
    tsp_solver_free(solver);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
    int64_t bucket_ns = n && in[n - 1] % 2 ? 20 * TSP_NS_PER_MS : TSP_NS_PER_S;
    size_t body = n > HASH_N ? n - HASH_N : 0;
    uint64_t hash = tspi_hash64(in, body, 0);
    tspi_buf bytes = {0};
    tsp_stream *stream = new_stream(bucket_ns);

    tspi_buf_append(&bytes, in, body);
    for (int k = 0; k < HASH_N; k++)
        tspi_buf_putc(&bytes, (char)(hash >> 8 * k));
    if (merge(stream, &bytes)) {
        check_same(stream, bucket_ns);
        check_solved(stream);
    }
    tsp_stream_free(stream);
    tspi_buf_release(&bytes);
    return 0;
}
