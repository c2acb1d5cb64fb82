#include "causal/kin.h"

#include <stdlib.h>
#include <string.h>

#include "base/big.h"
#include "base/hash.h"

/* Spans of one id in one trace that are told apart; beyond it they are counted but are nobody's parent. Without a
 * limit, a file of one id only would take quadratic time. */
#define SAME_ID_LIMIT 64

/* In a trace this large a search meets cold memory: what it will want is asked for some spans ahead. */
#define LARGE_TRACE 4096
#define AHEAD 12

enum state {
    TWIN = 1,   /* another span of the trace has its id */
    COPY = 2,   /* the very same span, read before */
    WALKED = 4, /* towards its root */
    SOUND = 8,  /* known to lie in no ring */
};

void tspi_kin_release(tspi_kin *kin)
{
    tspi_quantum_finder_release(&kin->quanta);
    tspi_big_free(kin->ids, kin->cap * sizeof *kin->ids);
    tspi_big_free(kin->up, kin->cap * sizeof *kin->up);
    tspi_big_free(kin->state, kin->cap);
    tspi_big_free(kin->slots, kin->slots_cap * sizeof *kin->slots);
}

static const tspi_span *span_at(const tspi_kin *kin, uint32_t place)
{
    return &kin->set->spans[kin->rows[place]];
}

static uint32_t home_slot(const tspi_kin *kin, uint64_t span_id)
{
    return (uint32_t)tspi_hash_mix(span_id ^ kin->seed) & kin->mask;
}

/* Walk the spans with an id: for (c = find_first(...); c.place != TSPI_NONE; find_next(&c)). In the order of rows. */
typedef struct {
    const tspi_kin *kin;
    uint64_t span_id;
    uint32_t at, place;
} candidates;

static inline void find_next(candidates *c)
{
    const tspi_kin *kin = c->kin;

    do {
        c->place = kin->slots[c->at];
        c->at = (c->at + 1) & kin->mask;
    } while (c->place != TSPI_NONE && kin->ids[c->place] != c->span_id);
}

static inline candidates find_first(const tspi_kin *kin, uint64_t span_id)
{
    candidates c = {.kin = kin, .span_id = span_id, .at = home_slot(kin, span_id)};

    find_next(&c);
    return c;
}

static bool is_copy_of(const tspi_span *a, const tspi_span *b)
{
    return a->parent_id == b->parent_id && a->start_ns == b->start_ns && a->end_ns == b->end_ns &&
           a->process == b->process && a->name == b->name && a->kind == b->kind;
}

static bool asks(const tspi_span *span)
{
    return span->kind == TSPI_KIND_CLIENT || span->kind == TSPI_KIND_PRODUCER;
}

static bool answers(const tspi_span *span)
{
    return span->kind == TSPI_KIND_SERVER || span->kind == TSPI_KIND_CONSUMER || (span->flags & TSPI_SPAN_SHARED);
}

/* Two halves of one call under one id, as Zipkin writes them. */
static bool are_halves(const tspi_span *a, const tspi_span *b)
{
    return (asks(a) && answers(b)) || (answers(a) && asks(b));
}

static bool set_copy_bit(tspi_kin *kin, uint32_t row)
{
    uint64_t *bits = atomic_load_explicit(kin->copies, memory_order_acquire);

    if (!bits) {
        uint64_t *fresh = tspi_big_calloc(kin->set->spans_n / 64 + 1, sizeof *fresh);
        if (!fresh)
            return false;
        if (atomic_compare_exchange_strong(kin->copies, &bits, fresh))
            bits = fresh;
        else
            tspi_big_free(fresh, (kin->set->spans_n / 64 + 1) * sizeof *fresh);
    }
    __atomic_fetch_or(&bits[row / 64], UINT64_C(1) << (row % 64), __ATOMIC_RELAXED);
    return true;
}

static tsp_status note_twin(tspi_kin *kin, uint32_t other, uint32_t place, unsigned nth)
{
    if (is_copy_of(span_at(kin, other), span_at(kin, place))) {
        kin->state[place] |= COPY;
        kin->copies_n++;
        return set_copy_bit(kin, kin->rows[place]) ? TSP_OK : TSP_ENOMEM;
    }
    kin->state[other] |= TWIN;
    kin->state[place] |= TWIN;
    kin->clashes_n += nth == 0 && !are_halves(span_at(kin, other), span_at(kin, place));
    return TSP_OK;
}

static tsp_status insert(tspi_kin *kin, uint32_t place)
{
    uint64_t id = kin->ids[place];
    uint32_t at = home_slot(kin, id), other;
    unsigned same = 0;

    for (; (other = kin->slots[at]) != TSPI_NONE; at = (at + 1) & kin->mask) {
        if (kin->ids[other] != id)
            continue;
        if (note_twin(kin, other, place, same) != TSP_OK)
            return TSP_ENOMEM;
        if (kin->state[place] & COPY || ++same == SAME_ID_LIMIT)
            return TSP_OK;
    }
    kin->slots[at] = place;
    return TSP_OK;
}

static bool make_room(tspi_kin *kin, uint32_t n)
{
    size_t slots = 16;

    /* Half empty; where that costs no cache, three quarters: fewer spans meet in a slot. */
    while (slots < (size_t)n * (n < LARGE_TRACE ? 4 : 2))
        slots *= 2;
    kin->mask = (uint32_t)(slots - 1);
    if (slots > kin->slots_cap) {
        uint32_t *more = tspi_big_resize(kin->slots, kin->slots_cap * sizeof *more, slots * sizeof *more);
        if (!more)
            return false;
        kin->slots = more;
        kin->slots_cap = slots;
    }
    if (n <= kin->cap)
        return true;
    size_t cap = n > 256 ? n + n / 4 : 256;
    tspi_big_free(kin->ids, kin->cap * sizeof *kin->ids);
    tspi_big_free(kin->up, kin->cap * sizeof *kin->up);
    tspi_big_free(kin->state, kin->cap);
    kin->ids = tspi_big_calloc(cap, sizeof *kin->ids);
    kin->up = tspi_big_calloc(cap, sizeof *kin->up);
    kin->state = tspi_big_calloc(cap, 1);
    kin->cap = cap;
    return kin->ids && kin->up && kin->state;
}

static tsp_status fill(tspi_kin *kin)
{
    const tspi_span *spans = kin->set->spans;
    const uint32_t *rows = kin->rows;
    uint64_t *ids = kin->ids;
    uint32_t n = kin->n;

    memset(kin->slots, 0xff, ((size_t)kin->mask + 1) * sizeof *kin->slots);
    memset(kin->state, 0, n);
    for (uint32_t k = 0; k < n; k++)
        ids[k] = spans[rows[k]].span_id;
    for (uint32_t k = 0; k < n; k++) {
        if (n > LARGE_TRACE && k + AHEAD < n)
            __builtin_prefetch(&kin->slots[home_slot(kin, ids[k + AHEAD])]);
        if (ids[k] && insert(kin, k) != TSP_OK)
            return TSP_ENOMEM;
    }
    return TSP_OK;
}

/* Which of several spans with the id is meant by the span in row self: the one on its own process, on its own clock,
 * the answering half, else the first. Zipkin's children belong to the half on their own endpoint. */
static uint32_t choose(const tspi_kin *kin, uint64_t span_id, uint32_t self)
{
    const tspi_span_set *set = kin->set;
    uint32_t best = TSPI_NONE, process = set->spans[self].process;
    int best_rank = -1;

    for (candidates c = find_first(kin, span_id); c.place != TSPI_NONE; find_next(&c)) {
        const tspi_span *span = span_at(kin, c.place);
        int rank = 0;
        if (kin->rows[c.place] == self)
            continue;
        if (span->process == process)
            rank = 4;
        else if (set->processes[span->process].clock == set->processes[process].clock)
            rank = 2;
        rank += answers(span);
        if (rank > best_rank) {
            best_rank = rank;
            best = c.place;
        }
    }
    return best;
}

/* The client half of a server half, or TSPI_NONE. */
static uint32_t find_client_half(const tspi_kin *kin, uint32_t place)
{
    if (!answers(span_at(kin, place)))
        return TSPI_NONE;
    for (candidates c = find_first(kin, kin->ids[place]); c.place != TSPI_NONE; find_next(&c))
        if (c.place != place && asks(span_at(kin, c.place)))
            return c.place;
    return TSPI_NONE;
}

static uint32_t find_parent(tspi_kin *kin, uint32_t place, const tspi_span *span)
{
    bool twin = kin->state[place] & TWIN;
    uint32_t found;

    if (!span->span_id)
        return TSPI_NONE;
    if (twin && (found = find_client_half(kin, place)) != TSPI_NONE) {
        kin->shared_n++;
        return found;
    }
    if (!span->parent_id)
        return TSPI_NONE;
    if (span->parent_id == span->span_id && !twin) {
        kin->cycles_n++;
        return TSPI_NONE;
    }
    found = find_first(kin, span->parent_id).place;
    if (found != TSPI_NONE && (found == place || kin->state[found] & TWIN))
        found = choose(kin, span->parent_id, kin->rows[place]);
    kin->missing_parents_n += found == TSPI_NONE;
    return found;
}

/* Rings need a parent behind its child in the input; most writers put all of them before, or all behind. */
static bool resolve(tspi_kin *kin)
{
    const tspi_span *spans = kin->set->spans;
    const uint32_t *rows = kin->rows;
    uint8_t *state = kin->state;
    uint32_t *ups = kin->up, n = kin->n;
    bool before = false, behind = false;

    for (uint32_t k = 0; k < n; k++) {
        const tspi_span *span = &spans[rows[k]];
        if (n > LARGE_TRACE && k + AHEAD < n)
            __builtin_prefetch(&kin->slots[home_slot(kin, spans[rows[k + AHEAD]].parent_id)]);
        uint32_t up = state[k] & COPY ? TSPI_NONE : find_parent(kin, k, span);
        ups[k] = up;
        if (up == TSPI_NONE || (up < k && state[up] & SOUND))
            state[k] |= SOUND; /* no ring need be looked for */
        before |= up < k;
        behind |= up != TSPI_NONE && up > k;
        tspi_quantum_add(&kin->quanta, span, up == TSPI_NONE || spans[rows[up]].process != span->process);
    }
    return before && behind;
}

/* Walk from each span towards its root over spans not yet known to be sound. Coming back to the walk itself is a ring:
 * cut it there. Every span is walked over twice at most. */
static void cut_rings(tspi_kin *kin)
{
    uint8_t *state = kin->state;
    uint32_t *ups = kin->up, n = kin->n;

    for (uint32_t k = 0; k < n; k++) {
        uint32_t at = k;
        while (at != TSPI_NONE && !(state[at] & SOUND)) {
            state[at] |= WALKED;
            uint32_t up = ups[at];
            if (up != TSPI_NONE && (state[up] & (WALKED | SOUND)) == WALKED) {
                ups[at] = TSPI_NONE;
                kin->cycles_n++;
                break;
            }
            at = up;
        }
        for (at = k; at != TSPI_NONE && !(state[at] & SOUND); at = ups[at])
            state[at] |= SOUND;
    }
}

/* Spans of no trace: an id of zeros joins nothing. */
static void take_strangers(tspi_kin *kin)
{
    for (uint32_t k = 0; k < kin->n; k++) {
        kin->parent[kin->rows[k]] = TSPI_NONE;
        tspi_quantum_add(&kin->quanta, span_at(kin, k), true);
    }
}

tsp_status tspi_kin_take(tspi_kin *kin, const uint32_t *rows, uint32_t n)
{
    kin->rows = rows;
    kin->n = n;
    if (!n)
        return TSP_OK;
    kin->traces_n++;
    const tspi_trace_id *id = &kin->set->traces[span_at(kin, 0)->trace];
    if (!(id->hi | id->lo)) {
        take_strangers(kin);
        return TSP_OK;
    }
    if (!make_room(kin, n) || fill(kin) != TSP_OK)
        return TSP_ENOMEM;
    if (resolve(kin))
        cut_rings(kin);
    for (uint32_t k = 0; k < n; k++)
        kin->parent[rows[k]] = kin->up[k] == TSPI_NONE ? TSPI_NONE : rows[kin->up[k]];
    return TSP_OK;
}

void tspi_kin_link(tspi_kin *kin, uint32_t at)
{
    const tspi_link_row *link = &kin->set->links[at];
    const tspi_trace_id *id = &kin->set->traces[link->trace];
    uint32_t found = TSPI_NONE;

    if (kin->n && link->span_id && (id->hi | id->lo)) {
        found = find_first(kin, link->span_id).place;
        if (found != TSPI_NONE && kin->state[found] & TWIN)
            found = choose(kin, link->span_id, link->from);
    }
    kin->missing_links_n += found == TSPI_NONE;
    kin->link_target[at] = found == TSPI_NONE ? TSPI_NONE : kin->rows[found];
}
