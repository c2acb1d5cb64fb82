/* One audit of a page: traces that belong together, read once and solved once, as JSON and as tracks. */
#ifndef TSPI_CLI_REPORT_AUDIT_H
#define TSPI_CLI_REPORT_AUDIT_H

#include "base/buf.h"
#include "mend/mend.h"
#include "truespan/check.h"

/* solve    when the audit asks the solver, as in tsp_check_options
 * name     what the page calls it
 * truth    truth.jsonl of a lab; NULL = none
 * lab, run rows of the page's labs and of that lab's runs; -1 = none
 * spans, track_spans  that the page and the tracks carry at most; 0 = all */
typedef struct {
    tsp_check_solve solve;
    const char *name, *truth;
    int64_t lab, run;
    uint64_t spans, track_spans;
} report_audit;

/* What a page has of an audit: its answers, and its traces apart, as web/README.md describes both. */
typedef struct {
    tspi_buf data, traces; /* owned */
} report_part;

void report_part_release(report_part *part);

/* mend: read and solved, not corrected yet; it is afterwards. Fill part, which is zero, and append tracks for Perfetto;
 * either may be NULL. ret_violations: how many were found. Errors: TSP_EPARSE: the truth is none; TSP_ENOMEM. */
tsp_status report_audit_put(const report_audit *audit, tspi_mend *mend, report_part *part, tspi_buf *tracks,
                            uint64_t *ret_violations, tsp_error *err);

#endif
