#include "span/span_split.h"

#include <string.h>

#include "base/big.h"

/* New row numbers on either side, TSPI_NONE where a row has none yet. */
struct split {
    const tspi_span_set *set;
    const uint8_t *leave;
    tspi_span_set *gone, *kept;
    uint32_t *spans, *gone_traces, *kept_traces, *names; /* owned */
};

static uint32_t *numbers_new(size_t n)
{
    uint32_t *numbers = tspi_big_calloc(n + 1, sizeof *numbers);

    if (numbers)
        memset(numbers, 0xff, (n + 1) * sizeof *numbers);
    return numbers;
}

/* A trace's row on one side. What has gone is never looked up by its id again, so it needs no index. */
static tsp_status trace_row(struct split *s, bool goes, uint32_t trace, uint32_t *ret_row, tsp_error *err)
{
    uint32_t *row = goes ? &s->gone_traces[trace] : &s->kept_traces[trace];
    tsp_status rc = TSP_OK;

    if (*row == TSPI_NONE && goes)
        rc = tspi_span_set_push_trace(s->gone, s->set->traces[trace], row, err);
    else if (*row == TSPI_NONE)
        rc = tspi_span_set_trace(s->kept, s->set->traces[trace], row, err);
    *ret_row = *row;
    return rc;
}

static tsp_status move_span(struct split *s, size_t k, tsp_error *err)
{
    tspi_span row = s->set->spans[k];
    bool goes = s->leave[row.trace];
    tspi_span_set *to = goes ? s->gone : s->kept;
    tsp_status rc = trace_row(s, goes, row.trace, &row.trace, err);

    if (rc == TSP_OK && !goes && s->names[row.name] == TSPI_NONE) {
        const char *name = s->set->names[row.name];
        rc = tspi_span_set_name(s->kept, name, strlen(name), &s->names[row.name], err);
    }
    if (!goes)
        row.name = s->names[row.name];
    if (rc == TSP_OK)
        rc = tspi_span_set_add(to, &row, err);
    s->spans[k] = (uint32_t)to->spans_n - 1;
    return rc;
}

static bool span_goes(const struct split *s, uint32_t span)
{
    return s->leave[s->set->spans[span].trace];
}

static tsp_status move_details(struct split *s, tsp_error *err)
{
    const tspi_span_set *set = s->set;
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < set->links_n && rc == TSP_OK; k++) {
        tspi_link_row row = set->links[k];
        bool goes = span_goes(s, row.from);
        row.from = s->spans[row.from];
        rc = trace_row(s, goes, row.trace, &row.trace, err);
        if (rc == TSP_OK)
            rc = tspi_span_set_add_link(goes ? s->gone : s->kept, &row, err);
    }
    for (size_t k = 0; k < set->sequences_n && rc == TSP_OK; k++) {
        tspi_sequence row = set->sequences[k];
        bool goes = span_goes(s, row.span);
        row.span = s->spans[row.span];
        rc = tspi_span_set_add_sequence(goes ? s->gone : s->kept, &row, err);
    }
    for (size_t k = 0; k < set->events_n && rc == TSP_OK; k++) {
        tspi_event row = set->events[k];
        bool goes = span_goes(s, row.span);
        row.span = s->spans[row.span];
        rc = tspi_span_set_add_event(goes ? s->gone : s->kept, &row, err);
    }
    return rc;
}

tsp_status tspi_span_set_split(tspi_span_set *set, const uint8_t *leave, tspi_span_set *ret_gone, tsp_error *err)
{
    tspi_span_set kept = {.files = set->files, .bytes = set->bytes};
    struct split s = {set,
                      leave,
                      ret_gone,
                      &kept,
                      numbers_new(set->spans_n),
                      numbers_new(set->traces_n),
                      numbers_new(set->traces_n),
                      numbers_new(set->names_n)};
    tsp_status rc = TSP_ENOMEM;

    *ret_gone = (tspi_span_set){0};
    if (s.spans && s.gone_traces && s.kept_traces && s.names)
        rc = TSP_OK;
    else
        tsp_error_set(err, TSP_ENOMEM, "memory is exhausted putting traces aside");
    for (size_t k = 0; k < set->processes_n && rc == TSP_OK; k++) {
        uint32_t row;
        rc = tspi_span_set_copy_process(&kept, &set->processes[k], &row, err);
        kept.processes[row].clock = set->processes[k].clock;
    }
    for (size_t k = 0; k < set->spans_n && rc == TSP_OK; k++)
        rc = move_span(&s, k, err);
    if (rc == TSP_OK)
        rc = move_details(&s, err);
    tspi_big_free(s.spans, (set->spans_n + 1) * sizeof *s.spans);
    tspi_big_free(s.gone_traces, (set->traces_n + 1) * sizeof *s.gone_traces);
    tspi_big_free(s.kept_traces, (set->traces_n + 1) * sizeof *s.kept_traces);
    tspi_big_free(s.names, (set->names_n + 1) * sizeof *s.names);
    if (rc != TSP_OK) {
        tspi_span_set_release(&kept);
        tspi_span_set_release(ret_gone);
        return rc;
    }
    tspi_span_set_release(set);
    *set = kept;
    return TSP_OK;
}
