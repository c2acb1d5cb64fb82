/* The stages of a spec and the machines that run them, from the raw values of its YAML. */
#ifndef TSPI_LAB_SPEC_STAGES_H
#define TSPI_LAB_SPEC_STAGES_H

#include "lab/spec.h"
#include "lab/spec_reader.h"
#include "lab/spec_schema.h"

/* Replaces the stages that spec has, where raw has any. */
void tspi_spec_get_stages(tspi_spec_reader *in, const struct raw_spec *raw, tspi_spec *spec);
/* After the stages: every one of them needs a host, where there are hosts. */
void tspi_spec_get_hosts(tspi_spec_reader *in, const struct raw_spec *raw, tspi_spec *spec);
void tspi_spec_release_stages(tspi_spec *spec);

#endif
