/* The conductor: starts a pipeline's nodes and the network between them, leads them through blocks, ends them.
 * Whatever happens to it, its children end too (they ask the kernel to be killed with it), and with them the network.
 */
#ifndef TSPI_LAB_CONDUCTOR_H
#define TSPI_LAB_CONDUCTOR_H

#include <signal.h>
#include <stdbool.h>
#include <sys/types.h>

#include "lab/control.h"
#include "lab/kafka_side.h"
#include "lab/media_driver.h"
#include "lab/memory_log.h"
#include "lab/runner.h"

typedef struct {
    pid_t pid; /* 0 = not running */
    uint32_t stage, worker;
    char name[64], address[512];
    tspi_control control;
    const char *awaited; /* the word that this node still owes; NULL = none */
} tspi_member;

typedef struct {
    const tspi_spec *spec; /* borrowed */
    bool netns;
    bool own_shm;     /* each node has a /dev/shm of its own */
    int64_t epoch_ns; /* true time less CLOCK_MONOTONIC; 0: nodes on other machines go by their clocks, and all do */
    tspi_member *members;
    uint32_t members_n;
    tspi_media_driver media; /* shared by all nodes; not running = there is none, or each node has its own */
    tspi_kafka_side kafka;
    pid_t link_pid;
    int link_stop_fd, log_fd;
    tspi_block_result result; /* of the block under way */
    const char *block_folder; /* of that block, borrowed: what nodes on other hosts send goes there */
    uint32_t gateways_done;
    struct {
        uint64_t sent, received;
        uint32_t at_work;
    } counted;               /* of all nodes, while they are asked */
    tspi_memory_log *memory; /* borrowed; may be NULL */
    int64_t memory_due_ns, touch_due_ns;
    tspi_progress progress;
    void (*on_progress)(void *ctx, const tspi_progress *progress); /* may be NULL */
    void *ctx;
    const volatile sig_atomic_t *interrupted; /* borrowed; may be NULL */
} tspi_conductor;

/* All borrowed for the conductor's life. */
typedef struct {
    const tspi_spec *spec;
    bool netns;                               /* as tspi_conductor_pick said */
    const char *folder;                       /* holds spec.yaml already and takes nodes.log */
    tspi_memory_log *memory;                  /* may be NULL */
    const volatile sig_atomic_t *interrupted; /* may be NULL */
} tspi_conductor_config;

/* Start everything and wait until every node can reach every other. On failure everything is stopped again. */
tsp_status tspi_conductor_start(tspi_conductor *conductor, const tspi_conductor_config *config, tsp_error *err);

/* Lead all nodes through a block. TSP_EINTERRUPTED: the user asked to stop; what there is was written all the same. */
tsp_status tspi_conductor_block(tspi_conductor *conductor, const tspi_block *block, tspi_block_result *ret_result,
                                tsp_error *err);

void tspi_conductor_stop(tspi_conductor *conductor);

/* Decide how nodes are separated: *ret_netns, and a sentence that says why. */
tsp_status tspi_conductor_pick(const tspi_spec *spec, bool *ret_netns, char *ret_why, size_t size, tsp_error *err);

#endif
