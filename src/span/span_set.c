#include "span/span_set.h"

#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/hash.h"

/* An open-addressing table of row numbers. A slot keeps 32 bits of the row's hash beside the row, so that growing it
 * and passing over other rows touch nothing else. */
struct slot {
    uint32_t row; /* plus 1; 0 = free */
    uint32_t tag;
};

struct table {
    struct slot *slots; /* owned */
    size_t mask;        /* slots - 1, a power of two minus 1; 0 = no slots yet */
    size_t used;
};

struct tspi_span_index {
    struct table traces, names, processes;
    uint64_t seed; /* random, so that no input can be made to collide */
    bool keep_apart;
};

/* Growth by half keeps address space small. */
static void *grow(void *array, size_t *cap, size_t want, size_t size)
{
    size_t next = *cap + *cap / 2;

    if (next < want)
        next = want;
    if (next < 64)
        next = 64;
    if (next > SIZE_MAX / 2 / size)
        return NULL;
    void *bigger = tspi_big_resize(array, *cap * size, next * size);
    if (bigger)
        *cap = next;
    return bigger;
}

static tsp_status no_memory(tsp_error *err, const char *what)
{
    return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by %s", what);
}

/* Make room for extra more rows of an array; at most 2^32 - 2 in all, since row numbers are 32 bits and the last means
 * none. */
#define RESERVE(set, array, extra, err)                                                                                \
    reserve((void **)&(set)->array, &(set)->array##_cap, (set)->array##_n, extra, sizeof *(set)->array, #array, err)

static tsp_status reserve(void **array, size_t *cap, size_t n, size_t extra, size_t size, const char *what,
                          tsp_error *err)
{
    if (extra <= *cap - n)
        return TSP_OK;
    if (extra > TSPI_NONE - 1 - n)
        return tsp_error_set(err, TSP_ERANGE, "more than %u %s", TSPI_NONE - 1, what);
    void *bigger = grow(*array, cap, n + extra, size);
    if (!bigger)
        return no_memory(err, what);
    *array = bigger;
    return TSP_OK;
}

static tspi_span_index *index_of(tspi_span_set *set)
{
    if (!set->index) {
        set->index = calloc(1, sizeof *set->index);
        if (set->index)
            set->index->seed = tspi_hash_seed();
    }
    return set->index;
}

static void table_free(struct table *table)
{
    tspi_big_free(table->slots, table->mask ? (table->mask + 1) * sizeof *table->slots : 0);
}

/* Keep the table at most 3/4 full with one more row. */
static bool table_room(struct table *table)
{
    size_t old_n = table->mask ? table->mask + 1 : 0, n = old_n ? old_n * 2 : 64;

    if (old_n && (table->used + 1) * 4 <= old_n * 3)
        return true;
    struct slot *slots = tspi_big_calloc(n, sizeof *slots);
    if (!slots)
        return false;
    for (size_t k = 0; k < old_n; k++) {
        if (!table->slots[k].row)
            continue;
        size_t at = table->slots[k].tag & (n - 1);
        while (slots[at].row)
            at = (at + 1) & (n - 1);
        slots[at] = table->slots[k];
    }
    table_free(table);
    table->slots = slots;
    table->mask = n - 1;
    return true;
}

static void table_put(struct table *table, size_t at, uint32_t tag, size_t row)
{
    table->slots[at] = (struct slot){(uint32_t)row + 1, tag};
    table->used++;
}

void tspi_span_set_release(tspi_span_set *set)
{
    if (!set)
        return;
#define FREE(array) tspi_big_free(set->array, set->array##_cap * sizeof *set->array)
    FREE(spans);
    FREE(traces);
    FREE(processes);
    FREE(names);
    FREE(links);
    FREE(sequences);
    FREE(events);
#undef FREE
    if (set->index) {
        table_free(&set->index->traces);
        table_free(&set->index->names);
        table_free(&set->index->processes);
        free(set->index);
    }
    tspi_arena_release(&set->arena);
    *set = (tspi_span_set){0};
}

static void trim(void **array, size_t *cap, size_t n, size_t size)
{
    void *smaller = n && n < *cap ? tspi_big_resize(*array, *cap * size, n * size) : NULL;

    if (smaller) {
        *array = smaller;
        *cap = n;
    }
}

void tspi_span_set_trim(tspi_span_set *set)
{
#define TRIM(array) trim((void **)&set->array, &set->array##_cap, set->array##_n, sizeof *set->array)
    TRIM(spans);
    TRIM(traces);
    TRIM(processes);
    TRIM(names);
    TRIM(links);
    TRIM(sequences);
    TRIM(events);
#undef TRIM
}

/* The table is keyed by the low half alone, so that both lengths of an id meet in it. */
tsp_status tspi_span_set_trace(tspi_span_set *set, tspi_trace_id id, uint32_t *ret_row, tsp_error *err)
{
    tspi_span_index *index = set->index;

    if (!index || (index->traces.used + 1) * 4 > (index->traces.mask + 1) * 3) {
        index = index_of(set);
        if (!index || !table_room(&index->traces))
            return no_memory(err, "traces");
    }
    uint32_t tag = (uint32_t)tspi_hash_mix(id.lo ^ index->seed);
    struct table *table = &index->traces;
    size_t at = tag & table->mask;
    uint32_t shorter = TSPI_NONE;
    for (; table->slots[at].row; at = (at + 1) & table->mask) {
        uint32_t row = table->slots[at].row - 1;
        if (table->slots[at].tag != tag || set->traces[row].lo != id.lo)
            continue;
        if (set->traces[row].hi == id.hi || (!id.hi && !index->keep_apart)) {
            *ret_row = row;
            return TSP_OK;
        }
        if (!set->traces[row].hi && !index->keep_apart)
            shorter = row;
    }
    if (shorter != TSPI_NONE) {
        set->traces[shorter].hi = id.hi;
        *ret_row = shorter;
        return TSP_OK;
    }
    tsp_status rc = RESERVE(set, traces, 1, err);
    if (rc != TSP_OK)
        return rc;
    *ret_row = (uint32_t)set->traces_n;
    table_put(table, at, tag, set->traces_n);
    set->traces[set->traces_n++] = id;
    return TSP_OK;
}

tsp_status tspi_span_set_name(tspi_span_set *set, const char *text, size_t len, uint32_t *ret_row, tsp_error *err)
{
    tspi_span_index *index = index_of(set);

    /* Names are C strings: what follows a NUL would be lost anyway, so it does not make another name. */
    const char *nul = len ? memchr(text, 0, len) : NULL;
    if (nul)
        len = (size_t)(nul - text);
    if (!len)
        text = "";
    if (!index || !table_room(&index->names))
        return no_memory(err, "names");
    uint32_t tag = (uint32_t)tspi_hash64(text, len, index->seed);
    struct table *table = &index->names;
    size_t at = tag & table->mask;
    for (; table->slots[at].row; at = (at + 1) & table->mask) {
        const char *name = set->names[table->slots[at].row - 1];
        if (table->slots[at].tag == tag && !strncmp(name, text, len) && !name[len]) {
            *ret_row = table->slots[at].row - 1;
            return TSP_OK;
        }
    }
    tsp_status rc = RESERVE(set, names, 1, err);
    if (rc != TSP_OK)
        return rc;
    const char *copy = tspi_arena_strndup(&set->arena, text, len);
    if (!copy)
        return no_memory(err, "names");
    *ret_row = (uint32_t)set->names_n;
    table_put(table, at, tag, set->names_n);
    set->names[set->names_n++] = copy;
    return TSP_OK;
}

static int compare_text(tspi_text a, tspi_text b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.text, b.text, n) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static tspi_text until_nul(tspi_text text)
{
    const char *nul = text.len ? memchr(text.text, 0, text.len) : NULL;

    return (tspi_text){text.len ? text.text : "", nul ? (size_t)(nul - text.text) : text.len};
}

/* For sorting by key with ties by position: qsort promises no stability, and the last of equal keys counts. */
struct ranked {
    tspi_attribute_text attribute;
    size_t rank;
};

static int compare_ranked(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    int order = compare_text(a->attribute.key, b->attribute.key);

    return order ? order : (a->rank > b->rank) - (a->rank < b->rank);
}

static tsp_status sort_attributes(tspi_attribute_text *attributes, size_t *n, tsp_error *err)
{
    struct ranked *ranked = malloc((*n ? *n : 1) * sizeof *ranked);
    size_t kept = 0;

    if (!ranked)
        return no_memory(err, "a process's attributes");
    for (size_t k = 0; k < *n; k++)
        ranked[k] = (struct ranked){{until_nul(attributes[k].key), until_nul(attributes[k].value)}, k};
    qsort(ranked, *n, sizeof *ranked, compare_ranked);
    for (size_t k = 0; k < *n; k++) {
        if (kept && !compare_text(attributes[kept - 1].key, ranked[k].attribute.key))
            kept--;
        attributes[kept++] = ranked[k].attribute;
    }
    *n = kept;
    free(ranked);
    return TSP_OK;
}

static bool same_attributes(const tspi_process *process, const tspi_attribute_text *attributes, size_t n)
{
    if (process->attributes_n != n)
        return false;
    for (size_t k = 0; k < n; k++) {
        const tspi_attribute *have = &process->attributes[k];
        const tspi_attribute_text *want = &attributes[k];
        if (strncmp(have->key, want->key.text, want->key.len) || have->key[want->key.len] ||
            strncmp(have->value, want->value.text, want->value.len) || have->value[want->value.len])
            return false;
    }
    return true;
}

static tspi_attribute *copy_attributes(tspi_arena *arena, const tspi_attribute_text *attributes, size_t n)
{
    tspi_attribute *copy = tspi_arena_calloc(arena, n, sizeof *copy);

    for (size_t k = 0; copy && k < n; k++) {
        copy[k].key = tspi_arena_strndup(arena, attributes[k].key.text, attributes[k].key.len);
        copy[k].value = tspi_arena_strndup(arena, attributes[k].value.text, attributes[k].value.len);
        if (!copy[k].key || !copy[k].value)
            return NULL;
    }
    return copy;
}

tsp_status tspi_span_set_process(tspi_span_set *set, tspi_attribute_text *attributes, size_t n, uint32_t *ret_row,
                                 tsp_error *err)
{
    tspi_span_index *index = index_of(set);
    tsp_status rc = sort_attributes(attributes, &n, err);

    if (rc != TSP_OK)
        return rc;
    if (!index || !table_room(&index->processes) || n > UINT32_MAX)
        return no_memory(err, "processes");
    uint64_t hash = index->seed;
    for (size_t k = 0; k < n; k++) {
        hash = tspi_hash64(attributes[k].key.text, attributes[k].key.len, hash);
        hash = tspi_hash64(attributes[k].value.text, attributes[k].value.len, hash);
    }
    uint32_t tag = (uint32_t)hash;
    struct table *table = &index->processes;
    size_t at = tag & table->mask;
    for (; table->slots[at].row; at = (at + 1) & table->mask)
        if (table->slots[at].tag == tag && same_attributes(&set->processes[table->slots[at].row - 1], attributes, n)) {
            *ret_row = table->slots[at].row - 1;
            return TSP_OK;
        }
    rc = RESERVE(set, processes, 1, err);
    if (rc != TSP_OK)
        return rc;
    const tspi_attribute *copy = copy_attributes(&set->arena, attributes, n);
    if (!copy)
        return no_memory(err, "processes");
    *ret_row = (uint32_t)set->processes_n;
    table_put(table, at, tag, set->processes_n);
    set->processes[set->processes_n++] = (tspi_process){copy, (uint32_t)n, TSPI_NONE, 0};
    return TSP_OK;
}

const char *tspi_process_get(const tspi_process *process, const char *key)
{
    size_t lo = 0, hi = process->attributes_n;

    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        int order = strcmp(process->attributes[middle].key, key);
        if (!order)
            return process->attributes[middle].value;
        if (order < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    return NULL;
}

tsp_status tspi_span_set_reserve(tspi_span_set *set, size_t extra, tsp_error *err)
{
    return RESERVE(set, spans, extra, err);
}

#define ADD(name, type, array)                                                                                         \
    tsp_status name(tspi_span_set *set, const type *row, tsp_error *err)                                               \
    {                                                                                                                  \
        tsp_status rc = RESERVE(set, array, 1, err);                                                                   \
        if (rc == TSP_OK)                                                                                              \
            set->array[set->array##_n++] = *row;                                                                       \
        return rc;                                                                                                     \
    }

ADD(tspi_span_set_add, tspi_span, spans)
ADD(tspi_span_set_add_link, tspi_link_row, links)
ADD(tspi_span_set_add_sequence, tspi_sequence, sequences)
ADD(tspi_span_set_add_event, tspi_event, events)

tsp_status tspi_span_set_keep_apart(tspi_span_set *set, tsp_error *err)
{
    tspi_span_index *index = index_of(set);

    if (!index)
        return no_memory(err, "traces");
    index->keep_apart = true;
    return TSP_OK;
}

tsp_status tspi_span_set_push_trace(tspi_span_set *set, tspi_trace_id id, uint32_t *ret_row, tsp_error *err)
{
    tsp_status rc = RESERVE(set, traces, 1, err);

    if (rc != TSP_OK)
        return rc;
    *ret_row = (uint32_t)set->traces_n;
    set->traces[set->traces_n++] = id;
    return TSP_OK;
}
