/* One self-contained page: styles, scripts and data inline, and a Content-Security-Policy under which nothing can be
 * loaded, sent or run that is not in the file. */
#ifndef TSPI_REPORT_PAGE_H
#define TSPI_REPORT_PAGE_H

#include "base/buf.h"

/* One JSON value as an element that the page's script reads by its id ("NAME-NUMBER") when it wants it. Whatever stands
 * in its strings stays text. */
void tspi_page_put_json(tspi_buf *out, const char *name, size_t number, const tspi_buf *json);

/* Base64 likewise. */
void tspi_page_put_base64(tspi_buf *out, const char *name, size_t number, const tspi_buf *base64);

/* title: plain text. first, rest: elements of data, as web/README.md describes them; the script runs between the two,
 * so that the page is drawn before the bulk of it has been read. Appends the page. Errors: TSP_ENOMEM. */
tsp_status tspi_page_write(const char *title, const tspi_buf *first, const tspi_buf *rest, tspi_buf *out,
                           tsp_error *err);

#endif
