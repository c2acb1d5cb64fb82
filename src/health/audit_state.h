/* An audit while it is made, and what is left of it: the result behind include/truespan/check.h. */
#ifndef TSPI_HEALTH_AUDIT_STATE_H
#define TSPI_HEALTH_AUDIT_STATE_H

#include "causal/causal.h"
#include "causal/cause.h"
#include "causal/windows.h"
#include "mend/judge.h"
#include "truespan/check.h"
#include "wire/wire.h"

struct tsp_check {
    tspi_arena arena; /* text of all rows */
    tsp_check_totals totals;
    tsp_check_edge *edges; /* owned, like all arrays */
    size_t edges_n;
    tsp_check_clock *clocks;
    size_t clocks_n;
    tsp_check_pair *pairs;
    size_t pairs_n, pairs_cap;
    tsp_check_example *examples;
    size_t examples_n;
    tsp_check_span *tree;
    size_t tree_n;
    const char **advice;
    size_t advice_n, advice_cap;
};

/* What exists only until the result stands. */
typedef struct {
    const tsp_check_options *options;
    tsp_check *check;
    tspi_span_set set;
    tspi_read_report report;
    tspi_windows *windows; /* what did not fit in memory */
    tspi_causal causal;
    tspi_evidence evidence;
    const char **clock_names;              /* in check's arena */
    uint64_t (*edge_causes)[TSP_CAUSES_N]; /* a row an edge of causal.edges */
    tspi_mend_judge judge;                 /* the solver's opinion of clocks and causes */
    bool solved;                           /* there is one */
    bool borrowed;                         /* set, report and causal are a mend's */
    uint32_t *references;                  /* owned; solved: a clock each, against which it is judged */
    double max_drift_ppm;
    uint64_t hop_index;
} tspi_audit;

/* What the solver said of a clock, or NULL. */
const tsp_clock_result *tspi_audit_clock(const tspi_audit *audit, uint32_t clock);

/* The solver's opinion of causes, or NULL. */
const tspi_judge *tspi_audit_judge(const tspi_audit *audit);

/* The clock against which a clock is judged: itself where there is no other. */
uint32_t tspi_audit_reference(const tspi_audit *audit, uint32_t clock);

/* One more sentence; false when memory is exhausted. */
bool tspi_audit_say(tspi_audit *audit, const char *format, ...) TSP_PRINTF(2, 3);

#endif
