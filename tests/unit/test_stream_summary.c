/* The streaming summary as a data structure: what it keeps is what a list of all hops would give, whoever saw them and
 * in whatever order; it stays within its limits; and it believes nothing it is sent. */
#include "test.h"

#include "base/hash.h"
#include "base/random.h"
#include "solve/stream_summary.h"

#define S TSP_NS_PER_S
#define EPOCH_NS (INT64_C(1700000000) * S)

static tsp_stream *new_stream(const tsp_stream_config *config)
{
    static const tsp_stream_config defaults;
    tsp_stream *stream = NULL;
    tsp_error err = {0};

    CHECK_STATUS(tsp_stream_new(config ? config : &defaults, &stream, &err), TSP_OK, &err);
    return stream;
}

typedef struct {
    char from[8], to[8];
    tsp_hop hop;
} event;

enum { NAMES = 5 };

static event *random_events(size_t n, tspi_random *random)
{
    event *events = malloc((n + 1) * sizeof *events);

    for (size_t k = 0; k < n; k++) {
        event *e = &events[k];
        memset(e, 0, sizeof *e);
        snprintf(e->from, sizeof e->from, "n%u", (unsigned)tspi_random_below(random, NAMES));
        snprintf(e->to, sizeof e->to, "n%u", (unsigned)tspi_random_below(random, NAMES));
        /* Few different values, so that slacks and whole hops tie. */
        e->hop.sent_ns = EPOCH_NS - 2 * S + (int64_t)tspi_random_below(random, 16) * (S / 4);
        e->hop.received_ns = e->hop.sent_ns + (int64_t)tspi_random_below(random, 40) - 5;
        e->hop.quantum_ns = (int64_t)tspi_random_below(random, 3);
        e->hop.tag = tspi_random_below(random, 1000);
        e->hop.operation = (uint32_t)tspi_random_below(random, 3);
        e->hop.kind = (uint8_t)tspi_random_below(random, 2);
    }
    return events;
}

static void add(tsp_stream *stream, const event *e)
{
    tsp_hop hop = e->hop;
    tsp_error err = {0};

    CHECK_STATUS(tsp_stream_clock(stream, e->from, &hop.from, &err), TSP_OK, &err);
    CHECK_STATUS(tsp_stream_clock(stream, e->to, &hop.to, &err), TSP_OK, &err);
    CHECK_STATUS(tsp_stream_add_hops(stream, &hop, 1, &err), TSP_OK, &err);
}

typedef struct {
    uint8_t *data;
    size_t n;
} bytes;

static bytes pack(const tsp_stream *stream)
{
    bytes b = {0};
    tsp_error err = {0};

    CHECK_STATUS(tsp_stream_pack(stream, &b.data, &b.n, &err), TSP_OK, &err);
    return b;
}

static bool same(bytes a, bytes b)
{
    bool equal = a.n == b.n && !memcmp(a.data, b.data, a.n);

    free(a.data);
    free(b.data);
    return equal;
}

TEST(stream_summary, order_and_instances_change_nothing)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 20; round++) {
        size_t n = 1 + tspi_random_below(&random, 3000);
        event *events = random_events(n, &random);
        tsp_stream *one = new_stream(NULL), *parts[3], *back = new_stream(NULL);
        for (int k = 0; k < 3; k++)
            parts[k] = new_stream(NULL);
        for (size_t k = 0; k < n; k++)
            add(one, &events[k]);
        for (size_t k = n; k-- > 0;)
            add(parts[tspi_random_below(&random, 3)], &events[k]);
        /* ((2 + 0) + 1) and (1 + (0 + 2)), the second through bytes */
        CHECK(tsp_stream_merge(parts[2], parts[0], NULL) == TSP_OK);
        CHECK(tsp_stream_merge(back, parts[1], NULL) == TSP_OK);
        bytes middle = pack(parts[2]);
        CHECK(tsp_stream_merge_packed(back, middle.data, middle.n, NULL) == TSP_OK);
        free(middle.data);
        CHECK(tsp_stream_merge(parts[2], parts[1], NULL) == TSP_OK);
        CHECK(same(pack(one), pack(parts[2])));
        CHECK(same(pack(one), pack(back)));
        for (int k = 0; k < 3; k++)
            tsp_stream_free(parts[k]);
        tsp_stream_free(one);
        tsp_stream_free(back);
        free(events);
    }
}

static int by_slack(const void *a_, const void *b_)
{
    int64_t a = *(const int64_t *)a_, b = *(const int64_t *)b_;

    return (a > b) - (a < b);
}

static int by_hash(const void *a_, const void *b_)
{
    uint64_t a = *(const uint64_t *)a_, b = *(const uint64_t *)b_;

    return (a > b) - (a < b);
}

/* The distinct hops of a bucket, by brute force over the list of all. */
static size_t brute_force(const tsp_stream *stream, const tspi_stream_edge *edge, int64_t number, const event *events,
                          size_t n, int64_t *slacks, uint64_t *hashes, uint64_t *ret_count)
{
    tspi_stream_row *seen = malloc((n + 1) * sizeof *seen);
    size_t distinct = 0;

    *ret_count = 0;
    for (size_t k = 0; k < n; k++) {
        const tsp_hop *hop = &events[k].hop;
        tspi_stream_row row = {hop->sent_ns, hop->received_ns, hop->tag, hop->operation, (uint32_t)hop->quantum_ns};
        bool known = false;
        if (strcmp(events[k].from, stream->names[edge->from]) != 0 ||
            strcmp(events[k].to, stream->names[edge->to]) != 0 || hop->kind != edge->kind || hop->sent_ns / S != number)
            continue;
        ++*ret_count;
        for (size_t q = 0; q < distinct && !known; q++)
            known = !memcmp(&seen[q], &row, sizeof row);
        if (known)
            continue;
        slacks[distinct] = tspi_stream_slack(&row);
        hashes[distinct] = tspi_stream_hash(&row);
        seen[distinct++] = row;
    }
    free(seen);
    qsort(slacks, distinct, sizeof *slacks, by_slack);
    qsort(hashes, distinct, sizeof *hashes, by_hash);
    return distinct;
}

TEST(stream_summary, keeps_the_fastest_and_the_sample)
{
    enum { N = 4000 };
    tspi_random random;
    int64_t *slacks = malloc(N * sizeof *slacks);
    uint64_t *hashes = malloc(N * sizeof *hashes), total = 0;

    tspi_random_seed(&random, seed + 1);
    event *events = random_events(N, &random);
    tsp_stream *stream = new_stream(NULL);
    for (size_t k = 0; k < N; k++)
        add(stream, &events[k]);
    for (uint32_t e = 0; e < stream->edges_n; e++)
        for (size_t b = 0; b < stream->edges[e].n; b++) {
            const tspi_stream_bucket *bucket = &stream->edges[e].buckets[b];
            uint64_t count;
            size_t n = brute_force(stream, &stream->edges[e], bucket->number, events, N, slacks, hashes, &count);
            int64_t kept[TSPI_STREAM_ROWS];
            for (unsigned k = 0; k < bucket->n; k++) {
                kept[k] = tspi_stream_slack(&bucket->rows[k]);
                if (k < TSPI_STREAM_SAMPLE)
                    CHECK(tspi_stream_hash(&bucket->rows[k]) == hashes[k]);
            }
            qsort(kept, bucket->n, sizeof *kept, by_slack);
            for (unsigned k = 0; k < TSPI_STREAM_LEAST && k < n; k++)
                CHECK_INT(kept[k], slacks[k]);
            CHECK_INT(bucket->count, count);
            CHECK(bucket->n >= (n < TSPI_STREAM_SAMPLE ? n : TSPI_STREAM_SAMPLE) && bucket->n <= TSPI_STREAM_ROWS);
            total += bucket->count;
        }
    CHECK_INT(total, N);
    free(events);
    free(slacks);
    free(hashes);
    tsp_stream_free(stream);
}

/* Every hop of a bucket is in the sample with the same chance: over many buckets, as often from each tenth of the
 * slacks. 4,000 draws a tenth: 6 standard deviations are 360. */
TEST(stream_summary, the_sample_is_fair)
{
    enum { BUCKETS = 5000, EACH = 100 };
    tsp_stream *stream = new_stream(NULL);
    uint64_t tenth[10] = {0};
    tsp_hop hop = {.kind = TSP_HOP_HARD};

    CHECK(tsp_stream_clock(stream, "a", &hop.from, NULL) == TSP_OK);
    CHECK(tsp_stream_clock(stream, "b", &hop.to, NULL) == TSP_OK);
    for (int64_t b = 0; b < BUCKETS; b++)
        for (int64_t k = 0; k < EACH; k++) {
            hop.sent_ns = EPOCH_NS + b * S + (int64_t)(seed % 1000) + k * 7;
            hop.received_ns = hop.sent_ns + k; /* slack k: tenth k / 10 */
            CHECK(tsp_stream_add_hops(stream, &hop, 1, NULL) == TSP_OK);
        }
    for (size_t b = 0; b < stream->edges[0].n; b++)
        for (unsigned k = 0; k < TSPI_STREAM_SAMPLE; k++)
            tenth[tspi_stream_slack(&stream->edges[0].buckets[b].rows[k]) / 10]++;
    for (int k = 0; k < 10; k++)
        CHECK_NEAR(tenth[k], BUCKETS * TSPI_STREAM_SAMPLE / 10, 360);
    tsp_stream_free(stream);
}

TEST(stream_summary, forgets_what_is_old_and_clocks_with_it)
{
    tsp_stream *stream = new_stream(&(tsp_stream_config){.horizon_ns = 10 * S});
    tsp_stream_totals totals;
    tsp_error err = {0};
    event old = {"old", "both", {.sent_ns = EPOCH_NS, .received_ns = EPOCH_NS + 5}}, young = {"both", "young", {0}};
    uint32_t clock;

    young.hop = (tsp_hop){.sent_ns = EPOCH_NS + 15 * S, .received_ns = EPOCH_NS + 15 * S};
    add(stream, &old);
    add(stream, &young);
    tsp_stream_totals_of(stream, &totals);
    CHECK_INT(totals.clocks, 3);
    CHECK_INT(totals.from_ns, EPOCH_NS);
    CHECK_INT(totals.to_ns, EPOCH_NS + 16 * S);
    CHECK_STATUS(tsp_stream_advance(stream, EPOCH_NS + 16 * S, &err), TSP_OK, &err);
    tsp_stream_totals_of(stream, &totals);
    CHECK_INT(totals.clocks, 2);
    CHECK_INT(totals.edges, 1);
    CHECK_INT(totals.hops, 2);
    CHECK_INT(totals.hops_now, 1);
    CHECK_INT(totals.forgotten, 1);
    /* The numbers moved, and names lead to them. */
    CHECK_STATUS(tsp_stream_clock(stream, "both", &clock, &err), TSP_OK, &err);
    CHECK_STR(tsp_stream_clock_name(stream, clock), "both");
    CHECK_INT(stream->edges[0].from, clock);
    CHECK_STATUS(tsp_stream_clock(stream, "young", &clock, &err), TSP_OK, &err);
    CHECK_INT(stream->edges[0].to, clock);
    CHECK(tsp_stream_clock_name(stream, 2) == NULL);
    /* Strays: the past, and the far future. */
    add(stream, &old);
    young.hop.sent_ns += 40 * S;
    add(stream, &young);
    tsp_stream_totals_of(stream, &totals);
    CHECK_INT(totals.strays, 2);
    CHECK_INT(totals.hops_now, 1);
    tsp_stream_free(stream);
}

/* A day of traffic through a horizon of a minute, with clocks that come and go: nothing grows. */
TEST(stream_summary, memory_is_bounded)
{
    tsp_stream *stream = new_stream(&(tsp_stream_config){.horizon_ns = 60 * S});
    tsp_stream_totals totals;
    uint64_t most = 0;
    tspi_random random;

    tspi_random_seed(&random, seed + 2);
    for (int64_t t = 0; t < 86400; t += 10) {
        for (int k = 0; k < 40; k++) {
            event e = {{0}, {0}, {.sent_ns = EPOCH_NS + t * S + k * 1000}};
            snprintf(e.from, sizeof e.from, "p%u", (unsigned)(t / 600 % 10000));
            snprintf(e.to, sizeof e.to, "q%u", (unsigned)tspi_random_below(&random, 5));
            e.hop.received_ns = e.hop.sent_ns + (int64_t)tspi_random_below(&random, 1000);
            add(stream, &e);
        }
        CHECK(tsp_stream_advance(stream, EPOCH_NS + t * S, NULL) == TSP_OK);
        tsp_stream_totals_of(stream, &totals);
        most = totals.bytes > most ? totals.bytes : most;
        CHECK(totals.clocks <= 7);
    }
    printf("# at most %" PRIu64 " bytes\n", most);
    CHECK(most < 64 * 1024);
    tsp_stream_free(stream);
}

/* Without anyone who says what time it is, the limit on memory holds, and the newest stay. */
TEST(stream_summary, beyond_its_memory_it_forgets_the_oldest)
{
    tsp_stream *stream = new_stream(&(tsp_stream_config){.most_bytes = 1 << 20});
    tsp_stream_totals totals;

    for (int64_t t = 0; t < 20000; t++) {
        event e = {"a", "b", {.sent_ns = EPOCH_NS + t * S, .received_ns = EPOCH_NS + t * S}};
        if (t % 1000 == 7) /* now and then a stamp from the next century */
            e.hop.sent_ns += 2000000000 * S;
        add(stream, &e);
        tsp_stream_totals_of(stream, &totals);
        CHECK(totals.bytes < (1 << 20) * 3 / 2); /* arrays grow by half */
    }
    CHECK(totals.hops_now > 5000);
    CHECK_INT(totals.hops_now + totals.forgotten, totals.hops);
    CHECK_INT(stream->edges[0].buckets[totals.buckets - 21].number, EPOCH_NS / S + 19999);
    tsp_stream_free(stream);
}

TEST(stream_summary, refuses)
{
    tsp_stream *stream = new_stream(&(tsp_stream_config){.most_clocks = 2}), *other;
    tsp_error err = {0};
    char longest[TSP_STREAM_NAME_MOST + 2];
    uint32_t a, b;
    tsp_hop hop = {.sent_ns = EPOCH_NS, .received_ns = EPOCH_NS};

    memset(longest, 'x', sizeof longest);
    longest[TSP_STREAM_NAME_MOST + 1] = 0;
    CHECK(tsp_stream_new(&(tsp_stream_config){.bucket_ns = 1}, &other, &err) == TSP_EINVAL);
    CHECK(tsp_stream_new(&(tsp_stream_config){.horizon_ns = 1}, &other, &err) == TSP_EINVAL);
    CHECK(tsp_stream_clock(stream, "", &a, &err) == TSP_EINVAL);
    CHECK(tsp_stream_clock(stream, longest, &a, &err) == TSP_EINVAL);
    longest[TSP_STREAM_NAME_MOST] = 0;
    CHECK_STATUS(tsp_stream_clock(stream, longest, &a, &err), TSP_OK, &err);
    CHECK_STATUS(tsp_stream_clock(stream, "b", &b, &err), TSP_OK, &err);
    CHECK(tsp_stream_clock(stream, "c", &b, &err) == TSP_ENOMEM);
    hop.to = 2;
    CHECK(tsp_stream_add_hops(stream, &hop, 1, &err) == TSP_EINVAL);
    hop.to = 1;
    hop.kind = 2;
    CHECK(tsp_stream_add_hops(stream, &hop, 1, &err) == TSP_EINVAL);
    hop.kind = 0;
    hop.sent_ns = TSP_STAMP_MAX + 1;
    CHECK(tsp_stream_add_hops(stream, &hop, 1, &err) == TSP_ERANGE);
    CHECK_INT(stream->edges_n, 0);
    other = new_stream(&(tsp_stream_config){.bucket_ns = 2 * S});
    CHECK(tsp_stream_merge(stream, other, &err) == TSP_EINVAL);
    CHECK(tsp_stream_merge(stream, stream, &err) == TSP_EINVAL);
    bytes packed = pack(other);
    CHECK(tsp_stream_merge_packed(stream, packed.data, packed.n, &err) == TSP_EPARSE);
    CHECK_CONTAINS(err.message, "another length");
    free(packed.data);
    tsp_stream_free(other);
    tsp_stream_free(stream);
}

static void set_hash(bytes b)
{
    uint64_t hash = tspi_hash64(b.data, b.n - 8, 0);

    for (int k = 0; k < 8; k++)
        b.data[b.n - 8 + k] = (uint8_t)(hash >> 8 * k);
}

/* Cut, changed (with the hash made right again), or garbage: an error that changes nothing, or a summary that is one.
 */
TEST(stream_summary, hostile_bytes)
{
    tspi_random random;
    tsp_stream *source = new_stream(NULL);
    int taken = 0;

    tspi_random_seed(&random, seed + 3);
    event *events = random_events(300, &random);
    for (size_t k = 0; k < 300; k++)
        add(source, &events[k]);
    bytes good = pack(source);
    for (int round = 0; round < 4000; round++) {
        tsp_stream *stream = new_stream(NULL);
        bytes bad = {malloc(good.n), good.n};
        tsp_error err = {0};
        memcpy(bad.data, good.data, good.n);
        if (round % 4 == 3)
            bad.n = tspi_random_below(&random, good.n);
        for (int k = 0; k < 1 + round % 3 && bad.n && round % 4; k++) {
            size_t at = tspi_random_below(&random, round % 2 ? bad.n : bad.n < 120 ? bad.n : 120);
            bad.data[at] = (uint8_t)(round % 3 ? tspi_random_u64(&random) : 0xff);
        }
        if (bad.n >= 8 && round % 8 != 1)
            set_hash(bad);
        bad.data = realloc(bad.data, bad.n ? bad.n : 1); /* so that reading beyond is seen */
        tsp_status rc = tsp_stream_merge_packed(stream, bad.data, bad.n, &err);
        CHECK(rc == TSP_OK || rc == TSP_EPARSE);
        CHECK(rc == TSP_OK || (err.message[0] && stream->clocks == 0 && stream->edges_n == 0));
        if (rc == TSP_OK) {
            bytes again = pack(stream);
            taken++;
            free(again.data);
        }
        free(bad.data);
        tsp_stream_free(stream);
    }
    CHECK(taken > 900); /* every fourth was left whole */
    free(good.data);
    free(events);
    tsp_stream_free(source);
}

/* What two instances both saw is kept once. */
TEST(stream_summary, seen_twice_is_kept_once)
{
    tspi_random random;
    tsp_stream *a = new_stream(NULL), *b = new_stream(NULL);
    tsp_stream_totals one, two;

    tspi_random_seed(&random, seed + 4);
    event *events = random_events(500, &random);
    for (size_t k = 0; k < 500; k++) {
        add(a, &events[k]);
        add(b, &events[499 - k]);
    }
    tsp_stream_totals_of(a, &one);
    CHECK(tsp_stream_merge(a, b, NULL) == TSP_OK);
    tsp_stream_totals_of(a, &two);
    CHECK_INT(two.kept, one.kept);
    CHECK_INT(two.hops_now, 2 * one.hops_now);
    free(events);
    tsp_stream_free(a);
    tsp_stream_free(b);
}

/* The solver's rows follow the names. */
TEST(stream_summary, rows_go_by_name)
{
    tsp_stream *stream = new_stream(NULL);
    tsp_solver *solver = NULL;
    tsp_error err = {0};
    tsp_clock_result result;
    uint32_t rows[3];

    for (int64_t k = 0; k < 200; k++) { /* "a" is 7 ms ahead of both others */
        int64_t t = EPOCH_NS + k * (S / 20), jitter = k * 37 % 11 * 1000;
        event there = {"z", "a", {.sent_ns = t, .received_ns = t + 9000000 + jitter}};
        event back = {"a", "m", {.sent_ns = t + 17000000, .received_ns = t + 12000000 + jitter}};
        event home = {"m", "z", {.sent_ns = t + 12000000, .received_ns = t + 14000000 + jitter}};
        add(stream, &there);
        add(stream, &back);
        add(stream, &home);
    }
    CHECK(tsp_stream_solver(stream, "q", &solver, NULL, &err) == TSP_EINVAL);
    CHECK_STATUS(tsp_stream_solver(stream, "z", &solver, rows, &err), TSP_OK, &err);
    for (uint32_t c = 0; c < 3; c++)
        CHECK_INT(rows[c], tsp_stream_clock_name(stream, c)[0] == 'a'   ? 0
                           : tsp_stream_clock_name(stream, c)[0] == 'm' ? 1
                                                                        : 2);
    CHECK_STATUS(tsp_solver_run(solver, &err), TSP_OK, &err);
    CHECK_STATUS(tsp_solver_clock(solver, 0, &result, &err), TSP_OK, &err);
    CHECK_NEAR(result.offset_ns, 7000000, 50000);
    CHECK_INT(result.verdict, TSP_CLOCK_PROVEN);
    CHECK_STATUS(tsp_solver_clock(solver, 2, &result, &err), TSP_OK, &err);
    CHECK(result.is_reference);
    tsp_solver_free(solver);
    tsp_stream_free(stream);
}

/* Buckets that grow while hops come hold what long ones would have held, also about 1970, where numbers change sign. */
TEST(stream_summary, growing_buckets_forget_nothing_of_long_ones)
{
    tspi_random random;

    tspi_random_seed(&random, seed + 7);
    for (int round = 0; round < 20; round++) {
        const tsp_stream_config fine = {.bucket_ns = S / 4}, coarse = {.bucket_ns = S};
        size_t n = 1 + tspi_random_below(&random, 3000), first = tspi_random_below(&random, n), then = n - first / 2;
        event *events = random_events(n, &random);
        tsp_stream *grown = new_stream(&fine), *whole = new_stream(&coarse);
        tsp_stream_totals totals;
        for (size_t k = 0; k < n; k++) {
            if (round % 2) {
                events[k].hop.sent_ns -= EPOCH_NS;
                events[k].hop.received_ns -= EPOCH_NS;
            }
            if (k == first || k == then)
                CHECK(tspi_stream_coarsen(grown, NULL) == TSP_OK);
            add(grown, &events[k]);
            add(whole, &events[k]);
        }
        while (grown->config.bucket_ns < S)
            CHECK(tspi_stream_coarsen(grown, NULL) == TSP_OK);
        CHECK(same(pack(grown), pack(whole)));
        tsp_stream_totals_of(grown, &totals);
        CHECK(totals.buckets <= 2 * NAMES * NAMES * 5);
        CHECK(tspi_stream_longest(grown) <= 5);
        tsp_stream_free(grown);
        tsp_stream_free(whole);
        free(events);
    }
}

/* As long as you like; at last each edge has one for the years before 1970 and one for those since. */
TEST(stream_summary, buckets_grow_until_they_hold_all_time)
{
    const tsp_stream_config config = {.bucket_ns = S / 16};
    tspi_random random;
    tsp_stream *stream = new_stream(&config), *one;
    uint64_t distinct = 0;
    tsp_stream_totals totals;

    tspi_random_seed(&random, seed + 8);
    for (int k = 0; k < 3000; k++) {
        int64_t sent = (int64_t)tspi_random_below(&random, 2 * (uint64_t)TSP_STAMP_MAX) - TSP_STAMP_MAX;
        event e = {"a", "b", {.sent_ns = sent, .received_ns = sent}};
        add(stream, &e);
    }
    tsp_stream_totals_of(stream, &totals);
    distinct = totals.buckets;
    CHECK(distinct > 2900);
    while (tspi_stream_coarsen(stream, NULL) == TSP_OK) {
        tsp_stream_totals_of(stream, &totals);
        CHECK(totals.buckets <= distinct);
        CHECK_INT(totals.hops_now, 3000);
        distinct = totals.buckets;
    }
    CHECK(distinct >= 2 && distinct <= 4);
    one = new_stream(NULL);
    CHECK(tsp_stream_merge(one, stream, NULL) == TSP_EINVAL);
    tsp_stream_free(one);
    tsp_stream_free(stream);
}
