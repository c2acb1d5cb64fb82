#include "lab/append.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

tsp_status tspi_append_open(const char *path, int *ret_fd, tsp_error *err)
{
    *ret_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return *ret_fd < 0 ? tsp_error_sys(err, errno, "cannot open '%s'", path) : TSP_OK;
}

tsp_status tspi_append(int fd, const char *path, const tspi_buf *buf, tsp_error *err)
{
    size_t done = 0;

    while (done < buf->len) {
        ssize_t n = write(fd, buf->data + done, buf->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return tsp_error_sys(err, errno, "cannot write '%s'", path);
        done += (size_t)n;
    }
    return TSP_OK;
}

tsp_status tspi_append_close(const char *path, int *fd, tsp_error *err)
{
    int failed = *fd >= 0 ? close(*fd) : 0;

    *fd = -1;
    return failed ? tsp_error_sys(err, errno, "cannot write '%s'", path) : TSP_OK;
}

tsp_status tspi_append_to(const char *path, const tspi_buf *buf, tsp_error *err)
{
    int fd = -1;
    tsp_status rc = tspi_append_open(path, &fd, err);

    if (rc == TSP_OK)
        rc = tspi_append(fd, path, buf, err);
    tsp_status closed = tspi_append_close(path, &fd, rc == TSP_OK ? err : NULL);
    return rc == TSP_OK ? closed : rc;
}
