#include "causal/quantum.h"

#include <stdlib.h>

/* 10^-6: how rarely chance may pass for a grid. */
#define EVIDENCE_DIGITS 6
#define MAX_LOG 6

typedef struct {
    uint64_t stamps, roots;
    uint8_t unit_log, root_log; /* largest powers of ten that divide all of them so far */
} grid;

static const int64_t power[MAX_LOG + 1] = {1, 10, 100, 1000, 10000, 100000, 1000000};

static void narrow(uint8_t *log, int64_t ns)
{
    while (*log && ns % power[*log])
        --*log;
}

static void add_stamp(grid *g, int64_t ns)
{
    if (ns == TSPI_NO_STAMP)
        return;
    g->stamps++;
    narrow(&g->unit_log, ns);
}

tsp_status tspi_quantum_find(tspi_join *join)
{
    const tspi_span_set *set = join->set;
    grid *grids = calloc(set->processes_n + 1, sizeof *grids);

    if (!grids)
        return TSP_ENOMEM;
    for (size_t p = 0; p < set->processes_n; p++)
        grids[p].unit_log = grids[p].root_log = MAX_LOG;
    for (size_t k = 0; k < set->spans_n; k++) {
        const tspi_span *span = &set->spans[k];
        grid *g = &grids[span->process];
        uint32_t parent = join->parent[k];
        add_stamp(g, span->start_ns);
        add_stamp(g, span->end_ns);
        if ((parent == TSPI_NONE || set->spans[parent].process != span->process) && span->start_ns != TSPI_NO_STAMP) {
            g->roots++;
            narrow(&g->root_log, span->start_ns);
        }
    }
    for (size_t p = 0; p < set->processes_n; p++) {
        const grid *g = &grids[p];
        uint64_t unit = g->stamps * g->unit_log >= EVIDENCE_DIGITS ? g->unit_log : 0;
        uint64_t root = g->root_log > unit && g->roots * (g->root_log - unit) >= EVIDENCE_DIGITS ? g->root_log : unit;
        join->quanta[p].unit_ns = power[unit];
        join->quanta[p].quantum_ns = power[root];
    }
    free(grids);
    return TSP_OK;
}
