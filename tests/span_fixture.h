/* Span sets written by hand, for tests: spans by name of process, times in any unit. */
#ifndef TRUESPAN_SPAN_FIXTURE_H
#define TRUESPAN_SPAN_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "span/span_set.h"

#define MS INT64_C(1000000)
#define EPOCH_NS INT64_C(1700000000123456789) /* no multiple of anything: no quantum is found by accident */

/* A process known by pairs key, value, ..., NULL. */
static inline uint32_t fixture_process(tspi_span_set *set, const char *const *pairs)
{
    tspi_attribute_text texts[16];
    size_t n = 0;
    uint32_t row = TSPI_NONE;

    for (; pairs[2 * n]; n++)
        texts[n] =
            (tspi_attribute_text){{pairs[2 * n], strlen(pairs[2 * n])}, {pairs[2 * n + 1], strlen(pairs[2 * n + 1])}};
    if (tspi_span_set_process(set, texts, n, &row, NULL) != TSP_OK)
        abort();
    return row;
}

#define PROCESS(set, ...) fixture_process(set, (const char *const[]){__VA_ARGS__, NULL, NULL})

/* A process on the host of that name. */
static inline uint32_t fixture_host(tspi_span_set *set, const char *host)
{
    return PROCESS(set, "host.name", host, "service.name", "svc");
}

static inline uint32_t fixture_trace(tspi_span_set *set, uint64_t lo)
{
    uint32_t row = TSPI_NONE;
    if (tspi_span_set_trace(set, (tspi_trace_id){7, lo}, &row, NULL) != TSP_OK)
        abort();
    return row;
}

static inline uint32_t fixture_name(tspi_span_set *set, const char *name)
{
    uint32_t row = TSPI_NONE;
    if (tspi_span_set_name(set, name, strlen(name), &row, NULL) != TSP_OK)
        abort();
    return row;
}

/* start and end in ns after EPOCH_NS. */
static inline uint32_t fixture_span(tspi_span_set *set, uint32_t trace, uint64_t id, uint64_t parent, uint32_t process,
                                    int kind, int64_t start_ns, int64_t end_ns)
{
    tspi_span span = {.span_id = id,
                      .parent_id = parent,
                      .start_ns = EPOCH_NS + start_ns,
                      .end_ns = EPOCH_NS + end_ns,
                      .trace = trace,
                      .process = process,
                      .name = fixture_name(set, "op"),
                      .kind = (uint8_t)kind};
    if (tspi_span_set_add(set, &span, NULL) != TSP_OK)
        abort();
    return (uint32_t)set->spans_n - 1;
}

static inline void fixture_link(tspi_span_set *set, uint32_t from, uint32_t trace, uint64_t span_id)
{
    tspi_link_row link = {.from = from, .trace = trace, .span_id = span_id, .type = TSPI_LINK_LINK};
    if (tspi_span_set_add_link(set, &link, NULL) != TSP_OK)
        abort();
}

static inline void fixture_sequence(tspi_span_set *set, uint32_t span, int64_t number)
{
    tspi_sequence sequence = {.span = span, .number = number};
    if (tspi_span_set_add_sequence(set, &sequence, NULL) != TSP_OK)
        abort();
}

#endif
