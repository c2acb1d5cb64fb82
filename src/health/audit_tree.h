/* One trace of an audit as a tree. */
#ifndef TSPI_HEALTH_AUDIT_TREE_H
#define TSPI_HEALTH_AUDIT_TREE_H

#include "health/audit_state.h"

/* A trace's id from up to 32 hex digits; else false, and zeros. */
bool tspi_audit_parse_trace(const char *text, tspi_trace_id *ret);

/* The spans of one trace as a tree. */
tsp_status tspi_audit_tree(tspi_audit *audit, const char *trace_id, tsp_error *err);

#endif
