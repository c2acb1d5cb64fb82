#include "lab/memory_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/grow.h"

static const int64_t minute_ns = 60 * TSP_NS_PER_S;

uint64_t tspi_memory_of(pid_t pid)
{
    char path[64], line[256];
    unsigned long long kb = 0;

    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "RssAnon: %llu", &kb) == 1)
            break;
    if (file)
        fclose(file);
    return kb * 1024;
}

static tspi_memory_row *row_of(tspi_memory_log *log, const char *name)
{
    for (size_t k = 0; k < log->n; k++)
        if (!log->rows[k].over && !strcmp(log->rows[k].name, name))
            return &log->rows[k];
    tspi_memory_row *rows = realloc(log->rows, (log->n + 1) * sizeof *rows);
    if (!rows)
        return NULL;
    log->rows = rows;
    rows[log->n] = (tspi_memory_row){.n = 0};
    snprintf(rows[log->n].name, sizeof rows[log->n].name, "%s", name);
    return &rows[log->n++];
}

void tspi_memory_note(tspi_memory_log *log, const char *name, int64_t at_ns, uint64_t bytes)
{
    tspi_memory_row *row = row_of(log, name);

    tspi_memory_sample *samples = row ? tspi_grown(row->samples, row->n, &row->cap, sizeof *samples) : NULL;

    if (!samples)
        return;
    row->samples = samples;
    row->samples[row->n++] = (tspi_memory_sample){at_ns, bytes};
}

void tspi_memory_restart(tspi_memory_log *log)
{
    for (size_t k = 0; k < log->n; k++)
        log->rows[k].over = true;
}

void tspi_memory_release(tspi_memory_log *log)
{
    for (size_t k = 0; k < log->n; k++)
        free(log->rows[k].samples);
    free(log->rows);
    *log = (tspi_memory_log){0};
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The median of the samples taken in [from_ns, to_ns], of the last 64 where there are more; 0 = there are none. */
static uint64_t median_in(const tspi_memory_row *row, int64_t from_ns, int64_t to_ns)
{
    uint64_t held[64];
    size_t n = 0;

    for (size_t k = row->n; k-- > 0 && n < sizeof held / sizeof *held;)
        if (row->samples[k].at_ns >= from_ns && row->samples[k].at_ns <= to_ns)
            held[n++] = row->samples[k].bytes;
    if (!n)
        return 0;
    qsort(held, n, sizeof *held, by_size);
    return held[n / 2];
}

static int64_t seen_for_ns(const tspi_memory_row *row)
{
    return row->samples[row->n - 1].at_ns - row->samples[0].at_ns;
}

tspi_memory_figures tspi_memory_measure(const tspi_memory_row *row)
{
    int64_t first_ns = row->samples[0].at_ns, last_ns = row->samples[row->n - 1].at_ns;
    tspi_memory_figures figures = {
        .for_ns = seen_for_ns(row), .start = row->samples[0].bytes, .end = row->samples[row->n - 1].bytes};

    for (size_t k = 0; k < row->n; k++)
        if (row->samples[k].bytes > figures.peak)
            figures.peak = row->samples[k].bytes;
    uint64_t settled = median_in(row, first_ns + minute_ns, first_ns + 2 * minute_ns);
    uint64_t end = median_in(row, last_ns - minute_ns, last_ns);
    if (figures.for_ns >= 3 * minute_ns && settled && end) {
        figures.growth_known = true;
        figures.growth = (int64_t)(end - settled);
    }
    return figures;
}

bool tspi_memory_is_longest(const tspi_memory_log *log, size_t row)
{
    for (size_t k = 0; k < log->n; k++)
        if (k != row && !strcmp(log->rows[k].name, log->rows[row].name) &&
            (seen_for_ns(&log->rows[k]) > seen_for_ns(&log->rows[row]) ||
             (seen_for_ns(&log->rows[k]) == seen_for_ns(&log->rows[row]) && k < row)))
            return false;
    return true;
}
