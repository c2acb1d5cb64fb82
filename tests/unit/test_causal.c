#include "test.h"

#include <time.h>

#include "base/random.h"
#include "causal/causal.h"
#include "causal/evidence.h"
#include "span_fixture.h"

/* ---- an independent count: every pair compared with every other, no tables ---- */

typedef struct {
    uint64_t hard, soft, hard_violations, soft_violations, same, same_violations;
} tally;

static uint32_t naive_parent(const tspi_span_set *set, uint32_t row)
{
    const tspi_span *s = &set->spans[row];

    for (uint32_t k = 0; k < set->spans_n && s->parent_id; k++)
        if (k != row && set->spans[k].trace == s->trace && set->spans[k].span_id == s->parent_id)
            return k;
    return TSPI_NONE;
}

static void naive_pair(const tspi_span_set *set, tally *t, uint32_t from, uint32_t to, int64_t sent, int64_t received,
                       bool soft)
{
    bool violation = received < sent;

    if (set->processes[set->spans[from].process].clock == set->processes[set->spans[to].process].clock) {
        t->same++;
        t->same_violations += violation;
        return;
    }
    t->hard += !soft;
    t->soft += soft;
    t->hard_violations += violation && !soft;
    t->soft_violations += violation && soft;
}

static tally naive_count(const tspi_span_set *set)
{
    tally t = {0};

    for (uint32_t k = 0; k < set->spans_n; k++) {
        const tspi_span *child = &set->spans[k];
        uint32_t p = naive_parent(set, k);
        if (p == TSPI_NONE)
            continue;
        const tspi_span *parent = &set->spans[p];
        bool receives = child->operation == TSPI_OPERATION_RECEIVE && parent->kind == TSPI_KIND_PRODUCER;
        naive_pair(set, &t, p, k, parent->start_ns, receives ? child->end_ns : child->start_ns, false);
        if (parent->kind == TSPI_KIND_CLIENT && child->kind == TSPI_KIND_SERVER &&
            !((parent->flags | child->flags) & TSPI_SPAN_ERROR) && parent->end_ns > parent->start_ns &&
            child->end_ns > child->start_ns)
            naive_pair(set, &t, k, p, child->end_ns, parent->end_ns, true);
    }
    for (size_t l = 0; l < set->links_n; l++)
        for (uint32_t k = 0; k < set->spans_n; k++)
            if (set->spans[k].trace == set->links[l].trace && set->spans[k].span_id == set->links[l].span_id &&
                k != set->links[l].from && naive_parent(set, set->links[l].from) != k) {
                const tspi_span *carrier = &set->spans[set->links[l].from];
                bool receives = carrier->operation == TSPI_OPERATION_RECEIVE;
                naive_pair(set, &t, k, set->links[l].from, set->spans[k].start_ns,
                           receives ? carrier->end_ns : carrier->start_ns, false);
                break;
            }
    return t;
}

/* Random trees over a few hosts with offsets, links across traces, all kinds, rows shuffled. */
static void random_set(tspi_span_set *set, tspi_random *random, size_t spans)
{
    uint32_t hosts = 1 + (uint32_t)tspi_random_below(random, 5), process[5], trace = TSPI_NONE;
    int64_t offset[5];
    size_t first = 0;

    for (uint32_t h = 0; h < hosts; h++) {
        char name[16];
        snprintf(name, sizeof name, "h%u", h);
        process[h] = fixture_host(set, name);
        offset[h] = (int64_t)tspi_random_uniform(random, -3e6, 3e6);
    }
    for (size_t k = 0; k < spans; k++) {
        bool new_trace = trace == TSPI_NONE || tspi_random_below(random, 12) == 0;
        if (new_trace) {
            trace = fixture_trace(set, 100 + k);
            first = k;
        }
        uint32_t host = (uint32_t)tspi_random_below(random, hosts);
        uint64_t parent = new_trace ? 0 : 1 + first + tspi_random_below(random, k - first);
        if (tspi_random_below(random, 30) == 0)
            parent = 999999; /* missing */
        int64_t start = (int64_t)k * 1000003 + (int64_t)tspi_random_uniform(random, 0, 5e6);
        uint32_t row =
            fixture_span(set, trace, k + 1, parent, process[host], (int)tspi_random_below(random, 6),
                         start + offset[host], start + offset[host] + (int64_t)tspi_random_below(random, 9000000));
        set->spans[row].operation = (uint8_t)(tspi_random_below(random, 4) ? 0 : TSPI_OPERATION_RECEIVE);
        set->spans[row].flags = tspi_random_below(random, 8) ? 0 : TSPI_SPAN_ERROR;
        if (tspi_random_below(random, 5) == 0 && k) {
            uint32_t target = (uint32_t)tspi_random_below(random, k);
            fixture_link(set, row, set->spans[target].trace, set->spans[target].span_id);
        }
    }
}

TEST(causal, hops_agree_with_comparing_all_pairs)
{
    tspi_random random;
    tspi_random_seed(&random, seed);

    for (int round = 0; round < 60; round++) {
        tspi_span_set set = {0};
        tspi_causal causal = {0};
        tsp_error err = {0};
        random_set(&set, &random, 1 + (size_t)tspi_random_below(&random, 300));
        CHECK_STATUS(tspi_causal_init(&causal, &set, NULL, &err), TSP_OK, &err);
        tally want = naive_count(&set), got = {0};
        for (size_t e = 0; e < causal.edges.edges_n; e++) {
            const tspi_edge *edge = &causal.edges.edges[e];
            got.hard += edge->slacks[TSPI_HOP_HARD].n;
            got.soft += edge->slacks[TSPI_HOP_SOFT].n;
            got.hard_violations += edge->hard_violations;
            got.soft_violations += edge->soft_violations;
            CHECK(edge->from != edge->to);
            CHECK_INT(edge->worst_ns,
                      tspi_edge_margin_ns((tspi_edge *)edge, 0) < 0 ? -tspi_edge_margin_ns((tspi_edge *)edge, 0) : 0);
        }
        for (uint32_t c = 0; c < causal.clocks.clocks_n; c++) {
            got.same += causal.edges.stats[c].hard + causal.edges.stats[c].soft;
            got.same_violations += causal.edges.stats[c].hard_violations + causal.edges.stats[c].soft_violations;
        }
        CHECK_INT(got.hard, want.hard);
        CHECK_INT(got.soft, want.soft);
        CHECK_INT(got.hard_violations, want.hard_violations);
        CHECK_INT(got.soft_violations, want.soft_violations);
        CHECK_INT(got.same, want.same);
        CHECK_INT(got.same_violations, want.same_violations);
        CHECK_INT(causal.join.cycles_n, 0);
        tspi_causal_release(&causal);
        tspi_span_set_release(&set);
    }
}

TEST(causal, threads_change_nothing)
{
    tspi_span_set set = {0};
    tspi_causal one = {0}, many = {0};
    tspi_causal_options options = {.threads = 1};
    tspi_random random;

    tspi_random_seed(&random, seed);
    random_set(&set, &random, 450000);
    REQUIRE(tspi_causal_init(&one, &set, &options, NULL) == TSP_OK);
    options.threads = 4;
    REQUIRE(tspi_causal_init(&many, &set, &options, NULL) == TSP_OK);
    REQUIRE(one.edges.edges_n == many.edges.edges_n);
    for (size_t e = 0; e < one.edges.edges_n; e++) {
        tspi_edge *a = &one.edges.edges[e], *b = &many.edges.edges[e];
        CHECK_INT(a->hops, b->hops);
        CHECK_INT(a->worst_ns, b->worst_ns);
        CHECK_INT(a->first_ns, b->first_ns);
        CHECK_INT(tspi_edge_slack_ns(a, 0.5), tspi_edge_slack_ns(b, 0.5));
        CHECK_INT(tspi_edge_margin_ns(a, 0.01), tspi_edge_margin_ns(b, 0.01));
    }
    CHECK(memcmp(one.edges.stats, many.edges.stats, one.edges.clocks_n * sizeof *one.edges.stats) == 0);
    tspi_causal_release(&one);
    tspi_causal_release(&many);
    tspi_span_set_release(&set);
}

/* ---- joins ---- */

TEST(causal, cycles_of_parents_are_cut_once_each)
{
    tspi_random random;
    tspi_random_seed(&random, seed);

    for (int round = 0; round < 100; round++) {
        tspi_span_set set = {0};
        tspi_join join;
        tspi_clock_table clocks = {0};
        uint32_t process = fixture_host(&set, "a"), trace = fixture_trace(&set, 1);
        enum { N = 60 };
        uint64_t parent[N + 1];
        unsigned rings = 0;

        /* A random map has rings; count them by colouring. */
        for (uint64_t k = 1; k <= N; k++) {
            parent[k] = tspi_random_below(&random, N + 3);
            if (parent[k] > N)
                parent[k] = 0;
            fixture_span(&set, trace, k, parent[k], process, 0, (int64_t)k, (int64_t)k + 1);
        }
        int colour[N + 1] = {0};
        for (int k = 1; k <= N; k++) {
            int at = k;
            for (; at && !colour[at]; at = (int)parent[at])
                colour[at] = k;
            rings += at && colour[at] == k;
        }
        REQUIRE(tspi_clocks_identify(&set, NULL, &clocks, NULL) == TSP_OK);
        REQUIRE(tspi_join_init(&join, &set, 1, NULL) == TSP_OK);
        CHECK_INT(join.cycles_n, rings);
        for (uint32_t k = 0; k < N; k++) {
            unsigned steps = 0;
            for (uint32_t at = k; at != TSPI_NONE && steps <= N; at = join.parent[at])
                steps++;
            CHECK(steps <= N);
        }
        tspi_join_release(&join);
        tspi_clock_table_release(&clocks);
        tspi_span_set_release(&set);
    }
}

TEST(causal, shared_spans_join_their_halves_and_children_their_endpoint)
{
    tspi_span_set set = {0};
    tspi_causal c = {0};
    uint32_t a = fixture_host(&set, "a"), b = fixture_host(&set, "b"), t = fixture_trace(&set, 1);
    uint32_t root = fixture_span(&set, t, 1, 0, a, TSPI_KIND_SERVER, 0, 100 * MS);
    uint32_t server = fixture_span(&set, t, 2, 1, b, TSPI_KIND_SERVER, -60 * MS, -10 * MS);
    uint32_t client = fixture_span(&set, t, 2, 1, a, TSPI_KIND_CLIENT, 5 * MS, 90 * MS);
    uint32_t child_b = fixture_span(&set, t, 3, 2, b, TSPI_KIND_INTERNAL, -50 * MS, -20 * MS);
    uint32_t child_a = fixture_span(&set, t, 4, 2, a, TSPI_KIND_INTERNAL, 6 * MS, 7 * MS);
    uint32_t copy = fixture_span(&set, t, 2, 1, a, TSPI_KIND_CLIENT, 5 * MS, 90 * MS);

    REQUIRE(tspi_causal_init(&c, &set, NULL, NULL) == TSP_OK);
    CHECK_INT(c.join.parent[server], client);
    CHECK_INT(c.join.parent[client], root);
    CHECK_INT(c.join.parent[child_b], server);
    CHECK_INT(c.join.parent[child_a], client);
    CHECK_INT(c.join.parent[copy], TSPI_NONE);
    CHECK_INT(c.join.copies_n, 1);
    CHECK_INT(c.join.shared_n, 1);
    CHECK_INT(c.join.clashes_n, 0);
    CHECK_INT(c.edges.hops, 2);
    CHECK_INT(c.edges.violations, 1);
    tspi_edge *edge = tspi_edges_find(&c.edges, set.processes[a].clock, set.processes[b].clock);
    REQUIRE(edge != NULL);
    CHECK_INT(edge->worst_ns, 65 * MS);
    CHECK_INT(tspi_edge_margin_ns(tspi_edges_find(&c.edges, set.processes[b].clock, set.processes[a].clock), 0),
              100 * MS);
    tspi_causal_release(&c);
    tspi_span_set_release(&set);
}

TEST(causal, a_million_spans_of_one_id_take_no_time)
{
    tspi_span_set set = {0};
    tspi_causal c = {0};
    uint32_t a = fixture_host(&set, "a"), t = fixture_trace(&set, 1);

    for (int k = 0; k < 300000; k++)
        fixture_span(&set, t, 5, 5, a, TSPI_KIND_SERVER, k, k + 1);
    REQUIRE(tspi_causal_init(&c, &set, NULL, NULL) == TSP_OK);
    CHECK(c.join.clashes_n > 0);
    tspi_causal_release(&c);
    tspi_span_set_release(&set);
}

TEST(causal, invalid_ids_and_missing_stamps_join_nothing)
{
    tspi_span_set set = {0};
    tspi_causal c = {0};
    uint32_t a = fixture_host(&set, "a"), b = fixture_host(&set, "b"), t = fixture_trace(&set, 1), zero = TSPI_NONE;

    REQUIRE(tspi_span_set_trace(&set, (tspi_trace_id){0, 0}, &zero, NULL) == TSP_OK);
    fixture_span(&set, zero, 1, 0, a, 0, 10, 20);
    fixture_span(&set, zero, 2, 1, b, 0, 0, 5);
    fixture_span(&set, t, 0, 0, a, 0, 10, 20);
    fixture_span(&set, t, 3, 0, b, 0, 0, 5);
    uint32_t parent = fixture_span(&set, t, 4, 0, a, TSPI_KIND_CLIENT, 10, 20);
    uint32_t child = fixture_span(&set, t, 5, 4, b, TSPI_KIND_SERVER, 12, 25);
    set.spans[child].start_ns = TSPI_NO_STAMP;
    set.spans[parent].end_ns = TSPI_NO_STAMP;
    fixture_span(&set, t, 6, 77, b, 0, 0, 5);
    fixture_link(&set, child, t, 78);
    fixture_link(&set, child, t, 5);
    REQUIRE(tspi_causal_init(&c, &set, NULL, NULL) == TSP_OK);
    CHECK_INT(c.edges.hops, 0);
    CHECK_INT(c.join.missing_parents_n, 1);
    CHECK_INT(c.join.missing_links_n, 1);
    tspi_causal_release(&c);
    tspi_span_set_release(&set);
}

/* One receive that gathers a batch: its end must follow every send; its start may precede them all. */
TEST(causal, a_batch_gathers_many_links)
{
    tspi_span_set set = {0};
    tspi_causal c = {0};
    uint32_t a = fixture_host(&set, "a"), b = fixture_host(&set, "b");
    enum { N = 500 };

    uint32_t t = fixture_trace(&set, 1000);
    uint32_t receive = fixture_span(&set, t, 1, 0, b, TSPI_KIND_CLIENT, -900 * MS, 10 * MS);
    set.spans[receive].operation = TSPI_OPERATION_RECEIVE;
    uint32_t process = fixture_span(&set, t, 2, 1, b, TSPI_KIND_CONSUMER, 5 * MS, 20 * MS);
    for (uint64_t k = 0; k < N; k++) {
        uint32_t other = fixture_trace(&set, k);
        fixture_span(&set, other, 1, 0, a, TSPI_KIND_PRODUCER, (int64_t)k * MS / 50, (int64_t)k * MS);
        fixture_link(&set, receive, other, 1);
    }
    for (uint64_t k = 0; k < N; k++)
        fixture_link(&set, process, fixture_trace(&set, k), 1);
    REQUIRE(tspi_causal_init(&c, &set, NULL, NULL) == TSP_OK);
    CHECK_INT(c.edges.hops, 2 * N);
    tspi_edge *edge = tspi_edges_find(&c.edges, set.processes[a].clock, set.processes[b].clock);
    REQUIRE(edge != NULL);
    CHECK_INT(edge->hard_violations, N - 251); /* process began at 5 ms: sends from 5.02 ms on */
    CHECK_INT(edge->worst_ns, (N - 1) * MS / 50 - 5 * MS);
    tspi_causal_release(&c);
    tspi_span_set_release(&set);
}

/* ---- quantum ---- */

TEST(causal, java_like_stamps_have_a_quantum_and_its_inversions_are_no_violations)
{
    tspi_span_set set = {0};
    tspi_causal c = {0};
    tspi_random random;
    uint32_t fine = fixture_host(&set, "fine"), java = fixture_host(&set, "java");

    tspi_random_seed(&random, seed);
    for (uint64_t k = 0; k < 200; k++) {
        uint32_t t = fixture_trace(&set, k);
        int64_t sent = (int64_t)k * 37 * MS + (int64_t)tspi_random_below(&random, MS);
        int64_t received = sent + 1000 + (int64_t)tspi_random_below(&random, 300000);
        int64_t floored = (EPOCH_NS + received) / MS * MS - EPOCH_NS;
        fixture_span(&set, t, 1, 0, fine, TSPI_KIND_PRODUCER, sent, sent + 10);
        fixture_span(&set, t, 2, 1, java, TSPI_KIND_CONSUMER, floored, floored + 12345);
        fixture_span(&set, t, 3, 2, java, TSPI_KIND_INTERNAL, floored + 777 + (int64_t)k, floored + 999 + (int64_t)k);
    }
    REQUIRE(tspi_causal_init(&c, &set, NULL, NULL) == TSP_OK);
    CHECK_INT(c.join.quanta[java].quantum_ns, MS);
    CHECK_INT(c.join.quanta[java].unit_ns, 1);
    CHECK_INT(c.join.quanta[fine].quantum_ns, 1);
    CHECK_INT(set.processes[java].quantum_ns, MS);
    CHECK_INT(set.processes[fine].quantum_ns, 0);
    CHECK_INT(c.edges.violations, 0);
    CHECK(c.edges.edges[0].within_quantum > 100);
    tspi_causal_release(&c);
    tspi_span_set_release(&set);
}

TEST(causal, a_common_grid_excuses_nothing)
{
    tspi_span_set set = {0};
    tspi_causal c = {0};
    uint32_t a = fixture_host(&set, "a"), b = fixture_host(&set, "b");
    int64_t grid = -(EPOCH_NS % MS);

    for (uint64_t k = 0; k < 20; k++) {
        uint32_t t = fixture_trace(&set, k);
        fixture_span(&set, t, 1, 0, a, TSPI_KIND_PRODUCER, grid + (int64_t)k * 3 * MS,
                     grid + (int64_t)(k * 3 + 1) * MS);
        fixture_span(&set, t, 2, 1, b, TSPI_KIND_CONSUMER, grid + (int64_t)(k * 3 - 1) * MS,
                     grid + (int64_t)(k * 3 + 2) * MS);
    }
    REQUIRE(tspi_causal_init(&c, &set, NULL, NULL) == TSP_OK);
    CHECK_INT(c.join.quanta[a].unit_ns, MS);
    CHECK_INT(c.edges.violations, 20);
    tspi_causal_release(&c);
    tspi_span_set_release(&set);
}

/* ---- tokens ---- */

/* A stream of n tokens from a to b; receive stamps are shifted by skew. Returns anomalies. */
static uint64_t stream(int64_t skew, int64_t interval, int64_t delay, const int *late, tspi_token_report *report)
{
    tspi_span_set set = {0};
    tspi_causal c = {0};
    uint32_t a = fixture_host(&set, "a"), b = fixture_host(&set, "b"), t = fixture_trace(&set, 1);

    for (int k = 0; k < 20; k++) {
        int64_t sent = k * interval + (late && k == *late ? 5 * interval / 2 : 0);
        uint32_t send = fixture_span(&set, t, (uint64_t)k * 2 + 1, 0, a, TSPI_KIND_PRODUCER, sent, sent + 1);
        uint32_t receive = fixture_span(&set, t, (uint64_t)k * 2 + 2, (uint64_t)k * 2 + 1, b, TSPI_KIND_CONSUMER,
                                        sent + delay + skew, sent + delay + skew + 1);
        fixture_sequence(&set, send, k);
        fixture_sequence(&set, receive, k);
    }
    if (tspi_causal_init(&c, &set, NULL, NULL) != TSP_OK)
        abort();
    *report = c.tokens;
    tspi_causal_release(&c);
    tspi_span_set_release(&set);
    return report->anomalies;
}

TEST(causal, token_order_is_broken_only_when_skew_beats_delay_and_interval)
{
    tspi_token_report report;
    int late = 7;

    CHECK_INT(stream(0, 20 * MS, 4 * MS, NULL, &report), 0);
    CHECK_INT(report.tokens, 20);
    CHECK_INT(report.streams, 1);
    CHECK_INT(stream(-23 * MS, 20 * MS, 4 * MS, NULL, &report), 0);
    CHECK_INT(stream(-25 * MS, 20 * MS, 4 * MS, NULL, &report), 19); /* the first has no predecessor */
    CHECK_INT(report.cross_clock, 19);
    /* Token 7 is sent late, so 8 is stamped before it: one anomaly, seen on one clock. */
    CHECK_INT(stream(0, 20 * MS, 4 * MS, &late, &report), 1);
    CHECK_INT(report.cross_clock, 0);
}

TEST(causal, tokens_of_events_and_of_separate_streams_stay_apart)
{
    tspi_span_set set = {0};
    tspi_causal c = {0};
    uint32_t a = fixture_host(&set, "a"), t = fixture_trace(&set, 1), u = fixture_trace(&set, 2);
    uint32_t one = fixture_span(&set, t, 1, 0, a, TSPI_KIND_CLIENT, 0, 100);
    uint32_t two = fixture_span(&set, u, 1, 0, a, TSPI_KIND_CLIENT, 0, 100);
    static const int64_t at[] = {10, 20, 15, 30};

    for (int64_t k = 3; k >= 0; k--) {
        tspi_event event = {.span = one, .number = k, .at_ns = EPOCH_NS + at[k]};
        REQUIRE(tspi_span_set_add_event(&set, &event, NULL) == TSP_OK);
        event = (tspi_event){.span = two, .number = k, .at_ns = EPOCH_NS + k};
        REQUIRE(tspi_span_set_add_event(&set, &event, NULL) == TSP_OK);
    }
    REQUIRE(tspi_causal_init(&c, &set, NULL, NULL) == TSP_OK);
    CHECK_INT(c.tokens.tokens, 8);
    CHECK_INT(c.tokens.streams, 2);
    CHECK_INT(c.tokens.anomalies, 1);
    tspi_causal_release(&c);
    tspi_span_set_release(&set);
}

/* ---- shapes that take long where they are not thought of ---- */

/* One trace of n spans whose parents parent_of names, over as many hosts as hosts. */
static void audit_shape(size_t n, uint64_t (*parent_of)(uint64_t id, size_t n), unsigned hosts, uint64_t *ret_cycles,
                        uint64_t *ret_hops)
{
    tspi_span_set set = {0};
    tspi_causal c = {0};
    tspi_evidence evidence = {0};
    uint32_t t = fixture_trace(&set, 1), process = 0;

    for (uint64_t id = 1; id <= n; id++) {
        char name[32];
        snprintf(name, sizeof name, "host-%u", (unsigned)(id % hosts));
        if (id <= hosts)
            process = fixture_host(&set, name);
        else
            process = (uint32_t)((id - 1) % hosts);
        fixture_span(&set, t, id, parent_of(id, n), process, id % 2 ? TSPI_KIND_CLIENT : TSPI_KIND_SERVER, (int64_t)id,
                     (int64_t)id + 1000);
    }
    REQUIRE(tspi_causal_init(&c, &set, NULL, NULL) == TSP_OK);
    REQUIRE(tspi_evidence_init(&evidence, &c.join, &c.edges, 100, NULL) == TSP_OK);
    *ret_cycles = c.join.cycles_n;
    *ret_hops = c.edges.hops;
    tspi_evidence_release(&evidence);
    tspi_causal_release(&c);
    tspi_span_set_release(&set);
}

static uint64_t ring(uint64_t id, size_t n)
{
    return id == n ? 1 : id + 1;
}

static uint64_t chain(uint64_t id, size_t n)
{
    (void)n;
    return id - 1;
}

static uint64_t star(uint64_t id, size_t n)
{
    (void)n;
    return id > 1;
}

/* A limit only for what grows quadratically: a million squared is hours. */
TEST(causal, rings_chains_and_stars_of_a_million_take_no_time)
{
    enum { N = 1000000 };
    static const struct {
        uint64_t (*parent_of)(uint64_t id, size_t n);
        uint64_t cycles;
    } shapes[] = {{ring, 1}, {chain, 0}, {star, 0}};
    uint64_t cycles, hops;

    for (size_t k = 0; k < sizeof shapes / sizeof shapes[0]; k++) {
        struct timespec from, to;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
        audit_shape(N, shapes[k].parent_of, 3, &cycles, &hops);
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
        CHECK_INT(cycles, shapes[k].cycles);
        CHECK(hops >= N / 2);
        CHECK(to.tv_sec - from.tv_sec < 60);
    }
}

/* As many clocks as spans, each the parent of the next. */
TEST(causal, a_clock_a_span_takes_no_time)
{
    uint64_t cycles, hops;

    audit_shape(200000, chain, 200000, &cycles, &hops);
    CHECK_INT(cycles, 0);
    CHECK(hops >= 199999);
}

/* The join's result does not depend on the number of threads, nor on what a trace is made of. */
TEST(causal, threads_join_what_one_joins)
{
    tspi_span_set set = {0};
    tspi_clock_table clocks = {0};
    tspi_random random;
    tspi_join one, many;
    enum { N = 350000, TRACES = 40000 };

    tspi_random_seed(&random, seed);
    for (unsigned k = 0; k < 5; k++)
        fixture_host(&set, (const char *[]){"a", "b", "c", "d", "e"}[k]);
    for (unsigned k = 0; k < TRACES; k++)
        fixture_trace(&set, k);
    for (unsigned k = 0; k < N; k++) {
        uint32_t trace = (uint32_t)tspi_random_below(&random, tspi_random_below(&random, TRACES) + 1);
        uint64_t id = 1 + tspi_random_below(&random, 40), parent = tspi_random_below(&random, 45);
        int64_t start = (int64_t)tspi_random_below(&random, 3);
        uint32_t row = fixture_span(&set, trace, id, parent, (uint32_t)tspi_random_below(&random, 5),
                                    (int)tspi_random_below(&random, 6), start, start + 1);
        if (tspi_random_below(&random, 10) == 0)
            fixture_link(&set, row, (uint32_t)tspi_random_below(&random, TRACES), 1 + tspi_random_below(&random, 40));
    }
    REQUIRE(tspi_clocks_identify(&set, NULL, &clocks, NULL) == TSP_OK);
    REQUIRE(tspi_join_init(&one, &set, 1, NULL) == TSP_OK);
    REQUIRE(tspi_join_init(&many, &set, 4, NULL) == TSP_OK);
    CHECK(!memcmp(one.parent, many.parent, set.spans_n * sizeof *one.parent));
    CHECK(!memcmp(one.link_target, many.link_target, set.links_n * sizeof *one.link_target));
    CHECK(one.copies && many.copies && !memcmp(one.copies, many.copies, (set.spans_n / 64 + 1) * sizeof *one.copies));
    CHECK(!memcmp(one.quanta, many.quanta, set.processes_n * sizeof *one.quanta));
    CHECK(one.copies_n == many.copies_n && one.clashes_n == many.clashes_n && one.shared_n == many.shared_n);
    CHECK(one.cycles_n == many.cycles_n && one.cycles_n > 0 && one.traces_n == many.traces_n);
    CHECK(one.missing_parents_n == many.missing_parents_n && one.missing_links_n == many.missing_links_n);
    tspi_join_release(&one);
    tspi_join_release(&many);
    tspi_clock_table_release(&clocks);
    tspi_span_set_release(&set);
}
