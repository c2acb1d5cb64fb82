#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "span/span_set.h"

/* Where the rows of a part went in the set that took them. */
struct row_map {
    uint32_t *traces, *processes, *names; /* owned, a row each */
    uint32_t first_span;
};

static uint32_t *map_new(size_t n)
{
    return malloc((n ? n : 1) * sizeof(uint32_t));
}

tsp_status tspi_span_set_copy_process(tspi_span_set *set, const tspi_process *process, uint32_t *ret_row,
                                      tsp_error *err)
{
    size_t n = process->attributes_n;
    tspi_attribute_text *texts = malloc((n ? n : 1) * sizeof *texts);

    if (!texts)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by processes");
    for (size_t k = 0; k < n; k++) {
        const tspi_attribute *a = &process->attributes[k];
        texts[k] = (tspi_attribute_text){{a->key, strlen(a->key)}, {a->value, strlen(a->value)}};
    }
    tsp_status rc = tspi_span_set_process(set, texts, n, ret_row, err);
    free(texts);
    return rc;
}

static tsp_status map_tables(tspi_span_set *set, const tspi_span_set *part, struct row_map *map, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (size_t k = 0; k < part->traces_n && rc == TSP_OK; k++)
        rc = tspi_span_set_trace(set, part->traces[k], &map->traces[k], err);
    for (size_t k = 0; k < part->names_n && rc == TSP_OK; k++)
        rc = tspi_span_set_name(set, part->names[k], strlen(part->names[k]), &map->names[k], err);
    for (size_t k = 0; k < part->processes_n && rc == TSP_OK; k++)
        rc = tspi_span_set_copy_process(set, &part->processes[k], &map->processes[k], err);
    return rc;
}

static tsp_status append_rows(tspi_span_set *set, const tspi_span_set *part, const struct row_map *map, tsp_error *err)
{
    tsp_status rc = tspi_span_set_reserve(set, part->spans_n, err);

    if (rc != TSP_OK)
        return rc;
    for (size_t k = 0; k < part->spans_n; k++) {
        tspi_span row = part->spans[k];
        row.trace = map->traces[row.trace];
        row.process = map->processes[row.process];
        row.name = map->names[row.name];
        set->spans[set->spans_n++] = row;
    }
    for (size_t k = 0; k < part->links_n && rc == TSP_OK; k++) {
        tspi_link_row row = part->links[k];
        row.from += map->first_span;
        row.trace = map->traces[row.trace];
        rc = tspi_span_set_add_link(set, &row, err);
    }
    for (size_t k = 0; k < part->sequences_n && rc == TSP_OK; k++) {
        tspi_sequence row = part->sequences[k];
        row.span += map->first_span;
        rc = tspi_span_set_add_sequence(set, &row, err);
    }
    for (size_t k = 0; k < part->events_n && rc == TSP_OK; k++) {
        tspi_event row = part->events[k];
        row.span += map->first_span;
        rc = tspi_span_set_add_event(set, &row, err);
    }
    return rc;
}

tsp_status tspi_span_set_append(tspi_span_set *set, const tspi_span_set *part, tsp_error *err)
{
    struct row_map map = {map_new(part->traces_n), map_new(part->processes_n), map_new(part->names_n),
                          (uint32_t)set->spans_n};
    tsp_status rc = TSP_ENOMEM;

    if (map.traces && map.processes && map.names)
        rc = map_tables(set, part, &map, err);
    else
        tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by row numbers");
    if (rc == TSP_OK)
        rc = append_rows(set, part, &map, err);
    free(map.traces);
    free(map.processes);
    free(map.names);
    return rc;
}

static uint64_t half_hash(const tspi_span *span)
{
    return tspi_hash_mix(span->span_id + span->trace * UINT64_C(0x9e3779b97f4a7c15));
}

/* A table of the CLIENT rows by (trace, id), then one look-up a SERVER row. */
tsp_status tspi_span_set_mark_shared(tspi_span_set *set, size_t first, tsp_error *err)
{
    size_t clients = 0, n = 64;

    for (size_t k = first; k < set->spans_n; k++)
        clients += set->spans[k].kind == TSPI_KIND_CLIENT && set->spans[k].span_id;
    if (!clients)
        return TSP_OK;
    while (n < clients * 2)
        n *= 2;
    uint32_t *slots = calloc(n, sizeof *slots); /* row + 1 */
    if (!slots)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by shared spans");
    for (int pass = 0; pass < 2; pass++)
        for (size_t k = first; k < set->spans_n; k++) {
            tspi_span *span = &set->spans[k];
            if (!span->span_id || span->kind != (pass ? TSPI_KIND_SERVER : TSPI_KIND_CLIENT))
                continue;
            size_t at = half_hash(span) & (n - 1);
            const tspi_span *other = NULL;
            for (; slots[at] && !other; at = (at + 1) & (n - 1)) {
                const tspi_span *have = &set->spans[slots[at] - 1];
                if (have->span_id == span->span_id && have->trace == span->trace)
                    other = have;
            }
            if (pass && other)
                span->flags |= TSPI_SPAN_SHARED;
            else if (!pass && !other)
                slots[at] = (uint32_t)k + 1;
        }
    free(slots);
    return TSP_OK;
}
