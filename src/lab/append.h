/* Bytes behind a file's end. */
#ifndef TSPI_LAB_APPEND_H
#define TSPI_LAB_APPEND_H

#include "base/buf.h"

/* Open for appending; made where it is not there. */
tsp_status tspi_append_open(const char *path, int *ret_fd, tsp_error *err);
/* All of buf; path is for messages. */
tsp_status tspi_append(int fd, const char *path, const tspi_buf *buf, tsp_error *err);
/* Sets *fd to -1; -1 is fine. */
tsp_status tspi_append_close(const char *path, int *fd, tsp_error *err);
/* All three. */
tsp_status tspi_append_to(const char *path, const tspi_buf *buf, tsp_error *err);

#endif
