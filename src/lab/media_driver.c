#include "lab/media_driver.h"

#include <aeronmd.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lab/priority.h"

/* Small buffers: the lab's streams are thin, and shared memory is scarce in containers. */
enum { CONTROL_BUFFER_BYTES = 1024 * 1024 };
static const uint64_t timer_ns = 100 * TSP_NS_PER_MS;
/* Longer than a busy machine keeps a process waiting: who is late is not dead, and a stream that is given up loses what
 * is under way. Death is noticed by whoever started the process, long before. */
static const uint64_t liveness_ns = 5 * TSP_NS_PER_S;
/* How long a stream goes on after its sender closed it. */
static const uint64_t publication_linger_ns = TSP_NS_PER_S / 2;
/* Aeron wants it longer than the clients' own timeout. */
static const uint64_t unblock_ns = 10 * TSP_NS_PER_S;
static const int ready_timeout_ms = 20000;
static const int64_t stop_timeout_ns = 2 * TSP_NS_PER_S;

/* ------------------------------------------------------------------ the folder */

static tsp_status make_folder(tspi_media_driver *driver, tsp_error *err)
{
    /* The kernel's shared memory: on a disk, all that passes would be written there some time. */
    const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

    snprintf(driver->folder, sizeof driver->folder, "%s/truespan-XXXXXX", base);
    if (mkdtemp(driver->folder))
        return TSP_OK;
    driver->folder[0] = '\0';
    return tsp_error_sys(err, errno, "cannot make a folder for Aeron's media driver in %s", base);
}

static int remove_entry(const char *path, const struct stat *found, int kind, struct FTW *place)
{
    (void)found, (void)kind, (void)place;
    remove(path);
    return 0;
}

static void remove_folder(const char *folder)
{
    if (*folder)
        nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* ------------------------------------------------------------------ in the child */

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
    (void)number;
    told_to_stop = 1;
}

static int configure(aeron_driver_context_t *context, const tspi_media_driver_config *config, const char *folder)
{
    char backoff[64];

    /* Turns of spinning, turns of yielding, then sleeps from the first length doubled up to the last. */
    snprintf(backoff, sizeof backoff, "2-2-10us-%" PRId64 "ns", config->idle_ns);
    return aeron_driver_context_set_dir(context, folder) |
           aeron_driver_context_set_dir_delete_on_shutdown(context, true) |
           aeron_driver_context_set_threading_mode(context, AERON_THREADING_MODE_SHARED) |
           aeron_driver_context_set_shared_idle_strategy(context, "backoff") |
           aeron_driver_context_set_shared_idle_strategy_init_args(context, backoff) |
           aeron_driver_context_set_term_buffer_length(context, config->term_bytes) |
           aeron_driver_context_set_ipc_term_buffer_length(context, config->term_bytes) |
           aeron_driver_context_set_term_buffer_sparse_file(context, true) |
           aeron_driver_context_set_counters_buffer_length(context, CONTROL_BUFFER_BYTES) |
           aeron_driver_context_set_timer_interval_ns(context, timer_ns) |
           aeron_driver_context_set_client_liveness_timeout_ns(context, liveness_ns) |
           aeron_driver_context_set_image_liveness_timeout_ns(context, liveness_ns) |
           aeron_driver_context_set_publication_connection_timeout_ns(context, liveness_ns) |
           aeron_driver_context_set_publication_linger_timeout_ns(context, publication_linger_ns) |
           aeron_driver_context_set_publication_unblock_timeout_ns(context, unblock_ns);
}

/* Serve until told to stop. word_fd: takes "ready", or why it could not be. */
static int serve(const tspi_media_driver_config *config, const char *folder, int word_fd)
{
    aeron_driver_context_t *context = NULL;
    aeron_driver_t *driver = NULL;

    if (aeron_driver_context_init(&context) < 0 || configure(context, config, folder) != 0 ||
        aeron_driver_init(&driver, context) < 0 || aeron_driver_start(driver, true) < 0) {
        const char *text = aeron_errmsg(), *more = strstr(text, "] ");
        text = more ? more + 2 : text;
        dprintf(word_fd, "%.*s", (int)strcspn(text, "\n"), text);
        return 2;
    }
    dprintf(word_fd, "ready");
    close(word_fd);
    while (!told_to_stop)
        aeron_driver_main_idle_strategy(driver, aeron_driver_main_do_work(driver));
    aeron_driver_close(driver);
    aeron_driver_context_close(context);
    return 0;
}

/* A process of its own in all but its program: it leaves Ctrl-C to whoever started it, and ends with them. */
static void run_child(const tspi_media_driver_config *config, const char *folder, int word_fd, pid_t parent)
{
    enum { WORD_FD = 3 };
    const struct sigaction stop = {.sa_handler = on_signal};

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    prctl(PR_SET_NAME, "media-driver");
    prctl(PR_SET_TIMERSLACK, 1UL);
    sigaction(SIGTERM, &stop, NULL);
    signal(SIGINT, SIG_IGN);
    if (getppid() != parent)
        _exit(2);
    tspi_prefer_this_process(TSPI_PREFER_NODE);
    int log_fd = config->log_fd >= 0 ? config->log_fd : open("/dev/null", O_WRONLY);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    dup2(word_fd, WORD_FD);
    close_range(WORD_FD + 1, ~0U, 0); /* other children's streams, which would not end while this one lives */
    int code = serve(config, folder, WORD_FD);
    remove_folder(folder);
    fflush(NULL);
    _exit(code);
}

/* ------------------------------------------------------------------ in the parent */

static tsp_status how_it_ended(tspi_media_driver *driver, int status, tsp_error *err)
{
    driver->pid = 0;
    if (WIFSIGNALED(status))
        return tsp_error_set(err, TSP_ECLOSED, "Aeron's media driver was killed by signal %d (%s)", WTERMSIG(status),
                             strsignal(WTERMSIG(status)));
    return tsp_error_set(err, TSP_ECLOSED, "Aeron's media driver ended with exit code %d", WEXITSTATUS(status));
}

static tsp_status await_ready(tspi_media_driver *driver, int word_fd, tsp_error *err)
{
    struct pollfd fd = {.fd = word_fd, .events = POLLIN};
    char word[256] = "";
    ssize_t n = 0;
    int ready, status = 0;

    do
        ready = poll(&fd, 1, ready_timeout_ms);
    while (ready < 0 && errno == EINTR);
    if (ready > 0)
        n = read(word_fd, word, sizeof word - 1);
    if (n > 0 && !strcmp(word, "ready"))
        return TSP_OK;
    if (n > 0)
        return tsp_error_set(err, TSP_EIO, "Aeron's media driver cannot start: %s", word);
    if (ready <= 0)
        return tsp_error_set(err, TSP_EIO, "Aeron's media driver does not get ready");
    waitpid(driver->pid, &status, 0);
    return how_it_ended(driver, status, err);
}

tsp_status tspi_media_driver_start(tspi_media_driver *driver, const tspi_media_driver_config *config, tsp_error *err)
{
    int word[2];
    pid_t parent = getpid();

    *driver = (tspi_media_driver){0};
    tsp_status rc = make_folder(driver, err);
    if (rc != TSP_OK)
        return rc;
    if (pipe2(word, O_CLOEXEC) != 0) {
        rc = tsp_error_sys(err, errno, "cannot make a pipe");
        tspi_media_driver_stop(driver);
        return rc;
    }
    fflush(NULL);
    driver->pid = fork();
    if (driver->pid == 0)
        run_child(config, driver->folder, word[1], parent);
    close(word[1]);
    rc = driver->pid < 0 ? tsp_error_sys(err, errno, "cannot start Aeron's media driver")
                         : await_ready(driver, word[0], err);
    close(word[0]);
    if (rc != TSP_OK)
        tspi_media_driver_stop(driver);
    return rc;
}

tsp_status tspi_media_driver_check(tspi_media_driver *driver, tsp_error *err)
{
    int status;

    if (driver->pid <= 0 || waitpid(driver->pid, &status, WNOHANG) != driver->pid)
        return TSP_OK;
    return how_it_ended(driver, status, err);
}

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

void tspi_media_driver_stop(tspi_media_driver *driver)
{
    int64_t deadline_ns = monotonic_ns() + stop_timeout_ns;

    if (driver->pid > 0)
        kill(driver->pid, SIGTERM);
    while (driver->pid > 0 && waitpid(driver->pid, NULL, WNOHANG) == 0) {
        if (monotonic_ns() > deadline_ns)
            kill(driver->pid, SIGKILL);
        nanosleep(&(struct timespec){0, TSP_NS_PER_MS}, NULL);
    }
    driver->pid = 0;
    remove_folder(driver->folder);
    driver->folder[0] = '\0';
}
