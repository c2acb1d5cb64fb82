/* Large arrays: their own mappings on huge pages, so that filling one costs a fault every 2 MB instead of every 4 KB,
 * looking something up in it seldom misses the TLB, and giving it back really gives it back. Small arrays are the
 * heap's. Whoever owns an array knows its size and says it each time. */
#ifndef TSPI_BASE_BIG_H
#define TSPI_BASE_BIG_H

#include <stddef.h>

/* new_bytes > 0 of room: the first min(old, new) as they were, the rest unset. at may be NULL with old_bytes 0. NULL:
 * memory is exhausted, and the old array is as it was. */
void *tspi_big_resize(void *at, size_t old_bytes, size_t new_bytes);

/* n things of size bytes, all zero; NULL also when n * size overflows. */
void *tspi_big_calloc(size_t n, size_t size);

/* at may be NULL. bytes: the size it was made or resized with (n * size). */
void tspi_big_free(void *at, size_t bytes);

#endif
