/* gzip and zstd undone step by step, while the packed bytes come. */
#ifndef TSPI_WIRE_WIRE_UNPACK_H
#define TSPI_WIRE_WIRE_UNPACK_H

#include "wire/wire_pack.h"

typedef struct tspi_unpacker tspi_unpacker;

/* options: max_plain_bytes (0 = none here, since nothing is held), max_ratio. name is borrowed. NULL: no memory. */
tspi_unpacker *tspi_unpacker_new(const char *name, enum tspi_compression compression, const tspi_wire_options *options);
void tspi_unpacker_free(tspi_unpacker *unpacker);

/* Some of the packed bytes that come next, appended to out. ret_used: how many were taken; 0 asks for more of them.
 * last: no more will come. ret_done: all is unpacked. Errors: TSP_EPARSE: damaged or cut off; TSP_ERANGE: a limit. */
tsp_status tspi_unpacker_step(tspi_unpacker *unpacker, const uint8_t *bytes, size_t len, bool last, tspi_buf *out,
                              size_t *ret_used, bool *ret_done, tsp_error *err);

#endif
