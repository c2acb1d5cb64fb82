/* An input larger than memory: what the solver is told of it, all hops or a summary, and whom it accuses. Random truth;
 * the same traces judged in memory are the measure. */
#include <math.h>
#include <unistd.h>

#include "../bench/shapes.h"
#include "base/grow.h"
#include "base/hash.h"
#include "base/random.h"
#include "causal/causal.h"
#include "causal/windows.h"
#include "mend/judge.h"
#include "temporary.h"
#include "test.h"
#include "wire/wire.h"

#define MS INT64_C(1000000)
#define EPOCH_NS INT64_C(1700000000123456789)
enum { HOSTS = 5, SECONDS = 20, RATE = 300, CALLS = RATE * SECONDS, BATCH = 50, WINDOW = 1500 };

/* What happens in a world besides clocks. */
typedef struct {
    int64_t offset_ns[HOSTS], step_ns; /* host 1 steps in the middle */
    double drift[HOSTS];
    double late;     /* share of sends that are stamped 5 to 15 ms late */
    double waits;    /* share of answers that are written after the call has ended, by up to 20 ms */
    double busy_ns;  /* mean wait of every stamp for the CPU */
    double queue_ns; /* mean wait of a request before it is served */
    double inverted; /* share of spans within a server that are stamped before it begins */
    bool one_way;    /* no answers */
} world;

static int64_t stamp(const world *w, int host, int64_t ns, tspi_random *random)
{
    int64_t stepped = host == 1 && ns > EPOCH_NS + SECONDS * TSP_NS_PER_S / 2 ? w->step_ns : 0;
    int64_t wait = w->busy_ns > 0 ? (int64_t)tspi_random_exponential(random, w->busy_ns) : 0;

    return ns + wait + w->offset_ns[host] + stepped + (int64_t)((double)(ns - EPOCH_NS) * w->drift[host]);
}

static void put_span(tspi_buf *spans, const uint64_t ids[4], unsigned kind, int64_t start, int64_t end)
{
    tspi_buf span = {0};

    put_span_fields(&span, ids, "op", kind, start, end > start ? end : start);
    put_bytes(spans, 2, span.data, span.len);
    tspi_buf_release(&span);
}

/* A call from one host to another: 1 ms and Exp(0.3 ms) each way, 2 ms of work. */
static void put_call(const world *w, uint64_t k, tspi_buf *spans, tspi_random *random)
{
    int a = (int)tspi_random_below(random, HOSTS), b = (a + 1 + (int)tspi_random_below(random, HOSTS - 1)) % HOSTS;
    int64_t sent = EPOCH_NS + (int64_t)k * TSP_NS_PER_S / RATE + (int64_t)tspi_random_below(random, 1000);
    int64_t queue = w->queue_ns > 0 ? (int64_t)tspi_random_exponential(random, w->queue_ns) : 0;
    int64_t begin = sent + MS + (int64_t)tspi_random_exponential(random, 3e5) + queue, end = begin + 2 * MS;
    int64_t back = end + MS + (int64_t)tspi_random_exponential(random, 3e5);
    int64_t start = stamp(w, a, sent, random), served = stamp(w, b, begin, random), inner = served + MS / 2;
    uint64_t trace = tspi_hash_mix(k + 1), id = 4 * k + 1;

    if (tspi_random_unit(random) < w->late)
        start += 5 * MS + (int64_t)tspi_random_below(random, 10 * MS);
    if (tspi_random_unit(random) < w->waits)
        end = back + (int64_t)tspi_random_below(random, 20 * MS);
    if (tspi_random_unit(random) < w->inverted)
        inner = served - (int64_t)tspi_random_below(random, MS);
    put_span(&spans[a], (uint64_t[]){trace, trace, id, 0}, w->one_way ? 4 : 3, start,
             w->one_way ? start + MS : stamp(w, a, back, random));
    put_span(&spans[b], (uint64_t[]){trace, trace, id + 1, id}, w->one_way ? 5 : 2, served, stamp(w, b, end, random));
    put_span(&spans[b], (uint64_t[]){trace, trace, id + 2, id + 1}, 1, inner, inner + MS / 4);
}

/* Batches of each host's spans, one after the other as time goes on. */
static void write_calls(const char *path, const world *w, tspi_random *random)
{
    FILE *f = fopen(path, "w");

    if (!f)
        abort();
    for (uint64_t k = 0; k < CALLS; k += BATCH) {
        tspi_buf spans[HOSTS] = {0}, out = {0};
        for (uint64_t c = k; c < k + BATCH; c++)
            put_call(w, c, spans, random);
        for (int h = 0; h < HOSTS; h++) {
            char name[16];
            snprintf(name, sizeof name, "host-%d", h);
            put_batch(&out, &(shape_attribute){"host.name", name}, 1, &spans[h]);
            tspi_buf_release(&spans[h]);
        }
        if (fwrite(out.data, 1, out.len, f) != out.len)
            abort();
        tspi_buf_release(&out);
    }
    if (fclose(f) != 0)
        abort();
}

/* ---- one reading of it ---- */

/* A violation by what it is: the order of hops is another in windows. */
typedef struct {
    uint64_t from, to;
    enum tspi_cause cause;
} verdict;

typedef struct {
    tspi_windows *windows;
    tspi_span_set set;
    tspi_read_report report;
    tspi_causal causal;
    tspi_evidence evidence;
    tspi_mend_judge judge;
    verdict *verdicts; /* owned */
    size_t n, cap;
    uint64_t index;
    uint64_t counts[TSPI_CAUSES_N];
} reading;

static tsp_status take(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    reading *r = ctx;

    (void)err;
    for (size_t k = 0; k < n; k++) {
        uint64_t index = r->index;
        r->index += tspi_mend_in_range(&hops[k]);
        if (!tspi_hop_is_violation(&hops[k]) || hops[k].same_clock)
            continue;
        r->verdicts = tspi_grown(r->verdicts, r->n, &r->cap, sizeof *r->verdicts);
        if (!r->verdicts)
            abort();
        verdict *v = &r->verdicts[r->n++];
        *v = (verdict){hops[k].set->spans[hops[k].from_span].span_id, hops[k].set->spans[hops[k].to_span].span_id,
                       tspi_cause_find(&r->evidence, &hops[k], index, &r->judge.judge)};
        r->counts[v->cause]++;
    }
    return TSP_OK;
}

static int by_ends(const void *a_, const void *b_)
{
    const verdict *a = a_, *b = b_;

    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->to < b->to ? -1 : a->to > b->to;
}

/* window: 0 = in memory. */
static void read_and_judge(const char *path, size_t window, uint64_t most_hops, reading *ret)
{
    tsp_error err = {0};
    tsp_status rc;

    *ret = (reading){.windows = tspi_windows_new(window ? window : SIZE_MAX, (tspi_trace_id){0}, NULL)};
    tspi_wire_options wire = {.between = tspi_windows_turn, .between_ctx = ret->windows};
    tspi_causal_options options = {.windows = ret->windows};
    CHECK_STATUS(tspi_wire_read_paths(&path, 1, NULL, &wire, &ret->set, &ret->report, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_causal_init(&ret->causal, &ret->set, &options, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_evidence_init(&ret->evidence, &ret->causal.join, &ret->causal.edges, 100, &err), TSP_OK, &err);
    if (window)
        rc = tspi_mend_judge_init_windows(&ret->judge, &ret->set, &ret->causal, TSPI_NONE, 100, 1, most_hops, &err);
    else
        rc = tspi_mend_judge_init(&ret->judge, &ret->set, &ret->causal, TSPI_NONE, 100, 1, &err);
    REQUIRE(rc == TSP_OK);
    CHECK(!window == !tspi_windows_report_of(ret->windows).windows);
    CHECK_STATUS(tspi_hops_scan(&ret->causal.join, take, ret, &err), TSP_OK, &err);
    if (ret->n)
        qsort(ret->verdicts, ret->n, sizeof *ret->verdicts, by_ends);
}

static void release(reading *r)
{
    tspi_mend_judge_release(&r->judge);
    tspi_evidence_release(&r->evidence);
    tspi_causal_release(&r->causal);
    tspi_read_report_release(&r->report);
    tspi_span_set_release(&r->set);
    tspi_windows_free(r->windows);
    free(r->verdicts);
}

/* In memory, in windows with all hops given, and with a summary that takes two thirds of their memory. */
typedef struct {
    reading memory, all, summary;
} readings;

static void read_thrice(const world *w, tspi_random *random, readings *ret)
{
    char *path = temporary("in.pb");
    uint64_t most;

    write_calls(path, w, random);
    read_and_judge(path, 0, 0, &ret->memory);
    read_and_judge(path, WINDOW, 1 << 20, &ret->all);
    most = ret->memory.causal.edges.hops * 2 / 3;
    read_and_judge(path, WINDOW, most, &ret->summary);
    CHECK_INT(ret->all.judge.solved_hops, ret->all.causal.edges.hops);
    CHECK(ret->summary.judge.solved_hops <= most);
    unlink(path);
    free(path);
}

static void release_all(readings *r)
{
    release(&r->memory);
    release(&r->all);
    release(&r->summary);
}

static const tsp_clock_result *clock_of(const reading *r, int host)
{
    char name[16];

    snprintf(name, sizeof name, "host-%d", host);
    uint32_t clock = tspi_clock_find(&r->causal.clocks, name);
    if (clock == TSPI_NONE)
        abort();
    return &r->judge.mend.answer.clocks[clock];
}

static bool is_accused(const reading *r, int host)
{
    const tsp_clock_result *row = clock_of(r, host);

    return row->verdict == TSP_CLOCK_PROVEN || row->verdict == TSP_CLOCK_SUSPECTED;
}

/* Where the solver has every hop, nothing differs. */
static void check_same(const reading *a, const reading *b)
{
    REQUIRE(a->n == b->n);
    for (size_t k = 0; k < a->n; k++)
        if (by_ends(&a->verdicts[k], &b->verdicts[k]) || a->verdicts[k].cause != b->verdicts[k].cause) {
            CHECK(false);
            break;
        }
    for (int host = 0; host < HOSTS; host++) {
        const tsp_clock_result *x = clock_of(a, host), *y = clock_of(b, host);
        CHECK_INT(x->verdict, y->verdict);
        CHECK_INT(x->offset_ns, y->offset_ns);
        CHECK_INT(x->lo_ns, y->lo_ns);
        CHECK_INT(x->hi_ns, y->hi_ns);
        CHECK_INT(x->steps_n, y->steps_n);
        CHECK_INT(x->hops_in, y->hops_in);
        CHECK_INT(x->hops_out, y->hops_out);
    }
}

/* Where it has less, it may say less: of how many violations it does not say the same. It blames clocks for no
 * violation more; but where a step begins, between two hops that it had, it may take one's side for the other's. */
static uint64_t check_no_more(const reading *memory, const reading *summary)
{
    uint64_t other = 0;

    if (memory->n != summary->n) {
        CHECK(false);
        return 0;
    }
    for (size_t k = 0; k < memory->n; k++) {
        enum tspi_cause had = memory->verdicts[k].cause, has = summary->verdicts[k].cause;
        CHECK_INT(by_ends(&memory->verdicts[k], &summary->verdicts[k]), 0);
        other += has != had;
        if (has == TSPI_CAUSE_CLOCK || has == TSPI_CAUSE_STEP)
            CHECK(had == TSPI_CAUSE_CLOCK || had == TSPI_CAUSE_STEP);
    }
    return other;
}

static int64_t random_offset(tspi_random *random)
{
    int64_t by = 4 * MS + (int64_t)tspi_random_below(random, 20 * MS);

    return tspi_random_below(random, 2) ? by : -by;
}

/* The clock is accused and no other, by bounds that hold; steps: as many of it, and none of the others. */
static void check_accused(const reading *r, const world *w, int off, size_t steps)
{
    for (int host = 0; host < HOSTS; host++) {
        const tsp_clock_result *row = clock_of(r, host);
        CHECK_INT(is_accused(r, host), host == off);
        CHECK_INT(row->steps_n, host == off ? steps : 0);
        for (size_t k = 0; k < row->knots_n && w->late == 0 && !steps; k++) {
            int64_t at = row->knots[k].at_ns - w->offset_ns[host];
            double truth = (double)w->offset_ns[host] + (double)(at - EPOCH_NS) * w->drift[host];
            CHECK((double)row->knots[k].lo_ns <= truth + 1000);
            CHECK((double)row->knots[k].hi_ns >= truth - 1000);
        }
    }
}

static void convict(tspi_random *random, bool drifts, bool steps, double late)
{
    int off = steps ? 1 : (int)tspi_random_below(random, HOSTS);
    world w = {.late = late};
    readings r;

    if (steps)
        w.step_ns = random_offset(random);
    else
        w.offset_ns[off] = random_offset(random);
    if (drifts)
        w.drift[off] = (tspi_random_unit(random) - 0.5) * 60e-6;
    read_thrice(&w, random, &r);
    check_same(&r.memory, &r.all);
    check_accused(&r.all, &w, off, steps);
    check_accused(&r.summary, &w, off, steps);
    CHECK(check_no_more(&r.memory, &r.summary) <= r.memory.n / 50);
    CHECK(r.summary.counts[steps ? TSPI_CAUSE_STEP : TSPI_CAUSE_CLOCK] >= r.memory.n * 9 / 10);
    release_all(&r);
}

TEST(judge_windows, a_clock_that_is_off_is_found)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    convict(&random, false, false, 0);
    convict(&random, true, false, 0);
    convict(&random, true, false, 0.01);
}

TEST(judge_windows, a_step_is_found)
{
    tspi_random random;

    tspi_random_seed(&random, seed + 1);
    convict(&random, false, true, 0);
}

/* Null runs, waits of every sort, and inversions within a host: whoever looks at less accuses no more. */
TEST(judge_windows, nobody_is_accused_who_is_right)
{
    tspi_random random;

    tspi_random_seed(&random, seed + 2);
    const world worlds[] = {{.late = 0},
                            {.late = 0.01},
                            {.busy_ns = 3e5 + 2e6 * tspi_random_unit(&random)},
                            {.queue_ns = 1e6 * pow(10, 2 * tspi_random_unit(&random)), .inverted = 0.3},
                            {.waits = 0.05 + 0.6 * tspi_random_unit(&random)},
                            {.one_way = true, .queue_ns = 1e7, .inverted = 0.3}};

    for (size_t k = 0; k < sizeof worlds / sizeof *worlds; k++) {
        readings r;
        read_thrice(&worlds[k], &random, &r);
        check_same(&r.memory, &r.all);
        for (int host = 0; host < HOSTS; host++)
            CHECK(!is_accused(&r.summary, host));
        CHECK_INT(r.summary.counts[TSPI_CAUSE_CLOCK] + r.summary.counts[TSPI_CAUSE_STEP], 0);
        check_no_more(&r.memory, &r.summary);
        release_all(&r);
    }
}
