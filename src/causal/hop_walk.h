/* The one walk over a join that makes hops of it (hops.h says which), for whoever wants each as it comes: inlined with
 * what is done with a hop, which then is never written to memory. Others take runs, tspi_hops_scan. */
#ifndef TSPI_CAUSAL_HOP_WALK_H
#define TSPI_CAUSAL_HOP_WALK_H

#include "base/bits.h"
#include "causal/hops.h"
#include "causal/quantum.h"

#define TSPI_INLINED static inline __attribute__((always_inline))

/* false ends the walk. */
typedef bool (*tspi_hop_taker)(void *ctx, const tspi_hop *hop);

/* One end of a pair. */
typedef struct {
    const tspi_span *span;
    uint32_t row, process, clock;
} tspi_pair_end;

TSPI_INLINED tspi_pair_end tspi_pair_end_of(const tspi_join *join, uint32_t row)
{
    const tspi_span *span = &join->set->spans[row];

    return (tspi_pair_end){span, row, span->process, join->set->processes[span->process].clock};
}

TSPI_INLINED bool tspi_walk_give(const tspi_join *join, const tspi_pair_end *from, const tspi_pair_end *to,
                                 int64_t sent_ns, int64_t received_ns, uint8_t kind, uint8_t relation,
                                 tspi_hop_taker take, void *ctx)
{
    bool is_end = relation == TSPI_HOP_RECEIVE || relation == TSPI_HOP_REPLY;

    if (sent_ns == TSPI_NO_STAMP || received_ns == TSPI_NO_STAMP)
        return true;
    tspi_hop hop = {.from_clock = from->clock,
                    .to_clock = to->clock,
                    .from_span = from->row,
                    .to_span = to->row,
                    .set = join->set,
                    .sent_ns = sent_ns,
                    .received_ns = received_ns,
                    .allowance_ns = tspi_quantum_allowance(&join->quanta[to->process], is_end),
                    .kind = kind,
                    .relation = relation,
                    .same_clock = from->clock == to->clock,
                    .same_process = from->process == to->process};
    return take(ctx, &hop);
}

static inline bool tspi_is_producer(const tspi_span *span)
{
    return span->kind == TSPI_KIND_PRODUCER || span->operation == TSPI_OPERATION_SEND ||
           span->operation == TSPI_OPERATION_CREATE;
}

/* cause -> effect, where effect names cause as its parent or by a link. */
TSPI_INLINED bool tspi_walk_cause(const tspi_join *join, const tspi_pair_end *cause, const tspi_pair_end *effect,
                                  uint8_t relation, bool lean, tspi_hop_taker take, void *ctx)
{
    const tspi_span *from = cause->span, *to = effect->span;

    if (lean && cause->clock == effect->clock)
        return true;
    int64_t received_ns = to->start_ns;
    if (to->operation == TSPI_OPERATION_RECEIVE && (relation == TSPI_HOP_LINK || tspi_is_producer(from))) {
        received_ns = to->end_ns;
        relation = TSPI_HOP_RECEIVE;
    } else if (to->kind == TSPI_KIND_CONSUMER && tspi_is_producer(from))
        relation = TSPI_HOP_DELIVERY;
    return tspi_walk_give(join, cause, effect, from->start_ns, received_ns, TSPI_HOP_HARD, relation, take, ctx);
}

/* Both ends of the call have a length and went well: only then does the server's end bound the client's. */
static inline bool tspi_is_answered(const tspi_span *client, const tspi_span *server)
{
    return client->kind == TSPI_KIND_CLIENT && server->kind == TSPI_KIND_SERVER &&
           !((client->flags | server->flags) & (TSPI_SPAN_ERROR | TSPI_SPAN_TIMEOUT)) &&
           client->start_ns != TSPI_NO_STAMP && server->start_ns != TSPI_NO_STAMP &&
           client->end_ns > client->start_ns && server->end_ns > server->start_ns;
}

static inline bool tspi_is_left_out(const tspi_hop_range *range, uint32_t from, uint32_t to)
{
    return range->rows && !tspi_bits_has(range->rows, from) && !tspi_bits_has(range->rows, to);
}

/* Parents lie anywhere in the input: ask for them some spans ahead. Rows of 48 bytes may lie on two lines. */
#define TSPI_WALK_AHEAD 24

TSPI_INLINED bool tspi_walk_parents(const tspi_join *join, const tspi_hop_range *range, tspi_hop_taker take, void *ctx)
{
    const uint32_t *parents = join->parent;
    const tspi_span *spans = join->set->spans;
    size_t end = range->spans_end;

    for (size_t k = range->first_span; k < end; k++) {
        uint32_t child = (uint32_t)k, parent = parents[k];
        if (k + TSPI_WALK_AHEAD < end && parents[k + TSPI_WALK_AHEAD] != TSPI_NONE) {
            const char *ahead = (const char *)&spans[parents[k + TSPI_WALK_AHEAD]];
            __builtin_prefetch(ahead);
            __builtin_prefetch(ahead + sizeof *spans - 1);
        }
        if (parent == TSPI_NONE || tspi_is_left_out(range, parent, child))
            continue;
        tspi_pair_end up = tspi_pair_end_of(join, parent), down = tspi_pair_end_of(join, child);
        uint8_t relation = up.span->span_id == down.span->span_id ? TSPI_HOP_SHARED : TSPI_HOP_PARENT;
        if (!tspi_walk_cause(join, &up, &down, relation, range->lean, take, ctx))
            return false;
        if (tspi_is_answered(up.span, down.span) &&
            !tspi_walk_give(join, &down, &up, down.span->end_ns, up.span->end_ns, TSPI_HOP_SOFT, TSPI_HOP_REPLY, take,
                            ctx))
            return false;
    }
    return true;
}

/* Jaeger may refer to one span twice (CHILD_OF and FOLLOWS_FROM), always close together; a batch of thousands of links
 * must not be compared all with all. */
#define TSPI_LINKS_BACK 8

static inline bool tspi_link_repeats(const tspi_join *join, size_t link)
{
    const tspi_link_row *links = join->set->links;

    for (size_t k = link; k-- > 0 && link - k <= TSPI_LINKS_BACK && links[k].from == links[link].from;)
        if (join->link_target[k] == join->link_target[link])
            return true;
    return false;
}

TSPI_INLINED bool tspi_walk_links(const tspi_join *join, const tspi_hop_range *range, tspi_hop_taker take, void *ctx)
{
    for (size_t k = range->first_link; k < range->links_end; k++) {
        uint32_t carrier = join->set->links[k].from, target = join->link_target[k];
        /* A link that repeats the parent, or another link, would count the same pair twice. */
        if (target == TSPI_NONE || target == carrier || target == join->parent[carrier] ||
            tspi_join_is_copy(join, carrier) || tspi_is_left_out(range, target, carrier) || tspi_link_repeats(join, k))
            continue;
        tspi_pair_end from = tspi_pair_end_of(join, target), to = tspi_pair_end_of(join, carrier);
        if (!tspi_walk_cause(join, &from, &to, TSPI_HOP_LINK, range->lean, take, ctx))
            return false;
    }
    return true;
}

TSPI_INLINED bool tspi_hops_walk(const tspi_join *join, const tspi_hop_range *range, tspi_hop_taker take, void *ctx)
{
    return tspi_walk_parents(join, range, take, ctx) && tspi_walk_links(join, range, take, ctx);
}

#endif
