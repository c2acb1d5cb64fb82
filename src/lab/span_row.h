/* Spans that are written later: kept whole in a buffer, one behind another, with what they borrow. */
#ifndef TSPI_LAB_SPAN_ROW_H
#define TSPI_LAB_SPAN_ROW_H

#include "lab/span_json.h"

/* Append span; a failure sticks to rows. Its sort and its attributes' keys stay borrowed, names and texts are copied.
 */
void tspi_span_row_keep(tspi_buf *rows, const tspi_lab_span *span);

/* The span at *at, which moves behind it; NULL at the end. Each row once: what it borrowed is found in place. The rows
 * of attributes behind attributes_n are not there. */
const tspi_lab_span *tspi_span_row_next(tspi_buf *rows, size_t *at);

#endif
