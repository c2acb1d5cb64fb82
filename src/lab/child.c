#include "lab/child.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

int64_t tspi_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

int64_t tspi_monotonic_epoch_ns(void)
{
    int64_t least_ns = INT64_MAX, epoch_ns = 0;

    for (int reading = 0; reading < 8; reading++) {
        struct timespec wall;
        int64_t before_ns = tspi_monotonic_ns();
        clock_gettime(CLOCK_REALTIME, &wall);
        int64_t took_ns = tspi_monotonic_ns() - before_ns;
        if (took_ns < least_ns) {
            least_ns = took_ns;
            epoch_ns = wall.tv_sec * TSP_NS_PER_S + wall.tv_nsec - before_ns - took_ns / 2;
        }
    }
    return epoch_ns;
}

/* What is mapped from a full disk or from shared memory that is used up ends in this signal. */
static const char *hint_of(int number)
{
    return number == SIGBUS ? ": shared memory or a disk that it had mapped is full" : "";
}

tsp_status tspi_child_ended(const char *what, int status, tsp_error *err)
{
    if (WIFSIGNALED(status))
        return tsp_error_set(err, TSP_ECLOSED, "%s was killed by signal %d (%s)%s", what, WTERMSIG(status),
                             strsignal(WTERMSIG(status)), hint_of(WTERMSIG(status)));
    return tsp_error_set(err, TSP_ECLOSED, "%s ended with exit code %d", what, WEXITSTATUS(status));
}

tsp_status tspi_child_check(pid_t *pid, const char *what, tsp_error *err)
{
    int status;

    if (*pid <= 0 || waitpid(*pid, &status, WNOHANG) != *pid)
        return TSP_OK;
    *pid = 0;
    return tspi_child_ended(what, status, err);
}

void tspi_child_reap(pid_t *pid, int64_t deadline_ns)
{
    while (*pid > 0) {
        pid_t got = waitpid(*pid, NULL, WNOHANG);
        if (got == *pid || (got < 0 && errno == ECHILD)) {
            *pid = 0;
            break;
        }
        if (tspi_monotonic_ns() > deadline_ns)
            kill(*pid, SIGKILL);
        nanosleep(&(struct timespec){0, TSP_NS_PER_MS}, NULL);
    }
}
