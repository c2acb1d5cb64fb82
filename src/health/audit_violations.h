/* The violations of an audit, once its evidence stands. */
#ifndef TSPI_HEALTH_AUDIT_VIOLATIONS_H
#define TSPI_HEALTH_AUDIT_VIOLATIONS_H

#include "health/audit_state.h"

/* Violations, one by one: counts by kind and cause, and the worst of them as examples. */
tsp_status tspi_audit_violations(tspi_audit *audit, tsp_error *err);

#endif
