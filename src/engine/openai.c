/* The engine at a URL. One thread runs all transfers (curl's multi interface); a session's answer passes from it to
 * the caller through a queue of pieces, under the engine's one lock:
 *
 *   curl ─▶ openai_sse (events) ─▶ openai_json (text) ─▶ queue ─▶ step
 *
 * The eventfd is readable as long as some session has a piece or its end to tell. */
#include "engine/openai.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/openai_http.h"
#include "engine/openai_json.h"
#include "engine/openai_sse.h"
#include "engine/utf8_stream.h"

enum {
    MAX_SESSIONS = 4096,
    MAX_MODELS_BYTES = 4 * 1024 * 1024, /* of the list of models; the longest known has half a megabyte */
    MAX_PROMPT_BYTES = 1024 * 1024,
    POLL_MS = 1000, /* a wakeup ends the wait sooner; curl's own timers, too */
};

static const tspi_openai_limits usual_limits = {
    .connect_ms = 5000, .idle_s = 60, .answer_bytes = (size_t)64 * 1024 * 1024};

typedef struct openai_session openai_session;

typedef struct {
    tspi_engine base;
    tspi_http http;
    char *model;   /* owned; NULL unless opened for decoding */
    bool no_cache; /* the server is llama.cpp's: ask it not to reuse what it remembers of other prompts */
    unsigned max_sessions, live_sessions;

    CURLM *multi; /* the thread's, but for curl_multi_wakeup; NULL unless opened for decoding */
    pthread_t thread;
    bool thread_runs;
    int event_fd;

    pthread_mutex_t lock;     /* over what follows, and the sessions' shared parts */
    openai_session *sessions; /* all that the thread knows or is to know */
    unsigned ready;           /* sessions whose step will not say TSP_EAGAIN */
    bool stop;
} openai_engine;

struct openai_session {
    tspi_session base;
    openai_session *next;

    /* The thread's alone once the session is in the list. */
    CURL *handle;
    char curl_words[CURL_ERROR_SIZE];
    tspi_buf request;
    tspi_sse sse;
    tspi_buf stray; /* the beginning of a body that is not a stream of events */
    size_t received;
    bool running, answer_closed;
    tsp_error broken; /* why the answer cannot be used, found while reading it */

    /* Shared. */
    tspi_buf text;    /* of the pieces not taken yet, from text_at on */
    tspi_buf lengths; /* a uint32_t for each, from length_at on */
    size_t text_at, length_at;
    bool ended, told, counted, abandoned;
    tsp_error failure; /* code TSP_OK: the answer is whole */
};

typedef struct {
    tspi_detokenizer base;
    tspi_utf8_stream characters;
} openai_text;

static openai_engine *engine_of(tspi_engine *engine)
{
    return (openai_engine *)engine;
}

/* Under the lock: what the eventfd shows follows from the sessions' queues. */
static void recount(openai_session *session)
{
    openai_engine *engine = engine_of(session->base.engine);
    bool ready = !session->abandoned && !session->told && (session->length_at < session->lengths.len || session->ended);
    eventfd_t ignored;

    if (ready == session->counted)
        return;
    session->counted = ready;
    if (ready && engine->ready++ == 0)
        eventfd_write(engine->event_fd, 1);
    else if (!ready && --engine->ready == 0)
        eventfd_read(engine->event_fd, &ignored);
}

/* The thread's side */

/* Keep the first reason; returned so that curl's callback can say "stop". */
static tsp_status break_off(openai_session *session, const tsp_error *why)
{
    if (session->broken.code == TSP_OK)
        session->broken = *why;
    return why->code;
}

static tsp_status take_event(void *user, const char *data, size_t len, tsp_error *err)
{
    openai_session *session = user;
    openai_engine *engine = engine_of(session->base.engine);
    tspi_buf text = {0};
    tsp_status rc = TSP_OK;

    if (len == 6 && !memcmp(data, "[DONE]", 6))
        session->answer_closed = true;
    else
        rc = tspi_openai_read_chunk(data, len, &text, &session->answer_closed, err);
    if (rc == TSP_OK && text.len) {
        uint32_t piece = (uint32_t)text.len; /* an event is far shorter than 4 GiB */
        pthread_mutex_lock(&engine->lock);
        tspi_buf_append(&session->text, text.data, text.len);
        tspi_buf_append(&session->lengths, &piece, sizeof piece);
        if (!tspi_buf_ok(&session->text) || !tspi_buf_ok(&session->lengths))
            rc = tsp_error_set(err, TSP_ENOMEM, "no memory for the server's answer");
        else
            recount(session);
        pthread_mutex_unlock(&engine->lock);
    }
    tspi_buf_release(&text);
    return rc;
}

static bool is_event_stream(CURL *handle)
{
    static const char wanted[] = "text/event-stream";
    char *type = NULL;
    long status = 0;

    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(handle, CURLINFO_CONTENT_TYPE, &type);
    return status == 200 && type && !strncasecmp(type, wanted, sizeof wanted - 1);
}

static size_t take_bytes(char *bytes, size_t one, size_t len, void *user)
{
    openai_session *session = user;
    openai_engine *engine = engine_of(session->base.engine);
    tsp_error err = {0};
    tsp_status rc = TSP_OK;

    (void)one;
    session->received += len;
    if (session->received > engine->http.limits.answer_bytes)
        rc = tsp_error_set(&err, TSP_ERANGE, "the answer has more than %zu bytes", engine->http.limits.answer_bytes);
    else if (is_event_stream(session->handle))
        rc = tspi_sse_feed(&session->sse, bytes, len, &err);
    else if (session->stray.len < TSPI_HTTP_MAX_ERROR_BYTES) {
        size_t room = TSPI_HTTP_MAX_ERROR_BYTES - session->stray.len;
        tspi_buf_append(&session->stray, bytes, len < room ? len : room);
    }
    if (rc != TSP_OK)
        break_off(session, &err);
    return rc == TSP_OK ? len : 0;
}

/* What became of a transfer that curl has ended. */
static void judge(openai_session *session, CURLcode code, tsp_error *ret_failure)
{
    const openai_engine *engine = engine_of(session->base.engine);
    CURL *handle = session->handle;
    char *url = NULL, *type = NULL;
    tsp_error err = {0};
    long status = 0;

    curl_easy_getinfo(handle, CURLINFO_EFFECTIVE_URL, &url);
    curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(handle, CURLINFO_CONTENT_TYPE, &type);
    if (code == CURLE_OK && is_event_stream(handle) && tspi_sse_end(&session->sse, &err) != TSP_OK)
        break_off(session, &err);
    if (session->broken.code != TSP_OK) {
        *ret_failure = session->broken;
        tsp_error_note(ret_failure, "%s", url);
    } else if (session->answer_closed) {
        ret_failure->code = TSP_OK; /* whatever happened to the connection after that */
    } else if (status && status != 200) {
        tspi_http_refused(handle, status, &session->stray, ret_failure);
    } else if (code != CURLE_OK) {
        tspi_http_failed(&engine->http, handle, code, session->curl_words, ret_failure);
    } else if (!is_event_stream(handle)) {
        tsp_error_set(ret_failure, TSP_EPARSE, "%s: answered with '%s', not with a stream of events", url,
                      type ? type : "no content type");
    } else {
        tsp_error_set(ret_failure, TSP_ECLOSED, "%s: the stream ended in the middle of the answer", url);
    }
}

static void end_transfer(openai_engine *engine, openai_session *session, CURLcode code)
{
    tsp_error failure = {0};

    judge(session, code, &failure);
    curl_multi_remove_handle(engine->multi, session->handle);
    session->running = false;
    pthread_mutex_lock(&engine->lock);
    session->failure = failure;
    session->ended = true;
    recount(session);
    pthread_mutex_unlock(&engine->lock);
}

static void release_session(openai_session *session)
{
    curl_easy_cleanup(session->handle);
    tspi_buf_release(&session->request);
    tspi_sse_release(&session->sse);
    tspi_buf_release(&session->stray);
    tspi_buf_release(&session->text);
    tspi_buf_release(&session->lengths);
    free(session);
}

/* Let the sessions that have come begin, and those that nobody waits for any more go. False: stop. */
static bool look_after_sessions(openai_engine *engine)
{
    openai_session **link = &engine->sessions, *session;

    pthread_mutex_lock(&engine->lock);
    while ((session = *link)) {
        if (session->abandoned) {
            *link = session->next;
            if (session->running)
                curl_multi_remove_handle(engine->multi, session->handle);
            release_session(session);
            continue;
        }
        if (!session->running && !session->ended) {
            session->running = true;
            curl_multi_add_handle(engine->multi, session->handle);
        }
        link = &session->next;
    }
    bool stop = engine->stop;
    pthread_mutex_unlock(&engine->lock);
    return !stop;
}

static void *run_transfers(void *user)
{
    openai_engine *engine = user;
    CURLMsg *message;
    int count;

    while (look_after_sessions(engine)) {
        curl_multi_perform(engine->multi, &count);
        while ((message = curl_multi_info_read(engine->multi, &count))) {
            openai_session *session;
            CURLcode code = message->data.result;
            if (message->msg != CURLMSG_DONE)
                continue;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &session);
            end_transfer(engine, session, code);
        }
        curl_multi_poll(engine->multi, NULL, 0, POLL_MS, NULL);
    }
    return NULL;
}

/* Opening and closing */

static void engine_close(tspi_engine *base)
{
    openai_engine *engine = engine_of(base);

    if (!engine)
        return;
    if (engine->thread_runs) {
        pthread_mutex_lock(&engine->lock);
        engine->stop = true;
        pthread_mutex_unlock(&engine->lock);
        curl_multi_wakeup(engine->multi);
        pthread_join(engine->thread, NULL);
    }
    while (engine->sessions) { /* abandoned a moment ago */
        openai_session *session = engine->sessions;
        engine->sessions = session->next;
        if (session->running)
            curl_multi_remove_handle(engine->multi, session->handle);
        release_session(session);
    }
    curl_multi_cleanup(engine->multi);
    if (engine->event_fd >= 0)
        close(engine->event_fd);
    pthread_mutex_destroy(&engine->lock);
    tspi_http_release(&engine->http);
    free(engine->model);
    free(engine);
}

/* Whether the llama-server works on one request at a time: then nothing of another's can touch an answer. */
static bool has_one_slot(openai_engine *engine)
{
    tspi_buf props = {0};
    long status = 0;
    bool is_llama_cpp;
    /* /props stands beside /v1, not below it; curl removes the dots. */
    tsp_status rc = tspi_http_get(&engine->http, "/../props", MAX_MODELS_BYTES, &props, &status, &is_llama_cpp, NULL);
    bool one = rc == TSP_OK && status == 200 && tspi_openai_read_slots((const char *)props.data, props.len) == 1;

    tspi_buf_release(&props);
    return one;
}

/* Ask the server who it is and what it has. A model that was named may stay unlisted: not every gateway lists any. */
static tsp_status get_acquainted(openai_engine *engine, const char *model, tsp_error *err)
{
    static const char path[] = "/models";
    tspi_buf body = {0}, id = {0};
    bool is_llama_cpp = false;
    long status = 0;
    tsp_status rc = tspi_http_get(&engine->http, path, MAX_MODELS_BYTES, &body, &status, &is_llama_cpp, err);

    if (rc == TSP_OK && (status == 401 || status == 403 || (!model && status != 200))) {
        char words[256] = "";
        tspi_openai_read_error((const char *)body.data, body.len, words, sizeof words);
        rc = tsp_error_set(err, TSP_EIO, "%s%s: HTTP %ld%s%s", engine->http.base, path, status, words[0] ? ": " : "",
                           words);
    } else if (rc == TSP_OK && !model) {
        rc = tspi_openai_read_models((const char *)body.data, body.len, &id, err);
        if (rc != TSP_OK)
            tsp_error_note(err, "%s%s", engine->http.base, path);
    }
    if (rc == TSP_OK) {
        engine->model = strdup(model ? model : (const char *)id.data);
        if (!engine->model)
            rc = tsp_error_set(err, TSP_ENOMEM, "no memory for a model's name");
        engine->no_cache = is_llama_cpp;
    }
    tspi_buf_release(&body);
    tspi_buf_release(&id);
    return rc;
}

static tsp_status start_thread(openai_engine *engine, tsp_error *err)
{
    sigset_t all, before;
    int rc;

    engine->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (engine->event_fd < 0)
        return tsp_error_sys(err, errno, "cannot make an eventfd");
    engine->multi = curl_multi_init();
    if (!engine->multi)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for transfers");
    sigfillset(&all); /* signals are the program's business, not this thread's */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(&engine->thread, NULL, run_transfers, engine);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return tsp_error_sys(err, rc, "cannot start the thread for transfers");
    engine->thread_runs = true;
    return TSP_OK;
}

static const struct tspi_engine_ops one_slot_ops;

tsp_status tspi_openai_open(const tspi_engine_config *config, const tspi_openai_limits *limits,
                            tspi_engine **ret_engine, tsp_error *err)
{
    openai_engine *engine;
    tsp_status rc;

    if (config->max_sessions < 1 || config->max_sessions > MAX_SESSIONS)
        return tsp_error_set(err, TSP_EINVAL, "%u sessions: the engine at a URL takes 1 to %d", config->max_sessions,
                             MAX_SESSIONS);
    engine = calloc(1, sizeof *engine);
    if (!engine)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for an engine");
    engine->base.ops = &tspi_engine_openai;
    engine->max_sessions = config->max_sessions;
    engine->event_fd = -1;
    pthread_mutex_init(&engine->lock, NULL);
    rc = tspi_http_init(&engine->http, config->name, limits, err);
    if (rc == TSP_OK && (config->jobs & TSPI_ENGINE_DECODE)) {
        rc = get_acquainted(engine, config->model, err);
        if (rc == TSP_OK && engine->no_cache && has_one_slot(engine))
            engine->base.ops = &one_slot_ops;
        if (rc == TSP_OK)
            rc = start_thread(engine, err);
    }
    if (rc != TSP_OK) {
        engine_close(&engine->base);
        return rc;
    }
    *ret_engine = &engine->base;
    return TSP_OK;
}

static tsp_status engine_open(const tspi_engine_config *config, tspi_engine **ret_engine, tsp_error *err)
{
    return tspi_openai_open(config, &usual_limits, ret_engine, err);
}

static int wait_fd(tspi_engine *engine)
{
    return engine_of(engine)->event_fd;
}

/* Sessions */

static tsp_status session_new(tspi_engine *base, const void *prompt, size_t len, const tspi_sampling *sampling,
                              tspi_session **ret_session, tsp_error *err)
{
    openai_engine *engine = engine_of(base);
    openai_session *session;

    if (!engine->thread_runs)
        return tsp_error_set(err, TSP_EINVAL, "this engine was not opened for decoding");
    if (engine->live_sessions >= engine->max_sessions)
        return tsp_error_set(err, TSP_EINVAL, "the engine was opened for %u sessions, and all are alive",
                             engine->max_sessions);
    if (!(sampling->temperature >= 0) || isinf(sampling->temperature))
        return tsp_error_set(err, TSP_EINVAL, "temperature %g: it must be 0 or more", sampling->temperature);
    if (len > MAX_PROMPT_BYTES)
        return tsp_error_set(err, TSP_ERANGE, "a prompt of %zu bytes: %d at most", len, MAX_PROMPT_BYTES);
    session = calloc(1, sizeof *session);
    if (!session)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a session");
    session->base.engine = base;
    session->sse.event = take_event;
    session->sse.user = session;
    session->ended = session->answer_closed = !sampling->max_tokens; /* then there is nothing to ask for */
    tspi_openai_put_request(&session->request, engine->model, prompt, len, sampling, engine->no_cache);
    session->handle = tspi_http_handle(&engine->http, "/chat/completions", session->curl_words);
    if (!session->handle || !tspi_buf_ok(&session->request)) {
        release_session(session);
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a session");
    }
    curl_easy_setopt(session->handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)session->request.len);
    curl_easy_setopt(session->handle, CURLOPT_POSTFIELDS, session->request.data);
    curl_easy_setopt(session->handle, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(session->handle, CURLOPT_WRITEDATA, session);
    curl_easy_setopt(session->handle, CURLOPT_PRIVATE, session);
    pthread_mutex_lock(&engine->lock);
    session->next = engine->sessions;
    engine->sessions = session;
    recount(session);
    pthread_mutex_unlock(&engine->lock);
    engine->live_sessions++;
    curl_multi_wakeup(engine->multi);
    *ret_session = &session->base;
    return TSP_OK;
}

/* Under the lock: move the oldest piece to the caller. False: there is none. */
static bool take_piece(openai_session *session, tspi_buf *ret_piece)
{
    uint32_t len;

    if (session->length_at == session->lengths.len)
        return false;
    memcpy(&len, session->lengths.data + session->length_at, sizeof len);
    tspi_buf_append(ret_piece, session->text.data + session->text_at, len);
    session->length_at += sizeof len;
    session->text_at += len;
    if (session->length_at == session->lengths.len) {
        tspi_buf_clear(&session->lengths);
        tspi_buf_clear(&session->text);
        session->length_at = session->text_at = 0;
    }
    return true;
}

static tsp_status step(tspi_session *base, tspi_buf *ret_piece, bool *ret_done, tsp_error *err)
{
    openai_session *session = (openai_session *)base;
    openai_engine *engine = engine_of(base->engine);
    tsp_status rc = TSP_OK;
    bool took, last;

    pthread_mutex_lock(&engine->lock);
    took = take_piece(session, ret_piece);
    last = session->ended && session->lengths.len == 0;
    *ret_done = last && session->failure.code == TSP_OK;
    if (last && (!took || *ret_done))
        session->told = true;
    if (took && !tspi_buf_ok(ret_piece))
        rc = tsp_error_set(err, TSP_ENOMEM, "no memory for a piece");
    else if (!took && !last)
        rc = TSP_EAGAIN;
    else if (!took && session->failure.code != TSP_OK)
        rc = tsp_error_set(err, session->failure.code, "%s", session->failure.message);
    recount(session);
    pthread_mutex_unlock(&engine->lock);
    return rc;
}

static void session_free(tspi_session *base)
{
    openai_session *session = (openai_session *)base;

    if (!session)
        return;
    openai_engine *engine = engine_of(base->engine);
    pthread_mutex_lock(&engine->lock);
    session->abandoned = true;
    recount(session);
    pthread_mutex_unlock(&engine->lock);
    engine->live_sessions--;
    curl_multi_wakeup(engine->multi); /* the thread lets it go */
}

/* Text is what the server takes and gives: there is nothing to do but to keep characters whole. */

static tsp_status tokenize(tspi_engine *engine, const char *text, size_t len, tspi_buf *ret_piece, uint32_t *ret_tokens,
                           tsp_error *err)
{
    (void)engine;
    tspi_buf_append(ret_piece, text, len);
    *ret_tokens = 0;
    return tspi_buf_ok(ret_piece) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "no memory for a prompt");
}

static tsp_status detokenizer_new(tspi_engine *engine, tspi_detokenizer **ret_detokenizer, tsp_error *err)
{
    openai_text *text = calloc(1, sizeof *text);

    if (!text)
        return tsp_error_set(err, TSP_ENOMEM, "no memory for a detokeniser");
    text->base.engine = engine;
    *ret_detokenizer = &text->base;
    return TSP_OK;
}

static tsp_status detokenize(tspi_detokenizer *base, const void *piece, size_t len, tspi_buf *ret_text, tsp_error *err)
{
    tspi_utf8_stream_feed(&((openai_text *)base)->characters, piece, len, ret_text);
    return tspi_buf_ok(ret_text) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "no memory for text");
}

static void detokenizer_free(tspi_detokenizer *detokenizer)
{
    free(detokenizer);
}

#define OPENAI_OPS(deterministic_)                                                                                     \
    {                                                                                                                  \
        .name = "openai", .deterministic = (deterministic_), .open = engine_open, .close = engine_close,               \
        .tokenize = tokenize, .session_new = session_new, .step = step, .session_free = session_free,                  \
        .detokenizer_new = detokenizer_new, .detokenize = detokenize, .detokenizer_free = detokenizer_free,            \
        .wait_fd = wait_fd,                                                                                            \
    }

const struct tspi_engine_ops tspi_engine_openai = OPENAI_OPS(false);
static const struct tspi_engine_ops one_slot_ops = OPENAI_OPS(true);
