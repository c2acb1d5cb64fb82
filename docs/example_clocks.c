/* Two clocks, a hundred calls between them, and what follows: which clock is wrong, by how much, and why.
 *
 *     cc example_clocks.c $(pkg-config --cflags --libs truespan)
 *
 * <truespan/clocks.h> says units, signs and errors. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <truespan/clocks.h>

int main(void)
{
    tsp_solver_config config = {.clocks = 2, .reference = 0}; /* clock 0 is the truth, drift at most 100 ppm */
    tsp_solver *solver = NULL;
    tsp_proof_link *why = NULL;
    tsp_clock_result server;
    tsp_error err = {0};
    size_t why_n = 0;
    int status = 1;

    if (tsp_solver_new(&config, &solver, &err) != TSP_OK)
        goto out;
    for (int k = 0; k < 100; k++) {
        /* A request takes 2 ms, the answer 3 ms; clock 1 runs 7 ms behind. */
        int64_t sent = INT64_C(1700000000000000000) + k * INT64_C(10000000), late = k * 997 % 50 * 1000;
        tsp_hop hops[] = {
            {.from = 0, .to = 1, .sent_ns = sent, .received_ns = sent + 2000000 + late - 7000000},
            {.from = 1, .to = 0, .sent_ns = sent + 4000000 - 7000000, .received_ns = sent + 7000000 + late},
        };
        if (tsp_solver_add_hops(solver, hops, 2, &err) != TSP_OK)
            goto out;
    }
    if (tsp_solver_run(solver, &err) != TSP_OK || tsp_solver_clock(solver, 1, &server, &err) != TSP_OK)
        goto out;
    printf("clock 1 is %s: %+.3f ms, surely between %+.3f and %+.3f ms\n", tsp_clock_verdict_name(server.verdict),
           (double)server.offset_ns / 1e6, (double)server.lo_ns / 1e6, (double)server.hi_ns / 1e6);
    printf("a stamp of its, corrected: %" PRId64 "\n",
           tsp_track_correct(server.track, server.knots[0].at_ns) - server.knots[0].at_ns);
    if (tsp_solver_why(solver, 1, server.knots[0].at_ns, true, &why, &why_n, &err) != TSP_OK)
        goto out;
    for (size_t k = 0; k < why_n; k++)
        printf("  because clock %u at %" PRId64 " is at most %" PRId64 " ns ahead of clock %u (%s)\n", why[k].to,
               why[k].to_ns, why[k].limit_ns, why[k].from, why[k].hop == TSP_NO_HOP ? "drift" : "a hop");
    status = server.verdict == TSP_CLOCK_PROVEN ? 0 : 1;
out:
    if (err.code != TSP_OK)
        fprintf(stderr, "%s\n", err.message);
    free(why);
    tsp_solver_free(solver);
    return status;
}
