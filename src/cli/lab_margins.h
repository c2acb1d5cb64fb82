/* How much more skew each edge of a run takes. */
#ifndef LAB_MARGINS_H
#define LAB_MARGINS_H

#include <stdio.h>

#include "lab/lab_result.h"

/* A table for people: of each transport the run without skew, or else its first one. Prints nothing where there is no
 * hop. */
void lab_margins_print(const tspi_lab_result *result, FILE *out);

#endif
