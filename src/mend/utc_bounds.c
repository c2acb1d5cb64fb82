/* Lines of bounds, each in its own way:
 *
 *     clock,at,offset_ns,error_ns          CSV by its heading; or lo_ns,hi_ns (offset) or earliest,latest (UTC itself,
 *     host-b,1700000000123456789,-200,900  as ClockBound says it)
 *
 * and chrony's, of which utc_chrony.c knows. */
#include "mend/utc_bounds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "mend/utc_chrony.h"
#include "truespan/clocks.h"

#define FILE_MOST_BYTES (UINT64_C(1) << 30)

enum { FIELDS_MOST = 64 };

enum column { CLOCK, AT, OFFSET, ERROR, LO, HI, EARLIEST, LATEST, COLUMNS_N };
static const char *const column_names[COLUMNS_N] = {"clock", "at",    "offset_ns", "error_ns",
                                                    "lo_ns", "hi_ns", "earliest",  "latest"};

typedef struct {
    tspi_utc_reader shared;
    int column_of[COLUMNS_N]; /* -1: not there */
    bool has_columns;
} reader;

static size_t split(char *line, char **fields)
{
    size_t n = 0;

    for (char *at = line; n < FIELDS_MOST;) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma = 0;
        fields[n++] = tspi_utc_trim(at);
        if (!comma)
            break;
        at = comma + 1;
    }
    return n;
}

static bool is_heading(char **fields, size_t n)
{
    bool clock = false, at = false;

    for (size_t k = 0; k < n; k++) {
        clock |= !strcmp(fields[k], "clock");
        at |= !strcmp(fields[k], "at");
    }
    return clock && at;
}

static tsp_status read_heading(reader *r, char **fields, size_t n)
{
    for (int c = 0; c < COLUMNS_N; c++) {
        r->column_of[c] = -1;
        for (size_t k = 0; k < n; k++)
            if (!strcmp(fields[k], column_names[c]))
                r->column_of[c] = (int)k;
    }
    r->has_columns = true;
    for (int c = OFFSET; c < COLUMNS_N; c += 2)
        if (r->column_of[c] >= 0 && r->column_of[c + 1] >= 0)
            return TSP_OK;
    return tspi_utc_wrong_line(&r->shared, r->shared.line,
                               "the heading wants offset_ns and error_ns, lo_ns and hi_ns, or earliest and latest "
                               "beside clock and at");
}

static tsp_status get(const reader *r, char **fields, size_t n, enum column column, int64_t *ret)
{
    size_t k = (size_t)r->column_of[column];
    const char *text = k < n ? fields[k] : "";
    bool is_moment = column == AT || column == EARLIEST || column == LATEST;

    if (is_moment ? tspi_utc_moment(text, ret) : tspi_utc_whole(text, ret))
        return TSP_OK;
    return tspi_utc_wrong(&r->shared, column_names[column], text,
                          is_moment ? "Unix ns, or seconds with a point" : "a whole number of ns");
}

static tsp_status read_row(reader *r, char **fields, size_t n)
{
    int64_t at, a, b, lo = 0, hi = 0;
    enum column first = r->column_of[OFFSET] >= 0 && r->column_of[ERROR] >= 0 ? OFFSET
                        : r->column_of[LO] >= 0 && r->column_of[HI] >= 0      ? LO
                                                                              : EARLIEST;
    bool over;
    tsp_status rc = get(r, fields, n, AT, &at);

    if (rc == TSP_OK)
        rc = get(r, fields, n, first, &a);
    if (rc == TSP_OK)
        rc = get(r, fields, n, first + 1, &b);
    if (rc != TSP_OK)
        return rc;
    if (first == OFFSET) {
        if (b < 0)
            return tspi_utc_wrong(&r->shared, "error_ns", fields[r->column_of[ERROR]], "0 or more");
        over = __builtin_sub_overflow(a, b, &lo) || __builtin_add_overflow(a, b, &hi);
    } else if (first == LO) {
        lo = a;
        hi = b;
        over = false;
    } else
        over = __builtin_sub_overflow(at, b, &lo) || __builtin_sub_overflow(at, a, &hi);
    if (over)
        return tsp_error_set(r->shared.err, TSP_ERANGE, "%s: line %u: no clock is that far off", r->shared.path,
                             r->shared.line);
    return tspi_utc_add(&r->shared, (size_t)r->column_of[CLOCK] < n ? fields[r->column_of[CLOCK]] : "", at, lo, hi,
                        r->shared.line);
}

static tsp_status read_fields(reader *r, char *line)
{
    char *fields[FIELDS_MOST];
    size_t n = split(line, fields);
    bool is_chrony;

    if (is_heading(fields, n))
        return read_heading(r, fields, n);
    tsp_status rc = tspi_chrony_fields(&r->shared, fields, n, &is_chrony);
    if (is_chrony)
        return rc;
    if (r->has_columns)
        return read_row(r, fields, n);
    return tspi_utc_wrong_line(&r->shared, r->shared.line,
                               "want a heading such as clock,at,offset_ns,error_ns, or what chronyc prints");
}

/* "clock NAME ...", which is chrony's, and no heading of CSV. */
static bool names_a_clock(const char *text)
{
    return !strncmp(text, "clock ", 6) && text[6 + strspn(text + 6, " ")] != ',';
}

static tsp_status read_line(reader *r, char *line)
{
    char *text = tspi_utc_trim(line), *colon;
    bool is_log = false;

    if (!*text || *text == '#')
        return TSP_OK;
    if (names_a_clock(text))
        return tspi_chrony_clock(&r->shared, text);
    if (strchr(text, ','))
        return read_fields(r, text);
    tsp_status rc = tspi_chrony_log(&r->shared, text, &is_log);
    if (is_log)
        return rc;
    colon = strchr(text, ':');
    if (colon)
        return tspi_chrony_report_line(&r->shared, text, colon);
    return tspi_utc_wrong(&r->shared, "line", text, "CSV, or what chrony prints");
}

/* Each line of a text that is cut to pieces. */
static tsp_status read_text(reader *r, char *text)
{
    tsp_status rc = TSP_OK;

    if (!strncmp(text, "\xef\xbb\xbf", 3)) /* as spreadsheets begin UTF-8 */
        text += 3;
    for (char *at = text, *end; rc == TSP_OK && at; at = end) {
        end = strchr(at, '\n');
        if (end)
            *end++ = 0;
        r->shared.line++;
        r->shared.line_start = at;
        r->shared.line_len = strlen(at);
        rc = read_line(r, at);
    }
    return rc == TSP_OK ? tspi_chrony_report_end(&r->shared) : rc;
}

tsp_status tspi_utc_bounds_read(const char *path, tspi_utc_bounds *ret, tsp_error *err)
{
    reader r = {.shared = {.path = path, .bounds = ret, .err = err}};
    tspi_buf buf = {0};
    tsp_status rc = tspi_buf_read_file(&buf, path, FILE_MOST_BYTES, err);

    r.shared.report = (tspi_utc_report){.system = NAN, .root_delay = NAN, .root_dispersion = NAN};
    if (rc == TSP_OK) {
        tspi_buf_putc(&buf, 0);
        if (!tspi_buf_ok(&buf))
            rc = tsp_error_set(err, TSP_ENOMEM, "out of memory");
    }
    if (rc == TSP_OK && memchr(buf.data, 0, buf.len - 1))
        rc = tsp_error_set(err, TSP_EPARSE, "%s: this is no text", path);
    if (rc == TSP_OK)
        rc = read_text(&r, (char *)buf.data);
    if (rc == TSP_OK && !ret->n && !ret->unsynchronised)
        rc = tsp_error_set(err, TSP_EPARSE, "%s: there is no bound in it", path);
    tspi_buf_release(&buf);
    return rc;
}

void tspi_utc_bounds_release(tspi_utc_bounds *bounds)
{
    free(bounds->rows);
    tspi_arena_release(&bounds->arena);
    memset(bounds, 0, sizeof *bounds);
}
