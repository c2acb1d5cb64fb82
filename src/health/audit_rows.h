/* Totals, edges and clocks of an audit as rows of its result. */
#ifndef TSPI_HEALTH_AUDIT_ROWS_H
#define TSPI_HEALTH_AUDIT_ROWS_H

#include "health/audit_state.h"

/* Names and totals: what the other rows stand on. TSP_ENOMEM. */
tsp_status tspi_audit_totals(tspi_audit *audit);

/* Edges, the worst first, and clocks. Violations have been counted. TSP_ENOMEM. */
tsp_status tspi_audit_edges_and_clocks(tspi_audit *audit);

#endif
