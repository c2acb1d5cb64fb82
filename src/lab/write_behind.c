#include "lab/write_behind.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lab/append.h"

/* So many bytes may wait to be written, and so many emptied buffers are kept for the next. */
enum { WAITING_BYTES_MAX = 64 * 1024 * 1024, SPARES_MAX = 64 };

struct job {
    struct job *next;
    char *path; /* owned */
    tspi_buf buf;
};

struct tspi_write_behind {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t there_is_work, some_is_done;
    struct job *first, **end;
    size_t waiting_bytes; /* of those and of the one that is being written */
    tspi_buf spares[SPARES_MAX];
    unsigned spares_n;
    bool stops;
    tsp_status rc; /* of the first failure */
    tsp_error why;
};

static void job_free(struct job *job)
{
    if (job) {
        tspi_buf_release(&job->buf);
        free(job->path);
        free(job);
    }
}

/* With the lock held. */
static void finish(tspi_write_behind *writer, struct job *job, tsp_status rc, const tsp_error *why)
{
    if (rc != TSP_OK && writer->rc == TSP_OK) {
        writer->rc = rc;
        writer->why = *why;
    }
    writer->waiting_bytes -= job->buf.len;
    if (writer->spares_n < SPARES_MAX) {
        tspi_buf_clear(&job->buf);
        writer->spares[writer->spares_n++] = job->buf;
        job->buf = (tspi_buf){0};
    }
    job_free(job);
    pthread_cond_signal(&writer->some_is_done);
}

static void *work(void *ctx)
{
    tspi_write_behind *writer = ctx;

    pthread_mutex_lock(&writer->lock);
    for (;;) {
        while (!writer->first && !writer->stops)
            pthread_cond_wait(&writer->there_is_work, &writer->lock);
        struct job *job = writer->first;
        if (!job)
            break;
        writer->first = job->next;
        if (!writer->first)
            writer->end = &writer->first;
        tsp_error why = {0};
        tsp_status rc = writer->rc;
        pthread_mutex_unlock(&writer->lock);
        if (rc == TSP_OK) /* after a failure the rest would make a file with a hole */
            rc = tspi_append_to(job->path, &job->buf, &why);
        pthread_mutex_lock(&writer->lock);
        finish(writer, job, rc, &why);
    }
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

tspi_write_behind *tspi_write_behind_new(void)
{
    tspi_write_behind *writer = calloc(1, sizeof *writer);

    if (!writer)
        return NULL;
    writer->end = &writer->first;
    pthread_mutex_init(&writer->lock, NULL);
    pthread_cond_init(&writer->there_is_work, NULL);
    pthread_cond_init(&writer->some_is_done, NULL);
    if (pthread_create(&writer->thread, NULL, work, writer) == 0)
        return writer;
    free(writer);
    return NULL;
}

void tspi_write_behind_free(tspi_write_behind *writer)
{
    if (!writer)
        return;
    pthread_mutex_lock(&writer->lock);
    writer->stops = true;
    pthread_cond_signal(&writer->there_is_work);
    pthread_mutex_unlock(&writer->lock);
    pthread_join(writer->thread, NULL);
    for (unsigned k = 0; k < writer->spares_n; k++)
        tspi_buf_release(&writer->spares[k]);
    pthread_mutex_destroy(&writer->lock);
    pthread_cond_destroy(&writer->there_is_work);
    pthread_cond_destroy(&writer->some_is_done);
    free(writer);
}

/* With the lock held. */
static tsp_status what_failed(tspi_write_behind *writer, tsp_error *err)
{
    tsp_status rc = writer->rc;

    if (rc != TSP_OK && err)
        *err = writer->why;
    return rc;
}

tsp_status tspi_write_behind_put(tspi_write_behind *writer, const char *path, tspi_buf *buf, tsp_error *err)
{
    struct job *job = calloc(1, sizeof *job);

    if (job)
        job->path = strdup(path);
    if (!job || !job->path) {
        free(job);
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for what waits to be written");
    }
    pthread_mutex_lock(&writer->lock);
    while (writer->waiting_bytes > WAITING_BYTES_MAX && writer->rc == TSP_OK)
        pthread_cond_wait(&writer->some_is_done, &writer->lock);
    tsp_status rc = what_failed(writer, err);
    if (rc == TSP_OK) {
        job->buf = *buf;
        *buf = writer->spares_n ? writer->spares[--writer->spares_n] : (tspi_buf){0};
        writer->waiting_bytes += job->buf.len;
        *writer->end = job;
        writer->end = &job->next;
        job = NULL;
        pthread_cond_signal(&writer->there_is_work);
    }
    pthread_mutex_unlock(&writer->lock);
    job_free(job);
    return rc;
}

tsp_status tspi_write_behind_drain(tspi_write_behind *writer, tsp_error *err)
{
    pthread_mutex_lock(&writer->lock);
    while (writer->waiting_bytes)
        pthread_cond_wait(&writer->some_is_done, &writer->lock);
    tsp_status rc = what_failed(writer, err);
    writer->rc = TSP_OK;
    pthread_mutex_unlock(&writer->lock);
    return rc;
}
