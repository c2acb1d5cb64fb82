/* Three ways in which people have such bounds, told apart line by line:
 *
 *     clock,at,offset_ns,error_ns          CSV by its heading; or lo_ns,hi_ns (offset) or earliest,latest (UTC itself,
 *     host-b,1700000000123456789,-200,900  as ClockBound says it)
 *
 *     host-b,1700000000123456789,A29FC87B,162.159.200.123,4,...  `chronyc -c tracking` behind clock and time
 *
 *     clock host-b at 1700000000123456789                        `chronyc tracking` below clock and time
 *     Reference ID    : A29FC87B (162.159.200.123)
 *     ...
 *
 * chrony's own bound, chronyc(1): the clock is off by no more than its system time offset, root dispersion and half of
 * the root delay. In `tracking`, "slow" says that the clock is behind; with -c that is a positive number. */
#include "mend/utc_bounds.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "truespan/clocks.h"

#define FILE_MOST_BYTES (UINT64_C(1) << 30)

enum { FIELDS_MOST = 64, CHRONY_FIELDS = 14 };

/* Of `chronyc -c tracking`, counted from 0. */
enum { CHRONY_ID = 0, CHRONY_SYSTEM = 4, CHRONY_ROOT_DELAY = 10, CHRONY_ROOT_DISPERSION = 11, CHRONY_LEAP = 13 };

enum column { CLOCK, AT, OFFSET, ERROR, LO, HI, EARLIEST, LATEST, COLUMNS_N };
static const char *const column_names[COLUMNS_N] = {"clock", "at",    "offset_ns", "error_ns",
                                                    "lo_ns", "hi_ns", "earliest",  "latest"};

/* A report of `chronyc tracking` being read: what it has said so far, in ns; NAN: nothing yet. */
typedef struct {
    bool open;
    uint32_t line;
    double system, root_delay, root_dispersion;
    bool unsynchronised;
} report;

typedef struct {
    const char *path;
    tspi_utc_bounds *bounds;
    uint32_t line;
    int column_of[COLUMNS_N]; /* -1: not there */
    bool has_columns;
    const char *clock; /* of the last "clock NAME at TIME" */
    int64_t at_ns;
    report report;
    tsp_error *err;
} reader;

static tsp_status wrong(const reader *r, const char *field, const char *text, const char *want)
{
    return tsp_error_set(r->err, TSP_EPARSE, "%s: line %u: %s: want %s, got '%.60s'", r->path, r->line, field, want,
                         text);
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r\"");
    for (size_t n = strlen(text); n && strchr(" \t\r\"", text[n - 1]);)
        text[--n] = 0;
    return text;
}

static bool whole(const char *text, int64_t *ret)
{
    char *end;

    if (!*text || strspn(text, "+-0123456789") != strlen(text))
        return false;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return !*end && !errno;
}

/* Unix time: whole ns, or seconds with a point. */
static bool moment(const char *text, int64_t *ret)
{
    const char *point = strchr(text, '.');
    char digits[32];
    int64_t seconds, part = 0;
    size_t n;

    if (!point)
        return whole(text, ret);
    n = strspn(point + 1, "0123456789");
    if ((size_t)(point - text) >= sizeof digits || point == text || !n || n > 9 || point[1 + n])
        return false;
    memcpy(digits, text, (size_t)(point - text));
    digits[point - text] = 0;
    if (!whole(digits, &seconds) || seconds < -TSP_STAMP_MAX / TSP_NS_PER_S || seconds > TSP_STAMP_MAX / TSP_NS_PER_S)
        return false;
    for (size_t k = 0; k < 9; k++)
        part = part * 10 + (k < n ? point[1 + k] - '0' : 0);
    *ret = seconds * TSP_NS_PER_S + (*text == '-' ? -part : part);
    return true;
}

/* Seconds as chrony prints them, to ns. */
static bool seconds(const char *text, double *ret_ns)
{
    char *end;

    *ret_ns = strtod(text, &end) * 1e9;
    return end != text && (!*end || *end == ' ') && fabs(*ret_ns) < (double)TSP_STAMP_MAX;
}

static tsp_status add(reader *r, const char *clock, int64_t at_ns, int64_t lo_ns, int64_t hi_ns, uint32_t line)
{
    tspi_utc_bounds *b = r->bounds;
    int64_t first, last;

    if (lo_ns > hi_ns)
        return tsp_error_set(r->err, TSP_EPARSE, "%s: line %u: the bound ends before it begins", r->path, line);
    if (at_ns < -TSP_STAMP_MAX || at_ns > TSP_STAMP_MAX || __builtin_sub_overflow(at_ns, hi_ns, &first) ||
        __builtin_sub_overflow(at_ns, lo_ns, &last) || first < -TSP_STAMP_MAX || last > TSP_STAMP_MAX)
        return tsp_error_set(r->err, TSP_ERANGE, "%s: line %u: field at: no clock shows that time", r->path, line);
    if (!*clock)
        return tsp_error_set(r->err, TSP_EPARSE, "%s: line %u: field clock: it is empty", r->path, line);
    if (b->n == b->cap) {
        size_t cap = b->cap ? 2 * b->cap : 64;
        tspi_utc_bound *grown = realloc(b->rows, cap * sizeof *grown);
        if (!grown)
            return tsp_error_set(r->err, TSP_ENOMEM, "out of memory");
        b->rows = grown;
        b->cap = cap;
    }
    char *name = tspi_arena_strndup(&b->arena, clock, strlen(clock));
    if (!name)
        return tsp_error_set(r->err, TSP_ENOMEM, "out of memory");
    b->rows[b->n++] = (tspi_utc_bound){.clock = name, .at_ns = at_ns, .lo_ns = lo_ns, .hi_ns = hi_ns, .line = line};
    return TSP_OK;
}

/* chrony's words, whole ns outward. system_ns > 0: the clock is behind. */
static tsp_status add_chrony(reader *r, const char *clock, int64_t at_ns, double system_ns, double delay_ns,
                             double dispersion_ns, uint32_t line)
{
    double error = delay_ns / 2 + dispersion_ns;

    if (!(delay_ns >= 0 && dispersion_ns >= 0))
        return tsp_error_set(r->err, TSP_EPARSE, "%s: line %u: root delay and dispersion cannot be negative", r->path,
                             line);
    return add(r, clock, at_ns, (int64_t)floor(-system_ns - error) - 1, (int64_t)ceil(-system_ns + error) + 1, line);
}

static size_t split(char *line, char **fields)
{
    size_t n = 0;

    for (char *at = line; n < FIELDS_MOST;) {
        char *comma = strchr(at, ',');
        if (comma)
            *comma = 0;
        fields[n++] = trim(at);
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
    return tsp_error_set(r->err, TSP_EPARSE,
                         "%s: line %u: the heading wants offset_ns and error_ns, lo_ns and hi_ns, or earliest and "
                         "latest beside clock and at",
                         r->path, r->line);
}

static tsp_status get(const reader *r, char **fields, size_t n, enum column column, int64_t *ret)
{
    size_t k = (size_t)r->column_of[column];
    const char *text = k < n ? fields[k] : "";
    bool is_moment = column == AT || column == EARLIEST || column == LATEST;

    if (is_moment ? moment(text, ret) : whole(text, ret))
        return TSP_OK;
    return wrong(r, column_names[column], text,
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
            return wrong(r, "error_ns", fields[r->column_of[ERROR]], "0 or more");
        over = __builtin_sub_overflow(a, b, &lo) || __builtin_add_overflow(a, b, &hi);
    } else if (first == LO) {
        lo = a;
        hi = b;
        over = false;
    } else
        over = __builtin_sub_overflow(at, b, &lo) || __builtin_sub_overflow(at, a, &hi);
    if (over)
        return tsp_error_set(r->err, TSP_ERANGE, "%s: line %u: no clock is that far off", r->path, r->line);
    return add(r, (size_t)r->column_of[CLOCK] < n ? fields[r->column_of[CLOCK]] : "", at, lo, hi, r->line);
}

static bool is_reference_id(const char *text)
{
    return strlen(text) == 8 && strspn(text, "0123456789ABCDEFabcdef") == 8;
}

static tsp_status no_clock(const reader *r)
{
    return tsp_error_set(r->err, TSP_EPARSE,
                         "%s: line %u: chrony says neither which clock nor when: put 'clock NAME at NS' before it",
                         r->path, r->line);
}

static tsp_status read_chrony_fields(reader *r, const char *clock, int64_t at_ns, char **fields)
{
    double system, delay, dispersion;

    if (!clock)
        return no_clock(r);
    if (strcmp(fields[CHRONY_LEAP], "Not synchronised") == 0) {
        r->bounds->unsynchronised++;
        return TSP_OK;
    }
    if (!seconds(fields[CHRONY_SYSTEM], &system))
        return wrong(r, "system time", fields[CHRONY_SYSTEM], "seconds");
    if (!seconds(fields[CHRONY_ROOT_DELAY], &delay))
        return wrong(r, "root delay", fields[CHRONY_ROOT_DELAY], "seconds");
    if (!seconds(fields[CHRONY_ROOT_DISPERSION], &dispersion))
        return wrong(r, "root dispersion", fields[CHRONY_ROOT_DISPERSION], "seconds");
    return add_chrony(r, clock, at_ns, system, delay, dispersion, r->line);
}

static tsp_status read_fields(reader *r, char *line)
{
    char *fields[FIELDS_MOST];
    size_t n = split(line, fields);
    int64_t at;

    if (is_heading(fields, n))
        return read_heading(r, fields, n);
    if (n == CHRONY_FIELDS && is_reference_id(fields[CHRONY_ID]))
        return read_chrony_fields(r, r->clock, r->at_ns, fields);
    if (n == CHRONY_FIELDS + 2 && is_reference_id(fields[2 + CHRONY_ID])) {
        if (!moment(fields[1], &at))
            return wrong(r, "at", fields[1], "Unix ns, or seconds with a point");
        return read_chrony_fields(r, fields[0], at, fields + 2);
    }
    if (r->has_columns)
        return read_row(r, fields, n);
    return tsp_error_set(r->err, TSP_EPARSE,
                         "%s: line %u: want a heading such as clock,at,offset_ns,error_ns, or what chronyc prints",
                         r->path, r->line);
}

static tsp_status end_report(reader *r)
{
    report done = r->report;

    r->report = (report){.system = NAN, .root_delay = NAN, .root_dispersion = NAN};
    if (!done.open)
        return TSP_OK;
    if (done.unsynchronised) {
        r->bounds->unsynchronised++;
        return TSP_OK;
    }
    if (isnan(done.system) || isnan(done.root_delay) || isnan(done.root_dispersion))
        return tsp_error_set(r->err, TSP_EPARSE, "%s: line %u: the report lacks %s", r->path, done.line,
                             isnan(done.system)       ? "System time"
                             : isnan(done.root_delay) ? "Root delay"
                                                      : "Root dispersion");
    return add_chrony(r, r->clock, r->at_ns, done.system, done.root_delay, done.root_dispersion, done.line);
}

/* "clock NAME at TIME" */
static tsp_status read_clock(reader *r, char *line)
{
    char *name = trim(line + strlen("clock ")), *at = strstr(name, " at ");
    tsp_status rc = end_report(r);

    if (rc != TSP_OK)
        return rc;
    if (!at)
        return wrong(r, "clock", name, "clock NAME at NS");
    *at = 0;
    at = trim(at + 4);
    if (!moment(at, &r->at_ns))
        return wrong(r, "at", at, "Unix ns, or seconds with a point");
    name = trim(name);
    r->clock = tspi_arena_strndup(&r->bounds->arena, name, strlen(name));
    return r->clock ? TSP_OK : tsp_error_set(r->err, TSP_ENOMEM, "out of memory");
}

/* "Key : value" */
static tsp_status read_report_line(reader *r, char *line, char *colon)
{
    *colon = 0;
    const char *key = trim(line), *value = trim(colon + 1);
    report *now = &r->report;

    if (!strcmp(key, "Reference ID")) {
        tsp_status rc = end_report(r);
        if (rc != TSP_OK)
            return rc;
    }
    if (!r->clock)
        return no_clock(r);
    if (!now->open) {
        now->open = true;
        now->line = r->line;
    }
    if (!strcmp(key, "System time")) {
        if (!seconds(value, &now->system) || (!strstr(value, " slow") && !strstr(value, " fast")))
            return wrong(r, "System time", value, "seconds slow or fast");
        if (strstr(value, " fast"))
            now->system = -now->system;
    } else if (!strcmp(key, "Root delay")) {
        if (!seconds(value, &now->root_delay))
            return wrong(r, "Root delay", value, "seconds");
    } else if (!strcmp(key, "Root dispersion")) {
        if (!seconds(value, &now->root_dispersion))
            return wrong(r, "Root dispersion", value, "seconds");
    } else if (!strcmp(key, "Leap status"))
        now->unsynchronised = !strcmp(value, "Not synchronised");
    return TSP_OK;
}

static tsp_status read_line(reader *r, char *line)
{
    char *text = trim(line), *colon;

    if (!*text || *text == '#')
        return TSP_OK;
    if (!strncmp(text, "clock ", 6))
        return read_clock(r, text);
    if (strchr(text, ','))
        return read_fields(r, text);
    colon = strchr(text, ':');
    if (colon)
        return read_report_line(r, text, colon);
    return tsp_error_set(r->err, TSP_EPARSE, "%s: line %u: neither CSV nor what chronyc prints: '%.60s'", r->path,
                         r->line, text);
}

tsp_status tspi_utc_bounds_read(const char *path, tspi_utc_bounds *ret, tsp_error *err)
{
    reader r = {.path = path, .bounds = ret, .err = err, .report = {.system = NAN, .root_delay = NAN}};
    tspi_buf buf = {0};
    tsp_status rc = tspi_buf_read_file(&buf, path, FILE_MOST_BYTES, err);

    r.report.root_dispersion = NAN;
    if (rc == TSP_OK) {
        tspi_buf_putc(&buf, 0);
        if (!tspi_buf_ok(&buf))
            rc = tsp_error_set(err, TSP_ENOMEM, "out of memory");
    }
    if (rc == TSP_OK && memchr(buf.data, 0, buf.len - 1))
        rc = tsp_error_set(err, TSP_EPARSE, "%s: this is no text", path);
    for (char *at = (char *)buf.data, *end; rc == TSP_OK && at; at = end) {
        end = strchr(at, '\n');
        if (end)
            *end++ = 0;
        r.line++;
        rc = read_line(&r, at);
    }
    if (rc == TSP_OK)
        rc = end_report(&r);
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
