/* How much memory a run's processes take over time: what a long run must say of itself. Memory is a process's own
 * (anonymous pages): not its program, not what it shares. */
#ifndef TSPI_LAB_MEMORY_LOG_H
#define TSPI_LAB_MEMORY_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "truespan/base.h"

/* How often a process is looked at, besides the ends of blocks. */
#define TSPI_MEMORY_EVERY_NS (10 * TSP_NS_PER_S)

typedef struct {
    int64_t at_ns; /* CLOCK_MONOTONIC */
    uint64_t bytes;
} tspi_memory_sample;

typedef struct {
    char name[80];
    tspi_memory_sample *samples; /* owned, in order of time */
    size_t n, cap;
    bool over; /* the process has ended; another of that name has a row of its own */
} tspi_memory_row;

/* Zero it to initialise. */
typedef struct {
    tspi_memory_row *rows; /* owned */
    size_t n;
} tspi_memory_log;

/* What a process takes now: RssAnon of its /proc/PID/status; 0 = nobody can say. */
uint64_t tspi_memory_of(pid_t pid);

/* Add a sample. What memory for it cannot be had is dropped. */
void tspi_memory_note(tspi_memory_log *log, const char *name, int64_t at_ns, uint64_t bytes);
/* All processes have ended: what comes is of new ones. */
void tspi_memory_restart(tspi_memory_log *log);
void tspi_memory_release(tspi_memory_log *log);

typedef struct {
    int64_t for_ns; /* from the first look to the last */
    uint64_t start, peak, end;
    /* From the second minute to the last one, medians of each; only where at least three minutes were seen. */
    bool growth_known;
    int64_t growth;
} tspi_memory_figures;

/* row: has samples. */
tspi_memory_figures tspi_memory_measure(const tspi_memory_row *row);

/* Of the rows with a row's name the one that was seen longest. */
bool tspi_memory_is_longest(const tspi_memory_log *log, size_t row);

#endif
