/* Loading a GGUF file with llama.cpp, whatever state the file is in; and what llama.cpp last complained about. */
#ifndef TSPI_ENGINE_LLAMA_LOAD_H
#define TSPI_ENGINE_LLAMA_LOAD_H

#include <stdbool.h>

#include "truespan/base.h"

struct llama_model;

/* Load the model file at path (NULL: the default place). weights false: only the vocabulary and the metadata.
 * *ret_model is the caller's: llama_model_free.
 * Errors: TSP_EIO: it cannot be opened; TSP_EPARSE: it is not a GGUF file, or is damaged; TSP_EUNSUPPORTED: it is not
 * a model that generates text. */
tsp_status tspi_llama_load(const char *path, bool weights, struct llama_model **ret_model, tsp_error *err);

/* The first error that llama.cpp logged on this thread since tspi_llama_forget_words: one line, "" when none. */
const char *tspi_llama_words(void);
void tspi_llama_forget_words(void);

#endif
