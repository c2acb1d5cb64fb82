/* What an experiment found, as a table for people. */
#ifndef TSPI_CLI_LAB_TABLE_H
#define TSPI_CLI_LAB_TABLE_H

#include <stdio.h>

#include "lab/lab_result.h"
#include "lab/spec.h"

void lab_table_print(const tspi_spec *spec, const tspi_lab_result *result, FILE *out);

#endif
