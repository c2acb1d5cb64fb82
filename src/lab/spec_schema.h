/* The YAML of a spec as libcyaml loads it, before it is checked and given defaults. NULL = left out. */
#ifndef TSPI_LAB_SPEC_SCHEMA_H
#define TSPI_LAB_SPEC_SCHEMA_H

#include <cyaml/cyaml.h>
#include <stdbool.h>
#include <stdint.h>

#include "truespan/base.h"

struct raw_topology {
    char *shape, *wait;
    uint32_t *depth, *width, *fan;
};

struct raw_stage {
    char *name, *role;
    uint32_t *workers;
    char **to;
    unsigned to_count;
};

struct raw_host {
    char *name, *ssh, *address, *truespan;
    char **stages;
    unsigned stages_count;
};

struct raw_step {
    char *at, *size;
    double *slew_ppm;
};

struct raw_engine {
    char *name, *model;
    uint32_t *max_tokens, *chunk_tokens, *slots;
    double *temperature;
};

struct raw_load {
    char *arrival;
    double *rate;
    uint32_t *concurrency;
    char *prompts;
    struct raw_phase *phases;
    unsigned phases_count;
};

struct raw_phase {
    char *at;
    double *rate;
};

struct raw_link {
    char *delay, *jitter;
    double *loss, *rate_mbit;
};

struct raw_aeron {
    char *idle;
    uint32_t *term_bytes;
};

struct raw_kafka {
    char *broker, *acks, *linger, *fetch_wait_max, *warm_up;
    char **settings;
    unsigned settings_count;
};

struct raw_clock {
    char *stage, *offset;
    double *drift_ppm, *wander_ppm;
    char *ntp_peak, *ntp_period;
    struct raw_step *steps;
    unsigned steps_count;
};

struct raw_experiment {
    char **sweep;
    unsigned sweep_count;
    char *duration;
    uint32_t *requests, *rounds;
    char *null_run;
    uint32_t *throughput_pairs, *throughput_requests;
    char *health_window, *bucket, *on_failure;
};

struct raw_edge {
    char *from, *to, *delay;
};

struct raw_congestion {
    char *from, *to, *at, *length, *delay, *spread;
};

struct raw_sim {
    char *delays, *delays_file, *wake, *wake_spread, *receive, *send, *tokenize, *token, *detokenize, *service;
    char *late_by, *offset, *saturated_wait;
    uint32_t *delays_run;
    double *shape, *work_spread, *saturated, *late_stamps, *drift_ppm, *wander_ppm;
    struct raw_edge *edges;
    unsigned edges_count;
    struct raw_congestion *congestion;
    unsigned congestion_count;
};

struct raw_spec {
    char *name;
    char *seed, *transport, *nodes;
    uint32_t *port;
    struct raw_engine engine;
    struct raw_load load;
    struct raw_link link;
    struct raw_aeron aeron;
    struct raw_kafka kafka;
    struct raw_clock clock;
    struct raw_experiment experiment;
    struct raw_host *hosts;
    unsigned hosts_count;
    struct raw_topology topology;
    struct raw_sim sim;
    struct raw_stage *stages;
    unsigned stages_count;
};

extern const cyaml_schema_value_t tspi_spec_schema;

/* Load YAML text; an error names line and key. name: for messages. *ret_raw: tspi_spec_unload, also after a failure. */
tsp_status tspi_spec_load(const char *text, size_t len, const char *name, struct raw_spec **ret_raw, tsp_error *err);
void tspi_spec_unload(struct raw_spec *raw);

#endif
