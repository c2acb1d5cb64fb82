#include "engine/utf8_stream.h"

#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

/* Whether some continuation makes a valid character of these 1..3 bytes. The ranges of second bytes that RFC 3629
 * allows all include 0x80 or 0xbf, and later bytes are free: two trials decide. */
static bool may_be_completed(const uint8_t *bytes, size_t len)
{
    const uint8_t fillers[] = {0x80, 0xbf};

    for (size_t k = 0; k < sizeof fillers; k++) {
        uint8_t trial[4];
        memset(trial, fillers[k], sizeof trial);
        memcpy(trial, bytes, len);
        if (tspi_utf8_char(trial, sizeof trial) > len)
            return true;
    }
    return false;
}

/* Append what is decided of bytes to ret_text; returns how many bytes that were. The rest, at most 3, may be begun. */
static size_t pass_decided(const uint8_t *bytes, size_t len, tspi_buf *ret_text)
{
    size_t at = 0;

    while (at < len) {
        size_t good = tspi_utf8_valid_prefix(bytes + at, len - at);
        tspi_buf_append(ret_text, bytes + at, good);
        at += good;
        if (at == len || (len - at < 4 && may_be_completed(bytes + at, len - at)))
            break;
        tspi_buf_puts(ret_text, "\xef\xbf\xbd");
        at++;
    }
    return at;
}

void tspi_utf8_stream_feed(tspi_utf8_stream *stream, const void *bytes, size_t len, tspi_buf *ret_text)
{
    const uint8_t *next = bytes, *end;

    if (!len) /* bytes may be NULL then */
        return;
    end = next + len;
    while (stream->held_len && next < end) {
        stream->held[stream->held_len++] = *next++;
        size_t decided = pass_decided(stream->held, stream->held_len, ret_text);
        stream->held_len -= decided;
        memmove(stream->held, stream->held + decided, stream->held_len);
    }
    if (next == end)
        return;
    next += pass_decided(next, (size_t)(end - next), ret_text);
    stream->held_len = (size_t)(end - next);
    memcpy(stream->held, next, stream->held_len);
}
