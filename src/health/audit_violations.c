/* Every violation once more, now that the evidence stands: its cause, and whether it is among the worst. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health/audit_violations.h"

enum { EXAMPLES_MAX = 100000 };

static void id_text(uint64_t id, char *ret, size_t size)
{
    snprintf(ret, size, "%016llx", (unsigned long long)id);
}

static void trace_text(const tspi_trace_id *id, char *ret, size_t size)
{
    if (id->hi)
        snprintf(ret, size, "%016llx%016llx", (unsigned long long)id->hi, (unsigned long long)id->lo);
    else
        snprintf(ret, size, "%016llx", (unsigned long long)id->lo);
}

static bool worse(const tsp_check_example *a, const tsp_check_example *b)
{
    return a->by_ns > b->by_ns;
}

/* Keep the list sorted, the worst first; of equals the one met first stays first. */
static void keep(tspi_audit *a, const tsp_check_example *example)
{
    tsp_check *check = a->check;
    size_t limit = a->options->examples < EXAMPLES_MAX ? a->options->examples : EXAMPLES_MAX, at;

    if (check->examples_n == limit) {
        if (!limit || !worse(example, &check->examples[limit - 1]))
            return;
        check->examples_n--;
    }
    for (at = check->examples_n; at > 0 && worse(example, &check->examples[at - 1]); at--)
        check->examples[at] = check->examples[at - 1];
    check->examples[at] = *example;
    check->examples_n++;
}

static bool is_wanted(const tspi_audit *a, int64_t by_ns)
{
    const tsp_check *check = a->check;

    return a->options->examples &&
           (check->examples_n < a->options->examples || by_ns > check->examples[check->examples_n - 1].by_ns);
}

/* span: the side that names the other as its cause; a reply's server, a link's carrier. */
static void make_example(const tspi_span_set *set, uint32_t span, uint32_t parent, tsp_check_example *ret)
{
    const tspi_span *s = &set->spans[span];

    memset(ret, 0, sizeof *ret);
    trace_text(&set->traces[s->trace], ret->trace_id, sizeof ret->trace_id);
    id_text(s->span_id, ret->span_id, sizeof ret->span_id);
    if (parent != TSPI_NONE)
        id_text(set->spans[parent].span_id, ret->parent_span_id, sizeof ret->parent_span_id);
}

static void count(tspi_audit *a, const tspi_hop *hop, const char *kind, enum tspi_cause cause)
{
    tsp_check_example example;
    int64_t by_ns = hop->sent_ns - hop->received_ns;
    bool reply = hop->relation == TSPI_HOP_REPLY;

    a->check->totals.violations++;
    a->check->totals.causes[cause]++;
    if (!is_wanted(a, by_ns))
        return;
    make_example(hop->set, reply ? hop->from_span : hop->to_span, reply ? hop->to_span : hop->from_span, &example);
    example.from = a->clock_names[hop->from_clock];
    example.to = a->clock_names[hop->to_clock];
    example.kind = kind;
    example.by_ns = by_ns;
    example.cause = (tsp_cause)cause;
    keep(a, &example);
}

static tsp_status take_hops(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    tspi_audit *a = ctx;
    tsp_check_totals *totals = &a->check->totals;

    (void)err;
    for (size_t k = 0; k < n; k++) {
        const tspi_hop *hop = &hops[k];
        uint64_t index = a->hop_index;
        a->hop_index += tspi_mend_in_range(hop);
        if (!tspi_hop_is_violation(hop))
            continue;
        enum tspi_cause cause = tspi_cause_find(&a->evidence, hop, index, tspi_audit_judge(a));
        if (hop->same_clock) {
            totals->same_clock++;
            count(a, hop, "same_clock", cause);
            continue;
        }
        tspi_edge *edge = tspi_edges_find(&a->causal.edges, hop->from_clock, hop->to_clock);
        a->edge_causes[edge - a->causal.edges.edges][cause]++;
        if (hop->kind == TSPI_HOP_HARD)
            totals->hard++;
        else
            totals->soft++;
        count(a, hop, hop->kind == TSPI_HOP_HARD ? "hard" : "soft", cause);
    }
    return TSP_OK;
}

static tsp_status take_tokens(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    tspi_audit *a = ctx;

    (void)err;
    for (size_t k = 0; k < n; k++) {
        a->check->totals.token_order++;
        count(a, &hops[k], "token_order", tspi_cause_find(&a->evidence, &hops[k], 0, tspi_audit_judge(a)));
    }
    return TSP_OK;
}

/* A span that ends before it starts: one process, one clock, so the program or its tracer contradicts itself. */
static tsp_status take_durations(void *ctx, const tspi_join *join, tsp_error *err)
{
    tspi_audit *a = ctx;
    const tspi_span_set *set = join->set;

    (void)err;
    for (size_t k = 0; k < set->spans_n; k++) {
        const tspi_span *span = &set->spans[k];
        if (span->start_ns == TSPI_NO_STAMP || span->end_ns == TSPI_NO_STAMP || tspi_join_is_copy(join, k) ||
            span->start_ns - span->end_ns < a->causal.join.quanta[span->process].unit_ns)
            continue;
        tspi_hop hop = {.from_clock = a->set.processes[span->process].clock,
                        .from_span = TSPI_NONE,
                        .to_span = (uint32_t)k,
                        .set = set,
                        .sent_ns = span->start_ns,
                        .received_ns = span->end_ns};
        hop.to_clock = hop.from_clock;
        a->check->totals.negative_duration++;
        count(a, &hop, "negative_duration", TSPI_CAUSE_INSTRUMENTATION);
    }
    return TSP_OK;
}

tsp_status tspi_audit_violations(tspi_audit *a, tsp_error *err)
{
    size_t limit = a->options->examples < EXAMPLES_MAX ? a->options->examples : EXAMPLES_MAX;
    bool any = a->causal.edges.violations != 0, durations = false;
    tsp_status rc = TSP_OK;

    a->check->examples = calloc(limit + 1, sizeof *a->check->examples);
    if (!a->check->examples)
        return TSP_ENOMEM;
    for (uint32_t c = 0; c < a->causal.edges.clocks_n; c++) {
        any |= a->causal.edges.stats[c].hard_violations || a->causal.edges.stats[c].soft_violations;
        durations |= a->causal.edges.stats[c].negative_durations != 0;
    }
    if (any)
        rc = tspi_hops_scan(&a->causal.join, take_hops, a, err);
    if (rc == TSP_OK && durations)
        rc = tspi_join_each(&a->causal.join, take_durations, a, err);
    if (rc == TSP_OK && a->causal.tokens.anomalies) {
        tspi_token_report again;
        rc = tspi_tokens_check(&a->causal.join, take_tokens, a, &again, err);
    }
    return rc;
}
