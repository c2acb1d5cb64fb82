/* Durations as people write them: a number and a unit. */
#ifndef TSPI_BASE_DURATION_H
#define TSPI_BASE_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "5ms", "250us", "-1.5s", "2h" (units ns us µs ms s m min h d; fractions are exact to the ns). false: no number, no
 * unit ("0" alone is refused too: a plain number has no meaning here), or beyond int64_t ns. */
bool tspi_duration_parse(const char *text, int64_t *ret_ns);

/* The shortest text that tspi_duration_parse reads back exactly: "5ms", "1.5s", "0ms". size >= 32 is enough. */
void tspi_duration_format(int64_t ns, char *ret_text, size_t size);

#endif
