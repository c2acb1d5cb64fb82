#include "solve/hop_store.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "base/hash.h"
#include "solve/parallel.h"
#include "solve/room.h"

void tspi_hop_store_release(tspi_hop_store *hops)
{
    tspi_room_give(hops->hops, hops->cap, sizeof *hops->hops);
    free(hops->same_clock);
    free(hops->lies);
    free(hops->edges);
    memset(hops, 0, sizeof *hops);
}

void tspi_hop_store_gather(tspi_hop_store *hops)
{
    if (!hops->aside_n)
        return;
    hops->n += hops->aside_n;
    hops->aside_n = 0;
    hops->sorted = false;
}

bool tspi_hop_store_reserve(tspi_hop_store *hops, size_t extra)
{
    size_t cap = hops->cap ? hops->cap : 1024;
    tspi_stored_hop *grown;

    tspi_hop_store_gather(hops);
    if (extra > UINT32_MAX - hops->n - 1) /* indices are 32 bits */
        return false;
    while (cap < hops->n + extra)
        cap += cap / 2;
    if (cap == hops->cap)
        return true;
    grown = tspi_room_grow(hops->hops, hops->cap, cap, sizeof *grown);
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
    uint32_t *same_clock = tspi_grown(hops->same_clock, hops->same_clock_n, &hops->same_clock_cap, sizeof *same_clock);

    if (!same_clock)
        return false;
    hops->same_clock = same_clock;
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

/* The order within an edge: total, so that the order of adding shows nowhere. */
static inline bool is_before(const tspi_stored_hop *a, const tspi_stored_hop *b)
{
    if (a->sent != b->sent)
        return a->sent < b->sent;
    if (a->received != b->received)
        return a->received < b->received;
    if ((a->flags ^ b->flags) & TSPI_STORED_SOFT)
        return b->flags & TSPI_STORED_SOFT;
    return a->tag != b->tag ? a->tag < b->tag : a->index < b->index;
}

static void insertion_sort(tspi_stored_hop *hops, size_t n)
{
    for (size_t k = 1; k < n; k++) {
        if (!is_before(&hops[k], &hops[k - 1]))
            continue;
        tspi_stored_hop hop = hops[k];
        size_t q = k;
        do
            hops[q] = hops[q - 1];
        while (--q > 0 && is_before(&hop, &hops[q - 1]));
        hops[q] = hop;
    }
}

/* Merge sort that only moves what is out of place: hops come in about the order of time, or in a few such runs.
 * scratch: room for n / 2. */
static void merge_sort(tspi_stored_hop *hops, size_t n, tspi_stored_hop *scratch)
{
    size_t middle = n / 2, lo = 0, hi = middle, left, at, k = 0;

    if (n <= 24) {
        insertion_sort(hops, n);
        return;
    }
    merge_sort(hops, middle, scratch);
    merge_sort(hops + middle, n - middle, scratch);
    if (!is_before(&hops[middle], &hops[middle - 1]))
        return;
    while (lo < hi) { /* what comes before all of the right half stays */
        size_t mid = lo + (hi - lo) / 2;
        if (is_before(&hops[middle], &hops[mid]))
            hi = mid;
        else
            lo = mid + 1;
    }
    left = middle - lo;
    memcpy(scratch, hops + lo, left * sizeof *hops);
    for (at = lo, hi = middle; k < left; at++)
        hops[at] = hi < n && is_before(&hops[hi], &scratch[k]) ? hops[hi++] : scratch[k++];
}

static bool sort_edge(tspi_stored_hop *hops, size_t n)
{
    size_t k = 1;

    while (k < n && !is_before(&hops[k], &hops[k - 1]))
        k++;
    if (k >= n)
        return true;
    tspi_stored_hop *scratch = malloc((n / 2 + 1) * sizeof *scratch);
    if (scratch)
        merge_sort(hops, n, scratch);
    free(scratch);
    return scratch != NULL;
}

/* A part of the hops in the order of adding, and the pairs of clocks met there; a thread takes one. */
typedef struct {
    size_t first, end;
    uint64_t *pairs; /* owned: from << 32 | to, in the order of first sight */
    size_t *counts;  /* owned: hops of each, then where the next of them goes */
    uint32_t *names; /* owned: hash table of positions in pairs, + 1 */
    size_t n, cap;   /* cap: of names; half of it holds pairs */
    size_t soft_n;
} slice;

typedef struct {
    tspi_hop_store *hops;
    tspi_stored_hop *sorted;
    uint32_t *pair_of; /* of a row: position in its slice's pairs */
    slice *slices;
} sorting;

static uint64_t pair_of(const tspi_stored_hop *hop)
{
    return (uint64_t)hop->from << 32 | hop->to;
}

static uint32_t *name_slot(const slice *s, uint64_t pair)
{
    size_t k = tspi_hash_mix(pair) & (s->cap - 1);

    while (s->names[k] && s->pairs[s->names[k] - 1] != pair)
        k = (k + 1) & (s->cap - 1);
    return &s->names[k];
}

static bool slice_grow(slice *s)
{
    size_t cap = s->cap ? 2 * s->cap : 1024;
    uint64_t *pairs = realloc(s->pairs, cap / 2 * sizeof *pairs);
    size_t *counts;

    if (!pairs)
        return false;
    s->pairs = pairs;
    counts = realloc(s->counts, cap / 2 * sizeof *counts);
    if (!counts)
        return false;
    s->counts = counts;
    free(s->names);
    s->names = calloc(cap, sizeof *s->names);
    if (!s->names)
        return false;
    s->cap = cap;
    for (size_t k = 0; k < s->n; k++)
        *name_slot(s, s->pairs[k]) = (uint32_t)k + 1;
    return true;
}

static bool count_slice(void *sorting_, size_t number, unsigned worker)
{
    const sorting *all = sorting_;
    slice *s = &all->slices[number];
    const tspi_stored_hop *hops = all->hops->hops;

    (void)worker;
    for (size_t row = s->first; row < s->end; row++) {
        if (2 * s->n >= s->cap && !slice_grow(s))
            return false;
        uint64_t pair = pair_of(&hops[row]);
        uint32_t *slot = name_slot(s, pair);
        if (!*slot) {
            s->pairs[s->n] = pair;
            s->counts[s->n] = 0;
            *slot = (uint32_t)++s->n;
        }
        s->counts[*slot - 1]++;
        s->soft_n += hops[row].flags & TSPI_STORED_SOFT;
        all->pair_of[row] = *slot - 1;
    }
    return true;
}

static bool deal_slice(void *sorting_, size_t number, unsigned worker)
{
    const sorting *all = sorting_;
    const slice *s = &all->slices[number];
    const tspi_stored_hop *hops = all->hops->hops;

    (void)worker;
    for (size_t row = s->first; row < s->end; row++)
        all->sorted[s->counts[all->pair_of[row]]++] = hops[row];
    return true;
}

static bool sort_one(void *sorting_, size_t e, unsigned worker)
{
    const sorting *all = sorting_;
    const tspi_stored_edge *edge = &all->hops->edges[e];

    (void)worker;
    return sort_edge(all->sorted + edge->first, edge->n);
}

typedef struct {
    uint64_t pair;
    uint32_t slice, at; /* which of the slice's pairs */
} pair_row;

static int by_pair(const void *a_, const void *b_)
{
    const pair_row *a = a_, *b = b_;

    if (a->pair != b->pair)
        return a->pair < b->pair ? -1 : 1;
    return a->slice < b->slice ? -1 : a->slice > b->slice;
}

/* The edges, ascending; the slices' counts become the places where they put their hops. */
static bool name_edges(tspi_hop_store *hops, slice *slices, size_t slices_n)
{
    size_t n = 0, at = 0, edges = 0;
    pair_row *list;

    for (size_t k = 0; k < slices_n; k++)
        n += slices[k].n;
    list = malloc((n + 1) * sizeof *list);
    free(hops->edges);
    hops->edges = malloc((n + 1) * sizeof *hops->edges);
    if (!list || !hops->edges) {
        free(list);
        return false;
    }
    n = 0;
    for (uint32_t k = 0; k < slices_n; k++)
        for (uint32_t q = 0; q < slices[k].n; q++)
            list[n++] = (pair_row){slices[k].pairs[q], k, q};
    qsort(list, n, sizeof *list, by_pair);
    for (size_t k = 0; k < n; k++) {
        size_t *count = &slices[list[k].slice].counts[list[k].at], many = *count;
        if (k == 0 || list[k].pair != list[k - 1].pair)
            hops->edges[edges++] = (tspi_stored_edge){(uint32_t)(list[k].pair >> 32), (uint32_t)list[k].pair, at, 0};
        hops->edges[edges - 1].n += many;
        *count = at;
        at += many;
    }
    hops->edges_n = edges;
    free(list);
    return true;
}

/* A slice is not worth a thread below this. */
#define SLICE_LEAST 65536
#define MOST_SLICES 64

bool tspi_hop_store_sort(tspi_hop_store *hops)
{
    size_t slices_n = hops->n / SLICE_LEAST + 1, most = hops->threads > 1 ? hops->threads : 1;
    slice slices[MOST_SLICES] = {0};
    sorting all = {.hops = hops, .slices = slices};

    if (hops->sorted)
        return true;
    most = most < MOST_SLICES ? most : MOST_SLICES;
    slices_n = slices_n < most ? slices_n : most;
    for (size_t k = 0; k < slices_n; k++) {
        slices[k].first = hops->n / slices_n * k;
        slices[k].end = k + 1 < slices_n ? hops->n / slices_n * (k + 1) : hops->n;
    }
    all.pair_of = tspi_room_take(hops->n + 1, sizeof *all.pair_of);
    all.sorted = tspi_room_take(hops->n + 1, sizeof *all.sorted);
    bool ok = all.pair_of && all.sorted && tspi_parallel(hops->threads, slices_n, count_slice, &all) &&
              name_edges(hops, slices, slices_n) && tspi_parallel(hops->threads, slices_n, deal_slice, &all);
    tspi_room_give(all.pair_of, hops->n + 1, sizeof *all.pair_of);
    hops->soft_n = 0;
    for (size_t k = 0; k < slices_n; k++) {
        hops->soft_n += slices[k].soft_n;
        free(slices[k].pairs);
        free(slices[k].counts);
        free(slices[k].names);
    }
    ok = ok && tspi_parallel(hops->threads, hops->edges_n, sort_one, &all);
    if (!ok) {
        tspi_room_give(all.sorted, hops->n + 1, sizeof *all.sorted);
        return false;
    }
    tspi_room_give(hops->hops, hops->cap, sizeof *hops->hops);
    hops->hops = all.sorted;
    hops->cap = hops->n + 1;
    hops->sorted = true;
    return true;
}

static int by_ends(const void *a_, const void *b_)
{
    const tspi_stored_edge *a = a_, *b = b_;

    if (a->from != b->from)
        return a->from < b->from ? -1 : 1;
    return a->to < b->to ? -1 : a->to > b->to;
}

const tspi_stored_edge *tspi_hop_store_back(const tspi_hop_store *hops, const tspi_stored_edge *edge)
{
    const tspi_stored_edge wanted = {.from = edge->to, .to = edge->from};

    return hops->edges_n ? bsearch(&wanted, hops->edges, hops->edges_n, sizeof wanted, by_ends) : NULL;
}
