/* The network between lab nodes: a userspace link that moves IPv4 packets between TUN devices, one in each node's
 * network namespace, with a one-way delay, jitter, loss and rate. Real TCP and UDP stacks stand at both ends, so what
 * they do over a link of 4 ms happens here too. (netem does the same in the kernel, where it is built.) */
#ifndef TSPI_LAB_LINK_H
#define TSPI_LAB_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "truespan/base.h"

typedef struct {
    int64_t delay_ns, jitter_ns; /* uniform in delay +- jitter; packets of one pair of nodes keep their order */
    double loss;                 /* share of packets lost */
    double rate_mbit;            /* out of each node; 0 = unlimited */
    /* A node that messages pass on their way between two others (a broker): on each of the two links half the delay,
     * half the jitter, and as much loss as makes `loss` of both together. So a delay means the same from node to node. */
    bool has_hub;
    size_t hub;
} tspi_link_config;

/* Serve until stop_fd turns readable or is closed at the other end. tun_fds: n descriptors, non-blocking; the node of
 * tun_fds[k] has the address tspi_link_address(k). Meant for a process of its own. */
tsp_status tspi_link_run(const int *tun_fds, size_t n, const tspi_link_config *config, const tspi_random *random,
                         int stop_fd, tsp_error *err);

/* IPv4 address (host byte order) of node k: 10.77.x.y. */
uint32_t tspi_link_address(size_t k);
enum { TSPI_LINK_NODES_MAX = 1024 };

#endif
