#include "causal/join.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/hash.h"
#include "base/threads.h"
#include "causal/kin.h"

/* Below this many spans a second thread costs more than it saves. */
#define SPANS_A_THREAD 100000

/* Rows are asked for so many places ahead: they lie wherever their nodes' batches lie. */
#define AHEAD 32

/* Rows in the order of a table that they point into: those of entry k are rows[first[k - 1]] to rows[first[k]]. */
typedef struct {
    uint32_t *first, *rows; /* owned */
    size_t entries_n, rows_n;
} groups;

typedef struct {
    const tspi_span_set *set;
    groups spans, links; /* by trace; no links are grouped when there are none */
} traces;

typedef struct {
    tspi_kin kin;
    const traces *traces;
    size_t begin, end; /* its traces */
    tsp_status rc;
} worker;

static void groups_release(groups *g)
{
    tspi_big_free(g->first, (g->entries_n + 1) * sizeof *g->first);
    tspi_big_free(g->rows, (g->rows_n + 1) * sizeof *g->rows);
}

static bool groups_make(groups *g, size_t entries_n, size_t rows_n)
{
    g->entries_n = entries_n;
    g->rows_n = rows_n;
    g->first = tspi_big_calloc(entries_n + 1, sizeof *g->first);
    g->rows = tspi_big_calloc(rows_n + 1, sizeof *g->rows);
    return g->first && g->rows;
}

static void groups_sum(groups *g)
{
    uint32_t before = 0;

    for (size_t k = 0; k < g->entries_n; k++) {
        uint32_t n = g->first[k];
        g->first[k] = before;
        before += n;
    }
}

/* Counting sorts. Afterwards first[k] is where entry k ends. */
static tsp_status group(traces *t)
{
    const tspi_span_set *set = t->set;

    if (!groups_make(&t->spans, set->traces_n, set->spans_n))
        return TSP_ENOMEM;
    for (size_t k = 0; k < set->spans_n; k++)
        t->spans.first[set->spans[k].trace]++;
    groups_sum(&t->spans);
    for (size_t k = 0; k < set->spans_n; k++)
        t->spans.rows[t->spans.first[set->spans[k].trace]++] = (uint32_t)k;
    if (!set->links_n)
        return TSP_OK;
    if (!groups_make(&t->links, set->traces_n, set->links_n))
        return TSP_ENOMEM;
    for (size_t k = 0; k < set->links_n; k++)
        t->links.first[set->links[k].trace]++;
    groups_sum(&t->links);
    for (size_t k = 0; k < set->links_n; k++)
        t->links.rows[t->links.first[set->links[k].trace]++] = (uint32_t)k;
    return TSP_OK;
}

static uint32_t group_begin(const groups *g, size_t entry)
{
    return entry ? g->first[entry - 1] : 0;
}

/* Rows are 48 bytes, so half of them lie on two lines. */
static void fetch_rows(const traces *t, uint32_t from, uint32_t to)
{
    for (uint32_t k = from; k < to && k < t->spans.rows_n; k++) {
        const tspi_span *span = &t->set->spans[t->spans.rows[k]];
        __builtin_prefetch(span);
        __builtin_prefetch((const char *)span + sizeof *span - 1);
    }
}

static void *work(void *arg)
{
    worker *w = arg;
    const traces *t = w->traces;
    const groups *spans = &t->spans, *links = &t->links;

    for (size_t trace = w->begin; trace < w->end && w->rc == TSP_OK; trace++) {
        uint32_t begin = group_begin(spans, trace), end = spans->first[trace];
        fetch_rows(t, begin + AHEAD, end + AHEAD);
        w->rc = tspi_kin_take(&w->kin, spans->rows + begin, end - begin);
        if (links->rows && w->rc == TSP_OK)
            for (uint32_t k = group_begin(links, trace); k < links->first[trace]; k++)
                tspi_kin_link(&w->kin, links->rows[k]);
    }
    return NULL;
}

/* Each worker gets traces with about as many spans. */
static void share(worker *workers, unsigned n, const traces *t)
{
    size_t trace = 0, spans = t->set->spans_n;

    for (unsigned k = 0; k < n; k++) {
        workers[k].begin = trace;
        if (k + 1 == n)
            trace = t->set->traces_n;
        while (trace < t->set->traces_n && t->spans.first[trace] <= spans * (k + 1) / n)
            trace++;
        workers[k].end = trace;
    }
}

static void add_up(tspi_join *join, tspi_quantum_finder *quanta, worker *w)
{
    join->copies_n += w->kin.copies_n;
    join->clashes_n += w->kin.clashes_n;
    join->shared_n += w->kin.shared_n;
    join->missing_parents_n += w->kin.missing_parents_n;
    join->missing_links_n += w->kin.missing_links_n;
    join->cycles_n += w->kin.cycles_n;
    join->traces_n += w->kin.traces_n;
    if (quanta != &w->kin.quanta)
        tspi_quantum_grids_merge(quanta->grids, w->kin.quanta.grids, quanta->n);
}

static tsp_status join_traces(tspi_join *join, const traces *t, unsigned threads)
{
    worker *workers = calloc(threads, sizeof *workers);
    uint64_t *_Atomic copies = NULL;
    uint64_t seed = tspi_hash_seed();
    tsp_status rc = workers ? TSP_OK : TSP_ENOMEM;

    for (unsigned k = 0; k < threads && rc == TSP_OK; k++) {
        workers[k].traces = t;
        workers[k].kin.set = t->set;
        workers[k].kin.parent = join->parent;
        workers[k].kin.link_target = join->link_target;
        workers[k].kin.copies = &copies;
        workers[k].kin.seed = seed;
        rc = tspi_quantum_finder_init(&workers[k].kin.quanta, t->set->processes_n);
    }
    if (rc == TSP_OK) {
        share(workers, threads, t);
        tspi_threads_run(work, workers, sizeof *workers, threads);
    }
    join->copies = copies;
    for (unsigned k = 0; k < threads && rc == TSP_OK; k++) {
        rc = workers[k].rc;
        add_up(join, &workers[0].kin.quanta, &workers[k]);
    }
    if (rc == TSP_OK) {
        tspi_quantum_finder *found = &workers[0].kin.quanta;
        tspi_quantum_finish(found, join->quanta);
        join->grids = found->grids;
        join->grids_n = found->n;
        found->grids = NULL;
    }
    for (unsigned k = 0; workers && k < threads; k++)
        tspi_kin_release(&workers[k].kin);
    free(workers);
    return rc;
}

tsp_status tspi_join_init(tspi_join *ret_join, const tspi_span_set *set, unsigned threads, tsp_error *err)
{
    traces t = {.set = set};
    tsp_status rc = TSP_ENOMEM;

    *ret_join = (tspi_join){.set = set};
    if (set->spans_n >= UINT32_MAX || set->traces_n >= UINT32_MAX || set->links_n >= UINT32_MAX)
        return tsp_error_set(err, TSP_ERANGE, "more than 4 billion spans at once: split the input");
    ret_join->parent = tspi_big_calloc(set->spans_n + 1, sizeof *ret_join->parent);
    ret_join->link_target = tspi_big_calloc(set->links_n + 1, sizeof *ret_join->link_target);
    ret_join->quanta = calloc(set->processes_n + 1, sizeof *ret_join->quanta);
    if (ret_join->parent && ret_join->link_target && ret_join->quanta && group(&t) == TSP_OK)
        rc = join_traces(ret_join, &t, tspi_threads_for(threads, set->spans_n, SPANS_A_THREAD));
    groups_release(&t.spans);
    groups_release(&t.links);
    if (rc != TSP_OK) {
        tspi_join_release(ret_join);
        return tsp_error_set(err, rc, "memory is exhausted joining %zu spans", set->spans_n);
    }
    return TSP_OK;
}

void tspi_join_release(tspi_join *join)
{
    if (!join || !join->set)
        return;
    tspi_big_free(join->parent, (join->set->spans_n + 1) * sizeof *join->parent);
    tspi_big_free(join->link_target, (join->set->links_n + 1) * sizeof *join->link_target);
    tspi_big_free(join->copies, (join->set->spans_n / 64 + 1) * sizeof *join->copies);
    free(join->quanta);
    free(join->grids);
    memset(join, 0, sizeof *join);
}
