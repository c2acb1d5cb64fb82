/* How fast the tiny engine decodes on one core: one session, eight interleaved ones, and each kernel alone.
 * Time is this process's own CPU time, so that a busy machine does not blur it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/engine.h"
#include "engine/tiny_forward.h"

enum { TOKENS = 2000, MOST_SESSIONS = 8 };

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static bool bench_sessions(unsigned n)
{
    tspi_engine_config config = {.name = "tiny", .jobs = TSPI_ENGINE_TOKENIZE | TSPI_ENGINE_DECODE, .max_sessions = n};
    tspi_engine *engine = NULL;
    tspi_session *session[MOST_SESSIONS];
    tspi_buf piece = {0};
    unsigned tokens = 0;
    double begun;

    if (tspi_engine_open(&config, &engine, NULL) != TSP_OK)
        return false;
    engine->ops->tokenize(engine, "In the beginning", 16, &piece, NULL, NULL);
    for (unsigned k = 0; k < n; k++) {
        tspi_sampling sampling = {.max_tokens = TOKENS / n, .temperature = 0.8, .seed = k};
        if (engine->ops->session_new(engine, piece.data, piece.len, &sampling, &session[k], NULL) != TSP_OK)
            return false;
    }
    begun = now_s();
    for (unsigned left = n; left > 0;) {
        left = 0;
        for (unsigned k = 0; k < n; k++) {
            bool done = false;
            tspi_buf_clear(&piece);
            engine->ops->step(session[k], &piece, &done, NULL);
            tokens += piece.len / 4;
            left += !done;
        }
    }
    printf("%u session%s  %7.0f tokens/s\n", n, n > 1 ? "s" : " ", tokens / (now_s() - begun));
    for (unsigned k = 0; k < n; k++)
        engine->ops->session_free(session[k]);
    tspi_buf_release(&piece);
    tspi_engine_close(engine);
    return true;
}

static bool bench_kernel(const tspi_tiny_kernel *kernel)
{
    tspi_tiny_model model;
    tspi_tiny_state *state;
    size_t len;
    const void *bytes = tspi_tiny_model_builtin(&len);
    double begun;

    if (tspi_tiny_model_read(bytes, len, kernel, &model, NULL) != TSP_OK ||
        tspi_tiny_state_new(&model, &state, NULL) != TSP_OK)
        return false;
    begun = now_s();
    for (uint32_t k = 0; k < TOKENS; k++)
        tspi_tiny_forward(state, k % model.vocab, true);
    printf("%-11s %7.0f tokens/s\n", kernel->name, TOKENS / (now_s() - begun));
    tspi_tiny_state_free(state);
    tspi_tiny_model_release(&model);
    return true;
}

int main(void)
{
    size_t n;
    const tspi_tiny_kernel *const *kernels = tspi_tiny_kernels(&n);
    bool fine = bench_sessions(1) && bench_sessions(MOST_SESSIONS);

    for (size_t k = 0; k < n && fine; k++)
        if (kernels[k]->usable())
            fine = bench_kernel(kernels[k]);
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
