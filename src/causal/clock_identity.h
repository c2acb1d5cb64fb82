/* Which processes share a clock. A clock is one kernel's CLOCK_REALTIME, so the best name for it is the machine's.
 *
 * Each process is named by the first of these that it carries:
 *   the attribute asked for; host.id if a cloud gave it; k8s.node.uid; k8s.node.name; host.id; host.name (Jaeger:
 *   hostname) unless it is the pod's name or starts the container's id; k8s.pod.uid; container.id; service.instance.id;
 *   service.name with process.pid; an IP address that is no loopback; at last the process itself.
 * Never service.name alone across processes that differ otherwise: replicas are different machines. When unsure it
 * splits: a wrong split only weakens the result, a wrong merge hides skew. */
#ifndef TSPI_CAUSAL_CLOCK_IDENTITY_H
#define TSPI_CAUSAL_CLOCK_IDENTITY_H

#include "span/span.h"

typedef struct {
    const char
        *name;       /* unique in its table; a machine's name where its identity is a number (host.name of a host.id) */
    const char *id;  /* the value that told it apart; often the name */
    const char *key; /* what named it: "k8s.node.name", "service.name+process.pid", "process", "ip/24" */
    uint32_t processes; /* how many share it */
} tspi_clock;

/* Text and rows are in the arena. Zero it to initialise. */
typedef struct {
    tspi_arena arena;
    tspi_clock *clocks; /* in the order of their names */
    uint32_t clocks_n;
} tspi_clock_table;

/* Decide the clock of every process of the set: fills processes[].clock.
 * key   NULL for the order above; else an attribute, several joined by +, or an address with its network's width:
 *       "ip/24". "ip" also means host.ip and the like. A process without it falls back to the order above.
 * Errors: TSP_EINVAL: no process carries key, or its width is absurd; TSP_ENOMEM. */
tsp_status tspi_clocks_identify(tspi_span_set *set, const char *key, tspi_clock_table *ret_table, tsp_error *err);

void tspi_clock_table_release(tspi_clock_table *table);

/* The row of a clock by name, else by id; TSPI_NONE when there is none. */
uint32_t tspi_clock_find(const tspi_clock_table *table, const char *name);

/* The same of a clock that somebody asked for; name NULL: nobody did, and the row is TSPI_NONE. TSP_EINVAL: there is no
 * such clock; the message says which there are. */
tsp_status tspi_clock_find_wanted(const tspi_clock_table *table, const char *name, uint32_t *ret_row, tsp_error *err);

#endif
