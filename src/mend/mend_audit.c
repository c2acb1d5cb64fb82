/* What is still violated once it is written: an audit of the corrected rows. */
#include <stdlib.h>

#include "causal/quantum.h"
#include "mend/correct.h"

/* Parents lie anywhere in the input: ask for them some spans ahead. */
#define AHEAD 24

/* How coarsely each process stamps that may have moved, by the stamps that stand in the set now. */
static tsp_status find_quanta(tspi_mend *m, bool clamped, tsp_error *err)
{
    const tspi_join *join = &m->causal.join;
    tspi_quantum_finder finder;
    tspi_quantum *now = malloc((m->set.processes_n + 1) * sizeof *now);

    if (!now || tspi_quantum_finder_init(&finder, m->set.processes_n) != TSP_OK) {
        free(now);
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    }
    size_t n = m->set.spans_n;
    for (size_t k = tspi_bits_next(m->kept, 0, n); k < n; k = tspi_bits_next(m->kept, k + 1, n)) {
        const tspi_span *span = &m->set.spans[k];
        uint32_t parent = join->parent[k];
        if (k + AHEAD < n && join->parent[k + AHEAD] != TSPI_NONE)
            __builtin_prefetch(&m->set.spans[join->parent[k + AHEAD]].process);
        tspi_quantum_add(&finder, span, parent == TSPI_NONE || m->set.spans[parent].process != span->process);
    }
    tspi_quantum_finish(&finder, now);
    for (size_t p = 0; p < m->set.processes_n; p++)
        if (clamped || m->moves[m->set.processes[p].clock])
            join->quanta[p] = now[p];
    tspi_quantum_finder_release(&finder);
    free(now);
    return TSP_OK;
}

static void count_edge(const tspi_edge *edge, tspi_mend_violations *ret)
{
    ret->hard += edge->hard_violations;
    ret->soft += edge->soft_violations;
}

static void count_clock(const tspi_clock_stats *stats, tspi_mend_violations *ret)
{
    ret->same_clock += stats->hard_violations + stats->soft_violations;
    ret->negative_duration += stats->negative_durations;
}

/* As measured; without: of what touches none of these clocks. */
static void count(const tspi_edges *edges, const uint8_t *without, tspi_mend_violations *ret)
{
    for (size_t k = 0; k < edges->edges_n; k++)
        if (!without || !(without[edges->edges[k].from] | without[edges->edges[k].to]))
            count_edge(&edges->edges[k], ret);
    for (uint32_t c = 0; c < edges->clocks_n; c++)
        if (!without || !without[c])
            count_clock(&edges->stats[c], ret);
}

static void sum(tspi_mend_violations *ret)
{
    ret->total = ret->hard + ret->soft + ret->same_clock + ret->negative_duration + ret->token_order;
}

void tspi_mend_count(const tspi_causal *causal, tspi_mend_violations *ret)
{
    *ret = (tspi_mend_violations){.token_order = causal->tokens.anomalies};
    count(&causal->edges, NULL, ret);
    sum(ret);
}

/* As check would, of what is going to be written: what touches no clock that moved is as it was. */
tsp_status tspi_mend_audit(tspi_mend *m, bool clamped, tspi_mend_violations *ret, tsp_error *err)
{
    tspi_causal *causal = &m->causal;
    const uint8_t *moved = clamped ? NULL : m->moves;
    tspi_edges_wanted wanted = {.rows = clamped ? NULL : m->kept, .counts = true, .threads = m->options.threads};
    tspi_edges edges;
    tsp_status rc = find_quanta(m, clamped, err);

    if (rc == TSP_OK)
        rc = tspi_edges_measure(&causal->join, causal->clocks.clocks_n, &wanted, &edges, err);
    if (rc != TSP_OK)
        return rc;
    tspi_edges_release(&m->corrected);
    m->corrected = edges;
    rc = tspi_tokens_check(&causal->join, NULL, NULL, &causal->tokens, err);
    if (rc != TSP_OK)
        return rc;
    *ret = (tspi_mend_violations){.token_order = causal->tokens.anomalies};
    count(&m->corrected, NULL, ret);
    if (moved)
        count(&causal->edges, moved, ret);
    sum(ret);
    return TSP_OK;
}
