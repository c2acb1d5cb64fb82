/* Server-sent events (WHATWG HTML, "Server-sent events", 9.2): the data of each event out of bytes cut anywhere.
 * Lines end in CR, LF or CRLF; comments (keep-alives), ids and retry fields are passed over; the data lines of one
 * event are joined by a line feed. What a line or an event may hold is bounded: a server's endless line is an error. */
#ifndef TSPI_ENGINE_OPENAI_SSE_H
#define TSPI_ENGINE_OPENAI_SSE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "truespan/base.h"

enum {
    TSPI_SSE_MAX_EVENT_BYTES = 256 * 1024, /* of one line, and of the data of one event */
};

/* Called with the data of an event, never empty; a status other than TSP_OK ends the reading with that status. */
typedef tsp_status (*tspi_sse_event)(void *user, const char *data, size_t len, tsp_error *err);

/* Zero it and set event and user to initialise. */
typedef struct {
    tspi_sse_event event;
    void *user;         /* borrowed */
    tspi_buf line;      /* of the line being read, without its end */
    tspi_buf data;      /* of the event being read, each line followed by LF */
    bool after_cr;      /* the byte before was CR: an LF belongs to it */
    bool past_the_mark; /* the first line has been seen: no byte order mark any more */
} tspi_sse;

/* Errors: TSP_ERANGE: a line or an event beyond the bound; TSP_ENOMEM; whatever event said. */
tsp_status tspi_sse_feed(tspi_sse *sse, const void *bytes, size_t len, tsp_error *err);

/* The stream has ended: an event whose closing blank line is missing counts all the same. */
tsp_status tspi_sse_end(tspi_sse *sse, tsp_error *err);

void tspi_sse_release(tspi_sse *sse);

#endif
