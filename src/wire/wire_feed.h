/* Bytes that come piece by piece: pipes, packed files, and files too large to hold the rows of. Only as much is kept as
 * one thread or several can read at a time, up to the last place where the format can be cut. */
#ifndef TSPI_WIRE_WIRE_FEED_H
#define TSPI_WIRE_WIRE_FEED_H

#include "wire/wire.h"

/* Where bytes come from: mapped ones, or those behind a descriptor. */
typedef struct {
    const char *name;     /* for messages */
    const uint8_t *bytes; /* mapped; NULL = read fd */
    size_t len;
    int fd;
} tspi_source;

/* Read all of it as one document: what tspi_wire_read would make of all of its bytes, unpacked. Between pieces
 * options->between is called. Errors: as with tspi_wire_read_path. */
tsp_status tspi_feed_read(const tspi_source *source, const tspi_wire_options *options, tspi_span_set *set,
                          tspi_read_report *report, tsp_error *err);

#endif
