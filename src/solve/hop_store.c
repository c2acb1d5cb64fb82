#include "solve/hop_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "solve/parallel.h"

void tspi_hop_store_release(tspi_hop_store *hops)
{
    free(hops->hops);
    free(hops->same_clock);
    free(hops->lies);
    free(hops->edges);
    memset(hops, 0, sizeof *hops);
}

bool tspi_hop_store_reserve(tspi_hop_store *hops, size_t extra)
{
    size_t cap = hops->cap ? hops->cap : 1024;
    tspi_stored_hop *grown;

    if (extra > UINT32_MAX - hops->n - 1) /* indices are 32 bits */
        return false;
    while (cap < hops->n + extra)
        cap += cap / 2;
    if (cap == hops->cap)
        return true;
    grown = realloc(hops->hops, cap * sizeof *grown);
    if (!grown)
        return false;
    hops->hops = grown;
    hops->cap = cap;
    return true;
}

/* Open addressing; an empty row has calls == 0. */
static tspi_lies *lies_slot(tspi_lies *table, size_t cap, uint32_t operation)
{
    size_t k = tspi_hash_mix(operation + 1) & (cap - 1);

    while (table[k].calls && table[k].operation != operation)
        k = (k + 1) & (cap - 1);
    return &table[k];
}

static bool lies_grow(tspi_hop_store *hops)
{
    size_t cap = hops->lies_cap ? 2 * hops->lies_cap : 64;
    tspi_lies *table = calloc(cap, sizeof *table);

    if (!table)
        return false;
    for (size_t k = 0; k < hops->lies_cap; k++)
        if (hops->lies[k].calls)
            *lies_slot(table, cap, hops->lies[k].operation) = hops->lies[k];
    free(hops->lies);
    hops->lies = table;
    hops->lies_cap = cap;
    return true;
}

bool tspi_hop_store_add_same_clock(tspi_hop_store *hops, uint32_t index, uint32_t operation, bool soft, bool lied)
{
    if (hops->same_clock_n == hops->same_clock_cap) {
        size_t cap = hops->same_clock_cap ? 2 * hops->same_clock_cap : 256;
        uint32_t *grown = realloc(hops->same_clock, cap * sizeof *grown);
        if (!grown)
            return false;
        hops->same_clock = grown;
        hops->same_clock_cap = cap;
    }
    hops->same_clock[hops->same_clock_n++] = index;
    if (!soft)
        return true;
    if (2 * (hops->lies_n + 1) > hops->lies_cap && !lies_grow(hops))
        return false;
    tspi_lies *row = lies_slot(hops->lies, hops->lies_cap, operation);
    if (!row->calls) {
        row->operation = operation;
        hops->lies_n++;
    }
    row->calls += row->calls < UINT32_MAX;
    row->lies += lied && row->lies < UINT32_MAX;
    return true;
}

const tspi_lies *tspi_hop_store_lies(const tspi_hop_store *hops, uint32_t operation)
{
    if (!hops->lies_cap)
        return NULL;
    const tspi_lies *row = lies_slot(hops->lies, hops->lies_cap, operation);
    return row->calls ? row : NULL;
}

static int by_sent(const void *a_, const void *b_)
{
    const tspi_stored_hop *a = a_, *b = b_;

    if (a->sent != b->sent)
        return a->sent < b->sent ? -1 : 1;
    if (a->received != b->received)
        return a->received < b->received ? -1 : 1;
    if ((a->flags ^ b->flags) & TSPI_STORED_SOFT)
        return a->flags & TSPI_STORED_SOFT ? 1 : -1;
    if (a->tag != b->tag)
        return a->tag < b->tag ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

typedef struct {
    uint64_t pair; /* from << 32 | to */
    size_t n;
} edge_count;

static int by_pair(const void *a, const void *b)
{
    uint64_t x = ((const edge_count *)a)->pair, y = ((const edge_count *)b)->pair;

    return x < y ? -1 : x > y;
}

static edge_count *pair_slot(edge_count *table, size_t cap, uint64_t pair)
{
    size_t k = tspi_hash_mix(pair) & (cap - 1);

    while (table[k].n && table[k].pair != pair)
        k = (k + 1) & (cap - 1);
    return &table[k];
}

/* The distinct pairs with their counts, as a hash table of *ret_cap slots. */
static edge_count *count_pairs(const tspi_hop_store *hops, size_t *ret_cap, size_t *ret_n)
{
    size_t cap = 1024, n = 0;
    edge_count *table = calloc(cap, sizeof *table);

    for (size_t k = 0; table && k < hops->n; k++) {
        uint64_t pair = (uint64_t)hops->hops[k].from << 32 | hops->hops[k].to;
        edge_count *slot = pair_slot(table, cap, pair);
        if (slot->n++)
            continue;
        slot->pair = pair;
        if (2 * ++n <= cap)
            continue;
        edge_count *wider = calloc(2 * cap, sizeof *wider);
        if (!wider) {
            free(table);
            return NULL;
        }
        for (size_t q = 0; q < cap; q++)
            if (table[q].n)
                *pair_slot(wider, 2 * cap, table[q].pair) = table[q];
        free(table);
        table = wider;
        cap *= 2;
    }
    *ret_cap = cap;
    *ret_n = n;
    return table;
}

static void sort_edge(tspi_stored_hop *hops, size_t n)
{
    bool in_order = true;

    for (size_t k = 1; k < n && in_order; k++)
        in_order = by_sent(&hops[k - 1], &hops[k]) <= 0;
    if (!in_order)
        qsort(hops, n, sizeof *hops, by_sent);
}

typedef struct {
    tspi_stored_hop *hops;
    const tspi_stored_edge *edges;
} sorting;

static bool sort_one(void *sorting_, size_t e, unsigned worker)
{
    const sorting *s = sorting_;

    (void)worker;
    sort_edge(s->hops + s->edges[e].first, s->edges[e].n);
    return true;
}

bool tspi_hop_store_sort(tspi_hop_store *hops)
{
    size_t cap = 0, n = 0, at = 0;
    edge_count *table = NULL, *list = NULL;
    tspi_stored_hop *sorted = NULL;
    bool ok = false;

    if (hops->sorted)
        return true;
    table = count_pairs(hops, &cap, &n);
    list = malloc((n + 1) * sizeof *list);
    free(hops->edges);
    hops->edges = calloc(n + 1, sizeof *hops->edges);
    sorted = malloc((hops->n + 1) * sizeof *sorted);
    if (!table || !list || !hops->edges || !sorted)
        goto out;
    for (size_t k = 0; k < cap; k++)
        if (table[k].n)
            list[at++] = table[k];
    qsort(list, n, sizeof *list, by_pair);
    at = 0;
    for (size_t e = 0; e < n; e++) {
        hops->edges[e] = (tspi_stored_edge){(uint32_t)(list[e].pair >> 32), (uint32_t)list[e].pair, at, list[e].n};
        at += list[e].n;
        pair_slot(table, cap, list[e].pair)->n = e + 1; /* from a count to a name */
    }
    for (size_t e = 0; e < n; e++)
        hops->edges[e].n = 0;
    for (size_t k = 0; k < hops->n; k++) {
        const tspi_stored_hop *hop = &hops->hops[k];
        tspi_stored_edge *edge = &hops->edges[pair_slot(table, cap, (uint64_t)hop->from << 32 | hop->to)->n - 1];
        sorted[edge->first + edge->n++] = *hop;
    }
    sorting each = {sorted, hops->edges};
    tspi_parallel(hops->threads, n, sort_one, &each);
    free(hops->hops);
    hops->hops = sorted;
    hops->cap = hops->n + 1;
    sorted = NULL;
    hops->edges_n = n;
    hops->sorted = true;
    ok = true;
out:
    free(sorted);
    free(list);
    free(table);
    return ok;
}
