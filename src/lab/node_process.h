/* A node as a process of its own: the node's code on a real transport, commanded over a control stream. */
#ifndef TSPI_LAB_NODE_PROCESS_H
#define TSPI_LAB_NODE_PROCESS_H

#include "lab/control.h"

typedef struct {
    const char *spec_path; /* NULL = another machine's conductor sends it (remote.h) */
    const char *stage;
    uint32_t worker;
    const char *host;         /* address of this node's inbox */
    uint16_t port;            /* 0 = any free */
    const char *media_driver; /* transport aeron: folder of the one to share; NULL = this node starts its own */
    const char *run;          /* unique name of the run; NULL where the transport needs none */
    const char *broker;       /* transport kafka: the run's own; NULL = as the spec says */
    int64_t epoch_ns;         /* true time is CLOCK_MONOTONIC and this; 0 = it is CLOCK_REALTIME */
    bool delay_line;          /* process mode: the link's delay is made by the transport's fault wrapper */
    int control_in_fd, control_out_fd;
} tspi_node_process_config;

/* Serve until told to quit or until the conductor is gone. Failures are told over the control stream as well. */
tsp_status tspi_node_process_run(const tspi_node_process_config *config, tsp_error *err);

#endif
