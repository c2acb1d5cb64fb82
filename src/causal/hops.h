/* Hops: causal pairs of stamps, by DESIGN's table "Hops from spans".
 *
 *   parent -> child, link target -> carrier     start <= start   hard
 *   producer -> consumer that processes         start <= start   hard
 *   producer -> span that receives              start <= end     hard (it may have begun to poll before the message
 * was) client > server of one call                 server's end <= client's end   soft; none when either failed, ran
 * into a deadline, or has no length Pairs on one clock come out too, with same_clock set: they are checked but
 * constrain nothing. A pair that lacks a stamp gives no hop; so do copies of spans already read. */
#ifndef TSPI_CAUSAL_HOPS_H
#define TSPI_CAUSAL_HOPS_H

#include "causal/join.h"

enum tspi_hop_kind {
    TSPI_HOP_HARD,
    TSPI_HOP_SOFT,
    TSPI_HOP_CHECK, /* order of numbered tokens: no message passed, so it constrains no clock */
};

enum tspi_hop_relation {
    TSPI_HOP_PARENT,   /* parent -> child */
    TSPI_HOP_SHARED,   /* client half -> server half of one span id */
    TSPI_HOP_LINK,     /* link target -> carrier */
    TSPI_HOP_DELIVERY, /* producer -> consumer */
    TSPI_HOP_RECEIVE,  /* producer -> receive, to its end */
    TSPI_HOP_REPLY,    /* server's end -> client's end */
    TSPI_HOP_TOKEN,
};

typedef struct {
    uint32_t from_clock, to_clock;
    uint32_t from_span, to_span;  /* rows; of a reply the server and the client */
    const tspi_span_set *set;     /* theirs: it may be another in each run of hops (windows.h) */
    int64_t sent_ns, received_ns; /* as stamped by from_clock and to_clock */
    int64_t allowance_ns;         /* sent - received below it is within the receiver's quantum; >= 1 */
    uint8_t kind, relation;       /* enum tspi_hop_kind, tspi_hop_relation */
    bool same_clock, same_process;
} tspi_hop;

static inline int64_t tspi_hop_slack_ns(const tspi_hop *hop)
{
    return hop->received_ns - hop->sent_ns;
}

/* The stamps contradict the order, and not only by how coarsely they were taken. */
static inline bool tspi_hop_is_violation(const tspi_hop *hop)
{
    return hop->sent_ns - hop->received_ns >= hop->allowance_ns;
}

/* Received before sent, but by less than the receiver's quantum. */
static inline bool tspi_hop_is_within_quantum(const tspi_hop *hop)
{
    return hop->received_ns < hop->sent_ns && !tspi_hop_is_violation(hop);
}

/* Hops come in runs of at most TSPI_HOP_RUN, borrowed for the call. Anything but TSP_OK ends the scan. */
enum { TSPI_HOP_RUN = 128 };
typedef tsp_status (*tspi_hop_sink)(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err);

/* Every hop of the set, in the order of the rows that carry them: first parents and replies, then links. Run it as
 * often as needed: it costs little and stores nothing. */
tsp_status tspi_hops_scan(const tspi_join *join, tspi_hop_sink sink, void *ctx, tsp_error *err);

/* The same over a stretch of span rows and of link rows of the join's own set, so that several threads can share the
 * work.
 * rows    bits of span rows: only hops of which an end is one of them; NULL: all
 * lean    no hard hops on one clock, which say nothing of clocks nor of how often answers are late */
typedef struct {
    size_t first_span, spans_end, first_link, links_end;
    const uint64_t *rows;
    bool lean;
} tspi_hop_range;
tsp_status tspi_hops_scan_range(const tspi_join *join, const tspi_hop_range *range, tspi_hop_sink sink, void *ctx,
                                tsp_error *err);

/* As tspi_hops_scan, without hard hops on one clock. */
tsp_status tspi_hops_scan_lean(const tspi_join *join, tspi_hop_sink sink, void *ctx, tsp_error *err);

/* All hops between different clocks in one array (owned by the caller: free). For the solver and the lab. */
tsp_status tspi_hops_collect(const tspi_join *join, bool with_same_clock, tspi_hop **ret_hops, size_t *ret_n,
                             tsp_error *err);

#endif
