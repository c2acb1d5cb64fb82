#include "solve/sides.h"

#include <stdlib.h>
#include <string.h>

bool tspi_sides_init(tspi_sides *sides, uint32_t clocks)
{
    *sides = (tspi_sides){.clocks = clocks};
    sides->first = calloc((size_t)clocks + 1, sizeof *sides->first);
    return sides->first != NULL;
}

void tspi_sides_release(tspi_sides *sides)
{
    free(sides->first);
    free(sides->cuts);
    free(sides->sides);
    memset(sides, 0, sizeof *sides);
}

static int64_t chosen(const tspi_sides *sides, uint64_t end, int64_t stamp)
{
    size_t lo = 0, hi = sides->sides_n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (sides->sides[mid].end < end)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < sides->sides_n && sides->sides[lo].end == end ? sides->sides[lo].stamp : stamp;
}

uint32_t tspi_sides_sent_node(const tspi_sides *sides, const tspi_hop_store *hops, size_t row)
{
    const tspi_stored_hop *hop = &hops->hops[row];
    int64_t stamp = hop->flags & TSPI_STORED_SENT_SIDE ? chosen(sides, 2 * row, hop->sent) : hop->sent;

    return tspi_sides_node(sides, hop->from, stamp);
}

uint32_t tspi_sides_received_node(const tspi_sides *sides, const tspi_hop_store *hops, size_t row)
{
    const tspi_stored_hop *hop = &hops->hops[row];
    int64_t stamp = hop->flags & TSPI_STORED_RECV_SIDE ? chosen(sides, 2 * row + 1, hop->received) : hop->received;

    return tspi_sides_node(sides, hop->to, stamp);
}

bool tspi_sides_cut(tspi_sides *sides, uint32_t clock, int64_t cut)
{
    uint32_t n = sides->first[sides->clocks], at = sides->first[clock];
    int64_t *grown = realloc(sides->cuts, (n + 1) * sizeof *grown);

    if (!grown)
        return false;
    sides->cuts = grown;
    while (at < sides->first[clock + 1] && grown[at] < cut)
        at++;
    memmove(grown + at + 1, grown + at, (n - at) * sizeof *grown);
    grown[at] = cut;
    for (uint32_t c = clock + 1; c <= sides->clocks; c++)
        sides->first[c]++;
    return true;
}

void tspi_sides_uncut(tspi_sides *sides, uint32_t clock, int64_t cut)
{
    uint32_t n = sides->first[sides->clocks];

    for (uint32_t at = sides->first[clock]; at < sides->first[clock + 1]; at++)
        if (sides->cuts[at] == cut) {
            memmove(sides->cuts + at, sides->cuts + at + 1, (n - at - 1) * sizeof *sides->cuts);
            for (uint32_t c = clock + 1; c <= sides->clocks; c++)
                sides->first[c]--;
            return;
        }
}

void tspi_sides_forget(tspi_sides *sides, tspi_hop_store *hops, uint32_t clock, int64_t cut)
{
    size_t kept = 0;

    for (size_t k = 0; k < sides->sides_n; k++) {
        const tspi_side *side = &sides->sides[k];
        bool received = side->end & 1;
        tspi_stored_hop *hop = &hops->hops[side->end / 2];
        if ((received ? hop->to : hop->from) == clock && (side->stamp == cut || side->stamp == cut - 1))
            hop->flags &= (uint16_t) ~(received ? TSPI_STORED_RECV_SIDE : TSPI_STORED_SENT_SIDE);
        else
            sides->sides[kept++] = *side;
    }
    sides->sides_n = kept;
}

bool tspi_sides_move(tspi_sides *sides, uint32_t clock, int64_t from, int64_t to)
{
    uint32_t at = sides->first[clock], end = sides->first[clock + 1];

    while (at < end && sides->cuts[at] != from)
        at++;
    bool fits = at < end && (at == sides->first[clock] || sides->cuts[at - 1] < to) &&
                (at + 1 == end || to < sides->cuts[at + 1]);
    if (fits)
        sides->cuts[at] = to;
    return fits;
}

static int by_end(const void *a, const void *b)
{
    uint64_t x = ((const tspi_side *)a)->end, y = ((const tspi_side *)b)->end;

    return x < y ? -1 : x > y;
}

bool tspi_sides_choose(tspi_sides *sides, tspi_hop_store *hops, const tspi_side *choices, size_t n)
{
    size_t old_n = sides->sides_n;

    if (!n)
        return true;
    if (old_n + n > sides->sides_cap) {
        tspi_side *grown = realloc(sides->sides, 2 * (old_n + n) * sizeof *grown);
        if (!grown)
            return false;
        sides->sides = grown;
        sides->sides_cap = 2 * (old_n + n);
    }
    for (size_t k = 0; k < n; k++) {
        tspi_stored_hop *hop = &hops->hops[choices[k].end / 2];
        uint16_t flag = choices[k].end & 1 ? TSPI_STORED_RECV_SIDE : TSPI_STORED_SENT_SIDE;
        if (hop->flags & flag) {
            tspi_side *old = bsearch(&choices[k], sides->sides, old_n, sizeof *old, by_end);
            if (old) {
                old->stamp = choices[k].stamp;
                continue;
            }
        }
        hop->flags |= flag;
        sides->sides[sides->sides_n++] = choices[k];
    }
    qsort(sides->sides, sides->sides_n, sizeof *sides->sides, by_end);
    return true;
}

void tspi_sides_clocks(const tspi_sides *sides, uint32_t *ret_clock)
{
    for (uint32_t c = 0; c < sides->clocks; c++)
        for (uint32_t k = sides->first[c]; k <= sides->first[c + 1]; k++)
            ret_clock[c + k] = c;
}
