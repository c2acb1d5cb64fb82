#include "wire/wire_content.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/wire_pack.h"

void tspi_content_release(tspi_content *content)
{
    tspi_mapped_close(&content->map);
    tspi_buf_release(&content->buf);
    tspi_buf_release(&content->unpacked);
}

const char *tspi_content_name(const char *path)
{
    return tspi_is_stdin(path) ? "standard input" : path;
}

bool tspi_content_map(const char *path, tspi_content *content)
{
    struct stat st;

    /* A pipe is not even opened: its writer would take that for the reader, and be alone when it has gone again. */
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    content->sparse = fstat(fd, &st) == 0 && st.st_blocks < st.st_size / 512;
    if (tspi_file_mark_of(fd, &content->mark) && tspi_mapped_open(&content->map, fd, (size_t)content->mark.bytes)) {
        content->stored = content->map.bytes;
        content->stored_n = content->map.len;
    }
    close(fd);
    return content->map.bytes != NULL;
}

static tsp_status unpack(const char *path, const tspi_wire_options *options, tspi_content *content, tsp_error *err)
{
    content->compression = tspi_pack_sniff(content->stored, content->stored_n);
    content->plain = content->stored;
    content->plain_n = content->stored_n;
    if (content->compression == TSPI_PLAIN)
        return TSP_OK;
    tsp_status rc = tspi_pack_undo(tspi_content_name(path), content->stored, content->stored_n, content->compression,
                                   options, &content->unpacked, &content->cut, err);
    content->plain = content->unpacked.data;
    content->plain_n = content->unpacked.len;
    return rc;
}

tsp_status tspi_content_load(const char *path, const tspi_wire_options *options, tspi_content *ret, tsp_error *err)
{
    *ret = (tspi_content){0};
    if (tspi_is_stdin(path) || !tspi_content_map(path, ret)) {
        tsp_status rc = tspi_buf_read_file(&ret->buf, path, 0, err);
        if (rc != TSP_OK)
            return rc;
        ret->stored = ret->buf.data;
        ret->stored_n = ret->buf.len;
    }
    return unpack(path, options, ret, err);
}

static tsp_status changed(const char *path, tsp_error *err)
{
    return tsp_error_set(err, TSP_EIO, "%s has changed since it was read: nothing was written for it", path);
}

/* The path still leads to the file that was read, and nobody has written to it. */
static bool stands(const tspi_document *document)
{
    int fd = open(document->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool same = fd >= 0 && tspi_file_mark_is(&document->mark, fd);

    if (fd >= 0)
        close(fd);
    return same;
}

tsp_status tspi_content_reload(const tspi_document *document, const tspi_wire_options *options, tspi_content *ret,
                               tsp_error *err)
{
    *ret = (tspi_content){0};
    if (document->kept.data) {
        ret->stored = document->kept.data;
        ret->stored_n = document->kept.len;
        return unpack(document->path, options, ret, err);
    }
    if (!stands(document))
        return changed(document->path, err);
    if (!document->map.bytes)
        return tspi_content_load(document->path, options, ret, err);
    ret->stored = document->map.bytes;
    ret->stored_n = document->map.len;
    return unpack(document->path, options, ret, err);
}

tsp_status tspi_content_confirm(const tspi_content *content, const tspi_document *document, const char *path,
                                tsp_status rc, tsp_error *err)
{
    tsp_error why = {0};
    tsp_status now = TSP_OK;

    if (tspi_mapped_is_cut(&content->map) || (document && tspi_mapped_is_cut(&document->map)))
        now = tsp_error_set(&why, TSP_EIO, "%s was cut short while it was read", path);
    else if (document && !document->kept.data && !stands(document))
        now = changed(path, &why);
    if (now != TSP_OK && err)
        *err = why;
    return now != TSP_OK ? now : rc;
}
