/* Shapes in which a clock moves inside a longer run, and it may be the reference.
 *
 *   slew-5, slew-20    calls over five clocks, so many a second for an hour; the reference slews 1 ms in a minute
 *   slew-star          the reference calls five others, 20 a second
 *   slew-mesh          forty clocks, 50 walks a second, half an hour
 *   slew-any           ten minutes, drifts of 10 ppm: any one of five clocks slews by 1 to 2 ms in 40 to 90 s
 *   slew-any-free      the others are right, no reference given
 *   ref-step           one minute: the reference steps by 5 to 30 ms
 *   ref-step-free      the others are right, no reference given */
#include <string.h>

#include "hop_make.h"

#define MS 1e6
#define S 1e9

static void star_trace(hop_sim *sim, double t)
{
    hop_sim_call(sim, 0, 1 + (uint32_t)tspi_random_below(&sim->random, sim->clocks - 1), t,
                 tspi_random_exponential(&sim->random, 5 * MS));
}

static double either_way(hop_sim *sim)
{
    return tspi_random_below(&sim->random, 2) ? 1 : -1;
}

static void slew_reference(hop_sim *sim, uint32_t clocks, double minutes)
{
    sim->span_ns = minutes * 60 * S;
    hop_sim_set_clocks(sim, clocks, true, 0);
    hop_sim_slew(sim, 0, tspi_random_uniform(&sim->random, 0.1, 0.9) * sim->span_ns, 60 * S, either_way(sim) * MS);
}

bool hop_move_make(hop_sim *sim, const char *shape)
{
    bool is_free = strstr(shape, "-free") != NULL;

    if (is_free)
        sim->reference = TSP_NO_CLOCK;
    if (!strcmp(shape, "slew-5") || !strcmp(shape, "slew-20")) {
        slew_reference(sim, 5, 60);
        hop_sim_run(sim, !strcmp(shape, "slew-5") ? 5 : 20, hop_sim_rpc_trace);
    } else if (!strcmp(shape, "slew-star")) {
        slew_reference(sim, 6, 60);
        hop_sim_run(sim, 20, star_trace);
    } else if (!strcmp(shape, "slew-mesh")) {
        slew_reference(sim, 40, 30);
        hop_sim_run(sim, 50, hop_sim_mesh_trace);
    } else if (!strncmp(shape, "slew-any", 8)) {
        sim->span_ns = 600 * S;
        hop_sim_set_clocks(sim, 5, !is_free, is_free ? 0 : 10);
        hop_sim_slew(sim, (uint32_t)tspi_random_below(&sim->random, 5), tspi_random_uniform(&sim->random, 60, 450) * S,
                     tspi_random_uniform(&sim->random, 40, 90) * S,
                     either_way(sim) * tspi_random_uniform(&sim->random, 1 * MS, 2 * MS));
        hop_sim_run(sim, 20, hop_sim_rpc_trace);
    } else if (!strncmp(shape, "ref-step", 8)) {
        hop_sim_set_clocks(sim, 5, !is_free, 0);
        hop_sim_step(sim, 0, tspi_random_uniform(&sim->random, 10, 50) * S,
                     either_way(sim) * tspi_random_uniform(&sim->random, 5 * MS, 30 * MS));
        hop_sim_run(sim, 50, hop_sim_rpc_trace);
    } else
        return false;
    return true;
}
