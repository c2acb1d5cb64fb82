#include "base/big.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* From here on an array has a mapping of its own. Below, a page of 2 MB would be mostly air. */
#define MAPPED_BYTES ((size_t)1 << 20)
#define HUGE_BYTES ((size_t)2 << 20)

static size_t whole_pages(size_t bytes)
{
    return (bytes + HUGE_BYTES - 1) & ~(HUGE_BYTES - 1);
}

/* Room at a multiple of the huge page's size. What is cut off on either side is given back. */
static void *map_aligned(size_t bytes)
{
    size_t room = bytes + HUGE_BYTES;
    uint8_t *at = mmap(NULL, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (at == MAP_FAILED)
        return NULL;
    size_t head = (HUGE_BYTES - (uintptr_t)at % HUGE_BYTES) % HUGE_BYTES;
    if (head)
        munmap(at, head);
    munmap(at + head + bytes, room - head - bytes);
    return at + head;
}

static void *map_new(size_t bytes)
{
    bytes = whole_pages(bytes);
    void *at = map_aligned(bytes);

    if (!at)
        at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    madvise(at, bytes, MADV_HUGEPAGE);
    return at;
}

/* Pages move, bytes do not. A new place that is aligned keeps huge pages whole; where address space is short, any. */
static void *map_move(void *at, size_t old_bytes, size_t new_bytes)
{
    old_bytes = whole_pages(old_bytes);
    new_bytes = whole_pages(new_bytes);
    if (old_bytes == new_bytes)
        return at;
    void *to = new_bytes < old_bytes ? mremap(at, old_bytes, new_bytes, 0) : MAP_FAILED;
    if (to == MAP_FAILED && (to = map_aligned(new_bytes))) {
        void *target = to;
        to = mremap(at, old_bytes, new_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, target);
        if (to == MAP_FAILED)
            munmap(target, new_bytes);
    } else if (!to)
        to = MAP_FAILED;
    if (to == MAP_FAILED)
        to = mremap(at, old_bytes, new_bytes, MREMAP_MAYMOVE);
    if (to == MAP_FAILED)
        return NULL;
    madvise(to, new_bytes, MADV_HUGEPAGE);
    return to;
}

void *tspi_big_resize(void *at, size_t old_bytes, size_t new_bytes)
{
    bool was_mapped = old_bytes >= MAPPED_BYTES, is_mapped = new_bytes >= MAPPED_BYTES;

    if (new_bytes > SIZE_MAX / 2)
        return NULL;
    if (!was_mapped && !is_mapped)
        return realloc(at, new_bytes);
    if (was_mapped && is_mapped)
        return map_move(at, old_bytes, new_bytes);
    void *to = is_mapped ? map_new(new_bytes) : malloc(new_bytes);
    if (!to)
        return NULL;
    if (at)
        memcpy(to, at, old_bytes < new_bytes ? old_bytes : new_bytes);
    tspi_big_free(at, old_bytes);
    return to;
}

void *tspi_big_calloc(size_t n, size_t size)
{
    if (size && n > SIZE_MAX / 2 / size)
        return NULL;
    return n * size >= MAPPED_BYTES ? map_new(n * size) : calloc(n ? n : 1, size);
}

void tspi_big_free(void *at, size_t bytes)
{
    if (at && bytes >= MAPPED_BYTES)
        munmap(at, whole_pages(bytes));
    else
        free(at);
}
