/* What a person should know and do. */
#ifndef TSPI_HEALTH_AUDIT_ADVICE_H
#define TSPI_HEALTH_AUDIT_ADVICE_H

#include "health/audit_state.h"

/* Sentences for people. */
tsp_status tspi_audit_advise(tspi_audit *audit, tsp_error *err);

/* Those of edges, audit_advice_edges.c. */
void tspi_audit_advise_edges(tspi_audit *audit);

#endif
