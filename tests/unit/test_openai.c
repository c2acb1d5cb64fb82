/* The protocol of the engine at a URL: the reader of event streams and of their JSON, then the engine against a server
 * in this process that answers by script, well and badly. tests/integration/test_openai_server.c has a real one. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "base/random.h"
#include "engine/openai.h"
#include "engine/openai_json.h"
#include "engine/openai_sse.h"
#include "test.h"

/* Chance */

static tspi_random chance_of(const char *label)
{
    tspi_random base;

    tspi_random_seed(&base, seed);
    return tspi_random_split(&base, label, 0);
}

static size_t below(tspi_random *random, size_t n)
{
    return (size_t)tspi_random_below(random, n);
}

static void put_utf8(tspi_buf *text, unsigned c)
{
    if (c < 0x80) {
        tspi_buf_putc(text, (char)c);
        return;
    }
    if (c >= 0x10000)
        tspi_buf_printf(text, "%c%c", (char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3f)));
    else if (c >= 0x800)
        tspi_buf_putc(text, (char)(0xe0 | c >> 12));
    if (c >= 0x800)
        tspi_buf_putc(text, (char)(0x80 | (c >> 6 & 0x3f)));
    else
        tspi_buf_putc(text, (char)(0xc0 | c >> 6));
    tspi_buf_putc(text, (char)(0x80 | (c & 0x3f)));
}

/* Append c to json as one of the ways to write it in a string. */
static void put_escaped(tspi_buf *json, unsigned c, tspi_random *random)
{
    bool must = c < ' ' || c == '"' || c == '\\';
    const char *upper = below(random, 2) ? "\\u%04X" : "\\u%04x";

    if (c == '\n' && below(random, 2)) {
        tspi_buf_puts(json, "\\n");
    } else if ((c == '"' || c == '\\' || c == '/') && below(random, 2)) {
        tspi_buf_printf(json, "\\%c", (char)c);
    } else if (must || below(random, 3) == 0) {
        char unit[16];
        if (c >= 0x10000) {
            snprintf(unit, sizeof unit, upper, 0xd800 + ((c - 0x10000) >> 10));
            tspi_buf_puts(json, unit);
            c = 0xdc00 + ((c - 0x10000) & 0x3ff);
        }
        snprintf(unit, sizeof unit, upper, c);
        tspi_buf_puts(json, unit);
    } else {
        put_utf8(json, c);
    }
}

static bool same(const tspi_buf *a, const tspi_buf *b)
{
    return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

/* The same random text plain and as the inside of a JSON string. */
static void random_text(tspi_random *random, size_t characters, tspi_buf *plain, tspi_buf *json)
{
    static const unsigned ranges[][2] = {{1, 0x7f},       {' ', '~'},       {0x80, 0x7ff},
                                         {0x800, 0xd7ff}, {0xe000, 0xffff}, {0x10000, 0x10ffff}};

    for (size_t k = 0; k < characters; k++) {
        const unsigned *range = ranges[below(random, 6)];
        unsigned c = range[0] + (unsigned)below(random, range[1] - range[0] + 1);
        put_utf8(plain, c);
        put_escaped(json, c, random);
    }
}

static void put_chunk(tspi_buf *out, const tspi_buf *json_text)
{
    tspi_buf_puts(out, "{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"created\":1,\"choices\":[{\"index\":0,"
                       "\"delta\":{\"content\":\"");
    tspi_buf_append(out, json_text->data, json_text->len);
    tspi_buf_puts(out, "\"},\"logprobs\":null,\"finish_reason\":null}]}");
}

/* The reader of event streams */

static tsp_status collect(void *user, const char *data, size_t len, tsp_error *err)
{
    (void)err;
    tspi_buf_append(user, data, len);
    tspi_buf_putc(user, '\0');
    return TSP_OK;
}

/* Lines that mean nothing, between and inside of events. */
static void put_noise(tspi_buf *stream, tspi_random *random, const char *end)
{
    static const char *const noise[] = {": keep-alive", ":",      "id: 7",    "event: message",
                                        "retry",        "dat: x", "datax: y", "retry: 3000"};

    while (below(random, 3) == 0) {
        tspi_buf_puts(stream, noise[below(random, sizeof noise / sizeof *noise)]);
        tspi_buf_puts(stream, end);
    }
}

TEST(openai_sse, reads_every_cut_and_line_ending)
{
    static const char *const ends[] = {"\n", "\r\n", "\r"};
    tspi_random random = chance_of("sse");

    for (int round = 0; round < 300; round++) {
        tspi_buf stream = {0}, want = {0}, got = {0};
        tspi_sse sse = {.event = collect, .user = &got};
        const char *end = ends[round % 3];
        tsp_error err = {0};
        if (below(&random, 4) == 0)
            tspi_buf_puts(&stream, "\xef\xbb\xbf");
        for (size_t events = below(&random, 6); events-- > 0;) {
            size_t lines = 1 + below(&random, 3);
            put_noise(&stream, &random, end);
            for (size_t k = 0; k < lines; k++) {
                char value[8] = "";
                for (size_t n = 0, len = below(&random, 7); n < len; n++)
                    value[n] = "ab: {\""[below(&random, 6)];
                tspi_buf_printf(&stream, "data:%s%s%s", value[0] == ' ' || below(&random, 2) ? " " : "", value, end);
                put_noise(&stream, &random, end);
                tspi_buf_printf(&want, "%s%s", k ? "\n" : "", value);
                if (lines == 1 && !value[0]) { /* an event of nothing is none */
                    tspi_buf_printf(&stream, "data:x%s", end);
                    tspi_buf_puts(&want, "\nx");
                }
            }
            tspi_buf_putc(&want, '\0');
            if (events || below(&random, 2)) /* the last blank line may be missing */
                tspi_buf_puts(&stream, end);
        }
        for (size_t at = 0; at < stream.len;) {
            size_t n = 1 + below(&random, round % 2 ? 3 : stream.len);
            n = n < stream.len - at ? n : stream.len - at;
            CHECK_STATUS(tspi_sse_feed(&sse, stream.data + at, n, &err), TSP_OK, &err);
            at += n;
        }
        CHECK_STATUS(tspi_sse_end(&sse, &err), TSP_OK, &err);
        if (!same(&got, &want))
            TEST_FAIL("round %d: %zu bytes of events, want %zu", round, got.len, want.len);
        tspi_sse_release(&sse);
        tspi_buf_release(&stream);
        tspi_buf_release(&want);
        tspi_buf_release(&got);
    }
}

TEST(openai_sse, bounds_what_it_keeps)
{
    static const char *const endless[] = {"xxxxxxxxxxxxxxxxxxxxxxxx", "data: x\n", "data:\n"};
    tsp_error err = {0};

    for (int k = 0; k < 3; k++) {
        tspi_buf got = {0};
        tspi_sse sse = {.event = collect, .user = &got};
        tsp_status rc = TSP_OK;
        for (size_t fed = 0; rc == TSP_OK && fed < (8 << 20); fed += strlen(endless[k]))
            rc = tspi_sse_feed(&sse, endless[k], strlen(endless[k]), &err);
        CHECK_STATUS(rc, TSP_ERANGE, &err);
        CHECK(sse.line.cap + sse.data.cap < 4 * TSPI_SSE_MAX_EVENT_BYTES);
        tspi_sse_release(&sse);
        tspi_buf_release(&got);
    }
}

/* JSON */

TEST(openai_json, reads_text_however_it_is_escaped)
{
    tspi_random random = chance_of("json");

    for (int round = 0; round < 200; round++) {
        tspi_buf plain = {0}, json = {0}, chunk = {0}, got = {0};
        bool finished = false;
        tsp_error err = {0};
        random_text(&random, below(&random, 40), &plain, &json);
        put_chunk(&chunk, &json);
        CHECK_STATUS(tspi_openai_read_chunk((char *)chunk.data, chunk.len, &got, &finished, &err), TSP_OK, &err);
        CHECK(!finished);
        if (!same(&got, &plain))
            TEST_FAIL("round %d: '%.*s' became '%.*s'", round, (int)json.len, json.data, (int)got.len, got.data);
        /* No prefix is a chunk, and damage of any kind is an error or other text, never worse. */
        size_t cut = below(&random, chunk.len);
        CHECK(tspi_openai_read_chunk((char *)chunk.data, cut, &got, &finished, &err) != TSP_OK);
        for (int n = 0; n < 40; n++) {
            chunk.data[below(&random, chunk.len)] = (uint8_t) "{}[]\",:\\ux0\xff"[below(&random, 12)];
            tspi_openai_read_chunk((char *)chunk.data, chunk.len, &got, &finished, &err);
        }
        tspi_buf_release(&plain);
        tspi_buf_release(&json);
        tspi_buf_release(&chunk);
        tspi_buf_release(&got);
    }
}

static void check_chunk(const char *json, tsp_status want, const char *text, bool finished, const char *words)
{
    tspi_buf got = {0};
    bool done = false;
    tsp_error err = {0};

    CHECK_STATUS(tspi_openai_read_chunk(json, strlen(json), &got, &done, &err), want, &err);
    tspi_buf_putc(&got, '\0');
    CHECK_STR((char *)got.data, text);
    CHECK(done == finished);
    if (words)
        CHECK_CONTAINS(err.message, words);
    tspi_buf_release(&got);
}

TEST(openai_json, knows_the_chunks_of_many_servers)
{
    check_chunk("{\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":null}]}", TSP_OK,
                "", false, NULL);
    check_chunk("{\"choices\":[{\"finish_reason\":\"length\",\"delta\":{}}]}", TSP_OK, "", true, NULL);
    check_chunk("{\"choices\":[{\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}", TSP_OK, "a", true, NULL);
    check_chunk(" {\"choices\" : [ ] , \"usage\":{\"total_tokens\":3}}\n", TSP_OK, "", false, NULL);
    check_chunk("{\"choices\":[{\"delta\":{\"content\":[\"a\"]}}]}", TSP_OK, "", false, NULL);
    check_chunk("{\"error\":{\"message\":\"out of \\\"slots\\\"\",\"code\":503}}", TSP_EIO, "", false,
                "out of \"slots\"");
    check_chunk("{\"error\":\"boom\\nbang\"}", TSP_EIO, "", false, "boom bang");
    check_chunk("{\"error\":{\"code\":1}}", TSP_EIO, "", false, "{\"error\"");
    check_chunk("{\"error\":null,\"choices\":[]}", TSP_OK, "", false, NULL);
    check_chunk("[]", TSP_EPARSE, "", false, "not a JSON object");
    check_chunk("{} {}", TSP_EPARSE, "", false, "not a JSON object");
    check_chunk("hello", TSP_EPARSE, "", false, "hello");
    check_chunk("", TSP_EPARSE, "", false, NULL);
}

/* A server that answers by script */

enum { MAX_CONNECTIONS = 64 };

typedef struct {
    int listener;
    unsigned port;
    pthread_t thread, connections[MAX_CONNECTIONS];
    int fds[MAX_CONNECTIONS];
    unsigned count;
    void (*chat)(int fd, const char *request); /* answers POST /v1/chat/completions, up to the closing of fd */
    const char *models, *props;                /* whole answers, or NULL: 404 */
    char last_request[8192];                   /* of a chat */
    pthread_mutex_t lock;
} server;

static server scripted;

static void put(int fd, const void *bytes, size_t len)
{
    while (len) {
        ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        bytes = (const char *)bytes + sent;
        len -= (size_t)sent;
    }
}

static void puts_to(int fd, const char *text)
{
    put(fd, text, strlen(text));
}

/* Read one request, as far as its Content-Length says. False: the client has gone. */
static bool read_request(int fd, char *request, size_t size)
{
    size_t len = 0, want = SIZE_MAX;

    while (len < size - 1 && len < want) {
        ssize_t got = recv(fd, request + len, size - 1 - len, 0);
        if (got <= 0)
            return false;
        len += (size_t)got;
        request[len] = '\0';
        const char *end = strstr(request, "\r\n\r\n"), *length = strcasestr(request, "\r\nContent-Length:");
        if (end)
            want = (size_t)(end + 4 - request) + (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
    }
    return true;
}

static void *serve_connection(void *user)
{
    int fd = *(int *)user;
    char request[8192];

    if (read_request(fd, request, sizeof request)) {
        if (!strncmp(request, "GET /v1/models ", 15) && scripted.models) {
            puts_to(fd, scripted.models);
        } else if (!strncmp(request, "GET /props ", 11) && scripted.props) {
            puts_to(fd, scripted.props);
        } else if (!strncmp(request, "POST /v1/chat/completions ", 26) && scripted.chat) {
            pthread_mutex_lock(&scripted.lock);
            strcpy(scripted.last_request, request);
            pthread_mutex_unlock(&scripted.lock);
            scripted.chat(fd, request);
        } else {
            puts_to(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\nConnection: close\r\n\r\nnot here");
        }
    }
    shutdown(fd, SHUT_RDWR);
    return NULL;
}

static void *serve(void *user)
{
    (void)user;
    for (int fd; scripted.count < MAX_CONNECTIONS && (fd = accept(scripted.listener, NULL, NULL)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        scripted.fds[scripted.count] = fd;
        pthread_create(&scripted.connections[scripted.count], NULL, serve_connection, &scripted.fds[scripted.count]);
        scripted.count++;
    }
    return NULL;
}

static const char one_model[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
                                "{\"object\":\"list\",\"data\":[{\"id\":\"small \\\"one\\\"\"},{\"id\":\"other\"}]}";
static const char stream_head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
                                  "Connection: close\r\n\r\n";

static void server_start(void (*chat)(int fd, const char *request))
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;

    memset(&scripted, 0, sizeof scripted);
    pthread_mutex_init(&scripted.lock, NULL);
    scripted.chat = chat;
    scripted.models = one_model;
    scripted.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(scripted.listener, (struct sockaddr *)&address, len) != 0 || listen(scripted.listener, 64) != 0 ||
        getsockname(scripted.listener, (struct sockaddr *)&address, &len) != 0)
        abort();
    scripted.port = ntohs(address.sin_port);
    pthread_create(&scripted.thread, NULL, serve, NULL);
}

static void server_stop(void)
{
    shutdown(scripted.listener, SHUT_RDWR);
    pthread_join(scripted.thread, NULL);
    for (unsigned k = 0; k < scripted.count; k++) {
        shutdown(scripted.fds[k], SHUT_RDWR);
        pthread_join(scripted.connections[k], NULL);
        close(scripted.fds[k]);
    }
    close(scripted.listener);
}

static const tspi_openai_limits short_limits = {.connect_ms = 2000, .idle_s = 1, .answer_bytes = 1 << 20};

static tsp_status open_engine(const char *model, tspi_engine **ret_engine, tsp_error *err)
{
    char url[64];
    tspi_engine_config config = {.name = url, .model = model, .jobs = TSPI_ENGINE_DECODE, .max_sessions = 16};

    snprintf(url, sizeof url, "http://127.0.0.1:%u", scripted.port);
    return tspi_openai_open(&config, &short_limits, ret_engine, err);
}

static tspi_session *begin(tspi_engine *engine, const char *prompt)
{
    tspi_sampling sampling = {.max_tokens = 8, .temperature = 0.5, .seed = 5};
    tspi_session *session = NULL;
    tsp_error err = {0};

    CHECK_STATUS(engine->ops->session_new(engine, prompt, strlen(prompt), &sampling, &session, &err), TSP_OK, &err);
    return session;
}

/* Step to the end; waiting only on the engine's descriptor, and no step may say "again" after that. */
static tsp_status finish(tspi_session *session, tspi_buf *ret_text, tsp_error *err)
{
    tspi_engine *engine = session->engine;
    bool done = false;

    while (!done) {
        struct pollfd wait = {.fd = engine->ops->wait_fd(engine), .events = POLLIN};
        if (poll(&wait, 1, 20000) != 1)
            return tsp_error_set(err, TSP_EAGAIN, "nothing came for 20 s");
        tsp_status rc = engine->ops->step(session, ret_text, &done, err);
        if (rc != TSP_OK)
            return rc;
    }
    return TSP_OK;
}

/* A good answer: text in chunks of chance, the bytes cut by chance. */

static tspi_buf good_text;

static void answer_well(int fd, const char *request)
{
    tspi_random random = chance_of("answer");
    tspi_buf stream = {0};

    (void)request;
    tspi_buf_clear(&good_text);
    tspi_buf_puts(&stream, "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":null}}]}\r\n\r\n");
    for (int k = 0; k < 30; k++) {
        tspi_buf json = {0};
        random_text(&random, below(&random, 12), &good_text, &json);
        tspi_buf_puts(&stream, k % 3 ? "data: " : ": ping\r\n\r\ndata:");
        put_chunk(&stream, &json);
        tspi_buf_puts(&stream, k % 2 ? "\n\n" : "\r\n\r\n");
        tspi_buf_release(&json);
    }
    tspi_buf_puts(&stream, "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n");
    puts_to(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < stream.len;) {
        char head[16];
        size_t n = 1 + below(&random, 50);
        n = n < stream.len - at ? n : stream.len - at;
        snprintf(head, sizeof head, "%zx\r\n", n);
        puts_to(fd, head);
        put(fd, stream.data + at, n);
        puts_to(fd, "\r\n");
        at += n;
    }
    puts_to(fd, "0\r\n\r\n");
    tspi_buf_release(&stream);
}

TEST(openai, puts_an_answer_together)
{
    tspi_engine *engine = NULL;
    tspi_detokenizer *detokenizer = NULL;
    tspi_buf got = {0}, text = {0};
    tsp_error err = {0};

    if (!tspi_engine_openai.tokenize)
        SKIP("this build has no libcurl");
    setenv("OPENAI_API_KEY", "sk-test", 1);
    server_start(answer_well);
    CHECK_STATUS(open_engine(NULL, &engine, &err), TSP_OK, &err);
    unsetenv("OPENAI_API_KEY");
    REQUIRE(engine);
    CHECK(!engine->ops->deterministic);
    tspi_session *session = begin(engine, "Say \"hi\"\n\xf0\x9f\x98\x80\xff");
    CHECK_STATUS(finish(session, &got, &err), TSP_OK, &err);
    CHECK_STATUS(engine->ops->detokenizer_new(engine, &detokenizer, &err), TSP_OK, &err);
    for (size_t k = 0; k < got.len; k++)
        engine->ops->detokenize(detokenizer, got.data + k, 1, &text, &err);
    engine->ops->detokenizer_free(detokenizer);
    CHECK_INT(text.len, good_text.len);
    CHECK(same(&text, &good_text));
    CHECK_CONTAINS(scripted.last_request, "Authorization: Bearer sk-test\r\n");
    CHECK_CONTAINS(scripted.last_request, "Content-Type: application/json\r\n");
    CHECK_CONTAINS(scripted.last_request,
                   "{\"model\":\"small \\\"one\\\"\",\"messages\":[{\"role\":\"user\",\"content\":\"Say "
                   "\\\"hi\\\"\\n\xf0\x9f\x98\x80\xef\xbf\xbd\"}],\"stream\":true,\"max_tokens\":8,"
                   "\"temperature\":0.5,\"seed\":5}");
    engine->ops->session_free(session);
    engine->ops->close(engine);
    server_stop();
    tspi_buf_release(&got);
    tspi_buf_release(&text);
    tspi_buf_release(&good_text);
}

/* Many at once: each answer repeats its prompt's word. */

static void answer_in_kind(int fd, const char *request)
{
    const char *word = strstr(request, "\"content\":\"") + 11;
    int len = (int)strcspn(word, "\"");
    char event[256];

    puts_to(fd, stream_head);
    for (int k = 0; k < 50; k++) {
        snprintf(event, sizeof event, "data: {\"choices\":[{\"delta\":{\"content\":\"%.*s%d \"}}]}\n\n", len, word, k);
        puts_to(fd, event);
    }
    puts_to(fd, "data: [DONE]\n\n");
}

TEST(openai, keeps_side_by_side_sessions_apart)
{
    enum { SESSIONS = 16 };
    tspi_engine *engine = NULL;
    tspi_session *sessions[SESSIONS];
    tspi_buf got[SESSIONS] = {0};
    unsigned left = SESSIONS;
    tsp_error err = {0};

    if (!tspi_engine_openai.tokenize)
        SKIP("this build has no libcurl");
    server_start(answer_in_kind);
    CHECK_STATUS(open_engine("named", &engine, &err), TSP_OK, &err);
    REQUIRE(engine);
    for (int k = 0; k < SESSIONS; k++)
        sessions[k] = begin(engine, (char[]){(char)('a' + k), 0});
    while (left) {
        struct pollfd wait = {.fd = engine->ops->wait_fd(engine), .events = POLLIN};
        bool some = false;
        REQUIRE(poll(&wait, 1, 20000) == 1);
        for (int k = 0; k < SESSIONS; k++) {
            bool done = false;
            tsp_status rc = sessions[k] ? engine->ops->step(sessions[k], &got[k], &done, &err) : TSP_EAGAIN;
            some |= rc == TSP_OK;
            if (rc != TSP_EAGAIN)
                CHECK_STATUS(rc, TSP_OK, &err);
            if (!done && (rc == TSP_OK || rc == TSP_EAGAIN))
                continue;
            engine->ops->session_free(sessions[k]);
            sessions[k] = NULL;
            left--;
        }
        CHECK(some); /* readable means that some step has something */
    }
    struct pollfd idle = {.fd = engine->ops->wait_fd(engine), .events = POLLIN};
    CHECK_INT(poll(&idle, 1, 0), 0);
    for (int k = 0; k < SESSIONS; k++) {
        tspi_buf want = {0};
        for (int n = 0; n < 50; n++)
            tspi_buf_printf(&want, "%c%d ", 'a' + k, n);
        CHECK(same(&got[k], &want));
        tspi_buf_release(&want);
        tspi_buf_release(&got[k]);
    }
    CHECK_CONTAINS(scripted.last_request, "{\"model\":\"named\"");
    engine->ops->close(engine);
    server_stop();
}

/* Bad answers: each says what was wrong, where, and is never taken for a whole one. */

static const char begun[] = "data: {\"choices\":[{\"delta\":{\"content\":\"so far\"}}]}\n\n";

static void refuse(int fd, const char *request)
{
    (void)request;
    puts_to(fd, "HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
                "{\"error\":{\"message\":\"slow\\ndown\",\"type\":\"rate\"}}");
}

static void refuse_in_html(int fd, const char *request)
{
    (void)request;
    puts_to(fd, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n<h1>Bad gateway</h1>");
}

static void answer_at_once(int fd, const char *request)
{
    (void)request;
    puts_to(fd, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
                "{\"choices\":[{\"message\":{\"content\":\"all of it\"}}]}");
}

static void die_in_silence(int fd, const char *request)
{
    (void)request;
    puts_to(fd, stream_head);
    puts_to(fd, begun);
}

static void die_in_a_chunk(int fd, const char *request)
{
    (void)request;
    puts_to(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n80\r\n");
    puts_to(fd, begun);
}

static void die_by_reset(int fd, const char *request)
{
    (void)request;
    puts_to(fd, "HTTP/1.1 200 OK\r\n");
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
    connect(fd, &(struct sockaddr){.sa_family = AF_UNSPEC}, sizeof(struct sockaddr)); /* dissolves the connection */
}

static void fall_asleep(int fd, const char *request)
{
    char byte;

    (void)request;
    puts_to(fd, stream_head);
    puts_to(fd, begun);
    recv(fd, &byte, 1, 0); /* until the client goes */
}

static void complain_midway(int fd, const char *request)
{
    (void)request;
    puts_to(fd, stream_head);
    puts_to(fd, begun);
    puts_to(fd, "event: error\ndata: {\"error\":{\"message\":\"context is full\"}}\n\n");
}

static void talk_nonsense(int fd, const char *request)
{
    (void)request;
    puts_to(fd, stream_head);
    puts_to(fd, begun);
    puts_to(fd, "data: {\"choices\":[{\"delta\":\n\n");
}

static void never_end_a_line(int fd, const char *request)
{
    char block[4096];

    (void)request;
    memset(block, 'x', sizeof block);
    puts_to(fd, stream_head);
    puts_to(fd, "data: ");
    for (int k = 0; k < 4096; k++)
        put(fd, block, sizeof block);
}

static void never_end(int fd, const char *request)
{
    (void)request;
    puts_to(fd, stream_head);
    for (int k = 0; k < 100000; k++)
        puts_to(fd, begun);
}

static void check_bad_answer(void (*chat)(int, const char *), tsp_status want, const char *words, bool some_text)
{
    tspi_engine *engine = NULL;
    tspi_buf got = {0};
    tsp_error err = {0};
    char url[64];

    server_start(chat);
    CHECK_STATUS(open_engine(NULL, &engine, &err), TSP_OK, &err);
    REQUIRE(engine);
    tspi_session *session = begin(engine, "hello");
    CHECK_STATUS(finish(session, &got, &err), want, &err);
    CHECK_CONTAINS(err.message, words);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v1/chat/completions", scripted.port);
    CHECK_CONTAINS(err.message, url);
    if (some_text)
        CHECK(got.len >= 6 && !memcmp(got.data, "so far", 6));
    else
        CHECK_INT(got.len, 0);
    engine->ops->session_free(session);
    engine->ops->close(engine);
    server_stop();
    tspi_buf_release(&got);
}

TEST(openai, names_what_is_wrong_with_an_answer)
{
    if (!tspi_engine_openai.tokenize)
        SKIP("this build has no libcurl");
    check_bad_answer(refuse, TSP_EIO, "HTTP 429: slow down", false);
    check_bad_answer(refuse_in_html, TSP_EIO, "HTTP 502: <h1>Bad gateway</h1>", false);
    check_bad_answer(answer_at_once, TSP_EPARSE, "answered with 'application/json'", false);
    check_bad_answer(die_in_silence, TSP_ECLOSED, "ended in the middle of the answer", true);
    check_bad_answer(die_in_a_chunk, TSP_ECLOSED, "transfer closed", true);
    check_bad_answer(die_by_reset, TSP_ECLOSED, "", false);
    check_bad_answer(fall_asleep, TSP_EIO, "not a byte for 1 s", true);
    check_bad_answer(complain_midway, TSP_EIO, "the server says: context is full", true);
    check_bad_answer(talk_nonsense, TSP_EPARSE, "not a JSON object", true);
    check_bad_answer(never_end_a_line, TSP_ERANGE, "a line of the stream", false);
    check_bad_answer(never_end, TSP_ERANGE, "more than 1048576 bytes", true);
}

TEST(openai, lets_go_of_what_hangs)
{
    tspi_engine *engine = NULL;
    tspi_session *sessions[4];
    tsp_error err = {0};

    if (!tspi_engine_openai.tokenize)
        SKIP("this build has no libcurl");
    server_start(fall_asleep);
    CHECK_STATUS(open_engine(NULL, &engine, &err), TSP_OK, &err);
    REQUIRE(engine);
    for (int k = 0; k < 4; k++)
        sessions[k] = begin(engine, "hello");
    struct pollfd wait = {.fd = engine->ops->wait_fd(engine), .events = POLLIN};
    CHECK_INT(poll(&wait, 1, 20000), 1);
    for (int k = 0; k < 4; k++)
        engine->ops->session_free(sessions[k]); /* some before the connection, some in the answer */
    CHECK_INT(poll(&wait, 1, 0), 0);
    engine->ops->close(engine);
    server_stop();
}

/* Opening */

static void check_open(const char *models, tsp_status want, const char *words)
{
    tspi_engine *engine = NULL;
    tsp_error err = {0};

    server_start(NULL);
    scripted.models = models;
    CHECK_STATUS(open_engine(NULL, &engine, &err), want, &err);
    CHECK_CONTAINS(err.message, words);
    CHECK_CONTAINS(err.message, "/v1/models: ");
    server_stop();
}

TEST(openai, meets_the_server_when_it_opens)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nConnection: close\r\n\r\n";
    char models[512], props[512];
    tspi_engine *engine = NULL;
    tspi_buf got = {0};
    tsp_error err = {0};

    if (!tspi_engine_openai.tokenize)
        SKIP("this build has no libcurl");
    check_open(NULL, TSP_EIO, "HTTP 404: not here");
    check_open("HTTP/1.1 503 Busy\r\nConnection: close\r\n\r\n{\"error\":{\"message\":\"Loading model\"}}", TSP_EIO,
               "HTTP 503: Loading model");
    check_open("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"data\":[]}", TSP_EPARSE, "--model");
    check_open("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nwelcome", TSP_EPARSE, "--model");
    check_open("nonsense\r\n\r\n", TSP_ECLOSED, "");

    server_start(NULL); /* a port that nobody listens on any more */
    server_stop();
    CHECK_STATUS(open_engine(NULL, &engine, &err), TSP_EIO, &err);
    CHECK_CONTAINS(err.message, "Failed to connect");

    /* llama-server: no reuse of what it remembers; and with one slot, the same text however many ask at once. */
    for (int slots = 1; slots <= 2; slots++) {
        server_start(answer_in_kind);
        snprintf(models, sizeof models, "%s{\"data\":[{\"id\":\"m\"}]}", ok);
        snprintf(props, sizeof props, "%s{\"x\":[{}],\"total_slots\":%d}", ok, slots);
        scripted.models = models;
        scripted.props = props;
        CHECK_STATUS(open_engine(NULL, &engine, &err), TSP_OK, &err);
        CHECK(engine->ops->deterministic == (slots == 1));
        tspi_session *session = begin(engine, "w");
        CHECK_STATUS(finish(session, &got, &err), TSP_OK, &err);
        CHECK_CONTAINS(scripted.last_request, ",\"cache_prompt\":false}");
        engine->ops->session_free(session);
        engine->ops->close(engine);
        server_stop();
    }
    tspi_buf_release(&got);
}

static void check_url(const char *url, tsp_status want)
{
    tspi_engine_config config = {.name = url, .jobs = TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DETOKENIZE, .max_sessions = 1};
    tspi_engine *engine = NULL;
    tsp_error err = {0};

    CHECK_STATUS(tspi_engine_openai.open(&config, &engine, &err), want, &err);
    if (engine)
        engine->ops->close(engine);
    else
        CHECK_CONTAINS(err.message, url);
}

TEST(openai, knows_a_url_when_it_sees_one)
{
    if (!tspi_engine_openai.tokenize)
        SKIP("this build has no libcurl");
    check_url("http://localhost:8080", TSP_OK);
    check_url("http://[::1]:8080/v1/", TSP_OK);
    check_url("https://example.org/api/v1/chat/completions", TSP_OK);
    check_url("ftp://localhost", TSP_EINVAL);
    check_url("localhost:8080", TSP_EINVAL);
    check_url("http://", TSP_EINVAL);
    check_url("http://h:99999", TSP_EINVAL);
    check_url("http://h/v1?x=1", TSP_EINVAL);
    check_url("http://user:word@h/v1", TSP_EINVAL);
}
