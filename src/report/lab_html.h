/* An experiment as one self-contained HTML page: no scripts, nothing loaded from elsewhere. */
#ifndef TSPI_REPORT_LAB_HTML_H
#define TSPI_REPORT_LAB_HTML_H

#include "base/buf.h"
#include "lab/lab_result.h"
#include "lab/spec.h"

void tspi_lab_html(const tspi_spec *spec, const tspi_lab_result *result, tspi_buf *out);

#endif
