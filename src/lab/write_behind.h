/* Writing files while the work goes on: one thread of its own appends what it is given, in the order it was given. For
 * the simulator, where writing costs as much as simulating. */
#ifndef TSPI_LAB_WRITE_BEHIND_H
#define TSPI_LAB_WRITE_BEHIND_H

#include "base/buf.h"

typedef struct tspi_write_behind tspi_write_behind;

/* NULL: no memory, or no thread. */
tspi_write_behind *tspi_write_behind_new(void);
/* Waits for what is under way; NULL is fine. */
void tspi_write_behind_free(tspi_write_behind *writer);

/* Append what buf holds to the file at path, some time later; buf is empty afterwards and may be another memory. Waits
 * while much is unwritten. */
tsp_status tspi_write_behind_put(tspi_write_behind *writer, const char *path, tspi_buf *buf, tsp_error *err);

/* Wait until all is written. The first failure since the last drain, if there was one. */
tsp_status tspi_write_behind_drain(tspi_write_behind *writer, tsp_error *err);

#endif
