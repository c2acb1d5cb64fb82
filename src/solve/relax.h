/* One re-linearisation: windows of what is left under the present tracks, one smoothing of each node's series, and the
 * result becomes its track. */
#ifndef TSPI_SOLVE_RELAX_H
#define TSPI_SOLVE_RELAX_H

#include "solve/fit.h"

/* quantile: see tspi_windows_find. Nodes without a sight keep their curves. False: out of memory. */
bool tspi_relax(tspi_fit *fit, double quantile);

/* Choose each node's next window from how stiff its smoothing was. */
void tspi_relax_windows(tspi_fit *fit);

#endif
