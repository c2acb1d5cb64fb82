/* How the answer of `truespan check` is written. */
#ifndef TSPI_CLI_CHECK_PRINT_H
#define TSPI_CLI_CHECK_PRINT_H

#include <stdio.h>

#include "base/buf.h"
#include "truespan/check.h"

/* Exactly the keys of DESIGN.md, "What a program reads". */
void check_print_json(const tsp_check *check, FILE *out);

/* One key more, "pairs", where there are any; also for `truespan clocks`. check may be NULL. */
void check_put_pairs(const tsp_check *check, tspi_buf *buf);

/* What the screen can show.
 * columns  of the terminal, for bars of time; 0 = no terminal: no bars
 * utf8     block elements rather than ASCII
 * colour   escape sequences may be used */
typedef struct {
    unsigned columns;
    bool utf8, colour;
} check_screen;

/* The clocks that the solver spoke of, the accused first, with their offsets over time; at most shown of them (0 =
 * all). Nothing where it did not run or there is but one clock. */
void check_print_clocks(const tsp_check *check, uint64_t shown, const check_screen *screen, FILE *out);

/* For people: the trace that was asked for, whole. */
void check_print_tree(const tsp_check *check, const char *trace_id, const check_screen *screen, FILE *out);

/* The trace of the worst example: the lines around the offending pair, as bars of time. Nothing without a terminal or
 * where no tree was kept. */
void check_print_worst(const tsp_check *check, const check_screen *screen, FILE *out);

#endif
