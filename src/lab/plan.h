/* An experiment's plan: its runs, and the blocks that they are cut into, in the order in which they are done. */
#ifndef TSPI_LAB_PLAN_H
#define TSPI_LAB_PLAN_H

#include "lab/lab_result.h"
#include "lab/node.h"
#include "lab/spec.h"

typedef struct {
    enum { TSPI_WARM_UP, TSPI_POINT, TSPI_PAIR } kind;
    uint32_t run;  /* TSPI_POINT: row of runs */
    uint32_t skew; /* TSPI_PAIR: row of the throughput results */
    bool on;       /* TSPI_PAIR */
    uint32_t pair; /* TSPI_PAIR: number of the pair within its skew */
} tspi_planned;

/* Zero it to initialise. */
typedef struct {
    tspi_planned *blocks; /* owned */
    uint32_t n;
} tspi_plan;

/* The rows of result's runs and throughput, nothing measured yet; their folders are below result->folder. */
tsp_status tspi_plan_runs(const tspi_spec *spec, tspi_lab_result *result, tsp_error *err);

/* The blocks of these runs: first the warm-up, then rounds over all points, then pairs for the throughput. */
tsp_status tspi_plan_make(const tspi_spec *spec, const tspi_lab_result *result, tspi_plan *ret_plan, tsp_error *err);

/* What nodes are told of the block at row `at`. id: no other block of the experiment's has it. */
tspi_block tspi_plan_block(const tspi_spec *spec, const tspi_lab_result *result, const tspi_plan *plan, uint32_t at,
                           uint32_t id);

/* "the traces of 5ms, saturated": what a block is part of, for a sentence. */
void tspi_plan_name(const tspi_lab_result *result, const tspi_planned *planned, char *ret_name, size_t size);
/* "throughput, 5ms on": the same, for a progress line. */
void tspi_plan_phase(const tspi_lab_result *result, const tspi_planned *planned, char *ret_phase, size_t size);

void tspi_plan_release(tspi_plan *plan);

#endif
