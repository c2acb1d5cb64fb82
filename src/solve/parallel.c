#include "solve/parallel.h"

#include <pthread.h>
#include <stdatomic.h>

#define MOST_THREADS 64

typedef struct {
    size_t n;
    bool (*piece)(void *context, size_t k, unsigned worker);
    void *context;
    atomic_size_t next;
    atomic_bool failed;
} work;

typedef struct {
    work *work;
    unsigned number;
} worker;

static void *drain(void *worker_)
{
    worker *me = worker_;
    work *w = me->work;

    for (;;) {
        size_t k = atomic_fetch_add(&w->next, 1);
        if (k >= w->n || atomic_load(&w->failed))
            return NULL;
        if (!w->piece(w->context, k, me->number))
            atomic_store(&w->failed, true);
    }
}

bool tspi_parallel(unsigned threads, size_t n, bool (*piece)(void *context, size_t k, unsigned worker), void *context)
{
    work w = {.n = n, .piece = piece, .context = context};
    worker workers[MOST_THREADS];
    pthread_t ids[MOST_THREADS];
    unsigned started = 1;

    threads = threads < 1 ? 1 : threads > MOST_THREADS ? MOST_THREADS : threads;
    for (unsigned k = 0; k < threads; k++)
        workers[k] = (worker){&w, k};
    /* A thread that cannot be had only makes it slower. */
    while (started < threads && started < n && pthread_create(&ids[started], NULL, drain, &workers[started]) == 0)
        started++;
    drain(&workers[0]);
    for (unsigned k = 1; k < started; k++)
        pthread_join(ids[k], NULL);
    return !atomic_load(&w.failed);
}
