/* What runs an experiment's blocks: the lab's processes on real transports (lab_runner.c), or nodes in virtual time
 * (src/sim). The experiment, its plan and its figures are the same for both. */
#ifndef TSPI_LAB_RUNNER_H
#define TSPI_LAB_RUNNER_H

#include <signal.h>

#include "lab/lab_result.h"
#include "lab/memory_log.h"
#include "lab/node.h"

/* How far a block is. */
typedef struct {
    uint64_t requests, tokens; /* since the nodes started */
} tspi_progress;

typedef struct {
    const tspi_spec *spec;
    const char *folder; /* holds spec.yaml */
    bool netns;         /* as pick said */
    void (*on_progress)(void *ctx, const tspi_progress *progress);
    void *ctx;
    tspi_engine *engine;                      /* what ops->engine opened, borrowed; NULL: it opens none */
    tspi_memory_log *memory;                  /* takes what processes say of their memory; may be NULL */
    const volatile sig_atomic_t *interrupted; /* may be NULL */
} tspi_runner_config;

typedef struct tspi_runner tspi_runner;

struct tspi_runner_ops {
    bool is_virtual; /* blocks take no real time to speak of */
    /* How nodes will be separated: fills result->netns and result->how, or says why it cannot be. */
    tsp_status (*pick)(const tspi_spec *spec, tspi_lab_result *result, tsp_error *err);
    /* The engine that the reference is made with, which stays open as long as there is a runner; NULL: one of its own.
     */
    tsp_status (*engine)(const tspi_spec *spec, tspi_engine **ret_engine, tsp_error *err);
    /* Start every node. config is borrowed for the runner's life. */
    tsp_status (*start)(const tspi_runner_config *config, tspi_runner **ret_runner, tsp_error *err);
    /* Lead all nodes through a block, on saturated machines if asked.
     * TSP_EINTERRUPTED: the user asked to stop; what there is was written all the same. */
    tsp_status (*block)(tspi_runner *runner, const tspi_block *block, bool saturated, tspi_block_result *ret_result,
                        tsp_error *err);
    void (*stop)(tspi_runner *runner); /* NULL is fine */
};

/* Every runner's own struct begins with this. */
struct tspi_runner {
    const struct tspi_runner_ops *ops;
};

extern const struct tspi_runner_ops tspi_lab_runner;

#endif
