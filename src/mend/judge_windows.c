/* The judge of an input larger than memory. The windows give their hops back one after another, and the solver gets
 * them all while they are few. Of more it gets a stream's summary (truespan/stream.h), whose buckets grow until it
 * fits: of each edge and stretch of time the fastest hops and a sample.
 *
 * A violation that the solver was given is judged as in memory. Of another the tracks tell whether clocks explain it;
 * the solver has not said whether it lies. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "mend/judge.h"
#include "solve/hop_store.h"
#include "solve/stream_summary.h"

#define BUCKET_NS (TSP_NS_PER_S / 16) /* to begin with */
#define MOST_BUCKETS 4096             /* an edge: hops out of order move those behind them */
#define LOOK_EVERY 4096               /* hops, and as many as there are edges, between two looks at that */
#define SAME_CLOCK_SHARE 8            /* of a pair on one clock the solver keeps an eighth of what a hop takes */

/* What a hop is, not where it stands: rows of windows are numbered anew. */
static uint64_t key_of(const tspi_hop *hop)
{
    const tspi_span *from = &hop->set->spans[hop->from_span], *to = &hop->set->spans[hop->to_span];
    uint64_t key = tspi_hash_mix(hop->set->traces[from->trace].lo ^ hop->relation);

    key = tspi_hash_mix(key ^ from->span_id);
    key = tspi_hash_mix(key ^ to->span_id);
    key = tspi_hash_mix(key ^ (uint64_t)hop->sent_ns);
    return tspi_hash_mix(key ^ (uint64_t)hop->received_ns);
}

/* Either has a solver, or a stream. */
typedef struct {
    tspi_mend_judge *judge;
    tsp_solver *solver;
    tsp_stream *stream;
    uint64_t most_bytes; /* of the stream */
    uint64_t fed, look_at;
    bool coarsest;
} feeder;

/* ---- the summary ---- */

/* Fixed width, so that the order of names is that of numbers. */
static void clock_name(uint32_t clock, char ret[16])
{
    snprintf(ret, 16, "%010u", clock);
}

static tsp_status make_stream(feeder *f, const tspi_mend *m, tsp_error *err)
{
    uint32_t n = m->causal.clocks.clocks_n, row;
    tsp_stream_config config = {.bucket_ns = BUCKET_NS,
                                .most_clocks = n ? n : 1,
                                .most_bytes = UINT64_MAX,
                                .max_drift_ppm = m->options.max_drift_ppm,
                                .threads = m->options.threads};
    tsp_status rc = tsp_stream_new(&config, &f->stream, err);

    for (uint32_t c = 0; c < n && rc == TSP_OK; c++) {
        char name[16];
        clock_name(c, name);
        rc = tsp_stream_clock(f->stream, name, &row, err);
    }
    return rc;
}

static bool is_too_large(feeder *f)
{
    if (f->stream->bytes > f->most_bytes)
        return true;
    if (f->fed < f->look_at)
        return false;
    bool too_long = tspi_stream_longest(f->stream) > MOST_BUCKETS;
    if (!too_long)
        f->look_at = f->fed + LOOK_EVERY + f->stream->edges_n;
    return too_long;
}

static tsp_status fit_stream(feeder *f, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    while (!f->coarsest && rc == TSP_OK && is_too_large(f)) {
        rc = tspi_stream_coarsen(f->stream, NULL);
        f->coarsest = rc == TSP_ERANGE; /* a bucket an edge: so many edges are held in any case */
        rc = f->coarsest ? TSP_OK : rc;
    }
    return rc == TSP_OK ? rc : tsp_error_set(err, rc, "out of memory");
}

static tsp_status make_solver(feeder *f, const tspi_mend *m, tsp_error *err)
{
    char reference[16] = "";

    if (m->reference != TSPI_NONE)
        clock_name(m->reference, reference);
    tsp_status rc = tsp_stream_solver(f->stream, *reference ? reference : NULL, &f->solver, NULL, err);
    tsp_stream_free(f->stream);
    f->stream = NULL;
    return rc;
}

/* ---- feeding ---- */

static tsp_status feed(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    feeder *f = ctx;
    tsp_hop run[TSPI_HOP_RUN];
    size_t k, to = 0;

    for (k = 0; k < n; k++) {
        if (tspi_mend_in_range(&hops[k]))
            run[to++] = tspi_mend_hop(&hops[k], key_of(&hops[k]));
        else
            f->judge->mend.answer.hops_out_of_range++;
    }
    f->fed += to;
    if (f->solver)
        return tsp_solver_add_hops(f->solver, run, to, err);
    tsp_status rc = tsp_stream_add_hops(f->stream, run, to, err);
    return rc == TSP_OK ? fit_stream(f, err) : rc;
}

static bool fits(const tspi_causal *causal, uint64_t most_hops)
{
    uint64_t same_clock = 0;

    for (uint32_t c = 0; c < causal->edges.clocks_n; c++)
        same_clock += causal->edges.stats[c].soft;
    return causal->edges.hops + same_clock / SAME_CLOCK_SHARE <= most_hops;
}

/* The solver with its hops, not run. */
static tsp_status gather(feeder *f, const tspi_mend *m, uint64_t most_hops, tsp_error *err)
{
    tsp_solver_config config = {.clocks = m->causal.clocks.clocks_n,
                                .reference = m->reference,
                                .max_drift_ppm = m->options.max_drift_ppm,
                                .threads = m->options.threads};
    bool all = fits(&m->causal, most_hops);
    tsp_status rc = all ? tsp_solver_new(&config, &f->solver, err) : make_stream(f, m, err);

    if (rc == TSP_OK)
        rc = tspi_hops_scan_lean(&m->causal.join, feed, f, err);
    if (rc == TSP_OK && !all)
        rc = make_solver(f, m, err);
    tsp_stream_free(f->stream);
    f->stream = NULL;
    return rc;
}

/* ---- which violations the solver has ---- */

static int by_key(const void *a, const void *b)
{
    uint64_t x = ((const tspi_mend_given *)a)->key, y = ((const tspi_mend_given *)b)->key;

    return (x > y) - (x < y);
}

static tsp_status note_given(tspi_mend_judge *j, const tsp_solver *solver, tsp_error *err)
{
    const tspi_hop_store *store = tspi_solver_hops(solver);
    size_t n = 0;

    for (size_t k = 0; k < store->n; k++)
        n += tspi_stored_slack(&store->hops[k]) < 0;
    j->given = malloc((n + 1) * sizeof *j->given);
    if (!j->given)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    for (size_t k = 0; k < store->n; k++)
        if (tspi_stored_slack(&store->hops[k]) < 0)
            j->given[j->given_n++] = (tspi_mend_given){store->hops[k].tag, store->hops[k].index};
    qsort(j->given, n, sizeof *j->given, by_key);
    j->solved_hops = store->n;
    return TSP_OK;
}

size_t tspi_mend_judge_index(const tspi_mend_judge *j, const tspi_hop *hop)
{
    const tspi_mend_given want = {.key = key_of(hop)};
    const tspi_mend_given *found = bsearch(&want, j->given, j->given_n, sizeof want, by_key);

    return found ? found->index : TSP_NO_HOP;
}

/* ---- the answer ---- */

/* Hops are counted as they were, not as the solver got them. */
static tsp_status read_answer(tspi_mend_judge *j, tsp_error *err)
{
    tspi_mend *m = &j->mend;
    uint32_t n = m->causal.clocks.clocks_n;
    tsp_status rc = TSP_OK;

    m->answer.clocks = calloc((size_t)n + 1, sizeof *m->answer.clocks);
    if (!m->answer.clocks)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    for (uint32_t c = 0; c < n && rc == TSP_OK; c++) {
        tsp_clock_result *row = &m->answer.clocks[c];
        rc = tsp_solver_clock(m->answer.solver, c, row, err);
        if (j->solved_hops < m->causal.edges.hops) {
            row->hops_in = m->causal.edges.stats[c].hops_in;
            row->hops_out = m->causal.edges.stats[c].hops_out;
        }
    }
    tsp_solver_summary(m->answer.solver, &m->answer.summary);
    return rc;
}

tsp_status tspi_mend_judge_solve_windows(tspi_mend_judge *j, uint64_t most_hops, tsp_error *err)
{
    feeder f = {.judge = j, .most_bytes = most_hops * sizeof(tspi_stream_row)};

    j->mend.options.threads = tspi_mend_threads(&j->mend);
    tsp_status rc = gather(&f, &j->mend, most_hops, err);
    j->mend.answer.solver = f.solver;
    if (rc == TSP_OK)
        rc = note_given(j, f.solver, err);
    if (rc == TSP_OK)
        rc = tsp_solver_run(f.solver, err);
    return rc == TSP_OK ? read_answer(j, err) : rc;
}
