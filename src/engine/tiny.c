/* The engine "tiny": a small transformer whose weights are part of the executable. One thread a session; sessions share
 * only what never changes. A prompt piece is int32 token ids, a token piece one of them. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "engine/engine.h"
#include "engine/tiny_bpe.h"
#include "engine/tiny_forward.h"
#include "engine/tiny_model.h"
#include "engine/utf8_stream.h"

enum {
    PREFILL_PER_STEP = 16,   /* tokens; a step stays below a few milliseconds, so an event loop is not held up */
    WEIGHTS_LIMIT = 1 << 30, /* bytes of a weights file */
};

typedef struct {
    tspi_engine base;
    tspi_tiny_model model;
    tspi_tiny_bpe *bpe; /* owned; NULL when only decoding */
    unsigned max_sessions, sessions;
    unsigned jobs; /* TSPI_ENGINE_* */
} tiny;

typedef struct {
    tspi_session base;
    tspi_tiny_state *state;
    tspi_random random;
    double temperature;
    unsigned left; /* tokens still wanted */
    uint32_t next; /* of prompt: the first token not yet added */
    uint32_t prompt_len;
    uint32_t prompt[]; /* then its last place holds the token chosen last */
} session;

typedef struct {
    tspi_detokenizer base;
    tspi_utf8_stream stream;
} detokenizer;

static void tiny_close(tspi_engine *engine)
{
    tiny *t = (tiny *)engine;

    if (!t)
        return;
    tspi_tiny_bpe_free(t->bpe);
    tspi_tiny_model_release(&t->model);
    free(t);
}

static tsp_status tiny_open(const tspi_engine_config *config, tspi_engine **ret_engine, tsp_error *err)
{
    tiny *t = calloc(1, sizeof *t);
    tspi_buf file = {0};
    const void *weights;
    size_t len;
    tsp_status rc = TSP_OK;

    if (!t)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for an engine");
    t->base.ops = &tspi_engine_tiny;
    t->max_sessions = config->max_sessions;
    t->jobs = config->jobs;
    weights = tspi_tiny_model_builtin(&len);
    if (config->model) {
        rc = tspi_buf_read_file(&file, config->model, WEIGHTS_LIMIT, err);
        weights = file.data;
        len = file.len;
    }
    if (rc == TSP_OK)
        rc = tspi_tiny_model_read(weights, len, t->jobs & TSPI_ENGINE_DECODE ? tspi_tiny_kernel_best() : NULL,
                                  &t->model, err);
    if (rc == TSP_OK && (t->jobs & (TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DETOKENIZE)))
        rc = tspi_tiny_bpe_new(&t->model, &t->bpe, err);
    tspi_buf_release(&file);
    if (rc != TSP_OK) {
        if (config->model)
            tsp_error_note(err, "while loading '%s'", config->model);
        tiny_close(&t->base);
        return rc;
    }
    *ret_engine = &t->base;
    return TSP_OK;
}

static tsp_status tiny_tokenize(tspi_engine *engine, const char *text, size_t len, tspi_buf *ret_piece,
                                uint32_t *ret_tokens, tsp_error *err)
{
    const tiny *t = (const tiny *)engine;
    const size_t before = ret_piece->len;
    tsp_status rc;

    if (!(t->jobs & TSPI_ENGINE_TOKENIZE))
        return tsp_error_set(err, TSP_EINVAL, "this engine was not opened to tokenise");
    rc = tspi_tiny_bpe_encode(t->bpe, (const uint8_t *)text, len, ret_piece, err);
    if (rc == TSP_OK && ret_tokens)
        *ret_tokens = (uint32_t)((ret_piece->len - before) / 4);
    return rc;
}

static tsp_status check_piece(const tiny *t, const void *piece, size_t len, tsp_error *err)
{
    if (len % 4)
        return tsp_error_at(err, TSP_EPARSE, len, "a piece of %zu bytes: want int32 tokens", len);
    for (size_t k = 0; k < len / 4; k++) {
        uint32_t id = tspi_tiny_piece_id(piece, k);
        if (id >= t->model.vocab)
            return tsp_error_at(err, TSP_EPARSE, 4 * k, "token %u: there are only %u", id, t->model.vocab);
    }
    return TSP_OK;
}

/* Of a long prompt only the newest tokens are kept: those that attention can reach, which is all that matters. */
static tsp_status tiny_session_new(tspi_engine *engine, const void *prompt, size_t len, const tspi_sampling *sampling,
                                   tspi_session **ret_session, tsp_error *err)
{
    tiny *t = (tiny *)engine;
    const uint64_t reach = tspi_tiny_reach(&t->model);
    uint64_t n = len / 4, skip = n > reach ? n - reach : 0;
    session *s;
    tsp_status rc;

    if (!(t->jobs & TSPI_ENGINE_DECODE))
        return tsp_error_set(err, TSP_EINVAL, "this engine was not opened to decode");
    if (!(sampling->temperature >= 0 && sampling->temperature <= 1000))
        return tsp_error_set(err, TSP_EINVAL, "temperature %g: want 0 to 1000", sampling->temperature);
    if (t->sessions >= t->max_sessions)
        return tsp_error_set(err, TSP_EAGAIN, "%u sessions are alive, as many as were allowed", t->sessions);
    rc = check_piece(t, prompt, len, err);
    if (rc != TSP_OK)
        return rc;
    s = calloc(1, sizeof *s + (size_t)(n - skip + 1) * sizeof *s->prompt);
    if (!s)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a session");
    rc = tspi_tiny_state_new(&t->model, &s->state, err);
    if (rc != TSP_OK) {
        free(s);
        return rc;
    }
    s->base.engine = engine;
    s->temperature = sampling->temperature;
    s->left = sampling->max_tokens;
    tspi_random_seed(&s->random, sampling->seed);
    s->prompt[s->prompt_len++] = t->model.begin;
    for (uint64_t k = skip; k < n; k++)
        s->prompt[s->prompt_len++] = tspi_tiny_piece_id(prompt, (size_t)k);
    t->sessions++;
    *ret_session = &s->base;
    return TSP_OK;
}

static void tiny_session_free(tspi_session *base)
{
    session *s = (session *)base;

    if (!s)
        return;
    ((tiny *)s->base.engine)->sessions--;
    tspi_tiny_state_free(s->state);
    free(s);
}

/* vocab is padded to a multiple of the kernels' rows; the padding has logit 0 and must not be chosen. */
static uint32_t choose(session *s, float *logits, uint32_t vocab)
{
    const float cold = s->temperature > 0 ? (float)(1 / s->temperature) : 0;
    uint32_t best = 0;
    double total = 0, at;

    if (s->temperature <= 0) {
        for (uint32_t k = 1; k < vocab; k++)
            best = logits[k] > logits[best] ? k : best;
        return best;
    }
    for (uint32_t k = 0; k < vocab; k++)
        logits[k] *= cold;
    while (vocab % 4)
        logits[vocab++] = -1e30f;
    tspi_tiny_exp_all(logits, vocab, NULL);
    for (uint32_t k = 0; k < vocab; k++)
        total += (double)logits[k];
    at = tspi_random_unit(&s->random) * total;
    for (uint32_t k = 0; k < vocab; k++) {
        at -= (double)logits[k];
        if (logits[k] > 0)
            best = k; /* rounding may leave a rest behind the last one */
        if (at < 0)
            break;
    }
    return best;
}

static tsp_status tiny_step(tspi_session *base, tspi_buf *ret_piece, bool *ret_done, tsp_error *err)
{
    session *s = (session *)base;
    const tiny *t = (const tiny *)s->base.engine;
    float *logits = NULL;
    uint32_t id;

    *ret_done = s->left == 0;
    if (*ret_done)
        return TSP_OK;
    for (int k = 0; k < PREFILL_PER_STEP && s->next < s->prompt_len; k++) {
        id = s->prompt[s->next++];
        logits = tspi_tiny_forward(s->state, id, s->next == s->prompt_len);
    }
    if (!logits)
        return TSP_EAGAIN;
    id = choose(s, logits, t->model.vocab);
    if (id == TSPI_TINY_END) {
        s->left = 0;
        *ret_done = true;
        return TSP_OK;
    }
    s->prompt[--s->next] = id; /* the next step adds it */
    *ret_done = --s->left == 0;
    tspi_tiny_piece_add(ret_piece, id);
    if (!tspi_buf_ok(ret_piece))
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a token");
    return TSP_OK;
}

static tsp_status tiny_detokenizer_new(tspi_engine *engine, tspi_detokenizer **ret_detokenizer, tsp_error *err)
{
    detokenizer *d = calloc(1, sizeof *d);

    if (!(((tiny *)engine)->jobs & TSPI_ENGINE_DETOKENIZE)) {
        free(d);
        return tsp_error_set(err, TSP_EINVAL, "this engine was not opened to detokenise");
    }
    if (!d)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a detokeniser");
    d->base.engine = engine;
    *ret_detokenizer = &d->base;
    return TSP_OK;
}

static tsp_status tiny_detokenize(tspi_detokenizer *base, const void *piece, size_t len, tspi_buf *ret_text,
                                  tsp_error *err)
{
    detokenizer *d = (detokenizer *)base;
    const tiny *t = (const tiny *)d->base.engine;
    tsp_status rc = check_piece(t, piece, len, err);

    if (rc != TSP_OK)
        return rc;
    for (size_t k = 0; k < len / 4; k++) {
        size_t n;
        const uint8_t *bytes = tspi_tiny_bpe_bytes(t->bpe, tspi_tiny_piece_id(piece, k), &n);
        tspi_utf8_stream_feed(&d->stream, bytes, n, ret_text);
    }
    if (!tspi_buf_ok(ret_text))
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a text");
    return TSP_OK;
}

static void tiny_detokenizer_free(tspi_detokenizer *base)
{
    free(base);
}

const struct tspi_engine_ops tspi_engine_tiny = {
    .name = "tiny",
    .deterministic = true,
    .open = tiny_open,
    .close = tiny_close,
    .tokenize = tiny_tokenize,
    .session_new = tiny_session_new,
    .step = tiny_step,
    .session_free = tiny_session_free,
    .detokenizer_new = tiny_detokenizer_new,
    .detokenize = tiny_detokenize,
    .detokenizer_free = tiny_detokenizer_free,
};
