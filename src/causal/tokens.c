#include "causal/tokens.h"

#include <stdlib.h>
#include <string.h>

#include "causal/windows.h"

/* One stamp of one token. Rows are sorted so that a stream's tokens follow each other in the order of their numbers. */
typedef struct {
    uint32_t trace, process, name; /* of the stream: its sender's */
    uint32_t side;                 /* 0 = sent; else 1 + the receiving process */
    int64_t number, at_ns;
    uint32_t span;
    bool is_end;
} stamp;

typedef struct {
    const tspi_join *join;
    tspi_hop_sink sink;
    void *ctx;
    tsp_error *err;
    tspi_token_report *report;
    uint32_t *number_of; /* per span: 1 + its row in sequences, 0 = none. Only while receives look for their sends */
} checker;

static bool is_receive(const tspi_span *span)
{
    return span->kind == TSPI_KIND_CONSUMER || span->operation == TSPI_OPERATION_RECEIVE ||
           span->operation == TSPI_OPERATION_PROCESS;
}

static bool carries(const checker *c, uint32_t span, int64_t number)
{
    const tspi_span_set *set = c->join->set;
    uint32_t row = span == TSPI_NONE ? 0 : c->number_of[span];

    return row && set->sequences[row - 1].number == number && !is_receive(&set->spans[span]);
}

static size_t first_link_of(const tspi_span_set *set, uint32_t span)
{
    size_t lo = 0, hi = set->links_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (set->links[mid].from < span)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* The send of the token that span received, or TSPI_NONE. */
static uint32_t find_send(const checker *c, uint32_t span, int64_t number)
{
    const tspi_span_set *set = c->join->set;

    if (carries(c, c->join->parent[span], number))
        return c->join->parent[span];
    for (size_t k = first_link_of(set, span); k < set->links_n && set->links[k].from == span; k++)
        if (carries(c, c->join->link_target[k], number))
            return c->join->link_target[k];
    return TSPI_NONE;
}

static bool make_stamp(const checker *c, const tspi_sequence *sequence, stamp *ret)
{
    const tspi_span_set *set = c->join->set;
    const tspi_span *span = &set->spans[sequence->span], *owner = span;
    uint32_t side = 0;

    if (is_receive(span)) {
        uint32_t send = find_send(c, sequence->span, sequence->number);
        if (send != TSPI_NONE)
            owner = &set->spans[send];
        side = 1 + span->process;
    }
    bool is_end = span->operation == TSPI_OPERATION_RECEIVE;
    *ret = (stamp){
        owner->trace,   owner->process, owner->name, side, sequence->number, is_end ? span->end_ns : span->start_ns,
        sequence->span, is_end};
    return ret->at_ns != TSPI_NO_STAMP && !tspi_join_is_copy(c->join, sequence->span);
}

#define ORDER(field)                                                                                                   \
    if (x->field != y->field)                                                                                          \
    return x->field < y->field ? -1 : 1

static int by_stream(const void *a, const void *b)
{
    const stamp *x = a, *y = b;

    ORDER(trace);
    ORDER(process);
    ORDER(name);
    ORDER(number);
    ORDER(side);
    ORDER(at_ns);
    ORDER(span);
    return 0;
}

static bool same_stream(const stamp *a, const stamp *b)
{
    return a->trace == b->trace && a->process == b->process && a->name == b->name;
}

static tspi_hop as_hop(const checker *c, const stamp *before, const stamp *after)
{
    const tspi_span_set *set = c->join->set;
    const tspi_span *from = &set->spans[before->span], *to = &set->spans[after->span];
    tspi_hop hop = {
        .from_clock = set->processes[from->process].clock,
        .to_clock = set->processes[to->process].clock,
        .from_span = before->span,
        .to_span = after->span,
        .set = set,
        .sent_ns = before->at_ns,
        .received_ns = after->at_ns,
        .allowance_ns = c->join->quanta[to->process].quantum_ns,
        .kind = TSPI_HOP_CHECK,
        .relation = TSPI_HOP_TOKEN,
        .same_process = from->process == to->process,
    };
    hop.same_clock = hop.from_clock == hop.to_clock;
    return hop;
}

/* Rows of one number, [first, end): one token. Within a side the earliest stamp stands first; a redelivered token is
 * judged, and judges, by its earliest stamp. */
typedef struct {
    const stamp *first, *end;
} token;

static token token_at(const stamp *at, const stamp *end)
{
    const stamp *p = at;

    while (p < end && same_stream(p, at) && p->number == at->number)
        p++;
    return (token){at, p};
}

static tsp_status judge(checker *c, token before, token now)
{
    tspi_hop worst = {0};
    bool found = false, one_clock = false;

    for (const stamp *p = now.first; p < now.end; p++) {
        if (p > now.first && p[-1].side == p->side)
            continue;
        for (const stamp *q = before.first; q < before.end; q++) {
            if ((q > before.first && q[-1].side == q->side) || (q->side != 0 && q->side != p->side))
                continue;
            tspi_hop hop = as_hop(c, q, p);
            if (!tspi_hop_is_violation(&hop))
                continue;
            one_clock |= hop.same_clock;
            if (!found || tspi_hop_slack_ns(&hop) < tspi_hop_slack_ns(&worst))
                worst = hop;
            found = true;
        }
    }
    if (!found)
        return TSP_OK;
    c->report->anomalies++;
    c->report->cross_clock += !one_clock;
    return c->sink ? c->sink(c->ctx, &worst, 1, c->err) : TSP_OK;
}

static tsp_status walk(checker *c, const stamp *stamps, size_t n)
{
    const stamp *end = stamps + n;
    token before = {0};
    tsp_status rc = TSP_OK;

    for (const stamp *p = stamps; p < end && rc == TSP_OK;) {
        token now = token_at(p, end);
        bool goes_on = before.first && same_stream(before.first, p);
        c->report->tokens++;
        c->report->streams += !goes_on;
        if (goes_on && before.first->number == p->number - 1)
            rc = judge(c, before, now);
        before = now;
        p = now.end;
    }
    return rc;
}

static int by_span_and_number(const void *a, const void *b)
{
    const tspi_event *x = a, *y = b;

    ORDER(span);
    ORDER(number);
    ORDER(at_ns);
    return 0;
}

static stamp event_stamp(const tspi_span_set *set, const tspi_event *event)
{
    const tspi_span *span = &set->spans[event->span];
    return (stamp){span->trace, span->process, span->name, 0, event->number, event->at_ns, event->span, false};
}

/* Events inside one span: each no earlier than the one numbered before it. */
static tsp_status check_events(checker *c)
{
    const tspi_span_set *set = c->join->set;
    tsp_status rc = TSP_OK;

    if (!set->events_n)
        return TSP_OK;
    tspi_event *events = malloc(set->events_n * sizeof *events);
    if (!events)
        return TSP_ENOMEM;
    memcpy(events, set->events, set->events_n * sizeof *events);
    qsort(events, set->events_n, sizeof *events, by_span_and_number);
    for (size_t k = 0; k < set->events_n && rc == TSP_OK; k++) {
        bool goes_on = k && events[k - 1].span == events[k].span;
        if (tspi_join_is_copy(c->join, events[k].span))
            continue;
        c->report->tokens++;
        c->report->streams += !goes_on;
        if (!goes_on || events[k - 1].number != events[k].number - 1)
            continue;
        stamp before = event_stamp(set, &events[k - 1]), now = event_stamp(set, &events[k]);
        tspi_hop hop = as_hop(c, &before, &now);
        if (!tspi_hop_is_violation(&hop))
            continue;
        c->report->anomalies++;
        if (c->sink)
            rc = c->sink(c->ctx, &hop, 1, c->err);
    }
    free(events);
    return rc;
}

static tsp_status check_sequences(checker *c)
{
    const tspi_span_set *set = c->join->set;
    stamp *stamps = malloc(set->sequences_n * sizeof *stamps);
    tsp_status rc = TSP_ENOMEM;
    size_t n = 0;

    c->number_of = calloc(set->spans_n, sizeof *c->number_of);
    if (!stamps || !c->number_of)
        goto out;
    for (size_t k = 0; k < set->sequences_n; k++)
        c->number_of[set->sequences[k].span] = (uint32_t)k + 1;
    for (size_t k = 0; k < set->sequences_n; k++)
        n += make_stamp(c, &set->sequences[k], &stamps[n]);
    qsort(stamps, n, sizeof *stamps, by_stream);
    rc = walk(c, stamps, n);
out:
    free(stamps);
    free(c->number_of);
    c->number_of = NULL;
    return rc;
}

static tsp_status check_join(void *ctx, const tspi_join *join, tsp_error *err)
{
    checker *c = ctx;
    tsp_status rc = TSP_OK;

    c->join = join;
    if (join->set->sequences_n)
        rc = check_sequences(c);
    if (rc == TSP_OK)
        rc = check_events(c);
    if (rc == TSP_ENOMEM)
        return tsp_error_set(err, rc, "memory is exhausted ordering %zu tokens", join->set->sequences_n);
    return rc;
}

tsp_status tspi_tokens_check(const tspi_join *join, tspi_hop_sink sink, void *ctx, tspi_token_report *ret_report,
                             tsp_error *err)
{
    checker c = {.sink = sink, .ctx = ctx, .err = err, .report = ret_report};

    *ret_report = (tspi_token_report){0};
    return tspi_join_each(join, check_join, &c, err);
}
