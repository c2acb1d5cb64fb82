/* What shapes of traces are made of; times are true ns since the simulation's origin. */
#ifndef TRUESPAN_HOP_MAKE_H
#define TRUESPAN_HOP_MAKE_H

#include "hop_sim.h"

/* Clocks that show the truth, or (skewed) all but the first off by up to 20 ms, with drifts of up to drift_ppm. */
void hop_sim_set_clocks(hop_sim *sim, uint32_t clocks, bool skewed, double drift_ppm);
void hop_sim_step(hop_sim *sim, uint32_t clock, double at, double size);
void hop_sim_slew(hop_sim *sim, uint32_t clock, double at, double length, double size);

void hop_sim_add(hop_sim *sim, uint32_t from, double sent, uint32_t to, double received, int kind);
double hop_sim_delay(hop_sim *sim);

/* Traces at random times, so many a second. */
typedef void (*hop_sim_trace)(hop_sim *sim, double t);
void hop_sim_run(hop_sim *sim, double per_second, hop_sim_trace make);
/* A tree of calls over all clocks from a random root. */
void hop_sim_rpc_trace(hop_sim *sim, double t);
/* A walk of four hops over a fixed sparse graph of forty clocks: a ring with two chords a clock. */
void hop_sim_mesh_trace(hop_sim *sim, double t);
/* One call and the reply to it; from's request reaches to, which works and answers. Returns when the reply arrived. */
double hop_sim_call(hop_sim *sim, uint32_t from, uint32_t to, double t, double work);

/* The shapes of hop_odd.c, with span, origin and random numbers set. */
bool hop_odd_make(hop_sim *sim, const char *shape);
/* And of hop_move.c. */
bool hop_move_make(hop_sim *sim, const char *shape);

#endif
