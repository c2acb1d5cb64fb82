/* The hop store: hops between different clocks, sorted by edge and then by sent stamp, so that every pass over them is
 * one walk through memory; same-clock hops are only counted. */
#ifndef TSPI_SOLVE_HOP_STORE_H
#define TSPI_SOLVE_HOP_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "truespan/base.h"
#include "truespan/clocks.h"

enum {
    TSPI_STORED_SOFT = 1,
    TSPI_STORED_BOUND = 2,      /* external knowledge, not traffic */
    TSPI_STORED_LATE = 4,       /* fenced off */
    TSPI_STORED_CONFLICT = 8,   /* set aside: part of a contradiction */
    TSPI_STORED_UNCOUNTED = 16, /* soft, without a quorum */
    TSPI_STORED_SENT_SIDE = 32, /* the sent stamp lies beside a step and has chosen its side (sides.h) */
    TSPI_STORED_RECV_SIDE = 64,
    TSPI_STORED_ASIDE = 128,       /* far off the sparse start's line: does not estimate */
    TSPI_STORED_AMBIGUOUS = 256,   /* so near a step that its side is a guess: neither estimates nor bounds */
    TSPI_STORED_WEAK = 512,        /* convicts nobody (credible.h) */
    TSPI_STORED_ASKED = 1024,      /* bounds nothing, but was asked to hold (take_back.c) */
    TSPI_STORED_TAKEN_BACK = 2048, /* and shall */
};

typedef struct {
    int64_t sent, received;
    uint64_t tag;
    uint32_t from, to;
    uint32_t operation;
    uint32_t index;   /* order of adding; UINT32_MAX for a bound */
    uint32_t quantum; /* ns */
    uint16_t flags;
} tspi_stored_hop;

/* Hops first .. first + n of one ordered pair of clocks. */
typedef struct {
    uint32_t from, to;
    size_t first, n;
} tspi_stored_edge;

/* How often the soft hops of one operation lied on one clock, where no skew is possible. */
typedef struct {
    uint32_t operation;
    uint32_t calls, lies;
} tspi_lies;

typedef struct {
    tspi_stored_hop *hops; /* owned */
    size_t n, cap;
    size_t aside_n;       /* behind the n: of the last run, hops of edges set aside whole (contradicted.c) */
    size_t soft_n;        /* after tspi_hop_store_sort: of the hops, those that are soft */
    uint64_t added;       /* all that the caller added */
    uint32_t *same_clock; /* owned, sorted: indices of hops with from == to */
    size_t same_clock_n, same_clock_cap;
    tspi_lies *lies; /* owned; a hash table until sorted */
    size_t lies_n, lies_cap;
    tspi_stored_edge *edges; /* owned; after tspi_hop_store_sort */
    size_t edges_n;
    bool sorted;
    unsigned threads; /* for passes over the edges; 0 means 1 */
} tspi_hop_store;

void tspi_hop_store_release(tspi_hop_store *hops);
/* What was set aside whole is as the others again. */
void tspi_hop_store_gather(tspi_hop_store *hops);
/* Room for as many more, and what was set aside gathered. */
bool tspi_hop_store_reserve(tspi_hop_store *hops, size_t extra);
bool tspi_hop_store_add_same_clock(tspi_hop_store *hops, uint32_t index, uint32_t operation, bool soft, bool lied);

/* Group by edge, in ascending (from, to), each by (sent, received, kind, tag, index). False: out of memory. */
bool tspi_hop_store_sort(tspi_hop_store *hops);

/* The edge from edge->to to edge->from, or NULL; after tspi_hop_store_sort. */
const tspi_stored_edge *tspi_hop_store_back(const tspi_hop_store *hops, const tspi_stored_edge *edge);

/* Answers may come late as a rule, and bounds from outside are no traffic. */
static inline bool tspi_stored_is_hard(const tspi_stored_hop *hop)
{
    return !(hop->flags & (TSPI_STORED_BOUND | TSPI_STORED_SOFT));
}

/* Row of an operation's same-clock record, or NULL; after tspi_hop_store_sort. */
const tspi_lies *tspi_hop_store_lies(const tspi_hop_store *hops, uint32_t operation);

/* solver.c: a solver's hops, in the order of adding until it runs, then sorted. */
const tspi_hop_store *tspi_solver_hops(const tsp_solver *solver);
/* After a run: the hop was set aside with most others of its pair or clock (contradicted.c), which are not lies. */
bool tspi_solver_is_aside(const tsp_solver *solver, size_t index);

/* received + quantum - sent: what the hop says of offset[to] - offset[from] at most. Stamps are within TSP_STAMP_MAX,
 * so it fits. */
static inline int64_t tspi_stored_slack(const tspi_stored_hop *hop)
{
    return hop->received - hop->sent + hop->quantum;
}

#endif
