/* Room for the solver's large arrays. A run fills and drops gigabytes of them one after the other, and finding and
 * clearing a page costs the kernel more than most passes over it. So within a run room that was given back is kept and
 * handed out again, and no more pages are ever touched than are in use at once. Small arrays are the heap's.
 *
 * Not in huge pages: in a virtual machine those are the ones that the host has taken back, and getting them again takes
 * longer than they save (2 s a GB against 0.7 s in small pages, tests/bench/solve.md). */
#ifndef TSPI_SOLVE_ROOM_H
#define TSPI_SOLVE_ROOM_H

#include <stddef.h>

/* Room is kept between a begin and its end; runs of several solvers may overlap. Without one, or after the last, what
 * is given back goes back to the kernel. */
void tspi_room_begin(void);
void tspi_room_end(void);

/* n things of size bytes, their contents unset. NULL: memory is exhausted, or n * size overflows. */
void *tspi_room_take(size_t n, size_t size);

/* The same, all zero. */
void *tspi_room_zero(size_t n, size_t size);

/* Room for more things, with the first old_n as they were. at may be NULL with old_n 0. NULL: memory is exhausted, and
 * the old room is as it was. */
void *tspi_room_grow(void *at, size_t old_n, size_t new_n, size_t size);

/* at may be NULL. n and size: as when it was taken, or of which it has grown. */
void tspi_room_give(void *at, size_t n, size_t size);

#endif
