#include "engine/openai_sse.h"

#include <string.h>

static tsp_status too_long(const char *what, tsp_error *err)
{
    return tsp_error_set(err, TSP_ERANGE, "%s of the stream has more than %d bytes", what, TSPI_SSE_MAX_EVENT_BYTES);
}

static tsp_status end_event(tspi_sse *sse, tsp_error *err)
{
    size_t len = sse->data.len;

    if (!len)
        return TSP_OK;
    tspi_buf_clear(&sse->data);
    if (len == 1) /* data lines, but nothing in them */
        return TSP_OK;
    return sse->event(sse->user, (const char *)sse->data.data, len - 1, err);
}

static tsp_status end_line(tspi_sse *sse, tsp_error *err)
{
    const char *line = (const char *)sse->line.data;
    size_t len = sse->line.len;

    tspi_buf_clear(&sse->line);
    if (!sse->past_the_mark && len >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
        line += 3;
        len -= 3;
    }
    sse->past_the_mark = true;
    if (!len)
        return end_event(sse, err);
    const char *colon = memchr(line, ':', len);
    size_t name_len = colon ? (size_t)(colon - line) : len;
    if (name_len != 4 || memcmp(line, "data", 4) != 0)
        return TSP_OK;
    const char *value = line + name_len, *end = line + len;
    value += value < end; /* the colon */
    value += value < end && *value == ' ';
    if (sse->data.len + (size_t)(end - value) > TSPI_SSE_MAX_EVENT_BYTES)
        return too_long("an event", err);
    tspi_buf_append(&sse->data, value, (size_t)(end - value));
    tspi_buf_putc(&sse->data, '\n');
    return tspi_buf_ok(&sse->data) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "no memory for the server's answer");
}

tsp_status tspi_sse_feed(tspi_sse *sse, const void *bytes, size_t len, tsp_error *err)
{
    const char *next = bytes, *end = next + len;

    while (next < end) {
        if (sse->after_cr && *next == '\n')
            next++;
        sse->after_cr = false;
        const char *stop = next;
        while (stop < end && *stop != '\n' && *stop != '\r')
            stop++;
        if (sse->line.len + (size_t)(stop - next) > TSPI_SSE_MAX_EVENT_BYTES)
            return too_long("a line", err);
        tspi_buf_append(&sse->line, next, (size_t)(stop - next));
        if (!tspi_buf_ok(&sse->line))
            return tsp_error_set(err, TSP_ENOMEM, "no memory for the server's answer");
        if (stop == end)
            break;
        sse->after_cr = *stop == '\r';
        next = stop + 1;
        tsp_status rc = end_line(sse, err);
        if (rc != TSP_OK)
            return rc;
    }
    return TSP_OK;
}

tsp_status tspi_sse_end(tspi_sse *sse, tsp_error *err)
{
    tsp_status rc = sse->line.len ? end_line(sse, err) : TSP_OK;

    return rc == TSP_OK ? end_event(sse, err) : rc;
}

void tspi_sse_release(tspi_sse *sse)
{
    tspi_buf_release(&sse->line);
    tspi_buf_release(&sse->data);
}
