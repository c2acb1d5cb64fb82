/* What a lab knows and no analysis reads: how far each clock really was off, from the truth.jsonl of a point's folder,
 * for a page to draw beside the estimate. */
#ifndef TSPI_REPORT_TRUTH_SERIES_H
#define TSPI_REPORT_TRUTH_SERIES_H

#include "mend/mend.h"

/* Appends [{"clock": NAME, "points": [[AT, OFFSET_NS], ...]}, ...]: at most 400 points a clock, AT (Unix ns, as text)
 * read on that clock, the offset against the reference of the clock's group. path: the file; when there is none,
 * appends null. Before tspi_mend_correct or after.
 * Errors: TSP_EPARSE: a line that is none (message: its byte); TSP_EIO, TSP_ENOMEM. */
tsp_status tspi_put_truth(const tspi_mend *mend, const char *path, tspi_buf *out, tsp_error *err);

#endif
