/* A file of JSON values. */
#include "wire/wire_scan.h"

enum { PREFIX = 8 };

/* JSON lines: each line starts with the same key. So a line whose successor starts with the same bytes ends where it
 * ends, even if it was cut off; anything else (indented documents, arrays with an element a line) is not cut. */
static const uint8_t *line_end(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));

    if (newline && end - newline > PREFIX && newline - at >= PREFIX && !memcmp(newline + 1, at, PREFIX))
        return newline;
    return NULL;
}

/* Where to go on after the document at at failed: the next line that starts like it. */
static const uint8_t *resume(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *line = at;

    while (end - line > PREFIX) {
        const uint8_t *newline = memchr(line, '\n', (size_t)(end - line));
        if (!newline || end - newline <= PREFIX)
            break;
        if (!memcmp(newline + 1, at, PREFIX))
            return newline;
        line = newline + 1;
    }
    return end;
}

/* Length of the frame at at, or 0: older Collectors put each document behind its length. JSON never starts with such
 * small bytes. */
static size_t frame_len(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 6 || (at[4] != '{' && at[4] != '[') || *at == '{' || *at == '[')
        return 0;
    size_t n = (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
    return n <= (size_t)(end - at) - 4 ? n : 0;
}

tsp_status tspi_json_documents(tspi_scan *scan, tspi_json_document document, size_t from, size_t to)
{
    const uint8_t *at = scan->base + from, *end = scan->base + to;

    if (!from && to >= 3 && !memcmp(at, "\xef\xbb\xbf", 3))
        at += 3;
    while ((at = tspi_json_space_end(at, end)) < end) {
        if (*at == 0x1e) { /* RFC 7464 text sequences */
            at++;
            continue;
        }
        size_t frame = frame_len(at, end);
        at += frame ? 4 : 0;
        const uint8_t *line = frame ? NULL : line_end(at, end);
        tspi_json json = {.at = at, .end = frame ? at + frame : line ? line : end};
        tsp_status rc = document(scan, &json);
        if (json.problem && (rc == TSP_OK || rc == TSP_EPARSE))
            rc = tspi_scan_json_error(scan, &json);
        if (rc == TSP_EPARSE && scan->keep_going) {
            const uint8_t *next = frame || line ? json.end : resume(at, end);
            tspi_scan_give_up(scan, (size_t)(at - scan->base), (size_t)(next - scan->base));
            at = next;
            continue;
        }
        if (rc != TSP_OK)
            return rc;
        at = frame ? json.end : json.at;
    }
    return TSP_OK;
}
