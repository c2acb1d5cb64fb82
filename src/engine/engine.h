/* An inference engine, as the stages of the lab use it: tokenise, decode a token at a time, detokenise.
 *
 * The three jobs may run in three processes, so what passes between them is bytes ("pieces") that only the engine
 * understands: a tokeniser makes a prompt piece from text, a session turns a prompt piece into token pieces,
 * a detokeniser turns token pieces back into text. An engine opened for one job loads only what that job needs. */
#ifndef TSPI_ENGINE_ENGINE_H
#define TSPI_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "truespan/base.h"

enum {
    TSPI_ENGINE_TOKENIZE = 1,
    TSPI_ENGINE_DECODE = 2,
    TSPI_ENGINE_DETOKENIZE = 4,
};

typedef struct {
    const char *name;      /* "tiny", "llama", or a URL "http://..."; borrowed */
    const char *model;     /* path of a model file, or the model's name at a URL; NULL = the engine's default */
    unsigned jobs;         /* TSPI_ENGINE_* or-ed */
    unsigned max_sessions; /* sessions alive at one time, at most; >= 1 */
} tspi_engine_config;

/* How the next token is chosen. temperature 0 = greedy, the most likely token, ties to the lowest id. */
typedef struct {
    unsigned max_tokens;
    double temperature;
    uint64_t seed; /* of the session's own generator; the same seed gives the same tokens */
} tspi_sampling;

typedef struct tspi_engine tspi_engine;
typedef struct tspi_session tspi_session;
typedef struct tspi_detokenizer tspi_detokenizer;

struct tspi_engine_ops {
    const char *name;
    /* Whether the same prompt and seed give the same text however many sessions run side by side. */
    bool deterministic;
    tsp_status (*open)(const tspi_engine_config *config, tspi_engine **ret_engine, tsp_error *err);
    void (*close)(tspi_engine *engine);

    /* Append the prompt piece for text to ret_piece. ret_tokens: how many tokens it holds, 0 = unknown. */
    tsp_status (*tokenize)(tspi_engine *engine, const char *text, size_t len, tspi_buf *ret_piece,
                           uint32_t *ret_tokens, tsp_error *err);

    /* Begin a generation; returns at once. prompt is borrowed for the call. The prefill happens in the first steps. */
    tsp_status (*session_new)(tspi_engine *engine, const void *prompt, size_t len, const tspi_sampling *sampling,
                              tspi_session **ret_session, tsp_error *err);
    /* One step of work: a token piece is appended to ret_piece, or none yet (TSP_EAGAIN: step again; if the engine has
     * a wait_fd, after it turned readable). *ret_done: no more tokens follow; then the piece may be empty. */
    tsp_status (*step)(tspi_session *session, tspi_buf *ret_piece, bool *ret_done, tsp_error *err);
    void (*session_free)(tspi_session *session);

    /* A detokeniser belongs to one generation: text may depend on the pieces before. */
    tsp_status (*detokenizer_new)(tspi_engine *engine, tspi_detokenizer **ret_detokenizer, tsp_error *err);
    /* Append the text of one piece, whole UTF-8 characters only: an unfinished one waits for the next piece. */
    tsp_status (*detokenize)(tspi_detokenizer *detokenizer, const void *piece, size_t len, tspi_buf *ret_text,
                             tsp_error *err);
    void (*detokenizer_free)(tspi_detokenizer *detokenizer);

    /* NULL, or a descriptor that is readable when some session's step will not say TSP_EAGAIN. */
    int (*wait_fd)(tspi_engine *engine);
};

/* Every engine's own struct begins with this. */
struct tspi_engine {
    const struct tspi_engine_ops *ops;
};
struct tspi_session {
    tspi_engine *engine; /* borrowed */
};
struct tspi_detokenizer {
    tspi_engine *engine; /* borrowed */
};

extern const struct tspi_engine_ops tspi_engine_tiny;

/* Find the engine that config->name means and open it for config->jobs. Owned by the caller: tspi_engine_close.
 * Errors: TSP_EUNSUPPORTED: this build lacks it, the message says how to have it; TSP_EINVAL: no such engine. */
tsp_status tspi_engine_open(const tspi_engine_config *config, tspi_engine **ret_engine, tsp_error *err);
void tspi_engine_close(tspi_engine *engine);

/* The text that a prompt yields, in this process, one session alone: what a pipeline's output must equal.
 * Appended to ret_text; ret_tokens counts token pieces. */
tsp_status tspi_engine_complete(tspi_engine *engine, const char *prompt, size_t len, const tspi_sampling *sampling,
                                tspi_buf *ret_text, uint32_t *ret_tokens, tsp_error *err);

#endif
