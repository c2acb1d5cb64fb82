/* Values of a spec as YAML. */
#ifndef TSPI_LAB_SPEC_TEXT_H
#define TSPI_LAB_SPEC_TEXT_H

#include "base/buf.h"

/* "key: 5ms", without the line's end. */
void tspi_spec_put_duration_value(tspi_buf *out, const char *key, int64_t ns);
/* Each a line. key includes what indents it. */
void tspi_spec_put_text(tspi_buf *out, const char *key, const char *text);    /* quoted; NULL: nothing */
void tspi_spec_put_item(tspi_buf *out, const char *indent, const char *text); /* of a list; quoted */
void tspi_spec_put_real(tspi_buf *out, const char *key, double value);        /* reads back as the same number */

#endif
