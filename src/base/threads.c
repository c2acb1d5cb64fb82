#include "base/threads.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>

static size_t cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

    return n > 0 ? (size_t)n : 1;
}

unsigned tspi_threads_for(unsigned wanted, size_t n, size_t least_a_thread)
{
    size_t threads = wanted ? wanted : cores();

    if (threads > n / least_a_thread + 1)
        threads = n / least_a_thread + 1;
    return threads < TSPI_THREADS_MAX ? (unsigned)threads : TSPI_THREADS_MAX;
}

void tspi_threads_run(void *(*work)(void *part), void *parts, size_t size, unsigned n)
{
    pthread_t threads[TSPI_THREADS_MAX];
    bool started[TSPI_THREADS_MAX] = {false};

    for (unsigned k = 1; k < n; k++)
        started[k] = !pthread_create(&threads[k], NULL, work, (char *)parts + k * size);
    work(parts);
    for (unsigned k = 1; k < n; k++) {
        if (started[k])
            pthread_join(threads[k], NULL);
        else
            work((char *)parts + k * size);
    }
}
