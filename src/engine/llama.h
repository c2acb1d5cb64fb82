/* The engine "llama": llama.cpp with a GGUF model, on one thread of the CPU. config->model is the model's file;
 * NULL means .parts/models/SmolLM2-135M-Instruct.Q4_1.gguf below the working directory, where `make demo-llm` puts it.
 * Without llama.cpp in the build, opening it says TSP_EUNSUPPORTED and how to have it. */
#ifndef TSPI_ENGINE_LLAMA_H
#define TSPI_ENGINE_LLAMA_H

#include "engine/engine.h"

extern const struct tspi_engine_ops tspi_engine_llama;

#endif
