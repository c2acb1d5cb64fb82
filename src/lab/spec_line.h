/* Where a key stands in a YAML text, for messages. */
#ifndef TSPI_LAB_SPEC_LINE_H
#define TSPI_LAB_SPEC_LINE_H

#include <stddef.h>

/* Line, counted from 1, of the value at a path such as "link.delay" or "stages[2].to"; 0 when it is not there. */
size_t tspi_spec_line(const char *text, size_t len, const char *path);

#endif
