/* Windows of corrected time: in each, every edge is reduced to its fastest hop and the graph is balanced, which gives
 * every clock that a cycle ties to its root one sight of its remaining offset. */
#ifndef TSPI_SOLVE_WINDOW_H
#define TSPI_SOLVE_WINDOW_H

#include "solve/fit.h"

typedef struct {
    uint32_t node, window;
    double y;     /* offset beyond the node's curve, ns */
    double level; /* cycle mean at which the node joined its root's group: free of clock error */
    double count; /* hops in the window, out or in, whichever are fewer */
} tspi_sight;

typedef struct {
    double t0, length;  /* window k is [t0 + k length, t0 + (k + 1) length), corrected time */
    tspi_sight *sights; /* owned, by node, then by window */
    size_t *first;      /* owned, nodes + 1 */
} tspi_windows;

/* About `length` ns each, over the traffic. quantile: of slack that stands for an edge; 0 = the minimum, minus isolated
 * ones. Hops with a flag in fit->without are left out. False: out of memory. */
bool tspi_windows_find(const tspi_fit *fit, double length, double quantile, tspi_windows *ret_windows);
void tspi_windows_release(tspi_windows *windows);

#endif
