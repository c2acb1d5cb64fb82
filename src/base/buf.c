#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/utf8.h"

void tspi_buf_release(tspi_buf *buf)
{
    free(buf->data);
    *buf = (tspi_buf){0};
}

bool tspi_buf_reserve(tspi_buf *buf, size_t extra)
{
    if (buf->failed)
        return false;
    if (extra <= buf->cap - buf->len)
        return true;
    size_t want = buf->len + extra, cap = buf->cap ? buf->cap : 256;
    if (want < buf->len)
        goto failed;
    while (cap < want)
        cap = cap > SIZE_MAX / 2 ? want : cap * 2;
    uint8_t *data = realloc(buf->data, cap);
    if (!data)
        goto failed;
    buf->data = data;
    buf->cap = cap;
    return true;
failed:
    buf->failed = true;
    return false;
}

void tspi_buf_append(tspi_buf *buf, const void *bytes, size_t len)
{
    if (!len || !tspi_buf_reserve(buf, len))
        return;
    memcpy(buf->data + buf->len, bytes, len);
    buf->len += len;
}

void tspi_buf_puts(tspi_buf *buf, const char *text)
{
    tspi_buf_append(buf, text, strlen(text));
}

void tspi_buf_putc(tspi_buf *buf, char c)
{
    tspi_buf_append(buf, &c, 1);
}

void tspi_buf_vprintf(tspi_buf *buf, const char *format, va_list args)
{
    va_list again;

    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (len < 0) {
        buf->failed = true;
        return;
    }
    if (!tspi_buf_reserve(buf, (size_t)len + 1))
        return;
    vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, args);
    buf->len += (size_t)len;
}

void tspi_buf_printf(tspi_buf *buf, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    tspi_buf_vprintf(buf, format, args);
    va_end(args);
}

void tspi_buf_json_string(tspi_buf *buf, const char *text, size_t len)
{
    const uint8_t *bytes = (const uint8_t *)text;

    tspi_buf_putc(buf, '"');
    for (size_t at = 0; at < len;) {
        uint8_t c = bytes[at];
        if (c >= 0x80) {
            size_t n = tspi_utf8_char(bytes + at, len - at);
            if (n)
                tspi_buf_append(buf, bytes + at, n);
            else
                tspi_buf_puts(buf, "\xef\xbf\xbd");
            at += n ? n : 1;
            continue;
        }
        if (c == '"' || c == '\\')
            tspi_buf_printf(buf, "\\%c", c);
        else if (c == '\n')
            tspi_buf_puts(buf, "\\n");
        else if (c < 0x20 || c == 0x7f)
            tspi_buf_printf(buf, "\\u%04x", c);
        else
            tspi_buf_putc(buf, (char)c);
        at++;
    }
    tspi_buf_putc(buf, '"');
}

/* A plain file says so before it is read. */
static bool is_larger(int fd, size_t limit_bytes)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size > limit_bytes;
}

tsp_status tspi_buf_read_file(tspi_buf *buf, const char *path, size_t limit_bytes, tsp_error *err)
{
    bool is_stdin = !strcmp(path, "-");
    int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    size_t start = buf->len;
    tsp_status rc = TSP_OK;

    if (fd < 0)
        return tsp_error_sys(err, errno, "cannot open '%s'", path);
    if (limit_bytes && is_larger(fd, limit_bytes))
        rc = tsp_error_set(err, TSP_ERANGE, "'%s' is larger than the limit of %zu bytes", path, limit_bytes);
    while (rc == TSP_OK) {
        if (!tspi_buf_reserve(buf, 64 * 1024)) {
            rc = tsp_error_set(err, TSP_ENOMEM, "'%s' does not fit in memory", path);
            break;
        }
        ssize_t n = read(fd, buf->data + buf->len, buf->cap - buf->len);
        if (n == 0)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = tsp_error_sys(err, errno, "cannot read '%s'", path);
            break;
        }
        buf->len += (size_t)n;
        if (limit_bytes && buf->len - start > limit_bytes) {
            rc = tsp_error_set(err, TSP_ERANGE, "'%s' is larger than the limit of %zu bytes", path, limit_bytes);
            break;
        }
    }
    if (!is_stdin)
        close(fd);
    return rc;
}

static tsp_status write_all(int fd, const uint8_t *bytes, size_t len, const char *path, tsp_error *err)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tsp_error_sys(err, errno, "cannot write '%s'", path);
        bytes += n;
        len -= (size_t)n;
    }
    return TSP_OK;
}

tsp_status tspi_file_begin(tspi_file *file, const char *path, tsp_error *err)
{
    struct stat st;
    bool exists = stat(path, &st) == 0;

    file->path = path;
    file->fd = -1;
    file->target = NULL;
    if (exists && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        file->fd = open(path, O_WRONLY | O_CLOEXEC);
        return file->fd < 0 ? tsp_error_sys(err, errno, "cannot write '%s'", path) : TSP_OK;
    }
    file->target = exists ? realpath(path, NULL) : strdup(path);
    if (!file->target)
        return tsp_error_sys(err, errno, "cannot write '%s'", path);
    if ((size_t)snprintf(file->aside, sizeof file->aside, "%s.part-%ld", file->target, (long)getpid()) >=
        sizeof file->aside)
        return tsp_error_set(err, TSP_EINVAL, "path too long: '%s'", path);
    file->fd = open(file->aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file->fd < 0)
        return tsp_error_sys(err, errno, "cannot create '%s'", file->aside);
    if (exists && fchmod(file->fd, st.st_mode & 07777) != 0) {
        /* Its owner is another: then it is a new file of ours, as a copy of it would be. */
    }
    return TSP_OK;
}

tsp_status tspi_file_write(tspi_file *file, const void *bytes, size_t len, tsp_error *err)
{
    return write_all(file->fd, bytes, len, file->path, err);
}

tsp_status tspi_file_end(tspi_file *file, tsp_status rc, tsp_error *err)
{
    if (file->fd >= 0) {
        if (rc == TSP_OK && file->target && fsync(file->fd) != 0)
            rc = tsp_error_sys(err, errno, "cannot write '%s'", file->path);
        if (close(file->fd) != 0 && rc == TSP_OK)
            rc = tsp_error_sys(err, errno, "cannot write '%s'", file->path);
        if (rc == TSP_OK && file->target && rename(file->aside, file->target) != 0)
            rc = tsp_error_sys(err, errno, "cannot rename '%s' to '%s'", file->aside, file->target);
        if (rc != TSP_OK && file->target)
            unlink(file->aside);
    }
    file->fd = -1;
    free(file->target);
    file->target = NULL;
    return rc;
}

tsp_status tspi_file_replace(const char *path, const void *bytes, size_t len, tsp_error *err)
{
    tspi_file file;
    tsp_status rc = tspi_file_begin(&file, path, err);

    if (rc == TSP_OK)
        rc = tspi_file_write(&file, bytes, len, err);
    return tspi_file_end(&file, rc, err);
}
