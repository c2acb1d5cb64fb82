/* What `truespan fix` says of what it did. */
#ifndef TSPI_CLI_FIX_PRINT_H
#define TSPI_CLI_FIX_PRINT_H

#include <stdio.h>

#include "mend/mend.h"

void fix_print_text(const tspi_mend *mend, const tspi_mend_outcome *outcome, FILE *out);
void fix_print_json(const tspi_mend *mend, const tspi_mend_outcome *outcome, FILE *out);

#endif
