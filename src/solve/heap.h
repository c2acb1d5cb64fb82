/* A 4-ary heap of numbers by key: flatter than a binary one, and kinder to caches. */
#ifndef TSPI_SOLVE_HEAP_H
#define TSPI_SOLVE_HEAP_H

#include <stdint.h>

typedef struct {
    int64_t *key; /* of every number, also of those not in the heap */
    uint32_t *at; /* place in the heap; UINT32_MAX: not in it */
    uint32_t *heap;
    uint32_t n;
} tspi_heap;

static inline void tspi_heap_up(tspi_heap *h, uint32_t at, uint32_t v)
{
    while (at > 0 && h->key[v] < h->key[h->heap[(at - 1) / 4]]) {
        h->heap[at] = h->heap[(at - 1) / 4];
        h->at[h->heap[at]] = at;
        at = (at - 1) / 4;
    }
    h->heap[at] = v;
    h->at[v] = at;
}

/* v enters, or its key has fallen. */
static inline void tspi_heap_lower(tspi_heap *h, uint32_t v)
{
    tspi_heap_up(h, h->at[v] == UINT32_MAX ? h->n++ : h->at[v], v);
}

/* Takes out one of the least key; the heap is not empty. */
static inline uint32_t tspi_heap_pop(tspi_heap *h)
{
    uint32_t top = h->heap[0], v = h->heap[--h->n], at = 0;

    h->at[top] = UINT32_MAX;
    if (top == v)
        return top;
    for (;;) {
        uint32_t best = 4 * at + 1;
        if (best >= h->n)
            break;
        for (uint32_t child = best + 1; child < 4 * at + 5 && child < h->n; child++)
            if (h->key[h->heap[child]] < h->key[h->heap[best]])
                best = child;
        if (h->key[h->heap[best]] >= h->key[v])
            break;
        h->heap[at] = h->heap[best];
        h->at[h->heap[at]] = at;
        at = best;
    }
    h->heap[at] = v;
    h->at[v] = at;
    return top;
}

#endif
