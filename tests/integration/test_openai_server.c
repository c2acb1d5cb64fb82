/* The engine at a URL against a real llama-server with SmolLM2. Skips, and says so, where either is not there. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/random.h"
#include "engine/openai.h"
#include "test.h"

static const char *const prompts[] = {
    "Why is the sky blue?",          "Write a haiku about clocks that disagree.", "List three uses of a hammer.",
    "Name five fruits, with emoji.", "Erkläre kurz, was ein Spiegel ist.",        "Count from one to thirty.",
};
enum { PROMPTS = sizeof prompts / sizeof *prompts, MAX_TOKENS = 32, START_TRIES = 600, ALL_JOBS = 7 };

static char program[4096], model[4096];
static const char log_name[] = "llama-server.log"; /* left behind by a failure */

/* NULL, or why the tests cannot run. */
static const char *missing(void)
{
    const char *parts = getenv("TRUESPAN_PARTS");

    if (!tspi_engine_openai.tokenize)
        return "this build has no libcurl";
    snprintf(program, sizeof program, "%s/llama_server/bin/llama-server", parts ? parts : ".parts");
    snprintf(model, sizeof model, "%s/models/SmolLM2-135M-Instruct.Q4_1.gguf", parts ? parts : ".parts");
    if (access(program, X_OK) != 0)
        return "no llama-server: tools/parts/llama_server.sh builds it";
    if (access(model, R_OK) != 0)
        return "no model: tools/parts/smollm2.sh fetches it";
    return NULL;
}

/* The server: one that answers, started anew for each test */

typedef struct {
    pid_t pid;
    char url[64];
} server;

static unsigned free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (bind(fd, (struct sockaddr *)&address, len) != 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0)
        abort();
    close(fd);
    return ntohs(address.sin_port);
}

static void be_server(const char *port, const char *slots)
{
    int log = open(log_name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execl(program, program, "-m", model, "-ngl", "0", "-np", slots, "-t", "1", "--host", "127.0.0.1", "--port", port,
          (char *)NULL);
    _exit(127);
}

static void server_stop(server *llama, int how)
{
    int status;

    if (llama->pid <= 0)
        return;
    kill(llama->pid, how);
    waitpid(llama->pid, &status, 0);
    llama->pid = 0;
    if (!test_failures)
        unlink(log_name);
}

static tspi_engine *open_engine(const server *llama, tsp_error *err)
{
    tspi_engine_config config = {.name = llama->url, .jobs = ALL_JOBS, .max_sessions = PROMPTS};
    tspi_engine *engine = NULL;

    return tspi_engine_openai.open(&config, &engine, err) == TSP_OK ? engine : NULL;
}

/* Start it and open the engine as soon as the server has read its model; NULL (and a failed test) if it never has. */
static tspi_engine *server_start(server *llama, const char *slots)
{
    char port[16];
    tsp_error err = {0};

    snprintf(port, sizeof port, "%u", free_port());
    snprintf(llama->url, sizeof llama->url, "http://127.0.0.1:%s/v1", port);
    llama->pid = fork();
    if (llama->pid == 0)
        be_server(port, slots);
    for (int k = 0; k < START_TRIES && waitpid(llama->pid, NULL, WNOHANG) == 0; k++) {
        tspi_engine *engine = open_engine(llama, &err);
        if (engine)
            return engine;
        poll(NULL, 0, 100);
    }
    TEST_FAIL("llama-server does not answer, see %s: %s", log_name, err.message);
    server_stop(llama, SIGKILL);
    return NULL;
}

/* Generations */

static tspi_session *begin(tspi_engine *engine, size_t k)
{
    /* Every other one is sampled, each with its own seed. */
    tspi_sampling sampling = {.max_tokens = MAX_TOKENS, .temperature = k % 2 ? 0.8 : 0, .seed = 1000 + k};
    tspi_session *session = NULL;
    tspi_buf piece = {0};
    uint32_t tokens;
    tsp_error err = {0};

    CHECK_STATUS(engine->ops->tokenize(engine, prompts[k], strlen(prompts[k]), &piece, &tokens, &err), TSP_OK, &err);
    CHECK_STATUS(engine->ops->session_new(engine, piece.data, piece.len, &sampling, &session, &err), TSP_OK, &err);
    tspi_buf_release(&piece);
    return session;
}

/* All prompts at once, each to its end. ret_pieces: how many pieces came. */
static void generate_all(tspi_engine *engine, tspi_buf *texts, unsigned *ret_pieces)
{
    tspi_session *sessions[PROMPTS];
    struct pollfd wait = {.fd = engine->ops->wait_fd(engine), .events = POLLIN};
    size_t left = PROMPTS;
    tsp_error err = {0};

    for (size_t k = 0; k < PROMPTS; k++)
        sessions[k] = begin(engine, k);
    while (left && poll(&wait, 1, 60000) == 1) {
        for (size_t k = 0; k < PROMPTS; k++) {
            size_t before = texts[k].len;
            bool done = false;
            tsp_status rc = sessions[k] ? engine->ops->step(sessions[k], &texts[k], &done, &err) : TSP_EAGAIN;
            *ret_pieces += texts[k].len > before;
            if (rc == TSP_EAGAIN || (rc == TSP_OK && !done))
                continue;
            CHECK_STATUS(rc, TSP_OK, &err);
            engine->ops->session_free(sessions[k]);
            sessions[k] = NULL;
            left--;
        }
    }
    CHECK_INT(left, 0);
}

TEST(openai_server, one_slot_gives_the_same_text_side_by_side_and_alone)
{
    tspi_buf together[PROMPTS] = {0};
    unsigned pieces = 0;
    tsp_error err = {0};
    server llama;

    if (missing())
        SKIP(missing());
    tspi_engine *engine = server_start(&llama, "1");
    REQUIRE(engine);
    CHECK(engine->ops->deterministic);
    generate_all(engine, together, &pieces);
    CHECK(pieces > PROMPTS && pieces <= PROMPTS * MAX_TOKENS);
    for (size_t k = PROMPTS; k-- > 0;) {
        tspi_buf alone = {0};
        tspi_session *session = begin(engine, k);
        struct pollfd wait = {.fd = engine->ops->wait_fd(engine), .events = POLLIN};
        bool done = false;
        while (!done && poll(&wait, 1, 60000) == 1)
            CHECK_STATUS(engine->ops->step(session, &alone, &done, &err), TSP_OK, &err);
        engine->ops->session_free(session);
        CHECK(alone.len > 0);
        if (alone.len != together[k].len || memcmp(alone.data, together[k].data, alone.len) != 0)
            TEST_FAIL("%s: alone '%.*s', side by side '%.*s'", prompts[k], (int)alone.len, alone.data,
                      (int)together[k].len, together[k].data);
        printf("# %s -> %.*s\n", prompts[k], (int)strcspn((tspi_buf_putc(&alone, '\0'), (char *)alone.data), "\n"),
               alone.data);
        tspi_buf_release(&alone);
        tspi_buf_release(&together[k]);
    }
    engine->ops->close(engine);
    server_stop(&llama, SIGTERM);
}

TEST(openai_server, many_slots_answer_but_promise_nothing)
{
    tspi_buf texts[PROMPTS] = {0};
    unsigned pieces = 0;
    server llama;

    if (missing())
        SKIP(missing());
    tspi_engine *engine = server_start(&llama, "4");
    REQUIRE(engine);
    CHECK(!engine->ops->deterministic);
    generate_all(engine, texts, &pieces);
    for (size_t k = 0; k < PROMPTS; k++) {
        CHECK(texts[k].len > 0);
        tspi_buf_release(&texts[k]);
    }
    engine->ops->close(engine);
    server_stop(&llama, SIGTERM);
}

TEST(openai_server, its_death_is_an_error_not_a_short_answer)
{
    tspi_buf text = {0};
    bool done = false;
    tsp_status rc = TSP_OK;
    tsp_error err = {0};
    server llama;

    if (missing())
        SKIP(missing());
    tspi_engine *engine = server_start(&llama, "1");
    REQUIRE(engine);
    tspi_session *session = begin(engine, 0);
    struct pollfd wait = {.fd = engine->ops->wait_fd(engine), .events = POLLIN};
    while (rc == TSP_OK && !done && poll(&wait, 1, 60000) == 1) {
        rc = engine->ops->step(session, &text, &done, &err);
        if (text.len)
            server_stop(&llama, SIGKILL);
    }
    CHECK(!done && text.len > 0);
    CHECK_STATUS(rc, TSP_ECLOSED, &err);
    CHECK_CONTAINS(err.message, llama.url);
    printf("# %s\n", err.message);
    engine->ops->session_free(session);
    session = begin(engine, 0);
    CHECK_INT(poll(&wait, 1, 60000), 1);
    CHECK_STATUS(engine->ops->step(session, &text, &done, &err), TSP_EIO, &err);
    CHECK_CONTAINS(err.message, "Failed to connect");
    engine->ops->session_free(session);
    engine->ops->close(engine);
    tspi_buf_release(&text);
}
