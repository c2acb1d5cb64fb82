/* How the answer of `truespan check` is written. */
#ifndef TSPI_CLI_CHECK_PRINT_H
#define TSPI_CLI_CHECK_PRINT_H

#include <stdio.h>

#include "truespan/check.h"

/* Exactly the keys of DESIGN.md, "What a program reads". */
void check_print_json(const tsp_check *check, FILE *out);

/* For people. colour: escape sequences may be used. */
void check_print_tree(const tsp_check *check, const char *trace_id, bool colour, FILE *out);

#endif
