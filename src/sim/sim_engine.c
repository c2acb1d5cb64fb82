#include "sim/sim_engine.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* One step of a session as the engine took it: a piece, or none (it was still reading the prompt). */
struct step {
    uint32_t at, len; /* in the answer's pieces */
    bool waits, done;
};

/* What the engine made of one prompt piece or of one text. */
struct answer {
    struct answer *next; /* of the same row */
    uint64_t hash;
    bool is_prompt; /* made by the tokeniser: pieces holds the prompt piece */
    uint32_t tokens;
    uint64_t seed;
    uint8_t *question; /* owned */
    size_t question_len;
    struct step *steps; /* owned */
    uint32_t steps_n, steps_cap;
    tspi_buf pieces;
};

enum { ROWS = 4096 };

struct tspi_answers {
    tspi_engine *engine; /* the real one */
    struct answer *rows[ROWS];
};

struct handle {
    tspi_engine base;
    tspi_answers *answers;
    bool owns_answers;
    void (*spend)(void *ctx, enum tspi_work work);
    void *ctx;
};

struct replay {
    tspi_session base;
    const struct answer *answer;
    uint32_t at;
};

/* The real engine's detokeniser, whose messages cost time. */
struct rewrite {
    tspi_detokenizer base;
    tspi_detokenizer *real;
};

/* ------------------------------------------------------------------ memory */

tsp_status tspi_answers_new(const tspi_spec *spec, tspi_answers **ret_answers, tsp_error *err)
{
    const tspi_engine_config config = {
        .name = spec->engine.name,
        .model = spec->engine.model,
        .jobs = TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DECODE | TSPI_ENGINE_DETOKENIZE,
        .max_sessions = 1,
    };
    tspi_answers *answers = calloc(1, sizeof *answers);

    if (!answers)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for an engine");
    tsp_status rc = tspi_engine_open(&config, &answers->engine, err);
    if (rc == TSP_OK && !answers->engine->ops->deterministic)
        rc = tsp_error_set(err, TSP_EUNSUPPORTED,
                           "engine '%s' does not give the same answers every time, as virtual time needs: take tiny or "
                           "llama",
                           spec->engine.name);
    if (rc != TSP_OK) {
        tspi_answers_free(answers);
        return rc;
    }
    *ret_answers = answers;
    return TSP_OK;
}

static void answer_free(struct answer *answer)
{
    free(answer->question);
    free(answer->steps);
    tspi_buf_release(&answer->pieces);
    free(answer);
}

void tspi_answers_free(tspi_answers *answers)
{
    if (!answers)
        return;
    for (int k = 0; k < ROWS; k++)
        for (struct answer *answer = answers->rows[k], *next; answer; answer = next) {
            next = answer->next;
            answer_free(answer);
        }
    tspi_engine_close(answers->engine);
    free(answers);
}

static struct answer *find(tspi_answers *answers, uint64_t hash, bool is_prompt, uint64_t seed, const void *question,
                           size_t len)
{
    for (struct answer *answer = answers->rows[hash % ROWS]; answer; answer = answer->next)
        if (answer->hash == hash && answer->is_prompt == is_prompt && answer->seed == seed &&
            answer->question_len == len && !memcmp(answer->question, question, len))
            return answer;
    return NULL;
}

static struct answer *add(uint64_t hash, bool is_prompt, uint64_t seed, const void *question, size_t len)
{
    struct answer *answer = calloc(1, sizeof *answer);

    if (!answer)
        return NULL;
    *answer = (struct answer){.hash = hash, .is_prompt = is_prompt, .seed = seed, .question_len = len};
    answer->question = malloc(len + 1);
    if (!answer->question) {
        free(answer);
        return NULL;
    }
    memcpy(answer->question, question, len);
    return answer;
}

static void keep(tspi_answers *answers, struct answer *answer)
{
    answer->next = answers->rows[answer->hash % ROWS];
    answers->rows[answer->hash % ROWS] = answer;
}

static bool note_step(struct answer *answer, size_t at, bool waits, bool done)
{
    if (answer->steps_n == answer->steps_cap) {
        uint32_t cap = answer->steps_cap ? 2 * answer->steps_cap : 16;
        struct step *steps = realloc(answer->steps, cap * sizeof *steps);
        if (!steps)
            return false;
        answer->steps = steps;
        answer->steps_cap = cap;
    }
    answer->steps[answer->steps_n++] = (struct step){(uint32_t)at, (uint32_t)(answer->pieces.len - at), waits, done};
    return tspi_buf_ok(&answer->pieces);
}

/* Let the real engine answer, and write down every step. */
static tsp_status ask(tspi_answers *answers, struct answer *answer, const tspi_sampling *sampling, tsp_error *err)
{
    const struct tspi_engine_ops *ops = answers->engine->ops;
    tspi_session *session;
    bool done = false;
    tsp_status rc = ops->session_new(answers->engine, answer->question, answer->question_len, sampling, &session, err);

    if (rc != TSP_OK)
        return rc;
    while (rc == TSP_OK && !done) {
        size_t at = answer->pieces.len;
        rc = ops->step(session, &answer->pieces, &done, err);
        bool waits = rc == TSP_EAGAIN;
        if ((rc == TSP_OK || waits) && !note_step(answer, at, waits, done))
            rc = tsp_error_set(err, TSP_ENOMEM, "out of memory for an answer");
        else if (waits)
            rc = TSP_OK;
    }
    ops->session_free(session);
    return rc;
}

/* ------------------------------------------------------------------ the engine that nodes see */

static void spend_on(struct handle *h, enum tspi_work work)
{
    if (h->spend)
        h->spend(h->ctx, work);
}

static tsp_status sim_tokenize(tspi_engine *base, const char *text, size_t len, tspi_buf *ret_piece,
                               uint32_t *ret_tokens, tsp_error *err)
{
    struct handle *h = (struct handle *)base;
    uint64_t hash = tspi_hash64(text, len, 1);
    struct answer *answer = find(h->answers, hash, true, 0, text, len);

    spend_on(h, TSPI_WORK_TOKENIZE);
    if (!answer) {
        tspi_engine *engine = h->answers->engine;
        answer = add(hash, true, 0, text, len);
        if (!answer)
            return tsp_error_set(err, TSP_ENOMEM, "out of memory for a prompt");
        tsp_status rc = engine->ops->tokenize(engine, text, len, &answer->pieces, &answer->tokens, err);
        if (rc != TSP_OK) {
            answer_free(answer);
            return rc;
        }
        keep(h->answers, answer);
    }
    tspi_buf_append(ret_piece, answer->pieces.data, answer->pieces.len);
    *ret_tokens = answer->tokens;
    return TSP_OK;
}

static tsp_status sim_session_new(tspi_engine *base, const void *prompt, size_t len, const tspi_sampling *sampling,
                                  tspi_session **ret_session, tsp_error *err)
{
    struct handle *h = (struct handle *)base;
    /* Without temperature the seed decides nothing. */
    uint64_t seed = sampling->temperature > 0 ? sampling->seed : 0;
    uint64_t hash = tspi_hash64(prompt, len, 2 + seed);
    struct answer *answer = find(h->answers, hash, false, seed, prompt, len);
    struct replay *replay = calloc(1, sizeof *replay);

    if (replay && !answer) {
        answer = add(hash, false, seed, prompt, len);
        tsp_status rc = answer ? ask(h->answers, answer, sampling, err) : TSP_ENOMEM;
        if (rc != TSP_OK && answer) {
            answer_free(answer);
            free(replay);
            return rc;
        }
        if (answer)
            keep(h->answers, answer);
    }
    if (!replay || !answer) {
        free(replay);
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for an answer");
    }
    replay->base.engine = base;
    replay->answer = answer;
    *ret_session = &replay->base;
    return TSP_OK;
}

static tsp_status sim_step(tspi_session *base, tspi_buf *ret_piece, bool *ret_done, tsp_error *err)
{
    struct replay *replay = (struct replay *)base;
    struct handle *h = (struct handle *)base->engine;
    const struct answer *answer = replay->answer;

    (void)err;
    *ret_done = replay->at >= answer->steps_n;
    if (*ret_done)
        return TSP_OK;
    const struct step *step = &answer->steps[replay->at++];
    spend_on(h, TSPI_WORK_TOKEN);
    *ret_done = step->done;
    if (step->len)
        tspi_buf_append(ret_piece, answer->pieces.data + step->at, step->len);
    return step->waits ? TSP_EAGAIN : TSP_OK;
}

static void sim_session_free(tspi_session *base)
{
    free(base);
}

static tsp_status sim_detokenizer_new(tspi_engine *base, tspi_detokenizer **ret_detokenizer, tsp_error *err)
{
    tspi_engine *engine = ((struct handle *)base)->answers->engine;
    struct rewrite *rewrite = calloc(1, sizeof *rewrite);

    if (!rewrite)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a detokeniser");
    tsp_status rc = engine->ops->detokenizer_new(engine, &rewrite->real, err);
    if (rc != TSP_OK) {
        free(rewrite);
        return rc;
    }
    rewrite->base.engine = base;
    *ret_detokenizer = &rewrite->base;
    return TSP_OK;
}

static tsp_status sim_detokenize(tspi_detokenizer *base, const void *piece, size_t len, tspi_buf *ret_text,
                                 tsp_error *err)
{
    struct rewrite *rewrite = (struct rewrite *)base;
    struct handle *h = (struct handle *)base->engine;

    spend_on(h, TSPI_WORK_DETOKENIZE);
    return rewrite->real->engine->ops->detokenize(rewrite->real, piece, len, ret_text, err);
}

static void sim_detokenizer_free(tspi_detokenizer *base)
{
    struct rewrite *rewrite = (struct rewrite *)base;

    rewrite->real->engine->ops->detokenizer_free(rewrite->real);
    free(rewrite);
}

static void sim_close(tspi_engine *base)
{
    struct handle *h = (struct handle *)base;

    if (h->owns_answers)
        tspi_answers_free(h->answers);
    free((void *)base->ops);
    free(base);
}

tsp_status tspi_answers_engine(tspi_answers *answers, void (*spend)(void *ctx, enum tspi_work work), void *ctx,
                               tspi_engine **ret_engine, tsp_error *err)
{
    struct handle *h = calloc(1, sizeof *h);
    struct tspi_engine_ops *ops = malloc(sizeof *ops);

    if (!h || !ops) {
        free(h);
        free(ops);
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for an engine");
    }
    *ops = (struct tspi_engine_ops){
        .name = answers->engine->ops->name, /* spans name the engine that computed the answers */
        .deterministic = true,
        .close = sim_close,
        .tokenize = sim_tokenize,
        .session_new = sim_session_new,
        .step = sim_step,
        .session_free = sim_session_free,
        .detokenizer_new = sim_detokenizer_new,
        .detokenize = sim_detokenize,
        .detokenizer_free = sim_detokenizer_free,
    };
    *h = (struct handle){.base.ops = ops, .answers = answers, .spend = spend, .ctx = ctx};
    *ret_engine = &h->base;
    return TSP_OK;
}

tsp_status tspi_answers_open(const tspi_spec *spec, tspi_engine **ret_engine, tsp_error *err)
{
    tspi_answers *answers;
    tsp_status rc = tspi_answers_new(spec, &answers, err);

    if (rc != TSP_OK)
        return rc;
    rc = tspi_answers_engine(answers, NULL, NULL, ret_engine, err);
    if (rc == TSP_OK)
        ((struct handle *)*ret_engine)->owns_answers = true;
    else
        tspi_answers_free(answers);
    return rc;
}

tspi_answers *tspi_answers_of(tspi_engine *engine)
{
    return ((struct handle *)engine)->answers;
}
