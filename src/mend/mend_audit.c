/* What is still violated once it is written: an audit of the corrected rows. */
#include "causal/quantum.h"
#include "mend/correct.h"

/* How coarsely each process stamps, by the stamps that stand in the set now. */
static tsp_status find_quanta(tspi_mend *m, tsp_error *err)
{
    const tspi_join *join = &m->causal.join;
    tspi_quantum_finder finder;

    if (tspi_quantum_finder_init(&finder, m->set.processes_n) != TSP_OK)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory");
    for (size_t k = 0; k < m->set.spans_n; k++) {
        const tspi_span *span = &m->set.spans[k];
        uint32_t parent = join->parent[k];
        tspi_quantum_add(&finder, span, parent == TSPI_NONE || m->set.spans[parent].process != span->process);
    }
    tspi_quantum_finish(&finder, join->quanta);
    tspi_quantum_finder_release(&finder);
    return TSP_OK;
}

void tspi_mend_count(const tspi_causal *causal, tspi_mend_violations *ret)
{
    *ret = (tspi_mend_violations){.token_order = causal->tokens.anomalies};
    for (size_t k = 0; k < causal->edges.edges_n; k++) {
        ret->hard += causal->edges.edges[k].hard_violations;
        ret->soft += causal->edges.edges[k].soft_violations;
    }
    for (uint32_t c = 0; c < causal->clocks.clocks_n; c++) {
        const tspi_clock_stats *stats = &causal->edges.stats[c];
        ret->same_clock += stats->hard_violations + stats->soft_violations;
        ret->negative_duration += stats->negative_durations;
    }
    ret->total = ret->hard + ret->soft + ret->same_clock + ret->negative_duration + ret->token_order;
}

/* As check would, of what is going to be written. */
tsp_status tspi_mend_audit(tspi_mend *m, tspi_mend_violations *ret, tsp_error *err)
{
    tspi_causal *causal = &m->causal;
    tspi_edges edges;
    tsp_status rc = find_quanta(m, err);

    if (rc == TSP_OK)
        rc = tspi_edges_measure(&causal->join, causal->clocks.clocks_n, m->options.threads, &edges, err);
    if (rc != TSP_OK)
        return rc;
    tspi_edges_release(&causal->edges);
    causal->edges = edges;
    rc = tspi_tokens_check(&causal->join, NULL, NULL, &causal->tokens, err);
    if (rc == TSP_OK)
        tspi_mend_count(causal, ret);
    return rc;
}
