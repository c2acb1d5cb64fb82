#include "causal/hops.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "causal/quantum.h"
#include "causal/windows.h"

typedef struct {
    const tspi_join *join;
    const tspi_span *spans;
    const tspi_process *processes;
    const tspi_quantum *quanta;
    tspi_hop_sink sink;
    void *ctx;
    tsp_error *err;
    const uint64_t *rows; /* tspi_hop_range */
    bool lean;
    size_t n;
    tspi_hop run[TSPI_HOP_RUN];
} scanner;

static tsp_status flush(scanner *s)
{
    size_t n = s->n;

    s->n = 0;
    return n ? s->sink(s->ctx, s->run, n, s->err) : TSP_OK;
}

/* One end of a pair. */
typedef struct {
    const tspi_span *span;
    uint32_t row, process, clock;
} pair_end;

static inline pair_end end_of(const scanner *s, uint32_t row)
{
    const tspi_span *span = &s->spans[row];

    return (pair_end){span, row, span->process, s->processes[span->process].clock};
}

static inline __attribute__((always_inline)) void add(scanner *s, const pair_end *from, const pair_end *to,
                                                      int64_t sent_ns, int64_t received_ns, bool is_end, uint8_t kind,
                                                      uint8_t relation)
{
    if (sent_ns == TSPI_NO_STAMP || received_ns == TSPI_NO_STAMP)
        return;
    tspi_hop *hop = &s->run[s->n++];
    hop->from_clock = from->clock;
    hop->to_clock = to->clock;
    hop->from_span = from->row;
    hop->to_span = to->row;
    hop->set = s->join->set;
    hop->sent_ns = sent_ns;
    hop->received_ns = received_ns;
    hop->allowance_ns = tspi_quantum_allowance(&s->quanta[to->process], is_end);
    hop->kind = kind;
    hop->relation = relation;
    hop->same_process = from->process == to->process;
    hop->same_clock = from->clock == to->clock;
}

static inline bool is_producer(const tspi_span *span)
{
    return span->kind == TSPI_KIND_PRODUCER || span->operation == TSPI_OPERATION_SEND ||
           span->operation == TSPI_OPERATION_CREATE;
}

/* cause -> effect, where effect names cause as its parent or by a link. */
static inline __attribute__((always_inline)) void add_cause(scanner *s, const pair_end *cause, const pair_end *effect,
                                                            uint8_t relation)
{
    const tspi_span *from = cause->span, *to = effect->span;

    if (s->lean && cause->clock == effect->clock)
        return;
    if (to->operation == TSPI_OPERATION_RECEIVE && (relation == TSPI_HOP_LINK || is_producer(from))) {
        add(s, cause, effect, from->start_ns, to->end_ns, true, TSPI_HOP_HARD, TSPI_HOP_RECEIVE);
        return;
    }
    if (to->kind == TSPI_KIND_CONSUMER && is_producer(from))
        relation = TSPI_HOP_DELIVERY;
    add(s, cause, effect, from->start_ns, to->start_ns, false, TSPI_HOP_HARD, relation);
}

/* Both ends of the call have a length and went well: only then does the server's end bound the client's. */
static inline bool is_answered(const tspi_span *client, const tspi_span *server)
{
    return client->kind == TSPI_KIND_CLIENT && server->kind == TSPI_KIND_SERVER &&
           !((client->flags | server->flags) & (TSPI_SPAN_ERROR | TSPI_SPAN_TIMEOUT)) &&
           client->start_ns != TSPI_NO_STAMP && server->start_ns != TSPI_NO_STAMP &&
           client->end_ns > client->start_ns && server->end_ns > server->start_ns;
}

static inline bool is_left_out(const scanner *s, uint32_t from, uint32_t to)
{
    return s->rows && !tspi_bits_has(s->rows, from) && !tspi_bits_has(s->rows, to);
}

/* Parents lie anywhere in the input: ask for them some spans ahead. Rows of 48 bytes may lie on two lines. */
#define AHEAD 24

static inline void fetch(const tspi_span *span)
{
    __builtin_prefetch(span);
    __builtin_prefetch((const char *)span + sizeof *span - 1);
}

static tsp_status scan_parents(scanner *s, size_t first, size_t end)
{
    const uint32_t *parents = s->join->parent;
    tsp_status rc;

    for (size_t k = first; k < end; k++) {
        uint32_t child = (uint32_t)k, parent = parents[k];
        if (k + AHEAD < end && parents[k + AHEAD] != TSPI_NONE)
            fetch(&s->spans[parents[k + AHEAD]]);
        if (parent == TSPI_NONE || is_left_out(s, parent, child))
            continue;
        pair_end up = end_of(s, parent), down = end_of(s, child);
        add_cause(s, &up, &down, up.span->span_id == down.span->span_id ? TSPI_HOP_SHARED : TSPI_HOP_PARENT);
        if (is_answered(up.span, down.span))
            add(s, &down, &up, down.span->end_ns, up.span->end_ns, true, TSPI_HOP_SOFT, TSPI_HOP_REPLY);
        if (s->n + 2 > TSPI_HOP_RUN && (rc = flush(s)) != TSP_OK)
            return rc;
    }
    return TSP_OK;
}

/* Jaeger may refer to one span twice (CHILD_OF and FOLLOWS_FROM), always close together; a batch of thousands of links
 * must not be compared all with all. */
#define LINKS_BACK 8

static bool repeats(const tspi_join *join, size_t link)
{
    const tspi_link_row *links = join->set->links;

    for (size_t k = link; k-- > 0 && link - k <= LINKS_BACK && links[k].from == links[link].from;)
        if (join->link_target[k] == join->link_target[link])
            return true;
    return false;
}

static tsp_status scan_links(scanner *s, size_t first, size_t end)
{
    const tspi_join *join = s->join;
    tsp_status rc;

    for (size_t k = first; k < end; k++) {
        uint32_t carrier = join->set->links[k].from, target = join->link_target[k];
        /* A link that repeats the parent, or another link, would count the same pair twice. */
        if (target == TSPI_NONE || target == carrier || target == join->parent[carrier] ||
            tspi_join_is_copy(join, carrier) || is_left_out(s, target, carrier) || repeats(join, k))
            continue;
        pair_end from = end_of(s, target), to = end_of(s, carrier);
        add_cause(s, &from, &to, TSPI_HOP_LINK);
        if (s->n + 2 > TSPI_HOP_RUN && (rc = flush(s)) != TSP_OK)
            return rc;
    }
    return TSP_OK;
}

tsp_status tspi_hops_scan_range(const tspi_join *join, const tspi_hop_range *range, tspi_hop_sink sink, void *ctx,
                                tsp_error *err)
{
    scanner s;

    s.join = join;
    s.spans = join->set->spans;
    s.processes = join->set->processes;
    s.quanta = join->quanta;
    s.sink = sink;
    s.ctx = ctx;
    s.err = err;
    s.rows = range->rows;
    s.lean = range->lean;
    s.n = 0;
    tsp_status rc = scan_parents(&s, range->first_span, range->spans_end);
    if (rc == TSP_OK)
        rc = scan_links(&s, range->first_link, range->links_end);
    return rc == TSP_OK ? flush(&s) : rc;
}

typedef struct {
    tspi_hop_sink sink;
    void *ctx;
    bool lean;
} taker;

static tsp_status scan_join(void *ctx, const tspi_join *join, tsp_error *err)
{
    const taker *t = ctx;
    tspi_hop_range all = {.spans_end = join->set->spans_n, .links_end = join->set->links_n, .lean = t->lean};

    return tspi_hops_scan_range(join, &all, t->sink, t->ctx, err);
}

tsp_status tspi_hops_scan(const tspi_join *join, tspi_hop_sink sink, void *ctx, tsp_error *err)
{
    return tspi_join_each(join, scan_join, &(taker){sink, ctx, false}, err);
}

tsp_status tspi_hops_scan_lean(const tspi_join *join, tspi_hop_sink sink, void *ctx, tsp_error *err)
{
    return tspi_join_each(join, scan_join, &(taker){sink, ctx, true}, err);
}

typedef struct {
    tspi_hop *hops;
    size_t n, cap;
    bool with_same_clock;
} collector;

static tsp_status collect(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    collector *c = ctx;

    if (c->n + n > c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 4096;
        tspi_hop *bigger = realloc(c->hops, cap * sizeof *bigger);
        if (!bigger)
            return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by %zu hops", c->n);
        c->hops = bigger;
        c->cap = cap;
    }
    for (size_t k = 0; k < n; k++)
        if (c->with_same_clock || !hops[k].same_clock)
            c->hops[c->n++] = hops[k];
    return TSP_OK;
}

tsp_status tspi_hops_collect(const tspi_join *join, bool with_same_clock, tspi_hop **ret_hops, size_t *ret_n,
                             tsp_error *err)
{
    collector c = {.with_same_clock = with_same_clock};
    tsp_status rc = tspi_hops_scan(join, collect, &c, err);

    if (rc != TSP_OK) {
        free(c.hops);
        return rc;
    }
    *ret_hops = c.hops;
    *ret_n = c.n;
    return TSP_OK;
}
