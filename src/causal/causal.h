/* From span rows to hops and edges in one call: what the lab, check, the solver and the gateway begin with.
 *
 *     tspi_span_set ──identify──▶ clocks ──join──▶ parents ──hops──▶ edges, tokens
 *
 * After it, tspi_hops_scan(&causal.join, ...) streams the hops and tspi_hops_collect stores them. */
#ifndef TSPI_CAUSAL_CAUSAL_H
#define TSPI_CAUSAL_CAUSAL_H

#include "causal/clock_identity.h"
#include "causal/edges.h"
#include "causal/hops.h"
#include "causal/join.h"
#include "causal/tokens.h"

typedef struct {
    const char *clock_key;        /* NULL = the default order */
    unsigned threads;             /* 0 = one a core */
    bool counts;                  /* of edges, as in tspi_edges_wanted */
    struct tspi_windows *windows; /* what was put aside while the set was read (windows.h); borrowed, or NULL */
} tspi_causal_options;

/* Zero it to initialise. Owned: release. The set is borrowed and must outlive it; its rows stay as they are. */
typedef struct {
    tspi_clock_table clocks; /* names and keys; processes[].clock of the set points here */
    tspi_join join;
    tspi_edges edges;
    tspi_token_report tokens;
} tspi_causal;

/* options may be NULL. Errors: TSP_EINVAL (the clock key), TSP_ENOMEM, TSP_ERANGE. On failure nothing needs releasing.
 */
tsp_status tspi_causal_init(tspi_causal *ret_causal, tspi_span_set *set, const tspi_causal_options *options,
                            tsp_error *err);
void tspi_causal_release(tspi_causal *causal);

#endif
