#include "causal/join.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "causal/quantum.h"

/* Spans of one id in one trace that are told apart; beyond it they are counted but are nobody's parent. Without a
 * limit, a file of one id only would take quadratic time. */
#define SAME_ID_LIMIT 64

typedef struct {
    tspi_join *join;
    const tspi_span *spans;
    uint32_t *slots; /* the tables of all traces, one behind the other */
    uint32_t *first; /* per trace: how many spans lie in the traces before it; one row more than traces */
    uint64_t *twins; /* a bit a span: another span has its id. NULL until there is one */
    size_t spans_n;
} joiner;

static size_t table_start(const joiner *j, uint32_t trace)
{
    size_t before = j->first[trace];
    return before + before / 2 + trace; /* one slot more than spans at the least, so that a search always ends */
}

static size_t table_size(const joiner *j, uint32_t trace)
{
    return table_start(j, trace + 1) - table_start(j, trace);
}

/* A span that can be found: an id of zeros, or a trace's, joins nothing. */
static bool has_identity(const joiner *j, const tspi_span *span)
{
    const tspi_trace_id *id = &j->join->set->traces[span->trace];
    return span->span_id && (id->hi | id->lo);
}

static size_t home_slot(uint64_t span_id, size_t size)
{
    return (size_t)(((unsigned __int128)tspi_hash_mix(span_id) * size) >> 64);
}

/* Spans of a trace lie wherever their nodes' batches lie, so a search meets cold memory twice: the slot, and the row
 * that it names. Both are asked for some spans ahead. */
#define AHEAD 12

static void prefetch_slot(const joiner *j, uint32_t trace, uint64_t span_id)
{
    __builtin_prefetch(j->slots + table_start(j, trace) + home_slot(span_id, table_size(j, trace)));
}

static void prefetch_row(const joiner *j, uint32_t trace, uint64_t span_id)
{
    uint32_t row = j->slots[table_start(j, trace) + home_slot(span_id, table_size(j, trace))];
    if (row != TSPI_NONE)
        __builtin_prefetch(&j->spans[row]);
}

/* Walk the spans with an id: for (c = find_first(...); c.row != TSPI_NONE; find_next(&c)). In the order of rows. */
typedef struct {
    const joiner *j;
    const uint32_t *table;
    size_t size, at;
    uint64_t span_id;
    uint32_t row;
} candidates;

static void find_next(candidates *c)
{
    for (;;) {
        uint32_t row = c->table[c->at];
        c->row = row;
        if (row == TSPI_NONE)
            return;
        if (++c->at == c->size)
            c->at = 0;
        if (c->j->spans[row].span_id == c->span_id)
            return;
    }
}

static candidates find_first(const joiner *j, uint32_t trace, uint64_t span_id)
{
    candidates c = {
        .j = j, .table = j->slots + table_start(j, trace), .size = table_size(j, trace), .span_id = span_id};

    c.at = home_slot(span_id, c.size);
    find_next(&c);
    return c;
}

/* The first span with an id, or TSPI_NONE: what nearly every search wants, kept in registers. */
static inline uint32_t find_one(const joiner *j, uint32_t trace, uint64_t span_id)
{
    const uint32_t *table = j->slots + table_start(j, trace);
    size_t size = table_size(j, trace), at = home_slot(span_id, size);

    while (table[at] != TSPI_NONE && j->spans[table[at]].span_id != span_id)
        at = at + 1 == size ? 0 : at + 1;
    return table[at];
}

static void set_bit(uint64_t *bits, size_t at)
{
    bits[at / 64] |= UINT64_C(1) << (at % 64);
}

static bool get_bit(const uint64_t *bits, size_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}

static uint64_t *bits_new(size_t n)
{
    return calloc(n / 64 + 1, sizeof(uint64_t));
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

static tsp_status note_twin(joiner *j, uint32_t other, uint32_t row, unsigned nth)
{
    tspi_join *join = j->join;

    if (is_copy_of(&j->spans[other], &j->spans[row])) {
        if (!join->copies && !(join->copies = bits_new(j->spans_n)))
            return TSP_ENOMEM;
        set_bit(join->copies, row);
        join->copies_n++;
        return TSP_OK;
    }
    if (!j->twins && !(j->twins = bits_new(j->spans_n)))
        return TSP_ENOMEM;
    set_bit(j->twins, other);
    set_bit(j->twins, row);
    if (nth == 0 && !are_halves(&j->spans[other], &j->spans[row]))
        join->clashes_n++;
    return TSP_OK;
}

static tsp_status insert(joiner *j, uint32_t row)
{
    const tspi_span *span = &j->spans[row];
    uint32_t *table = j->slots + table_start(j, span->trace);
    size_t size = table_size(j, span->trace), at = home_slot(span->span_id, size);
    unsigned same = 0;

    while (table[at] != TSPI_NONE) {
        uint32_t other = table[at];
        if (j->spans[other].span_id == span->span_id) {
            if (note_twin(j, other, row, same) != TSP_OK)
                return TSP_ENOMEM;
            if (tspi_join_is_copy(j->join, row))
                return TSP_OK;
            if (++same == SAME_ID_LIMIT)
                return TSP_OK;
        }
        if (++at == size)
            at = 0;
    }
    table[at] = row;
    return TSP_OK;
}

static tsp_status fill(joiner *j)
{
    const tspi_span_set *set = j->join->set;

    for (size_t k = 0; k < j->spans_n; k++)
        j->first[j->spans[k].trace + 1]++;
    for (size_t t = 0; t < set->traces_n; t++)
        j->first[t + 1] += j->first[t];
    size_t slots_n = table_start(j, (uint32_t)set->traces_n);
    j->slots = malloc((slots_n + 1) * sizeof *j->slots);
    if (!j->slots)
        return TSP_ENOMEM;
    memset(j->slots, 0xff, slots_n * sizeof *j->slots);
    for (size_t k = 0; k < j->spans_n; k++) {
        if (k + AHEAD < j->spans_n)
            prefetch_slot(j, j->spans[k + AHEAD].trace, j->spans[k + AHEAD].span_id);
        if (has_identity(j, &j->spans[k]) && insert(j, (uint32_t)k) != TSP_OK)
            return TSP_ENOMEM;
    }
    return TSP_OK;
}

/* Which of several spans with the id is meant by a span of `process`: the one on its own process, on its own clock,
 * the answering half, else the first. Zipkin's children belong to the half on their own endpoint. */
static uint32_t choose(const joiner *j, candidates c, uint32_t self)
{
    const tspi_span_set *set = j->join->set;
    uint32_t best = TSPI_NONE, process = j->spans[self].process;
    int best_rank = -1;

    for (; c.row != TSPI_NONE; find_next(&c)) {
        const tspi_span *span = &j->spans[c.row];
        int rank = 0;
        if (c.row == self)
            continue;
        if (span->process == process)
            rank = 4;
        else if (set->processes[span->process].clock == set->processes[process].clock)
            rank = 2;
        rank += answers(span);
        if (rank > best_rank) {
            best_rank = rank;
            best = c.row;
        }
    }
    return best;
}

/* The client half of a server half, or TSPI_NONE. */
static uint32_t find_client_half(const joiner *j, uint32_t row)
{
    const tspi_span *span = &j->spans[row];

    if (!answers(span))
        return TSPI_NONE;
    candidates c = find_first(j, span->trace, span->span_id);
    for (; c.row != TSPI_NONE; find_next(&c))
        if (c.row != row && asks(&j->spans[c.row]))
            return c.row;
    return TSPI_NONE;
}

static uint32_t find_parent(joiner *j, uint32_t row)
{
    const tspi_span *span = &j->spans[row];
    uint32_t found;

    if (!has_identity(j, span))
        return TSPI_NONE;
    if (j->twins && get_bit(j->twins, row) && (found = find_client_half(j, row)) != TSPI_NONE) {
        j->join->shared_n++;
        return found;
    }
    if (!span->parent_id)
        return TSPI_NONE;
    if (span->parent_id == span->span_id && !(j->twins && get_bit(j->twins, row))) {
        j->join->cycles_n++;
        return TSPI_NONE;
    }
    found = find_one(j, span->trace, span->parent_id);
    if (found != TSPI_NONE && (found == row || (j->twins && get_bit(j->twins, found))))
        found = choose(j, find_first(j, span->trace, span->parent_id), row);
    if (found == TSPI_NONE)
        j->join->missing_parents_n++;
    return found;
}

static void resolve_parents(joiner *j, tspi_quantum_finder *quanta)
{
    tspi_join *join = j->join;

    for (size_t k = 0; k < j->spans_n; k++) {
        const tspi_span *span = &j->spans[k];
        if (k + 2 * AHEAD < j->spans_n)
            prefetch_slot(j, span[2 * AHEAD].trace, span[2 * AHEAD].parent_id);
        if (k + AHEAD < j->spans_n)
            prefetch_row(j, span[AHEAD].trace, span[AHEAD].parent_id);
        uint32_t parent = tspi_join_is_copy(join, k) ? TSPI_NONE : find_parent(j, (uint32_t)k);
        join->parent[k] = parent;
        tspi_quantum_add(quanta, span, parent == TSPI_NONE || j->spans[parent].process != span->process);
    }
}

static void resolve_links(joiner *j)
{
    tspi_join *join = j->join;
    const tspi_span_set *set = join->set;

    for (size_t k = 0; k < set->links_n; k++) {
        const tspi_link *link = &set->links[k];
        const tspi_trace_id *id = &set->traces[link->trace];
        uint32_t found = TSPI_NONE;
        if (link->span_id && (id->hi | id->lo)) {
            found = find_one(j, link->trace, link->span_id);
            if (found != TSPI_NONE && j->twins && get_bit(j->twins, found))
                found = choose(j, find_first(j, link->trace, link->span_id), link->from);
        }
        join->missing_links_n += found == TSPI_NONE;
        join->link_target[k] = found;
    }
}

/* Walk from each span towards its root over spans not yet known to be sound. Coming back to the walk itself is a ring:
 * cut it there. Every span is walked over twice at most. */
static tsp_status cut_cycles(joiner *j)
{
    uint32_t *parent = j->join->parent;
    uint64_t *sound = bits_new(j->spans_n), *walked = bits_new(j->spans_n);
    tsp_status rc = sound && walked ? TSP_OK : TSP_ENOMEM;

    for (size_t k = 0; k < j->spans_n && rc == TSP_OK; k++) {
        uint32_t at = (uint32_t)k;
        while (at != TSPI_NONE && !get_bit(sound, at)) {
            set_bit(walked, at);
            uint32_t up = parent[at];
            if (up != TSPI_NONE && get_bit(walked, up) && !get_bit(sound, up)) {
                parent[at] = TSPI_NONE;
                j->join->cycles_n++;
                break;
            }
            at = up;
        }
        for (at = (uint32_t)k; at != TSPI_NONE && !get_bit(sound, at); at = parent[at])
            set_bit(sound, at);
    }
    free(sound);
    free(walked);
    return rc;
}

/* Rings need a parent behind its child in the input; most writers put all of them before, or all behind. */
static bool may_have_cycles(const joiner *j)
{
    bool before = false, behind = false;

    for (size_t k = 0; k < j->spans_n && !(before && behind); k++) {
        uint32_t up = j->join->parent[k];
        before |= up < k;
        behind |= up != TSPI_NONE && up > k;
    }
    return before && behind;
}

tsp_status tspi_join_init(tspi_join *ret_join, const tspi_span_set *set, tsp_error *err)
{
    joiner j = {.join = ret_join, .spans = set->spans, .spans_n = set->spans_n};
    tspi_quantum_finder quanta = {0};
    tsp_status rc = TSP_ENOMEM;

    *ret_join = (tspi_join){.set = set};
    if (set->spans_n >= UINT32_MAX || set->traces_n >= UINT32_MAX || set->links_n >= UINT32_MAX)
        return tsp_error_set(err, TSP_ERANGE, "more than 4 billion spans at once: split the input");
    ret_join->parent = malloc((set->spans_n + 1) * sizeof *ret_join->parent);
    ret_join->link_target = malloc((set->links_n + 1) * sizeof *ret_join->link_target);
    ret_join->quanta = calloc(set->processes_n + 1, sizeof *ret_join->quanta);
    j.first = calloc(set->traces_n + 2, sizeof *j.first);
    if (!ret_join->parent || !ret_join->link_target || !ret_join->quanta || !j.first ||
        tspi_quantum_finder_init(&quanta, set->processes_n) != TSP_OK || fill(&j) != TSP_OK)
        goto out;
    resolve_parents(&j, &quanta);
    resolve_links(&j);
    free(j.slots);
    j.slots = NULL;
    if (may_have_cycles(&j) && cut_cycles(&j) != TSP_OK)
        goto out;
    tspi_quantum_finish(&quanta, ret_join->quanta);
    rc = TSP_OK;
out:
    tspi_quantum_finder_release(&quanta);
    free(j.slots);
    free(j.first);
    free(j.twins);
    if (rc != TSP_OK) {
        tspi_join_release(ret_join);
        return tsp_error_set(err, rc, "memory is exhausted joining %zu spans", set->spans_n);
    }
    return TSP_OK;
}

void tspi_join_release(tspi_join *join)
{
    if (!join)
        return;
    free(join->parent);
    free(join->link_target);
    free(join->copies);
    free(join->quanta);
    memset(join, 0, sizeof *join);
}
