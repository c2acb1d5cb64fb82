/* How the answer of `truespan clocks` is written. */
#ifndef TSPI_CLI_CLOCKS_PRINT_H
#define TSPI_CLI_CLOCKS_PRINT_H

#include <stdio.h>

#include "mend/mend.h"
#include "truespan/check.h"

/* What stands for a program that reads: the reference of the largest group, or NULL. */
const char *clocks_reference(const tspi_mend *mend);

/* One verdict of all: 1 when a clock is proven or suspected wrong. */
bool clocks_found(const tspi_mend *mend);

/* For people. check: its pairs, or NULL; columns: of the terminal, 0 = none; utf8: it shows more than ASCII. */
void clocks_print_table(const tspi_mend *mend, const tsp_check *check, unsigned columns, bool utf8, FILE *out);

/* A row a knot. */
void clocks_print_csv(const tspi_mend *mend, FILE *out);

/* Exactly the keys of DESIGN.md, "What a program reads", and with why >= 0 one more, "why", for that clock. */
tsp_status clocks_print_json(const tspi_mend *mend, const tsp_check *check, int64_t why, FILE *out, tsp_error *err);

/* The hops that prove both bounds of a clock, to be added up by hand. */
tsp_status clocks_print_why(const tspi_mend *mend, uint32_t clock, FILE *out, tsp_error *err);

/* The links whose limits sum to less than zero, if there are any. */
void clocks_print_conflict(const tspi_mend *mend, FILE *out);

/* The instant at which a clock's bounds say most: its last, or the one furthest from zero where only that proves. */
int64_t clocks_instant(const tsp_clock_result *clock, bool *ret_known);

/* Trace and span ids, as lower-case hex. */
void clocks_format_span(const tspi_mend *mend, uint32_t span, char ret_trace[33], char ret_span[17]);

#endif
