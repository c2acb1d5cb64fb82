/* The experiment: a sweep of skews on one pipeline that stays up, in shuffled blocks, and a comparison of throughput
 * with skew on and off, in shuffled pairs of blocks. */
#ifndef TSPI_LAB_EXPERIMENT_H
#define TSPI_LAB_EXPERIMENT_H

#include <signal.h>

#include "lab/lab_result.h"
#include "lab/runner.h"
#include "lab/spec.h"

/* What is going on, for a progress line. */
typedef struct {
    const char *phase;        /* "warming up", "5ms", "throughput, 5ms on" */
    uint32_t block, blocks_n; /* blocks_n 0: the pipeline is not up yet */
    uint64_t requests, tokens;
    double tokens_per_s, eta_s; /* eta_s < 0: not known yet */
} tspi_experiment_progress;

typedef struct {
    const struct tspi_runner_ops *runner;                                     /* what runs the blocks */
    const char *folder;                                                       /* must be new or empty */
    void (*on_progress)(void *ctx, const tspi_experiment_progress *progress); /* may be NULL */
    void *ctx;
    const volatile sig_atomic_t *interrupted; /* may be NULL */
} tspi_experiment_options;

/* Run it all and measure it. ret_result is the caller's: tspi_lab_result_release. When the user interrupts, the result
 * holds the points that have at least one whole block, and says that it is partial.
 * Errors: whatever stops a node, the message says which; then there is no result. */
tsp_status tspi_experiment_run(const tspi_spec *spec, const tspi_experiment_options *options,
                               tspi_lab_result *ret_result, tsp_error *err);

#endif
