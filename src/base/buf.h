/* A growing run of bytes. A failed append sticks: check once at the end with tspi_buf_ok. */
#ifndef TSPI_BASE_BUF_H
#define TSPI_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "truespan/base.h"

/* Zero it to initialise. data is owned and not NUL-terminated. */
typedef struct {
    uint8_t *data;
    size_t len, cap;
    bool failed;
} tspi_buf;

void tspi_buf_release(tspi_buf *buf);
static inline void tspi_buf_clear(tspi_buf *buf)
{
    buf->len = 0;
}
static inline bool tspi_buf_ok(const tspi_buf *buf)
{
    return !buf->failed;
}

/* Make room for extra more bytes; false when memory is exhausted (and the buffer has failed). */
bool tspi_buf_reserve(tspi_buf *buf, size_t extra);
void tspi_buf_append(tspi_buf *buf, const void *bytes, size_t len);
void tspi_buf_puts(tspi_buf *buf, const char *text);
void tspi_buf_putc(tspi_buf *buf, char c);
void tspi_buf_printf(tspi_buf *buf, const char *format, ...) TSP_PRINTF(2, 3);
void tspi_buf_vprintf(tspi_buf *buf, const char *format, va_list args);

/* text as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD (RFC 8259 allows only UTF-8). */
void tspi_buf_json_string(tspi_buf *buf, const char *text, size_t len);

/* The whole of a file (or of standard input when path is "-"), appended. limit_bytes: 0 = none. */
tsp_status tspi_buf_read_file(tspi_buf *buf, const char *path, size_t limit_bytes, tsp_error *err);

/* A file that is written aside, in parts. path is borrowed until the end. A file that stands there already keeps its
 * mode, and a link to it goes on leading to it. What is no file (a device, a pipe) is written to as it is. */
typedef struct {
    const char *path;
    int fd;       /* -1: not open */
    char *target; /* owned: the file to be replaced, links followed; NULL: path is no file */
    char aside[4096];
} tspi_file;
tsp_status tspi_file_begin(tspi_file *file, const char *path, tsp_error *err);
tsp_status tspi_file_write(tspi_file *file, const void *bytes, size_t len, tsp_error *err);
/* fsync and rename if rc is TSP_OK, else remove; also after a begin that failed. Returns what came of it. */
tsp_status tspi_file_end(tspi_file *file, tsp_status rc, tsp_error *err);

/* Write aside, fsync, rename: path holds either its old content or all of the new one. */
tsp_status tspi_file_replace(const char *path, const void *bytes, size_t len, tsp_error *err);

#endif
