/* What a lab run is: the pipeline, its engine, load, network, clock and the experiment. Read from YAML (spec.yaml),
 * defaults filled in, every value checked. docs/spec.md lists the keys. */
#ifndef TSPI_LAB_SPEC_H
#define TSPI_LAB_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "clock/clock_model.h"
#include "lab/spec_kafka.h"
#include "lab/spec_sim.h"
#include "lab/spec_topology.h"
#include "truespan/base.h"

enum tspi_role {
    TSPI_ROLE_GATEWAY,
    TSPI_ROLE_PREPROCESS,
    TSPI_ROLE_INFERENCE,
    TSPI_ROLE_POSTPROCESS,
    TSPI_ROLE_RELAY,
    TSPI_ROLE_SINK,
    TSPI_ROLE_SERVICE, /* made by a topology, never written in a spec */
    TSPI_ROLES_N,
};
enum tspi_arrival { TSPI_ARRIVAL_POISSON, TSPI_ARRIVAL_CONSTANT, TSPI_ARRIVAL_CLOSED };
enum tspi_nodes { TSPI_NODES_AUTO, TSPI_NODES_NETNS, TSPI_NODES_PROCESS };

enum {
    TSPI_STAGES_MAX = 32,
    TSPI_WORKERS_MAX = 100000,
    TSPI_HOSTS_MAX = 32,
    TSPI_SWEEP_MAX = 64,
    TSPI_PHASES_MAX = 64
};
enum { TSPI_BATCH_MAX = 256 };

typedef struct {
    char *name;
    char *role_text;
    uint32_t workers;
    char **to_names;
    uint32_t to_n;
    enum tspi_role role;
    uint32_t to[TSPI_STAGES_MAX]; /* rows in stages */
    uint32_t host;                /* row in hosts, where there are any */
    int32_t calls;                /* the row of the stage that it calls before it goes on; -1 = none */
    bool is_made;                 /* by the topology */
} tspi_stage_spec;

/* A machine that runs the nodes of some stages. */
typedef struct {
    char *name;
    char *ssh;      /* what ssh is told to get there, options and destination; NULL = this machine */
    char *address;  /* at which the other hosts reach its nodes */
    char *truespan; /* the program there; NULL = truespan, found by its shell */
} tspi_host_spec;

typedef struct tspi_spec {
    char *name;
    uint64_t seed;
    char *transport;
    enum tspi_nodes nodes;
    uint16_t port; /* of the first inbox in process mode, counted up from there; 0 = any free ones */

    struct {
        char *name, *model;
        uint32_t max_tokens;
        uint32_t chunk_tokens; /* token pieces a message */
        uint32_t slots;        /* generations side by side in one worker */
        double temperature;
    } engine;

    struct {
        enum tspi_arrival arrival;
        double rate_per_s;    /* requests, open loop */
        uint32_t concurrency; /* requests in flight, closed loop */
        struct {
            int64_t at_ns; /* after the block's start */
            double rate_per_s;
        } phases[TSPI_PHASES_MAX]; /* open loop: from then on this rate; in order of time */
        uint32_t phases_n;
        char *prompts; /* file of prompts, one a line; NULL = the built-in ones */
    } load;

    struct {
        int64_t delay_ns, jitter_ns; /* one way; uniform in delay +- jitter */
        double loss;                 /* share of packets (netns) or messages (process) lost */
        double rate_mbit;            /* 0 = unlimited; netns only */
    } link;

    struct {
        int64_t idle_ns;     /* the longest sleep of nodes and media drivers between two looks for a message */
        uint32_t term_bytes; /* of each of a stream's three buffers: a power of two */
    } aeron;
    tspi_kafka_spec kafka;

    char *clock_stage; /* whose clocks the model applies to */
    tspi_clock_model clock;

    struct {
        int64_t sweep_ns[TSPI_SWEEP_MAX];
        uint32_t sweep_n;
        int64_t duration_ns; /* of a point of the sweep, over all its blocks */
        uint32_t requests;   /* instead of a duration, when not 0 */
        uint32_t rounds;     /* blocks a point */
        bool null_run;
        uint32_t throughput_pairs;    /* on/off pairs a skew; 0 = no throughput comparison */
        uint32_t throughput_requests; /* in a block */
        int64_t health_window_ns;
        bool go_on;        /* when a part fails: start again and repeat the block, with a gap that is marked */
        int64_t bucket_ns; /* of the figures over time; 0 = a twentieth of the duration, where clocks drift */
    } experiment;

    tspi_host_spec *hosts; /* none = all nodes on this machine */
    uint32_t hosts_n;

    tspi_topology_spec topology;
    tspi_sim_spec sim; /* virtual time only */

    tspi_stage_spec *stages;
    uint32_t stages_n;
} tspi_spec;

/* The built-in five-stage pipeline. */
tsp_status tspi_spec_default(tspi_spec *ret_spec, tsp_error *err);

/* Read YAML text; what it leaves out is as in the built-in spec. name: for messages. Errors name line and key. */
tsp_status tspi_spec_read(const char *text, size_t len, const char *name, tspi_spec *ret_spec, tsp_error *err);

/* Check a spec as a whole, after command-line options have changed it. ret_key (may be NULL): on failure the key that
 * is to blame, such as "stages[2].to". */
enum { TSPI_SPEC_KEY_MAX = 64 };
tsp_status tspi_spec_check(const tspi_spec *spec, char ret_key[TSPI_SPEC_KEY_MAX], tsp_error *err);

/* The spec as YAML that tspi_spec_read reads back to the same spec. */
void tspi_spec_write(const tspi_spec *spec, tspi_buf *ret_text);

/* The row of a stage, or -1. */
int tspi_spec_stage(const tspi_spec *spec, const char *name);

/* The address of this machine that the other hosts reach: that of the first host without ssh; NULL = there is none. */
const char *tspi_spec_own_address(const tspi_spec *spec);

/* The words of the YAML. */
const char *tspi_role_name(enum tspi_role role);
const char *tspi_arrival_name(enum tspi_arrival arrival);
const char *tspi_nodes_name(enum tspi_nodes nodes);

void tspi_spec_release(tspi_spec *spec);

#endif
