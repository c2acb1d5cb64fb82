/* What the built-in weights say to a few prompts: the same on every machine, compiler and instruction set. */
#ifndef TESTS_TINY_TEXTS_H
#define TESTS_TINY_TEXTS_H

#include <string.h>

#include "engine/engine.h"

/* Append to ret_text every prompt and its answer, greedy and drawn. */
static tsp_status tiny_texts(tspi_buf *ret_text, tsp_error *err)
{
    static const char *const prompts[] = {"In the beginning", "Tell me of the river and the two brothers",
                                          "A lamp was lit in the house", "What is a clock?", ""};
    static const double temperatures[] = {0, 0.7, 1};
    tspi_engine_config config = {
        .name = "tiny", .jobs = TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DECODE | TSPI_ENGINE_DETOKENIZE, .max_sessions = 1};
    tspi_engine *engine = NULL;
    tsp_status rc = tspi_engine_open(&config, &engine, err);

    for (unsigned k = 0; rc == TSP_OK && k < 15; k++) {
        const char *prompt = prompts[k % 5];
        tspi_sampling sampling = {.max_tokens = 160, .temperature = temperatures[k / 5], .seed = k};
        tspi_buf_printf(ret_text, "[temperature %g, seed %u: %s]", sampling.temperature, k, prompt);
        rc = tspi_engine_complete(engine, prompt, strlen(prompt), &sampling, ret_text, NULL, err);
        tspi_buf_puts(ret_text, "\n\n");
    }
    tspi_engine_close(engine);
    return rc;
}

#endif
