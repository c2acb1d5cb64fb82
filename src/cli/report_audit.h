/* One audit of a page: traces that belong together, read once and solved once, as JSON and as tracks. */
#ifndef TSPI_CLI_REPORT_AUDIT_H
#define TSPI_CLI_REPORT_AUDIT_H

#include "base/buf.h"
#include "mend/mend.h"

/* read     its paths are the traces
 * name     what the page calls it
 * truth    truth.jsonl of a lab; NULL = none
 * lab, run rows of the page's labs and of that lab's runs; -1 = none
 * spans, track_spans  that the page and the tracks carry at most; 0 = all */
typedef struct {
    tspi_mend_options read;
    const char *name, *truth;
    int64_t lab, run;
    uint64_t spans, track_spans;
} report_audit;

/* Append the audit to page as web/README.md describes it, and its tracks for Perfetto; either may be NULL. ret_found: a
 * violation was found. Errors: those of reading and solving; TSP_EPARSE: the truth is none; TSP_ENOMEM. */
tsp_status report_audit_put(const report_audit *audit, tspi_buf *page, tspi_buf *tracks, bool *ret_found,
                            tsp_error *err);

#endif
