#include "base/due_queue.h"

#include <stdlib.h>

#include "base/grow.h"

static bool before(const tspi_due *a, const tspi_due *b)
{
    return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

bool tspi_due_push(tspi_due_queue *queue, int64_t due_ns, void *thing, uint32_t to)
{
    tspi_due *heap = tspi_grown(queue->heap, queue->n, &queue->cap, sizeof *heap);

    if (!heap)
        return false;
    queue->heap = heap;
    tspi_due item = {due_ns, queue->order++, thing, to};
    size_t k = queue->n++;
    for (; k && before(&item, &queue->heap[(k - 1) / 2]); k = (k - 1) / 2)
        queue->heap[k] = queue->heap[(k - 1) / 2];
    queue->heap[k] = item;
    return true;
}

tspi_due tspi_due_pop(tspi_due_queue *queue)
{
    tspi_due first = queue->heap[0], last = queue->heap[--queue->n];
    size_t k = 0;

    for (size_t child; (child = 2 * k + 1) < queue->n; k = child) {
        if (child + 1 < queue->n && before(&queue->heap[child + 1], &queue->heap[child]))
            child++;
        if (!before(&queue->heap[child], &last))
            break;
        queue->heap[k] = queue->heap[child];
    }
    queue->heap[k] = last;
    return first;
}

void tspi_due_release(tspi_due_queue *queue, void (*discard)(void *thing))
{
    for (size_t k = 0; k < queue->n && discard; k++)
        discard(queue->heap[k].thing);
    free(queue->heap);
    *queue = (tspi_due_queue){0};
}
