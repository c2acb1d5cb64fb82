/* Hops with known truth: the shapes that docs/solver.md's figures are measured on. Each is a function of its seed. */
#ifndef TRUESPAN_HOP_SIM_H
#define TRUESPAN_HOP_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"
#include "truespan/clocks.h"

/* A clock's offset over true time: linear between knots; two knots at one time are a step. */
typedef struct {
    double *t, *x; /* owned; ns */
    size_t n, cap;
} hop_sim_clock;

typedef struct {
    const char *shape;
    uint32_t clocks;
    int64_t origin; /* Unix ns of true time 0 */
    double span_ns;
    uint32_t reference;   /* for the solver: clock 0, or TSP_NO_CLOCK */
    hop_sim_clock *truth; /* owned; clock 0 is right */
    tsp_hop *hops;        /* owned */
    uint8_t *late;        /* owned: 1 sender's stamp is late, 2 receiver's */
    size_t n, cap;
    tspi_random random;
} hop_sim;

/* shape: "rpc", "drift", "wander", "step", "pipeline", "mesh", "late", "null", "one-way", "asymmetric", or one of the
 * harder ones: "early-step", "hub", "quantum", "lies", "congestion", "dense", and those of hop_odd.c and hop_move.c.
 * False: no such shape. */
bool hop_sim_make(hop_sim *sim, const char *shape, uint64_t seed);
void hop_sim_release(hop_sim *sim);
extern const char *const hop_sim_shapes[]; /* NULL-terminated: the ten of the table */

/* The true offset of a clock when it showed this stamp. A stamp that a backward step made ambiguous: the later. */
double hop_sim_offset(const hop_sim *sim, uint32_t clock, int64_t stamp);
double hop_sim_offset_at(const hop_sim *sim, uint32_t clock, double t_ns);
int64_t hop_sim_local(const hop_sim *sim, uint32_t clock, double t_ns);
/* True time at which the clock showed the stamp. */
double hop_sim_true_time(const hop_sim *sim, uint32_t clock, int64_t stamp);

/* The prototype's input (HOPS.json). */
bool hop_sim_write_json(const hop_sim *sim, const char *path);

#endif
