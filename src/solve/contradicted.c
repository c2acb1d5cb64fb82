/* Hops that contradict the others as a body. A lie or a few are set aside one by one (prove.c). Where stamps contradict
 * each other whole, because two machines go by one name, a clock drifts far beyond the limit or an instrument stamps
 * something else, that would leave one half of a contradiction, which of the two by chance, to push sound clocks about.
 *
 * What two clocks say of each other alone tells such pairs: a hop one way and one back, of about the same time, take
 * longer than nothing together, whatever the clocks are. So the least part of either way's hops is sought without which
 * that is true of all the others; of a sound pair it is what stamps are late by chance. Clocks, or else pairs, for
 * which it is more are set aside whole, and the rest is solved as if they were not there: clocks that nothing else ties
 * to the others are a group of their own, of which nothing is known. Rings of hops one way show nothing in pairs: where
 * no pair is to blame, those are of which too much is violated under tracks that share the contradiction equally. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/saturate.h"
#include "solve/constants.h"
#include "solve/solver.h"

typedef struct {
    uint32_t n, violated; /* hard hops */
} tally;

/* A hard hop of a pair, by time. */
typedef struct {
    uint32_t window;
    double u;
} sight;

static int by_window(const void *a_, const void *b_)
{
    const sight *a = a_, *b = b_;

    if (a->window != b->window)
        return a->window < b->window ? -1 : 1;
    return a->u < b->u ? -1 : a->u > b->u;
}

static const double allowed_ns = -(double)(ROUNDING_NS + TELESCOPE_NS);

/* Of one window: so many of the lowest of either way are to go that all of the rest, one each way, take longer than
 * nothing together. */
static void least_parts(const sight *there, size_t there_n, const sight *back, size_t back_n, size_t *ret_there,
                        size_t *ret_back)
{
    size_t j = 0;
    double least = INFINITY;

    while (j < back_n && there_n && there[0].u + back[j].u < allowed_ns)
        j++;
    for (size_t k = 0; k <= there_n; k++) {
        while (j && (k == there_n || there[k].u + back[j - 1].u >= allowed_ns))
            j--;
        double part = fmax(there_n ? (double)k / (double)there_n : 0, back_n ? (double)j / (double)back_n : 0);
        if (part < least) {
            least = part;
            *ret_there = k;
            *ret_back = j;
        }
    }
}

static size_t count_hard(const tsp_solver *solver, const tspi_stored_edge *edge)
{
    size_t n = 0;

    for (size_t row = edge->first; row < edge->first + edge->n; row++)
        n += tspi_stored_is_hard(&solver->hops.hops[row]);
    return n;
}

/* Two clocks, and how their hops are made comparable over time: by the tracks, or as if they drifted apart steadily. */
typedef struct {
    const tsp_solver *solver;
    const tspi_stored_edge *edge[2]; /* there and back */
    size_t n[2];                     /* hard hops */
    sight *sights[2];                /* owned, the first */
    double first, last;              /* time, by the clock that the way there begins at */
    uint32_t windows;
    int64_t base_ns; /* by how much they are apart, roughly: doubles hold no more than the rest */
    bool by_tracks;
    double drift; /* else */
} pair;

static double time_of(const tspi_stored_hop *hop, int back)
{
    return (double)(back ? hop->received : hop->sent);
}

static bool pair_init(pair *p, const tsp_solver *solver, const tspi_stored_edge *there, const tspi_stored_edge *back)
{
    *p = (pair){.solver = solver,
                .edge = {there, back},
                .n = {count_hard(solver, there), count_hard(solver, back)},
                .first = INFINITY,
                .last = -INFINITY,
                .base_ns = tspi_stored_slack(&solver->hops.hops[there->first])};
    size_t least = p->n[0] < p->n[1] ? p->n[0] : p->n[1];
    p->windows = 1 + (uint32_t)fmin((double)least / CONTRADICTED_WINDOW, CONTRADICTED_WINDOWS);
    p->sights[0] = malloc((p->n[0] + p->n[1] + 1) * sizeof *p->sights[0]);
    p->sights[1] = p->sights[0] ? p->sights[0] + p->n[0] : NULL;
    for (int way = 0; way < 2; way++)
        for (size_t row = p->edge[way]->first; row < p->edge[way]->first + p->edge[way]->n; row++) {
            double t = time_of(&solver->hops.hops[row], way);
            p->first = fmin(p->first, t);
            p->last = fmax(p->last, t);
        }
    return p->sights[0];
}

static double u_of(const pair *p, size_t row, int way, double t)
{
    const tspi_stored_hop *hop = &p->solver->hops.hops[row];

    if (p->by_tracks)
        return p->solver->fit.u[row];
    double apart = p->drift * (t - p->first);
    return way ? (double)tspi_add_most(tspi_stored_slack(hop), p->base_ns) + apart
               : (double)tspi_sub_most(tspi_stored_slack(hop), p->base_ns) - apart;
}

static void fill(pair *p, int way)
{
    const tspi_stored_edge *edge = p->edge[way];
    size_t n = 0;

    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        const tspi_stored_hop *hop = &p->solver->hops.hops[row];
        double t = time_of(hop, way), part = (t - p->first) / fmax(p->last - p->first, 1);
        if (tspi_stored_is_hard(hop))
            p->sights[way][n++] =
                (sight){part >= 1 ? p->windows - 1 : (uint32_t)(part * p->windows), u_of(p, row, way, t)};
    }
    qsort(p->sights[way], n, sizeof *p->sights[way], by_window);
}

static size_t end_of(const sight *all, size_t n, size_t from, uint32_t window)
{
    while (from < n && all[from].window == window)
        from++;
    return from;
}

/* The part of either way's hops that is to go, whichever is more. */
static double contradicted_part(pair *p)
{
    size_t k = 0, q = 0, gone[2] = {0, 0};

    fill(p, 0);
    fill(p, 1);
    for (uint32_t window = 0; window < p->windows; window++) {
        size_t k_end = end_of(p->sights[0], p->n[0], k, window), q_end = end_of(p->sights[1], p->n[1], q, window);
        size_t a = 0, b = 0;
        least_parts(p->sights[0] + k, k_end - k, p->sights[1] + q, q_end - q, &a, &b);
        gone[0] += a;
        gone[1] += b;
        k = k_end;
        q = q_end;
    }
    return fmax(p->n[0] ? (double)gone[0] / (double)p->n[0] : 0, p->n[1] ? (double)gone[1] / (double)p->n[1] : 0);
}

static tally tally_of(size_t n, double part)
{
    return (tally){(uint32_t)n, (uint32_t)ceil(part * (double)n)};
}

/* The two edges of a pair, by each other; of the ways to compare their hops, by the kindest: tracks that a
 * contradiction has pushed about make sound pairs look like one. False: out of memory. */
static bool judge_pair(const tsp_solver *solver, const tspi_stored_edge *there, const tspi_stored_edge *back,
                       tally *ret_there, tally *ret_back)
{
    const double most = 2 * (double)solver->rho_ppb * 1e-9; /* either clock, its own way */
    pair p;

    if (!pair_init(&p, solver, there, back))
        return false;
    p.by_tracks = true;
    double part = contradicted_part(&p);
    p.by_tracks = false;
    for (int k = -CONTRADICTED_DRIFTS; k <= CONTRADICTED_DRIFTS && part > 0; k++) {
        p.drift = most * k / CONTRADICTED_DRIFTS;
        part = fmin(part, contradicted_part(&p));
    }
    free(p.sights[0]);
    *ret_there = tally_of(p.n[0], part);
    *ret_back = tally_of(p.n[1], part);
    return true;
}

/* An edge by the tracks. */
static tally judge_alone(const tsp_solver *solver, const tspi_stored_edge *edge)
{
    tally of = {(uint32_t)count_hard(solver, edge), 0};

    for (size_t row = edge->first; row < edge->first + edge->n; row++)
        of.violated += tspi_stored_is_hard(&solver->hops.hops[row]) && solver->fit.u[row] < allowed_ns;
    return of;
}

static bool is_over(tally of, double part)
{
    return (double)of.violated > part * (double)of.n;
}

typedef struct {
    uint32_t clock;
    double share;
} rank;

static int worst_first(const void *a_, const void *b_)
{
    const rank *a = a_, *b = b_;

    if (a->share != b->share)
        return a->share > b->share ? -1 : 1;
    return a->clock < b->clock ? -1 : a->clock > b->clock;
}

typedef struct {
    const tsp_solver *solver;
    tally *edges, *clocks; /* owned; of clocks, in edges that are not set aside */
    size_t *first, *at;    /* owned: edges that touch a clock, by clock */
    rank *ranks;           /* owned, clocks */
    uint8_t *aside;        /* owned, edges */
} sift;

static bool sift_init(sift *s, const tsp_solver *solver)
{
    size_t edges = solver->hops.edges_n, clocks = solver->clocks;

    *s = (sift){.solver = solver,
                .edges = calloc(edges + 1, sizeof *s->edges),
                .clocks = calloc(clocks + 1, sizeof *s->clocks),
                .first = calloc(clocks + 2, sizeof *s->first),
                .at = malloc((2 * edges + 1) * sizeof *s->at),
                .ranks = malloc((clocks + 1) * sizeof *s->ranks),
                .aside = calloc(edges + 1, 1)};
    return s->edges && s->clocks && s->first && s->at && s->ranks && s->aside;
}

static void sift_release(sift *s)
{
    free(s->edges);
    free(s->clocks);
    free(s->first);
    free(s->at);
    free(s->ranks);
    free(s->aside);
}

static void add(tally *to, tally what, int sign)
{
    to->n += (uint32_t)sign * what.n;
    to->violated += (uint32_t)sign * what.violated;
}

/* Edges by their pairs; those of one way only have nothing violated. */
static bool judge_pairs(sift *s)
{
    const tspi_hop_store *hops = &s->solver->hops;
    bool ok = true;

    for (size_t e = 0; ok && e < hops->edges_n; e++) {
        const tspi_stored_edge *edge = &hops->edges[e],
                               *back = edge->from < edge->to ? tspi_hop_store_back(hops, edge) : NULL;
        if (back)
            ok = judge_pair(s->solver, edge, back, &s->edges[e], &s->edges[back - hops->edges]);
    }
    return ok;
}

static void index_clocks(sift *s)
{
    const tspi_hop_store *hops = &s->solver->hops;

    for (size_t e = 0; e < hops->edges_n; e++) {
        s->first[hops->edges[e].from + 2]++;
        s->first[hops->edges[e].to + 2]++;
    }
    for (uint32_t c = 0; c < s->solver->clocks; c++)
        s->first[c + 2] += s->first[c + 1];
    for (size_t e = 0; e < hops->edges_n; e++) {
        s->at[s->first[hops->edges[e].from + 1]++] = e;
        s->at[s->first[hops->edges[e].to + 1]++] = e;
    }
}

static void count_clocks(sift *s)
{
    const tspi_hop_store *hops = &s->solver->hops;

    memset(s->clocks, 0, s->solver->clocks * sizeof *s->clocks);
    for (size_t e = 0; e < hops->edges_n; e++) {
        add(&s->clocks[hops->edges[e].from], s->edges[e], 1);
        add(&s->clocks[hops->edges[e].to], s->edges[e], 1);
    }
}

static void set_aside_clock(sift *s, uint32_t clock)
{
    const tspi_stored_edge *edges = s->solver->hops.edges;
    uint32_t traffic = s->solver->config.clocks; /* UTC is none */

    for (size_t q = s->first[clock]; q < s->first[clock + 1]; q++) {
        size_t e = s->at[q];
        if (s->aside[e] || edges[e].from >= traffic || edges[e].to >= traffic)
            continue;
        s->aside[e] = 1;
        add(&s->clocks[edges[e].from], s->edges[e], -1);
        add(&s->clocks[edges[e].to], s->edges[e], -1);
    }
}

/* Clocks of which too much is violated, the worst first, so that those beside them are judged by what is left; but
 * only such as are about as bad as the worst, since that has pushed the tracks of all. */
static bool judge_clocks(sift *s, double like)
{
    uint32_t clocks = s->solver->clocks;
    bool any = false;

    for (uint32_t c = 0; c < clocks; c++)
        s->ranks[c] = (rank){c, s->clocks[c].n ? (double)s->clocks[c].violated / s->clocks[c].n : 0};
    qsort(s->ranks, clocks, sizeof *s->ranks, worst_first);
    for (uint32_t k = 0; k < clocks && s->ranks[k].share > CONTRADICTED_CLOCK; k++) {
        uint32_t c = s->ranks[k].clock;
        if (!is_over(s->clocks[c], fmax(CONTRADICTED_CLOCK, like * s->ranks[0].share)))
            continue;
        set_aside_clock(s, c);
        any = true;
    }
    return any;
}

static bool judge_edges(sift *s)
{
    bool any = false;

    for (size_t e = 0; e < s->solver->hops.edges_n; e++) {
        s->aside[e] = is_over(s->edges[e], s->edges[e].n < FENCE_LEAST ? CONTRADICTED_SMALL : FENCE_BULK);
        any = any || s->aside[e];
    }
    return any;
}

/* What there is to be set aside. False: out of memory. */
static bool judge(sift *s)
{
    const tspi_hop_store *hops = &s->solver->hops;

    if (!judge_pairs(s))
        return false;
    index_clocks(s);
    count_clocks(s);
    if (judge_clocks(s, CONTRADICTED_LIKE) || judge_edges(s))
        return true;
    for (size_t e = 0; e < hops->edges_n; e++)
        s->edges[e] = judge_alone(s->solver, &hops->edges[e]);
    count_clocks(s);
    if (!judge_clocks(s, CONTRADICTED_ALIKE))
        judge_edges(s);
    return true;
}

/* Rows of these edges go behind those of the others. aside has room for them. */
static void move_aside(tspi_hop_store *hops, const uint8_t *contradicted, tspi_stored_hop *aside)
{
    size_t n = 0, aside_n = 0, edges_n = 0;

    for (size_t e = 0; e < hops->edges_n; e++) {
        tspi_stored_edge edge = hops->edges[e];
        tspi_stored_hop *rows = hops->hops + edge.first;
        if (contradicted[e]) {
            for (size_t k = 0; k < edge.n; k++) {
                hops->soft_n -= rows[k].flags & TSPI_STORED_SOFT;
                aside[aside_n] = rows[k];
                aside[aside_n++].flags = (rows[k].flags & TSPI_STORED_SOFT) | TSPI_STORED_CONFLICT;
            }
            continue;
        }
        memmove(hops->hops + n, rows, edge.n * sizeof *rows);
        edge.first = n;
        hops->edges[edges_n++] = edge;
        n += edge.n;
    }
    memmove(hops->hops + n + aside_n, hops->hops + hops->n, hops->aside_n * sizeof *aside);
    if (aside_n)
        memcpy(hops->hops + n, aside, aside_n * sizeof *aside);
    hops->n = n;
    hops->aside_n += aside_n;
    hops->edges_n = edges_n;
}

bool tspi_solver_set_aside_whole(tsp_solver *solver, bool *ret_any)
{
    tspi_hop_store *hops = &solver->hops;
    size_t n = 0;
    sift s;
    bool ok = sift_init(&s, solver);

    *ret_any = false;
    ok = ok && judge(&s);
    for (size_t e = 0; ok && e < hops->edges_n; e++)
        n += s.aside[e] ? hops->edges[e].n : 0;
    tspi_stored_hop *rows = ok ? malloc((n + 1) * sizeof *rows) : NULL;
    ok = ok && rows;
    if (ok && n)
        move_aside(hops, s.aside, rows);
    *ret_any = ok && n;
    free(rows);
    sift_release(&s);
    return ok;
}

void tspi_solver_count_aside(tsp_solver *solver)
{
    const tspi_hop_store *hops = &solver->hops;

    for (size_t row = hops->n; row < hops->n + hops->aside_n; row++) {
        const tspi_stored_hop *hop = &hops->hops[row];
        int64_t sent, received;
        solver->row_of[hop->index] = (uint32_t)row;
        solver->rows[hop->from].result.hops_out++;
        solver->rows[hop->to].result.hops_in++;
        solver->summary.conflicts++;
        solver->summary.violations_before += tspi_stored_slack(hop) < 0;
        tsp_solver_correct_hop(solver, hop->index, &sent, &received);
        solver->summary.violations_lies += tspi_add_most(received, hop->quantum) < sent;
    }
}
