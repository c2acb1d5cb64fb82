/* summary.json: what an experiment found, for programs. The keys are an interface; docs/lab.md lists them. */
#ifndef TSPI_LAB_SUMMARY_H
#define TSPI_LAB_SUMMARY_H

#include "base/buf.h"
#include "lab/lab_result.h"
#include "lab/spec.h"

void tspi_summary_write(const tspi_spec *spec, const tspi_lab_result *result, tspi_buf *out);

#endif
