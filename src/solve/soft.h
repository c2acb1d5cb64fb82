/* Soft hops lie at a known rate: a server's end may be stamped late, or the caller may have given up. */
#ifndef TSPI_SOLVE_SOFT_H
#define TSPI_SOLVE_SOFT_H

#include "solve/fit.h"

/* Flag as UNCOUNTED all hops of operations whose same-clock calls lie too often to say anything. */
void tspi_soft_drop_operations(tspi_hop_store *hops);

/* Flag as UNCOUNTED, per edge and window, the smallest soft hops that lies alone might explain. quorum: 0 = from the
 * lie rate; k: the k - 1 smallest. ret_rate: the rate assumed where an operation tells nothing. False: out of
 * memory. */
bool tspi_soft_quorum(const tspi_fit *fit, tspi_hop_store *hops, uint32_t quorum, double *ret_rate);

/* The upper 95 % limit of a rate, from `lies` of `calls`. */
double tspi_soft_rate(uint32_t calls, uint32_t lies);

/* The smallest k for which more than k of n lie with probability <= chance. */
uint32_t tspi_soft_quantile(uint32_t n, double rate, double chance);

/* Is `many` > 0 above that quantile? For one of its steps. */
bool tspi_soft_exceeds(uint32_t n, double rate, double chance, uint32_t many);

#endif
