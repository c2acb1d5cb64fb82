/* Arrays that grow by a row at a time. */
#ifndef TSPI_BASE_GROW_H
#define TSPI_BASE_GROW_H

#include <stdlib.h>

/* Room for a row more, of size bytes: rows as they are while n < *cap, else moved to twice the room (at first for 64).
 * rows may be NULL where *cap is 0. NULL: out of memory, and rows and *cap are as before. */
static inline void *tspi_grown(void *rows, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return rows;
    size_t more = *cap ? 2 * *cap : 64;
    void *grown = more > *cap && more <= (size_t)-1 / size ? realloc(rows, more * size) : NULL;
    if (grown)
        *cap = more;
    return grown;
}

#endif
