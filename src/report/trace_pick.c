#include "report/trace_pick.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

enum { AN_EDGE = 3 }; /* traces that each edge with violations may count on */

typedef struct {
    uint64_t spans, violations;
    int64_t worst_ns;
} tally;

typedef struct {
    uint32_t trace;
    int64_t worst_ns;
} candidate;

typedef struct {
    const tspi_mend *mend;
    tspi_pick *pick;
    tally *tallies;                /* owned; a row a trace */
    candidate (*by_edge)[AN_EDGE]; /* owned; a row an edge, worst first; worst_ns 0 = none */
} picker;

static tsp_status no_memory(tsp_error *err)
{
    return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the choice of traces");
}

static uint32_t trace_of(const picker *p, uint32_t span)
{
    return p->mend->set.spans[span].trace;
}

static bool is_inverted(const tspi_span *span)
{
    return span->start_ns != TSPI_NO_STAMP && span->end_ns != TSPI_NO_STAMP && span->end_ns < span->start_ns;
}

/* ------------------------------------------------------------------ what each trace and each edge has */

static void note(picker *p, uint32_t trace, int64_t by_ns)
{
    tally *t = &p->tallies[trace];

    t->violations++;
    if (by_ns > t->worst_ns)
        t->worst_ns = by_ns;
}

static void note_edge(picker *p, const tspi_hop *hop, uint32_t trace, int64_t by_ns)
{
    tspi_edges *edges = (tspi_edges *)&p->mend->causal.edges;
    const tspi_edge *edge = tspi_edges_find(edges, hop->from_clock, hop->to_clock);
    candidate now = {trace, by_ns};

    if (!edge)
        return;
    candidate *best = p->by_edge[edge - edges->edges];
    for (int k = 0; k < AN_EDGE; k++) {
        if (best[k].worst_ns && best[k].trace == now.trace && best[k].worst_ns >= now.worst_ns)
            return;
        if (now.worst_ns > best[k].worst_ns) {
            candidate pushed = best[k];
            best[k] = now;
            if (pushed.trace == now.trace)
                return;
            now = pushed;
        }
    }
}

static tsp_status count_hops(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    picker *p = ctx;

    (void)err;
    for (size_t k = 0; k < n; k++) {
        int64_t by_ns = hops[k].sent_ns - hops[k].received_ns;
        uint32_t trace = trace_of(p, hops[k].to_span);
        if (!tspi_hop_is_violation(&hops[k]))
            continue;
        note(p, trace, by_ns);
        if (!hops[k].same_clock && hops[k].kind != TSPI_HOP_CHECK)
            note_edge(p, &hops[k], trace, by_ns);
    }
    return TSP_OK;
}

static void count_spans(picker *p)
{
    const tspi_span_set *set = &p->mend->set;

    for (size_t k = 0; k < set->spans_n; k++) {
        if (tspi_join_is_copy(&p->mend->causal.join, k))
            continue;
        p->tallies[set->spans[k].trace].spans++;
        if (is_inverted(&set->spans[k]))
            note(p, set->spans[k].trace, set->spans[k].start_ns - set->spans[k].end_ns);
    }
}

static tsp_status scan(picker *p, tspi_hop_sink sink, tsp_error *err)
{
    tspi_token_report tokens;
    tsp_status rc = tspi_hops_scan(&p->mend->causal.join, sink, p, err);

    return rc == TSP_OK ? tspi_tokens_check(&p->mend->causal.join, sink, p, &tokens, err) : rc;
}

/* ------------------------------------------------------------------ the choice */

static int worst_first(const void *a, const void *b)
{
    const tspi_picked_trace *x = a, *y = b;

    if (x->worst_ns != y->worst_ns)
        return x->worst_ns > y->worst_ns ? -1 : 1;
    if (x->violations != y->violations)
        return x->violations > y->violations ? -1 : 1;
    return x->trace < y->trace ? -1 : x->trace > y->trace;
}

/* Take a trace if it still fits. */
static void take(picker *p, uint32_t trace, uint64_t *room)
{
    const tally *t = &p->tallies[trace];

    if (p->pick->order[trace] || !t->spans || t->spans > *room)
        return;
    *room -= t->spans;
    p->pick->order[trace] = 1;
    p->pick->traces[p->pick->traces_n++] = (tspi_picked_trace){trace, t->spans, t->violations, t->worst_ns};
}

/* The worst trace alone is too large: as many of its spans as fit, those in violated pairs and their parents first. */
static tsp_status cut(picker *p, uint32_t trace, uint64_t budget, tsp_error *err)
{
    const tspi_span_set *set = &p->mend->set;
    uint64_t room = budget;

    p->pick->wanted = calloc(set->spans_n + 1, 1);
    if (!p->pick->wanted)
        return no_memory(err);
    take(p, trace, &(uint64_t){UINT64_MAX});
    for (size_t k = 0; k < set->spans_n && room; k++)
        if (set->spans[k].trace == trace && is_inverted(&set->spans[k])) {
            p->pick->wanted[k] = 1;
            room--;
        }
    for (size_t k = 0; k < p->pick->pairs_n && room > 1; k++) {
        const tspi_pair *pair = &p->pick->pairs[k];
        uint32_t ends[] = {pair->from_span, pair->to_span};
        for (int e = 0; e < 2 && pair->raw_by_ns >= pair->allowance_ns; e++)
            if (set->spans[ends[e]].trace == trace && !p->pick->wanted[ends[e]] && room) {
                p->pick->wanted[ends[e]] = 1;
                room--;
            }
    }
    for (size_t k = 0; k < set->spans_n && room; k++)
        if (set->spans[k].trace == trace && !p->pick->wanted[k]) {
            p->pick->wanted[k] = 1;
            room--;
        }
    return TSP_OK;
}

static tsp_status choose(picker *p, uint64_t budget, uint32_t *ret_too_large, tsp_error *err)
{
    size_t n = p->mend->set.traces_n;
    uint64_t room = budget ? budget : UINT64_MAX;
    tspi_picked_trace *all = malloc((n + 1) * sizeof *all);

    *ret_too_large = TSPI_NONE;
    if (!all)
        return no_memory(err);
    for (size_t t = 0; t < n; t++)
        p->pick->total += p->tallies[t].spans > 0;
    for (size_t t = 0; t < n; t++)
        all[t] =
            (tspi_picked_trace){(uint32_t)t, p->tallies[t].spans, p->tallies[t].violations, p->tallies[t].worst_ns};
    qsort(all, n, sizeof *all, worst_first);
    for (size_t e = 0; e < p->mend->causal.edges.edges_n; e++)
        for (int k = 0; k < AN_EDGE && p->by_edge[e][k].worst_ns; k++)
            take(p, p->by_edge[e][k].trace, &room);
    for (size_t t = 0; t < n; t++)
        take(p, all[t].trace, &room);
    if (!p->pick->traces_n && n)
        *ret_too_large = all[0].trace;
    free(all);
    if (p->pick->traces_n)
        qsort(p->pick->traces, p->pick->traces_n, sizeof *p->pick->traces, worst_first);
    return TSP_OK;
}

/* ------------------------------------------------------------------ the hops of what was chosen */

static bool is_end_stamp(const tspi_span *span, int64_t ns, bool rule)
{
    if (rule ? span->end_ns == ns : span->start_ns == ns)
        return rule;
    return span->end_ns == ns;
}

static tsp_status keep_hops(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    picker *p = ctx;
    tspi_pick *pick = p->pick;
    const tspi_span *spans = p->mend->set.spans;

    for (size_t k = 0; k < n; k++) {
        const tspi_hop *hop = &hops[k];
        if (!pick->order[trace_of(p, hop->to_span)] || !pick->order[trace_of(p, hop->from_span)])
            continue;
        if (hop->same_clock && !tspi_hop_is_violation(hop))
            continue;
        tspi_pair *pairs = tspi_grown(pick->pairs, pick->pairs_n, &pick->pairs_cap, sizeof *pairs);
        if (!pairs)
            return no_memory(err);
        pick->pairs = pairs;
        bool reply = hop->relation == TSPI_HOP_REPLY;
        pick->pairs[pick->pairs_n++] = (tspi_pair){
            .from_span = hop->from_span,
            .to_span = hop->to_span,
            .raw_by_ns = hop->sent_ns - hop->received_ns,
            .allowance_ns = hop->allowance_ns,
            .relation = hop->kind == TSPI_HOP_CHECK ? TSPI_HOP_TOKEN : hop->relation,
            .from_end = is_end_stamp(&spans[hop->from_span], hop->sent_ns, reply),
            .to_end = is_end_stamp(&spans[hop->to_span], hop->received_ns, reply || hop->relation == TSPI_HOP_RECEIVE),
            .soft = hop->kind == TSPI_HOP_SOFT,
        };
    }
    return TSP_OK;
}

static int by_place(const void *a, const void *b, void *ctx)
{
    const picker *p = ctx;
    const tspi_pair *x = a, *y = b;
    uint32_t px = p->pick->order[trace_of(p, x->to_span)], py = p->pick->order[trace_of(p, y->to_span)];

    if (px != py)
        return px < py ? -1 : 1;
    if (x->raw_by_ns != y->raw_by_ns)
        return x->raw_by_ns > y->raw_by_ns ? -1 : 1;
    return x->to_span < y->to_span ? -1 : x->to_span > y->to_span;
}

static tsp_status pick(picker *p, uint64_t budget, tsp_error *err)
{
    const tspi_mend *m = p->mend;
    uint32_t too_large;

    p->tallies = calloc(m->set.traces_n + 1, sizeof *p->tallies);
    p->by_edge = calloc(m->causal.edges.edges_n + 1, sizeof *p->by_edge);
    p->pick->order = calloc(m->set.traces_n + 1, sizeof *p->pick->order);
    p->pick->traces = calloc(m->set.traces_n + 1, sizeof *p->pick->traces);
    if (!p->tallies || !p->by_edge || !p->pick->order || !p->pick->traces)
        return no_memory(err);
    count_spans(p);
    tsp_status rc = scan(p, count_hops, err);
    if (rc == TSP_OK)
        rc = choose(p, budget, &too_large, err);
    if (rc != TSP_OK)
        return rc;
    if (too_large != TSPI_NONE)
        p->pick->order[too_large] = 1;
    rc = scan(p, keep_hops, err);
    if (rc == TSP_OK && too_large != TSPI_NONE) {
        p->pick->order[too_large] = 0;
        rc = cut(p, too_large, budget, err);
    }
    for (size_t k = 0; k < p->pick->traces_n; k++)
        p->pick->order[p->pick->traces[k].trace] = (uint32_t)k + 1;
    if (rc == TSP_OK && p->pick->pairs_n)
        qsort_r(p->pick->pairs, p->pick->pairs_n, sizeof *p->pick->pairs, by_place, p);
    return rc;
}

tsp_status tspi_pick_traces(const tspi_mend *mend, uint64_t budget, tspi_pick *ret_pick, tsp_error *err)
{
    picker p = {.mend = mend, .pick = ret_pick};

    *ret_pick = (tspi_pick){0};
    tsp_status rc = pick(&p, budget, err);
    free(p.tallies);
    free(p.by_edge);
    if (rc != TSP_OK)
        tspi_pick_release(ret_pick);
    return rc;
}

void tspi_pick_release(tspi_pick *pick)
{
    free(pick->traces);
    free(pick->order);
    free(pick->wanted);
    free(pick->pairs);
    memset(pick, 0, sizeof *pick);
}
