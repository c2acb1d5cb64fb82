/* The tiny model's forward pass, one token at a time, over a cache of what the last tokens left behind. */
#ifndef TSPI_ENGINE_TINY_FORWARD_H
#define TSPI_ENGINE_TINY_FORWARD_H

#include "engine/tiny_model.h"

/* One text in the making. Attention sees only the newest model->window tokens (it was trained so), so the cache is a
 * ring and a text may go on for ever. States share nothing but the model. */
typedef struct tspi_tiny_state tspi_tiny_state;

/* model is borrowed for the state's life and holds matrices. */
tsp_status tspi_tiny_state_new(const tspi_tiny_model *model, tspi_tiny_state **ret_state, tsp_error *err);
void tspi_tiny_state_free(tspi_tiny_state *state);

/* Add token id < vocab. The logits of its successor (vocab floats), valid until the next call; NULL and less work
 * when they are not wanted. */
float *tspi_tiny_forward(tspi_tiny_state *state, uint32_t id, bool want_logits);

/* Beyond so many tokens back nothing reaches the logits: each layer looks window - 1 further. */
static inline uint64_t tspi_tiny_reach(const tspi_tiny_model *model)
{
    return (uint64_t)model->layers * (model->window - 1) + 1;
}

#endif
