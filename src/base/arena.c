#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 16, BLOCK_BYTES = 64 * 1024 };

struct tspi_arena_block {
    tspi_arena_block *next;
    size_t used, size;
    _Alignas(ALIGN) unsigned char bytes[];
};

/* Big things get a block of their own, placed behind the head so that the head's free tail stays in use. */
static tspi_arena_block *block_new(tspi_arena *arena, size_t size)
{
    size_t room = size > BLOCK_BYTES / 4 ? size : BLOCK_BYTES;
    tspi_arena_block *block = malloc(sizeof *block + room);

    if (!block)
        return NULL;
    block->used = 0;
    block->size = room;
    if (arena->head && room == size) {
        block->next = arena->head->next;
        arena->head->next = block;
    } else {
        block->next = arena->head;
        arena->head = block;
    }
    return block;
}

void *tspi_arena_alloc(tspi_arena *arena, size_t size)
{
    tspi_arena_block *block = arena->head;

    if (size > SIZE_MAX - ALIGN - sizeof *block - BLOCK_BYTES)
        return NULL;
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (arena->limit_bytes && size > arena->limit_bytes - arena->used_bytes)
        return NULL;
    if (!block || size > block->size - block->used) {
        block = block_new(arena, size);
        if (!block)
            return NULL;
    }
    void *thing = block->bytes + block->used;
    block->used += size;
    arena->used_bytes += size;
    return thing;
}

void *tspi_arena_calloc(tspi_arena *arena, size_t n, size_t size)
{
    if (size && n > SIZE_MAX / size)
        return NULL;
    void *thing = tspi_arena_alloc(arena, n * size);
    if (thing)
        memset(thing, 0, n * size);
    return thing;
}

char *tspi_arena_strndup(tspi_arena *arena, const char *text, size_t len)
{
    char *copy = len == SIZE_MAX ? NULL : tspi_arena_alloc(arena, len + 1);

    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void tspi_arena_release(tspi_arena *arena)
{
    for (tspi_arena_block *block = arena->head, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    arena->head = NULL;
    arena->used_bytes = 0;
}
