/* gzip and zstd, whole or a message at a time, undone and redone. */
#ifndef TSPI_WIRE_WIRE_PACK_H
#define TSPI_WIRE_WIRE_PACK_H

#include "wire/wire.h"

/* What the first bytes say; TSPI_PLAIN when they say nothing. */
enum tspi_compression tspi_pack_sniff(const uint8_t *bytes, size_t len);

/* Unpacked bytes, appended to out. FRAMED kinds keep their frames, with the length of the unpacked message.
 * options: keep_going, max_plain_bytes, max_ratio. ret_cut: with keep_going, the input's end was missing or broken, and
 * out holds what came before; else that is TSP_EPARSE. Errors: TSP_ERANGE: a limit. */
tsp_status tspi_pack_undo(const char *name, const uint8_t *bytes, size_t len, enum tspi_compression compression,
                          const tspi_wire_options *options, tspi_buf *out, bool *ret_cut, tsp_error *err);

/* The other way round, appended to out. */
tsp_status tspi_pack_redo(const char *name, const uint8_t *bytes, size_t len, enum tspi_compression compression,
                          tspi_buf *out, tsp_error *err);

#endif
