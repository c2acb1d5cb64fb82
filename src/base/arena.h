/* An arena: memory for many small things that die together. Nothing in it is freed alone. */
#ifndef TSPI_BASE_ARENA_H
#define TSPI_BASE_ARENA_H

#include <stddef.h>

typedef struct tspi_arena_block tspi_arena_block;

/* Zero it to initialise. limit_bytes: 0 = none; beyond it allocations fail as if memory were exhausted. */
typedef struct {
    tspi_arena_block *head; /* owned */
    size_t used_bytes;      /* handed out, over all blocks */
    size_t limit_bytes;
} tspi_arena;

/* size bytes aligned to 16, not cleared. NULL when memory or the limit is exhausted. size 0 gives a valid pointer. */
void *tspi_arena_alloc(tspi_arena *arena, size_t size);

/* A cleared array of n things of size bytes; NULL also when n * size overflows. */
void *tspi_arena_calloc(tspi_arena *arena, size_t n, size_t size);

/* A copy of len bytes with a NUL behind it. */
char *tspi_arena_strndup(tspi_arena *arena, const char *text, size_t len);

/* Free everything; the arena is as new. */
void tspi_arena_release(tspi_arena *arena);

#endif
