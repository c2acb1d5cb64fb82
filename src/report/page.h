/* One self-contained page: styles, scripts and data inline, and a Content-Security-Policy under which nothing can be
 * loaded, sent or run that is not in the file. */
#ifndef TSPI_REPORT_PAGE_H
#define TSPI_REPORT_PAGE_H

#include "base/buf.h"

/* title: plain text. data: one JSON value, as web/README.md describes it; whatever stands in its strings stays text.
 * Appends the page. Errors: TSP_ENOMEM. */
tsp_status tspi_page_write(const char *title, const tspi_buf *data, tspi_buf *out, tsp_error *err);

#endif
