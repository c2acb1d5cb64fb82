#include "solve/room.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* From here on an array has a mapping of its own. Below, the heap reuses what it has by itself. */
#define MAPPED_BYTES ((size_t)1 << 20)
#define GRAIN_BYTES ((size_t)1 << 16) /* of mappings; a multiple of any machine's page */
#define KEPT_MOST 64                  /* pieces; a run has some thirty large arrays at once */

typedef struct {
    char *at;
    size_t bytes; /* whole grains */
} piece;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static piece kept[KEPT_MOST]; /* by size, ascending */
static size_t kept_n;

static size_t whole_grains(size_t bytes)
{
    return (bytes + GRAIN_BYTES - 1) & ~(GRAIN_BYTES - 1);
}

static void drop(size_t k)
{
    munmap(kept[k].at, kept[k].bytes);
    memmove(&kept[k], &kept[k + 1], (--kept_n - k) * sizeof *kept);
}

static void keep(char *at, size_t bytes)
{
    size_t k;

    if (kept_n == KEPT_MOST)
        drop(0);
    for (k = kept_n++; k > 0 && kept[k - 1].bytes > bytes; k--)
        kept[k] = kept[k - 1];
    kept[k] = (piece){at, bytes};
}

static void *map(size_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

/* The smallest piece that is large enough, less what is not needed of it. Else the largest grows, and as much as it
 * grows by is given back of the others, so that what is kept never adds to the most that was in use at once. */
static void *take_kept(size_t bytes)
{
    size_t k = 0;

    while (k < kept_n && kept[k].bytes < bytes)
        k++;
    if (k < kept_n) {
        piece found = kept[k];
        memmove(&kept[k], &kept[k + 1], (--kept_n - k) * sizeof *kept);
        if (found.bytes > bytes)
            keep(found.at + bytes, found.bytes - bytes);
        return found.at;
    }
    if (!kept_n)
        return map(bytes);
    piece largest = kept[--kept_n];
    for (size_t fresh = bytes - largest.bytes, dropped = 0; kept_n && dropped < fresh;) {
        dropped += kept[0].bytes;
        drop(0);
    }
    void *at = mremap(largest.at, largest.bytes, bytes, MREMAP_MAYMOVE);
    if (at != MAP_FAILED)
        return at;
    munmap(largest.at, largest.bytes); /* neighbours in address space that were mapped apart do not grow as one */
    return map(bytes);
}

void tspi_room_begin(void)
{
    pthread_mutex_lock(&lock);
    users++;
    pthread_mutex_unlock(&lock);
}

void tspi_room_end(void)
{
    pthread_mutex_lock(&lock);
    users--;
    while (!users && kept_n)
        drop(kept_n - 1);
    pthread_mutex_unlock(&lock);
}

static bool overflows(size_t n, size_t size)
{
    return size && n > SIZE_MAX / 2 / size;
}

void *tspi_room_take(size_t n, size_t size)
{
    void *at;

    if (overflows(n, size))
        return NULL;
    if (n * size < MAPPED_BYTES)
        return malloc(n * size + 1);
    pthread_mutex_lock(&lock);
    at = take_kept(whole_grains(n * size));
    pthread_mutex_unlock(&lock);
    return at;
}

void *tspi_room_zero(size_t n, size_t size)
{
    void *at = tspi_room_take(n, size);

    if (at)
        memset(at, 0, n * size);
    return at;
}

void *tspi_room_grow(void *at, size_t old_n, size_t new_n, size_t size)
{
    size_t old_bytes = old_n * size, new_bytes = new_n * size;
    void *grown;

    if (overflows(new_n, size))
        return NULL;
    if (at && old_bytes >= MAPPED_BYTES) {
        grown = mremap(at, whole_grains(old_bytes), whole_grains(new_bytes), MREMAP_MAYMOVE);
        if (grown != MAP_FAILED)
            return grown;
    }
    grown = tspi_room_take(new_n, size);
    if (grown && at) {
        memcpy(grown, at, old_bytes);
        tspi_room_give(at, old_n, size);
    }
    return grown;
}

void tspi_room_give(void *at, size_t n, size_t size)
{
    if (!at)
        return;
    if (n * size < MAPPED_BYTES) {
        free(at);
        return;
    }
    pthread_mutex_lock(&lock);
    if (users)
        keep(at, whole_grains(n * size));
    else
        munmap(at, whole_grains(n * size));
    pthread_mutex_unlock(&lock);
}
