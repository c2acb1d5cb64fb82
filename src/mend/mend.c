/* From files to a solver that has run. */
#include "mend/mend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock/track.h"

#define THIN_LEAST_HOPS 200000 /* fewer are solved in a fraction of a second */

static tsp_status read_input(tspi_mend *m, tsp_error *err)
{
    const tspi_mend_options *o = &m->options;
    tspi_wire_options wire = {.keep_going = o->keep_going, .threads = o->threads, .keep = o->keep};

    return tspi_wire_read_paths(o->paths, o->paths_n, o->format, &wire, &m->set, &m->report, err);
}

typedef struct {
    const tspi_mend *mend;
    tspi_mend_visit visit;
    void *ctx;
    size_t index, seen;
} visitor;

static tsp_status visit_run(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    visitor *v = ctx;
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < n && rc == TSP_OK; k++) {
        if (!tspi_mend_in_range(&hops[k]))
            continue;
        const uint64_t *bits = v->mend->answer.fed;
        bool fed = !bits || tspi_bits_has(bits, v->seen);
        v->seen++;
        rc = v->visit(v->ctx, &hops[k], fed ? v->index : TSPI_MEND_SPARED, err);
        v->index += fed;
    }
    return rc;
}

tsp_status tspi_mend_each_hop(const tspi_mend *mend, tspi_mend_visit visit, void *ctx, tsp_error *err)
{
    visitor v = {.mend = mend, .visit = visit, .ctx = ctx};

    return (mend->answer.fed ? tspi_hops_scan_lean : tspi_hops_scan)(&mend->causal.join, visit_run, &v, err);
}

const char *tspi_mend_clock_name(const tspi_mend *mend, uint32_t clock)
{
    return clock < mend->causal.clocks.clocks_n ? mend->causal.clocks.clocks[clock].name : "UTC";
}

const tspi_utc_bound *tspi_mend_bound_of(const tspi_mend *mend, const tsp_proof_link *link)
{
    return link->hop == TSP_NO_HOP && link->from != link->to ? &mend->bounds.rows[link->tag] : NULL;
}

static tsp_status read_bounds(tspi_mend *m, tsp_error *err)
{
    tsp_status rc;

    if (!m->options.bounds)
        return TSP_OK;
    if (m->options.reference)
        return tsp_error_set(err, TSP_EINVAL, "bounds make UTC the reference: no clock can be it, too");
    rc = tspi_utc_bounds_read(m->options.bounds, &m->bounds, err);
    for (size_t k = 0; k < m->bounds.n && rc == TSP_OK; k++) {
        tspi_utc_bound *b = &m->bounds.rows[k];
        bool same = k && !strcmp(b[-1].clock, b->clock);
        b->row = same ? b[-1].row : tspi_clock_find(&m->causal.clocks, b->clock);
        m->bounds_used += b->row != TSPI_NONE;
    }
    if (rc == TSP_OK && m->bounds.n && !m->bounds_used)
        rc = tsp_error_set(err, TSP_EINVAL,
                           "%s: line %u: there is no clock '%.60s' in the input, nor any other of the file",
                           m->options.bounds, m->bounds.rows[0].line, m->bounds.rows[0].clock);
    return rc;
}

static tsp_status feed_bounds(const tspi_mend *m, tsp_solver *solver, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < m->bounds.n && rc == TSP_OK; k++) {
        const tspi_utc_bound *b = &m->bounds.rows[k];
        if (b->row != TSPI_NONE)
            rc = tsp_solver_add_bound(solver, b->row, b->at_ns, b->lo_ns, b->hi_ns, k, err);
        if (rc != TSP_OK)
            tsp_error_note(err, "%s: line %u", m->options.bounds, b->line);
    }
    return rc;
}

unsigned tspi_mend_threads(const tspi_mend *m)
{
    long cores = m->options.threads ? (long)m->options.threads : sysconf(_SC_NPROCESSORS_ONLN);

    return cores < 1 ? 1 : cores > 64 ? 64 : (unsigned)cores;
}

void tspi_mend_answer_release(tspi_mend_answer *answer)
{
    tsp_solver_free(answer->solver);
    free(answer->clocks);
    free(answer->fed);
    free(answer->broken);
    memset(answer, 0, sizeof *answer);
}

tsp_status tspi_mend_solve(const tspi_mend *m, tspi_mend_answer *ret_answer, tsp_error *err)
{
    uint32_t n = m->causal.clocks.clocks_n;
    tsp_solver_config config = {.clocks = n,
                                .reference = m->reference,
                                .max_drift_ppm = m->options.max_drift_ppm,
                                .quorum = m->believe_all ? 1 : m->options.quorum,
                                .threads = tspi_mend_threads(m)};
    tspi_mend_answer a = {.clocks = calloc((size_t)n + 1, sizeof *a.clocks)};
    tsp_status rc =
        a.clocks ? tsp_solver_new(&config, &a.solver, err) : tsp_error_set(err, TSP_ENOMEM, "out of memory");

    if (rc == TSP_OK)
        rc = tspi_mend_feed(m, &a, err);
    if (rc == TSP_OK)
        rc = feed_bounds(m, a.solver, err);
    if (rc == TSP_OK)
        rc = tsp_solver_run(a.solver, err);
    for (uint32_t c = 0; c < n && rc == TSP_OK; c++)
        rc = tsp_solver_clock(a.solver, c, &a.clocks[c], err);
    for (size_t k = 0; k < m->bounds.n && rc == TSP_OK; k++)
        if (m->bounds.rows[k].row != TSPI_NONE) { /* each is a pair of edges to UTC, but no message */
            a.clocks[m->bounds.rows[k].row].hops_in--;
            a.clocks[m->bounds.rows[k].row].hops_out--;
        }
    if (rc == TSP_OK) {
        tsp_solver_summary(a.solver, &a.summary);
        if (m->needs_n && a.summary.contradictory)
            rc = tsp_error_set(err, TSP_EINFEASIBLE, "no clocks leave room for what is asked");
    }
    if (rc == TSP_OK)
        *ret_answer = a;
    else
        tspi_mend_answer_release(&a);
    return rc;
}

tsp_status tspi_mend_solve_whole(tspi_mend *m, tsp_error *err)
{
    tspi_mend_answer_release(&m->answer);
    m->reference = m->options.reference ? m->reference : TSP_NO_CLOCK;
    m->thinned = false;
    tspi_thin_release(&m->thin);
    free(m->needs);
    m->needs = NULL;
    m->needs_n = 0;
    return tspi_mend_solve(m, &m->answer, err);
}

/* Where a clock steps, every hop beside the step tells where it is; where stamps contradict each other, each may be the
 * one that does. */
static bool wants_all_hops(const tspi_mend *m)
{
    bool wants = m->answer.summary.contradictory;

    for (uint32_t c = 0; c < m->causal.clocks.clocks_n && !wants; c++)
        wants = m->answer.clocks[c].steps_n > 0 || m->answer.clocks[c].track->pieces > 1;
    return wants;
}

static tsp_status solve_all(tspi_mend *m, tsp_error *err)
{
    uint64_t least = m->options.thin_least ? m->options.thin_least : THIN_LEAST_HOPS;
    tsp_status rc = TSP_OK;

    if (m->options.thin && !m->options.annotate && !m->options.quorum)
        rc = tspi_thin_init(&m->thin, &m->causal, least, &m->thinned, err);
    if (rc == TSP_OK)
        rc = tspi_mend_solve(m, &m->answer, err);
    tspi_thin_forget(&m->thin);
    if (rc == TSP_OK && m->thinned && wants_all_hops(m))
        rc = tspi_mend_solve_whole(m, err);
    return rc;
}

tsp_status tspi_mend_open(tspi_mend *ret_mend, const tspi_mend_options *options, tsp_error *err)
{
    tspi_mend *m = ret_mend;

    *m = (tspi_mend){.options = *options};
    tspi_causal_options causal = {
        .clock_key = options->clock_key, .threads = options->threads, .counts = options->thin};
    tsp_status rc = read_input(m, err);

    if (rc == TSP_OK)
        rc = tspi_causal_init(&m->causal, &m->set, &causal, err);
    if (rc == TSP_OK)
        rc = tspi_clock_find_wanted(&m->causal.clocks, m->options.reference, &m->reference, err);
    if (rc == TSP_OK)
        rc = read_bounds(m, err);
    if (rc == TSP_OK)
        rc = solve_all(m, err);
    if (rc != TSP_OK)
        tspi_mend_release(m);
    return rc;
}

void tspi_mend_release(tspi_mend *m)
{
    if (!m)
        return;
    tspi_mend_answer_release(&m->answer);
    tspi_thin_release(&m->thin);
    tspi_edges_release(&m->corrected);
    tspi_utc_bounds_release(&m->bounds);
    free(m->raw);
    free(m->kept);
    free(m->quanta);
    free(m->needs);
    free(m->moves);
    free(m->touched);
    free(m->lies);
    free(m->frames);
    tspi_causal_release(&m->causal);
    tspi_read_report_release(&m->report);
    tspi_span_set_release(&m->set);
    memset(m, 0, sizeof *m);
}
