/* What the conductor's files share: conductor.c leads, conductor_member.c starts a node, conductor_listen.c hears what
 * nodes say and sees who is gone, conductor_settle.c waits for what is under way. */
#ifndef TSPI_LAB_CONDUCTOR_INSIDE_H
#define TSPI_LAB_CONDUCTOR_INSIDE_H

#include "lab/conductor.h"

static inline bool tspi_is_interrupted(const tspi_conductor *conductor)
{
    return conductor->interrupted && *conductor->interrupted;
}

/* Whether nodes in namespaces, each with a media driver, need more shared memory than there is. */
bool tspi_wants_own_shm(const tspi_spec *spec);

/* The machine of a member's node; NULL = this one. */
const tspi_host_spec *tspi_host_of(const tspi_conductor *conductor, const tspi_member *member);

/* Start the node of a row of members. ret_tun_fd: with namespaces its device. */
tsp_status tspi_member_start(tspi_conductor *conductor, uint32_t index, const char *folder, int *ret_tun_fd,
                             tsp_error *err);

/* Read and handle all that a member has said. TSP_ECLOSED: it is gone, and how. */
tsp_status tspi_member_drain(tspi_conductor *conductor, tspi_member *member, tsp_error *err);
/* A line could not be sent to a member: what it said before it went, or how it went. */
tsp_status tspi_member_is_gone(tspi_conductor *conductor, tspi_member *member, tsp_error *err);

/* Wait for lines, at most until deadline_ns, and handle them; see whether everybody still runs. */
tsp_status tspi_conductor_listen(tspi_conductor *conductor, int64_t deadline_ns, tsp_error *err);
/* Listen until every member has said the word that it owes. */
tsp_status tspi_await_all(tspi_conductor *conductor, const char *word, int64_t timeout_ns, tsp_error *err);
/* Say line to every node and wait until each has answered with word. */
tsp_status tspi_ask_all(tspi_conductor *conductor, const char *line, const char *word, tsp_error *err);

/* Wait until what is still on its way beside the answered requests (a mirrored branch, say) has arrived. */
tsp_status tspi_conductor_settle(tspi_conductor *conductor, tsp_error *err);

#endif
