/* Work shared by threads, in fixed pieces: results do not depend on how many threads there are. */
#ifndef TSPI_SOLVE_PARALLEL_H
#define TSPI_SOLVE_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>

/* Calls piece(context, k, worker) for k = 0 .. n - 1, each once, from up to `threads` threads; worker < threads names
 * the thread's own scratch. False when a piece returned false. */
bool tspi_parallel(unsigned threads, size_t n, bool (*piece)(void *context, size_t k, unsigned worker), void *context);

#endif
