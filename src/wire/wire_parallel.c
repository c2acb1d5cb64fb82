#include "wire/wire_parallel.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { MOST_THREADS = 256 };

struct ordered {
    const tspi_ordered *run;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t next;  /* job to be started */
    size_t taken; /* jobs taken so far */
    bool *done;
    bool stop;
};

static void *worker(void *arg)
{
    struct ordered *o = arg;
    size_t ahead = o->run->threads + 2;

    pthread_mutex_lock(&o->lock);
    for (;;) {
        while (!o->stop && o->next < o->run->jobs_n && o->next >= o->taken + ahead)
            pthread_cond_wait(&o->changed, &o->lock);
        if (o->stop || o->next == o->run->jobs_n)
            break;
        size_t job = o->next++;
        pthread_mutex_unlock(&o->lock);
        o->run->work(o->run->ctx, job);
        pthread_mutex_lock(&o->lock);
        o->done[job] = true;
        pthread_cond_broadcast(&o->changed);
    }
    pthread_mutex_unlock(&o->lock);
    return NULL;
}

/* Take jobs as they become ready, until all are taken or take says stop. */
static void take_all(struct ordered *o)
{
    pthread_mutex_lock(&o->lock);
    while (!o->stop && o->taken < o->run->jobs_n) {
        while (!o->done[o->taken])
            pthread_cond_wait(&o->changed, &o->lock);
        pthread_mutex_unlock(&o->lock);
        bool go_on = o->run->take(o->run->ctx, o->taken);
        pthread_mutex_lock(&o->lock);
        o->taken++;
        o->stop |= !go_on;
        pthread_cond_broadcast(&o->changed);
    }
    pthread_mutex_unlock(&o->lock);
}

static void run_alone(const tspi_ordered *run)
{
    for (size_t job = 0; job < run->jobs_n; job++) {
        run->work(run->ctx, job);
        if (!run->take(run->ctx, job))
            return;
    }
}

void tspi_ordered_run(const tspi_ordered *run)
{
    pthread_t threads[MOST_THREADS];
    unsigned wanted = run->threads < MOST_THREADS ? run->threads : MOST_THREADS, started = 0;
    struct ordered o = {.run = run, .done = calloc(run->jobs_n ? run->jobs_n : 1, sizeof *o.done)};

    if (!o.done || wanted < 2 || run->jobs_n < 2) {
        free(o.done);
        run_alone(run);
        return;
    }
    pthread_mutex_init(&o.lock, NULL);
    pthread_cond_init(&o.changed, NULL);
    while (started < wanted && pthread_create(&threads[started], NULL, worker, &o) == 0)
        started++;
    if (started)
        take_all(&o);
    else
        run_alone(run);
    for (unsigned k = 0; k < started; k++)
        pthread_join(threads[k], NULL);
    for (size_t job = o.taken; job < o.next; job++)
        run->drop(run->ctx, job);
    pthread_cond_destroy(&o.changed);
    pthread_mutex_destroy(&o.lock);
    free(o.done);
}

unsigned tspi_threads_wanted(const tspi_wire_options *options)
{
    cpu_set_t set;

    if (options->threads)
        return options->threads < MOST_THREADS ? options->threads : MOST_THREADS;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return n < 1 ? 1 : n < MOST_THREADS ? (unsigned)n : MOST_THREADS;
}

/* One piece, read into a set of its own. */
struct piece {
    tspi_span_set set;
    tspi_read_report report;
    tsp_status rc;
};

struct pieces {
    const tspi_scan *whole;
    enum tspi_format format;
    const tspi_cuts *cuts;
    struct piece *piece;
    tspi_span_set *set;
    tspi_read_report *report;
    bool failed;
};

static void piece_release(void *ctx, size_t job)
{
    struct pieces *p = ctx;

    tspi_span_set_release(&p->piece[job].set);
    tspi_read_report_release(&p->piece[job].report);
}

/* Strictly, whatever the options say: what is bad is left to the one thread that then reads everything. */
static void piece_work(void *ctx, size_t job)
{
    struct pieces *p = ctx;
    struct piece *piece = &p->piece[job];
    tsp_error err = {0};
    tspi_scan *scan = calloc(1, sizeof *scan);

    piece->rc = scan ? tspi_span_set_keep_apart(&piece->set, &err) : TSP_ENOMEM;
    if (piece->rc == TSP_OK) {
        scan->name = p->whole->name;
        scan->base = p->whole->base;
        scan->len = p->whole->len;
        scan->origin = p->whole->origin;
        scan->err = &err;
        scan->set = &piece->set;
        scan->report = &piece->report;
        piece->rc = tspi_scan_range(scan, p->format, p->cuts->elements, p->cuts->at[job], p->cuts->at[job + 1]);
        tspi_scan_release(scan);
    }
    free(scan);
}

static bool piece_take(void *ctx, size_t job)
{
    struct pieces *p = ctx;
    struct piece *piece = &p->piece[job];

    if (piece->rc == TSP_OK)
        piece->rc = tspi_span_set_append(p->set, &piece->set, NULL);
    p->failed |= piece->rc != TSP_OK;
    p->report->spans += piece->report.spans;
    p->report->invalid_ids += piece->report.invalid_ids;
    tspi_report_resources(p->report, piece->report.large, piece->report.large_n);
    piece_release(ctx, job);
    return !p->failed;
}

bool tspi_read_in_pieces(tspi_scan *scan, enum tspi_format format, const tspi_cuts *cuts, unsigned threads)
{
    tspi_span_set *set = scan->set;
    size_t spans = set->spans_n, links = set->links_n, sequences = set->sequences_n, events = set->events_n;
    size_t large = scan->report->large_n;
    uint64_t spans_read = scan->report->spans, invalid = scan->report->invalid_ids;
    struct pieces p = {.whole = scan,
                       .format = format,
                       .cuts = cuts,
                       .piece = calloc(cuts->n - 1, sizeof *p.piece),
                       .set = set,
                       .report = scan->report};

    if (!p.piece)
        return false;
    tspi_ordered_run(&(tspi_ordered){.jobs_n = cuts->n - 1,
                                     .threads = threads,
                                     .work = piece_work,
                                     .take = piece_take,
                                     .drop = piece_release,
                                     .ctx = &p});
    free(p.piece);
    if (!p.failed)
        return true;
    set->spans_n = spans;
    set->links_n = links;
    set->sequences_n = sequences;
    set->events_n = events;
    scan->report->spans = spans_read;
    scan->report->invalid_ids = invalid;
    scan->report->large_n = large;
    return false;
}
