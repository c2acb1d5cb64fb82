/* The engine llama with a real model: SmolLM2, from the parts. Skips, and says so, where either is not there. */
#include <fcntl.h>
#include <sys/wait.h>

#include "base/random.h"
#include "engine/llama.h"
#include "test.h"

static const char *const prompts[] = {
    "Why is the sky blue?",
    "Write a haiku about clocks that disagree.",
    "List three uses of a hammer.",
    "Erkläre kurz, was ein Spiegel ist. Antworte mit Umlauten: äöü.",
    "Reply with five emoji and nothing else. \xf0\x9f\x98\x80",
    ("The quick brown fox jumps over the lazy dog. The quick brown fox jumps over the lazy dog. The quick brown fox "
     "jumps over the lazy dog. The quick brown fox jumps over the lazy dog. How often does the fox jump? Count slowly."),
};
enum { PROMPTS = sizeof prompts / sizeof *prompts, MAX_TOKENS = 40 };

static char model[4096];

/* NULL, or why the tests cannot run. */
static const char *missing(void)
{
    const char *parts = getenv("TRUESPAN_PARTS");

    if (!tspi_engine_llama.tokenize)
        return "this build has no llama.cpp: tools/parts/llama.sh, then configure again";
    snprintf(model, sizeof model, "%s/models/SmolLM2-135M-Instruct.Q4_1.gguf", parts ? parts : ".parts");
    if (access(model, R_OK) != 0)
        return "no model: tools/parts/smollm2.sh fetches it";
    return NULL;
}

static tspi_engine *open_for(unsigned jobs, unsigned sessions)
{
    tspi_engine_config config = {.name = "llama", .model = model, .jobs = jobs, .max_sessions = sessions};
    tspi_engine *engine = NULL;
    tsp_error err = {0};

    CHECK_STATUS(tspi_engine_llama.open(&config, &engine, &err), TSP_OK, &err);
    return engine;
}

/* Every other generation is sampled, each with its own seed. */
static tspi_sampling sampling_of(size_t k)
{
    return (tspi_sampling){.max_tokens = MAX_TOKENS, .temperature = k % 2 ? 0.8 : 0, .seed = 1000 + k};
}

static void tokenize(tspi_engine *engine, const char *text, tspi_buf *ret_piece)
{
    uint32_t tokens = 0;
    tsp_error err = {0};

    CHECK_STATUS(tspi_engine_llama.tokenize(engine, text, strlen(text), ret_piece, &tokens, &err), TSP_OK, &err);
    CHECK_INT(ret_piece->len, 4 * tokens);
}

static tspi_session *begin(tspi_engine *engine, const tspi_buf *prompt, const tspi_sampling *sampling)
{
    tspi_session *session = NULL;
    tsp_error err = {0};

    CHECK_STATUS(tspi_engine_llama.session_new(engine, prompt->data, prompt->len, sampling, &session, &err), TSP_OK,
                 &err);
    return session;
}

/* One step; true while the generation goes on. */
static bool advance(tspi_session *session, tspi_buf *tokens)
{
    bool done = true;
    tsp_error err = {0};
    tsp_status rc = tspi_engine_llama.step(session, tokens, &done, &err);

    if (rc != TSP_EAGAIN)
        CHECK_STATUS(rc, TSP_OK, &err);
    return !done && (rc == TSP_OK || rc == TSP_EAGAIN);
}

static void generate(tspi_engine *engine, const tspi_buf *prompt, const tspi_sampling *sampling, tspi_buf *ret_tokens)
{
    tspi_session *session = begin(engine, prompt, sampling);

    while (session && advance(session, ret_tokens))
        ;
    tspi_engine_llama.session_free(session);
}

static void detokenize(tspi_engine *engine, const tspi_buf *tokens, tspi_buf *ret_text)
{
    tspi_detokenizer *detokenizer = NULL;
    tsp_error err = {0};

    CHECK_STATUS(tspi_engine_llama.detokenizer_new(engine, &detokenizer, &err), TSP_OK, &err);
    for (size_t at = 0; at < tokens->len; at += 4)
        CHECK_STATUS(tspi_engine_llama.detokenize(detokenizer, tokens->data + at, 4, ret_text, &err), TSP_OK, &err);
    tspi_engine_llama.detokenizer_free(detokenizer);
}

static void check_same(const tspi_buf *got, const tspi_buf *want, size_t k)
{
    if (got->len != want->len || memcmp(got->data, want->data, want->len) != 0)
        TEST_FAIL("generation %zu: got '%.*s', want '%.*s'", k, (int)got->len, got->data, (int)want->len, want->data);
}

/* Processes: a job runs in a child and hands back one buffer a prompt, and its memory. */

typedef void (*job)(const tspi_buf *in, tspi_buf *out);

static long peak_kb(void)
{
    char line[256];
    long kb = 0;
    FILE *file = fopen("/proc/self/status", "r");

    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %ld", &kb) == 1)
            break;
    if (file)
        fclose(file);
    return kb;
}

static void in_child(job work, const tspi_buf *in, tspi_buf *out, const char *name)
{
    int ends[2], status = -1;
    size_t len;
    long kb = 0;

    REQUIRE(pipe(ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        FILE *pipe_in = fdopen(ends[1], "w");
        tspi_buf made[PROMPTS] = {0};
        close(ends[0]);
        work(in, made);
        kb = peak_kb();
        fwrite(&kb, sizeof kb, 1, pipe_in);
        for (size_t k = 0; k < PROMPTS; k++) {
            fwrite(&made[k].len, sizeof made[k].len, 1, pipe_in);
            fwrite(made[k].data, 1, made[k].len, pipe_in);
        }
        fclose(pipe_in);
        fflush(stdout);
        _exit(test_failures ? 1 : 0);
    }
    close(ends[1]);
    FILE *pipe_out = fdopen(ends[0], "r");
    CHECK(fread(&kb, sizeof kb, 1, pipe_out) == 1);
    for (size_t k = 0; k < PROMPTS; k++) {
        if (fread(&len, sizeof len, 1, pipe_out) != 1 || len > 1 << 20 || !tspi_buf_reserve(&out[k], len + 1))
            break;
        out[k].len = fread(out[k].data, 1, len, pipe_out);
        out[k].data[out[k].len] = '\0';
    }
    fclose(pipe_out);
    waitpid(child, &status, 0);
    CHECK_INT(status, 0);
    printf("# %s: %ld MB at most\n", name, kb / 1024);
}

static void tokenize_all(const tspi_buf *in, tspi_buf *out)
{
    tspi_engine *engine = open_for(TSPI_ENGINE_TOKENIZE, 1);

    (void)in;
    for (size_t k = 0; engine && k < PROMPTS; k++)
        tokenize(engine, prompts[k], &out[k]);
    CHECK(peak_kb() < 90 * 1024); /* the vocabulary alone, not the weights */
    tspi_engine_llama.close(engine);
}

/* Fewer sessions than prompts, stepped in an order of chance: contexts are shared one after the other. */
static void decode_all(const tspi_buf *in, tspi_buf *out)
{
    enum { SIDE_BY_SIDE = 4 };
    tspi_engine *engine = open_for(TSPI_ENGINE_DECODE, SIDE_BY_SIDE);
    tspi_session *sessions[SIDE_BY_SIDE] = {NULL};
    size_t working_on[SIDE_BY_SIDE], next = 0, left = PROMPTS;
    tspi_random random;

    tspi_random_seed(&random, seed);
    while (engine && left) {
        size_t slot = tspi_random_below(&random, SIDE_BY_SIDE);
        if (!sessions[slot] && next < PROMPTS) {
            tspi_sampling sampling = sampling_of(next);
            sessions[slot] = begin(engine, &in[next], &sampling);
            working_on[slot] = next++;
        } else if (sessions[slot] && !advance(sessions[slot], &out[working_on[slot]])) {
            tspi_engine_llama.session_free(sessions[slot]);
            sessions[slot] = NULL;
            left--;
        }
    }
    tspi_engine_llama.close(engine);
}

static void detokenize_all(const tspi_buf *in, tspi_buf *out)
{
    tspi_engine *engine = open_for(TSPI_ENGINE_DETOKENIZE, 1);

    for (size_t k = 0; engine && k < PROMPTS; k++)
        detokenize(engine, &in[k], &out[k]);
    CHECK(peak_kb() < 90 * 1024);
    tspi_engine_llama.close(engine);
}

/* One process, one session at a time, last prompt first. */
static void refer_all(const tspi_buf *in, tspi_buf *out)
{
    tspi_engine *engine = open_for(TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DECODE | TSPI_ENGINE_DETOKENIZE, 1);

    (void)in;
    for (size_t k = PROMPTS; engine && k-- > 0;) {
        tspi_buf prompt = {0}, tokens = {0};
        tspi_sampling sampling = sampling_of(k);
        tokenize(engine, prompts[k], &prompt);
        generate(engine, &prompt, &sampling, &tokens);
        detokenize(engine, &tokens, &out[k]);
        tspi_buf_release(&prompt);
        tspi_buf_release(&tokens);
    }
    tspi_engine_llama.close(engine);
}

TEST(llama, three_processes_give_the_text_of_one)
{
    tspi_buf pieces[PROMPTS] = {0}, tokens[PROMPTS] = {0}, texts[PROMPTS] = {0}, reference[PROMPTS] = {0};

    if (missing())
        SKIP(missing());
    in_child(tokenize_all, NULL, pieces, "tokenise");
    in_child(decode_all, pieces, tokens, "decode");
    in_child(detokenize_all, tokens, texts, "detokenise");
    in_child(refer_all, NULL, reference, "all in one");
    for (size_t k = 0; k < PROMPTS; k++) {
        CHECK(reference[k].len > 0);
        check_same(&texts[k], &reference[k], k);
        printf("# %.70s -> %.*s\n", prompts[k], (int)strcspn((char *)texts[k].data, "\n"), texts[k].data);
        tspi_buf_release(&pieces[k]);
        tspi_buf_release(&tokens[k]);
        tspi_buf_release(&texts[k]);
        tspi_buf_release(&reference[k]);
    }
}

TEST(llama, the_seed_decides)
{
    tspi_buf prompt = {0}, tokens[3] = {{0}};
    const uint64_t seeds[3] = {7, 7, 8};

    if (missing())
        SKIP(missing());
    tspi_engine *engine = open_for(TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DECODE, 1);
    REQUIRE(engine);
    tokenize(engine, "Tell me a story.", &prompt);
    for (int k = 0; k < 3; k++) {
        tspi_sampling sampling = {.max_tokens = 24, .temperature = 1.0, .seed = seeds[k]};
        generate(engine, &prompt, &sampling, &tokens[k]);
    }
    CHECK_INT(tokens[0].len, 4 * 24);
    check_same(&tokens[1], &tokens[0], 1);
    CHECK(tokens[2].len != tokens[0].len || memcmp(tokens[2].data, tokens[0].data, tokens[0].len) != 0);
    tspi_engine_llama.close(engine);
    for (int k = 0; k < 3; k++)
        tspi_buf_release(&tokens[k]);
    tspi_buf_release(&prompt);
}

/* What a session refuses. */

static void check_refused(tspi_engine *engine, const void *piece, size_t len, unsigned max_tokens, tsp_status want,
                          const char *words)
{
    tspi_sampling sampling = {.max_tokens = max_tokens};
    tspi_session *session = NULL;
    tsp_error err = {0};

    CHECK_STATUS(tspi_engine_llama.session_new(engine, piece, len, &sampling, &session, &err), want, &err);
    CHECK_CONTAINS(err.message, words);
}

TEST(llama, refuses_what_does_not_fit)
{
    const uint8_t foreign[4] = {0xff, 0xff, 0xff, 0x7f};
    tspi_buf prompt = {0}, text = {0};
    tspi_sampling sampling = {.max_tokens = 4};
    tspi_detokenizer *detokenizer = NULL;
    uint32_t tokens;
    bool done = false;
    tsp_error err = {0};

    if (missing())
        SKIP(missing());
    tspi_engine *engine = open_for(TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DECODE | TSPI_ENGINE_DETOKENIZE, 1);
    REQUIRE(engine);
    tokenize(engine, "Hello", &prompt);
    check_refused(engine, prompt.data, prompt.len, 1000000, TSP_ERANGE, "do not fit the model's context");
    check_refused(engine, prompt.data, prompt.len - 1, 4, TSP_EPARSE, "whole number of tokens");
    check_refused(engine, foreign, sizeof foreign, 4, TSP_EPARSE, "another model");
    check_refused(engine, "", 0, 4, TSP_EINVAL, "empty prompt");
    CHECK_STATUS(tspi_engine_llama.tokenize(engine, "a\0b", 3, &prompt, &tokens, &err), TSP_EINVAL, &err);

    tspi_session *session = begin(engine, &prompt, &sampling);
    check_refused(engine, prompt.data, prompt.len, 4, TSP_EINVAL, "all are alive");
    tspi_engine_llama.session_free(session);

    sampling.max_tokens = 0;
    session = begin(engine, &prompt, &sampling);
    CHECK_STATUS(tspi_engine_llama.step(session, &text, &done, &err), TSP_OK, &err);
    CHECK(done && text.len == 0);
    tspi_engine_llama.session_free(session);

    CHECK_STATUS(tspi_engine_llama.detokenizer_new(engine, &detokenizer, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_engine_llama.detokenize(detokenizer, foreign, 4, &text, &err), TSP_EPARSE, &err);
    CHECK_STATUS(tspi_engine_llama.detokenize(detokenizer, foreign, 3, &text, &err), TSP_EPARSE, &err);
    tspi_engine_llama.detokenizer_free(detokenizer);
    tspi_engine_llama.close(engine);
    tspi_buf_release(&prompt);
    tspi_buf_release(&text);
}

/* A quarter of a million bytes of the sorts that tokenisers split on. */
TEST(llama, tokenizes_long_and_strange_text)
{
    static const char *const strange[] = {"a",    " ",          "\n", "7",           "\xf0\x9f\x98\x80",
                                          "\xff", "<|im_end|>", "'s", "\xe3\x81\x82"};
    enum { MOST = 1 << 18 };

    if (missing())
        SKIP(missing());
    tspi_engine *engine = open_for(TSPI_ENGINE_TOKENIZE, 1);
    REQUIRE(engine);
    for (size_t k = 0; k < sizeof strange / sizeof *strange; k++) {
        tspi_buf text = {0}, piece = {0};
        while (text.len < MOST)
            tspi_buf_puts(&text, strange[k]);
        tspi_buf_putc(&text, '\0');
        tokenize(engine, (const char *)text.data, &piece);
        tspi_buf_release(&text);
        tspi_buf_release(&piece);
    }
    tspi_engine_llama.close(engine);
}

/* Damaged files */

static void check_bad_file(const char *path, const char *words)
{
    for (unsigned jobs = 0; jobs < 2; jobs++) {
        tspi_engine_config config = {.name = "llama",
                                     .model = path,
                                     .jobs = jobs ? TSPI_ENGINE_DECODE : TSPI_ENGINE_TOKENIZE,
                                     .max_sessions = 1};
        tspi_engine *engine = NULL;
        tsp_error err = {0};
        tsp_status rc = tspi_engine_llama.open(&config, &engine, &err);
        if (words) {
            CHECK(rc != TSP_OK);
            CHECK_CONTAINS(err.message, words);
        }
        if (rc == TSP_OK)
            tspi_engine_llama.close(engine); /* the damage hit nothing that matters */
        else
            CHECK_CONTAINS(err.message, path);
    }
}

static void write_file(const char *path, const tspi_buf *bytes, off_t size)
{
    FILE *file = fopen(path, "w");

    REQUIRE(file);
    fwrite(bytes->data, 1, bytes->len, file);
    fclose(file);
    if (size)
        CHECK(truncate(path, size) == 0);
}

TEST(llama, turns_down_damaged_files_in_one_line)
{
    enum { METADATA = 1800000, WHOLE = 98362432 }; /* the vocabulary and the tensors' places; the file */
    char path[] = "damaged-XXXXXX";
    tspi_buf head = {0}, bad = {0};
    tspi_random random;
    tsp_error err = {0};

    if (missing())
        SKIP(missing());
    tspi_random_seed(&random, seed);
    REQUIRE(mkstemp(path) >= 0);
    check_bad_file("no/such/file.gguf", "No such file");
    check_bad_file("/dev", "is not a file");
    check_bad_file(path, "not a GGUF file");
    CHECK_STATUS(tspi_buf_read_file(&head, model, 0, &err), TSP_OK, &err);
    head.len = METADATA;
    for (int k = 0; k < 6; k++) { /* cut off */
        bad.len = 0;
        tspi_buf_append(&bad, head.data, 4 + tspi_random_below(&random, METADATA - 4));
        write_file(path, &bad, 0);
        check_bad_file(path, "cannot load the model file");
    }
    for (int k = 0; k < 12; k++) { /* wrong bytes, half of the time among the first, where the settings are */
        size_t within = k % 2 ? 2000 : METADATA;
        bad.len = 0;
        tspi_buf_append(&bad, head.data, METADATA);
        for (int n = 0; n < 4; n++)
            bad.data[4 + tspi_random_below(&random, within - 4)] = (uint8_t)tspi_random_u64(&random);
        write_file(path, &bad, WHOLE); /* the weights are zeros, of a sparse file */
        check_bad_file(path, NULL);
    }
    unlink(path);
    tspi_buf_release(&head);
    tspi_buf_release(&bad);
}

TEST(llama, an_absent_engine_says_how_to_have_it)
{
    tspi_engine_config config = {.name = "llama", .jobs = TSPI_ENGINE_DECODE, .max_sessions = 1};
    tspi_engine *engine = NULL;
    tsp_error err = {0};

    if (tspi_engine_llama.tokenize)
        SKIP("this build has the engine");
    CHECK_STATUS(tspi_engine_llama.open(&config, &engine, &err), TSP_EUNSUPPORTED, &err);
    CHECK_CONTAINS(err.message, "make demo-llm");
}
