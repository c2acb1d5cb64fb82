/* The layer's own frame (transport.h), written and read without the layer. */
#include <string.h>

#include "hop.h"

enum { LENGTH_BYTES = 4, PREFIX_BYTES = 6 };

static void put(uint8_t *at, uint32_t value, int bytes)
{
    for (int k = 0; k < bytes; k++)
        at[k] = (uint8_t)(value >> 8 * k);
}

static uint32_t get(const uint8_t *at, int bytes)
{
    uint32_t value = 0;

    for (int k = 0; k < bytes; k++)
        value |= (uint32_t)at[k] << 8 * k;
    return value;
}

size_t hop_write_frame(uint8_t ret_frame[HOP_FRAME_MAX], const tspi_content *content)
{
    size_t headers = PREFIX_BYTES + content->headers->name_len + content->headers->len, len = LENGTH_BYTES;

    if (LENGTH_BYTES + headers + content->payload_len > HOP_FRAME_MAX)
        hop_die("a message is too long");
    put(ret_frame, (uint32_t)headers, LENGTH_BYTES);
    put(ret_frame + len, (uint32_t)content->headers->name_len, 2);
    put(ret_frame + len + 2, (uint32_t)content->headers->len, 4);
    len += PREFIX_BYTES;
    memcpy(ret_frame + len, content->headers->name, content->headers->name_len);
    len += content->headers->name_len;
    memcpy(ret_frame + len, content->headers->value, content->headers->len);
    len += content->headers->len;
    memcpy(ret_frame + len, content->payload, content->payload_len);
    return len + content->payload_len;
}

const uint8_t *hop_read_frame(const uint8_t *frame, size_t len, size_t *ret_body_len)
{
    static const char wanted[] = "traceparent";
    size_t end = len < LENGTH_BYTES ? 0 : LENGTH_BYTES + get(frame, LENGTH_BYTES);
    bool found = false;

    if (end < LENGTH_BYTES || end > len)
        hop_die("what came is no frame");
    for (size_t at = LENGTH_BYTES; at < end;) {
        size_t name_len = end - at < PREFIX_BYTES ? len : get(frame + at, 2);
        size_t size = PREFIX_BYTES + name_len + (name_len == len ? 0 : get(frame + at + 2, 4));
        if (size > end - at)
            hop_die("what came is no frame");
        found |= name_len == sizeof wanted - 1 && !memcmp(frame + at + PREFIX_BYTES, wanted, name_len);
        at += size;
    }
    if (!found)
        hop_die("a header is missing");
    *ret_body_len = len - end;
    return frame + end;
}
