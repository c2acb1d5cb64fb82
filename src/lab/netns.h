/* A network namespace for a node, with a TUN device that the link serves. The namespace has no name: it vanishes with
 * its last process, so nothing is left behind whatever happens to the run. Needs CAP_SYS_ADMIN and CAP_NET_ADMIN. */
#ifndef TSPI_LAB_NETNS_H
#define TSPI_LAB_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "truespan/base.h"

/* Move the calling process into a new namespace, with loopback and the device up and the address
 * tspi_link_address(k). ret_tun_fd: the device's packets, non-blocking; owned. */
tsp_status tspi_netns_enter(size_t k, int *ret_tun_fd, tsp_error *err);

/* Whether this process may do so: tried out in a child. The message in err says what is missing. */
tsp_status tspi_netns_available(tsp_error *err);

/* Give the calling process, and its children from now on, a /dev/shm of their own of so many bytes: for where the one
 * of all is too small (64 MB in a container). It vanishes with its last process. */
tsp_status tspi_own_shm_enter(uint64_t bytes, tsp_error *err);
/* Whether this process may do so: tried out in a child. */
bool tspi_own_shm_available(void);

/* Pass a descriptor over a Unix socket, and receive one; for handing the device to the link. */
tsp_status tspi_fd_send(int socket_fd, int fd, tsp_error *err);
tsp_status tspi_fd_recv(int socket_fd, int *ret_fd, tsp_error *err);

#endif
