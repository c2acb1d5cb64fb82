/* Shapes in which verdicts are hard to come by: what constants of verdicts, quorums and steps answer to.
 *
 *   busy, busy-skew   full CPU: stamps wait at either end. Clocks are right, and hops take less than the waits; or not
 *   starved, -skew    no reference, hardly any CPU: five clocks round a ring, messages wait; one is 5 to 10 ms ahead
 *   few, few-skew     a handful of hops an edge; clocks right and every third stamp late, or one clock 50 ms ahead
 *   soft              one clock calls all others: answers alone bound them from the other side, and some operations lie
 *   frame             no reference: four clocks agree, three are wrong
 *   steps             two clocks step three times each, by 1 to 8 ms
 *   ring-step         five clocks round a ring, four requests a second; one drifts by 5 to 8 ppm and steps late in the
 *                     run
 *   namesake          six clocks call each other; a seventh, 8 to 30 ms from it, goes by the name of one of them
 *   stray             calls, and a few stamps of 1970 and of 2090 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "hop_make.h"

#define MS 1e6
#define S 1e9

static double spread(hop_sim *sim, double mean)
{
    return tspi_random_exponential(&sim->random, mean);
}

/* Once round a ring; who writes a stamp waits for the CPU first. */
static void ring_trace(hop_sim *sim, double t, double fastest)
{
    for (uint32_t c = 0; c < sim->clocks; c++) {
        double received = t + fastest + spread(sim, 0.05 * MS), begun = received + spread(sim, 0.2 * MS);
        hop_sim_add(sim, c, t + spread(sim, 0.2 * MS), (c + 1) % sim->clocks, begun, TSP_HOP_HARD);
        t = begun + 0.1 * MS;
    }
}

static void busy_trace(hop_sim *sim, double t)
{
    ring_trace(sim, t, 0.1 * MS);
}

static void busy_skewed_trace(hop_sim *sim, double t)
{
    ring_trace(sim, t, 4 * MS);
}

/* A request round the ring, answered token by token from the middle on. */
static void tokens_trace(hop_sim *sim, double t)
{
    enum { TOKENS = 16 };

    for (uint32_t c = 0; c < 5; c++) {
        double last = t;
        for (int k = 0; k < (c == 2 || c == 3 ? TOKENS : 1); k++) {
            double sent = t + 0.1 * MS * k;
            last = fmax(last, sent + 4 * MS + spread(sim, 1.5 * MS));
            hop_sim_add(sim, c, sent, (c + 1) % 5, last, TSP_HOP_HARD);
        }
        t = last;
    }
}

/* A request round the ring, its middle a stream of tokens in groups that wait together. Each clock's waits are sums of
 * two exponentials of its own mean, so that the fastest hop of an edge lies anywhere. */
static void starved_trace(hop_sim *sim, double t)
{
    enum { GROUPS = 4, TOKENS = 4 };
    static double mean[5];

    for (uint32_t c = 0; c < 5 && !sim->n; c++)
        mean[c] = tspi_random_uniform(&sim->random, 2 * MS, 40 * MS);
    for (uint32_t c = 0; c < 5; c++) {
        bool streams = c == 2 || c == 3;
        double last = t;
        for (int group = 0; group < (streams ? GROUPS : 1); group++) {
            double sent = t + group * 40 * MS, wait = spread(sim, mean[(c + 1) % 5]) + spread(sim, mean[(c + 1) % 5]);
            for (int k = 0; k < (streams ? TOKENS : 1); k++) {
                last = fmax(last, sent + hop_sim_delay(sim) + wait + 0.1 * MS * k);
                hop_sim_add(sim, c, sent + 0.1 * MS * k, (c + 1) % 5, last, TSP_HOP_HARD);
            }
        }
        t = last;
    }
}

static void one_hop(hop_sim *sim, double t, double late)
{
    uint32_t from = (uint32_t)tspi_random_below(&sim->random, sim->clocks);
    uint32_t to = (from + 1 + (uint32_t)tspi_random_below(&sim->random, sim->clocks - 1)) % sim->clocks;

    hop_sim_add(sim, from, t + late, to, t + hop_sim_delay(sim), TSP_HOP_HARD);
}

static void few_trace(hop_sim *sim, double t)
{
    one_hop(sim, t, tspi_random_below(&sim->random, 3) ? 0 : spread(sim, 10 * MS));
}

static void few_skewed_trace(hop_sim *sim, double t)
{
    one_hop(sim, t, 0);
}

/* Six operations: the third lies in six calls of ten, the fifth in one of twenty; on one clock, too. */
static void soft_trace(hop_sim *sim, double t)
{
    uint32_t operation = 1 + (uint32_t)tspi_random_below(&sim->random, 6);
    double part = operation == 3 ? 0.6 : operation == 5 ? 0.05 : 0;
    uint32_t from = tspi_random_below(&sim->random, 4) ? 0 : (uint32_t)tspi_random_below(&sim->random, sim->clocks);
    uint32_t to = from ? from : 1 + (uint32_t)tspi_random_below(&sim->random, sim->clocks - 1);
    double began = t + hop_sim_delay(sim), end = began + spread(sim, 3 * MS), back = end + hop_sim_delay(sim);
    double late = tspi_random_unit(&sim->random) < part ? 1 * MS + spread(sim, 8 * MS) : 0;

    hop_sim_add(sim, from, t, to, began, TSP_HOP_HARD);
    sim->hops[sim->n - 1].operation = operation;
    hop_sim_add(sim, to, end + late, from, back, TSP_HOP_SOFT);
    sim->hops[sim->n - 1].operation = operation;
}

static void make_stray(hop_sim *sim)
{
    for (int k = 0; k < 12; k++) {
        size_t row = tspi_random_below(&sim->random, sim->n);
        int64_t stamp = k % 2 ? INT64_C(1000000000) : INT64_C(3800000000000000000);
        *(k % 4 < 2 ? &sim->hops[row].sent_ns : &sim->hops[row].received_ns) = stamp;
        sim->late[row] = 3;
    }
}

/* Between the two of one name there are no hops then. */
static void give_last_the_name_of(hop_sim *sim, uint32_t clock)
{
    uint32_t last = --sim->clocks;
    size_t kept = 0;

    free(sim->truth[last].t);
    free(sim->truth[last].x);
    for (size_t row = 0; row < sim->n; row++) {
        tsp_hop hop = sim->hops[row];
        hop.from = hop.from == last ? clock : hop.from;
        hop.to = hop.to == last ? clock : hop.to;
        if (hop.from == hop.to)
            continue;
        sim->late[kept] = sim->late[row];
        sim->hops[kept++] = hop;
    }
    sim->n = kept;
}

static void shift(hop_sim *sim, uint32_t clock, double by)
{
    for (size_t k = 0; k < sim->truth[clock].n; k++)
        sim->truth[clock].x[k] += by;
}

bool hop_odd_make(hop_sim *sim, const char *shape)
{
    bool skewed = strstr(shape, "-skew") != NULL;

    if (!strncmp(shape, "busy", 4)) {
        hop_sim_set_clocks(sim, 5, skewed, 0);
        hop_sim_run(sim, 50, skewed ? busy_skewed_trace : busy_trace);
    } else if (!strncmp(shape, "starved", 7)) {
        sim->span_ns = 15 * S;
        sim->reference = TSP_NO_CLOCK;
        hop_sim_set_clocks(sim, 5, false, 0);
        if (skewed)
            shift(sim, (uint32_t)tspi_random_below(&sim->random, 5),
                  tspi_random_uniform(&sim->random, 5 * MS, 10 * MS));
        hop_sim_run(sim, 5, starved_trace);
    } else if (!strncmp(shape, "few", 3)) {
        hop_sim_set_clocks(sim, skewed ? 5 : 20, false, 0);
        if (skewed)
            shift(sim, 1, 50 * MS);
        hop_sim_run(sim, skewed ? 3 : 10, skewed ? few_skewed_trace : few_trace);
    } else if (!strcmp(shape, "soft")) {
        hop_sim_set_clocks(sim, 5, true, 10);
        hop_sim_run(sim, 100, soft_trace);
    } else if (!strcmp(shape, "frame")) {
        sim->reference = TSP_NO_CLOCK;
        hop_sim_set_clocks(sim, 7, false, 0);
        for (uint32_t c = 4; c < 7; c++)
            shift(sim, c, 15 * MS * (c - 3));
        hop_sim_run(sim, 50, hop_sim_rpc_trace);
    } else if (!strcmp(shape, "steps")) {
        hop_sim_set_clocks(sim, 5, true, 10);
        for (int k = 0; k < 6; k++)
            hop_sim_step(sim, k % 2 ? 1 : 3, tspi_random_uniform(&sim->random, 8 + 16 * (k / 2), 16 + 16 * (k / 2)) * S,
                         tspi_random_uniform(&sim->random, 1 * MS, 8 * MS) *
                             (tspi_random_below(&sim->random, 2) ? 1 : -1));
        hop_sim_run(sim, 50, hop_sim_rpc_trace);
    } else if (!strcmp(shape, "ring-step")) {
        double way = tspi_random_below(&sim->random, 2) ? 1 : -1;
        sim->span_ns = 300 * S;
        hop_sim_set_clocks(sim, 5, false, 0);
        sim->truth[2].x[0] = tspi_random_uniform(&sim->random, 5 * MS, 9 * MS);
        sim->truth[2].x[1] = sim->truth[2].x[0] + way * tspi_random_uniform(&sim->random, 5e-6, 8e-6) *
                                                      (sim->truth[2].t[1] - sim->truth[2].t[0]);
        hop_sim_step(sim, 2, tspi_random_uniform(&sim->random, 190, 220) * S,
                     tspi_random_uniform(&sim->random, 5 * MS, 12 * MS) *
                         (tspi_random_below(&sim->random, 2) ? 1 : -1));
        hop_sim_run(sim, 4, tokens_trace);
    } else if (!strcmp(shape, "namesake")) {
        hop_sim_set_clocks(sim, 7, false, 0);
        shift(sim, 6, tspi_random_uniform(&sim->random, 8 * MS, 30 * MS));
        hop_sim_run(sim, 50, hop_sim_rpc_trace);
        give_last_the_name_of(sim, 2);
    } else if (!strcmp(shape, "stray")) {
        hop_sim_set_clocks(sim, 5, true, 0);
        hop_sim_run(sim, 50, hop_sim_rpc_trace);
        make_stray(sim);
    } else
        return false;
    return true;
}
