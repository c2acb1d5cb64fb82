/* Rounding undone. The solver counts in ns and grants each receiver the coarseness of its stamps; what is written is
 * rounded to the format's units, and a coarse process that was moved no longer looks coarse. Where that breaks a hop
 * which the solver had mended, the solver is asked for so much more room there. The same for hops that it does not
 * count (answers without a quorum) but that were whole before: a correction must not break what was whole. */
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "causal/quantum.h"
#include "mend/mend.h"

const tspi_mend_need *tspi_mend_need_of(const tspi_mend *m, uint64_t tag)
{
    size_t lo = 0, hi = m->needs_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (m->needs[mid].tag < tag)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < m->needs_n && m->needs[lo].tag == tag ? &m->needs[lo] : NULL;
}

static bool is_lie(const tspi_mend *m, uint64_t tag)
{
    size_t lo = 0, hi = m->lies_n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (m->lies[mid] < tag)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < m->lies_n && m->lies[lo] == tag;
}

/* Before anything moved. */
static bool was_broken(const tspi_mend *m, const tspi_hop *hop)
{
    const tspi_mend_stamps from = tspi_mend_raw(m, hop->from_span), to = tspi_mend_raw(m, hop->to_span);
    bool reply = hop->relation == TSPI_HOP_REPLY, to_end = reply || hop->relation == TSPI_HOP_RECEIVE;
    int64_t sent = reply ? from.end_ns : from.start_ns, received = to_end ? to.end_ns : to.start_ns;

    return sent - received >= tspi_quantum_allowance(&m->quanta[m->set.spans[hop->to_span].process], to_end);
}

typedef struct {
    tspi_mend *mend;
    tspi_mend_need *more; /* owned */
    size_t n, cap;
} search;

#define UNIT_NS 1000 /* what rounding to the coarsest format can cost */

static tsp_status look(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    search *s = ctx;
    const tspi_mend *m = s->mend;

    for (size_t k = 0; k < n; k++) {
        const tspi_hop *hop = &hops[k];
        if (hop->same_clock || !tspi_hop_is_violation(hop) || !(m->moves[hop->from_clock] || m->moves[hop->to_clock]))
            continue;
        bool uncounted = is_lie(m, tspi_mend_tag(hop));
        bool is_end = hop->relation == TSPI_HOP_REPLY || hop->relation == TSPI_HOP_RECEIVE;
        int64_t quantum = tspi_quantum_allowance(&m->quanta[m->set.spans[hop->to_span].process], is_end) - 1;
        if (uncounted && was_broken(m, hop) && hop->sent_ns - hop->received_ns > quantum) {
            s->mend->true_lies++; /* broken before and after, by more than coarse stamps excuse */
            continue;
        }
        tspi_mend_need *more = tspi_grown(s->more, s->n, &s->cap, sizeof *more);
        if (!more)
            return tsp_error_set(err, TSP_ENOMEM, "out of memory");
        s->more = more;
        const tspi_mend_need *had = tspi_mend_need_of(m, tspi_mend_tag(hop));
        tspi_mend_need need = {tspi_mend_tag(hop), quantum, uncounted};
        if (had || quantum <= 0)
            need.need_ns = (had ? had->need_ns : 0) + hop->sent_ns - hop->received_ns + UNIT_NS;
        s->more[s->n++] = need;
    }
    return TSP_OK;
}

static int by_tag(const void *a, const void *b)
{
    const tspi_mend_need *x = a, *y = b;

    return (x->tag > y->tag) - (x->tag < y->tag);
}

static tsp_status merge(tspi_mend *m, const search *s, tsp_error *err)
{
    size_t known = m->needs_n;
    tspi_mend_need *grown = realloc(m->needs, (known + s->n) * sizeof *grown);

    if (!grown)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    m->needs = grown;
    for (size_t k = 0; k < s->n; k++) {
        tspi_mend_need *old = NULL;
        if (known)
            old = bsearch(&s->more[k], m->needs, known, sizeof *grown, by_tag);
        if (old)
            *old = s->more[k];
        else
            m->needs[m->needs_n++] = s->more[k];
    }
    qsort(m->needs, m->needs_n, sizeof *m->needs, by_tag);
    return TSP_OK;
}

tsp_status tspi_mend_find_needs(tspi_mend *m, bool *ret_more, tsp_error *err)
{
    search s = {.mend = m};
    m->true_lies = 0;
    tsp_status rc = tspi_hops_scan(&m->causal.join, look, &s, err);

    if (rc == TSP_OK && s.n)
        rc = merge(m, &s, err);
    *ret_more = s.n > 0;
    free(s.more);
    return rc;
}

static tsp_status look_for_unexplained(void *ctx, const tspi_hop *hops, size_t n, tsp_error *err)
{
    search *s = ctx;

    (void)err;
    for (size_t k = 0; k < n; k++)
        s->n += !hops[k].same_clock && tspi_hop_is_violation(&hops[k]) && !is_lie(s->mend, tspi_mend_tag(&hops[k]));
    return TSP_OK;
}

tsp_status tspi_mend_is_explained(tspi_mend *m, bool *ret_explained, tsp_error *err)
{
    search s = {.mend = m};
    tsp_status rc = tspi_hops_scan(&m->causal.join, look_for_unexplained, &s, err);

    *ret_explained = s.n == 0;
    return rc;
}
