#include "causal/causal.h"

#include <string.h>

#include "causal/windows.h"

/* What a process was found to stamp in, for those who read the set's rows. */
static void note_quanta(tspi_span_set *set, const tspi_join *join)
{
    for (size_t p = 0; p < set->processes_n; p++)
        set->processes[p].quantum_ns = join->quanta[p].quantum_ns > 1 ? join->quanta[p].quantum_ns : 0;
}

tsp_status tspi_causal_init(tspi_causal *ret_causal, tspi_span_set *set, const tspi_causal_options *options,
                            tsp_error *err)
{
    tspi_causal_options none = {0};
    tspi_causal c = {0};
    options = options ? options : &none;
    tsp_status rc = tspi_clocks_identify(set, options->clock_key, &c.clocks, err);

    if (rc == TSP_OK && (rc = tspi_join_init(&c.join, set, options->threads, err)) == TSP_OK) {
        if (options->windows)
            tspi_windows_attach(options->windows, &c.join);
        note_quanta(set, &c.join);
        tspi_edges_wanted wanted = {.threads = options->threads, .counts = options->counts};
        rc = tspi_edges_measure(&c.join, c.clocks.clocks_n, &wanted, &c.edges, err);
    }
    if (rc == TSP_OK)
        rc = tspi_tokens_check(&c.join, NULL, NULL, &c.tokens, err);
    if (rc != TSP_OK) {
        tspi_causal_release(&c);
        return rc;
    }
    *ret_causal = c;
    return TSP_OK;
}

void tspi_causal_release(tspi_causal *causal)
{
    if (!causal)
        return;
    tspi_edges_release(&causal->edges);
    tspi_join_release(&causal->join);
    tspi_clock_table_release(&causal->clocks);
    memset(causal, 0, sizeof *causal);
}
