/* Traces as Chrome's trace events in JSON, which Perfetto and chrome://tracing open: a process named "as stamped" and
 * one named "corrected", in each a track a clock (more where spans overlap without nesting), and an arrow a hop.
 *
 * Times are microseconds after the first stamp of all, with three digits for the nanoseconds; "otherData" says when
 * that was. The viewers follow an arrow forward in time only: that of a violated hop starts at the receiver, its
 * category is "violation", and its name says by how much. An empty span is drawn as 1 ns, one that ends before it
 * starts likewise; "args" has the stamps as they are. */
#ifndef TSPI_REPORT_PERFETTO_H
#define TSPI_REPORT_PERFETTO_H

#include "report/trace_pick.h"

/* After tspi_mend_correct. Appends the file. Errors: TSP_ENOMEM. */
tsp_status tspi_perfetto_write(const tspi_mend *mend, const tspi_pick *pick, tspi_buf *out, tsp_error *err);

#endif
