/* One trace as a tree: children below parents in the order of their starts, each with what is wrong with it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "health/audit_tree.h"

bool tspi_audit_parse_trace(const char *text, tspi_trace_id *ret)
{
    size_t len = strlen(text);

    *ret = (tspi_trace_id){0};
    if (!len || len > 32 || strspn(text, "0123456789abcdefABCDEF") != len)
        return false;
    for (size_t k = 0; k < len; k++) {
        int c = text[k] | 32;
        ret->hi = ret->hi << 4 | ret->lo >> 60;
        ret->lo = ret->lo << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

static uint32_t find_trace(const tspi_span_set *set, const char *text)
{
    tspi_trace_id id;

    if (!tspi_audit_parse_trace(text, &id))
        return TSPI_NONE;
    for (size_t t = 0; t < set->traces_n; t++)
        if (set->traces[t].lo == id.lo && (set->traces[t].hi == id.hi || !id.hi || !set->traces[t].hi))
            return (uint32_t)t;
    return TSPI_NONE;
}

typedef struct {
    tspi_audit *a;
    uint32_t trace;
    uint32_t *rows; /* owned; spans of the trace, by (parent, start) */
    size_t n;
    uint64_t hop_index;
    uint32_t *place; /* owned; a row a span of the whole set: 1 + its line of the tree, 0 = none */
} tree;

static uint32_t parent_of(const tree *t, uint32_t row)
{
    uint32_t parent = t->a->causal.join.parent[row];
    return parent != TSPI_NONE && t->a->set.spans[parent].trace == t->trace ? parent : TSPI_NONE;
}

static int by_parent_and_start(const void *x, const void *y, void *ctx)
{
    const tree *t = ctx;
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    uint32_t pa = parent_of(t, a), pb = parent_of(t, b);
    int64_t sa = t->a->set.spans[a].start_ns, sb = t->a->set.spans[b].start_ns;

    if (pa != pb)
        return pa < pb ? -1 : 1;
    if (sa != sb)
        return sa < sb ? -1 : 1;
    return a < b ? -1 : a > b;
}

static size_t first_child(const tree *t, uint32_t parent)
{
    size_t lo = 0, hi = t->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (parent_of(t, t->rows[mid]) < parent)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {"", "internal", "server", "client", "producer", "consumer"};
    return kind < sizeof names / sizeof names[0] ? names[kind] : "";
}

static const char *copy(tspi_audit *a, const char *text)
{
    const char *made = tspi_arena_strndup(&a->check->arena, text, strlen(text));
    return made ? made : "";
}

static void emit(tree *t, uint32_t row, unsigned depth)
{
    tspi_audit *a = t->a;
    const tspi_span *span = &a->set.spans[row];
    tsp_check_span *out = &a->check->tree[a->check->tree_n++];

    t->place[row] = (uint32_t)a->check->tree_n;

    *out = (tsp_check_span){
        .depth = depth,
        .name = copy(a, a->set.names[span->name]),
        .clock = a->clock_names[a->set.processes[span->process].clock],
        .kind = kind_name(span->kind),
        .start_ns = span->start_ns,
        .end_ns = span->end_ns,
    };
    snprintf(out->span_id, sizeof out->span_id, "%016llx", (unsigned long long)span->span_id);
    uint32_t parent = a->causal.join.parent[row];
    out->parent_missing = span->parent_id && parent == TSPI_NONE && !tspi_join_is_copy(&a->causal.join, row);
}

/* Depth first without recursion: a trace may be a chain of a million spans. */
static tsp_status walk(tree *t)
{
    typedef struct {
        size_t next;
        uint32_t parent;
    } level;
    level *stack = malloc((t->n + 2) * sizeof *stack);
    size_t depth = 0;

    if (!stack)
        return TSP_ENOMEM;
    stack[0] = (level){first_child(t, TSPI_NONE), TSPI_NONE};
    for (;;) {
        level *top = &stack[depth];
        if (top->next < t->n && parent_of(t, t->rows[top->next]) == top->parent) {
            uint32_t row = t->rows[top->next++];
            emit(t, row, (unsigned)depth);
            stack[++depth] = (level){first_child(t, row), row};
        } else if (!depth)
            break;
        else
            depth--;
    }
    free(stack);
    return TSP_OK;
}

/* Mark what is wrong: a start before its cause stands at the later span, a late reply at the server. */
static tsp_status mark(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    tree *t = ctx;

    (void)err;
    for (size_t k = 0; k < n; k++) {
        const tspi_hop *hop = &hops[k];
        uint64_t index = t->hop_index;
        bool reply = hop->relation == TSPI_HOP_REPLY;
        t->hop_index += tspi_mend_in_range(hop);
        uint32_t place = hop->set == &t->a->set ? t->place[reply ? hop->from_span : hop->to_span] : 0;
        int64_t by_ns = hop->sent_ns - hop->received_ns;
        if (!place || !tspi_hop_is_violation(hop))
            continue;
        tsp_check_span *line = &t->a->check->tree[place - 1];
        tsp_cause cause = (tsp_cause)tspi_cause_find(&t->a->evidence, hop, index, tspi_audit_judge(t->a));
        if (reply) {
            line->reply_by_ns = by_ns;
            line->reply_cause = cause;
        } else if (by_ns > line->hop_by_ns) {
            line->hop_by_ns = by_ns;
            line->hop_cause = cause;
        }
    }
    return TSP_OK;
}

tsp_status tspi_audit_tree(tspi_audit *a, const char *trace_id, tsp_error *err)
{
    tree t = {.a = a, .trace = find_trace(&a->set, trace_id)};
    tsp_status rc = TSP_ENOMEM;

    if (t.trace == TSPI_NONE)
        return tsp_error_set(err, TSP_EINVAL, "there is no trace '%.40s' in the input", trace_id);
    for (size_t k = 0; k < a->set.spans_n; k++)
        t.n += a->set.spans[k].trace == t.trace;
    t.rows = malloc((t.n + 1) * sizeof *t.rows);
    t.place = calloc(a->set.spans_n + 1, sizeof *t.place);
    a->check->tree = calloc(t.n + 1, sizeof *a->check->tree);
    if (!t.rows || !t.place || !a->check->tree)
        goto out;
    t.n = 0;
    for (size_t k = 0; k < a->set.spans_n; k++)
        if (a->set.spans[k].trace == t.trace)
            t.rows[t.n++] = (uint32_t)k;
    qsort_r(t.rows, t.n, sizeof *t.rows, by_parent_and_start, &t);
    rc = walk(&t);
    if (rc == TSP_OK)
        rc = tspi_hops_scan(&a->causal.join, mark, &t, err);
out:
    free(t.rows);
    free(t.place);
    return rc == TSP_ENOMEM ? tsp_error_set(err, rc, "memory is exhausted by the tree of %zu spans", t.n) : rc;
}
