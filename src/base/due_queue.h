/* Things that wait for their time: a binary heap, the earliest first; equal times keep the order of arrival. */
#ifndef TSPI_BASE_DUE_QUEUE_H
#define TSPI_BASE_DUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t due_ns; /* on whatever clock the caller uses */
    uint64_t order; /* set by push */
    void *thing;    /* the caller's */
    uint32_t to;    /* likewise */
} tspi_due;

/* Zero it to initialise. */
typedef struct {
    tspi_due *heap; /* owned */
    size_t n, cap;
    uint64_t order;
} tspi_due_queue;

/* false: memory is exhausted, nothing was added. */
bool tspi_due_push(tspi_due_queue *queue, int64_t due_ns, void *thing, uint32_t to);

/* The earliest; NULL when the queue is empty. Borrowed until the queue changes. */
static inline const tspi_due *tspi_due_first(const tspi_due_queue *queue)
{
    return queue->n ? queue->heap : NULL;
}

/* Take the earliest out; the queue must not be empty. */
tspi_due tspi_due_pop(tspi_due_queue *queue);

/* Free the queue; discard (may be NULL) is called with each thing that still waits. */
void tspi_due_release(tspi_due_queue *queue, void (*discard)(void *thing));

#endif
