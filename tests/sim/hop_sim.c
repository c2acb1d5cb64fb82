#include "hop_make.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1e6
#define S 1e9

const char *const hop_sim_shapes[] = {"rpc",  "drift", "wander",  "step",       "pipeline", "mesh",
                                      "late", "null",  "one-way", "asymmetric", NULL};

static void *grow(void *old, size_t size)
{
    void *grown = realloc(old, size);

    if (!grown)
        abort();
    return grown;
}

static void add_knot(hop_sim_clock *clock, double t, double x)
{
    if (clock->n == clock->cap) {
        clock->cap = clock->cap ? 2 * clock->cap : 8;
        clock->t = grow(clock->t, clock->cap * sizeof *clock->t);
        clock->x = grow(clock->x, clock->cap * sizeof *clock->x);
    }
    clock->t[clock->n] = t;
    clock->x[clock->n++] = x;
}

static double offset_at(const hop_sim_clock *clock, double t)
{
    size_t lo = 0, hi = clock->n; /* first knot after t */

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (clock->t[mid] <= t)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0)
        return clock->x[0];
    if (lo == clock->n)
        return clock->x[clock->n - 1];
    double part = (t - clock->t[lo - 1]) / (clock->t[lo] - clock->t[lo - 1]);
    return clock->x[lo - 1] + part * (clock->x[lo] - clock->x[lo - 1]);
}

double hop_sim_offset_at(const hop_sim *sim, uint32_t clock, double t_ns)
{
    return offset_at(&sim->truth[clock], t_ns);
}

int64_t hop_sim_local(const hop_sim *sim, uint32_t clock, double t_ns)
{
    return sim->origin + (int64_t)floor(t_ns + offset_at(&sim->truth[clock], t_ns));
}

double hop_sim_true_time(const hop_sim *sim, uint32_t clock, int64_t stamp)
{
    const hop_sim_clock *c = &sim->truth[clock];
    double local = (double)(stamp - sim->origin);

    for (size_t k = c->n; k-- > 0;) { /* the last piece that reaches this local time */
        double a = c->t[k] + c->x[k];
        if (local < a && k > 0)
            continue;
        if (k + 1 == c->n || c->t[k + 1] == c->t[k])
            return local - c->x[k];
        double rate = (c->x[k + 1] - c->x[k]) / (c->t[k + 1] - c->t[k]);
        double t = (local - c->x[k] + rate * c->t[k]) / (1 + rate);
        return t > c->t[k + 1] ? c->t[k + 1] : t; /* in the gap of a forward step */
    }
    return local;
}

double hop_sim_offset(const hop_sim *sim, uint32_t clock, int64_t stamp)
{
    return (double)(stamp - sim->origin) - hop_sim_true_time(sim, clock, stamp);
}

void hop_sim_add(hop_sim *sim, uint32_t from, double sent, uint32_t to, double received, int kind)
{
    if (sim->n == sim->cap) {
        sim->cap = sim->cap ? 2 * sim->cap : 4096;
        sim->hops = grow(sim->hops, sim->cap * sizeof *sim->hops);
        sim->late = grow(sim->late, sim->cap);
    }
    sim->hops[sim->n] = (tsp_hop){.from = from,
                                  .to = to,
                                  .sent_ns = hop_sim_local(sim, from, sent),
                                  .received_ns = hop_sim_local(sim, to, received),
                                  .tag = sim->n,
                                  .kind = (uint8_t)kind};
    sim->late[sim->n++] = 0;
}

double hop_sim_delay(hop_sim *sim)
{
    return 4 * MS + tspi_random_exponential(&sim->random, 0.4 * MS);
}

/* One call and the reply to it: from's request reaches to, which works and answers. Returns when the reply arrived. */
double hop_sim_call(hop_sim *sim, uint32_t from, uint32_t to, double t, double work)
{
    double start = t + hop_sim_delay(sim), end = start + work, back = end + hop_sim_delay(sim);

    hop_sim_add(sim, from, t, to, start, TSP_HOP_HARD);
    hop_sim_add(sim, to, end, from, back, TSP_HOP_SOFT);
    return back;
}

/* A tree of calls over all clocks from a random root. */
void hop_sim_rpc_trace(hop_sim *sim, double t)
{
    uint32_t order[64], n = sim->clocks < 64 ? sim->clocks : 64;
    double start[64];

    for (uint32_t k = 0; k < n; k++)
        order[k] = k;
    for (uint32_t k = n; k-- > 1;) {
        uint32_t q = (uint32_t)tspi_random_below(&sim->random, k + 1), swap = order[k];
        order[k] = order[q];
        order[q] = swap;
    }
    start[0] = t;
    for (uint32_t k = 1; k < n; k++) {
        uint32_t parent = (uint32_t)tspi_random_below(&sim->random, k);
        double at = start[parent] + tspi_random_exponential(&sim->random, 1 * MS);
        hop_sim_call(sim, order[parent], order[k], at, tspi_random_exponential(&sim->random, 5 * MS));
        start[k] = at + 4.4 * MS;
    }
}

/* 0 -> 1 -> ... -> n - 1 through queues, and an acknowledgement back to 0. */
static void pipeline_trace(hop_sim *sim, double t, bool acknowledged)
{
    for (uint32_t c = 0; c + 1 < sim->clocks; c++) {
        double queued = tspi_random_below(&sim->random, 2) ? tspi_random_exponential(&sim->random, 5 * MS) : 0;
        double there = t + hop_sim_delay(sim) + queued;
        hop_sim_add(sim, c, t, c + 1, there, TSP_HOP_HARD);
        t = there + tspi_random_exponential(&sim->random, 2 * MS);
    }
    if (acknowledged)
        hop_sim_add(sim, sim->clocks - 1, t, 0, t + hop_sim_delay(sim), TSP_HOP_HARD);
}

/* A walk of four hops over a fixed sparse graph: a ring with two chords a clock. */
void hop_sim_mesh_trace(hop_sim *sim, double t)
{
    uint32_t at = (uint32_t)tspi_random_below(&sim->random, sim->clocks);

    for (int k = 0; k < 4; k++) {
        static const uint32_t reach[] = {1, 7, 39, 33}; /* both ways round a ring of 40 */
        uint32_t to = (at + reach[tspi_random_below(&sim->random, 4)]) % sim->clocks;
        double there = t + hop_sim_delay(sim);
        hop_sim_add(sim, at, t, to, there, TSP_HOP_HARD);
        t = there + tspi_random_exponential(&sim->random, 2 * MS);
        at = to;
    }
}

static void hub_trace(hop_sim *sim, double t)
{
    hop_sim_call(sim, 0, 1 + (uint32_t)tspi_random_below(&sim->random, sim->clocks - 1), t,
                 tspi_random_exponential(&sim->random, 5 * MS));
}

void hop_sim_set_clocks(hop_sim *sim, uint32_t clocks, bool skewed, double drift_ppm)
{
    sim->clocks = clocks;
    sim->truth = grow(NULL, clocks * sizeof *sim->truth);
    memset(sim->truth, 0, clocks * sizeof *sim->truth);
    for (uint32_t c = 0; c < clocks; c++) {
        double x = c && skewed ? tspi_random_uniform(&sim->random, -20 * MS, 20 * MS) : 0;
        double rate = c ? tspi_random_uniform(&sim->random, -drift_ppm, drift_ppm) * 1e-6 : 0;
        add_knot(&sim->truth[c], -S, x - rate * S);
        add_knot(&sim->truth[c], sim->span_ns + S, x + rate * (sim->span_ns + S));
    }
}

/* The rate walks at random and is reflected at +-60 ppm. */
static void wander(hop_sim *sim)
{
    for (uint32_t c = 1; c < sim->clocks; c++) {
        double x = sim->truth[c].x[0], rate = tspi_random_uniform(&sim->random, -40, 40);
        sim->truth[c].n = 0;
        for (double t = -S; t <= sim->span_ns + 2 * S; t += S) {
            add_knot(&sim->truth[c], t, x);
            rate += tspi_random_normal(&sim->random);
            if (fabs(rate) > 60)
                rate = copysign(120, rate) - rate;
            x += rate * 1e-6 * S;
        }
    }
}

void hop_sim_step(hop_sim *sim, uint32_t clock, double at, double size)
{
    hop_sim_clock *c = &sim->truth[clock];
    double x0 = offset_at(c, at), t1 = c->t[c->n - 1], x1 = c->x[c->n - 1];

    c->n--;
    add_knot(c, at, x0);
    add_knot(c, at, x0 + size);
    add_knot(c, t1, x1 + size);
}

void hop_sim_slew(hop_sim *sim, uint32_t clock, double at, double length, double size)
{
    hop_sim_clock *c = &sim->truth[clock];
    double x0 = offset_at(c, at), x1 = offset_at(c, at + length), t2 = c->t[c->n - 1], x2 = c->x[c->n - 1];

    c->n--;
    add_knot(c, at, x0);
    add_knot(c, at + length, x1 + size);
    add_knot(c, t2, x2 + size);
}

/* A part of all stamps is written late: the sender's, which makes the hop look faster, as often as the receiver's. */
static void make_late(hop_sim *sim, double part)
{
    for (size_t k = 0; k < sim->n; k++)
        for (int end = 0; end < 2; end++)
            if (tspi_random_unit(&sim->random) < part) {
                int64_t by = (int64_t)tspi_random_uniform(&sim->random, 5 * MS, 15 * MS);
                *(end ? &sim->hops[k].received_ns : &sim->hops[k].sent_ns) += by;
                sim->late[k] |= (uint8_t)(1 << end);
            }
}

void hop_sim_run(hop_sim *sim, double per_second, hop_sim_trace make)
{
    for (double t = tspi_random_exponential(&sim->random, S / per_second); t < sim->span_ns;
         t += tspi_random_exponential(&sim->random, S / per_second))
        make(sim, t);
}

static void acknowledged(hop_sim *sim, double t)
{
    pipeline_trace(sim, t, true);
}

static void one_way(hop_sim *sim, double t)
{
    pipeline_trace(sim, t, false);
}

static void asymmetric(hop_sim *sim, double t)
{
    double there = t + 1 * MS + tspi_random_exponential(&sim->random, 0.1 * MS);
    double back = there + 5 * MS, home = back + 19 * MS + tspi_random_exponential(&sim->random, 0.1 * MS);

    hop_sim_add(sim, 0, t, 1, there, TSP_HOP_HARD);
    hop_sim_add(sim, 1, back, 0, home, TSP_HOP_HARD);
}

static void congested(hop_sim *sim, double t)
{
    size_t first = sim->n;

    hop_sim_rpc_trace(sim, t);
    /* One direction is 3 ms slower for a third of the run. */
    if (t > sim->span_ns / 3 && t < sim->span_ns * 2 / 3)
        for (size_t k = first; k < sim->n; k++)
            if (sim->hops[k].from == 1 && sim->hops[k].to == 2)
                sim->hops[k].received_ns += (int64_t)(3 * MS);
}

bool hop_sim_make(hop_sim *sim, const char *shape, uint64_t seed)
{
    bool is_long = !strcmp(shape, "drift") || !strcmp(shape, "wander");

    memset(sim, 0, sizeof *sim);
    sim->shape = shape;
    sim->origin = INT64_C(1700000000123456789);
    sim->span_ns = is_long ? 600 * S : 60 * S;
    tspi_random_seed(&sim->random, seed);
    if (!strcmp(shape, "rpc") || is_long || !strcmp(shape, "step") || !strcmp(shape, "early-step") ||
        !strcmp(shape, "quantum")) {
        hop_sim_set_clocks(sim, 5, true, is_long ? 40 : 0);
        if (!strcmp(shape, "wander"))
            wander(sim);
        if (!strcmp(shape, "early-step")) {
            double at = tspi_random_uniform(&sim->random, 7 * S, 15 * S);
            hop_sim_step(sim, 1 + (uint32_t)tspi_random_below(&sim->random, 4),
                         tspi_random_below(&sim->random, 2) ? at : 60 * S - at,
                         tspi_random_uniform(&sim->random, 5 * MS, 30 * MS) *
                             (tspi_random_below(&sim->random, 2) ? 1 : -1));
        }
        if (!strcmp(shape, "step"))
            hop_sim_step(sim, 1 + (uint32_t)tspi_random_below(&sim->random, 4),
                         tspi_random_uniform(&sim->random, 15 * S, 45 * S),
                         tspi_random_uniform(&sim->random, 5 * MS, 30 * MS) *
                             (tspi_random_below(&sim->random, 2) ? 1 : -1));
        hop_sim_run(sim, 50, hop_sim_rpc_trace);
    } else if (!strcmp(shape, "pipeline")) {
        hop_sim_set_clocks(sim, 5, true, 0);
        hop_sim_run(sim, 50, acknowledged);
    } else if (!strcmp(shape, "mesh")) {
        hop_sim_set_clocks(sim, 40, true, 0);
        hop_sim_run(sim, 50, hop_sim_mesh_trace);
    } else if (!strcmp(shape, "late") || !strcmp(shape, "null") || !strcmp(shape, "lies")) {
        hop_sim_set_clocks(sim, 5, false, 0);
        hop_sim_run(sim, 50, hop_sim_rpc_trace);
        if (strcmp(shape, "null") != 0)
            make_late(sim, !strcmp(shape, "lies") ? 0.10 : 0.01);
    } else if (!strcmp(shape, "one-way")) {
        hop_sim_set_clocks(sim, 5, true, 0);
        hop_sim_run(sim, 50, one_way);
    } else if (!strcmp(shape, "asymmetric")) {
        hop_sim_set_clocks(sim, 2, true, 0);
        hop_sim_run(sim, 50, asymmetric);
    } else if (!strcmp(shape, "hub")) {
        sim->span_ns = 600 * S;
        hop_sim_set_clocks(sim, 31, true, 10);
        hop_sim_run(sim, 9, hub_trace);
    } else if (!strcmp(shape, "congestion")) {
        hop_sim_set_clocks(sim, 5, true, 0);
        hop_sim_run(sim, 50, congested);
    } else if (!strcmp(shape, "dense")) {
        hop_sim_set_clocks(sim, 5, true, 40);
        hop_sim_run(sim, 1000, hop_sim_rpc_trace);
        make_late(sim, 0.02);
    } else if (!hop_odd_make(sim, shape) && !hop_move_make(sim, shape))
        return false;
    if (!strcmp(shape, "quantum"))
        for (size_t k = 0; k < sim->n; k++) { /* every process floors its stamps to 1 ms, and says so */
            sim->hops[k].sent_ns -= sim->hops[k].sent_ns % 1000000;
            sim->hops[k].received_ns -= sim->hops[k].received_ns % 1000000;
            sim->hops[k].quantum_ns = 1000000;
        }
    return true;
}

void hop_sim_release(hop_sim *sim)
{
    for (uint32_t c = 0; c < sim->clocks; c++) {
        free(sim->truth[c].t);
        free(sim->truth[c].x);
    }
    free(sim->truth);
    free(sim->hops);
    free(sim->late);
    memset(sim, 0, sizeof *sim);
}

bool hop_sim_write_json(const hop_sim *sim, const char *path)
{
    FILE *file = fopen(path, "w");
    bool ok;

    if (!file)
        return false;
    fprintf(file, "{\"ref\":0,\"t0\":%" PRId64 ",\"names\":[", sim->origin);
    for (uint32_t c = 0; c < sim->clocks; c++)
        fprintf(file, "%s\"c%u\"", c ? "," : "", c);
    fputs("],\"hops\":[", file);
    for (size_t k = 0; k < sim->n; k++)
        fprintf(file, "%s[%u,%" PRId64 ",%u,%" PRId64 ",%d]", k ? "," : "", sim->hops[k].from,
                sim->hops[k].sent_ns - sim->origin, sim->hops[k].to,
                sim->hops[k].received_ns + sim->hops[k].quantum_ns - sim->origin, sim->hops[k].kind);
    fputs("],\"knots\":[", file);
    for (uint32_t c = 0; c < sim->clocks; c++) {
        fputs(c ? ",[" : "[", file);
        for (size_t k = 0; k < sim->truth[c].n; k++)
            fprintf(file, "%s[%.17g,%.17g]", k ? "," : "", sim->truth[c].t[k], sim->truth[c].x[k]);
        fputc(']', file);
    }
    fputs("]}\n", file);
    ok = !ferror(file);
    return fclose(file) == 0 && ok;
}
