#include "test.h"

#include "base/random.h"
#include "engine/engine.h"

enum { SESSIONS = 9, ALL_JOBS = TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DECODE | TSPI_ENGINE_DETOKENIZE };

static const char *const prompts[] = {"In the beginning", "Tell me of the river and the two brothers", "",
                                      "And it came to pass", "A lamp was lit in the house;"};

static tspi_engine *open_engine(unsigned jobs, unsigned sessions)
{
    tspi_engine_config config = {.name = "tiny", .jobs = jobs, .max_sessions = sessions};
    tspi_engine *engine = NULL;

    tspi_engine_open(&config, &engine, NULL);
    return engine;
}

static tspi_session *begin(tspi_engine *engine, const char *prompt, tspi_sampling sampling)
{
    tspi_session *session = NULL;
    tspi_buf piece = {0};
    tsp_error err = {0};

    CHECK_STATUS(engine->ops->tokenize(engine, prompt, strlen(prompt), &piece, NULL, &err), TSP_OK, &err);
    CHECK_STATUS(engine->ops->session_new(engine, piece.data, piece.len, &sampling, &session, &err), TSP_OK, &err);
    tspi_buf_release(&piece);
    return session;
}

/* All tokens of one session that runs alone. */
static void run_alone(const char *prompt, tspi_sampling sampling, tspi_buf *ret_tokens)
{
    tspi_engine *engine = open_engine(ALL_JOBS, 1);
    tspi_session *session = engine ? begin(engine, prompt, sampling) : NULL;
    bool done = false;

    REQUIRE(session != NULL);
    tspi_buf_clear(ret_tokens);
    while (!done) {
        tsp_status rc = engine->ops->step(session, ret_tokens, &done, NULL);
        REQUIRE(rc == TSP_OK || rc == TSP_EAGAIN);
    }
    engine->ops->session_free(session);
    tspi_engine_close(engine);
}

static bool equal(const tspi_buf *a, const tspi_buf *b)
{
    return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

static tspi_sampling random_sampling(tspi_random *random)
{
    return (tspi_sampling){.max_tokens = 1 + (unsigned)tspi_random_below(random, 80),
                           .temperature = tspi_random_below(random, 2) ? tspi_random_uniform(random, 0.2, 1.5) : 0,
                           .seed = tspi_random_u64(random)};
}

/* Steps of many sessions in random order, sessions coming and going: each gives what it gives alone. */
TEST(tiny, interleaved_sessions_are_as_if_alone)
{
    tspi_engine *engine = open_engine(ALL_JOBS, SESSIONS);
    tspi_session *session[SESSIONS] = {0};
    tspi_sampling sampling[SESSIONS];
    const char *prompt[SESSIONS];
    tspi_buf got[SESSIONS] = {0}, alone = {0};
    tspi_random random;
    int finished = 0;

    REQUIRE(engine != NULL);
    tspi_random_seed(&random, seed);
    while (finished < 40) {
        size_t k = tspi_random_below(&random, SESSIONS);
        bool done = false;
        if (!session[k]) {
            sampling[k] = random_sampling(&random);
            prompt[k] = prompts[tspi_random_below(&random, sizeof prompts / sizeof *prompts)];
            tspi_buf_clear(&got[k]);
            session[k] = begin(engine, prompt[k], sampling[k]);
            REQUIRE(session[k] != NULL);
        }
        tsp_status rc = engine->ops->step(session[k], &got[k], &done, NULL);
        CHECK(rc == TSP_OK || rc == TSP_EAGAIN);
        if (!done)
            continue;
        run_alone(prompt[k], sampling[k], &alone);
        CHECK(equal(&got[k], &alone));
        CHECK(got[k].len <= 4 * sampling[k].max_tokens);
        engine->ops->session_free(session[k]);
        session[k] = NULL;
        finished++;
    }
    for (size_t k = 0; k < SESSIONS; k++) {
        engine->ops->session_free(session[k]);
        tspi_buf_release(&got[k]);
    }
    tspi_buf_release(&alone);
    tspi_engine_close(engine);
}

TEST(tiny, the_seed_decides_the_text)
{
    tspi_sampling sampling = {.max_tokens = 60, .temperature = 0.9, .seed = seed};
    tspi_buf a = {0}, b = {0}, c = {0}, greedy = {0}, again = {0};

    run_alone(prompts[0], sampling, &a);
    run_alone(prompts[0], sampling, &b);
    sampling.seed++;
    run_alone(prompts[0], sampling, &c);
    CHECK(equal(&a, &b));
    CHECK(!equal(&a, &c));
    sampling.temperature = 0;
    run_alone(prompts[0], sampling, &greedy);
    sampling.seed++;
    run_alone(prompts[0], sampling, &again);
    CHECK(equal(&greedy, &again));
    CHECK(!equal(&greedy, &a));
    sampling.temperature = 1e-6; /* nearly greedy */
    run_alone(prompts[0], sampling, &again);
    CHECK(equal(&greedy, &again));
    tspi_buf_release(&a);
    tspi_buf_release(&b);
    tspi_buf_release(&c);
    tspi_buf_release(&greedy);
    tspi_buf_release(&again);
}

/* A prompt of any length: bounded work a step, and only its newest tokens matter. */
TEST(tiny, a_long_prompt_is_taken_in_small_steps)
{
    tspi_engine *engine = open_engine(ALL_JOBS, 1);
    tspi_sampling sampling = {.max_tokens = 20};
    tspi_buf text = {0}, from_long = {0}, from_end = {0};
    int empty_steps = 0;
    bool done = false;

    REQUIRE(engine != NULL);
    for (int k = 0; k < 3000; k++)
        tspi_buf_puts(&text, prompts[k % 5]);
    tspi_buf_putc(&text, 0);
    tspi_session *session = begin(engine, (char *)text.data, sampling);
    REQUIRE(session != NULL);
    while (!done) {
        size_t before = from_long.len;
        tsp_status rc = engine->ops->step(session, &from_long, &done, NULL);
        CHECK(rc == TSP_OK || rc == TSP_EAGAIN);
        CHECK(from_long.len - before == (rc == TSP_OK ? 4 : 0));
        empty_steps += rc == TSP_EAGAIN;
    }
    printf("# %d steps before the first token\n", empty_steps);
    CHECK(empty_steps > 10 && empty_steps < 1000);
    engine->ops->session_free(session);
    run_alone((char *)text.data + text.len - 1 - text.len / 2, sampling, &from_end);
    CHECK(equal(&from_long, &from_end));
    tspi_buf_release(&text);
    tspi_buf_release(&from_long);
    tspi_buf_release(&from_end);
    tspi_engine_close(engine);
}

TEST(tiny, says_what_it_cannot_do)
{
    tspi_engine *engine = open_engine(TSPI_ENGINE_DECODE, 1);
    tspi_sampling sampling = {.max_tokens = 5};
    tspi_session *session = NULL, *second = NULL;
    tspi_detokenizer *d = NULL;
    tspi_buf piece = {0};
    tsp_error err = {0};
    bool done = false;

    REQUIRE(engine != NULL);
    CHECK_INT(engine->ops->tokenize(engine, "x", 1, &piece, NULL, &err), TSP_EINVAL);
    CHECK_INT(engine->ops->detokenizer_new(engine, &d, &err), TSP_EINVAL);
    CHECK_INT(engine->ops->session_new(engine, "\xff\xff\xff\x7f", 4, &sampling, &session, &err), TSP_EPARSE);
    CHECK_INT(engine->ops->session_new(engine, "\x01\x00\x00", 3, &sampling, &session, &err), TSP_EPARSE);
    sampling.temperature = NAN;
    CHECK_INT(engine->ops->session_new(engine, "", 0, &sampling, &session, &err), TSP_EINVAL);
    sampling.temperature = 0;
    CHECK_STATUS(engine->ops->session_new(engine, NULL, 0, &sampling, &session, &err), TSP_OK, &err);
    CHECK_INT(engine->ops->session_new(engine, NULL, 0, &sampling, &second, &err), TSP_EAGAIN);
    engine->ops->session_free(session);
    sampling.max_tokens = 0;
    CHECK_STATUS(engine->ops->session_new(engine, NULL, 0, &sampling, &session, &err), TSP_OK, &err);
    CHECK_STATUS(engine->ops->step(session, &piece, &done, &err), TSP_OK, &err);
    CHECK(done && piece.len == 0);
    engine->ops->session_free(session);
    tspi_buf_release(&piece);
    tspi_engine_close(engine);
}
