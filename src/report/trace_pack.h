/* Picked traces in the compact form that a page carries and web/traces.js reads.
 *
 *     {"total": TRACES, "spans": SPANS, "names": [...],
 *      "index": [[TRACE_ID, SPANS, SHOWN, VIOLATIONS, LEFT, WORST_NS, ORIGIN, PLACE], ...]}
 *
 * and, apart from it, bytes in base64: the page reads them when a trace is looked at.
 *
 * total and spans: of the whole input. Each trace's bytes begin at PLACE; ORIGIN (Unix ns, as text) is its
 * first stamp, LEFT the number of violations after the correction. A number is a LEB128 varint, a signed one zigzag
 * first. A trace is SHOWN spans, then their number of pairs and the pairs:
 *
 *     span  1 + line of the parent (0 = none), clock, name, flags (kind | 8 no start | 16 no end | 32 error),
 *           start - origin, end - start, corrected start - start, corrected end - end (signed), 8 bytes of id
 *     pair  line of the earlier side, line of the later, flags (relation | 8 earlier stamp is an end | 16 later one is
 *           | 32 soft | 64 violated as stamped | 128 still violated), sent - received (signed), the same corrected
 *
 * Clocks are rows of "clocks" in what `truespan clocks --json` prints. Lines are in the order of start stamps. */
#ifndef TSPI_REPORT_TRACE_PACK_H
#define TSPI_REPORT_TRACE_PACK_H

#include "report/trace_pick.h"

/* After tspi_mend_correct. Appends one JSON object to out, and base64 to bytes. Errors: TSP_ENOMEM. */
tsp_status tspi_trace_pack(const tspi_mend *mend, const tspi_pick *pick, tspi_buf *out, tspi_buf *bytes,
                           tsp_error *err);

/* len bytes in base64, appended. */
void tspi_put_base64(tspi_buf *out, const uint8_t *bytes, size_t len);

/* The part of a text that a page shows: at most 200 bytes, cut on a character, with an ellipsis where it was cut. As a
 * JSON string. */
void tspi_put_short_text(tspi_buf *out, const char *text);

#endif
