/* Every number that the solver was given rather than found, with its unit and its reason. docs/solver.md has the
 * table that shows what each buys (tests/bench/ablation). */
#ifndef TSPI_SOLVE_CONSTANTS_H
#define TSPI_SOLVE_CONSTANTS_H

/* Proofs. */

/* Stamps are whole ns, and formats round them: either end of a hop may be off by one. */
#define ROUNDING_NS 2

/* Drift is counted as a difference of floor(rho * t): along one clock the error stays below 1 ns however many instants
 * lie between, and every hop pays for one such piece of a path. */
#define TELESCOPE_NS 1

/* A hop is pruned only when another makes it redundant with this much to spare: interpolating a track in whole ns may
 * be off by one at each end, and each of the two drift ties by one. */
#define PRUNE_MARGIN_NS 4

#endif
