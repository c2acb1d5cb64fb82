/* The text that every prompt must yield: the same engine, in one process, one request at a time. */
#ifndef TSPI_LAB_REFERENCE_H
#define TSPI_LAB_REFERENCE_H

#include <stdbool.h>

#include "engine/engine.h"
#include "lab/prompts.h"
#include "lab/spec.h"

/* engine: borrowed, does all jobs; NULL = the spec's is opened for it.
 * ret_sha256: SHA-256 of each prompt's text, 32 bytes a prompt, owned (free); NULL when the engine is not
 * deterministic, and then *ret_why says so (static text), else "".
 * Also a check, before anything is started, that the engine is there and works. */
tsp_status tspi_reference_outputs(const tspi_spec *spec, const tspi_prompts *prompts, tspi_engine *engine,
                                  uint8_t (**ret_sha256)[32], const char **ret_why, tsp_error *err);

#endif
