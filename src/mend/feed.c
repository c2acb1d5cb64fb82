/* Hops into a solver. */
#include <stdlib.h>

#include "base/grow.h"
#include "mend/mend.h"

#define QUANTUM_MOST_NS (4 * TSP_NS_PER_S) /* what the solver takes */

/* Of the few hops that are given, spans lie far apart: they are asked for so many ahead. */
#define AHEAD 16

typedef struct {
    const tspi_mend *mend;
    tspi_mend_answer *answer;
    uint64_t seen; /* hops in range so far */
    size_t broken_cap;
    tsp_hop run[TSPI_HOP_RUN];
    size_t n;
} feeder;

static const uint32_t *operation_of(const tspi_hop *hop)
{
    return &hop->set->spans[hop->relation == TSPI_HOP_REPLY ? hop->from_span : hop->to_span].name;
}

/* check calls it a violation when received + allowance <= sent; the solver, when received + quantum < sent. */
tsp_hop tspi_mend_hop(const tspi_hop *hop, uint64_t tag)
{
    int64_t quantum = hop->allowance_ns > 1 ? hop->allowance_ns - 1 : 0;

    return (tsp_hop){.from = hop->from_clock,
                     .to = hop->to_clock,
                     .sent_ns = hop->sent_ns,
                     .received_ns = hop->received_ns,
                     .quantum_ns = quantum < QUANTUM_MOST_NS ? quantum : QUANTUM_MOST_NS,
                     .tag = tag,
                     .operation = *operation_of(hop),
                     .kind = hop->kind == TSPI_HOP_SOFT ? TSP_HOP_SOFT : TSP_HOP_HARD};
}

/* A need first takes the quantum away, then makes the message seem to have come earlier than it did. */
static tsp_hop translate(const tspi_mend *m, const tspi_hop *hop)
{
    tsp_hop told = tspi_mend_hop(hop, tspi_mend_tag(hop));
    const tspi_mend_need *need = m->needs_n ? tspi_mend_need_of(m, told.tag) : NULL;

    if (need) {
        int64_t taken = need->need_ns < told.quantum_ns ? need->need_ns : told.quantum_ns;
        told.quantum_ns -= taken;
        told.received_ns -= need->need_ns - taken;
        if (need->hard)
            told.kind = TSP_HOP_HARD;
    }
    return told;
}

static tsp_status flush(feeder *f, tsp_error *err)
{
    size_t n = f->n;

    f->n = 0;
    return tsp_solver_add_hops(f->answer->solver, f->run, n, err);
}

static bool note_broken(feeder *f, const tspi_hop *hop)
{
    tspi_mend_answer *a = f->answer;

    tspi_mend_broken *broken = tspi_grown(a->broken, a->broken_n, &f->broken_cap, sizeof *broken);

    if (!broken)
        return false;
    a->broken = broken;
    a->broken[a->broken_n++] = (tspi_mend_broken){(size_t)a->hops_fed, hop->from_clock};
    return true;
}

static tsp_status give(feeder *f, const tspi_hop *hop, tsp_error *err)
{
    if (!hop->same_clock && tspi_hop_is_violation(hop) && !note_broken(f, hop))
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    f->run[f->n++] = translate(f->mend, hop);
    f->answer->hops_fed++;
    return f->n == TSPI_HOP_RUN ? flush(f, err) : TSP_OK;
}

/* What was found broken although it was not given is given from then on. */
static bool is_wanted(const feeder *f, const tspi_hop *hop)
{
    const tspi_mend *m = f->mend;

    return !f->answer->fed || tspi_thin_wants(&m->thin, hop) ||
           (m->needs_n && tspi_mend_need_of(m, tspi_mend_tag(hop)));
}

static tsp_status feed(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    feeder *f = ctx;
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < n && rc == TSP_OK; k++) {
        if (!tspi_mend_in_range(&hops[k])) {
            f->answer->hops_out_of_range++;
            continue;
        }
        if (is_wanted(f, &hops[k])) {
            if (f->answer->fed)
                tspi_bits_add(f->answer->fed, f->seen);
            rc = give(f, &hops[k], err);
        }
        f->seen++;
    }
    return rc;
}

/* All that is wanted is among what thin's survey noted. */
static tsp_status feed_noted(feeder *f, tsp_error *err)
{
    const tspi_thin *thin = &f->mend->thin;
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < thin->noted_n && rc == TSP_OK; k++) {
        if (k + AHEAD < thin->noted_n)
            __builtin_prefetch(operation_of(&thin->noted[k + AHEAD].hop));
        if (tspi_thin_wants_noted(thin, &thin->noted[k])) {
            tspi_bits_add(f->answer->fed, thin->noted[k].place);
            rc = give(f, &thin->noted[k].hop, err);
        }
    }
    f->answer->hops_out_of_range = thin->out_of_range;
    return rc;
}

tsp_status tspi_mend_feed(const tspi_mend *m, tspi_mend_answer *answer, tsp_error *err)
{
    feeder f = {.mend = m, .answer = answer};
    tsp_status rc;

    if (m->thinned) { /* a span has two hops at most, a link one */
        answer->fed = calloc(tspi_bits_words(2 * m->set.spans_n + m->set.links_n), sizeof *answer->fed);
        if (!answer->fed)
            return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    }
    if (m->thinned && m->thin.noted && !m->needs_n)
        rc = feed_noted(&f, err);
    else
        rc = (m->thinned ? tspi_hops_scan_lean : tspi_hops_scan)(&m->causal.join, feed, &f, err);
    return rc == TSP_OK ? flush(&f, err) : rc;
}
