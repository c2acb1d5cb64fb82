/* Whole characters out of bytes that arrive in pieces cut anywhere, as the tokens of a language model do. */
#ifndef TSPI_ENGINE_UTF8_STREAM_H
#define TSPI_ENGINE_UTF8_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Zero it to initialise; nothing to release. */
typedef struct {
    uint8_t held[4]; /* the beginning of a character that is not complete yet */
    size_t held_len;
} tspi_utf8_stream;

/* Append to ret_text the characters that bytes complete. Bytes that no continuation can mend become U+FFFD each. */
void tspi_utf8_stream_feed(tspi_utf8_stream *stream, const void *bytes, size_t len, tspi_buf *ret_text);

#endif
