/* llama.cpp turns down most damaged files with a message, but not all: a byte in the wrong place can trip an assertion,
 * which ends the process. So a child process of ours tries the file first: the vocabulary, the metadata and the model's
 * graph, without reading the weights (a wrong weight makes wrong text, not a crash). That costs 0.1 s. */
#include "engine/llama_load.h"

#include <errno.h>
#include <fcntl.h>
#include <llama.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_MODEL ".parts/models/SmolLM2-135M-Instruct.Q4_1.gguf"

static _Thread_local char words[256];

const char *tspi_llama_words(void)
{
    return words;
}

void tspi_llama_forget_words(void)
{
    words[0] = '\0';
}

/* llama.cpp names the function before the message ("llama_model_load: error ..."): of no use to the reader. The first
 * complaint is the cause, those after it say that a caller failed, too. */
static void keep_first_error(enum ggml_log_level level, const char *text, void *user)
{
    const char *colon = strchr(text, ':');

    (void)user;
    if (level != GGML_LOG_LEVEL_ERROR || words[0])
        return;
    if (colon && colon[1] == ' ' && strcspn(text, " ") >= (size_t)(colon - text))
        text = colon + 2;
    size_t len = strcspn(text, "\n");
    if (len >= sizeof words)
        len = sizeof words - 1;
    memcpy(words, text, len);
    words[len] = '\0';
}

static void start_library(void)
{
    llama_log_set(keep_first_error, NULL);
    llama_backend_init();
}

/* Say what is wrong with the commonest wrong files ourselves, better than the library does. */
static tsp_status check_file(const char *path, bool is_default, tsp_error *err)
{
    char magic[4] = "";
    struct stat status;
    ssize_t got;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0 && is_default)
        return tsp_error_set(err, TSP_EIO,
                             "the llama engine needs a model: name a GGUF file with --model, or run `make demo-llm`, "
                             "which fetches one to %s",
                             path);
    if (fd < 0)
        return tsp_error_sys(err, errno, "cannot open the model file '%s'", path);
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return tsp_error_set(err, TSP_EINVAL, "the model '%s' is not a file", path);
    }
    got = pread(fd, magic, sizeof magic, 0);
    close(fd);
    if (got != sizeof magic || memcmp(magic, "GGUF", sizeof magic) != 0)
        return tsp_error_set(err, TSP_EPARSE, "the model file '%s' is not a GGUF file", path);
    return TSP_OK;
}

static tsp_status check_model(const struct llama_model *model, const char *path, bool weights, tsp_error *err)
{
    const struct llama_vocab *vocab = llama_model_get_vocab(model);

    if (llama_vocab_type(vocab) == LLAMA_VOCAB_TYPE_NONE || llama_vocab_n_tokens(vocab) < 1)
        return tsp_error_set(err, TSP_EUNSUPPORTED, "the model file '%s' has no vocabulary", path);
    if (weights && (llama_model_has_encoder(model) || !llama_model_has_decoder(model) ||
                    llama_model_is_diffusion(model) || llama_model_n_ctx_train(model) < 1))
        return tsp_error_set(err, TSP_EUNSUPPORTED, "the model file '%s' is not one that generates text left to right",
                             path);
    return TSP_OK;
}

/* The trial */

static const char trial_passed[] = "passed";
static int trial_pipe; /* of the child alone */

static void tell_parent(const char *text)
{
    ssize_t ignored = write(trial_pipe, text, strlen(text));
    (void)ignored;
}

static struct llama_model_params load_params(bool weights)
{
    struct llama_model_params params = llama_model_default_params();

    params.vocab_only = !weights;
    params.n_gpu_layers = 0;
    return params;
}

static void run_trial(const char *file, bool weights)
{
    struct llama_model_params params = load_params(weights);
    struct llama_model *model;

    params.load_mode = LLAMA_LOAD_MODE_NONE;
    params.no_alloc = weights;
    model = llama_model_load_from_file(file, params);
    if (model && weights && llama_model_n_ctx_train(model) > 0) {
        struct llama_context_params context = llama_context_default_params();
        context.n_ctx = context.n_batch = context.n_ubatch = 256;
        llama_init_from_model(model, context);
    }
}

/* The child: silent, without a core file. A file that the library turns down in good order passes the trial: the
 * parent meets the same words and has more of them. */
static _Noreturn void be_trial(int write_end, const char *file, bool weights)
{
    static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    const struct rlimit no_core = {0, 0};
    int nowhere = open("/dev/null", O_WRONLY);

    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
    setrlimit(RLIMIT_CORE, &no_core);
    for (size_t k = 0; k < sizeof deadly / sizeof *deadly; k++)
        signal(deadly[k], SIG_DFL);
    trial_pipe = write_end;
    ggml_set_abort_callback(tell_parent);
    run_trial(file, weights);
    tell_parent(trial_passed);
    _exit(0);
}

/* What the child had to say, up to its end: the last words before a death, or trial_passed. */
static void hear_child(int read_end, char *ret_words, size_t size)
{
    size_t len = 0;
    ssize_t got;

    do {
        got = read(read_end, ret_words + len, size - 1 - len);
        len += got > 0 ? (size_t)got : 0;
    } while ((got > 0 && len < size - 1) || (got < 0 && errno == EINTR));
    ret_words[len] = '\0';
    ret_words[strcspn(ret_words, "\n")] = '\0';
}

static tsp_status try_file(const char *file, bool weights, tsp_error *err)
{
    char last_words[256];
    int ends[2];
    pid_t child;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return tsp_error_sys(err, errno, "cannot make a pipe");
    child = fork();
    if (child == 0)
        be_trial(ends[1], file, weights);
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return tsp_error_sys(err, errno, "cannot start a process to try the model file '%s'", file);
    }
    hear_child(ends[0], last_words, sizeof last_words);
    close(ends[0]);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    if (!strcmp(last_words, trial_passed))
        return TSP_OK;
    return tsp_error_set(err, TSP_EPARSE, "the model file '%s' is damaged: llama.cpp gave up on it%s%s", file,
                         last_words[0] ? ": " : "", last_words);
}

tsp_status tspi_llama_load(const char *path, bool weights, struct llama_model **ret_model, tsp_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const char *file = path ? path : DEFAULT_MODEL;
    struct llama_model *model;
    tsp_status rc;

    rc = check_file(file, !path, err);
    if (rc != TSP_OK)
        return rc;
    pthread_once(&once, start_library);
    rc = try_file(file, weights, err);
    if (rc != TSP_OK)
        return rc;
    tspi_llama_forget_words();
    model = llama_model_load_from_file(file, load_params(weights));
    if (!model)
        return tsp_error_set(err, TSP_EPARSE, "cannot load the model file '%s': %s", file,
                             words[0] ? words : "llama.cpp does not say why");
    rc = check_model(model, file, weights, err);
    if (rc != TSP_OK) {
        llama_model_free(model);
        return rc;
    }
    *ret_model = model;
    return TSP_OK;
}
