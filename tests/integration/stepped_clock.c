/* Preloaded: somebody sets the machine's clock back and forth by 50 ms, four times a second. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS 50000000

int clock_gettime(clockid_t id, struct timespec *ret_now)
{
    struct timespec since;
    long rc = syscall(SYS_clock_gettime, id, ret_now);

    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &since);
    if (rc == 0 && id == CLOCK_REALTIME && since.tv_nsec / 250000000 % 2) {
        ret_now->tv_nsec -= STEP_NS;
        if (ret_now->tv_nsec < 0) {
            ret_now->tv_nsec += 1000000000;
            ret_now->tv_sec--;
        }
    }
    return (int)rc;
}
