#include "lab/media_driver.h"

#include <aeronmd.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lab/child.h"
#include "lab/priority.h"
#include "lab/scratch.h"

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
static const char driver_name[] = "Aeron's media driver", scratch_prefix[] = "truespan-";
/* What a driver takes before it has a stream: its counters, logs and the rings to its clients. */
enum { DRIVER_BYTES = 14 * 1024 * 1024 };
static const int64_t stop_timeout_ns = 2 * TSP_NS_PER_S;

/* ------------------------------------------------------------------ the folder */

/* The kernel's shared memory: on a disk, all that passes would be written there some time. */
static const char *shared_memory(void)
{
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

static tsp_status make_folder(tspi_media_driver *driver, tsp_error *err)
{
    tspi_scratch_sweep(shared_memory(), scratch_prefix);
    tsp_status rc = tspi_scratch_make(shared_memory(), scratch_prefix, driver->scratch, sizeof driver->scratch,
                                      &driver->lock_fd, err);
    if (rc != TSP_OK)
        tsp_error_note(err, "Aeron's media driver");
    else /* Aeron makes its own folder anew */
        snprintf(driver->folder, sizeof driver->folder, "%s/driver", driver->scratch);
    return rc;
}

tsp_status tspi_media_drivers_fit(uint32_t drivers, uint32_t streams, uint32_t term_bytes, tsp_error *err)
{
    const char *base = shared_memory();
    struct statvfs disk;
    uint64_t want = (uint64_t)drivers * DRIVER_BYTES + (uint64_t)streams * 2 * 3 * term_bytes;

    if (statvfs(base, &disk) != 0 || (uint64_t)disk.f_bavail * disk.f_frsize >= want)
        return TSP_OK;
    return tsp_error_set(err, TSP_EUNSUPPORTED,
                         "%s has %" PRIu64 " MB free, and Aeron's media drivers may fill %" PRIu64
                         " MB: enlarge it (mount -o remount,size=1g %s; docker run --shm-size 1g), or take smaller "
                         "buffers (aeron: {term_bytes: 65536})",
                         base, (uint64_t)disk.f_bavail * disk.f_frsize >> 20, (want >> 20) + 1, base);
}

/* ------------------------------------------------------------------ in the child */

static volatile sig_atomic_t told_to_stop;

static void on_signal(int number)
{
    (void)number;
    told_to_stop = 1;
}

/* Streams get all of their memory when they are opened. Taken page by page, it may run out amid a run, and whoever
 * touches the page that is not there is killed by SIGBUS. */
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
           aeron_driver_context_set_term_buffer_sparse_file(context, false) |
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
static void run_child(const tspi_media_driver_config *config, const tspi_media_driver *driver, int word_fd,
                      pid_t parent)
{
    enum { WORD_FD = 3, LOCK_FD };
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
    int keep_fd = fcntl(driver->lock_fd, F_DUPFD, LOCK_FD + 1); /* out of the way of what is put in place */
    dup2(fcntl(word_fd, F_DUPFD, LOCK_FD + 1), WORD_FD);
    dup2(keep_fd, LOCK_FD);
    close_range(LOCK_FD + 1, ~0U, 0); /* other children's streams, which would not end while this one lives */
    int code = serve(config, driver->folder, WORD_FD);
    tspi_scratch_remove(driver->scratch);
    fflush(NULL);
    _exit(code);
}

/* ------------------------------------------------------------------ in the parent */

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
    driver->pid = 0;
    return tspi_child_ended(driver_name, status, err);
}

tsp_status tspi_media_driver_start(tspi_media_driver *driver, const tspi_media_driver_config *config, tsp_error *err)
{
    int word[2];
    pid_t parent = getpid();

    *driver = (tspi_media_driver){.lock_fd = -1};
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
        run_child(config, driver, word[1], parent);
    close(word[1]);
    close(driver->lock_fd); /* the driver has it */
    driver->lock_fd = -1;
    rc = driver->pid < 0 ? tsp_error_sys(err, errno, "cannot start Aeron's media driver")
                         : await_ready(driver, word[0], err);
    close(word[0]);
    if (rc != TSP_OK)
        tspi_media_driver_stop(driver);
    return rc;
}

tsp_status tspi_media_driver_check(tspi_media_driver *driver, tsp_error *err)
{
    return tspi_child_check(&driver->pid, driver_name, err);
}

void tspi_media_driver_stop(tspi_media_driver *driver)
{
    if (driver->pid > 0)
        kill(driver->pid, SIGTERM);
    tspi_child_reap(&driver->pid, tspi_monotonic_ns() + stop_timeout_ns);
    tspi_scratch_remove(driver->scratch);
    *driver = (tspi_media_driver){.lock_fd = -1};
}
