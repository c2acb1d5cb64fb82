/* A message's frame, written from what its sender has to where it shall be: into a library's buffer, or a message. */
#ifndef TSPI_TRANSPORT_CONTENT_H
#define TSPI_TRANSPORT_CONTENT_H

#include <endian.h>

#include "transport/transport.h"

/* Of the header block's length, before it; of the two lengths before a header's name. */
enum { TSPI_FRAME_LENGTH_BYTES = 4, TSPI_FRAME_PREFIX_BYTES = 6 };

static inline void tspi_frame_put_u32(uint8_t *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

/* Returns where the header ends. */
static inline uint8_t *tspi_frame_put_header(uint8_t *at, const char *name, size_t name_len, const void *value,
                                             size_t len)
{
    at[0] = (uint8_t)name_len;
    at[1] = (uint8_t)(name_len >> 8);
    tspi_frame_put_u32(at + 2, (uint32_t)len);
    memcpy(at + TSPI_FRAME_PREFIX_BYTES, name, name_len);
    if (len)
        memcpy(at + TSPI_FRAME_PREFIX_BYTES + name_len, value, len);
    return at + TSPI_FRAME_PREFIX_BYTES + name_len + len;
}

/* Bytes of content's frame; SIZE_MAX when it is over the limits. */
static inline size_t tspi_content_len(const tspi_content *content)
{
    size_t len = TSPI_FRAME_LENGTH_BYTES + content->payload_len;
    bool fits = content->payload_len <= TSPI_MSG_MAX_BYTES;

    for (size_t k = 0; k < content->headers_n && fits; k++) {
        const tspi_msg_header_view *header = &content->headers[k];
        fits = header->name_len <= UINT16_MAX && header->len <= TSPI_MSG_MAX_BYTES;
        len += TSPI_FRAME_PREFIX_BYTES + header->name_len + header->len;
        fits = fits && len <= TSPI_MSG_MAX_BYTES;
    }
    return fits && len <= TSPI_MSG_MAX_BYTES ? len : SIZE_MAX;
}

/* Write the frame of a content that is not over the limits. Returns where the payload begins in it. */
static inline size_t tspi_content_write(const tspi_content *content, uint8_t *ret_frame)
{
    uint8_t *at = ret_frame + TSPI_FRAME_LENGTH_BYTES;

    for (size_t k = 0; k < content->headers_n; k++) {
        const tspi_msg_header_view *header = &content->headers[k];
        at = tspi_frame_put_header(at, header->name, header->name_len, header->value, header->len);
    }
    size_t payload_at = (size_t)(at - ret_frame);
    tspi_frame_put_u32(ret_frame, (uint32_t)(payload_at - TSPI_FRAME_LENGTH_BYTES));
    if (content->payload_len)
        memcpy(at, content->payload, content->payload_len);
    return payload_at;
}

#endif
