/* What a person should know and do. */
#ifndef TSPI_HEALTH_AUDIT_ADVICE_H
#define TSPI_HEALTH_AUDIT_ADVICE_H

#include "health/audit_state.h"

/* Sentences for people. */
tsp_status tspi_audit_advise(tspi_audit *audit, tsp_error *err);

/* Whether there may be pairs: what no accused clock explains. */
bool tspi_audit_may_find_pairs(const tspi_mend *mend);
/* Before it: pairs that are surely apart, audit_pairs.c. */
tsp_status tspi_audit_find_pairs(tspi_audit *audit);
/* Of an edge's requests too many are violated for chance, and nobody is accused. */
bool tspi_audit_is_undecided(const tspi_audit *audit, size_t edge);
/* Nearly all of them are. */
bool tspi_audit_is_shifted(const tspi_audit *audit, size_t edge);
/* And nearly all the other way, too: the edge's row; else NULL. */
const tspi_edge *tspi_audit_contradicts(const tspi_audit *audit, size_t edge);

/* Those of edges, audit_advice_edges.c. */
void tspi_audit_advise_edges(tspi_audit *audit);

#endif
