/* The engine at a URL: any server that speaks OpenAI's chat API and streams its answers (llama-server, vLLM, Ollama,
 * a gateway). config->name is "http://host:port", "https://host", with or without "/v1"; config->model the model's
 * name there, NULL for the first that the server lists. A key comes from the environment's OPENAI_API_KEY.
 *
 * Pieces are plain UTF-8 here: the server tokenises. A prompt piece is the prompt's bytes, a token piece is the text of
 * one chunk of the stream. Opening for decoding asks the server for its models, so a wrong URL shows at once; the other
 * jobs open no connection. Transfers run in a thread of the engine's own: no step waits, and wait_fd tells when to.
 *
 * ops->deterministic is set only for a llama-server with one slot: see docs/engines.md. */
#ifndef TSPI_ENGINE_OPENAI_H
#define TSPI_ENGINE_OPENAI_H

#include "engine/engine.h"

typedef struct {
    long connect_ms;     /* until the connection stands */
    long idle_s;         /* between two bytes of an answer */
    size_t answer_bytes; /* of one answer, as it comes over the wire */
} tspi_openai_limits;

extern const struct tspi_engine_ops tspi_engine_openai;

/* As tspi_engine_openai.open, with other limits than 5 s, 60 s and 64 MiB. */
tsp_status tspi_openai_open(const tspi_engine_config *config, const tspi_openai_limits *limits,
                            tspi_engine **ret_engine, tsp_error *err);

#endif
