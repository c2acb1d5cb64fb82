#include "lab/span_row.h"

#include <stdalign.h>

/* A row: its length, the span as far as it has attributes, its links, its texts. What the span borrowed is, in the row,
 * the distance from the row's span. */
enum { HEAD_BYTES = alignof(tspi_lab_span) };

static size_t whole(size_t bytes)
{
    return (bytes + HEAD_BYTES - 1) / HEAD_BYTES * HEAD_BYTES;
}

/* Copy len bytes behind the row's span at rows->data + span_at; returns their distance. Room must be there. */
static void *keep_bytes(tspi_buf *rows, size_t span_at, const void *bytes, size_t len)
{
    size_t distance = rows->len - span_at;

    memcpy(rows->data + rows->len, bytes, len);
    rows->len += len;
    return (void *)(uintptr_t)distance; /* never 0: the span stands before it */
}

static size_t texts_bytes(const tspi_lab_span *span)
{
    size_t bytes = span->sort ? 0 : strlen(span->name) + 1;

    for (uint32_t k = 0; k < span->attributes_n; k++)
        bytes += span->attributes[k].text ? strlen(span->attributes[k].text) + 1 : 0;
    return bytes;
}

void tspi_span_row_keep(tspi_buf *rows, const tspi_lab_span *span)
{
    size_t span_bytes = offsetof(tspi_lab_span, attributes) + span->attributes_n * sizeof *span->attributes;
    size_t links_bytes = span->links_n * sizeof *span->links;
    size_t size = whole(HEAD_BYTES + span_bytes + links_bytes + texts_bytes(span));
    size_t row_at = rows->len, span_at = row_at + HEAD_BYTES;

    if (!tspi_buf_reserve(rows, size))
        return;
    memcpy(rows->data + row_at, &size, sizeof size);
    tspi_lab_span *kept = (tspi_lab_span *)(rows->data + span_at);
    memcpy(kept, span, span_bytes);
    rows->len = span_at + span_bytes;
    if (span->links_n)
        kept->links = keep_bytes(rows, span_at, span->links, links_bytes);
    if (!span->sort)
        kept->name = keep_bytes(rows, span_at, span->name, strlen(span->name) + 1);
    for (uint32_t k = 0; k < span->attributes_n; k++)
        if (span->attributes[k].text)
            kept->attributes[k].text =
                keep_bytes(rows, span_at, span->attributes[k].text, strlen(span->attributes[k].text) + 1);
    rows->len = row_at + size;
}

const tspi_lab_span *tspi_span_row_next(tspi_buf *rows, size_t *at)
{
    size_t size;

    if (*at >= rows->len)
        return NULL;
    memcpy(&size, rows->data + *at, sizeof size);
    uint8_t *base = rows->data + *at + HEAD_BYTES;
    tspi_lab_span *span = (tspi_lab_span *)base;
    if (span->links_n)
        span->links = (const tspi_span_link *)(base + (uintptr_t)span->links);
    if (!span->sort)
        span->name = (const char *)(base + (uintptr_t)span->name);
    for (uint32_t k = 0; k < span->attributes_n; k++)
        if (span->attributes[k].text)
            span->attributes[k].text = (const char *)(base + (uintptr_t)span->attributes[k].text);
    *at += size;
    return span;
}
