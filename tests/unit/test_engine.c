#include "test.h"

#include "engine/engine.h"
#include "tiny_texts.h"

enum { ALL_JOBS = TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DECODE | TSPI_ENGINE_DETOKENIZE };

TEST(engine, completes_a_prompt_with_words_and_the_same_ones_again)
{
    tspi_engine_config config = {.name = "tiny", .jobs = ALL_JOBS, .max_sessions = 1};
    tspi_sampling sampling = {.max_tokens = 40};
    tspi_engine *engine = NULL;
    tspi_buf first = {0}, again = {0};
    uint32_t tokens = 0;
    tsp_error err = {0};
    const char *prompt = "In the beginning";

    CHECK_STATUS(tspi_engine_open(&config, &engine, &err), TSP_OK, &err);
    REQUIRE(engine != NULL);
    CHECK_STATUS(tspi_engine_complete(engine, prompt, strlen(prompt), &sampling, &first, &tokens, &err), TSP_OK, &err);
    CHECK(tokens > 0 && tokens <= 40);
    CHECK_STATUS(tspi_engine_complete(engine, prompt, strlen(prompt), &sampling, &again, NULL, &err), TSP_OK, &err);
    tspi_buf_putc(&first, 0);
    tspi_buf_putc(&again, 0);
    printf("# %s:%s\n", prompt, (char *)first.data);
    CHECK_STR((char *)again.data, (char *)first.data);
    CHECK_CONTAINS((char *)first.data, " the ");
    tspi_buf_release(&first);
    tspi_buf_release(&again);
    tspi_engine_close(engine);
    tspi_engine_close(NULL);
}

/* tests/data/tiny_texts.txt is what `tiny_logits WEIGHTS texts` printed when the weights were made. */
TEST(engine, tiny_says_the_same_on_every_machine)
{
    tspi_buf want = {0}, got = {0};
    tsp_error err = {0};
    size_t k = 0;

    CHECK_STATUS(tspi_buf_read_file(&want, TEST_DATA "/tiny_texts.txt", 0, &err), TSP_OK, &err);
    CHECK_STATUS(tiny_texts(&got, &err), TSP_OK, &err);
    while (k < want.len && k < got.len && want.data[k] == got.data[k])
        k++;
    if (k < want.len || k < got.len)
        TEST_FAIL("the texts part at byte %zu, after '%.*s'", k, (int)(k < 40 ? k : 40),
                  (char *)got.data + (k < 40 ? 0 : k - 40));
    tspi_buf_release(&want);
    tspi_buf_release(&got);
}

TEST(engine, says_which_names_it_knows)
{
    tspi_engine_config config = {.name = "oracle", .jobs = ALL_JOBS, .max_sessions = 1};
    tspi_engine *engine = NULL;
    tsp_error err = {0};

    CHECK_INT(tspi_engine_open(&config, &engine, &err), TSP_EINVAL);
    CHECK_CONTAINS(err.message, "oracle");
    config.name = "tiny";
    config.jobs = 0;
    CHECK_INT(tspi_engine_open(&config, &engine, &err), TSP_EINVAL);
    config.jobs = ALL_JOBS;
    config.max_sessions = 0;
    CHECK_INT(tspi_engine_open(&config, &engine, &err), TSP_EINVAL);
    config.max_sessions = 1;
    config.name = "llama"; /* either not built in, or there is no such file */
    config.model = "/nonexistent/model.gguf";
    CHECK(tspi_engine_open(&config, &engine, &err) != TSP_OK);
    CHECK_CONTAINS(err.message, "llama");
}

TEST(engine, a_model_file_that_is_none_is_named_in_the_error)
{
    tspi_engine_config config = {.name = "tiny", .model = "/dev/null", .jobs = ALL_JOBS, .max_sessions = 1};
    tspi_engine *engine = NULL;
    tsp_error err = {0};

    CHECK_INT(tspi_engine_open(&config, &engine, &err), TSP_EPARSE);
    CHECK_CONTAINS(err.message, "/dev/null");
    config.model = "/nonexistent/weights";
    CHECK_INT(tspi_engine_open(&config, &engine, &err), TSP_EIO);
}
