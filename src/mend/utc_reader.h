/* A file of bounds while it is read, line by line: what CSV (utc_bounds.c) and chrony's words (utc_chrony.c) share. */
#ifndef TSPI_MEND_UTC_READER_H
#define TSPI_MEND_UTC_READER_H

#include <stdbool.h>

#include "mend/utc_bounds.h"

/* A report of `chronyc tracking` being read: what it has said so far, in ns; NAN: nothing yet. */
typedef struct {
    bool open;
    uint32_t line;
    double system, root_delay, root_dispersion;
    bool unsynchronised;
} tspi_utc_report;

typedef struct {
    const char *path;
    tspi_utc_bounds *bounds;
    uint32_t line;
    const char *line_start; /* of the line, which is cut to pieces in place */
    size_t line_len;
    const char *clock; /* of the last "clock NAME"; NULL = none */
    bool has_at;       /* it went on "at TIME" */
    int64_t at_ns;
    tspi_utc_report report;
    tsp_error *err;
} tspi_utc_reader;

/* What is wrong with a field of this line: text lies in it, or is "" for one that is not there. */
tsp_status tspi_utc_wrong(const tspi_utc_reader *r, const char *field, const char *text, const char *want);

/* What is wrong with a line, which may be an earlier one. */
tsp_status tspi_utc_wrong_line(const tspi_utc_reader *r, uint32_t line, const char *what);

/* Without the blanks and quotes around it. */
char *tspi_utc_trim(char *text);

/* A whole number. */
bool tspi_utc_whole(const char *text, int64_t *ret);

/* Unix time: whole ns, or seconds with a point. */
bool tspi_utc_moment(const char *text, int64_t *ret_ns);

/* One bound more. TSP_EPARSE: no clock, or the bound ends before it begins; TSP_ERANGE; TSP_ENOMEM. */
tsp_status tspi_utc_add(tspi_utc_reader *r, const char *clock, int64_t at_ns, int64_t lo_ns, int64_t hi_ns,
                        uint32_t line);

#endif
