#include "causal/clock_identity.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "causal/clock_naming.h"

/* Rows by (key, name); open addressing, names compared in full. */
typedef struct {
    tspi_clock_table *table;
    uint32_t *slots; /* owned; TSPI_NONE = free */
    size_t slots_n;
} clock_index;

static size_t slot_of(const clock_index *index, const char *key, const char *name)
{
    uint64_t hash = tspi_hash64(name, strlen(name), tspi_hash64(key, strlen(key), 0));
    size_t at = (size_t)hash & (index->slots_n - 1);

    for (;; at = (at + 1) & (index->slots_n - 1)) {
        uint32_t row = index->slots[at];
        if (row == TSPI_NONE)
            return at;
        const tspi_clock *clock = &index->table->clocks[row];
        if (!strcmp(clock->key, key) && !strcmp(clock->name, name))
            return at;
    }
}

static uint32_t intern(clock_index *index, const char *key, const char *name)
{
    tspi_clock_table *table = index->table;
    size_t at = slot_of(index, key, name);

    if (index->slots[at] != TSPI_NONE)
        return index->slots[at];
    tspi_clock *clock = &table->clocks[table->clocks_n];
    clock->key = tspi_arena_strndup(&table->arena, key, strlen(key));
    clock->name = tspi_arena_strndup(&table->arena, name, strlen(name));
    clock->processes = 0;
    if (!clock->key || !clock->name)
        return TSPI_NONE;
    return index->slots[at] = table->clocks_n++;
}

/* What people call the thing that an identity numbers; NULL where the identity is a name already. */
static const char *readable(const tspi_process *process, const char *key)
{
    if (!strcmp(key, "host.id"))
        return tspi_process_attribute(process, "host.name") ? tspi_process_attribute(process, "host.name")
                                                            : tspi_process_attribute(process, "hostname");
    if (!strcmp(key, "k8s.node.uid"))
        return tspi_process_attribute(process, "k8s.node.name");
    if (!strcmp(key, "k8s.pod.uid") || !strcmp(key, "container.id"))
        return tspi_process_attribute(process, "k8s.pod.name");
    return NULL;
}

typedef struct {
    const char *name; /* borrowed from the set; NULL = its processes do not agree on one */
    uint32_t row;
    bool seen;
} nickname;

static int by_name(const void *a, const void *b)
{
    const nickname *x = a, *y = b;

    if (!x->name || !y->name)
        return (x->name != NULL) - (y->name != NULL);
    int order = strcmp(x->name, y->name);
    return order ? order : (x->row > y->row) - (x->row < y->row);
}

/* Give numbered machines their readable names, where all processes of a clock agree on one and no other clock has it:
 * a name shared by two machines (every container called "localhost") would hide which is which. */
static tsp_status use_readable_names(const tspi_span_set *set, tspi_clock_table *table, tsp_error *err)
{
    uint32_t n = table->clocks_n;
    nickname *names = calloc((size_t)n + 1, sizeof *names);
    tsp_status rc = TSP_OK;

    if (!names)
        return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by clocks");
    for (uint32_t c = 0; c < n; c++)
        names[c].row = c;
    for (size_t p = 0; p < set->processes_n; p++) {
        nickname *own = &names[set->processes[p].clock];
        const char *name = readable(&set->processes[p], table->clocks[own->row].key);
        if (!own->seen)
            own->name = name;
        else if (own->name && (!name || strcmp(own->name, name) != 0))
            own->name = NULL;
        own->seen = true;
    }
    qsort(names, n, sizeof *names, by_name);
    for (uint32_t k = 0; k < n && rc == TSP_OK; k++) {
        bool alone = names[k].name && (!k || !names[k - 1].name || strcmp(names[k - 1].name, names[k].name) != 0) &&
                     (k + 1 == n || strcmp(names[k + 1].name, names[k].name) != 0);
        if (!alone)
            continue;
        const char *copy = tspi_arena_strndup(&table->arena, names[k].name, strlen(names[k].name));
        if (!copy)
            rc = tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by clocks");
        else
            table->clocks[names[k].row].name = copy;
    }
    free(names);
    return rc;
}

/* Names must tell clocks apart for --reference and for people: where two kinds of key gave one name, say the key. */
static tsp_status make_unique(tspi_clock_table *table, clock_index *index, tsp_error *err)
{
    for (size_t k = 0; k < index->slots_n; k++)
        index->slots[k] = TSPI_NONE;
    for (uint32_t row = 0; row < table->clocks_n; row++) {
        tspi_clock *clock = &table->clocks[row];
        char name[TSPI_CLOCK_NAME_SIZE + 64];
        snprintf(name, sizeof name, "%s", clock->name);
        for (unsigned number = 1;; number++) {
            size_t at = (size_t)tspi_hash64(name, strlen(name), 0) & (index->slots_n - 1);
            while (index->slots[at] != TSPI_NONE && strcmp(table->clocks[index->slots[at]].name, name) != 0)
                at = (at + 1) & (index->slots_n - 1);
            if (index->slots[at] == TSPI_NONE) {
                index->slots[at] = row;
                break;
            }
            if (number == 1 && strcmp(clock->key, "process") != 0)
                snprintf(name, sizeof name, "%s (%s)", clock->name, clock->key);
            else
                snprintf(name, sizeof name, "%s#%u", clock->name, number + 1);
        }
        if (strcmp(name, clock->name) != 0 && !(clock->name = tspi_arena_strndup(&table->arena, name, strlen(name))))
            return tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by clocks");
    }
    return TSP_OK;
}

static int by_final_name(const void *a, const void *b)
{
    return strcmp(((const nickname *)a)->name, ((const nickname *)b)->name);
}

/* Rows in the order of the names, so that no answer depends on the order of the input. */
static tsp_status sort_by_name(tspi_span_set *set, tspi_clock_table *table, tsp_error *err)
{
    uint32_t n = table->clocks_n;
    nickname *names = malloc(((size_t)n + 1) * sizeof *names);
    uint32_t *row_of = malloc(((size_t)n + 1) * sizeof *row_of);
    tspi_clock *sorted = malloc(((size_t)n + 1) * sizeof *sorted);
    bool ok = names && row_of && sorted;

    for (uint32_t c = 0; ok && c < n; c++)
        names[c] = (nickname){.name = table->clocks[c].name, .row = c};
    if (ok)
        qsort(names, n, sizeof *names, by_final_name);
    for (uint32_t k = 0; ok && k < n; k++) {
        sorted[k] = table->clocks[names[k].row];
        row_of[names[k].row] = k;
    }
    if (ok && n)
        memcpy(table->clocks, sorted, n * sizeof *sorted);
    for (size_t p = 0; ok && p < set->processes_n; p++)
        set->processes[p].clock = row_of[set->processes[p].clock];
    free(names);
    free(row_of);
    free(sorted);
    return ok ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by clocks");
}

/* The clock of one process; TSPI_NONE when memory is exhausted. *ret_wanted: the wanted key named it. */
static uint32_t identify_one(clock_index *index, const tspi_clock_key *wanted, const tspi_process *process, size_t row,
                             bool *ret_wanted)
{
    char name[TSPI_CLOCK_NAME_SIZE];
    const char *key;

    if (wanted->whole && tspi_clock_key_name(wanted, process, name, sizeof name)) {
        *ret_wanted = true;
        return intern(index, wanted->whole, name);
    }
    if ((key = tspi_clock_default_name(process, name, sizeof name)))
        return intern(index, key, name);
    /* Nothing but what the process calls itself: a clock of its own. The row keeps equal names apart until
     * make_unique; it is cut off again below. */
    const char *service = tspi_process_attribute(process, "service.name");
    snprintf(name, sizeof name, "%.400s\n%zu", service ? service : "unknown", row);
    return intern(index, "process", name);
}

static tsp_status no_such_key(const tspi_span_set *set, const char *key, tsp_error *err)
{
    char seen[360] = "";
    size_t len = 0;

    for (size_t p = 0; p < set->processes_n && p < 1; p++)
        for (uint32_t k = 0; k < set->processes[p].attributes_n && len < sizeof seen - 80; k++)
            len += (size_t)snprintf(seen + len, sizeof seen - len, "%s%.60s",
                                    k ? ", " : "; the first has: ", set->processes[p].attributes[k].key);
    return tsp_error_set(err, TSP_EINVAL, "no process carries the clock key '%.60s'%s", key, seen);
}

tsp_status tspi_clocks_identify(tspi_span_set *set, const char *key, tspi_clock_table *ret_table, tsp_error *err)
{
    clock_index index = {.table = ret_table};
    tspi_clock_key wanted;
    bool used = false;
    tsp_status rc = tspi_clock_key_parse(key, &wanted, err);

    if (rc != TSP_OK)
        return rc;
    index.slots_n = 16;
    while (index.slots_n < set->processes_n * 2 + 2)
        index.slots_n *= 2;
    index.slots = malloc(index.slots_n * sizeof *index.slots);
    ret_table->clocks = tspi_arena_calloc(&ret_table->arena, set->processes_n + 1, sizeof *ret_table->clocks);
    if (!index.slots || !ret_table->clocks) {
        rc = tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by clocks");
        goto out;
    }
    memset(index.slots, 0xff, index.slots_n * sizeof *index.slots);
    for (size_t row = 0; row < set->processes_n; row++) {
        uint32_t clock = identify_one(&index, &wanted, &set->processes[row], row, &used);
        if (clock == TSPI_NONE) {
            rc = tsp_error_set(err, TSP_ENOMEM, "memory is exhausted by clocks");
            goto out;
        }
        set->processes[row].clock = clock;
        ret_table->clocks[clock].processes++;
    }
    if (wanted.whole && !used && set->processes_n) {
        rc = no_such_key(set, key, err);
        goto out;
    }
    for (uint32_t row = 0; row < ret_table->clocks_n; row++) {
        char *cut = strcmp(ret_table->clocks[row].key, "process") ? NULL : strchr(ret_table->clocks[row].name, 10);
        if (cut)
            *cut = 0;
    }
    for (uint32_t row = 0; row < ret_table->clocks_n; row++)
        ret_table->clocks[row].id = ret_table->clocks[row].name;
    rc = wanted.whole ? TSP_OK : use_readable_names(set, ret_table, err);
    if (rc == TSP_OK)
        rc = make_unique(ret_table, &index, err);
    if (rc == TSP_OK)
        rc = sort_by_name(set, ret_table, err);
out:
    free(index.slots);
    return rc;
}

void tspi_clock_table_release(tspi_clock_table *table)
{
    if (!table)
        return;
    tspi_arena_release(&table->arena);
    memset(table, 0, sizeof *table);
}

uint32_t tspi_clock_find(const tspi_clock_table *table, const char *name)
{
    for (uint32_t row = 0; row < table->clocks_n; row++)
        if (!strcmp(table->clocks[row].name, name))
            return row;
    for (uint32_t row = 0; row < table->clocks_n; row++)
        if (!strcmp(table->clocks[row].id, name))
            return row;
    return TSPI_NONE;
}

tsp_status tspi_clock_find_wanted(const tspi_clock_table *table, const char *name, uint32_t *ret_row, tsp_error *err)
{
    char some[300] = "";
    size_t len = 0;

    *ret_row = name ? tspi_clock_find(table, name) : TSPI_NONE;
    if (!name || *ret_row != TSPI_NONE)
        return TSP_OK;
    for (uint32_t c = 0; c < table->clocks_n && len < sizeof some - 80; c++)
        len += (size_t)snprintf(some + len, sizeof some - len, "%s%.60s", c ? ", " : "", table->clocks[c].name);
    return tsp_error_set(err, TSP_EINVAL, "there is no clock '%.60s'; there are: %s", name, some);
}
