/* The estimate, stage by stage (docs/solver.md): coarse constants, a robust start where hops are few, windows, steps,
 * the fence, soft hops, refinements. */
#ifndef TSPI_SOLVE_ESTIMATE_H
#define TSPI_SOLVE_ESTIMATE_H

#include "solve/fit.h"

/* From no tracks to tracks; fit->group and fit->root are set. False: out of memory. */
bool tspi_estimate(tspi_fit *fit);

/* Constant offsets from one window over the run; sets joined and origins. The first stage of tspi_estimate, by itself
 * enough to choose a frame. */
bool tspi_estimate_coarse(tspi_fit *fit);

/* sparse_start.c: a line per clock by least absolute deviations, delays of a pair alike both ways. */
bool tspi_sparse_start(tspi_fit *fit);

/* fence.c: flag hops far below the low tail of their own edge, of those without a flag in fit->without. */
bool tspi_fence(tspi_fit *fit);
bool tspi_fence_sparse(tspi_fit *fit, uint16_t flag, bool only_small_edges);

/* Where the fence stands among n values, which are reordered. part, next: the low quantiles that show the tail. grain:
 * it stands below the lower one by no less. */
double tspi_fence_of(double *values, size_t n, double part, double next, double grain);

/* soft.c: do soft hops look as clean as the hard ones? */
bool tspi_soft_is_clean(const tspi_fit *fit, bool *ret_clean);

#endif
