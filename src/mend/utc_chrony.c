/* What chrony says of a clock, in its three ways:
 *
 *     clock host-b at 1700000000123456789                        `chronyc tracking` below clock and time
 *     Reference ID    : A29FC87B (162.159.200.123)
 *     ...
 *
 *     host-b,1700000000123456789,A29FC87B,162.159.200.123,4,...  `chronyc -c tracking` behind clock and time
 *
 *     clock host-b                                               tracking.log below the clock
 *     2017-08-22 13:22:36 203.0.113.15     2     -3.541      0.075 -8.621e-06 N  2 ...
 *
 * chronyc(1): the clock is off by no more than its system time offset, root dispersion and half of the root delay. In
 * `tracking`, "slow" says that the clock is behind; with -c that is a positive number. chrony.conf(5), log tracking:
 * the fourteenth column is the most that the clock was off by since the line before, all of that counted. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mend/utc_chrony.h"
#include "truespan/clocks.h"

enum { FIELDS = 14, LOG_COLUMNS = 14 };

/* Of `chronyc -c tracking`, counted from 0. */
enum { FIELD_ID = 0, FIELD_SYSTEM = 4, FIELD_ROOT_DELAY = 10, FIELD_ROOT_DISPERSION = 11, FIELD_LEAP = 13 };

/* Of tracking.log, likewise. Its numbers have four digits. */
#define LOG_ROUNDING 5e-4
enum { LOG_DATE = 0, LOG_TIME = 1, LOG_LEAP = 7, LOG_ERROR = 13 };

/* Seconds as chrony prints them, to ns. */
static bool seconds(const char *text, double *ret_ns)
{
    char *end;

    *ret_ns = strtod(text, &end) * 1e9;
    return end != text && (!*end || *end == ' ') && fabs(*ret_ns) < (double)TSP_STAMP_MAX;
}

/* Whole ns outward. system_ns > 0: the clock is behind. */
static tsp_status add(tspi_utc_reader *r, const char *clock, int64_t at_ns, double system_ns, double delay_ns,
                      double dispersion_ns, uint32_t line)
{
    double error = delay_ns / 2 + dispersion_ns;

    if (!(delay_ns >= 0 && dispersion_ns >= 0))
        return tspi_utc_wrong_line(r, line, "root delay and dispersion cannot be negative");
    return tspi_utc_add(r, clock, at_ns, (int64_t)floor(-system_ns - error) - 1, (int64_t)ceil(-system_ns + error) + 1,
                        line);
}

/* A report needs to be told whose it is and when it was made; a line of the log says when itself. */
static tsp_status want_clock(const tspi_utc_reader *r)
{
    return r->clock && r->has_at
               ? TSP_OK
               : tspi_utc_wrong_line(
                     r, r->line,
                     "chrony says neither which clock nor when: put 'clock NAME at NS' before it ('clock NAME' before "
                     "tracking.log)");
}

/* ---- chronyc -c tracking ---- */

static bool is_reference_id(const char *text)
{
    return strlen(text) == 8 && strspn(text, "0123456789ABCDEFabcdef") == 8;
}

static tsp_status read_fields(tspi_utc_reader *r, const char *clock, int64_t at_ns, char **fields)
{
    double system, delay, dispersion;

    if (strcmp(fields[FIELD_LEAP], "Not synchronised") == 0) {
        r->bounds->unsynchronised++;
        return TSP_OK;
    }
    if (!seconds(fields[FIELD_SYSTEM], &system))
        return tspi_utc_wrong(r, "system time", fields[FIELD_SYSTEM], "seconds");
    if (!seconds(fields[FIELD_ROOT_DELAY], &delay))
        return tspi_utc_wrong(r, "root delay", fields[FIELD_ROOT_DELAY], "seconds");
    if (!seconds(fields[FIELD_ROOT_DISPERSION], &dispersion))
        return tspi_utc_wrong(r, "root dispersion", fields[FIELD_ROOT_DISPERSION], "seconds");
    return add(r, clock, at_ns, system, delay, dispersion, r->line);
}

tsp_status tspi_chrony_fields(tspi_utc_reader *r, char **fields, size_t n, bool *ret_is_one)
{
    int64_t at;

    *ret_is_one = true;
    if (n == FIELDS && is_reference_id(fields[FIELD_ID])) {
        tsp_status rc = want_clock(r);
        return rc == TSP_OK ? read_fields(r, r->clock, r->at_ns, fields) : rc;
    }
    *ret_is_one = n == FIELDS + 2 && is_reference_id(fields[2 + FIELD_ID]);
    if (!*ret_is_one)
        return TSP_OK;
    if (!tspi_utc_moment(fields[1], &at))
        return tspi_utc_wrong(r, "at", fields[1], "Unix ns, or seconds with a point");
    return read_fields(r, fields[0], at, fields + 2);
}

/* ---- tracking.log ---- */

static bool is_date(const char *text)
{
    static const char shape[] = "0000-00-00 00:00:00 ";

    for (size_t k = 0; shape[k]; k++)
        if (shape[k] == '0' ? text[k] < '0' || text[k] > '9' : text[k] != shape[k])
            return false;
    return true;
}

/* The second in which the line was written, by the clock itself. */
static bool log_time(const char *date, const char *time, int64_t *ret_ns)
{
    struct tm tm = {0}, same;
    time_t at;

    if (sscanf(date, "%4d-%2d-%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday) != 3 ||
        sscanf(time, "%2d:%2d:%2d", &tm.tm_hour, &tm.tm_min, &tm.tm_sec) != 3)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    same = tm;
    at = timegm(&same);
    if (same.tm_mday != tm.tm_mday || same.tm_mon != tm.tm_mon || same.tm_hour != tm.tm_hour ||
        same.tm_min != tm.tm_min || at > TSP_STAMP_MAX / TSP_NS_PER_S || at < -TSP_STAMP_MAX / TSP_NS_PER_S)
        return false;
    *ret_ns = at * TSP_NS_PER_S;
    return true;
}

tsp_status tspi_chrony_log(tspi_utc_reader *r, char *line, bool *ret_is_one)
{
    char *columns[LOG_COLUMNS], *rest = line;
    size_t n = 0;
    int64_t at;
    double error;

    *ret_is_one = is_date(line) || !strncmp(line, "=====", 5) || !strncmp(line, "Date (UTC)", 10);
    if (!is_date(line))
        return TSP_OK; /* a heading, as chronyd repeats it */
    for (char *word; n < LOG_COLUMNS && (word = strtok_r(rest, " \t", &rest));)
        columns[n++] = word;
    if (!r->clock)
        return tspi_utc_wrong_line(r, r->line, "tracking.log does not say which clock: put 'clock NAME' before it");
    if (n < LOG_COLUMNS)
        return tspi_utc_wrong_line(r, r->line, "want the 14 columns of chrony's tracking.log, to 'Max. error'");
    if (!strcmp(columns[LOG_LEAP], "?")) {
        r->bounds->unsynchronised++;
        return TSP_OK;
    }
    if (!log_time(columns[LOG_DATE], columns[LOG_TIME], &at))
        return tspi_utc_wrong(r, "Date", columns[LOG_DATE], "a date and a time of day");
    if (!seconds(columns[LOG_ERROR], &error) || !(error >= 0))
        return tspi_utc_wrong(r, "Max. error", columns[LOG_ERROR], "seconds, 0 or more");
    error *= 1 + LOG_ROUNDING;
    return tspi_utc_add(r, r->clock, at, (int64_t)floor(-error) - 1, (int64_t)ceil(error) + 1, r->line);
}

/* ---- chronyc tracking ---- */

tsp_status tspi_chrony_report_end(tspi_utc_reader *r)
{
    tspi_utc_report done = r->report;

    r->report = (tspi_utc_report){.system = NAN, .root_delay = NAN, .root_dispersion = NAN};
    if (!done.open)
        return TSP_OK;
    if (done.unsynchronised) {
        r->bounds->unsynchronised++;
        return TSP_OK;
    }
    if (isnan(done.system))
        return tspi_utc_wrong_line(r, done.line, "the report lacks System time");
    if (isnan(done.root_delay) || isnan(done.root_dispersion))
        return tspi_utc_wrong_line(
            r, done.line, isnan(done.root_delay) ? "the report lacks Root delay" : "the report lacks Root dispersion");
    return add(r, r->clock, r->at_ns, done.system, done.root_delay, done.root_dispersion, done.line);
}

tsp_status tspi_chrony_clock(tspi_utc_reader *r, char *line)
{
    char *name = tspi_utc_trim(line + strlen("clock ")), *at = strstr(name, " at ");
    tsp_status rc = tspi_chrony_report_end(r);

    if (rc != TSP_OK)
        return rc;
    r->has_at = at != NULL;
    if (at) {
        *at = 0;
        at = tspi_utc_trim(at + 4);
        if (!tspi_utc_moment(at, &r->at_ns))
            return tspi_utc_wrong(r, "at", at, "Unix ns, or seconds with a point");
    }
    name = tspi_utc_trim(name);
    r->clock = tspi_arena_strndup(&r->bounds->arena, name, strlen(name));
    return r->clock ? TSP_OK : tsp_error_set(r->err, TSP_ENOMEM, "out of memory");
}

tsp_status tspi_chrony_report_line(tspi_utc_reader *r, char *line, char *colon)
{
    *colon = 0;
    const char *key = tspi_utc_trim(line), *value = tspi_utc_trim(colon + 1);
    tspi_utc_report *now = &r->report;
    tsp_status rc = strcmp(key, "Reference ID") ? TSP_OK : tspi_chrony_report_end(r);

    if (rc == TSP_OK)
        rc = want_clock(r);
    if (rc != TSP_OK)
        return rc;
    if (!now->open) {
        now->open = true;
        now->line = r->line;
    }
    if (!strcmp(key, "System time")) {
        if (!seconds(value, &now->system) || (!strstr(value, " slow") && !strstr(value, " fast")))
            return tspi_utc_wrong(r, "System time", value, "seconds slow or fast");
        if (strstr(value, " fast"))
            now->system = -now->system;
    } else if (!strcmp(key, "Root delay")) {
        if (!seconds(value, &now->root_delay))
            return tspi_utc_wrong(r, "Root delay", value, "seconds");
    } else if (!strcmp(key, "Root dispersion")) {
        if (!seconds(value, &now->root_dispersion))
            return tspi_utc_wrong(r, "Root dispersion", value, "seconds");
    } else if (!strcmp(key, "Leap status"))
        now->unsynchronised = !strcmp(value, "Not synchronised");
    return TSP_OK;
}
