#include "causal/windows.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/big.h"
#include "base/hash.h"
#include "causal/clock_identity.h"
#include "causal/quantum.h"
#include "span/span_split.h"

/* Rows, the same again while they are split, tables, and what a join needs. */
#define BYTES_A_SPAN 320
#define LEAST_SPANS 1024

/* Remembered traces: two tables with so many places for each span of the window. */
#define TRACES_A_SPAN 4

/* Links tie chains of traces together; how many steps of a chain are followed. */
enum { TIE_ROUNDS = 4 };

/* A stretch of the file. */
typedef struct {
    uint64_t at;
    uint64_t spans_n, traces_n, links_n, sequences_n, events_n, copies_n;
} window;

/* Ids by open addressing; 0 = free. */
typedef struct {
    uint64_t *ids; /* owned */
    size_t mask, used;
} id_table;

struct tspi_windows {
    size_t max_spans;
    tspi_trace_id pin;
    const char *clock_key;
    int fd;
    uint64_t file_bytes;
    window *windows; /* owned */
    size_t windows_n, windows_cap;
    id_table recent, older; /* traces that were put aside */
    uint64_t seed;
    tspi_join sum; /* counters and grids of all windows */
    tspi_windows_report report;
};

static size_t default_spans(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t bytes = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size : UINT64_C(1) << 30;
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur < bytes)
        bytes = limit.rlim_cur;
    return (size_t)(bytes / 2 / BYTES_A_SPAN);
}

tspi_windows *tspi_windows_new(size_t max_spans, tspi_trace_id pin, const char *clock_key)
{
    tspi_windows *w = calloc(1, sizeof *w);

    if (!w)
        return NULL;
    w->max_spans = max_spans ? max_spans : default_spans();
    if (w->max_spans < LEAST_SPANS)
        w->max_spans = LEAST_SPANS;
    if (w->max_spans > UINT32_MAX / 2)
        w->max_spans = UINT32_MAX / 2;
    w->pin = pin;
    w->clock_key = clock_key;
    w->fd = -1;
    w->seed = tspi_hash_seed();
    return w;
}

static void id_table_free(id_table *table)
{
    tspi_big_free(table->ids, (table->mask + 1) * sizeof *table->ids);
    *table = (id_table){0};
}

void tspi_windows_free(tspi_windows *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    free(w->windows);
    free(w->sum.grids);
    id_table_free(&w->recent);
    id_table_free(&w->older);
    free(w);
}

tspi_windows_report tspi_windows_report_of(const tspi_windows *w)
{
    return w->report;
}

size_t tspi_windows_holds(const tspi_windows *w)
{
    return w->max_spans;
}

/* ---- which traces have gone by ---- */

static bool id_table_has(const id_table *table, uint64_t id, uint64_t seed)
{
    if (!table->ids)
        return false;
    for (size_t at = tspi_hash_mix(id ^ seed) & table->mask; table->ids[at]; at = (at + 1) & table->mask)
        if (table->ids[at] == id)
            return true;
    return false;
}

static bool was_put_aside(const tspi_windows *w, tspi_trace_id id)
{
    return id_table_has(&w->recent, id.lo, w->seed) || id_table_has(&w->older, id.lo, w->seed);
}

static tsp_status remember(tspi_windows *w, tspi_trace_id id)
{
    id_table *table = &w->recent;

    if (!id.lo)
        return TSP_OK;
    if (table->ids && table->used * 2 > table->mask) {
        w->report.at_least |= w->older.ids != NULL;
        id_table_free(&w->older);
        w->older = *table;
        *table = (id_table){0};
    }
    if (!table->ids) {
        size_t n = LEAST_SPANS;
        while (n < w->max_spans * TRACES_A_SPAN)
            n *= 2;
        table->ids = tspi_big_calloc(n, sizeof *table->ids);
        if (!table->ids)
            return TSP_ENOMEM;
        table->mask = n - 1;
    }
    size_t at = tspi_hash_mix(id.lo ^ w->seed) & table->mask;
    while (table->ids[at] && table->ids[at] != id.lo)
        at = (at + 1) & table->mask;
    table->used += !table->ids[at];
    table->ids[at] = id.lo;
    return TSP_OK;
}

/* leave[t] = 1 for traces whose last span lies further back than stay rows. Returns how many rows stay. */
static size_t choose_by_age(const tspi_windows *w, const tspi_span_set *set, size_t stay, uint8_t *leave)
{
    size_t rows = 0, young = set->spans_n > stay ? set->spans_n - stay : 0;

    memset(leave, 1, set->traces_n);
    for (size_t k = young; k < set->spans_n; k++)
        leave[set->spans[k].trace] = 0;
    for (size_t t = 0; (w->pin.hi | w->pin.lo) && t < set->traces_n; t++)
        if (set->traces[t].lo == w->pin.lo && (!w->pin.hi || !set->traces[t].hi || set->traces[t].hi == w->pin.hi))
            leave[t] = 0;
    for (int round = 0; round < TIE_ROUNDS; round++)
        for (size_t k = 0; k < set->links_n; k++) {
            uint32_t a = set->spans[set->links[k].from].trace, b = set->links[k].trace;
            leave[a] = leave[b] = leave[a] & leave[b];
        }
    for (size_t k = 0; k < set->spans_n; k++)
        rows += !leave[set->spans[k].trace];
    return rows;
}

/* Half of the window stays if it can; a window full of open traces must make room all the same. */
static void choose(const tspi_windows *w, const tspi_span_set *set, uint8_t *leave)
{
    for (size_t stay = w->max_spans / 2; choose_by_age(w, set, stay, leave) > w->max_spans / 4 * 3; stay /= 8)
        if (!stay) {
            memset(leave, 1, set->traces_n);
            return;
        }
}

/* ---- the file ---- */

static tsp_status open_file(tspi_windows *w, tsp_error *err)
{
    const char *folder = getenv("TMPDIR");

    if (!folder || !*folder)
        folder = "/var/tmp";
    w->fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (w->fd < 0) { /* a file system that knows no such files */
        char path[4096];
        snprintf(path, sizeof path, "%s/truespan-XXXXXX", folder);
        w->fd = mkostemp(path, O_CLOEXEC);
        if (w->fd >= 0)
            unlink(path);
    }
    return w->fd >= 0 ? TSP_OK
                      : tsp_error_sys(err, errno,
                                      "there are more spans than memory holds, and no file for them can be made in "
                                      "'%s' (set TMPDIR to a folder with room)",
                                      folder);
}

static tsp_status put(tspi_windows *w, const void *bytes, size_t len, tsp_error *err)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = pwrite(w->fd, (const char *)bytes + at, len - at, (off_t)(w->file_bytes + at));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return tsp_error_sys(err, n ? errno : ENOSPC,
                                 "cannot put spans aside (set TMPDIR to a folder with room, or raise --window)");
        at += (size_t)n;
    }
    w->file_bytes += len;
    return TSP_OK;
}

static tsp_status get(const tspi_windows *w, uint64_t *at, void *bytes, size_t len, tsp_error *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t n = pread(w->fd, (char *)bytes + done, len - done, (off_t)(*at + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return tsp_error_sys(err, n ? errno : EIO, "cannot read back what was put aside");
        done += (size_t)n;
    }
    *at += len;
    return TSP_OK;
}

static size_t copy_words(const window *at)
{
    return at->copies_n ? at->spans_n / 64 + 1 : 0;
}

static tsp_status put_window(tspi_windows *w, const tspi_span_set *set, const tspi_join *join, tsp_error *err)
{
    window at = {w->file_bytes,    set->spans_n,  set->traces_n, set->links_n,
                 set->sequences_n, set->events_n, join->copies_n};

    if (w->windows_n == w->windows_cap) {
        size_t cap = w->windows_cap ? w->windows_cap * 2 : 64;
        window *bigger = realloc(w->windows, cap * sizeof *bigger);
        if (!bigger)
            return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by windows");
        w->windows = bigger;
        w->windows_cap = cap;
    }
    tsp_status rc = w->fd < 0 ? open_file(w, err) : TSP_OK;
#define PUT(array, n) rc = rc == TSP_OK ? put(w, array, (n) * sizeof *(array), err) : rc
    PUT(set->spans, at.spans_n);
    PUT(join->parent, at.spans_n);
    PUT(set->traces, at.traces_n);
    PUT(set->links, at.links_n);
    PUT(join->link_target, at.links_n);
    PUT(set->sequences, at.sequences_n);
    PUT(set->events, at.events_n);
    PUT(join->copies, copy_words(&at));
#undef PUT
    if (rc == TSP_OK)
        w->windows[w->windows_n++] = at;
    return rc;
}

/* ---- turning ---- */

/* Sums, and grids that may have fewer processes than the new ones. */
static tsp_status add_up(tspi_windows *w, const tspi_join *join)
{
    tspi_join *sum = &w->sum;

    if (join->grids_n > sum->grids_n) {
        tspi_quantum_grid *bigger = realloc(sum->grids, join->grids_n * sizeof *bigger);
        if (!bigger)
            return TSP_ENOMEM;
        sum->grids = bigger;
        tspi_quantum_grids_init(bigger + sum->grids_n, join->grids_n - sum->grids_n);
        sum->grids_n = join->grids_n;
    }
    tspi_quantum_grids_merge(sum->grids, join->grids, join->grids_n);
    sum->copies_n += join->copies_n;
    sum->clashes_n += join->clashes_n;
    sum->shared_n += join->shared_n;
    sum->missing_parents_n += join->missing_parents_n;
    sum->missing_links_n += join->missing_links_n;
    sum->cycles_n += join->cycles_n;
    sum->traces_n += join->traces_n;
    return TSP_OK;
}

/* Late ones are traces once, however often they come. */
static tsp_status count_late(tspi_windows *w, const tspi_span_set *set, uint64_t *ret_traces)
{
    uint8_t *late = calloc(set->traces_n + 1, 1); /* 1 = has spans, 2 = late */
    tsp_status rc = late ? TSP_OK : TSP_ENOMEM;

    *ret_traces = 0;
    for (size_t t = 0; t < set->traces_n && late; t++)
        late[t] = was_put_aside(w, set->traces[t]) ? 2 : 0;
    for (size_t k = 0; k < set->spans_n && late; k++) {
        uint8_t *trace = &late[set->spans[k].trace];
        w->report.late_spans += *trace >> 1;
        *ret_traces += *trace == 2;
        *trace |= 1;
    }
    for (size_t k = 0; k < set->links_n && late; k++)
        w->report.late_links += late[set->links[k].trace] == 2;
    free(late);
    return rc;
}

static tsp_status put_aside(tspi_windows *w, tspi_span_set *gone, tspi_span_set *set, tsp_error *err)
{
    tspi_join join = {0};
    uint64_t late_traces = 0;

    gone->processes = set->processes; /* lent for the join */
    gone->processes_n = set->processes_n;
    tsp_status rc = count_late(w, gone, &late_traces);
    if (rc == TSP_OK)
        rc = tspi_join_init(&join, gone, 0, err);
    if (rc == TSP_OK && (rc = put_window(w, gone, &join, err)) == TSP_OK)
        rc = add_up(w, &join);
    for (size_t k = 0; k < gone->spans_n && rc == TSP_OK; k++)
        rc = remember(w, gone->traces[gone->spans[k].trace]);
    w->sum.traces_n -= rc == TSP_OK ? late_traces : 0;
    w->report.windows += rc == TSP_OK;
    w->report.spans += gone->spans_n;
    w->report.traces = w->sum.traces_n;
    tspi_join_release(&join);
    gone->processes = NULL;
    gone->processes_n = 0;
    return rc;
}

tsp_status tspi_windows_turn(void *windows, tspi_span_set *set, tsp_error *err)
{
    tspi_windows *w = windows;
    tspi_clock_table clocks = {0};
    tspi_span_set gone = {0};

    if (set->spans_n < w->max_spans)
        return TSP_OK;
    uint8_t *leave = calloc(set->traces_n + 1, 1);
    if (!leave)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by traces");
    choose(w, set, leave);
    /* Which half of a shared span is meant may depend on clocks. No process may carry the key yet. */
    tsp_status rc = tspi_clocks_identify(set, w->clock_key, &clocks, err);
    if (rc == TSP_EINVAL) {
        if (err)
            *err = (tsp_error){0};
        rc = tspi_clocks_identify(set, NULL, &clocks, err);
    }
    tspi_clock_table_release(&clocks);
    if (rc == TSP_OK)
        rc = tspi_span_set_split(set, leave, &gone, err);
    free(leave);
    if (rc == TSP_OK && gone.spans_n)
        rc = put_aside(w, &gone, set, err);
    tspi_span_set_release(&gone);
    return rc == TSP_ENOMEM ? tsp_error_set(err, rc, "memory is exhausted by a window of %zu spans", w->max_spans) : rc;
}

void tspi_windows_attach(tspi_windows *w, tspi_join *join)
{
    const tspi_join *sum = &w->sum;
    uint64_t late_traces = 0;

    if (!w->windows_n)
        return;
    count_late(w, join->set, &late_traces);
    join->windows = w;
    tspi_quantum_grids_merge(join->grids, sum->grids, sum->grids_n);
    tspi_quantum_grids_finish(join->grids, join->grids_n, join->quanta);
    join->copies_n += sum->copies_n;
    join->clashes_n += sum->clashes_n;
    join->shared_n += sum->shared_n;
    join->missing_parents_n += sum->missing_parents_n;
    join->missing_links_n += sum->missing_links_n;
    join->cycles_n += sum->cycles_n;
    join->traces_n += sum->traces_n - late_traces;
}

/* ---- coming back ---- */

static void view_release(tspi_span_set *set, tspi_join *join, const window *at)
{
    tspi_big_free(set->spans, at->spans_n * sizeof *set->spans);
    tspi_big_free(set->traces, at->traces_n * sizeof *set->traces);
    tspi_big_free(set->links, at->links_n * sizeof *set->links);
    tspi_big_free(set->sequences, at->sequences_n * sizeof *set->sequences);
    tspi_big_free(set->events, at->events_n * sizeof *set->events);
    tspi_big_free(join->parent, at->spans_n * sizeof *join->parent);
    tspi_big_free(join->link_target, at->links_n * sizeof *join->link_target);
    tspi_big_free(join->copies, copy_words(at) * sizeof *join->copies);
}

static tsp_status view_window(const tspi_join *whole, const window *at, tspi_join_fn fn, void *ctx, tsp_error *err)
{
    const tspi_windows *w = whole->windows;
    tspi_span_set set = {.processes = whole->set->processes, .processes_n = whole->set->processes_n};
    tspi_join join = {.set = &set, .quanta = whole->quanta, .copies_n = at->copies_n};
    uint64_t from = at->at;
    tsp_status rc = TSP_OK;

    set.spans_n = at->spans_n;
    set.traces_n = at->traces_n;
    set.links_n = at->links_n;
    set.sequences_n = at->sequences_n;
    set.events_n = at->events_n;
#define GET(array, n)                                                                                                  \
    if (rc == TSP_OK && (n)) {                                                                                         \
        array = tspi_big_resize(NULL, 0, (n) * sizeof *(array));                                                       \
        rc = array ? get(w, &from, array, (n) * sizeof *(array), err)                                                  \
                   : tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by a window");                                \
    }
    GET(set.spans, at->spans_n)
    GET(join.parent, at->spans_n)
    GET(set.traces, at->traces_n)
    GET(set.links, at->links_n)
    GET(join.link_target, at->links_n)
    GET(set.sequences, at->sequences_n)
    GET(set.events, at->events_n)
    GET(join.copies, copy_words(at))
#undef GET
    if (rc == TSP_OK)
        rc = fn(ctx, &join, err);
    view_release(&set, &join, at);
    return rc;
}

tsp_status tspi_join_each(const tspi_join *join, tspi_join_fn fn, void *ctx, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (size_t k = 0; join->windows && k < join->windows->windows_n && rc == TSP_OK; k++)
        rc = view_window(join, &join->windows->windows[k], fn, ctx, err);
    return rc == TSP_OK ? fn(ctx, join, err) : rc;
}
