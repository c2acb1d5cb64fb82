/* From inputs to a page: what `report`, `lab`, `sim` and `check --html` share. */
#ifndef TSPI_CLI_REPORT_MAKE_H
#define TSPI_CLI_REPORT_MAKE_H

#include "base/buf.h"
#include "mend/mend.h"
#include "truespan/check.h"

/* read: as for `truespan clocks`; its paths may also be folders that a lab left, or "-"
 * mend: NULL, or what has been read and solved already, which becomes the page's one audit; it is corrected afterwards
 * solve: when the audit asks the solver, as in tsp_check_options
 * spans, track_spans: that the page and the tracks carry at most, shared by the points of a sweep; 0 = all
 * title: NULL = the names of the paths */
typedef struct {
    tspi_mend_options read;
    tspi_mend *mend;
    tsp_check_solve solve;
    uint64_t spans, track_spans;
    const char *title;
} report_request;

enum { REPORT_SPANS = 60000, REPORT_TRACK_SPANS = 200000 };

/* Read everything, once, and append the page, and the same as tracks for Perfetto; either may be NULL. ret_found: a
 * violation was found. Errors: those of reading; TSP_EPARSE: a run's summary or truth is none; TSP_EINVAL: tracks of
 * more than one input; TSP_ENOMEM. */
tsp_status report_make(const report_request *request, tspi_buf *page, tspi_buf *tracks, bool *ret_found,
                       tsp_error *err);

/* Bytes into a file; "-" = standard output. */
tsp_status report_put(const tspi_buf *bytes, const char *path, tsp_error *err);

/* The page, into a file; "-" = standard output. */
tsp_status report_write(const report_request *request, const char *path, tsp_error *err);

/* The page of a lab's folder, into FOLDER/report.html. */
tsp_status report_write_run(const char *folder, tsp_error *err);

#endif
