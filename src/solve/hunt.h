/* What happened suddenly, and to whom? Every clock is seen against its root, so what the root does shows in all the
 * others at once: a change common to all is charged once, to the root, where that explains the series better than any
 * clock's own change does. */
#ifndef TSPI_SOLVE_HUNT_H
#define TSPI_SOLVE_HUNT_H

#include "solve/fit.h"
#include "solve/smooth.h"

/* TSPI_STEP: the level jumps; the window beside it may be mixed and is left out. TSPI_BEND: the rate changes. */
typedef enum { TSPI_STEP, TSPI_BEND } tspi_change;

typedef struct {
    double ratio;  /* by how much it betters -2 log likelihood, all series taken together; 0: nothing was found */
    double spared; /* step: by how much the window left out does, besides */
    uint32_t clock;
    uint32_t node;   /* whose series tells; UINT32_MAX: all of them, the clock is their root */
    uint32_t window; /* step: the one that may be mixed; bend: the first whose middle lies after it */
    double t;        /* corrected time, ns; of a step: the middle of that window */
    double size;     /* of a root's, ns or ns/s */
} tspi_find;

/* The likeliest change of the kind in the series of the last pass, all windows being of one length; those in fit->bends
 * are taken as known. The rate's noise is refitted with it and without. False: out of memory. */
bool tspi_hunt(const tspi_fit *fit, tspi_change change, tspi_find *ret_find);

/* Corrected time of a sight, ns: the middle of its window. */
static inline double tspi_sight_time(const tspi_fit *fit, const tspi_series *s, uint32_t k)
{
    return fit->t_first + s->window * (s->at[k] + 0.5);
}

#endif
