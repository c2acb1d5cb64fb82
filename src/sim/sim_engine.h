/* An engine whose every answer was computed once, really, by the engine that the spec names, and is then given again
 * from memory, token by token, each at its cost in virtual time. Which token follows which is the model's own doing;
 * whether it arrives whole and in order is the pipeline's, and is checked as in the lab. */
#ifndef TSPI_SIM_SIM_ENGINE_H
#define TSPI_SIM_SIM_ENGINE_H

#include "engine/engine.h"
#include "lab/spec.h"

typedef struct tspi_answers tspi_answers;

/* Opens the engine of spec. TSP_EUNSUPPORTED: its answers are not the same every time. */
tsp_status tspi_answers_new(const tspi_spec *spec, tspi_answers **ret_answers, tsp_error *err);
void tspi_answers_free(tspi_answers *answers);
/* The same, as an engine whose work costs nothing and which frees the answers when it is closed; and its answers. */
tsp_status tspi_answers_open(const tspi_spec *spec, tspi_engine **ret_engine, tsp_error *err);
tspi_answers *tspi_answers_of(tspi_engine *engine);

enum tspi_work { TSPI_WORK_TOKENIZE, TSPI_WORK_TOKEN, TSPI_WORK_DETOKENIZE };

/* A handle on the answers, which must outlive it. spend: called before each piece of work; NULL = work costs nothing.
 */
tsp_status tspi_answers_engine(tspi_answers *answers, void (*spend)(void *ctx, enum tspi_work work), void *ctx,
                               tspi_engine **ret_engine, tsp_error *err);

#endif
