/* What callers read of each clock: knots at most a second apart where there is traffic, with their bounds; steps and
 * bends; the mean rate. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/parallel.h"
#include "solve/solver.h"

#define GRID_NS TSP_NS_PER_S
#define MOST_GRID_BYTES ((size_t)64 << 20)

/* Which seconds of each clock have traffic: one bit each, from the clock's first stamp. */
typedef struct {
    size_t *first; /* owned, clocks + 1: byte at which a clock's bits begin */
    uint8_t *bits; /* owned */
    int64_t step;  /* ns a bit stands for */
} grid;

static bool grid_init(grid *g, const tsp_solver *solver)
{
    size_t bytes;

    g->step = GRID_NS;
    g->first = malloc(((size_t)solver->clocks + 1) * sizeof *g->first);
    if (!g->first)
        return false;
    for (;; g->step *= 2) { /* coarser only for runs of which a second is no meaningful part */
        bytes = 0;
        for (uint32_t c = 0; c < solver->clocks; c++) {
            const tspi_clock_row *row = &solver->rows[c];
            g->first[c] = bytes;
            if (row->first <= row->last)
                bytes += (size_t)((row->last - row->first) / g->step) / 8 + 1;
        }
        if (bytes <= MOST_GRID_BYTES)
            break;
    }
    g->first[solver->clocks] = bytes;
    g->bits = calloc(bytes + 1, 1);
    return g->bits != NULL;
}

/* Several edges of a clock may mark at once. */
static void mark(const grid *g, const tsp_solver *solver, uint32_t clock, int64_t stamp)
{
    const tspi_clock_row *row = &solver->rows[clock];

    if (stamp >= row->first && stamp <= row->last) {
        size_t k = (size_t)((stamp - row->first) / g->step);
        uint8_t *at = &g->bits[g->first[clock] + k / 8], bit = (uint8_t)(1 << k % 8);
        if (!(__atomic_load_n(at, __ATOMIC_RELAXED) & bit))
            __atomic_fetch_or(at, bit, __ATOMIC_RELAXED);
    }
}

typedef struct {
    tsp_solver *solver;
    const grid *grid;
} telling;

static bool mark_edge(void *telling_, size_t e, unsigned worker)
{
    const telling *t = telling_;
    const tspi_stored_edge *edge = &t->solver->hops.edges[e];

    (void)worker;
    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        const tspi_stored_hop *hop = &t->solver->hops.hops[row];
        mark(t->grid, t->solver, edge->from, hop->sent);
        mark(t->grid, t->solver, edge->to, hop->received);
    }
    return true;
}

/* The knots of a clock, and where the last was found. */
typedef struct {
    tsp_knot *all;
    size_t n;
    int64_t vertex;
    size_t track_knot;
} knot_list;

static void add_knot(const tsp_solver *solver, uint32_t clock, uint32_t piece, int64_t at, knot_list *list)
{
    const tspi_clock_row *row = &solver->rows[clock];
    tsp_knot knot = {at, TSP_NO_VALUE, TSP_UNBOUNDED_LO, TSP_UNBOUNDED_HI};
    bool known = solver->fit.joined[clock] && (row->in < row->out ? row->in : row->out) >= ESTIMATE_HOPS;

    if (solver->root[clock] == 1 + piece)
        knot.offset_ns = knot.lo_ns = knot.hi_ns = 0;
    else {
        uint32_t node = tspi_sides_first(&solver->fit.sides, clock) + piece;
        if (solver->bounded)
            tspi_bounds_near(&solver->graph, &solver->bounds, node, at, &list->vertex, &knot.lo_ns, &knot.hi_ns);
        if (knot.lo_ns > knot.hi_ns) { /* of clocks centuries apart, sums that leave 64 bits */
            knot.lo_ns = TSP_UNBOUNDED_LO;
            knot.hi_ns = TSP_UNBOUNDED_HI;
        }
        if (known) {
            const tsp_track *track = row->result.untouched ? row->estimate : row->track;
            knot.offset_ns = tspi_track_near(track, piece, at, &list->track_knot);
            if (knot.lo_ns != TSP_UNBOUNDED_LO && knot.offset_ns < knot.lo_ns)
                knot.offset_ns = knot.lo_ns;
            if (knot.hi_ns != TSP_UNBOUNDED_HI && knot.offset_ns > knot.hi_ns)
                knot.offset_ns = knot.hi_ns;
        }
    }
    list->all[list->n++] = knot;
}

/* Of a clock's points, the first from k on that is marked, by whole words at first: stamps of two ages leave a desert
 * between them. */
static size_t next_marked(const grid *g, uint32_t clock, size_t k, size_t points)
{
    const uint8_t *bits = g->bits + g->first[clock];
    uint64_t word;

    for (; k % 8 && !(bits[k / 8] >> k % 8 & 1); k++)
        ;
    if (k % 8)
        return k;
    for (; k + 64 <= points && (memcpy(&word, bits + k / 8, sizeof word), !word); k += 64)
        ;
    while (k < points && !(bits[k / 8] >> k % 8 & 1))
        k++;
    return k;
}

/* The grid's points, ascending, with both sides of every cut between them. */
static size_t fill_knots(const tsp_solver *solver, const grid *g, uint32_t clock, tsp_knot *knots)
{
    const tspi_clock_row *row = &solver->rows[clock];
    const tsp_track *track = row->estimate;
    size_t points = (g->first[clock + 1] - g->first[clock]) * 8;
    knot_list list = {.all = knots};
    uint32_t piece = 0;
    bool before = false;

    for (size_t k = 0; k <= points; k++) {
        k = before ? k : next_marked(g, clock, k, points);
        bool here = k < points && g->bits[g->first[clock] + k / 8] >> k % 8 & 1;
        int64_t at = row->first + (int64_t)k * g->step;
        if (at > row->last)
            at = row->last;
        if (!here && !before)
            continue;
        for (; piece + 1 < track->pieces && track->cuts[piece] <= at; piece++) {
            add_knot(solver, clock, piece, track->cuts[piece], &list);
            add_knot(solver, clock, piece + 1, track->cuts[piece], &list);
        }
        if (!list.n || at > knots[list.n - 1].at_ns)
            add_knot(solver, clock, piece, at, &list);
        before = here;
    }
    return list.n;
}

static bool set_steps(tsp_solver *solver, uint32_t clock)
{
    tspi_clock_row *row = &solver->rows[clock];
    uint32_t n = 0;

    row->steps = calloc((size_t)row->estimate->pieces, sizeof *row->steps);
    if (!row->steps)
        return false;
    for (uint32_t p = 0; p + 1 < row->estimate->pieces; p++)
        for (uint32_t k = 0; k < solver->fit.jumps_n; k++) {
            const tspi_jump *jump = &solver->fit.jumps[k];
            int64_t cut = row->estimate->cuts[p];
            if (jump->clock != clock || jump->cut != cut)
                continue;
            const tsp_track *track = row->track->pieces > 1 ? row->track : row->estimate;
            row->steps[n++] = (tsp_step){
                jump->before, tspi_track_piece_offset(track, p + 1, cut) - tspi_track_piece_offset(track, p, cut),
                jump->after};
            break; /* two jumps may have been cut at one stamp */
        }
    row->result.steps = row->steps;
    row->result.steps_n = n;
    return true;
}

/* Bends nearer to each other than a window are known by what they add up to: one bend, where both lines meet. Unless
 * they meet far away, as those of a short slew do. */
static bool add_bend(tsp_bend *told, const tspi_bend *bend, double apart, double window)
{
    double rate = (double)told->rate_ppb + bend->rate, by = apart * bend->rate / rate;

    if (apart > window || !(by >= -window && by <= apart + window))
        return false;
    told->at_ns += llround(by);
    told->rate_ppb = llround(rate);
    return true;
}

static bool set_bends(tsp_solver *solver, uint32_t clock)
{
    tspi_clock_row *row = &solver->rows[clock];
    const tspi_fit *fit = &solver->fit;
    uint32_t n = 0, most = 0;

    for (uint32_t b = 0; b < fit->bends_n; b++)
        most += fit->bends[b].clock == clock;
    row->bends = calloc((size_t)most + 1, sizeof *row->bends);
    if (!row->bends)
        return false;
    for (uint32_t b = 0; b < fit->bends_n; b++) {
        const tspi_bend *bend = &fit->bends[b];
        tsp_bend *told = n ? &row->bends[n - 1] : NULL;
        if (bend->clock != clock || llround(bend->rate) == 0)
            continue;
        if (!told || !add_bend(told, bend, (double)(bend->at - told->at_ns), fit->base_window))
            row->bends[n++] = (tsp_bend){bend->at, llround(bend->rate)};
    }
    row->result.bends = row->bends;
    row->result.bends_n = n;
    return true;
}

/* Mean rate over the pieces, jumps left out. */
static int64_t drift_of(const tspi_clock_row *row)
{
    const tsp_track *track = row->estimate;
    double rise = 0, run = 0;

    for (uint32_t p = 0; p < track->pieces; p++)
        if (track->first[p + 1] > track->first[p] + 1) {
            const tspi_track_knot *a = &track->knots[track->first[p]], *b = &track->knots[track->first[p + 1] - 1];
            rise += (double)(b->x - a->x);
            run += (double)(b->at - a->at);
        }
    return run > 0 ? llround(rise / run * 1e9) : TSP_NO_VALUE;
}

static bool set_result(void *telling_, size_t clock_, unsigned worker)
{
    const telling *t = telling_;
    tsp_solver *solver = t->solver;
    const grid *g = t->grid;
    uint32_t clock = (uint32_t)clock_;
    tspi_clock_row *row = &solver->rows[clock];
    tsp_clock_result *result = &row->result;
    size_t most = 2 * (size_t)row->estimate->pieces + 2;

    (void)worker;
    for (size_t k = g->first[clock]; k < g->first[clock + 1]; k++) /* a second with traffic has a knot at either end */
        most += 2 * (size_t)__builtin_popcount(g->bits[k]);

    row->knots = malloc(most * sizeof *row->knots);
    if (!row->knots || !set_steps(solver, clock) || !set_bends(solver, clock))
        return false;
    result->knots = row->knots;
    result->knots_n = fill_knots(solver, g, clock, row->knots);
    tsp_knot *smaller = realloc(row->knots, (result->knots_n + 1) * sizeof *smaller);
    if (smaller)
        result->knots = row->knots = smaller;
    result->track = row->track;
    result->group = solver->group[clock];
    result->is_reference = solver->root[clock];
    result->hops_in = row->in;
    result->hops_out = row->out;
    bool is_frame = solver->root[clock] && result->verdict == TSP_CLOCK_OK;
    result->offset_ns = is_frame ? 0 : TSP_NO_VALUE;
    result->lo_ns = is_frame ? 0 : TSP_UNBOUNDED_LO;
    result->hi_ns = is_frame ? 0 : TSP_UNBOUNDED_HI;
    result->drift_ppb = is_frame ? 0 : TSP_NO_VALUE;
    if (result->knots_n) {
        const tsp_knot *last = &row->knots[result->knots_n - 1];
        result->offset_ns = last->offset_ns;
        result->lo_ns = last->lo_ns;
        result->hi_ns = last->hi_ns;
        if (last->offset_ns != TSP_NO_VALUE && !solver->root[clock])
            result->drift_ppb = drift_of(row);
    }
    return true;
}

bool tspi_solver_knots(tsp_solver *solver)
{
    grid g = {0};
    telling each = {solver, &g};
    bool ok = grid_init(&g, solver) && tspi_parallel(solver->fit.threads, solver->hops.edges_n, mark_edge, &each) &&
              tspi_parallel(solver->fit.threads, solver->clocks, set_result, &each);

    free(g.first);
    free(g.bits);
    return ok;
}
