/* Hops that can bound something, told before the graph is built.
 *
 * Lengths are counted against the estimates: a hop's is its slack under the tracks, a wait on a clock costs what drift
 * allows beyond its track, and both are hardly ever negative. So no way from a root to a clock is shorter than the
 * shortest chain of edges, each with its fastest hop (least); and at no instant is the best way longer than the
 * shortest chain of edges, each with the worst wait for one of its hops (most). A hop whose sender's least and own
 * length exceed its receiver's most is on no shortest way; the same towards the roots. Where edges are dense, most and
 * least lie microseconds apart, and of all edges only those on some fastest chain are left.
 *
 * That no chain of edges closes into a negative cycle also shows that the hops left out contradict nothing. Lengths of
 * chains are doubles; each edge has SLOP_NS to spare for them, for whole ns, and for drift counted in whole ns. */
#include <math.h>
#include <stdlib.h>

#include "solve/constants.h"
#include "solve/parallel.h"
#include "solve/room.h"
#include "solve/solver.h"

#define SLOP_NS 8.0
#define HOPS_LEAST 16 /* an edge, on average: below, there is little to win */
#define KEPT_MOST 0.6 /* where pruning leaves more, hops lie so far apart that waits decide, not edges */
#define MOST_WORKERS 64

/* How long it takes to cross an edge, along it and against it. */
typedef struct {
    double least, most, most_back;
} crossing;

/* Hops of an edge as one end sees them: its time since the clock's first stamp; length and track; the least cost to be
 * here from any later hop. */
typedef struct {
    double t, y, x, later;
} instant;

typedef struct {
    const tsp_solver *solver;
    int64_t allowance;
    uint8_t *keep;
    crossing *crossings;                 /* owned, edges */
    double *from_roots[2], *to_roots[2]; /* owned, clocks: least and most */
    instant *scratch[MOST_WORKERS];      /* owned */
    size_t scratch_cap[MOST_WORKERS];
} survey;

static bool is_cut(const tsp_solver *solver, uint32_t clock)
{
    return solver->rows[clock].estimate->pieces > 1;
}

/* The worst that any instant from 0 to span has to pay to reach one of the hops, n of them in the order of t. A wait
 * costs rho a ns, less what the track x does meanwhile. Between two neighbours the cheaper side costs at most the mean
 * of both, and x is nowhere lower than their mean less what drift allows. */
static double worst_wait(instant *at, size_t n, double rho, double span, double x_first, double x_last)
{
    double earlier = INFINITY, later = INFINITY, worst;

    if (!n)
        return INFINITY;
    for (size_t k = n; k-- > 0;)
        at[k].later = later = fmin(later, at[k].y + rho * at[k].t);
    worst = later - x_first;
    for (size_t k = 0; k + 1 < n; k++) {
        earlier = fmin(earlier, at[k].y - rho * at[k].t);
        double low = (at[k].x + at[k + 1].x - rho * (at[k + 1].t - at[k].t)) / 2;
        worst = fmax(worst, (earlier + at[k + 1].later) / 2 - low);
    }
    earlier = fmin(earlier, at[n - 1].y - rho * at[n - 1].t);
    return fmax(worst, earlier + rho * span - x_last) + SLOP_NS;
}

typedef struct {
    const tsp_track *track; /* NULL: a root's, which is 0 */
    uint32_t first_node;
    size_t hint;
} side;

static side side_of(const survey *s, uint32_t clock)
{
    const tsp_solver *solver = s->solver;

    return (side){solver->root[clock] ? NULL : solver->rows[clock].estimate,
                  tspi_sides_first(&solver->fit.sides, clock), 0};
}

static int64_t side_offset(side *s, uint32_t node, int64_t stamp)
{
    return s->track ? tspi_track_near(s->track, node - s->first_node, stamp, &s->hint) : 0;
}

typedef struct {
    side from, to;
} ends;

/* A hop's length under the tracks. */
static int64_t length_of(const survey *s, ends *of, size_t row, int64_t *ret_x_from, int64_t *ret_x_to)
{
    const tspi_hop_store *hops = &s->solver->hops;
    const tspi_sides *sides = &s->solver->fit.sides;
    const tspi_stored_hop *hop = &hops->hops[row];
    uint32_t a = of->from.first_node, b = of->to.first_node;

    if (of->from.track && of->from.track->pieces > 1)
        a = tspi_sides_sent_node(sides, hops, row);
    if (of->to.track && of->to.track->pieces > 1)
        b = tspi_sides_received_node(sides, hops, row);
    *ret_x_from = side_offset(&of->from, a, hop->sent);
    *ret_x_to = side_offset(&of->to, b, hop->received);
    return tspi_stored_slack(hop) + s->allowance + *ret_x_from - *ret_x_to;
}

static bool is_within(const tspi_clock_row *row, int64_t stamp)
{
    return stamp >= row->first && stamp <= row->last;
}

/* worst_wait on a clock that is no root and has no cuts; mirrored: x counts the other way. */
static double worst_on(const tsp_solver *solver, uint32_t clock, bool mirrored, instant *at, size_t n)
{
    const tspi_clock_row *row = &solver->rows[clock];
    double sign = mirrored ? -1 : 1;

    if (solver->root[clock] || is_cut(solver, clock) || row->first > row->last)
        return INFINITY;
    return worst_wait(at, n, (double)solver->rho_ppb * 1e-9, (double)(row->last - row->first),
                      sign * (double)tsp_track_offset(row->estimate, row->first),
                      sign * (double)tsp_track_offset(row->estimate, row->last));
}

static bool survey_edge(void *survey_, size_t e, unsigned worker)
{
    survey *s = survey_;
    const tsp_solver *solver = s->solver;
    const tspi_stored_edge *edge = &solver->hops.edges[e];
    const tspi_clock_row *from = &solver->rows[edge->from], *to = &solver->rows[edge->to];
    ends of = {side_of(s, edge->from), side_of(s, edge->to)};
    crossing found = {INFINITY, INFINITY, INFINITY};
    size_t sent_n = 0, received_n = 0;

    if (s->scratch_cap[worker] < edge->n) {
        free(s->scratch[worker]);
        s->scratch[worker] = malloc(2 * edge->n * sizeof(instant));
        s->scratch_cap[worker] = s->scratch[worker] ? edge->n : 0;
        if (!s->scratch[worker])
            return false;
    }
    instant *sent = s->scratch[worker], *received = sent + edge->n;
    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        const tspi_stored_hop *hop = &solver->hops.hops[row];
        int64_t x_from, x_to;
        if (!s->keep[row])
            continue;
        double length = (double)length_of(s, &of, row, &x_from, &x_to);
        found.least = fmin(found.least, length - SLOP_NS);
        if (!is_within(from, hop->sent) || !is_within(to, hop->received))
            continue;
        double t = (double)(hop->sent - from->first), r = (double)(hop->received - to->first);
        sent[sent_n++] = (instant){t, length - (double)x_from, -(double)x_from, 0};
        if (!received_n || r > received[received_n - 1].t) /* overtaken ones are left out */
            received[received_n++] = (instant){r, length + (double)x_to, (double)x_to, 0};
    }
    found.most = worst_on(solver, edge->to, false, received, received_n);
    found.most_back = worst_on(solver, edge->from, true, sent, sent_n);
    s->crossings[e] = found;
    return true;
}

/* Shortest chains of edges from the roots (or to them): Bellman & Ford, with the edges in turn from the front and from
 * the back. False: not done within the work that the hops are worth; then only upper bounds are of use. */
static bool find_chains(const survey *s, bool back, bool most, double *ret)
{
    const tspi_hop_store *hops = &s->solver->hops;
    bool changed = true;

    for (size_t round = 0; changed && round < 16 * (hops->n / hops->edges_n + 1); round++) {
        changed = false;
        for (size_t k = 0; k < hops->edges_n; k++) {
            size_t e = round % 2 ? hops->edges_n - 1 - k : k;
            const tspi_stored_edge *edge = &hops->edges[e];
            uint32_t a = back ? edge->to : edge->from, b = back ? edge->from : edge->to;
            double length = !most ? s->crossings[e].least : back ? s->crossings[e].most_back : s->crossings[e].most;
            if (ret[a] + length < ret[b]) {
                ret[b] = ret[a] + length;
                changed = true;
            }
        }
    }
    return !changed;
}

static bool find_all_chains(const survey *s)
{
    const tsp_solver *solver = s->solver;
    bool any_negative = false;

    for (size_t e = 0; e < solver->hops.edges_n; e++)
        any_negative = any_negative || s->crossings[e].least < 0;
    for (int most = 0; most < 2; most++)
        for (uint32_t c = 0; c < solver->clocks; c++)
            s->from_roots[most][c] = s->to_roots[most][c] = solver->root[c] ? 0 : INFINITY;
    if (any_negative) /* no room to say whether some cycle is: the graph will */
        return false;
    if (!find_chains(s, false, false, s->from_roots[0]) || !find_chains(s, true, false, s->to_roots[0]))
        return false;
    find_chains(s, false, true, s->from_roots[1]);
    find_chains(s, true, true, s->to_roots[1]);
    return true;
}

static bool sift_edge(void *survey_, size_t e, unsigned worker)
{
    const survey *s = survey_;
    const tsp_solver *solver = s->solver;
    const tspi_stored_edge *edge = &solver->hops.edges[e];
    uint32_t i = edge->from, j = edge->to;
    const tspi_clock_row *from = &solver->rows[i], *to = &solver->rows[j];
    double most = fmax(s->from_roots[1][j] - s->from_roots[0][i], s->to_roots[1][i] - s->to_roots[0][j]) + SLOP_NS;
    ends of = {side_of(s, i), side_of(s, j)};
    bool useless = !(s->crossings[e].least < most);

    (void)worker;
    for (size_t row = edge->first; row < edge->first + edge->n && most < INFINITY; row++) {
        const tspi_stored_hop *hop = &solver->hops.hops[row];
        int64_t x_from, x_to;
        if (s->keep[row] && is_within(from, hop->sent) && is_within(to, hop->received))
            s->keep[row] = !useless && (double)length_of(s, &of, row, &x_from, &x_to) < most;
    }
    return true;
}

/* Tracks that obey the drift limit; with whole ns at their knots, and waits between any two instants on them, a
 * reduced wait is never below -2 ns. */
static bool obeys_drift(const tsp_solver *solver, const tsp_track *track)
{
    for (uint32_t p = 0; p < track->pieces; p++)
        for (size_t k = track->first[p] + 1; k < track->first[p + 1]; k++) {
            const tspi_track_knot *a = &track->knots[k - 1], *b = &track->knots[k];
            __int128 most = (__int128)(b->at - a->at) * solver->rho_ppb;
            if ((__int128)llabs(b->x - a->x) * 1000000000 > most)
                return false;
        }
    return true;
}

static bool survey_init(survey *s)
{
    size_t clocks = (size_t)s->solver->clocks + 1;
    double *memory = malloc(4 * clocks * sizeof *memory);

    s->crossings = malloc((s->solver->hops.edges_n + 1) * sizeof *s->crossings);
    s->from_roots[0] = memory;
    if (!memory || !s->crossings)
        return false;
    s->from_roots[1] = memory + clocks;
    s->to_roots[0] = memory + 2 * clocks;
    s->to_roots[1] = memory + 3 * clocks;
    return true;
}

/* Clears keep[row] of hops that no bound can run through, if that can be told. False: out of memory. */
static bool sift(const tsp_solver *solver, int64_t allowance, uint8_t *keep)
{
    const tspi_hop_store *hops = &solver->hops;
    survey s = {.solver = solver, .allowance = allowance, .keep = keep};
    size_t kept = 0;

    if (!hops->n || hops->n < HOPS_LEAST * hops->edges_n)
        return true;
    for (size_t row = 0; row < hops->n; row++)
        kept += keep[row];
    if ((double)kept > KEPT_MOST * (double)hops->n)
        return true;
    for (uint32_t c = 0; c < solver->clocks; c++)
        if (!obeys_drift(solver, solver->rows[c].estimate) || (solver->root[c] && is_cut(solver, c)))
            return true; /* a root that stepped is not 0 all the time */
    bool ok = survey_init(&s) && tspi_parallel(hops->threads, hops->edges_n, survey_edge, &s);
    if (ok && find_all_chains(&s))
        ok = tspi_parallel(hops->threads, hops->edges_n, sift_edge, &s);
    free(s.crossings);
    free(s.from_roots[0]);
    for (unsigned k = 0; k < MOST_WORKERS; k++)
        free(s.scratch[k]);
    return ok;
}

bool tspi_solver_graph(const tsp_solver *solver, uint16_t without, int64_t allowance, tspi_graph *ret_graph)
{
    const tspi_hop_store *hops = &solver->hops;
    const tspi_sides *sides = &solver->fit.sides;
    uint8_t *keep = tspi_room_take(hops->n + 1, 1);
    bool ok = keep != NULL;

    if (ok) {
        tspi_prune(hops, sides, solver->root, solver->rho_ppb, without, true, NULL, keep);
        ok = sift(solver, allowance, keep) && tspi_graph_build_of(ret_graph, hops, sides, solver->root, solver->rho_ppb,
                                                                  without, allowance, false, keep);
    }
    tspi_room_give(keep, hops->n + 1, 1);
    return ok;
}
