/* W3C Trace Context, level 1 and 2: the traceparent header (w3c/trace-context, spec/20-http_request_header_format.md).
 */
#ifndef TSPI_LAB_TRACEPARENT_H
#define TSPI_LAB_TRACEPARENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TSPI_TRACEPARENT_LEN = 55 };

typedef struct {
    uint8_t trace_id[16];
    uint64_t span_id;
    uint8_t flags; /* bit 0 sampled, bit 1 random trace id */
} tspi_trace_context;

/* "00-32 hex-16 hex-2 hex" and a NUL. */
void tspi_traceparent_write(const tspi_trace_context *context, char ret_text[TSPI_TRACEPARENT_LEN + 1]);

/* false when text is not a valid header: version ff, upper case, zero ids, wrong length (longer is fine for a later
 * version if a dash follows). */
bool tspi_traceparent_parse(const char *text, size_t len, tspi_trace_context *ret_context);

#endif
