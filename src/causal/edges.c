#include "causal/edges.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/hash.h"
#include "base/threads.h"
#include "causal/hop_walk.h"
#include "causal/windows.h"

/* Below this many spans a second thread costs more than it saves. */
#define SPANS_A_THREAD 100000

/* Up to so many clocks a matrix finds an edge. */
#define FEW_CLOCKS 64

/* Edges while they are measured: in the order in which they were met, found by open addressing. */
typedef struct {
    const tspi_join *join;
    tspi_hop_range range;
    bool counts; /* tspi_edges_wanted */
    tspi_edge *edges;
    size_t n, cap;
    uint32_t *slots;
    size_t slots_n;
    uint32_t *recent; /* owned: by (from, to) where clocks are few: 1 + the edge's row, 0 = not met */
    tspi_clock_stats *stats;
    uint32_t clocks_n;
    tsp_status rc;
} measurer;

static size_t find_slot(const measurer *m, uint32_t from, uint32_t to)
{
    size_t at = (size_t)tspi_hash_mix((uint64_t)from << 32 | to) & (m->slots_n - 1);

    while (m->slots[at] != TSPI_NONE && (m->edges[m->slots[at]].from != from || m->edges[m->slots[at]].to != to))
        at = (at + 1) & (m->slots_n - 1);
    return at;
}

static bool grow(measurer *m)
{
    size_t cap = m->cap ? m->cap * 2 : 64;
    tspi_edge *edges = realloc(m->edges, cap * sizeof *edges);
    uint32_t *slots = malloc(cap * 2 * sizeof *slots);

    if (edges)
        m->edges = edges;
    if (!edges || !slots) {
        free(slots);
        return false;
    }
    memset(slots, 0xff, cap * 2 * sizeof *slots);
    free(m->slots);
    m->slots = slots;
    m->slots_n = cap * 2;
    m->cap = cap;
    for (size_t k = 0; k < m->n; k++)
        m->slots[find_slot(m, m->edges[k].from, m->edges[k].to)] = (uint32_t)k;
    return true;
}

static tspi_edge *find_edge(measurer *m, uint32_t from, uint32_t to)
{
    if (m->n == m->cap && !grow(m))
        return NULL;
    size_t at = find_slot(m, from, to);
    if (m->slots[at] == TSPI_NONE) {
        m->edges[m->n] = (tspi_edge){.from = from, .to = to, .first_ns = INT64_MAX, .last_ns = INT64_MIN};
        m->slots[at] = (uint32_t)m->n++;
    }
    return &m->edges[m->slots[at]];
}

static inline tspi_edge *edge_of(measurer *m, uint32_t from, uint32_t to)
{
    if (m->clocks_n > FEW_CLOCKS)
        return find_edge(m, from, to);
    uint32_t *row = &m->recent[from * m->clocks_n + to];
    if (!*row) {
        tspi_edge *edge = find_edge(m, from, to);
        if (!edge)
            return NULL;
        *row = (uint32_t)(edge - m->edges) + 1;
    }
    return &m->edges[*row - 1];
}

TSPI_INLINED void add_same_clock(tspi_clock_stats *stats, const tspi_hop *hop)
{
    bool soft = hop->kind == TSPI_HOP_SOFT, violation = tspi_hop_is_violation(hop);

    stats->hard += !soft;
    stats->soft += soft;
    stats->within_quantum += tspi_hop_is_within_quantum(hop);
    stats->hard_violations += violation && !soft;
    stats->soft_violations += violation && soft;
    if (soft && !hop->same_process) {
        stats->calls++;
        stats->late_calls += violation;
    }
}

TSPI_INLINED bool add_to_edge(tspi_edge *edge, const tspi_hop *hop, bool counts)
{
    int64_t slack = tspi_hop_slack_ns(hop);

    if (counts)
        tspi_slacks_count(&edge->slacks[hop->kind], 1, slack, slack);
    else if (!tspi_slacks_add(&edge->slacks[hop->kind], slack))
        return false;
    bool violation = tspi_hop_is_violation(hop);
    /* Without a branch: which hops are the earliest so far, the latest, or violations is hard to foretell. */
    edge->hops++;
    edge->first_ns = hop->received_ns < edge->first_ns ? hop->received_ns : edge->first_ns;
    edge->last_ns = hop->received_ns > edge->last_ns ? hop->received_ns : edge->last_ns;
    edge->violations += violation;
    edge->hard_violations += violation & (hop->kind == TSPI_HOP_HARD);
    edge->soft_violations += violation & (hop->kind == TSPI_HOP_SOFT);
    edge->within_quantum += (slack < 0) & !violation;
    int64_t beyond_ns = violation ? -slack : 0;
    edge->worst_ns = beyond_ns > edge->worst_ns ? beyond_ns : edge->worst_ns;
    return true;
}

TSPI_INLINED bool take_hop(void *ctx, const tspi_hop *hop)
{
    measurer *m = ctx;

    if (hop->same_clock) {
        add_same_clock(&m->stats[hop->from_clock], hop);
        return true;
    }
    tspi_edge *edge = edge_of(m, hop->from_clock, hop->to_clock);
    return edge && add_to_edge(edge, hop, m->counts);
}

/* What a single span says: a negative duration, and when the clock was seen. */
static inline void take_span(measurer *m, size_t row)
{
    const tspi_span *span = &m->join->set->spans[row];
    tspi_clock_stats *stats = &m->stats[m->join->set->processes[span->process].clock];

    if (tspi_join_is_copy(m->join, row))
        return;
    stats->unstamped += span->start_ns == TSPI_NO_STAMP || span->end_ns == TSPI_NO_STAMP;
    if (span->start_ns == TSPI_NO_STAMP)
        return;
    int64_t last_ns = span->end_ns > span->start_ns ? span->end_ns : span->start_ns; /* an end that is none is small */
    stats->first_ns = span->start_ns < stats->first_ns ? span->start_ns : stats->first_ns;
    stats->last_ns = last_ns > stats->last_ns ? last_ns : stats->last_ns;
    if (span->end_ns != TSPI_NO_STAMP && span->start_ns - span->end_ns >= m->join->quanta[span->process].unit_ns)
        stats->negative_durations++;
}

static void take_spans(measurer *m)
{
    size_t k = m->range.first_span, end = m->range.spans_end;

    if (m->range.rows)
        for (k = tspi_bits_next(m->range.rows, k, end); k < end; k = tspi_bits_next(m->range.rows, k + 1, end))
            take_span(m, k);
    else
        for (; k < end; k++)
            take_span(m, k);
}

static void *measure(void *arg)
{
    measurer *m = arg;

    take_spans(m);
    m->rc = tspi_hops_walk(m->join, &m->range, take_hop, m) ? TSP_OK : TSP_ENOMEM;
    return NULL;
}

static void merge_stats(tspi_clock_stats *to, const tspi_clock_stats *from)
{
    to->hard += from->hard;
    to->soft += from->soft;
    to->hard_violations += from->hard_violations;
    to->soft_violations += from->soft_violations;
    to->within_quantum += from->within_quantum;
    to->calls += from->calls;
    to->late_calls += from->late_calls;
    to->negative_durations += from->negative_durations;
    to->unstamped += from->unstamped;
    if (from->first_ns < to->first_ns)
        to->first_ns = from->first_ns;
    if (from->last_ns > to->last_ns)
        to->last_ns = from->last_ns;
}

static bool merge_edge(measurer *to, const tspi_edge *from)
{
    tspi_edge *edge = edge_of(to, from->from, from->to);

    if (!edge)
        return false;
    edge->hops += from->hops;
    edge->violations += from->violations;
    edge->hard_violations += from->hard_violations;
    edge->soft_violations += from->soft_violations;
    edge->within_quantum += from->within_quantum;
    if (from->worst_ns > edge->worst_ns)
        edge->worst_ns = from->worst_ns;
    if (from->first_ns < edge->first_ns)
        edge->first_ns = from->first_ns;
    if (from->last_ns > edge->last_ns)
        edge->last_ns = from->last_ns;
    for (int kind = 0; kind < 2; kind++) {
        const tspi_slacks *slacks = &from->slacks[kind];
        if (to->counts && slacks->n)
            tspi_slacks_count(&edge->slacks[kind], slacks->n, slacks->min_ns, slacks->max_ns);
        else if (!to->counts && !tspi_slacks_merge(&edge->slacks[kind], slacks))
            return false;
    }
    return true;
}

static tsp_status merge(measurer *to, const measurer *from)
{
    for (uint32_t c = 0; c < to->clocks_n; c++)
        merge_stats(&to->stats[c], &from->stats[c]);
    for (size_t k = 0; k < from->n; k++)
        if (!merge_edge(to, &from->edges[k]))
            return TSP_ENOMEM;
    return TSP_OK;
}

static void measurer_release(measurer *m)
{
    for (size_t k = 0; k < m->n; k++) {
        tspi_slacks_release(&m->edges[k].slacks[0]);
        tspi_slacks_release(&m->edges[k].slacks[1]);
    }
    free(m->edges);
    free(m->slots);
    free(m->recent);
    free(m->stats);
}

static int by_clocks(const void *a, const void *b)
{
    const tspi_edge *x = a, *y = b;

    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return x->to < y->to ? -1 : x->to > y->to;
}

static void hand_over(measurer *m, tspi_edges *ret)
{
    *ret = (tspi_edges){.edges = m->edges, .edges_n = m->n, .stats = m->stats, .clocks_n = m->clocks_n};
    if (m->n)
        qsort(m->edges, m->n, sizeof *m->edges, by_clocks);
    for (size_t k = 0; k < m->n; k++) {
        const tspi_edge *edge = &m->edges[k];
        ret->hops += edge->hops;
        ret->violations += edge->violations;
        ret->stats[edge->from].hops_out += edge->hops;
        ret->stats[edge->to].hops_in += edge->hops;
    }
    m->edges = NULL;
    m->stats = NULL;
    m->n = 0;
}

typedef struct {
    measurer *parts;
    unsigned n;
    const uint64_t *rows;
} team;

static tsp_status measure_join(void *ctx, const tspi_join *join, tsp_error *err)
{
    const team *t = ctx;
    size_t spans = join->set->spans_n, links = join->set->links_n, n = t->n;
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < n; k++) {
        t->parts[k].join = join;
        t->parts[k].range = (tspi_hop_range){.first_span = spans * k / n,
                                             .spans_end = spans * (k + 1) / n,
                                             .first_link = links * k / n,
                                             .links_end = links * (k + 1) / n,
                                             .rows = t->rows};
    }
    tspi_threads_run(measure, t->parts, sizeof *t->parts, t->n);
    for (size_t k = 0; k < n && rc == TSP_OK; k++)
        rc = t->parts[k].rc;
    return rc == TSP_OK ? TSP_OK : tsp_error_set(err, rc, "memory is exhausted measuring hops");
}

tsp_status tspi_edges_measure(const tspi_join *join, uint32_t clocks_n, const tspi_edges_wanted *wanted,
                              tspi_edges *ret_edges, tsp_error *err)
{
    unsigned n = tspi_threads_for(wanted->threads, join->set->spans_n, SPANS_A_THREAD);
    measurer *parts = calloc(n, sizeof *parts);
    tsp_status rc = parts ? TSP_OK : TSP_ENOMEM;

    for (unsigned k = 0; k < n && rc == TSP_OK; k++) {
        parts[k].clocks_n = clocks_n;
        parts[k].counts = wanted->counts;
        parts[k].stats = calloc((size_t)clocks_n + 1, sizeof *parts[k].stats);
        if (clocks_n <= FEW_CLOCKS)
            parts[k].recent = calloc((size_t)clocks_n * clocks_n + 1, sizeof *parts[k].recent);
        for (uint32_t c = 0; parts[k].stats && c < clocks_n; c++) {
            parts[k].stats[c].first_ns = INT64_MAX;
            parts[k].stats[c].last_ns = INT64_MIN;
        }
        if (!parts[k].stats || (clocks_n <= FEW_CLOCKS && !parts[k].recent))
            rc = TSP_ENOMEM;
    }
    if (rc == TSP_OK)
        rc = tspi_join_each(join, measure_join, &(team){parts, n, wanted->rows}, err);
    for (unsigned k = 0; k < n && rc == TSP_OK; k++) {
        rc = parts[k].rc;
        if (rc == TSP_OK && k)
            rc = merge(&parts[0], &parts[k]);
    }
    if (rc == TSP_OK)
        hand_over(&parts[0], ret_edges);
    for (unsigned k = 0; parts && k < n; k++)
        measurer_release(&parts[k]);
    free(parts);
    return rc == TSP_ENOMEM ? tsp_error_set(err, rc, "memory is exhausted measuring hops") : rc;
}

void tspi_edges_release(tspi_edges *edges)
{
    if (!edges)
        return;
    for (size_t k = 0; k < edges->edges_n; k++) {
        tspi_slacks_release(&edges->edges[k].slacks[0]);
        tspi_slacks_release(&edges->edges[k].slacks[1]);
    }
    free(edges->edges);
    free(edges->stats);
    memset(edges, 0, sizeof *edges);
}

tspi_edge *tspi_edges_find(const tspi_edges *edges, uint32_t from, uint32_t to)
{
    tspi_edge key = {.from = from, .to = to};

    return edges->edges_n ? bsearch(&key, edges->edges, edges->edges_n, sizeof key, by_clocks) : NULL;
}

/* The smallest value v with rank(v) >= wanted in both samples together, by bisection over values. */
static int64_t quantile_of_both(tspi_slacks *a, tspi_slacks *b, double p)
{
    uint64_t total = a->n + b->n, rank = (uint64_t)(p * (double)total + 0.999999);
    int64_t lo = a->min_ns < b->min_ns ? a->min_ns : b->min_ns, hi = a->max_ns > b->max_ns ? a->max_ns : b->max_ns;

    if (rank <= 1)
        return lo;
    /* Smallest v such that at least rank values are <= v, that is, below v + 1. */
    while (lo < hi) {
        int64_t mid = lo + (int64_t)(((uint64_t)hi - (uint64_t)lo) / 2);
        if (tspi_slacks_below(a, mid + 1) + tspi_slacks_below(b, mid + 1) >= rank)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

int64_t tspi_edge_slack_ns(tspi_edge *edge, double p)
{
    tspi_slacks *hard = &edge->slacks[TSPI_HOP_HARD], *soft = &edge->slacks[TSPI_HOP_SOFT];

    if (!soft->n)
        return hard->n ? tspi_slacks_quantile(hard, p) : 0;
    if (!hard->n)
        return tspi_slacks_quantile(soft, p);
    return quantile_of_both(hard, soft, p);
}

int64_t tspi_edge_margin_ns(tspi_edge *edge, double share)
{
    return tspi_edge_slack_ns(edge, share > 0 ? share : 0);
}
