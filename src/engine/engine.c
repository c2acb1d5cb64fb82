#include "engine/engine.h"

#include <poll.h>
#include <string.h>

#include "engine/llama.h"
#include "engine/openai.h"

/* A build may lack what an engine needs; then its open says so, and how to have it. */
static const struct tspi_engine_ops *const engines[] = {&tspi_engine_tiny, &tspi_engine_llama, &tspi_engine_openai};

enum { WAIT_MS = 1000 }; /* an engine with a descriptor is asked again at least so often */

/* A URL names the engine that speaks to it. */
static const char *engine_name(const char *name)
{
    return !strncmp(name, "http://", 7) || !strncmp(name, "https://", 8) ? "openai" : name;
}

tsp_status tspi_engine_open(const tspi_engine_config *config, tspi_engine **ret_engine, tsp_error *err)
{
    const char *name = engine_name(config->name);

    if (!config->jobs || config->max_sessions < 1)
        return tsp_error_set(err, TSP_EINVAL, "engine '%s': nothing to do for it", config->name);
    for (size_t k = 0; k < sizeof engines / sizeof *engines; k++)
        if (!strcmp(engines[k]->name, name)) {
            tsp_status rc = engines[k]->open(config, ret_engine, err);
            if (rc != TSP_OK)
                tsp_error_note(err, "engine '%s'", config->name);
            return rc;
        }
    return tsp_error_set(err, TSP_EINVAL, "no engine is called '%s': want tiny, llama or a URL", config->name);
}

void tspi_engine_close(tspi_engine *engine)
{
    if (engine)
        engine->ops->close(engine);
}

static void wait_for(tspi_engine *engine)
{
    struct pollfd fd = {.fd = engine->ops->wait_fd ? engine->ops->wait_fd(engine) : -1, .events = POLLIN};

    if (fd.fd >= 0)
        poll(&fd, 1, WAIT_MS);
}

static tsp_status run(tspi_session *session, tspi_detokenizer *detokenizer, tspi_buf *ret_text, uint32_t *ret_tokens,
                      tsp_error *err)
{
    const struct tspi_engine_ops *ops = session->engine->ops;
    tspi_buf piece = {0};
    tsp_status rc = TSP_OK;
    bool done = false;

    while (rc == TSP_OK && !done) {
        tspi_buf_clear(&piece);
        rc = ops->step(session, &piece, &done, err);
        if (rc == TSP_EAGAIN) {
            wait_for(session->engine);
            rc = TSP_OK;
        } else if (rc == TSP_OK && piece.len) {
            ++*ret_tokens;
            rc = ops->detokenize(detokenizer, piece.data, piece.len, ret_text, err);
        }
    }
    tspi_buf_release(&piece);
    return rc;
}

tsp_status tspi_engine_complete(tspi_engine *engine, const char *prompt, size_t len, const tspi_sampling *sampling,
                                tspi_buf *ret_text, uint32_t *ret_tokens, tsp_error *err)
{
    const struct tspi_engine_ops *ops = engine->ops;
    tspi_session *session = NULL;
    tspi_detokenizer *detokenizer = NULL;
    tspi_buf piece = {0};
    uint32_t prompt_tokens, tokens = 0;
    tsp_status rc = ops->tokenize(engine, prompt, len, &piece, &prompt_tokens, err);

    if (rc == TSP_OK)
        rc = ops->detokenizer_new(engine, &detokenizer, err);
    if (rc == TSP_OK)
        rc = ops->session_new(engine, piece.data, piece.len, sampling, &session, err);
    if (rc == TSP_OK)
        rc = run(session, detokenizer, ret_text, &tokens, err);
    if (ret_tokens)
        *ret_tokens = tokens;
    if (session)
        ops->session_free(session);
    if (detokenizer)
        ops->detokenizer_free(detokenizer);
    tspi_buf_release(&piece);
    return rc;
}
