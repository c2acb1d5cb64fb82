/* The JSON of OpenAI's chat API, as far as an engine needs it: the request, a chunk of a streamed answer, the list of
 * models, an error's words. Source: OpenAI API reference, "Chat completions"; llama.cpp, tools/server/README.md. */
#ifndef TSPI_ENGINE_OPENAI_JSON_H
#define TSPI_ENGINE_OPENAI_JSON_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "engine/engine.h"

/* Append the body of a streamed request: prompt as one user message. Bytes that are not UTF-8 become U+FFFD. The seed
 * goes out modulo 2^31, which every server takes. no_cache adds llama.cpp's own "cache_prompt": false. */
void tspi_openai_put_request(tspi_buf *body, const char *model, const void *prompt, size_t len,
                             const tspi_sampling *sampling, bool no_cache);

/* One chunk: its text (there may be none) is appended to ret_text; *ret_finished is set when it closes the answer.
 * Errors: TSP_EPARSE: it is not JSON or not an object; TSP_EIO: it is an error message, whose words err then holds. */
tsp_status tspi_openai_read_chunk(const char *json, size_t len, tspi_buf *ret_text, bool *ret_finished, tsp_error *err);

/* The id of the first model of a list, NUL-terminated, appended. Errors: TSP_EPARSE. */
tsp_status tspi_openai_read_models(const char *json, size_t len, tspi_buf *ret_id, tsp_error *err);

/* total_slots of llama.cpp's /props: how many requests it works on side by side; 0 = it does not say. */
int tspi_openai_read_slots(const char *json, size_t len);

/* What an error's body says, on one line of at most size - 1 bytes: its JSON message, else its beginning. */
void tspi_openai_read_error(const char *body, size_t len, char *ret_words, size_t size);

#endif
