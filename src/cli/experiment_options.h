/* The options of an experiment, which `lab` and `sim` share: one table of rows (experiment_options.def), one way of
 * laying them over a spec, one way of running it and showing what it found. */
#ifndef TSPI_CLI_EXPERIMENT_OPTIONS_H
#define TSPI_CLI_EXPERIMENT_OPTIONS_H

#include "cli/options.h"
#include "lab/spec.h"

/* What the command line said. */
struct experiment_choices {
    const char *transport, *sweep, *stage, *engine, *model, *prompts, *nodes, *output, *step, *ntp, *kafka, *topology;
    double drift_ppm, wander_ppm, rate;
    int64_t duration_ns, hop_delay_ns, jitter_ns, bucket_ns;
    uint64_t requests, seed;
    bool json, quick;
    bool drift_seen, wander_seen, rate_seen, duration_seen, delay_seen, jitter_seen, requests_seen, seed_seen,
        bucket_seen;
};
extern struct experiment_choices chosen;

/* The spec at path (NULL = the built-in one) with the options laid over it. Not checked as a whole yet. */
tsp_status experiment_load_spec(const char *path, tspi_spec *ret_spec, tsp_error *err);

#endif
