/* Inputs with more spans than memory holds: a window of rows moves over them.
 *
 * When the window is full, traces that have not been heard of for half of it are joined and put aside in a file without
 * a name ($TMPDIR, else /var/tmp), 52 bytes a span; the others stay. Traces tied by links stay together. Afterwards
 * tspi_join_each gives all windows back, one after another, so whatever streams over hops sees all of them: the results
 * are those of a run in memory, unless a span came later than that. Late spans are counted: they find no parent. */
#ifndef TSPI_CAUSAL_WINDOWS_H
#define TSPI_CAUSAL_WINDOWS_H

#include "causal/join.h"

typedef struct tspi_windows tspi_windows;

typedef struct {
    uint64_t windows, spans, traces; /* put aside */
    uint64_t late_spans; /* came when their trace had been put aside; at_least: or before what is remembered */
    uint64_t late_links; /* to spans that had been put aside */
    bool at_least;
} tspi_windows_report;

/* max_spans: rows to hold at once; 0 = as many as half of the memory that this process may use.
 * pin: a trace that is never put aside, or zeros. clock_key is borrowed. NULL: memory is exhausted. */
tspi_windows *tspi_windows_new(size_t max_spans, tspi_trace_id pin, const char *clock_key);
void tspi_windows_free(tspi_windows *windows);

/* Put aside what has to be when the set is full; else do nothing. windows as void, for tspi_wire_options.between.
 * Errors: TSP_EIO: no room on the disk; TSP_ENOMEM. */
tsp_status tspi_windows_turn(void *windows, tspi_span_set *set, tsp_error *err);

/* To the join of what is left in the set: it speaks for all windows from now on (counters, quanta, tspi_join_each).
 * windows is borrowed and must outlive it. */
void tspi_windows_attach(tspi_windows *windows, tspi_join *join);

tspi_windows_report tspi_windows_report_of(const tspi_windows *windows);

/* Rows that are held at once. */
size_t tspi_windows_holds(const tspi_windows *windows);

/* fn for the join of each window, and then for this one. The joins of windows live for the call; their sets have spans,
 * traces, processes, links, sequences and events. Errors: TSP_EIO, TSP_ENOMEM, or what fn says. */
typedef tsp_status (*tspi_join_fn)(void *ctx, const tspi_join *join, tsp_error *err);
tsp_status tspi_join_each(const tspi_join *join, tspi_join_fn fn, void *ctx, tsp_error *err);

#endif
