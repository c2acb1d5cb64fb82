/* What chrony prints, as bounds: reports of `chronyc tracking`, in words or fields, and tracking.log. */
#ifndef TSPI_MEND_UTC_CHRONY_H
#define TSPI_MEND_UTC_CHRONY_H

#include "mend/utc_reader.h"

/* "clock NAME", or "clock NAME at TIME": whose the lines below are, and when a report was made. */
tsp_status tspi_chrony_clock(tspi_utc_reader *r, char *line);

/* Fields of `chronyc -c tracking`, with clock and time before them or not. *ret_is_one: they are that. */
tsp_status tspi_chrony_fields(tspi_utc_reader *r, char **fields, size_t n, bool *ret_is_one);

/* A line of tracking.log, headings too. *ret_is_one: it is that. */
tsp_status tspi_chrony_log(tspi_utc_reader *r, char *line, bool *ret_is_one);

/* "Key : value" of `chronyc tracking`, and what comes behind the last of them. */
tsp_status tspi_chrony_report_line(tspi_utc_reader *r, char *line, char *colon);
tsp_status tspi_chrony_report_end(tspi_utc_reader *r);

#endif
