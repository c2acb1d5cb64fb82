#include "causal/interval.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/balance.h"

/* Half of what an edge needs before its clock is accused, and a quarter before its offset is named (SOLVER.md, "Open").
 */
#define HOPS_FOR_ESTIMATE 4

/* NTP in a good network. */
#define USUAL_SPREAD_NS TSP_NS_PER_MS

/* One inequality: offset[to] - offset[from] <= limit; the tighter one where either is the reference. */
typedef struct {
    uint32_t from, to;
    int64_t limit_ns, near_ns;
} tie;

/* Edges are ordered by group, so that many small groups cost no more than one large one. */
typedef struct {
    tie *ties;     /* owned */
    size_t *first; /* owned; a row a group, and one more: where its ties begin */
} graph;

/* Rounds of relaxation; a trace that needs more is no trace of clocks. */
#define ROUNDS_MAX 4096

/* Above this many clocks in one group the frame is simply that of the busiest one: comparing all with all is square. */
#define FRAME_CLOCKS_MAX 4096

/* Which of the edge's limits a graph is made of. */
enum strength { PROOF, BOUND, ESTIMATE };

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Estimates use the low tails of both kinds alike: two directions must be comparable to be balanced. */
static int64_t limit_of(const tspi_edge *edge, const tspi_edge_evidence *row, enum strength strength, int moving)
{
    switch (strength) {
    case PROOF:
        if (row->left_tailed[TSPI_HOP_HARD] ||
            edge->slacks[TSPI_HOP_HARD].n - row->fenced[TSPI_HOP_HARD] < TSPI_FEW_HOPS)
            return TSPI_UNBOUNDED;
        return row->hard_bound_ns[moving];
    case BOUND:
        return smaller(row->hard_bound_ns[moving], row->soft_bound_ns[moving]);
    default:
        if (edge->hops - row->fenced[0] - row->fenced[1] < HOPS_FOR_ESTIMATE)
            return TSPI_UNBOUNDED;
        return smaller(row->least_ns[0], row->least_ns[1]);
    }
}

typedef struct {
    const tspi_evidence *e;
    const tspi_clock_table *clocks;
    graph proof, bound, estimate; /* in this order: release walks them */
    uint32_t *group;              /* owned; a row a clock: its connected group's number */
    uint32_t *members;            /* owned; clocks, group by group, ascending within */
    size_t *first;                /* owned; a row a group, and one more */
    uint32_t groups_n;
    int64_t *up, *down, *offset; /* owned; a row a clock, scratch */
    double *balanced;            /* owned; a row a clock: max-balanced offset within joined[] */
    uint32_t *joined;            /* owned; a row a clock: a number shared by clocks that hops tie both ways */
    bool *shifted;               /* owned; a row a clock: it has hops that are shifted as a body */
    tspi_interval *rows;
} solver;

#define FOR_MEMBERS(s, g, c)                                                                                           \
    for (size_t member_ = (s)->first[g]; member_ < (s)->first[(g) + 1] && (c = (s)->members[member_], true); member_++)

static tsp_status graph_init(solver *s, graph *g, enum strength strength)
{
    const tspi_edges *edges = s->e->edges;

    g->ties = malloc((edges->edges_n + 1) * sizeof *g->ties);
    g->first = calloc((size_t)s->groups_n + 2, sizeof *g->first);
    if (!g->ties || !g->first)
        return TSP_ENOMEM;
    /* Two rows ahead, so that filling leaves the begins where they belong. */
    for (size_t k = 0; k < edges->edges_n; k++)
        if (limit_of(&edges->edges[k], &s->e->rows[k], strength, 2) != TSPI_UNBOUNDED)
            g->first[s->group[edges->edges[k].from] + 2]++;
    for (uint32_t k = 0; k <= s->groups_n; k++)
        g->first[k + 1] += g->first[k];
    for (size_t k = 0; k < edges->edges_n; k++) {
        const tspi_edge *edge = &edges->edges[k];
        int64_t limit = limit_of(edge, &s->e->rows[k], strength, 2);
        if (limit != TSPI_UNBOUNDED)
            g->ties[g->first[s->group[edge->from] + 1]++] =
                (tie){edge->from, edge->to, limit, limit_of(edge, &s->e->rows[k], strength, 1)};
    }
    return TSP_OK;
}

/* Distances from root (or, backwards, to it) within its group; TSPI_UNBOUNDED = out of reach. Bellman and Ford: most
 * graphs settle in a few rounds. false: a negative cycle is within reach. */
static bool distances(const solver *s, const graph *g, uint32_t root, bool backwards, int64_t *ret)
{
    uint32_t group = s->group[root], c;
    size_t clocks = s->first[group + 1] - s->first[group];

    FOR_MEMBERS(s, group, c)
    ret[c] = TSPI_UNBOUNDED;
    ret[root] = 0;
    for (size_t round = 0; round <= clocks && round < ROUNDS_MAX; round++) {
        bool changed = false;
        for (size_t k = g->first[group]; k < g->first[group + 1]; k++) {
            uint32_t from = backwards ? g->ties[k].to : g->ties[k].from;
            uint32_t to = backwards ? g->ties[k].from : g->ties[k].to;
            int64_t limit = from == root || to == root ? g->ties[k].near_ns : g->ties[k].limit_ns, sum;
            if (ret[from] == TSPI_UNBOUNDED || __builtin_add_overflow(ret[from], limit, &sum) || sum >= ret[to])
                continue;
            ret[to] = sum;
            changed = true;
        }
        if (!changed)
            return true;
        if (ret[root] < 0)
            return false;
    }
    return false;
}

static bool both_ways(const solver *s, const graph *g, uint32_t root)
{
    return distances(s, g, root, false, s->up) && distances(s, g, root, true, s->down);
}

static uint32_t group_root(uint32_t *group, uint32_t c)
{
    while (group[c] != c)
        c = group[c] = group[group[c]];
    return c;
}

/* Connected clocks, numbered in the order of their first clock. */
static tsp_status find_groups(solver *s)
{
    uint32_t n = s->e->edges->clocks_n;
    uint32_t *number = malloc(((size_t)n + 1) * sizeof *number);

    if (!number)
        return TSP_ENOMEM;
    for (uint32_t c = 0; c < n; c++)
        s->group[c] = c;
    for (size_t k = 0; k < s->e->edges->edges_n; k++) {
        uint32_t a = group_root(s->group, s->e->edges->edges[k].from);
        uint32_t b = group_root(s->group, s->e->edges->edges[k].to);
        if (a != b)
            s->group[a < b ? b : a] = a < b ? a : b;
    }
    for (uint32_t c = 0; c < n; c++) {
        uint32_t root = group_root(s->group, c);
        if (root == c)
            number[c] = s->groups_n++;
        s->first[number[root] + 1]++;
    }
    for (uint32_t c = 0; c < n; c++) /* roots come before their members */
        s->up[c] = number[group_root(s->group, c)];
    for (uint32_t g = 0; g < s->groups_n; g++)
        s->first[g + 1] += s->first[g];
    for (uint32_t g = 0; g < s->groups_n; g++)
        number[g] = (uint32_t)s->first[g];
    for (uint32_t c = 0; c < n; c++) {
        s->group[c] = (uint32_t)s->up[c];
        s->members[number[s->group[c]]++] = c;
    }
    free(number);
    return TSP_OK;
}

static uint64_t weight(const solver *s, uint32_t clock)
{
    return s->e->edges->stats[clock].hops_in + s->e->edges->stats[clock].hops_out;
}

/* Balance the group's low tails: for every set of clocks the fastest hop out looks exactly as fast as the fastest hop
 * in. A ring of hops, one way round, so shares its delay equally, where the middle of the bounds would be half the ring
 * off. Above FRAME_CLOCKS_MAX clocks each stays alone, and the middle has to do. */
static tsp_status balance_group(solver *s, uint32_t group)
{
    size_t first = s->first[group], n = s->first[group + 1] - first;
    size_t ties = s->estimate.first[group + 1] - s->estimate.first[group];
    tspi_balance_edge *edges = malloc((ties + 1) * sizeof *edges);
    int64_t *place = s->up; /* scratch: where a clock stands in the group */
    double *x = calloc(n + 1, sizeof *x), *level = calloc(n + 1, sizeof *level);
    uint32_t *joined = calloc(n + 1, sizeof *joined);
    tspi_balancer balancer = {0};
    bool ok = edges && x && level && joined;

    for (size_t k = 0; ok && k < n; k++)
        place[s->members[first + k]] = (int64_t)k;
    for (size_t k = 0; ok && k < ties; k++) {
        const tie *t = &s->estimate.ties[s->estimate.first[group] + k];
        edges[k] = (tspi_balance_edge){(uint32_t)place[t->from], (uint32_t)place[t->to], (double)t->limit_ns};
    }
    ok = ok && tspi_balance(&balancer, (uint32_t)n, edges, ties, NULL, x, joined, level);
    for (size_t k = 0; ok && k < n; k++) {
        s->balanced[s->members[first + k]] = x[k];
        s->joined[s->members[first + k]] = joined[k];
    }
    tspi_balancer_release(&balancer);
    free(edges);
    free(x);
    free(level);
    free(joined);
    return ok ? TSP_OK : TSP_ENOMEM;
}

static tsp_status balance_groups(solver *s)
{
    tsp_status rc = TSP_OK;

    for (uint32_t c = 0; c < s->e->edges->clocks_n; c++)
        s->joined[c] = TSPI_NONE;
    for (uint32_t g = 0; g < s->groups_n && rc == TSP_OK; g++)
        if (s->first[g + 1] - s->first[g] <= FRAME_CLOCKS_MAX && s->estimate.first[g + 1] > s->estimate.first[g])
            rc = balance_group(s, g);
    return rc;
}

/* Offsets against root from what low tails allow; TSP_NO_VALUE where only one side is bounded. */
static bool estimates(solver *s, uint32_t root)
{
    uint32_t c;

    if (!both_ways(s, &s->estimate, root))
        return false;
    FOR_MEMBERS(s, s->group[root], c)
    {
        bool known = s->up[c] != TSPI_UNBOUNDED && s->down[c] != TSPI_UNBOUNDED;
        s->offset[c] = known ? (s->up[c] - s->down[c]) / 2 : TSP_NO_VALUE;
        if (known && s->joined[root] != TSPI_NONE && s->joined[c] == s->joined[root])
            s->offset[c] = llrint(s->balanced[c] - s->balanced[root]);
    }
    return true;
}

static double cost_of_frame(const solver *s, uint32_t group, uint32_t frame)
{
    double cost = 0;
    uint32_t c;

    FOR_MEMBERS(s, group, c)
    if (s->offset[c] != TSP_NO_VALUE)
        cost += (double)llabs(s->offset[c] - s->offset[frame]) * s->clocks->clocks[c].processes;
    return cost;
}

/* The medoid: the clock at which the sum of |offsets| of all, each counting as often as processes use it, is least. */
static uint32_t find_medoid(const solver *s, uint32_t group)
{
    uint32_t best = TSPI_NONE, c;
    double best_cost = 0;

    FOR_MEMBERS(s, group, c)
    {
        if (s->offset[c] == TSP_NO_VALUE)
            continue;
        double cost = cost_of_frame(s, group, c);
        if (best == TSPI_NONE || cost < best_cost) {
            best = c;
            best_cost = cost;
        }
    }
    return best;
}

/* The frame in which most clocks need no correction: that of the medoid or, of all clocks that cannot be told from it
 * (delays would have to split no worse than 3 : 1), the one with the most hops, because its proofs are the sharpest. */
static uint32_t choose_reference(solver *s, uint32_t group)
{
    uint32_t best = s->members[s->first[group]], c;

    FOR_MEMBERS(s, group, c)
    if (weight(s, c) > weight(s, best))
        best = c;
    if (s->first[group + 1] - s->first[group] > FRAME_CLOCKS_MAX || !estimates(s, best))
        return best;
    uint32_t medoid = find_medoid(s, group);
    if (medoid == TSPI_NONE || !estimates(s, medoid))
        return best;
    best = medoid;
    FOR_MEMBERS(s, group, c)
    if (s->offset[c] != TSP_NO_VALUE && weight(s, c) > weight(s, best) &&
        llabs(s->offset[c]) <= (s->up[c] + s->down[c]) / 4)
        best = c;
    return best;
}

static void set_bounds(solver *s, uint32_t reference)
{
    /* Where replies contradict starts, replies are the softer ones. */
    bool sound = both_ways(s, &s->bound, reference) || both_ways(s, &s->proof, reference);
    uint32_t c;

    FOR_MEMBERS(s, s->group[reference], c)
    {
        tspi_interval *row = &s->rows[c];
        *row =
            (tspi_interval){TSP_CLOCK_UNKNOWN, reference, TSP_NO_VALUE, TSP_UNBOUNDED_LO, TSP_UNBOUNDED_HI, 0, !sound};
        if (sound && s->up[c] != TSPI_UNBOUNDED)
            row->hi_ns = s->up[c];
        if (sound && s->down[c] != TSPI_UNBOUNDED)
            row->lo_ns = -s->down[c];
    }
}

/* Where no hops are shifted as a body, an estimate off zero accuses nobody. */
static void mark_shifted(solver *s)
{
    for (size_t k = 0; k < s->e->edges->edges_n; k++) {
        const tspi_edge *edge = &s->e->edges->edges[k];
        const tspi_edge_evidence *row = &s->e->rows[k];
        if (row->pattern[0] >= TSPI_PATTERN_BODY || row->pattern[1] >= TSPI_PATTERN_BODY)
            s->shifted[edge->from] = s->shifted[edge->to] = true;
    }
}

static void set_estimates(solver *s, uint32_t reference)
{
    uint32_t c;

    if (!estimates(s, reference))
        return;
    FOR_MEMBERS(s, s->group[reference], c)
    {
        tspi_interval *row = &s->rows[c];
        if (row->contradictory || s->offset[c] == TSP_NO_VALUE)
            continue;
        /* An estimate outside its own bounds helps nobody. */
        row->offset_ns = s->offset[c] < row->lo_ns ? row->lo_ns : s->offset[c] > row->hi_ns ? row->hi_ns : s->offset[c];
        const tspi_clock_stats *stats = &s->e->edges->stats[c];
        if (stats->hops_in < TSPI_FEW_HOPS || stats->hops_out < TSPI_FEW_HOPS)
            continue;
        int64_t half_width = (s->up[c] + s->down[c]) / 2;
        bool lopsided = llabs(row->offset_ns) > half_width / 2; /* delays would have to split worse than 3 : 1 */
        bool off = row->lo_ns > 0 || row->hi_ns < 0 || (lopsided && s->shifted[c]);
        row->verdict = off ? TSP_CLOCK_SUSPECTED : TSP_CLOCK_OK;
    }
}

/* How far a hop between the two, at its own time, proves the clock ahead of the reference (> 0) or behind it (< 0). */
static int64_t proven_directly(const solver *s, uint32_t reference, uint32_t clock)
{
    const tspi_edge *out = tspi_edges_find(s->e->edges, reference, clock);
    const tspi_edge *in = tspi_edges_find(s->e->edges, clock, reference);
    int64_t behind = out ? limit_of(out, &s->e->rows[out - s->e->edges->edges], PROOF, 0) : 0;
    int64_t ahead = in ? limit_of(in, &s->e->rows[in - s->e->edges->edges], PROOF, 0) : 0;

    return behind < 0 ? behind : ahead < 0 ? -ahead : 0;
}

static void set_proofs(solver *s, uint32_t reference)
{
    bool sound = both_ways(s, &s->proof, reference);
    uint32_t c;

    FOR_MEMBERS(s, s->group[reference], c)
    {
        tspi_interval *row = &s->rows[c];
        if (row->contradictory || c == reference)
            continue;
        int64_t direct = proven_directly(s, reference, c), path = 0;
        if (sound)
            path = s->up[c] < 0 ? s->up[c] : s->down[c] < 0 ? -s->down[c] : 0;
        row->at_least_ns = llabs(path) > llabs(direct) ? path : direct;
        if (row->at_least_ns)
            row->verdict = TSP_CLOCK_PROVEN;
    }
}

static void solve_group(solver *s, uint32_t group, uint32_t wanted)
{
    uint32_t reference = wanted != TSPI_NONE && s->group[wanted] == group ? wanted : choose_reference(s, group);

    set_bounds(s, reference);
    set_estimates(s, reference);
    set_proofs(s, reference);
    tspi_interval *row = &s->rows[reference];
    row->offset_ns = row->lo_ns = row->hi_ns = 0;
    row->verdict = row->contradictory || !weight(s, reference) ? TSP_CLOCK_UNKNOWN : TSP_CLOCK_OK;
}

static bool allocate(solver *s)
{
    size_t n = (size_t)s->e->edges->clocks_n + 1;

    s->group = malloc(n * sizeof *s->group);
    s->members = malloc(n * sizeof *s->members);
    s->first = calloc(n + 1, sizeof *s->first);
    s->up = malloc(n * sizeof *s->up);
    s->down = malloc(n * sizeof *s->down);
    s->offset = malloc(n * sizeof *s->offset);
    s->balanced = calloc(n, sizeof *s->balanced);
    s->joined = malloc(n * sizeof *s->joined);
    s->shifted = calloc(n, sizeof *s->shifted);
    s->rows = calloc(n, sizeof *s->rows);
    return s->group && s->members && s->first && s->up && s->down && s->offset && s->balanced && s->joined &&
           s->shifted && s->rows;
}

static void release(solver *s)
{
    free(s->group);
    free(s->members);
    free(s->first);
    free(s->up);
    free(s->down);
    free(s->offset);
    free(s->balanced);
    free(s->joined);
    free(s->shifted);
    for (graph *g = &s->proof; g <= &s->estimate; g++) {
        free(g->ties);
        free(g->first);
    }
}

tsp_status tspi_intervals_find(const tspi_evidence *evidence, const tspi_clock_table *clocks, uint32_t reference,
                               tspi_interval **ret_rows, tsp_error *err)
{
    solver s = {.e = evidence, .clocks = clocks};
    tsp_status rc = TSP_ENOMEM;

    if (allocate(&s) && find_groups(&s) == TSP_OK && graph_init(&s, &s.proof, PROOF) == TSP_OK &&
        graph_init(&s, &s.bound, BOUND) == TSP_OK && graph_init(&s, &s.estimate, ESTIMATE) == TSP_OK &&
        balance_groups(&s) == TSP_OK) {
        mark_shifted(&s);
        for (uint32_t g = 0; g < s.groups_n; g++)
            solve_group(&s, g, reference);
        *ret_rows = s.rows;
        rc = TSP_OK;
    } else {
        free(s.rows);
        tsp_error_set(err, TSP_ENOMEM, "memory is exhausted bounding %u clocks", evidence->edges->clocks_n);
    }
    release(&s);
    return rc;
}

/* ---- twins ---- */

/* What the edge's low tail leaves, for a pair with enough hops; TSPI_UNBOUNDED otherwise. */
static int64_t least(const tspi_evidence *e, const tspi_edge *edge)
{
    const tspi_edge_evidence *row = &e->rows[edge - e->edges->edges];

    if (edge->hops - row->fenced[0] - row->fenced[1] < TSPI_FEW_HOPS)
        return TSPI_UNBOUNDED;
    return smaller(row->least_ns[0], row->least_ns[1]);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* S of the criterion. */
static int64_t usual_spread(int64_t *proven, size_t n)
{
    if (!n)
        return USUAL_SPREAD_NS;
    qsort(proven, n, sizeof *proven, ascending);
    return proven[n / 2] > USUAL_SPREAD_NS ? proven[n / 2] : USUAL_SPREAD_NS;
}

tsp_status tspi_intervals_twins(const tspi_evidence *e, tspi_twin_clocks **ret_twins, size_t *ret_n, tsp_error *err)
{
    size_t edges_n = e->edges->edges_n, n = 0, kept = 0, proven_n = 0;
    tspi_twin_clocks *twins = malloc((edges_n + 1) * sizeof *twins);
    int64_t *width = malloc((edges_n + 1) * sizeof *width), *proven = malloc((edges_n + 1) * sizeof *proven);

    if (!twins || !width || !proven) {
        free(twins);
        free(width);
        free(proven);
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted comparing clocks");
    }
    for (size_t k = 0; k < edges_n; k++) {
        const tspi_edge *there = &e->edges->edges[k];
        const tspi_edge *back = there->from < there->to ? tspi_edges_find(e->edges, there->to, there->from) : NULL;
        int64_t up = back ? least(e, there) : TSPI_UNBOUNDED, down = back ? least(e, back) : TSPI_UNBOUNDED, sum;
        if (up == TSPI_UNBOUNDED || down == TSPI_UNBOUNDED || __builtin_add_overflow(up, down, &sum))
            continue;
        if (up < 0 || down < 0) {
            proven[proven_n++] = llabs((up - down) / 2);
            continue;
        }
        twins[n] = (tspi_twin_clocks){there->from, there->to, up > down ? up : down};
        width[n++] = sum;
    }
    int64_t limit = usual_spread(proven, proven_n) / 10; /* W / 2S <= 5 % */
    for (size_t k = 0; k < n; k++)
        if (width[k] <= limit)
            twins[kept++] = twins[k];
    free(width);
    free(proven);
    *ret_twins = twins;
    *ret_n = kept;
    return TSP_OK;
}
