/* Who caused whom: every span's parent and every link's target as rows, over all files of a set.
 *
 * Rows are sorted by trace first (4 bytes a span, gone when the join is done), then each trace is joined by itself,
 * with tables that fit the nearest cache (kin.h). What stays is 4 bytes a span and 4 a link. */
#ifndef TSPI_CAUSAL_JOIN_H
#define TSPI_CAUSAL_JOIN_H

#include "span/span.h"

/* How coarsely a process stamps, as powers of ten of ns.
 * unit     all its stamps are multiples of it: the format's or the exporter's own resolution
 * quantum  the starts of its local roots are: what is stamped below a root inherits the root's error (Java floors
 *          one wall reading a local trace to 1 ms). At least unit. */
typedef struct {
    int64_t unit_ns, quantum_ns; /* 1 = as fine as can be */
} tspi_quantum;

/* What a process's stamps have in common so far: what quanta are found from. */
typedef struct {
    uint64_t stamps, roots;
    uint8_t unit_log, root_log; /* largest powers of ten that divide all of them so far */
} tspi_quantum_grid;

struct tspi_windows;

typedef struct {
    const tspi_span_set *set; /* borrowed */
    uint32_t *parent;         /* owned; a row a span, or TSPI_NONE */
    uint32_t *link_target;    /* owned; a row a link, or TSPI_NONE */
    uint64_t *copies;         /* owned; a bit a span: the very same span, read before. NULL = none */
    tspi_quantum *quanta;     /* owned; a row a process */
    tspi_quantum_grid *grids; /* owned; likewise */
    size_t grids_n;
    struct tspi_windows *windows; /* borrowed: what has been put aside (windows.h); NULL = nothing */
    uint64_t copies_n;            /* spans that stand in the input more than once, beyond the first */
    uint64_t clashes_n;           /* spans with the id of another span of the trace, halves of shared spans apart */
    uint64_t shared_n;            /* server halves joined to the client half of the same id */
    uint64_t missing_parents_n, missing_links_n; /* named, but not in the input */
    uint64_t cycles_n;                           /* rings of parents, each cut once */
    uint64_t traces_n;                           /* that have spans */
} tspi_join;

/* threads: 0 = one a core; the result does not depend on it. Clocks must have been decided (tspi_clocks_identify), and
 * no row may be added to the set before the join is released.
 * Errors: TSP_ENOMEM; TSP_ERANGE: too many rows. On failure nothing needs releasing. */
tsp_status tspi_join_init(tspi_join *ret_join, const tspi_span_set *set, unsigned threads, tsp_error *err);
void tspi_join_release(tspi_join *join);

static inline bool tspi_join_is_copy(const tspi_join *join, size_t span)
{
    return join->copies && (join->copies[span / 64] >> (span % 64) & 1);
}

#endif
