/* The engine "llama": libllama (llama.cpp) with a GGUF model, on the CPU.
 *
 * What passes between the jobs: a prompt piece is the prompt's token ids, a token piece is one id; an id is 4 bytes,
 * little-endian. Tokenising and detokenising need only the vocabulary (25 MB for SmolLM2 instead of 140).
 *
 * Same text however many sessions run side by side: each session has a context of its own, so its cache never mixes
 * with another's; the prompt is read in chunks that begin at fixed places; sessions are never batched together.
 * (Batches of other shapes sum in another order, and a greedy choice between near ties then differs.)
 * A context is kept for the next session when its own ends: making one takes longer than a token does. */
#include "engine/llama.h"

#include <errno.h>
#include <llama.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "engine/llama_load.h"
#include "engine/utf8_stream.h"

enum {
    PROMPT_CHUNK = 32,              /* tokens of the prompt read in one step: some 40 ms with SmolLM2 */
    CONTEXT_QUANTUM = 256,          /* contexts come in multiples of this, in tokens, so that they fit again */
    MAX_PROMPT_BYTES = 1024 * 1024, /* far beyond what any context holds */
    MAX_TOKEN_BYTES = 4 * 1024,     /* the text of one token */
    MAX_SESSIONS = 1024,
};

typedef struct {
    tspi_engine base;
    struct llama_model *model;
    const struct llama_vocab *vocab;
    unsigned jobs, max_sessions, live_sessions;
    struct llama_context **idle; /* contexts without a session, max_sessions places */
    unsigned idle_count;
} llama_engine;

typedef struct {
    tspi_session base;
    struct llama_context *context;
    tspi_sampling sampling;
    tspi_random random;
    llama_token *prompt; /* owned; NULL once it is read */
    int32_t prompt_len, prompt_done;
    llama_token last; /* the token made last, not yet seen by the model */
    unsigned made;
    bool ended;
} llama_session;

typedef struct {
    tspi_detokenizer base;
    tspi_utf8_stream characters;
    bool begun;
} llama_text;

static llama_engine *engine_of(tspi_engine *engine)
{
    return (llama_engine *)engine;
}

static void put_token(tspi_buf *piece, llama_token token)
{
    uint32_t id = (uint32_t)token;
    uint8_t bytes[4] = {(uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16), (uint8_t)(id >> 24)};
    tspi_buf_append(piece, bytes, sizeof bytes);
}

/* The ids in a piece: 4-byte words, each a token of this model. ret_ids holds len / 4. */
static tsp_status read_tokens(const llama_engine *engine, const uint8_t *bytes, size_t len, llama_token *ret_ids,
                              tsp_error *err)
{
    int32_t vocabulary = llama_vocab_n_tokens(engine->vocab);

    if (len % 4)
        return tsp_error_set(err, TSP_EPARSE, "a llama piece of %zu bytes: not a whole number of tokens", len);
    for (size_t k = 0; k < len / 4; k++, bytes += 4) {
        uint32_t id = bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
        if (id >= (uint32_t)vocabulary)
            return tsp_error_set(err, TSP_EPARSE, "token %u is not one of this model's %d: another model made it", id,
                                 vocabulary);
        ret_ids[k] = (llama_token)id;
    }
    return TSP_OK;
}

/* Opening and closing */

static void engine_close(tspi_engine *base)
{
    llama_engine *engine = engine_of(base);

    if (!engine)
        return;
    while (engine->idle_count)
        llama_free(engine->idle[--engine->idle_count]);
    free(engine->idle);
    llama_model_free(engine->model);
    free(engine);
}

static tsp_status engine_open(const tspi_engine_config *config, tspi_engine **ret_engine, tsp_error *err)
{
    llama_engine *engine;
    tsp_status rc;

    if (config->max_sessions < 1 || config->max_sessions > MAX_SESSIONS)
        return tsp_error_set(err, TSP_EINVAL, "%u sessions: the llama engine takes 1 to %d", config->max_sessions,
                             MAX_SESSIONS);
    engine = calloc(1, sizeof *engine);
    if (!engine)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for the llama engine");
    engine->base.ops = &tspi_engine_llama;
    engine->jobs = config->jobs;
    engine->max_sessions = config->max_sessions;
    engine->idle = calloc(config->max_sessions, sizeof *engine->idle);
    if (!engine->idle)
        rc = tsp_error_set(err, TSP_ENOMEM, "no memory for the llama engine");
    else
        rc = tspi_llama_load(config->model, config->jobs & TSPI_ENGINE_DECODE, &engine->model, err);
    if (rc != TSP_OK) {
        engine_close(&engine->base);
        return rc;
    }
    engine->vocab = llama_model_get_vocab(engine->model);
    *ret_engine = &engine->base;
    return TSP_OK;
}

/* Tokenising: the text as a user's turn in the model's own chat format, or as it is where the model has none. */

static tsp_status apply_template(const llama_engine *engine, const char *text, size_t len, tspi_buf *ret_prompt,
                                 tsp_error *err)
{
    const char *template = llama_model_chat_template(engine->model, NULL);
    struct llama_chat_message message = {.role = "user"};
    tspi_buf user = {0};
    int32_t need;

    tspi_buf_append(&user, text, len);
    tspi_buf_putc(&user, '\0');
    if (!tspi_buf_ok(&user))
        goto no_memory;
    message.content = (const char *)user.data;
    need = template ? llama_chat_apply_template(template, &message, 1, true, NULL, 0) : -1;
    if (need < 0) { /* no template, or one that this library does not know */
        tspi_buf_append(ret_prompt, text, len);
    } else if (tspi_buf_reserve(ret_prompt, (size_t)need + 1)) {
        llama_chat_apply_template(template, &message, 1, true, (char *)ret_prompt->data + ret_prompt->len, need);
        ret_prompt->len += (size_t)need;
    }
    if (!tspi_buf_ok(ret_prompt))
        goto no_memory;
    tspi_buf_release(&user);
    return TSP_OK;
no_memory:
    tspi_buf_release(&user);
    return tsp_error_set(err, TSP_ENOMEM, "no memory for a prompt of %zu bytes", len);
}

static tsp_status tokenize_prompt(const llama_engine *engine, const tspi_buf *prompt, tspi_buf *ret_piece,
                                  uint32_t *ret_tokens, tsp_error *err)
{
    /* A token is at least a byte of text, but for the few that mark the beginning and the end. */
    int32_t room = (int32_t)prompt->len + 16;
    llama_token *ids = malloc((size_t)room * sizeof *ids);

    if (!ids)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a prompt of %zu bytes", prompt->len);
    int32_t count =
        llama_tokenize(engine->vocab, (const char *)prompt->data, (int32_t)prompt->len, ids, room, true, true);
    for (int32_t k = 0; k < count; k++)
        put_token(ret_piece, ids[k]);
    free(ids);
    if (count < 0)
        return tsp_error_set(err, TSP_ERANGE, "a prompt of %zu bytes yields too many tokens", prompt->len);
    if (!tspi_buf_ok(ret_piece))
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a prompt of %d tokens", count);
    *ret_tokens = (uint32_t)count;
    return TSP_OK;
}

static tsp_status tokenize(tspi_engine *base, const char *text, size_t len, tspi_buf *ret_piece, uint32_t *ret_tokens,
                           tsp_error *err)
{
    const llama_engine *engine = engine_of(base);
    tspi_buf prompt = {0};

    if (len > MAX_PROMPT_BYTES)
        return tsp_error_set(err, TSP_ERANGE, "a prompt of %zu bytes: the llama engine takes %d at most", len,
                             MAX_PROMPT_BYTES);
    if (memchr(text, '\0', len))
        return tsp_error_set(err, TSP_EINVAL, "the prompt holds a NUL byte: it must be text");
    tsp_status rc = apply_template(engine, text, len, &prompt, err);
    if (rc == TSP_OK)
        rc = tokenize_prompt(engine, &prompt, ret_piece, ret_tokens, err);
    tspi_buf_release(&prompt);
    return rc;
}

/* Decoding */

/* A context of at least size tokens: one that is idle, or a new one in the place of an idle one too small. */
static struct llama_context *take_context(llama_engine *engine, uint32_t size)
{
    struct llama_context_params params = llama_context_default_params();

    for (unsigned k = 0; k < engine->idle_count; k++) {
        struct llama_context *context = engine->idle[k];
        if (llama_n_ctx(context) >= size) {
            engine->idle[k] = engine->idle[--engine->idle_count];
            llama_memory_clear(llama_get_memory(context), true);
            return context;
        }
    }
    if (engine->live_sessions + engine->idle_count >= engine->max_sessions)
        llama_free(engine->idle[--engine->idle_count]);
    params.n_ctx = size;
    params.n_batch = params.n_ubatch = PROMPT_CHUNK;
    params.n_seq_max = params.n_outputs_max = 1;
    params.n_threads = params.n_threads_batch = 1; /* two threads on two busy cores fall to a fifth of the speed */
    return llama_init_from_model(engine->model, params);
}

static void session_free(tspi_session *base)
{
    llama_session *session = (llama_session *)base;

    if (!session)
        return;
    if (session->context) {
        llama_engine *engine = engine_of(base->engine);
        engine->idle[engine->idle_count++] = session->context;
        engine->live_sessions--;
    }
    free(session->prompt);
    free(session);
}

/* Read the prompt piece and see whether it fits the model, with the tokens to come. */
static tsp_status take_prompt(llama_engine *engine, llama_session *session, const void *prompt, size_t len,
                              tsp_error *err)
{
    int32_t most = llama_model_n_ctx_train(engine->model);
    tsp_status rc;

    if (len / 4 < 1)
        return tsp_error_set(err, TSP_EINVAL, "an empty prompt: the model has nothing to go on");
    if (len / 4 > (size_t)most || session->sampling.max_tokens > (unsigned)most - len / 4)
        return tsp_error_set(err, TSP_ERANGE,
                             "a prompt of %zu tokens and %u more do not fit the model's context of %d tokens", len / 4,
                             session->sampling.max_tokens, most);
    session->prompt = malloc(len);
    if (!session->prompt)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a prompt of %zu tokens", len / 4);
    rc = read_tokens(engine, prompt, len, session->prompt, err);
    session->prompt_len = (int32_t)(len / 4);
    return rc;
}

static tsp_status session_new(tspi_engine *base, const void *prompt, size_t len, const tspi_sampling *sampling,
                              tspi_session **ret_session, tsp_error *err)
{
    llama_engine *engine = engine_of(base);
    llama_session *session;
    uint32_t size;
    tsp_status rc;

    if (!(engine->jobs & TSPI_ENGINE_DECODE))
        return tsp_error_set(err, TSP_EINVAL, "this llama engine was not opened for decoding");
    if (engine->live_sessions >= engine->max_sessions)
        return tsp_error_set(err, TSP_EINVAL, "the llama engine was opened for %u sessions, and all are alive",
                             engine->max_sessions);
    if (!(sampling->temperature >= 0) || isinf(sampling->temperature))
        return tsp_error_set(err, TSP_EINVAL, "temperature %g: it must be 0 or more", sampling->temperature);
    session = calloc(1, sizeof *session);
    if (!session)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a session");
    session->base.engine = base;
    session->sampling = *sampling;
    tspi_random_seed(&session->random, sampling->seed);
    rc = take_prompt(engine, session, prompt, len, err);
    if (rc != TSP_OK)
        goto fail;
    size = (uint32_t)session->prompt_len + sampling->max_tokens;
    size = (size + CONTEXT_QUANTUM - 1) / CONTEXT_QUANTUM * CONTEXT_QUANTUM;
    tspi_llama_forget_words();
    session->context = take_context(engine, size);
    if (!session->context) {
        rc = tsp_error_set(err, TSP_ENOMEM, "no llama context of %u tokens: %s", size, tspi_llama_words());
        goto fail;
    }
    engine->live_sessions++;
    *ret_session = &session->base;
    return TSP_OK;
fail:
    session_free(&session->base);
    return rc;
}

static llama_token most_likely(const float *logits, int32_t count)
{
    llama_token best = 0;

    for (llama_token id = 1; id < count; id++)
        if (logits[id] > logits[best])
            best = id;
    return best;
}

/* Draw from softmax(logits / temperature), with the greatest logit as origin so that no exponential overflows. */
static llama_token draw(const float *logits, int32_t count, double temperature, tspi_random *random)
{
    double top = logits[most_likely(logits, count)], sum = 0, left;
    llama_token id;

    for (id = 0; id < count; id++)
        sum += exp((logits[id] - top) / temperature);
    left = tspi_random_unit(random) * sum;
    for (id = 0; id < count - 1; id++) {
        left -= exp((logits[id] - top) / temperature);
        if (left < 0)
            break;
    }
    return id;
}

/* Show the model count tokens; the logits of the last are then what it expects next. */
static tsp_status show(llama_session *session, llama_token *tokens, int32_t count, tsp_error *err)
{
    int32_t rc;

    tspi_llama_forget_words();
    rc = llama_decode(session->context, llama_batch_get_one(tokens, count));
    if (rc == 0)
        return TSP_OK;
    session->ended = true;
    return tsp_error_set(err, TSP_EIO, "llama.cpp could not decode (%d): %s", rc, tspi_llama_words());
}

static tsp_status choose(llama_session *session, tspi_buf *ret_piece, bool *ret_done, tsp_error *err)
{
    const llama_engine *engine = engine_of(session->base.engine);
    int32_t vocabulary = llama_vocab_n_tokens(engine->vocab);
    const float *logits = llama_get_logits_ith(session->context, -1);
    const tspi_sampling *sampling = &session->sampling;

    if (!logits) {
        session->ended = true;
        return tsp_error_set(err, TSP_EIO, "llama.cpp gave no logits: %s", tspi_llama_words());
    }
    session->last = sampling->temperature > 0 ? draw(logits, vocabulary, sampling->temperature, &session->random)
                                              : most_likely(logits, vocabulary);
    if (llama_vocab_is_eog(engine->vocab, session->last)) {
        *ret_done = session->ended = true;
        return TSP_OK;
    }
    put_token(ret_piece, session->last);
    if (!tspi_buf_ok(ret_piece))
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a token");
    if (++session->made == sampling->max_tokens)
        *ret_done = session->ended = true;
    return TSP_OK;
}

static tsp_status step(tspi_session *base, tspi_buf *ret_piece, bool *ret_done, tsp_error *err)
{
    llama_session *session = (llama_session *)base;
    tsp_status rc;

    *ret_done = false;
    if (session->ended || !session->sampling.max_tokens) {
        *ret_done = true;
        return TSP_OK;
    }
    if (session->prompt) {
        int32_t left = session->prompt_len - session->prompt_done;
        int32_t count = left < PROMPT_CHUNK ? left : PROMPT_CHUNK;
        rc = show(session, session->prompt + session->prompt_done, count, err);
        session->prompt_done += count;
        if (rc != TSP_OK || count < left)
            return rc != TSP_OK ? rc : TSP_EAGAIN;
        free(session->prompt);
        session->prompt = NULL;
    } else {
        rc = show(session, &session->last, 1, err);
        if (rc != TSP_OK)
            return rc;
    }
    return choose(session, ret_piece, ret_done, err);
}

/* Detokenising */

static tsp_status detokenizer_new(tspi_engine *engine, tspi_detokenizer **ret_detokenizer, tsp_error *err)
{
    llama_text *text = calloc(1, sizeof *text);

    if (!text)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a detokeniser");
    text->base.engine = engine;
    *ret_detokenizer = &text->base;
    return TSP_OK;
}

static tsp_status append_token_text(llama_text *text, llama_token token, tspi_buf *ret_text, tsp_error *err)
{
    const llama_engine *engine = engine_of(text->base.engine);
    /* SentencePiece vocabularies begin a text with a blank that stands for nothing. */
    int32_t skip_blank = !text->begun && llama_vocab_type(engine->vocab) == LLAMA_VOCAB_TYPE_SPM;
    char bytes[MAX_TOKEN_BYTES];
    int32_t len = llama_token_to_piece(engine->vocab, token, bytes, sizeof bytes, skip_blank, false);

    if (len < 0)
        return tsp_error_set(err, TSP_ERANGE, "token %d is %d bytes of text: more than %d", token, -len,
                             MAX_TOKEN_BYTES);
    text->begun = true;
    tspi_utf8_stream_feed(&text->characters, bytes, (size_t)len, ret_text);
    return TSP_OK;
}

static tsp_status detokenize(tspi_detokenizer *base, const void *piece, size_t len, tspi_buf *ret_text, tsp_error *err)
{
    const uint8_t *bytes = piece;

    for (size_t at = 0; at < len; at += 4) {
        size_t left = len - at;
        llama_token token;
        tsp_status rc = read_tokens(engine_of(base->engine), bytes + at, left < 4 ? left : 4, &token, err);
        if (rc == TSP_OK)
            rc = append_token_text((llama_text *)base, token, ret_text, err);
        if (rc != TSP_OK)
            return rc;
    }
    if (!tspi_buf_ok(ret_text))
        return tsp_error_set(err, TSP_ENOMEM, "no memory for text");
    return TSP_OK;
}

static void detokenizer_free(tspi_detokenizer *detokenizer)
{
    free(detokenizer);
}

const struct tspi_engine_ops tspi_engine_llama = {
    .name = "llama",
    .deterministic = true,
    .open = engine_open,
    .close = engine_close,
    .tokenize = tokenize,
    .session_new = session_new,
    .step = step,
    .session_free = session_free,
    .detokenizer_new = detokenizer_new,
    .detokenize = detokenize,
    .detokenizer_free = detokenizer_free,
};
