/* The estimate in progress: a track for each node, and each hop's residual slack under the tracks. Doubles, counted
 * from an origin near each clock's own stamps; proofs are made elsewhere. */
#ifndef TSPI_SOLVE_FIT_H
#define TSPI_SOLVE_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/saturate.h"
#include "solve/hop_store.h"
#include "solve/sides.h"

/* Offset over a node's local time: linear between knots, and on beyond them. */
typedef struct {
    double *t, *x; /* owned: local ns since the clock's origin; ns */
    uint32_t n;    /* 0: offset 0 */
} tspi_curve;

/* What the smoother found for a node. */
typedef struct {
    double sigma;      /* noise of a window of the usual count, ns; NAN: not estimated */
    double stiff;      /* noise against the track's own movement: sigma^2 / (q T^3) */
    double window;     /* T, ns */
    double noise_hops; /* noise of a window times its hops; 0: not known. Outlives passes without a sight */
    uint32_t windows;
    uint8_t rate_prior; /* 1 + its clock's own prior of the rate, 0: it has none. Outlives passes, too */
    /* The node's series without its bends, for the hunt; owned. */
    double *local, *total, *noise;
    uint32_t *at; /* owned: window of each sight, by number */
    uint32_t n;
} tspi_series;

/* One step that was found. */
typedef struct {
    uint32_t clock;
    int64_t cut;           /* local stamp */
    int64_t before, after; /* local stamps of the last hop before and the first after it */
    double from_t, to_t;   /* the same in corrected time */
    double size;           /* ns; jump of the fitted tracks once they are fitted */
    double found;          /* the size when it was found */
} tspi_jump;

/* A clock's rate changes here, for good or until its next bend. */
typedef struct {
    uint32_t clock;
    double t;    /* corrected time, ns */
    double rate; /* by how much, ns/s */
    double gain; /* in -2 log likelihood when it was found */
    int64_t at;  /* what the clock showed then; once time is counted from the roots */
} tspi_bend;

typedef struct {
    tspi_hop_store *hops; /* borrowed */
    uint32_t clocks;
    unsigned threads;
    double rho;            /* drift limit, ns per ns */
    bool believe_all;      /* quorum 1: no fence, no isolation */
    const uint32_t *group; /* borrowed, clocks: connected clocks share a number */
    const uint8_t *root;   /* borrowed, clocks: one clock of each group is its frame */
    int64_t *origin;       /* owned, clocks: the local stamp at corrected time 0, when the curve says 0. So a clock's
                              offset is origin - the root's origin + curve, and the first term is exact */
    double *grain;         /* owned, clocks: how coarse the stamps of its hops are, at a mean, ns */
    uint8_t *joined;       /* owned, clocks: a cycle of hops ties it to its root */
    tspi_sides sides;
    uint32_t nodes;
    uint32_t *node_clock; /* owned, nodes */
    tspi_curve *curves;   /* owned, nodes */
    tspi_series *series;  /* owned, nodes */
    double *window_of;    /* owned, nodes: window length, ns */
    size_t rows;          /* room of u and t */
    double *u;            /* owned, hops: residual slack, ns */
    double *t; /* owned, hops: corrected time of the middle, ns, so that time reversed cuts the same windows */
    double t_first, t_last; /* where the traffic is, stray stamps left out */
    double quantile;        /* of slack that stands for an edge while lies are not yet removed */
    uint16_t without;       /* flags of hops that do not estimate */
    bool limit_rates;       /* tracks obey the drift limit from now on */
    tspi_jump *jumps;       /* owned */
    uint32_t jumps_n;
    tspi_bend *bends; /* owned, by time: kept out of the smoothed series, and put into the curves (motion.h) */
    uint32_t bends_n;
    uint32_t still;     /* a root that cannot move: UTC; or TSP_NO_CLOCK */
    double base_window; /* T1, ns */
} tspi_fit;

bool tspi_fit_init(tspi_fit *fit, tspi_hop_store *hops, uint32_t clocks);
void tspi_fit_release(tspi_fit *fit);

/* Cut a node in two at a local stamp of its clock, both halves with the old curve. */
bool tspi_fit_cut(tspi_fit *fit, uint32_t clock, int64_t cut);
/* Join the two nodes beside a cut again. */
bool tspi_fit_uncut(tspi_fit *fit, uint32_t clock, int64_t cut);

bool tspi_curve_set(tspi_curve *curve, const double *t, const double *x, uint32_t n);
double tspi_curve_at(const tspi_curve *curve, double t);

/* Residual slack and corrected time of every hop under the curves. */
bool tspi_fit_evaluate(tspi_fit *fit);

static inline double tspi_fit_local(const tspi_fit *fit, uint32_t clock, int64_t stamp)
{
    return (double)tspi_sub_most(stamp, fit->origin[clock]);
}

#endif
