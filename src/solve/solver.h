/* The solver behind truespan/clocks.h: what its parts share. */
#ifndef TSPI_SOLVE_SOLVER_H
#define TSPI_SOLVE_SOLVER_H

#include "clock/track.h"
#include "solve/bound.h"
#include "solve/fit.h"
#include "solve/graph.h"
#include "solve/hop_store.h"
#include "truespan/clocks.h"

/* What is known of one clock. */
typedef struct {
    tsp_clock_result result;
    tsp_track *track;    /* owned: corrects */
    tsp_track *estimate; /* owned: the estimate, also where the track corrects by zero */
    tsp_knot *knots;     /* owned */
    tsp_step *steps;     /* owned */
    tsp_bend *bends;     /* owned */
    uint64_t in, out;
    int64_t first, last; /* stamps of its hops within the run; first > last: none */
} tspi_clock_row;

struct tsp_solver {
    tsp_solver_config config;
    int64_t rho_ppb;
    uint32_t clocks; /* rows in use: config.clocks, + 1 for UTC once there are bounds */
    bool has_utc;
    tspi_hop_store hops;
    /* Results of the last run. */
    bool done;
    uint32_t *group; /* owned, clocks */
    uint32_t groups_n;
    uint8_t *root; /* owned, clocks: 0, or 1 + the piece (between steps) of a root that is its group's frame */
    tspi_fit fit;
    tspi_graph graph; /* of all the evidence */
    tspi_bounds bounds;
    bool bounded;         /* graph and bounds are there */
    bool taken_back;      /* hops that bound nothing were asked to hold (take_back.c) */
    tspi_clock_row *rows; /* owned, clocks */
    uint32_t *row_of;     /* owned: hop's index -> row in hops, UINT32_MAX for same-clock hops */
    size_t row_of_room;
    tsp_proof_link *conflict; /* owned */
    size_t conflict_n;
    tsp_solver_summary_row summary;
};

/* Flags of hops that neither estimate nor bound. */
#define TSPI_STORED_LIES (TSPI_STORED_LATE | TSPI_STORED_CONFLICT | TSPI_STORED_UNCOUNTED)

/* prove.c: potential and bounds from all hops that may bound; sets hops aside until nothing contradicts. */
tsp_status tspi_solver_prove(tsp_solver *solver, bool last_try, bool *ret_feasible, tsp_error *err);

/* contradicted.c: set aside, whole, edges of which too many hops are violated; the run begins anew without them.
 * ret_any: there are such. False: out of memory. */
bool tspi_solver_set_aside_whole(tsp_solver *solver, bool *ret_any);
/* Count them, once the rest is done. */
void tspi_solver_count_aside(tsp_solver *solver);

/* relevant.c: the graph of the hops without these flags, less those that can bound nothing. False: out of memory. */
bool tspi_solver_graph(const tsp_solver *solver, uint16_t without, int64_t allowance, tspi_graph *ret_graph);

/* An integer guess for every vertex, from the estimates. */
void tspi_solver_guess(const tsp_solver *solver, const tspi_graph *graph, int64_t *ret_pi);

/* estimate tracks (rows[].estimate, first, last, in, out). */
bool tspi_solver_tracks(tsp_solver *solver);

/* verdict.c: verdicts from estimates and bounds. */
bool tspi_solver_judge(tsp_solver *solver);

/* typical.c: of each clock, the median over its hops of the estimate's distance from 0 and of the bounds' half-width,
 * ns. */
bool tspi_solver_typical(const tsp_solver *solver, double *ret_offset, double *ret_half);

/* project.c: rows[].track, from the estimates, so that no hop is left broken. */
bool tspi_solver_project(tsp_solver *solver);

/* take_back.c: of the hops that bound nothing, flag as taken back those that some clocks satisfy together with all that
 * must hold, if the tracks break any. ret_any: there are such. False: out of memory. */
bool tspi_solver_take_back(tsp_solver *solver, bool *ret_any);

/* inspect.c: flags of the hops that the tracks may break. */
uint16_t tspi_solver_may_break(const tsp_solver *solver);

/* Every hop of an edge under the tracks, with the arithmetic that corrects stamps. */
typedef struct {
    int64_t least;         /* the smallest slack of a hop that must hold; INT64_MAX: none */
    uint64_t broken, lies; /* hops with negative slack that must hold, and others */
} tspi_edge_test;

/* inspect.c: ret_tests, one an edge. slack_most: hops that must hold with at most this slack get ret_near[row] = 1
 * (NULL: not wanted). */
bool tspi_solver_inspect(const tsp_solver *solver, tspi_edge_test *ret_tests, int64_t slack_most, uint8_t *ret_near);

/* knots.c: what callers read. */
bool tspi_solver_knots(tsp_solver *solver);

/* explain.c. */
bool tspi_solver_links(const tsp_solver *solver, const tspi_graph *graph, const tspi_link *links, size_t n,
                       tsp_proof_link **ret_links, size_t *ret_n);

#endif
