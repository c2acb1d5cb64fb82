/* A file's bytes: as stored (mapped when it is a plain file, else read), and unpacked. */
#ifndef TSPI_WIRE_WIRE_CONTENT_H
#define TSPI_WIRE_WIRE_CONTENT_H

#include <string.h>

#include "wire/wire.h"

typedef struct {
    const uint8_t *stored;
    size_t stored_n;
    tspi_mapped map;     /* or */
    tspi_buf buf;        /* or neither: borrowed */
    tspi_file_mark mark; /* of a plain file, when it was opened */
    enum tspi_compression compression;
    const uint8_t *plain;
    size_t plain_n;
    tspi_buf unpacked;
    bool cut;    /* keep_going: the packed end was missing */
    bool sparse; /* it has fewer blocks than bytes: holes, as a rule */
} tspi_content;

void tspi_content_release(tspi_content *content);

static inline bool tspi_is_stdin(const char *path)
{
    return !strcmp(path, "-");
}

/* For messages. */
const char *tspi_content_name(const char *path);

/* A plain file's bytes, mapped and not yet unpacked. false: it is none, or cannot be mapped; then it is to be read, and
 * reading says what is wrong. */
bool tspi_content_map(const char *path, tspi_content *ret);

/* Any file's bytes, unpacked. On failure release it still. */
tsp_status tspi_content_load(const char *path, const tspi_wire_options *options, tspi_content *ret, tsp_error *err);

/* Of a document that was read, to be written back: those kept with it, or loaded again.
 * TSP_EIO: the file is no longer what was read. */
tsp_status tspi_content_reload(const tspi_document *document, const tspi_wire_options *options, tspi_content *ret,
                               tsp_error *err);

/* What became of work on the content: rc, unless the file was cut short meanwhile, or, for a document, anything else
 * was done to it. Then that is the reason, whatever the bytes said: TSP_EIO. document: NULL = one that is only read. */
tsp_status tspi_content_confirm(const tspi_content *content, const tspi_document *document, const char *path,
                                tsp_status rc, tsp_error *err);

#endif
