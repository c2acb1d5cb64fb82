/* Tracks that break no hop and move no clock without need.
 *
 * Clocks that nothing speaks against are pinned to 0, the others follow their estimates. Every hop is tested, with the
 * very arithmetic that corrects stamps; a pinned clock that breaks one is let go. Hardly ever is any left broken: then
 * a small graph is made of the hops that are broken or nearly so, where what pinned clocks allow the others is an
 * interval at each vertex; aims are moved into it. Both the smallest lowering and the smallest raising that break
 * nothing are shortest paths from the aims, and so is their middle, rounded down, free of contradictions. Vertices that
 * had to move become knots, and every hop is tested again. */
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/solver.h"

typedef struct {
    tsp_solver *solver;
    tspi_graph graph;
    uint8_t *pinned;               /* owned, clocks */
    uint8_t *near;                 /* owned, hops: those that are broken or nearly so */
    tspi_edge_test *tests;         /* owned, edges */
    int64_t *pi, *aim, *up, *down; /* owned, vertices */
    uint32_t *via, *via_down;      /* owned, vertices */
} projection;

static uint32_t clock_of(const projection *p, uint32_t v)
{
    return p->solver->fit.node_clock[p->graph.node[v]];
}

static void release(projection *p)
{
    tspi_graph_release(&p->graph);
    free(p->pinned);
    free(p->near);
    free(p->tests);
    free(p->pi);
    free(p->aim);
    free(p->up);
    free(p->down);
    free(p->via);
    free(p->via_down);
    memset(p, 0, sizeof *p);
}

/* A graph of all hops that must hold, as tight as they are, if that is feasible: else with the rounding that proofs
 * allow, else without the stamps whose side of a step is a guess. */
static bool build(projection *p, bool *ret_feasible)
{
    static const struct {
        uint16_t without;
        int64_t allowance;
    } tries[] = {{0, 0},
                 {0, ROUNDING_NS + TELESCOPE_NS},
                 {TSPI_STORED_AMBIGUOUS, 0},
                 {TSPI_STORED_AMBIGUOUS, ROUNDING_NS + TELESCOPE_NS}};
    tsp_solver *solver = p->solver;
    uint16_t without = tspi_solver_may_break(solver);

    *ret_feasible = false;
    for (size_t k = 0; k < sizeof tries / sizeof *tries; k++) {
        tspi_link *links = NULL;
        size_t n;
        tspi_graph_release(&p->graph);
        free(p->pi);
        p->pi = NULL;
        if (!tspi_graph_build_of(&p->graph, &solver->hops, &solver->fit.sides, solver->root, solver->rho_ppb,
                                 without | tries[k].without, tries[k].allowance, true, p->near))
            return false;
        p->pi = malloc(((size_t)p->graph.vertices_n + 1) * sizeof *p->pi);
        if (!p->pi)
            return false;
        tspi_solver_guess(solver, &p->graph, p->pi);
        tspi_feasibility result = tspi_potential(&p->graph, p->pi, &links, &n);
        free(links);
        if (result == TSPI_NO_MEMORY)
            return false;
        if (result == TSPI_FEASIBLE) {
            *ret_feasible = true;
            break;
        }
    }
    size_t n = (size_t)p->graph.vertices_n + 1;
    free(p->aim);
    free(p->up);
    free(p->down);
    free(p->via);
    free(p->via_down);
    p->aim = malloc(n * sizeof *p->aim);
    p->up = malloc(n * sizeof *p->up);
    p->down = malloc(n * sizeof *p->down);
    p->via = malloc(n * sizeof *p->via);
    p->via_down = malloc(n * sizeof *p->via_down);
    return p->aim && p->up && p->down && p->via && p->via_down;
}

static void set_aims(projection *p)
{
    tspi_solver_guess(p->solver, &p->graph, p->aim);
    for (uint32_t v = 0; v < p->graph.vertices_n; v++)
        if (p->pinned[clock_of(p, v)])
            p->aim[v] = 0; /* so is a root's, by the guess */
}

/* The smallest lowering of the aims (up) and the smallest raising (minus down) that break nothing. */
static bool reach_from_aims(projection *p)
{
    for (uint32_t v = 0; v < p->graph.vertices_n; v++) {
        p->up[v] = p->aim[v];
        p->down[v] = -p->aim[v];
    }
    return tspi_reach(&p->graph, p->pi, true, p->up, NULL) && tspi_reach(&p->graph, p->pi, false, p->down, NULL);
}

static int64_t estimate_of(const projection *p, uint32_t clock)
{
    const tspi_clock_row *row = &p->solver->rows[clock];

    return llabs(tsp_track_offset(row->estimate, row->first <= row->last ? row->first / 2 + row->last / 2 : 0));
}

/* A pinned clock that breaks a hop is let go: something does speak against it. Of two pinned ones, the one whose
 * estimate is further off, or both. What a hop says to a clock whose partner was let go a moment ago is asked again
 * once the partner follows its estimate: it may be whole then. */
static bool unpin(projection *p, bool both)
{
    enum { LET_GO = 2 }; /* in this round */
    const tsp_solver *solver = p->solver;
    bool changed = false;

    for (size_t e = 0; e < solver->hops.edges_n; e++) {
        uint32_t a = solver->hops.edges[e].from, b = solver->hops.edges[e].to;
        bool free_a = p->pinned[a] && !solver->root[a], free_b = p->pinned[b] && !solver->root[b];
        if (p->tests[e].least >= 0 || (!both && (p->pinned[a] == LET_GO || p->pinned[b] == LET_GO)))
            continue;
        changed = changed || free_a || free_b;
        bool b_is_worse = free_b && (!free_a || estimate_of(p, b) > estimate_of(p, a));
        if (free_b && (both || b_is_worse))
            p->pinned[b] = LET_GO;
        if (free_a && (both || !b_is_worse))
            p->pinned[a] = LET_GO;
    }
    for (uint32_t c = 0; c < solver->clocks; c++)
        p->pinned[c] = p->pinned[c] == 1;
    return changed;
}

/* From steps to where each way began; via is overwritten. back: ways were walked against the arcs. */
static void find_sources(const projection *p, uint32_t *via, bool back)
{
    for (uint32_t v = 0; v < p->graph.vertices_n; v++) {
        if (via[v] == TSPI_VIA_NONE)
            via[v] = v;
        else if (via[v] == TSPI_VIA_BEFORE)
            via[v] = v - 1;
        else if (via[v] == TSPI_VIA_AFTER)
            via[v] = v + 1;
        else
            via[v] = back ? p->graph.arcs[via[v]].to : p->graph.arcs[via[v]].from;
    }
    /* Halving: ways become short for all who share them. Where sums left 64 bits a way may come back to itself; it then
     * began nowhere. */
    uint64_t steps = REACH_TURNS * (uint64_t)p->graph.vertices_n;
    for (uint32_t v = 0; v < p->graph.vertices_n; v++) {
        for (; via[via[v]] != via[v] && steps; steps--)
            via[v] = via[via[v]];
        if (via[via[v]] != via[v])
            via[v] = v;
    }
}

/* Two pinned clocks that leave no room for what lies between them: the one further off is let go. */
static bool unpin_between(projection *p)
{
    bool changed = false;

    find_sources(p, p->via, false);
    find_sources(p, p->via_down, true);
    for (uint32_t v = 0; v < p->graph.vertices_n; v++) {
        if (p->up[v] == INT64_MAX || p->down[v] == INT64_MAX || p->up[v] >= -p->down[v])
            continue;
        uint32_t a = clock_of(p, p->via[v]), b = clock_of(p, p->via_down[v]);
        bool free_a = p->pinned[a] && !p->solver->root[a], free_b = p->pinned[b] && !p->solver->root[b];
        if (!free_a && !free_b)
            continue;
        p->pinned[free_b && (!free_a || estimate_of(p, b) > estimate_of(p, a)) ? b : a] = 0;
        changed = true;
    }
    return changed;
}

/* What the roots and the other pinned clocks allow of an aim. */
static bool clip_to_pinned(projection *p)
{
    do {
        set_aims(p);
        for (uint32_t v = 0; v < p->graph.vertices_n; v++) {
            bool fixed = p->pinned[clock_of(p, v)] || p->graph.is_root[p->graph.node[v]];
            p->up[v] = fixed ? p->aim[v] : INT64_MAX;
            p->down[v] = fixed ? -p->aim[v] : INT64_MAX;
            p->via[v] = p->via_down[v] = TSPI_VIA_NONE;
        }
        if (!tspi_reach(&p->graph, p->pi, true, p->up, p->via) ||
            !tspi_reach(&p->graph, p->pi, false, p->down, p->via_down))
            return false;
    } while (unpin_between(p));
    for (uint32_t v = 0; v < p->graph.vertices_n; v++) {
        if (p->up[v] != INT64_MAX && p->aim[v] > p->up[v])
            p->aim[v] = p->up[v];
        if (p->down[v] != INT64_MAX && p->aim[v] < -p->down[v])
            p->aim[v] = -p->down[v];
    }
    return true;
}

/* aim becomes the projected offset of each vertex. */
static bool settle(projection *p)
{
    if (!clip_to_pinned(p) || !reach_from_aims(p))
        return false;
    for (uint32_t v = 0; v < p->graph.vertices_n; v++) {
        __int128 sum = (__int128)p->up[v] - p->down[v];
        p->aim[v] = (int64_t)(sum / 2 - (sum % 2 < 0));
    }
    return true;
}

/* The knots of a node, its estimate's where nothing moved and its vertices where something did. out has room for both.
 * A moved end carries the knots beyond it along. */
static size_t merge_knots(const projection *p, const tsp_track *estimate, uint32_t piece, uint32_t node,
                          tspi_track_knot *out)
{
    const tspi_track_knot *old = estimate->knots + estimate->first[piece];
    size_t old_n = estimate->first[piece + 1] - estimate->first[piece], q = 0, n = 0;
    uint32_t v = p->graph.first[node], end = p->graph.first[node + 1], last = end;
    int64_t shift = v < end ? tspi_sub_most(p->aim[v], tspi_track_piece_offset(estimate, piece, p->graph.at[v])) : 0;
    bool moved_before = false;

    for (; v < end; v++) {
        int64_t at = p->graph.at[v], was = tspi_track_piece_offset(estimate, piece, at);
        bool moved = p->aim[v] != was;
        bool next_moved = v + 1 < end && p->aim[v + 1] != tspi_track_piece_offset(estimate, piece, p->graph.at[v + 1]);
        for (; q < old_n && old[q].at < at; q++) {
            if (last == end) /* before the first vertex */
                out[n++] = (tspi_track_knot){old[q].at, tspi_add_most(old[q].x, shift)};
            else if (!moved && !moved_before)
                out[n++] = old[q];
        }
        if (q < old_n && old[q].at == at)
            q++;
        else if (!moved && !moved_before && !next_moved) {
            last = v;
            moved_before = moved;
            continue;
        }
        out[n++] = (tspi_track_knot){at, p->aim[v]};
        last = v;
        moved_before = moved;
    }
    shift = last < end ? tspi_sub_most(p->aim[last], tspi_track_piece_offset(estimate, piece, p->graph.at[last])) : 0;
    for (; q < old_n; q++)
        out[n++] = (tspi_track_knot){old[q].at, tspi_add_most(old[q].x, shift)};
    return n;
}

static bool make_track(projection *p, uint32_t clock)
{
    tspi_clock_row *row = &p->solver->rows[clock];
    const tsp_track *estimate = row->estimate;
    size_t cap = estimate->first[estimate->pieces] + 1, *first;
    uint32_t node = tspi_sides_first(&p->solver->fit.sides, clock);
    tspi_track_knot *knots;

    tspi_track_free(row->track);
    row->track = NULL;
    for (uint32_t k = 0; k < estimate->pieces; k++)
        cap += p->graph.first[node + k + 1] - p->graph.first[node + k];
    first = calloc((size_t)estimate->pieces + 1, sizeof *first);
    knots = malloc(cap * sizeof *knots);
    for (uint32_t k = 0; first && knots && k < estimate->pieces; k++)
        first[k + 1] = first[k] + merge_knots(p, estimate, k, node + k, knots + first[k]);
    if (first && knots)
        row->track = tspi_track_new(estimate->pieces, estimate->cuts, first, knots);
    free(first);
    free(knots);
    return row->track != NULL;
}

/* rows[].track from the aims: zero where pinned, else the estimate. */
static bool follow_estimates(projection *p)
{
    static const size_t nothing[2] = {0, 0};

    for (uint32_t c = 0; c < p->solver->clocks; c++) {
        tspi_clock_row *row = &p->solver->rows[c];
        const tsp_track *estimate = row->estimate;
        bool old_is_right = row->track && row->result.untouched == (bool)p->pinned[c];
        if (old_is_right)
            continue;
        tspi_track_free(row->track);
        row->result.untouched = p->pinned[c];
        row->track = p->pinned[c] ? tspi_track_new(1, NULL, nothing, NULL)
                                  : tspi_track_new(estimate->pieces, estimate->cuts, estimate->first, estimate->knots);
        if (!row->track)
            return false;
    }
    return true;
}

static int64_t least_slack(const projection *p)
{
    int64_t least = INT64_MAX;

    for (size_t e = 0; e < p->solver->hops.edges_n; e++)
        least = p->tests[e].least < least ? p->tests[e].least : least;
    return least;
}

/* Move what must be moved; the graph holds the hops with at most `slack`, more each time. */
static bool mend(projection *p)
{
    int64_t slack = PROJECT_SLACK_NS;

    for (int round = 0; round < PROJECT_ROUNDS; round++) {
        int64_t least = least_slack(p);
        bool feasible;
        if (least >= 0)
            return true;
        slack += PROJECT_REACH * (least > -INT64_MAX / 64 ? -least : INT64_MAX / 64);
        if (round + 1 == PROJECT_ROUNDS)
            slack = INT64_MAX; /* all of them */
        if (!tspi_solver_inspect(p->solver, p->tests, slack, p->near) || !build(p, &feasible))
            return false;
        if (!feasible || !settle(p))
            return !feasible;
        if (!follow_estimates(p)) /* some may have been let go */
            return false;
        for (uint32_t c = 0; c < p->solver->clocks; c++)
            if (!p->pinned[c] && !make_track(p, c))
                return false;
        if (!tspi_solver_inspect(p->solver, p->tests, 0, NULL))
            return false;
    }
    return true;
}

bool tspi_solver_project(tsp_solver *solver)
{
    projection p = {.solver = solver,
                    .pinned = calloc((size_t)solver->clocks + 1, 1),
                    .near = calloc(solver->hops.n + 1, 1),
                    .tests = malloc((solver->hops.edges_n + 1) * sizeof(tspi_edge_test))};
    bool ok = p.pinned && p.near && p.tests;
    int round = 0;

    for (uint32_t c = 0; ok && c < solver->clocks; c++) {
        tsp_clock_verdict verdict = solver->rows[c].result.verdict;
        p.pinned[c] = solver->root[c] || verdict == TSP_CLOCK_OK || verdict == TSP_CLOCK_UNKNOWN;
        /* A clock that stepped is not right all the time. */
        if (solver->rows[c].estimate->pieces > 1)
            p.pinned[c] = 0;
    }
    do
        ok = ok && follow_estimates(&p) && tspi_solver_inspect(solver, p.tests, 0, NULL);
    while (ok && unpin(&p, ++round > UNPIN_ROUNDS));
    ok = ok && mend(&p);
    release(&p);
    return ok;
}
