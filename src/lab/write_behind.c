#include "lab/write_behind.h"

#include <pthread.h>
#include <stdlib.h>

/* The thread is woken when so much waits, so that it does not sleep and wake for every chunk; when more than the most
 * waits, the giver writes. Both are well below what processors hold in their caches. */
enum { WAKE_BYTES = 256 * 1024, WAITING_BYTES_MAX = 1024 * 1024 };
/* So many emptied buffers are kept for the next. */
enum { SPARES_MAX = 64 };
/* With two files a lane well below what a process may have open. */
enum { LANES_THAT_HOLD_FILES = 64 };

struct tspi_write_chunk {
    struct tspi_write_chunk *next;
    tspi_buf buf;
    bool ends;
};

struct tspi_write_behind {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t there_is_work, some_is_done;
    tspi_write_lane *ready, *ready_last; /* in the order in which they are written */
    size_t waiting_bytes;                /* of chunks that nobody is writing */
    uint32_t unwritten;                  /* chunks, with those that are being written */
    tspi_buf scratch[2][2];              /* of the thread, and of who helps it */
    tspi_buf spares[SPARES_MAX];
    unsigned spares_n;
    uint32_t waiters;
    bool holds_files, sleeps, stops;
    tsp_status rc; /* of the first failure */
    tsp_error why;
};

/* ------------------------------------------------------------------ lanes; all with the lock held */

static void make_ready(tspi_write_behind *behind, tspi_write_lane *lane)
{
    lane->next = NULL;
    if (behind->ready)
        behind->ready_last->next = lane;
    else
        behind->ready = lane;
    behind->ready_last = lane;
}

static void finish(tspi_write_behind *behind, struct tspi_write_chunk *chunk, tsp_status rc, const tsp_error *why)
{
    if (rc != TSP_OK && behind->rc == TSP_OK) {
        behind->rc = rc;
        behind->why = *why;
    }
    if (behind->spares_n < SPARES_MAX) {
        tspi_buf_clear(&chunk->buf);
        behind->spares[behind->spares_n++] = chunk->buf;
    } else
        tspi_buf_release(&chunk->buf);
    free(chunk);
}

/* Write the first chunk of the lane that is ready longest; the lock is let go meanwhile. */
static void write_one(tspi_write_behind *behind, tspi_buf scratch[2])
{
    tspi_write_lane *lane = behind->ready;
    struct tspi_write_chunk *chunk = lane->first;
    tsp_status rc = behind->rc;
    tsp_error why = {0};

    behind->ready = lane->next;
    behind->waiting_bytes -= chunk->buf.len;
    pthread_mutex_unlock(&behind->lock);
    if (rc == TSP_OK) /* after a failure the rest would make a file with a hole */
        rc = lane->write(lane, &chunk->buf, chunk->ends, scratch, &why);
    for (int k = 0; k < 2; k++)
        if (tspi_buf_ok(&scratch[k]))
            tspi_buf_clear(&scratch[k]);
        else
            tspi_buf_release(&scratch[k]);
    pthread_mutex_lock(&behind->lock);
    lane->first = chunk->next;
    if (lane->first)
        make_ready(behind, lane);
    lane->unwritten--;
    behind->unwritten--;
    finish(behind, chunk, rc, &why);
    if (behind->waiters)
        pthread_cond_broadcast(&behind->some_is_done);
}

static void *work(void *ctx)
{
    tspi_write_behind *behind = ctx;

    pthread_mutex_lock(&behind->lock);
    for (;;) {
        while (behind->ready)
            write_one(behind, behind->scratch[0]);
        if (behind->stops)
            break;
        behind->sleeps = true;
        pthread_cond_wait(&behind->there_is_work, &behind->lock);
        behind->sleeps = false;
    }
    pthread_mutex_unlock(&behind->lock);
    return NULL;
}

static void wake(tspi_write_behind *behind)
{
    if (behind->sleeps)
        pthread_cond_signal(&behind->there_is_work);
}

/* Write, or wait for what the thread writes. Of those who give one at a time comes here. */
static void help(tspi_write_behind *behind)
{
    wake(behind);
    if (behind->ready) {
        write_one(behind, behind->scratch[1]);
        return;
    }
    behind->waiters++;
    pthread_cond_wait(&behind->some_is_done, &behind->lock);
    behind->waiters--;
}

/* ------------------------------------------------------------------ life */

tspi_write_behind *tspi_write_behind_new(uint32_t lanes)
{
    tspi_write_behind *behind = calloc(1, sizeof *behind);

    if (!behind)
        return NULL;
    behind->holds_files = lanes <= LANES_THAT_HOLD_FILES;
    pthread_mutex_init(&behind->lock, NULL);
    pthread_cond_init(&behind->there_is_work, NULL);
    pthread_cond_init(&behind->some_is_done, NULL);
    if (pthread_create(&behind->thread, NULL, work, behind) == 0)
        return behind;
    free(behind);
    return NULL;
}

void tspi_write_behind_free(tspi_write_behind *behind)
{
    if (!behind)
        return;
    pthread_mutex_lock(&behind->lock);
    behind->stops = true;
    pthread_cond_signal(&behind->there_is_work);
    pthread_mutex_unlock(&behind->lock);
    pthread_join(behind->thread, NULL);
    for (unsigned k = 0; k < behind->spares_n; k++)
        tspi_buf_release(&behind->spares[k]);
    for (unsigned k = 0; k < 4; k++)
        tspi_buf_release(&behind->scratch[k / 2][k % 2]);
    pthread_mutex_destroy(&behind->lock);
    pthread_cond_destroy(&behind->there_is_work);
    pthread_cond_destroy(&behind->some_is_done);
    free(behind);
}

bool tspi_write_behind_holds_files(const tspi_write_behind *behind)
{
    return behind->holds_files;
}

/* ------------------------------------------------------------------ giving and waiting */

/* With the lock held. */
static tsp_status what_failed(tspi_write_behind *behind, tsp_error *err)
{
    tsp_status rc = behind->rc;

    if (rc != TSP_OK && err)
        *err = behind->why;
    return rc;
}

static void put(tspi_write_behind *behind, tspi_write_lane *lane, struct tspi_write_chunk *chunk)
{
    if (lane->first)
        lane->last->next = chunk;
    else {
        lane->first = chunk;
        make_ready(behind, lane);
    }
    lane->last = chunk;
    lane->unwritten++;
    behind->unwritten++;
    behind->waiting_bytes += chunk->buf.len;
}

tsp_status tspi_write_behind_give(tspi_write_behind *behind, tspi_write_lane *lane, tspi_buf *buf, bool ends,
                                  tsp_error *err)
{
    struct tspi_write_chunk *chunk = malloc(sizeof *chunk);

    if (!chunk)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for what waits to be written");
    *chunk = (struct tspi_write_chunk){.buf = *buf, .ends = ends};
    pthread_mutex_lock(&behind->lock);
    tsp_status rc = what_failed(behind, err);
    if (rc == TSP_OK) {
        *buf = behind->spares_n ? behind->spares[--behind->spares_n] : (tspi_buf){0};
        put(behind, lane, chunk);
        chunk = NULL;
        if (behind->waiting_bytes >= WAKE_BYTES)
            wake(behind);
        while (behind->waiting_bytes > WAITING_BYTES_MAX)
            help(behind);
    }
    pthread_mutex_unlock(&behind->lock);
    free(chunk);
    return rc;
}

void tspi_write_behind_finish(tspi_write_behind *behind, const tspi_write_lane *lane)
{
    if (!behind)
        return;
    pthread_mutex_lock(&behind->lock);
    while (lane->unwritten)
        help(behind);
    pthread_mutex_unlock(&behind->lock);
}

tsp_status tspi_write_behind_drain(tspi_write_behind *behind, tsp_error *err)
{
    pthread_mutex_lock(&behind->lock);
    while (behind->unwritten)
        help(behind);
    tsp_status rc = what_failed(behind, err);
    behind->rc = TSP_OK;
    pthread_mutex_unlock(&behind->lock);
    return rc;
}
