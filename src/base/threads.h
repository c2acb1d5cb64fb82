/* The same work on many cores, each with its own part. */
#ifndef TSPI_BASE_THREADS_H
#define TSPI_BASE_THREADS_H

#include <stddef.h>

enum { TSPI_THREADS_MAX = 64 };

/* How many threads to use. wanted: 0 = one a core that this process may use; at most one for each least_a_thread
 * things of n. From 1 to TSPI_THREADS_MAX. */
unsigned tspi_threads_for(unsigned wanted, size_t n, size_t least_a_thread);

/* work(part) for each of n parts of size bytes behind one another, n <= TSPI_THREADS_MAX: the first on this thread, the
 * others each on their own, or on this one where no thread can be had. Returns when all are done. */
void tspi_threads_run(void *(*work)(void *part), void *parts, size_t size, unsigned n);

#endif
