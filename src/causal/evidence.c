#include "causal/evidence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "causal/windows.h"

/* A stretch of time needs this many hops for a fence of its own. */
#define HOPS_A_STRETCH 40
#define STRETCHES_MAX 64

/* Replies that come late where nothing is known of the servers: in two public data sets 24 to 39 % of the calls between
 * pods of one node end late (DESIGN.md, "Hops from spans"). */
#define LIE_RATE_UNKNOWN 0.35
#define LIE_CALLS_MIN 8

typedef struct {
    tspi_evidence *e;
    const tspi_join *join;
    tspi_edge *last;
    tspi_edge_evidence *last_row;
} gatherer;

uint64_t tspi_binomial_quorum(uint64_t n, double p)
{
    if (n > 2000) /* the normal approximation is then good to a few events */
        return (uint64_t)ceil((double)n * p + 3.72 * sqrt((double)n * p * (1 - p)) + 1);
    double term = pow(1 - p, (double)n), below = term;
    uint64_t k = 0;
    if (term == 0) /* underflow: begin where the mass is */
        return (uint64_t)ceil((double)n * p + 3.72 * sqrt((double)n * p * (1 - p)) + 1);
    while (k < n && 1 - below > 1e-4) {
        term *= (double)(n - k) / (double)(k + 1) * p / (1 - p);
        below += term;
        k++;
    }
    return k;
}

/* Upper end of the one-sided 95 % interval for a rate (Wilson 1927). */
static double rate_at_most(uint64_t hits, uint64_t n)
{
    double z2 = 1.645 * 1.645, h = (double)hits, m = (double)n;
    return (h + z2 / 2 + sqrt(z2 * (h * (m - h) / m + z2 / 4))) / (m + z2);
}

static void learn_lie_rate(tspi_evidence *e)
{
    uint64_t calls = 0, late = 0;

    for (uint32_t c = 0; c < e->edges->clocks_n; c++) {
        calls += e->edges->stats[c].calls;
        late += e->edges->stats[c].late_calls;
    }
    e->lie_rate = LIE_RATE_UNKNOWN;
    if (calls < LIE_CALLS_MIN)
        return;
    e->lie_calls = calls;
    if (rate_at_most(late, calls) < LIE_RATE_UNKNOWN)
        e->lie_rate = rate_at_most(late, calls);
}

static tsp_status prepare(tspi_evidence *e)
{
    for (size_t k = 0; k < e->edges->edges_n; k++) {
        tspi_edge *edge = &e->edges->edges[k];
        tspi_edge_evidence *row = &e->rows[k];
        for (int kind = 0; kind < 2; kind++) {
            row->least_ns[kind] = TSPI_UNBOUNDED;
            row->fence_ns[kind] = tspi_slacks_fence(&edge->slacks[kind]);
        }
        for (int clocks = 0; clocks < 3; clocks++)
            row->hard_bound_ns[clocks] = row->soft_bound_ns[clocks] = TSPI_UNBOUNDED;
        if (!edge->violations)
            continue;
        uint64_t n = edge->hops / HOPS_A_STRETCH;
        n = n < 1 ? 1 : n > STRETCHES_MAX ? STRETCHES_MAX : n;
        row->stretches = calloc(n, sizeof *row->stretches);
        if (!row->stretches)
            return TSP_ENOMEM;
        row->stretches_n = (uint32_t)n;
        for (int kind = 0; kind < 2; kind++)
            if (edge->slacks[kind].n)
                row->median_ns[kind] = tspi_slacks_quantile(&edge->slacks[kind], 0.5);
    }
    for (uint32_t c = 0; c < e->edges->clocks_n; c++)
        if (e->edges->stats[c].last_ns > e->end_ns)
            e->end_ns = e->edges->stats[c].last_ns;
    return TSP_OK;
}

static tspi_stretch *stretch_of(const tspi_edge_evidence *row, const tspi_edge *edge, int64_t received_ns)
{
    unsigned __int128 range = (unsigned __int128)((uint64_t)edge->last_ns - (uint64_t)edge->first_ns) + 1;
    uint64_t since = (uint64_t)received_ns - (uint64_t)edge->first_ns;

    return row->stretches ? &row->stretches[(size_t)(since * (unsigned __int128)row->stretches_n / range)] : NULL;
}

/* bounds[k] becomes limit + k moved when that is less. */
static void lower_bounds(int64_t *bounds, int64_t limit_ns, double moved_ns)
{
    for (int clocks = 0; clocks < 3; clocks++) {
        double age = ceil(clocks * moved_ns);
        if (age < 1e18 && limit_ns < TSPI_UNBOUNDED - (int64_t)age && limit_ns + (int64_t)age < bounds[clocks])
            bounds[clocks] = limit_ns + (int64_t)age;
    }
}

/* Below this the edge's global fence would also catch hops behind a step; what it leaves out only widens bounds. */
static void bound(gatherer *g, tspi_edge_evidence *row, const tspi_hop *hop)
{
    int64_t slack = tspi_hop_slack_ns(hop), widened = slack + (hop->allowance_ns - 1);

    if (slack < row->fence_ns[hop->kind]) {
        row->fenced[hop->kind]++;
        return;
    }
    if (widened < row->least_ns[hop->kind])
        row->least_ns[hop->kind] = widened;
    if (hop->kind != TSPI_HOP_HARD)
        return;
    lower_bounds(row->hard_bound_ns, widened, (double)(g->e->end_ns - hop->received_ns) * g->e->drift);
}

/* |lead - trail| within the stamps' unit is "the middle". How telling that is depends on how much room there was. */
static void weigh_centre(gatherer *g, const tspi_hop *hop)
{
    const tspi_span *server = &hop->set->spans[hop->from_span], *client = &hop->set->spans[hop->to_span];
    int64_t lead = server->start_ns - client->start_ns, trail = client->end_ns - server->end_ns;
    int64_t unit = g->join->quanta[client->process].unit_ns, other = g->join->quanta[server->process].unit_ns;
    tspi_adjustment *a = &g->e->adjustment;

    unit = unit > other ? unit : other;
    if (lead < 0 || trail < 0 || lead + trail < 4 * unit)
        return;
    a->calls++;
    if (llabs(lead - trail) > unit)
        return;
    a->centred++;
    a->digits += log10((double)(lead + trail) / (2.0 * (double)unit));
}

static tsp_status gather(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    gatherer *g = ctx;

    for (size_t k = 0; k < n; k++) {
        const tspi_hop *hop = &hops[k];
        if (hop->same_clock)
            continue;
        if (!g->last || g->last->from != hop->from_clock || g->last->to != hop->to_clock) {
            g->last = tspi_edges_find(g->e->edges, hop->from_clock, hop->to_clock);
            g->last_row = &g->e->rows[g->last - g->e->edges->edges];
        }
        bound(g, g->last_row, hop);
        if (hop->kind == TSPI_HOP_SOFT)
            weigh_centre(g, hop);
        tspi_stretch *stretch = stretch_of(g->last_row, g->last, hop->received_ns);
        if (!stretch)
            continue;
        stretch->n[hop->kind]++;
        stretch->violations[hop->kind] += tspi_hop_is_violation(hop);
        if (!tspi_slacks_add(&stretch->slacks[hop->kind], tspi_hop_slack_ns(hop)))
            return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by evidence");
    }
    return TSP_OK;
}

/* The slacks of the replies differ by less than they are off: one shift, not servers that go on after answering. */
static bool by_a_like_amount(tspi_slacks *soft)
{
    int64_t middle = tspi_slacks_quantile(soft, 0.5);

    return middle < 0 && tspi_slacks_quantile(soft, 0.75) - tspi_slacks_quantile(soft, 0.25) <= -middle;
}

/* Replies bound only where more of them agree than lies explain: the quorum's next smallest slack is believed. */
static void soft_bound(const gatherer *g, tspi_edge_evidence *row, tspi_edge *edge)
{
    tspi_slacks *soft = &edge->slacks[TSPI_HOP_SOFT];

    row->soft_quorum = tspi_binomial_quorum(soft->n, g->e->lie_rate);
    row->uneven_replies = edge->soft_violations > row->soft_quorum && !by_a_like_amount(soft);
    if (soft->n < TSPI_FEW_HOPS || row->soft_quorum >= soft->n || row->uneven_replies)
        return;
    int64_t slack = tspi_slacks_rank(soft, row->soft_quorum + 1);
    /* When that reply came is not known: as early as any. The histogram's own coarseness comes on top. */
    lower_bounds(row->soft_bound_ns, slack + llabs(slack) / 1024 + 1,
                 (double)(g->e->end_ns - edge->first_ns) * g->e->drift);
}

/* A step: split the stretches in two so that the share of violations differs most. It is one when one side has next to
 * none, the other has many, and the medians jump at the split rather than drift past it. */
static void find_step(tspi_edge_evidence *row, const tspi_edge *edge, int kind)
{
    uint32_t best = 0;
    double best_gap = 0;

    for (uint32_t at = 1; at < row->stretches_n; at++) {
        uint64_t n[2] = {0}, v[2] = {0};
        for (uint32_t k = 0; k < row->stretches_n; k++) {
            n[k >= at] += row->stretches[k].n[kind];
            v[k >= at] += row->stretches[k].violations[kind];
        }
        if (n[0] < TSPI_FEW_HOPS || n[1] < TSPI_FEW_HOPS)
            continue;
        double before = (double)v[0] / (double)n[0], after = (double)v[1] / (double)n[1];
        double low = fmin(before, after), high = fmax(before, after);
        if (high > 0.2 && low < high / 10 && high - low > best_gap) {
            best_gap = high - low;
            best = at;
            row->step_is_late = after > before;
        }
    }
    if (!best)
        return;
    /* Medians two stretches to either side; a drift would have come half of the way already. */
    int64_t median[4] = {0};
    uint32_t from = best >= 3 ? best - 3 : 0, known = 0;
    for (uint32_t k = from; k < row->stretches_n && known < 4; k++)
        if (row->stretches[k].n[kind] && k != best && k + 1 != best)
            median[known++] = tspi_slacks_quantile(&row->stretches[k].slacks[kind], 0.5);
    if (known < 2)
        return;
    uint32_t first_behind = 0;
    for (uint32_t k = from; k < best && k + 1 < best; k++)
        first_behind += row->stretches[k].n[kind] != 0;
    if (first_behind == 0 || first_behind >= known)
        return;
    int64_t jump = median[first_behind] - median[first_behind - 1];
    int64_t creep = 0;
    for (uint32_t k = 1; k < known; k++)
        if (k != first_behind)
            creep = llabs(median[k] - median[k - 1]) > creep ? llabs(median[k] - median[k - 1]) : creep;
    /* The two medians around the split are three stretches apart, others one. */
    if (llabs(jump) <= 2 * 3 * creep || (jump < 0) != row->step_is_late)
        return;
    row->pattern[kind] = TSPI_PATTERN_STEP;
    row->step_ns = jump;
    row->step_slop_ns = (edge->last_ns - edge->first_ns) / row->stretches_n + 1;
    row->step_at_ns = edge->first_ns + (int64_t)((double)(edge->last_ns - edge->first_ns) * best / row->stretches_n);
}

/* A stretch's own fence follows clocks that move, but two lies among forty hops hide each other: where the stretch is
 * no different from the whole edge, the edge's fence holds as well. */
static int64_t fence_of_stretch(const tspi_edge_evidence *row, tspi_edge *edge, tspi_stretch *stretch, int kind)
{
    tspi_slacks *all = &edge->slacks[kind], *own = &stretch->slacks[kind];

    if (own->n < HOPS_A_STRETCH)
        return row->fence_ns[kind];
    int64_t fence = tspi_slacks_fence(own), middle = tspi_slacks_quantile(own, 0.5);
    bool alike = middle >= tspi_slacks_quantile(all, 0.1) && middle <= tspi_slacks_quantile(all, 0.9);
    return alike && row->fence_ns[kind] > fence ? row->fence_ns[kind] : fence;
}

/* A shift moves a distribution, it does not turn it round. A step may: it is judged by itself. */
static bool is_left_tailed(tspi_slacks *slacks)
{
    if (slacks->n < HOPS_A_STRETCH)
        return false;
    double low = (double)tspi_slacks_quantile(slacks, 0.02), middle = (double)tspi_slacks_quantile(slacks, 0.5);
    return middle - low > 1.5 * ((double)tspi_slacks_quantile(slacks, 0.98) - middle);
}

/* Replies are judged by their own time: a clock that drifts puts only the last of them out of order. */
static void judge_replies(const tspi_evidence *e, tspi_edge_evidence *row, const tspi_edge *edge)
{
    for (uint32_t k = 0; k < row->stretches_n; k++) {
        tspi_stretch *stretch = &row->stretches[k];
        uint64_t n = stretch->n[TSPI_HOP_SOFT], late = stretch->violations[TSPI_HOP_SOFT];
        if (n < TSPI_FEW_HOPS) { /* as the edge as a whole is */
            stretch->replies_uneven = row->uneven_replies;
            stretch->replies_shifted = edge->soft_violations > row->soft_quorum && !row->uneven_replies;
            continue;
        }
        bool more = late > tspi_binomial_quorum(n, e->lie_rate);
        bool alike = by_a_like_amount(&stretch->slacks[TSPI_HOP_SOFT]);
        stretch->replies_shifted = more && alike;
        stretch->replies_uneven = more && !alike;
    }
}

static void find_pattern(tspi_edge_evidence *row, tspi_edge *edge, int kind)
{
    uint64_t violations = kind ? edge->soft_violations : edge->hard_violations, scattered = 0;
    int64_t worst_body = 0;

    row->pattern[kind] = TSPI_PATTERN_NONE;
    if (!violations)
        return;
    if (edge->slacks[kind].n < TSPI_FEW_HOPS) {
        row->pattern[kind] = TSPI_PATTERN_FEW;
        return;
    }
    for (uint32_t k = 0; k < row->stretches_n; k++) {
        tspi_stretch *stretch = &row->stretches[k];
        stretch->fence_ns[kind] = fence_of_stretch(row, edge, stretch, kind);
        if (!stretch->n[kind])
            continue;
        uint64_t below = tspi_slacks_below(&stretch->slacks[kind], stretch->fence_ns[kind]);
        scattered += below < stretch->violations[kind] ? below : stretch->violations[kind];
        if (stretch->violations[kind] > below && stretch->slacks[kind].min_ns < worst_body)
            worst_body = stretch->slacks[kind].min_ns;
    }
    row->pattern[kind] = scattered >= violations ? TSPI_PATTERN_SCATTERED : TSPI_PATTERN_BODY;
    if (row->pattern[kind] == TSPI_PATTERN_BODY && row->stretches_n >= 4)
        find_step(row, edge, kind);
    row->left_tailed[kind] = row->pattern[kind] == TSPI_PATTERN_BODY && is_left_tailed(&edge->slacks[kind]);
}

static tsp_status count_marks_of(void *ctx, const tspi_join *join, tsp_error *err)
{
    const tspi_span_set *set = join->set;
    tspi_adjustment *a = ctx;

    (void)err;
    for (size_t k = 0; k < set->spans_n; k++) {
        a->marked_adjusted += (set->spans[k].flags & TSPI_SPAN_ADJUSTED) != 0;
        a->marked_unadjusted += (set->spans[k].flags & TSPI_SPAN_UNADJUSTED_DELTA) != 0;
    }
    return TSP_OK;
}

static tsp_status count_marks(gatherer *g, tsp_error *err)
{
    tspi_adjustment *a = &g->e->adjustment;
    tsp_status rc = tspi_join_each(g->join, count_marks_of, a, err);

    /* Most calls centred, and chance would not do it once in a million times. */
    a->is_adjusted = a->marked_adjusted || (a->digits >= 6 && a->centred * 2 > a->calls);
    return rc;
}

tsp_status tspi_evidence_init(tspi_evidence *ret_evidence, const tspi_join *join, const tspi_edges *edges,
                              double max_drift_ppm, tsp_error *err)
{
    gatherer g = {.e = ret_evidence, .join = join};
    tsp_status rc = TSP_ENOMEM;

    *ret_evidence = (tspi_evidence){.edges = edges, .end_ns = INT64_MIN, .drift = 1e-6 * max_drift_ppm};
    ret_evidence->rows = calloc(edges->edges_n + 1, sizeof *ret_evidence->rows);
    if (ret_evidence->rows && prepare(ret_evidence) == TSP_OK) {
        learn_lie_rate(ret_evidence);
        rc = tspi_hops_scan(join, gather, &g, err);
    }
    if (rc != TSP_OK) {
        tspi_evidence_release(ret_evidence);
        return rc == TSP_ENOMEM ? tsp_error_set(err, rc, "memory is exhausted weighing %zu edges", edges->edges_n) : rc;
    }
    for (size_t k = 0; k < edges->edges_n; k++) {
        soft_bound(&g, &ret_evidence->rows[k], &edges->edges[k]);
        judge_replies(ret_evidence, &ret_evidence->rows[k], &edges->edges[k]);
        for (int kind = 0; kind < 2; kind++)
            find_pattern(&ret_evidence->rows[k], &edges->edges[k], kind);
    }
    rc = count_marks(&g, err);
    if (rc != TSP_OK)
        tspi_evidence_release(ret_evidence);
    return rc;
}

void tspi_evidence_release(tspi_evidence *evidence)
{
    if (!evidence)
        return;
    for (size_t k = 0; evidence->rows && k < evidence->edges->edges_n; k++) {
        tspi_edge_evidence *row = &evidence->rows[k];
        for (uint32_t s = 0; s < row->stretches_n; s++) {
            tspi_slacks_release(&row->stretches[s].slacks[0]);
            tspi_slacks_release(&row->stretches[s].slacks[1]);
        }
        free(row->stretches);
    }
    free(evidence->rows);
    memset(evidence, 0, sizeof *evidence);
}

const tspi_edge_evidence *tspi_evidence_find(const tspi_evidence *evidence, uint32_t from, uint32_t to)
{
    const tspi_edge *edge = tspi_edges_find(evidence->edges, from, to);

    return edge ? &evidence->rows[edge - evidence->edges->edges] : NULL;
}

const tspi_stretch *tspi_evidence_stretch(const tspi_edge_evidence *row, const tspi_edge *edge, const tspi_hop *hop)
{
    return stretch_of(row, edge, hop->received_ns);
}

int64_t tspi_evidence_fence(const tspi_edge_evidence *row, const tspi_edge *edge, const tspi_hop *hop)
{
    const tspi_stretch *stretch = stretch_of(row, edge, hop->received_ns);

    return stretch ? stretch->fence_ns[hop->kind] : row->fence_ns[hop->kind];
}
