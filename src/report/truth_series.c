#include "report/truth_series.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POINTS = 400 };

typedef struct {
    uint32_t clock;
    int64_t true_ns, offset_ns;
} sighting;

typedef struct {
    const tspi_mend *mend;
    uint32_t *slots; /* owned; open addressing by span id: 1 + row of the set */
    size_t mask;
    sighting *seen; /* owned; by clock, then time */
    size_t seen_n;
    size_t *first; /* owned; a row a clock, and one more */
} truth;

static tsp_status no_memory(tsp_error *err)
{
    return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by the truth of a run");
}

static size_t slot_of(const truth *t, uint64_t id)
{
    return (size_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 20) & t->mask;
}

static tsp_status index_spans(truth *t, tsp_error *err)
{
    const tspi_span_set *set = &t->mend->set;
    size_t size = 16;

    while (size < 2 * set->spans_n)
        size *= 2;
    t->mask = size - 1;
    t->slots = calloc(size, sizeof *t->slots);
    if (!t->slots)
        return no_memory(err);
    for (size_t k = 0; k < set->spans_n; k++) {
        size_t at = slot_of(t, set->spans[k].span_id);
        while (t->slots[at])
            at = (at + 1) & t->mask;
        t->slots[at] = (uint32_t)k + 1;
    }
    return TSP_OK;
}

/* The clock that stamped a span, or TSPI_NONE: the truth holds spans that never reached a file. */
static uint32_t clock_of(const truth *t, uint64_t id)
{
    const tspi_span_set *set = &t->mend->set;

    for (size_t at = slot_of(t, id); t->slots[at]; at = (at + 1) & t->mask)
        if (set->spans[t->slots[at] - 1].span_id == id)
            return set->processes[set->spans[t->slots[at] - 1].process].clock;
    return TSPI_NONE;
}

static tsp_status read_lines(truth *t, const char *path, const tspi_buf *text, tsp_error *err)
{
    size_t lines = 1;

    for (size_t k = 0; k < text->len; k++)
        lines += text->data[k] == '\n';
    t->seen = malloc(lines * sizeof *t->seen);
    if (!t->seen)
        return no_memory(err);
    for (size_t at = 0; at < text->len;) {
        const char *line = (const char *)text->data + at, *end = memchr(line, '\n', text->len - at);
        char copy[256];
        uint64_t id;
        int64_t start_ns, end_ns, offset_ns;
        size_t len = end ? (size_t)(end - line) : text->len - at;
        snprintf(copy, sizeof copy, "%.*s", (int)(len < sizeof copy ? len : sizeof copy - 1), line);
        if (sscanf(copy,
                   "{\"span_id\":\"%16" SCNx64 "\",\"start\":\"%" SCNd64 "\",\"end\":\"%" SCNd64
                   "\",\"start_offset_ns\":%" SCNd64,
                   &id, &start_ns, &end_ns, &offset_ns) != 4)
            return tsp_error_at(err, TSP_EPARSE, at, "%s: byte %zu: no line of truth", path, at);
        uint32_t clock = clock_of(t, id);
        if (clock != TSPI_NONE)
            t->seen[t->seen_n++] = (sighting){clock, start_ns, offset_ns};
        at += len + 1;
    }
    return TSP_OK;
}

static int by_clock_and_time(const void *a, const void *b)
{
    const sighting *x = a, *y = b;

    if (x->clock != y->clock)
        return x->clock < y->clock ? -1 : 1;
    return (x->true_ns > y->true_ns) - (x->true_ns < y->true_ns);
}

static void find_firsts(truth *t)
{
    uint32_t clocks_n = t->mend->causal.clocks.clocks_n;
    size_t at = 0;

    for (uint32_t c = 0; c <= clocks_n; c++) {
        while (at < t->seen_n && t->seen[at].clock < c)
            at++;
        t->first[c] = at;
    }
}

static uint32_t reference_of(const truth *t, uint32_t clock)
{
    const tsp_clock_result *clocks = t->mend->answer.clocks;

    for (uint32_t c = 0; c < t->mend->causal.clocks.clocks_n; c++)
        if (clocks[c].group == clocks[clock].group && clocks[c].is_reference)
            return c;
    return TSPI_NONE;
}

/* A clock's offset at a true time: the last one seen before it. */
static int64_t offset_at(const truth *t, uint32_t clock, int64_t true_ns)
{
    size_t lo = t->first[clock], hi = t->first[clock + 1], first = lo;

    if (lo == hi)
        return 0;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t->seen[mid].true_ns <= true_ns)
            lo = mid + 1;
        else
            hi = mid;
    }
    return t->seen[lo > first ? lo - 1 : first].offset_ns;
}

static void put_clock(const truth *t, uint32_t clock, tspi_buf *out)
{
    const char *name = t->mend->causal.clocks.clocks[clock].name;
    size_t first = t->first[clock], n = t->first[clock + 1] - first;
    uint32_t reference = reference_of(t, clock);
    size_t points = n < POINTS ? n : POINTS;

    tspi_buf_puts(out, "{\"clock\": ");
    tspi_buf_json_string(out, name, strlen(name));
    tspi_buf_puts(out, ", \"points\": [");
    for (size_t k = 0; k < points; k++) {
        const sighting *s = &t->seen[first + (points > 1 ? k * (n - 1) / (points - 1) : 0)];
        int64_t base_ns = reference == TSPI_NONE ? 0 : offset_at(t, reference, s->true_ns);
        tspi_buf_printf(out, "%s[\"%" PRId64 "\", %" PRId64 "]", k ? ", " : "", s->true_ns + s->offset_ns,
                        s->offset_ns - base_ns);
    }
    tspi_buf_puts(out, "]}");
}

tsp_status tspi_put_truth(const tspi_mend *mend, const char *path, tspi_buf *out, tsp_error *err)
{
    uint32_t clocks_n = mend->causal.clocks.clocks_n;
    truth t = {.mend = mend};
    tspi_buf text = {0};

    if (!path || access(path, R_OK) != 0) {
        tspi_buf_puts(out, "null");
        return TSP_OK;
    }
    tsp_status rc = tspi_buf_read_file(&text, path, 0, err);
    t.first = calloc((size_t)clocks_n + 2, sizeof *t.first);
    if (rc == TSP_OK && !t.first)
        rc = no_memory(err);
    if (rc == TSP_OK)
        rc = index_spans(&t, err);
    if (rc == TSP_OK)
        rc = read_lines(&t, path, &text, err);
    if (rc == TSP_OK) {
        if (t.seen_n)
            qsort(t.seen, t.seen_n, sizeof *t.seen, by_clock_and_time);
        find_firsts(&t);
        tspi_buf_putc(out, '[');
        for (uint32_t c = 0; c < clocks_n; c++) {
            tspi_buf_puts(out, c ? ",\n " : "\n ");
            put_clock(&t, c, out);
        }
        tspi_buf_putc(out, ']');
    }
    free(t.slots);
    free(t.seen);
    free(t.first);
    tspi_buf_release(&text);
    return rc;
}
