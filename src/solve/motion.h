/* What clocks do briefly inside a long run: a daemon slews one for a minute, a rate changes with the temperature. Such
 * motion is a few bends of a clock's track, found on short windows (hunt.h) and kept beside the smoothed remainder, so
 * that windows may grow where a clock is otherwise quiet.
 *
 * A root may move, too. While the estimate is made, all clocks are counted from a virtual frame in which the root has
 * its own bends and steps; at the end they are counted from the root again. */
#ifndef TSPI_SOLVE_MOTION_H
#define TSPI_SOLVE_MOTION_H

#include "solve/fit.h"
#include "solve/hunt.h"
#include "solve/smooth.h"

/* What a clock's bends add up to at corrected time t, ns. */
double tspi_motion_at(const tspi_fit *fit, uint32_t clock, double t);

/* Whether a clock has bends or steps. */
bool tspi_motion_is_there(const tspi_fit *fit, uint32_t clock);

/* A root's curves: its bends and steps. */
bool tspi_motion_set_roots(tspi_fit *fit);

/* A bend that was found; of no size before it is settled. */
bool tspi_motion_add(tspi_fit *fit, const tspi_find *find);

/* Takes one back that was added and not settled. */
void tspi_motion_drop(tspi_fit *fit, const tspi_find *find);

/* Of the bends added since the last time, those beyond doubt stay (ret_any), and the tracks that had them smeared are
 * measured anew. */
bool tspi_motion_settle(tspi_fit *fit, bool *ret_any);

/* A node's series, for measuring what is known to be there. */
typedef struct {
    uint32_t node;
    double window;      /* ns */
    const uint32_t *at; /* window of each sight */
    tspi_trend trend;
} tspi_seen;

/* What is known to be there, as shocks of a node's series in order: its own bends (which < bends_n), its root's, and,
 * if wanted, its root's steps (which - bends_n). Room for bends_n + jumps_n. Returns how many. */
typedef struct {
    tspi_shock shock;
    uint32_t which;
} tspi_known;
uint32_t tspi_motion_known(const tspi_fit *fit, const tspi_seen *seen, bool steps, tspi_known *ret_known);

/* How much of each bend, and of each of a root's steps, is not yet in the tracks; they are put in. ret_change: room for
 * bends_n + jumps_n, ns/s and ns: by how much each has grown. False: out of memory. */
bool tspi_motion_measure(tspi_fit *fit, const tspi_seen *seen, uint32_t seen_n, double *ret_change);

/* What these changes add to the series of a node at corrected time t: its root's motion, less its own bends. */
double tspi_motion_change(const tspi_fit *fit, const double *change, uint32_t node, double t);

/* A smoothed curve over corrected time, with its clock's bends put in: over local time. */
bool tspi_motion_put_in(const tspi_fit *fit, uint32_t clock, const tspi_curve *smooth, tspi_curve *ret_curve);

/* Back to the time of the roots, as the longest stretch between their steps shows it: root[c] = 1 + that stretch. Bends
 * keep what their clock showed then. */
bool tspi_motion_return(tspi_fit *fit, uint8_t *root);

#endif
