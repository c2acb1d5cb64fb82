/* Files, folders and standard input. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/wire_scan.h"

/* A file's bytes: mapped when it is a plain file, else read. */
struct bytes {
    const uint8_t *at;
    size_t len;
    void *map; /* NULL = in buf */
    tspi_buf buf;
};

static void bytes_release(struct bytes *bytes)
{
    if (bytes->map)
        munmap(bytes->map, bytes->len);
    tspi_buf_release(&bytes->buf);
}

static tsp_status bytes_load(const char *path, struct bytes *ret, tsp_error *err)
{
    struct stat st;

    *ret = (struct bytes){0};
    if (strcmp(path, "-") != 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return tsp_error_sys(err, errno, "cannot open '%s'", path);
        void *map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        close(fd);
        if (map != MAP_FAILED) {
            madvise(map, (size_t)st.st_size, MADV_SEQUENTIAL);
            ret->map = map;
            ret->at = map;
            ret->len = (size_t)st.st_size;
            return TSP_OK;
        }
    }
    tsp_status rc = tspi_buf_read_file(&ret->buf, path, 0, err);
    ret->at = ret->buf.data;
    ret->len = ret->buf.len;
    return rc;
}

static tsp_status read_file(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                            tspi_read_report *report, tsp_error *err)
{
    struct bytes bytes;
    const char *name = strcmp(path, "-") ? path : "standard input";

    tsp_status rc = bytes_load(path, &bytes, err);
    if (rc == TSP_OK)
        rc = tspi_wire_read(name, bytes.at, bytes.len, options, set, report, err);
    bytes_release(&bytes);
    return rc;
}

tsp_status tspi_wire_read_path(const char *path, const tspi_wire_options *options, tspi_span_set *set,
                               tspi_read_report *report, tsp_error *err)
{
    return read_file(path, options, set, report, err);
}
