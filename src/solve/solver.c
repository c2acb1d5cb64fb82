#include "solve/solver.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/saturate.h"
#include "solve/constants.h"
#include "solve/estimate.h"
#include "solve/frame.h"
#include "solve/motion.h"
#include "solve/parallel.h"
#include "solve/room.h"
#include "solve/soft.h"

#define MOST_DRIFT_PPM 100000.0 /* 10 %: no clock; and sums of ties must fit */

tsp_status tsp_solver_new(const tsp_solver_config *config, tsp_solver **ret_solver, tsp_error *err)
{
    double ppm = config->max_drift_ppm == 0 ? 100 : config->max_drift_ppm;
    tsp_solver *solver;

    if (!(ppm > 0 && ppm <= MOST_DRIFT_PPM))
        return tsp_error_set(err, TSP_EINVAL, "a drift limit of %g ppm makes no sense", ppm);
    if (config->clocks == TSP_NO_CLOCK || (config->reference != TSP_NO_CLOCK && config->reference >= config->clocks))
        return tsp_error_set(err, TSP_EINVAL, "no such reference clock");
    solver = calloc(1, sizeof *solver);
    if (!solver)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    solver->config = *config;
    solver->config.max_drift_ppm = ppm;
    solver->clocks = config->clocks;
    solver->rho_ppb = (int64_t)ceil(ppm * 1000);
    solver->hops.threads = config->threads;
    *ret_solver = solver;
    return TSP_OK;
}

static void drop_results(tsp_solver *solver)
{
    for (uint32_t c = 0; solver->rows && c < solver->clocks; c++) {
        tspi_track_free(solver->rows[c].track);
        tspi_track_free(solver->rows[c].estimate);
        free(solver->rows[c].knots);
        free(solver->rows[c].steps);
        free(solver->rows[c].bends);
    }
    free(solver->rows);
    tspi_room_give(solver->row_of, solver->row_of_room, sizeof *solver->row_of);
    free(solver->group);
    free(solver->root);
    free(solver->conflict);
    tspi_fit_release(&solver->fit);
    tspi_graph_release(&solver->graph);
    tspi_bounds_release(&solver->bounds);
    solver->rows = NULL;
    solver->row_of = NULL;
    solver->group = NULL;
    solver->root = NULL;
    solver->conflict = NULL;
    solver->conflict_n = 0;
    solver->done = solver->bounded = solver->taken_back = false;
    memset(&solver->summary, 0, sizeof solver->summary);
}

void tsp_solver_free(tsp_solver *solver)
{
    if (!solver)
        return;
    drop_results(solver);
    tspi_hop_store_release(&solver->hops);
    free(solver);
}

static bool is_stamp(int64_t ns)
{
    return ns >= -TSP_STAMP_MAX && ns <= TSP_STAMP_MAX;
}

static tsp_status check_hop(const tsp_solver *solver, const tsp_hop *hop, size_t k, tsp_error *err)
{
    if (hop->from >= solver->config.clocks || hop->to >= solver->config.clocks)
        return tsp_error_set(err, TSP_EINVAL, "hop %zu: no such clock", k);
    if (hop->kind > TSP_HOP_SOFT)
        return tsp_error_set(err, TSP_EINVAL, "hop %zu: no such kind", k);
    if (!is_stamp(hop->sent_ns) || !is_stamp(hop->received_ns))
        return tsp_error_set(err, TSP_ERANGE, "hop %zu: a stamp out of range", k);
    if (hop->quantum_ns < 0 || hop->quantum_ns > 4 * TSP_NS_PER_S)
        return tsp_error_set(err, TSP_ERANGE, "hop %zu: a quantum out of range", k);
    return TSP_OK;
}

tsp_status tsp_solver_add_hops(tsp_solver *solver, const tsp_hop *hops, size_t n, tsp_error *err)
{
    tspi_hop_store *store = &solver->hops;

    for (size_t k = 0; k < n; k++) {
        tsp_status rc = check_hop(solver, &hops[k], k, err);
        if (rc != TSP_OK)
            return rc;
    }
    if (n > UINT32_MAX - 1 - store->added || !tspi_hop_store_reserve(store, n))
        return tsp_error_set(err, TSP_ENOMEM, "no memory for %zu more hops", n);
    for (size_t k = 0; k < n; k++) {
        const tsp_hop *hop = &hops[k];
        uint32_t index = (uint32_t)store->added++;
        bool soft = hop->kind == TSP_HOP_SOFT;
        if (hop->from == hop->to) {
            bool lied = hop->received_ns + hop->quantum_ns < hop->sent_ns;
            if (!tspi_hop_store_add_same_clock(store, index, hop->operation, soft, lied))
                return tsp_error_set(err, TSP_ENOMEM, "out of memory");
            continue;
        }
        store->hops[store->n++] = (tspi_stored_hop){.sent = hop->sent_ns,
                                                    .received = hop->received_ns,
                                                    .tag = hop->tag,
                                                    .from = hop->from,
                                                    .to = hop->to,
                                                    .operation = hop->operation,
                                                    .index = index,
                                                    .quantum = (uint32_t)hop->quantum_ns,
                                                    .flags = soft ? TSPI_STORED_SOFT : 0};
    }
    store->sorted = false;
    return TSP_OK;
}

tsp_status tsp_solver_add_bound(tsp_solver *solver, uint32_t clock, int64_t at_ns, int64_t lo_ns, int64_t hi_ns,
                                uint64_t tag, tsp_error *err)
{
    tspi_hop_store *store = &solver->hops;
    int64_t from, to;
    uint32_t utc = solver->config.clocks;

    if (clock >= solver->config.clocks)
        return tsp_error_set(err, TSP_EINVAL, "a bound on a clock that does not exist");
    if (solver->config.reference != TSP_NO_CLOCK)
        return tsp_error_set(err, TSP_EINVAL, "bounds make UTC the reference: name no other");
    if (lo_ns > hi_ns)
        return tsp_error_set(err, TSP_EINVAL, "a bound whose ends are the wrong way round");
    if (!is_stamp(at_ns) || __builtin_sub_overflow(at_ns, hi_ns, &from) || __builtin_sub_overflow(at_ns, lo_ns, &to) ||
        !is_stamp(from) || !is_stamp(to))
        return tsp_error_set(err, TSP_ERANGE, "a bound out of range");
    if (!tspi_hop_store_reserve(store, 2))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    store->hops[store->n++] = (tspi_stored_hop){.sent = from,
                                                .received = at_ns,
                                                .tag = tag,
                                                .from = utc,
                                                .to = clock,
                                                .index = UINT32_MAX,
                                                .flags = TSPI_STORED_BOUND};
    store->hops[store->n++] = (tspi_stored_hop){.sent = at_ns,
                                                .received = to,
                                                .tag = tag,
                                                .from = clock,
                                                .to = utc,
                                                .index = UINT32_MAX,
                                                .flags = TSPI_STORED_BOUND};
    store->sorted = false;
    solver->has_utc = true;
    return TSP_OK;
}

static bool clear_flags(void *hops_, size_t e, unsigned worker)
{
    tspi_hop_store *hops = hops_;
    const tspi_stored_edge *edge = &hops->edges[e];

    (void)worker;
    for (size_t row = edge->first; row < edge->first + edge->n; row++)
        hops->hops[row].flags &= TSPI_STORED_SOFT | TSPI_STORED_BOUND;
    return true;
}

static bool new_fit(tsp_solver *solver, double quantile, bool with_soft)
{
    tspi_fit *fit = &solver->fit;

    tspi_fit_release(fit);
    tspi_parallel(solver->config.threads, solver->hops.edges_n, clear_flags, &solver->hops);
    if (!tspi_fit_init(fit, &solver->hops, solver->clocks))
        return false;
    fit->threads = solver->config.threads ? solver->config.threads : 1;
    fit->rho = (double)solver->rho_ppb * 1e-9;
    fit->believe_all = solver->config.quorum == 1;
    fit->group = solver->group;
    for (uint32_t c = 0; c < solver->clocks; c++)
        solver->root[c] = !!solver->root[c]; /* which of its pieces is not known yet */
    fit->root = solver->root;
    fit->still = solver->has_utc ? solver->config.clocks : TSP_NO_CLOCK;
    fit->quantile = quantile;
    fit->without = TSPI_STORED_LIES | TSPI_STORED_ASIDE | TSPI_STORED_AMBIGUOUS | (with_soft ? 0 : TSPI_STORED_SOFT);
    if (!fit->believe_all)
        tspi_soft_drop_operations(&solver->hops);
    return true;
}

/* Soft hops estimate from the start only where hard ones alone close fewer cycles. */
static bool soft_is_needed(const tsp_solver *solver, bool *ret_needed)
{
    uint32_t all, hard;

    if (!tspi_frame_cycles(&solver->hops, solver->clocks, 0, &all) ||
        !tspi_frame_cycles(&solver->hops, solver->clocks, TSPI_STORED_SOFT, &hard))
        return false;
    *ret_needed = all < hard;
    return true;
}

static bool choose_frame(tsp_solver *solver, bool with_soft)
{
    uint32_t fixed = solver->has_utc ? solver->config.clocks : solver->config.reference;

    solver->group = calloc((size_t)solver->clocks + 1, sizeof *solver->group);
    solver->root = calloc((size_t)solver->clocks + 1, 1);
    if (!solver->group || !solver->root ||
        !tspi_frame_groups(&solver->hops, solver->clocks, solver->group, &solver->groups_n) ||
        !tspi_frame_roots(&solver->hops, solver->clocks, solver->group, solver->groups_n, fixed, solver->root))
        return false;
    if (fixed != TSP_NO_CLOCK && solver->groups_n == 1)
        return true;
    return new_fit(solver, LIE_PART, with_soft) && tspi_estimate_coarse(&solver->fit) &&
           tspi_frame_best_roots(&solver->fit, solver->groups_n, fixed, solver->root);
}

/* Where the caller named no reference, the tracks may show a better frame than the first guess: then once more in it.
 */
static bool estimate(tsp_solver *solver, double quantile, bool with_soft)
{
    uint32_t fixed = solver->has_utc ? solver->config.clocks : solver->config.reference;
    bool changed;

    if (!new_fit(solver, quantile, with_soft) || !tspi_estimate(&solver->fit) ||
        !tspi_frame_review_roots(&solver->fit, solver->groups_n, fixed, solver->root, &changed))
        return false;
    return !changed || (new_fit(solver, quantile, with_soft) && tspi_estimate(&solver->fit));
}

static tsp_status solve(tsp_solver *solver, bool with_soft, tsp_error *err)
{
    bool feasible = false;

    for (double quantile = LIE_PART; !feasible; quantile *= 2) {
        bool last_try = quantile * 2 > LIE_PART_MOST || solver->config.quorum == 1;
        if (!estimate(solver, quantile, with_soft) || !tspi_motion_return(&solver->fit, solver->root) ||
            !tspi_soft_quorum(&solver->fit, &solver->hops, solver->config.quorum, &solver->summary.soft_lie_rate) ||
            !tspi_solver_tracks(solver))
            return tsp_error_set(err, TSP_ENOMEM, "out of memory");
        tsp_status rc = tspi_solver_prove(solver, last_try, &feasible, err);
        if (rc != TSP_OK)
            return rc;
        if (last_try)
            break;
    }
    return TSP_OK;
}

typedef struct {
    uint64_t violations, late, conflicts;
} edge_sum;

typedef struct {
    const tspi_hop_store *hops;
    uint32_t *row_of; /* borrowed */
    edge_sum *sums;   /* owned, edges */
} summing;

static bool sum_edge(void *summing_, size_t e, unsigned worker)
{
    const summing *s = summing_;
    const tspi_stored_edge *edge = &s->hops->edges[e];
    edge_sum sum = {0};

    (void)worker;
    for (size_t row = edge->first; row < edge->first + edge->n; row++) {
        const tspi_stored_hop *hop = &s->hops->hops[row];
        if (hop->flags & TSPI_STORED_BOUND)
            continue;
        s->row_of[hop->index] = (uint32_t)row;
        sum.violations += tspi_stored_slack(hop) < 0;
        sum.late += !!(hop->flags & TSPI_STORED_LATE);
        sum.conflicts += !!(hop->flags & TSPI_STORED_CONFLICT);
    }
    s->sums[e] = sum;
    return true;
}

/* Where each of the caller's hops went, and how many are what. */
static bool sum_hops(tsp_solver *solver)
{
    const tspi_hop_store *hops = &solver->hops;
    tsp_solver_summary_row *summary = &solver->summary;
    summing s = {hops, solver->row_of, malloc((hops->edges_n + 1) * sizeof *s.sums)};

    if (!s.sums)
        return false;
    for (size_t k = 0; k < hops->same_clock_n; k++)
        solver->row_of[hops->same_clock[k]] = UINT32_MAX;
    tspi_parallel(solver->config.threads, hops->edges_n, sum_edge, &s);
    for (size_t e = 0; e < hops->edges_n; e++) {
        summary->violations_before += s.sums[e].violations;
        summary->late += s.sums[e].late;
        summary->conflicts += s.sums[e].conflicts;
    }
    free(s.sums);
    return true;
}

static bool sum_up(tsp_solver *solver)
{
    tsp_solver_summary_row *summary = &solver->summary;
    const tspi_hop_store *hops = &solver->hops;
    uint32_t *size = calloc((size_t)solver->groups_n + 1, sizeof *size), largest = 0;

    solver->row_of_room = hops->added + 1;
    solver->row_of = tspi_room_take(solver->row_of_room, sizeof *solver->row_of);
    if (!solver->row_of || !size) {
        free(size);
        return false;
    }
    for (uint32_t c = 0; c < solver->clocks; c++)
        if (++size[solver->group[c]] > size[largest])
            largest = solver->group[c];
    free(size);
    summary->groups = solver->groups_n;
    summary->max_drift_ppm = solver->config.max_drift_ppm;
    summary->reference = TSP_NO_CLOCK;
    for (uint32_t c = 0; c < solver->config.clocks; c++)
        if (solver->root[c] && solver->group[c] == largest)
            summary->reference = c;
    tspi_edge_test *tests = malloc((hops->edges_n + 1) * sizeof *tests);
    bool ok = tests && sum_hops(solver) && tspi_solver_inspect(solver, tests, 0, NULL);
    for (size_t e = 0; ok && e < hops->edges_n; e++) {
        summary->violations_after += tests[e].broken;
        summary->violations_lies += tests[e].lies;
    }
    free(tests);
    if (ok)
        tspi_solver_count_aside(solver);
    return ok;
}

/* Frame, estimate, bounds. */
static tsp_status find_clocks(tsp_solver *solver, tsp_error *err)
{
    bool with_soft;

    if (!soft_is_needed(solver, &with_soft) || !choose_frame(solver, with_soft))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    solver->rows = calloc((size_t)solver->clocks + 1, sizeof *solver->rows);
    if (!solver->rows)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    return solve(solver, with_soft, err);
}

/* The contradiction found first is the one that is told. */
static void keep_first(tsp_solver *solver, tsp_proof_link *conflict, size_t n)
{
    free(solver->conflict);
    solver->conflict = conflict;
    solver->conflict_n = n;
    solver->summary.contradictory = true;
}

/* The same, without what contradicts the rest as a body. */
static tsp_status find_sound_clocks(tsp_solver *solver, tsp_error *err)
{
    tsp_proof_link *conflict = NULL;
    size_t conflict_n = 0;
    tsp_status rc = find_clocks(solver, err);
    bool any = true;

    for (int k = 0; k < CONTRADICTED_ROUNDS && rc == TSP_OK && solver->summary.contradictory && any; k++) {
        if (!tspi_solver_set_aside_whole(solver, &any))
            rc = tsp_error_set(err, TSP_ENOMEM, "out of memory");
        if (rc != TSP_OK || !any)
            break;
        if (!conflict) {
            conflict = solver->conflict;
            conflict_n = solver->conflict_n;
            solver->conflict = NULL;
        }
        drop_results(solver);
        rc = find_clocks(solver, err);
    }
    if (conflict)
        keep_first(solver, conflict, conflict_n);
    return rc;
}

static tsp_status run(tsp_solver *solver, tsp_error *err)
{
    bool more = false;

    solver->clocks = solver->config.clocks + solver->has_utc;
    tspi_hop_store_gather(&solver->hops);
    if (!tspi_hop_store_sort(&solver->hops))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    tsp_status rc = find_sound_clocks(solver, err);
    if (rc != TSP_OK)
        return rc;
    if (!tspi_solver_judge(solver) || !tspi_solver_project(solver) || !tspi_solver_take_back(solver, &more) ||
        (more && !tspi_solver_project(solver)) || !tspi_solver_knots(solver) || !sum_up(solver))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    solver->done = true;
    return TSP_OK;
}

tsp_status tsp_solver_run(tsp_solver *solver, tsp_error *err)
{
    tsp_status rc;

    tspi_room_begin();
    drop_results(solver);
    rc = run(solver, err);
    tspi_room_end();
    return rc;
}

tsp_status tsp_solver_clock(const tsp_solver *solver, uint32_t clock, tsp_clock_result *ret_result, tsp_error *err)
{
    if (!solver->done || clock >= solver->config.clocks)
        return tsp_error_set(err, TSP_EINVAL, "no such clock, or the solver has not run");
    *ret_result = solver->rows[clock].result;
    return TSP_OK;
}

const tspi_hop_store *tspi_solver_hops(const tsp_solver *solver)
{
    return &solver->hops;
}

bool tspi_solver_is_aside(const tsp_solver *solver, size_t index)
{
    return solver->row_of && index < solver->hops.added && solver->row_of[index] != UINT32_MAX &&
           solver->row_of[index] >= solver->hops.n;
}

void tsp_solver_summary(const tsp_solver *solver, tsp_solver_summary_row *ret_summary)
{
    *ret_summary = solver->summary;
}

tsp_hop_label tsp_solver_hop_label(const tsp_solver *solver, size_t index)
{
    uint32_t row = solver->row_of && index < solver->hops.added ? solver->row_of[index] : UINT32_MAX;
    uint16_t flags;

    if (row == UINT32_MAX)
        return TSP_HOP_SAME_CLOCK;
    flags = solver->hops.hops[row].flags;
    return flags & TSPI_STORED_CONFLICT    ? TSP_HOP_CONFLICT
           : flags & TSPI_STORED_LATE      ? TSP_HOP_LATE
           : flags & TSPI_STORED_UNCOUNTED ? TSP_HOP_UNCOUNTED
                                           : TSP_HOP_USED;
}

void tsp_solver_correct_hop(const tsp_solver *solver, size_t index, int64_t *ret_sent_ns, int64_t *ret_received_ns)
{
    uint32_t row = index < solver->hops.added ? solver->row_of[index] : UINT32_MAX;
    const tspi_sides *sides = &solver->fit.sides;

    *ret_sent_ns = *ret_received_ns = 0;
    if (row == UINT32_MAX)
        return;
    const tspi_stored_hop *hop = &solver->hops.hops[row];
    uint32_t from = tspi_sides_sent_node(sides, &solver->hops, row) - tspi_sides_first(sides, hop->from);
    uint32_t to = tspi_sides_received_node(sides, &solver->hops, row) - tspi_sides_first(sides, hop->to);
    *ret_sent_ns = tspi_sub_most(hop->sent, tspi_track_piece_offset(solver->rows[hop->from].track, from, hop->sent));
    *ret_received_ns =
        tspi_sub_most(hop->received, tspi_track_piece_offset(solver->rows[hop->to].track, to, hop->received));
}

const char *tsp_clock_verdict_name(tsp_clock_verdict verdict)
{
    static const char *const names[] = {"ok", "suspected", "proven", "unknown"};

    return verdict <= TSP_CLOCK_UNKNOWN ? names[verdict] : "unknown";
}
