#include "causal/quantum.h"

#include <stdlib.h>

/* 10^-6: how rarely chance may pass for a grid. */
#define EVIDENCE_DIGITS 6
#define MAX_LOG 6

static const int64_t power[MAX_LOG + 1] = {1, 10, 100, 1000, 10000, 100000, 1000000};

void tspi_quantum_grids_init(tspi_quantum_grid *grids, size_t n)
{
    for (size_t p = 0; p < n; p++)
        grids[p] = (tspi_quantum_grid){.unit_log = MAX_LOG, .root_log = MAX_LOG};
}

tsp_status tspi_quantum_finder_init(tspi_quantum_finder *finder, size_t processes_n)
{
    finder->n = processes_n;
    finder->grids = calloc(processes_n + 1, sizeof *finder->grids);
    if (!finder->grids)
        return TSP_ENOMEM;
    tspi_quantum_grids_init(finder->grids, processes_n);
    return TSP_OK;
}

void tspi_quantum_finder_release(tspi_quantum_finder *finder)
{
    free(finder->grids);
    finder->grids = NULL;
}

/* Divisions by known numbers are cheap, and most stamps are fine or whole microseconds. */
static inline void narrow(uint8_t *log, int64_t ns)
{
    if (*log == 0 || (*log == 3 && ns % 1000 == 0) || (*log == 6 && ns % 1000000 == 0))
        return;
    while (*log && ns % power[*log])
        --*log;
}

static inline void add_stamp(tspi_quantum_grid *g, int64_t ns)
{
    if (ns == TSPI_NO_STAMP)
        return;
    g->stamps++;
    narrow(&g->unit_log, ns);
}

void tspi_quantum_add(tspi_quantum_finder *finder, const tspi_span *span, bool local_root)
{
    tspi_quantum_grid *g = &finder->grids[span->process];

    add_stamp(g, span->start_ns);
    add_stamp(g, span->end_ns);
    if (local_root && span->start_ns != TSPI_NO_STAMP) {
        g->roots++;
        narrow(&g->root_log, span->start_ns);
    }
}

void tspi_quantum_grids_merge(tspi_quantum_grid *to, const tspi_quantum_grid *from, size_t n)
{
    for (size_t p = 0; p < n; p++) {
        to[p].stamps += from[p].stamps;
        to[p].roots += from[p].roots;
        if (from[p].unit_log < to[p].unit_log)
            to[p].unit_log = from[p].unit_log;
        if (from[p].root_log < to[p].root_log)
            to[p].root_log = from[p].root_log;
    }
}

void tspi_quantum_finish(const tspi_quantum_finder *finder, tspi_quantum *ret_quanta)
{
    tspi_quantum_grids_finish(finder->grids, finder->n, ret_quanta);
}

void tspi_quantum_grids_finish(const tspi_quantum_grid *grids, size_t n, tspi_quantum *ret_quanta)
{
    for (size_t p = 0; p < n; p++) {
        const tspi_quantum_grid *g = &grids[p];
        uint64_t unit = g->stamps * g->unit_log >= EVIDENCE_DIGITS ? g->unit_log : 0;
        uint64_t root = g->root_log > unit && g->roots * (g->root_log - unit) >= EVIDENCE_DIGITS ? g->root_log : unit;
        ret_quanta[p].unit_ns = power[unit];
        ret_quanta[p].quantum_ns = power[root];
    }
}
