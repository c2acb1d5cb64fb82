/* Parametric shortest paths (Young, Tarjan & Orlin 1991).
 *
 * Give every edge the length w - lambda and let lambda rise from minus infinity. At first the shortest way to each
 * vertex is none at all: a forest of single vertices. As lambda rises, edges begin to shorten the way to their head,
 * and the forest is rebuilt one edge at a time, in the order of the lambda at which that happens. When an edge would
 * hang a vertex below its own descendant, the tree path between them and the edge are a cycle of mean lambda: the
 * minimum-mean cycle. Its vertices' distances make its slacks equal; they are frozen relative to each other, the cycle
 * becomes one vertex, and lambda rises on. When no edge is left that could shorten anything, everything that can be
 * balanced is.
 *
 * A vertex below stands for a group of the caller's vertices, kept as a linked list; `shift` is a member's offset
 * within its group. A distance is cost - lambda * count.
 *
 * In a well-connected graph one group soon swallows most vertices, and looking through its edges at every contraction
 * is what takes the time. So edges that have become inner ones are dropped from the lists when they are met, and
 * members without edges left from the lists of members that are walked for them. */
#include "solve/balance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"

#define NONE UINT32_MAX

/* An edge as one of its ends sees it. */
typedef struct {
    uint32_t other, edge;
    double w;
} arc;

/* The edges into (or out of) each of the caller's vertices, and the members of each group that have any. */
typedef struct {
    arc *arcs;
    uint32_t *first, *end; /* of a vertex; first: n + 1 */
    uint32_t *head, *next; /* of a group, of a member */
} arc_lists;

typedef struct {
    uint32_t n;
    const tspi_balance_edge *edges;
    /* The caller's vertices. */
    uint32_t *group;       /* the vertex that stands for it */
    uint32_t *next_member; /* within its group */
    double *shift;
    arc_lists in, out;
    /* Groups. */
    uint32_t *first_member, *members_n;
    uint32_t *parent, *first_child, *next_child, *prev_child;
    double *cost;
    int32_t *count;
    double *key; /* lambda at which best_edge shortens the way here */
    uint32_t *best_edge;
    uint32_t *heap, *heap_at;
    uint32_t heap_n;
    uint8_t *rooted, *moved;
    uint32_t *list;  /* the subtree being moved */
    uint32_t *cycle; /* being contracted, from bottom to top */
    double lambda;
    uint64_t work; /* edges looked at */
} state;

void tspi_balancer_release(tspi_balancer *balancer)
{
    free(balancer->memory);
    memset(balancer, 0, sizeof *balancer);
}

static void *carve(char **at, size_t bytes)
{
    void *here = *at;

    *at += (bytes + 15) & ~(size_t)15;
    return here;
}

static bool state_init(state *s, tspi_balancer *balancer, uint32_t n, const tspi_balance_edge *edges, size_t m)
{
    size_t u32 = sizeof(uint32_t), need = 22 * (n * u32 + 32) + 2 * (m * sizeof(arc) + 16) +
                                          3 * (n * sizeof(double) + 16) + 2 * ((size_t)n + 16);
    char *at;

    if (balancer->cap < need) {
        free(balancer->memory);
        balancer->memory = malloc(need);
        balancer->cap = balancer->memory ? need : 0;
        if (!balancer->memory)
            return false;
    }
    at = balancer->memory;
    *s = (state){.n = n, .edges = edges, .lambda = -INFINITY};
    uint32_t **arrays[] = {&s->group,       &s->next_member, &s->first_member, &s->members_n, &s->parent,
                           &s->first_child, &s->next_child,  &s->prev_child,   &s->best_edge, &s->heap,
                           &s->heap_at,     &s->list,        &s->cycle,        &s->in.end,    &s->in.head,
                           &s->in.next,     &s->out.end,     &s->out.head,     &s->out.next};
    for (size_t k = 0; k < sizeof arrays / sizeof *arrays; k++)
        *arrays[k] = carve(&at, n * u32);
    s->count = carve(&at, n * sizeof *s->count);
    s->in.first = carve(&at, (n + 1) * u32);
    s->out.first = carve(&at, (n + 1) * u32);
    s->in.arcs = carve(&at, m * sizeof(arc));
    s->out.arcs = carve(&at, m * sizeof(arc));
    s->shift = carve(&at, n * sizeof(double));
    s->cost = carve(&at, n * sizeof(double));
    s->key = carve(&at, n * sizeof(double));
    s->rooted = carve(&at, n);
    s->moved = carve(&at, n);
    return true;
}

/* Lists by head (in) or by tail. */
static void list_arcs(arc_lists *lists, uint32_t n, const tspi_balance_edge *edges, size_t m, bool in)
{
    memset(lists->first, 0, (n + 1) * sizeof *lists->first);
    for (size_t e = 0; e < m; e++)
        lists->first[(in ? edges[e].to : edges[e].from) + 1]++;
    for (uint32_t v = 0; v < n; v++) {
        lists->first[v + 1] += lists->first[v];
        lists->end[v] = lists->first[v];
        lists->head[v] = lists->first[v + 1] > lists->first[v] ? v : NONE;
        lists->next[v] = NONE;
    }
    for (uint32_t e = 0; e < m; e++) {
        uint32_t at = in ? edges[e].to : edges[e].from, other = in ? edges[e].from : edges[e].to;
        lists->arcs[lists->end[at]++] = (arc){other, e, edges[e].w};
    }
}

/* The members of b that have arcs, in front of those of a. */
static void join_lists(arc_lists *lists, uint32_t a, uint32_t b)
{
    uint32_t last = lists->head[b];

    if (last == NONE)
        return;
    while (lists->next[last] != NONE)
        last = lists->next[last];
    lists->next[last] = lists->head[a];
    lists->head[a] = lists->head[b];
    lists->head[b] = NONE;
}

/* A binary heap of groups by key; ties go to the lower number, so that the result depends on the input alone. */
static bool before(const state *s, uint32_t a, uint32_t b)
{
    return s->key[a] < s->key[b] || (s->key[a] == s->key[b] && a < b);
}

static void heap_place(state *s, uint32_t at, uint32_t v)
{
    s->heap[at] = v;
    s->heap_at[v] = at;
}

static void heap_fix(state *s, uint32_t v)
{
    uint32_t at = s->heap_at[v];

    while (at > 0 && before(s, v, s->heap[(at - 1) / 2])) {
        heap_place(s, at, s->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= s->heap_n)
            break;
        if (child + 1 < s->heap_n && before(s, s->heap[child + 1], s->heap[child]))
            child++;
        if (!before(s, s->heap[child], v))
            break;
        heap_place(s, at, s->heap[child]);
        at = child;
    }
    heap_place(s, at, v);
}

static void heap_remove(state *s, uint32_t v)
{
    uint32_t at = s->heap_at[v], last = s->heap[--s->heap_n];

    if (last == v)
        return;
    heap_place(s, at, last);
    heap_fix(s, last);
}

/* What a quotient may be off by, with room to spare. */
#define QUOTIENT_SLOP 1e-12

/* The lambda at which an edge of length w, member shifts counted, begins to shorten the way to group b from group a;
 * INFINITY: never, or surely after `most`: told without the division, which would take as long as all the rest. */
static inline double arc_key(const state *s, double w, uint32_t a, uint32_t b, double most)
{
    int32_t gain = s->count[a] + 1 - s->count[b];
    double length = s->cost[a] + w - s->cost[b], limit = most * gain, key;

    if (gain <= 0 || length > limit + fabs(limit) * QUOTIENT_SLOP)
        return INFINITY;
    key = length / gain;
    return key > s->lambda ? key : s->lambda;
}

static inline void offer_key(state *s, uint32_t b, double key, uint32_t e)
{
    if (key < s->key[b] || (key == s->key[b] && e < s->best_edge[b] && key < INFINITY)) {
        s->key[b] = key;
        s->best_edge[b] = e;
    }
}

/* Offer group b the edges into it. */
static void offer_arcs(state *s, uint32_t b)
{
    for (uint32_t *link = &s->in.head[b], v = *link; v != NONE; v = *link) {
        uint32_t k = s->in.first[v], end = s->in.end[v];
        s->work += end - k + 1;
        while (k < end) {
            const arc *at = &s->in.arcs[k];
            uint32_t a = s->group[at->other];
            if (a == b) {
                s->in.arcs[k] = s->in.arcs[--end];
                continue;
            }
            offer_key(s, b, arc_key(s, at->w + s->shift[at->other] - s->shift[v], a, b, s->key[b]), at->edge);
            k++;
        }
        s->in.end[v] = end;
        if (end == s->in.first[v])
            *link = s->in.next[v];
        else
            link = &s->in.next[v];
    }
}

static void renew_key(state *s, uint32_t b)
{
    s->key[b] = INFINITY;
    s->best_edge[b] = NONE;
    offer_arcs(s, b);
    heap_fix(s, b);
}

static void unhang(state *s, uint32_t v)
{
    uint32_t parent = s->parent[v];

    if (parent == NONE)
        return;
    if (s->prev_child[v] != NONE)
        s->next_child[s->prev_child[v]] = s->next_child[v];
    else
        s->first_child[parent] = s->next_child[v];
    if (s->next_child[v] != NONE)
        s->prev_child[s->next_child[v]] = s->prev_child[v];
    s->parent[v] = NONE;
}

static void hang(state *s, uint32_t v, uint32_t parent)
{
    s->parent[v] = parent;
    s->prev_child[v] = NONE;
    if (parent == NONE)
        return;
    s->next_child[v] = s->first_child[parent];
    if (s->next_child[v] != NONE)
        s->prev_child[s->next_child[v]] = v;
    s->first_child[parent] = v;
}

/* Append v and all below it to list, adding to their cost and count. */
static uint32_t move_subtree(state *s, uint32_t v, uint32_t list_n, double cost, int32_t count)
{
    uint32_t done = list_n;

    s->list[list_n++] = v;
    for (; done < list_n; done++) {
        uint32_t u = s->list[done];
        s->cost[u] += cost;
        s->count[u] += count;
        s->moved[u] = 1;
        for (uint32_t child = s->first_child[u]; child != NONE; child = s->next_child[child])
            s->list[list_n++] = child;
    }
    return list_n;
}

/* Group a moved: offer its edges to their heads. fewer: counts may have fallen, so that a head's old best edge may have
 * become worse. */
static void offer_from(state *s, uint32_t a, bool fewer)
{
    for (uint32_t *link = &s->out.head[a], v = *link; v != NONE; v = *link) {
        uint32_t k = s->out.first[v], end = s->out.end[v];
        s->work += end - k + 1;
        while (k < end) {
            const arc *at = &s->out.arcs[k];
            uint32_t b = s->group[at->other];
            if (b == a) {
                s->out.arcs[k] = s->out.arcs[--end];
                continue;
            }
            k++;
            if (s->moved[b])
                continue;
            if (fewer && s->best_edge[b] != NONE && s->moved[s->group[s->edges[s->best_edge[b]].from]]) {
                renew_key(s, b);
                continue;
            }
            double key = arc_key(s, at->w + s->shift[v] - s->shift[at->other], a, b, s->key[b]);
            if (key <= s->key[b]) {
                offer_key(s, b, key, at->edge);
                heap_fix(s, b);
            }
        }
        s->out.end[v] = end;
        if (end == s->out.first[v])
            *link = s->out.next[v];
        else
            link = &s->out.next[v];
    }
}

/* After the first list_n groups of list moved: their keys, and those of the heads of their edges. */
static void renew_moved(state *s, uint32_t list_n, bool fewer)
{
    for (uint32_t k = 0; k < list_n; k++) {
        renew_key(s, s->list[k]);
        offer_from(s, s->list[k], fewer);
    }
    for (uint32_t k = 0; k < list_n; k++)
        s->moved[s->list[k]] = 0;
}

static void set_level(const state *s, uint32_t group, double *level)
{
    for (uint32_t v = s->first_member[group]; v != NONE; v = s->next_member[v])
        if (isinf(level[v]))
            level[v] = s->lambda;
}

/* Shift the members of b, and hand them to a. */
static void absorb(state *s, uint32_t a, uint32_t b)
{
    uint32_t last = s->first_member[b];

    for (;; last = s->next_member[last]) {
        s->group[last] = a;
        if (s->next_member[last] == NONE)
            break;
    }
    s->next_member[last] = s->first_member[a];
    s->first_member[a] = s->first_member[b];
    join_lists(&s->in, a, b);
    join_lists(&s->out, a, b);
    s->members_n[a] += s->members_n[b];
    s->rooted[a] |= s->rooted[b];
    heap_remove(s, b);
}

/* The tree path from top down to bottom closes into a cycle of mean lambda: make it one group, which keeps the name of
 * its largest member and takes the place of top in the tree. At this lambda no distance changes. */
static void contract(state *s, uint32_t top, uint32_t bottom, double *level)
{
    uint32_t keep = top, list_n = 0, cycle_n = 0, parent = s->parent[top], orphans = NONE;
    double cost = s->cost[top];
    int32_t count = s->count[top];

    for (uint32_t v = bottom;; v = s->parent[v]) {
        s->cycle[cycle_n++] = v;
        if (s->members_n[v] > s->members_n[keep])
            keep = v;
        if (v == top)
            break;
    }
    for (uint32_t k = 0; k < cycle_n; k++) {
        uint32_t v = s->cycle[k];
        double shift = s->cost[v] - cost - s->lambda * (s->count[v] - count);
        unhang(s, v);
        while (s->first_child[v] != NONE) { /* off the cycle: those on it were unhung before */
            uint32_t child = s->first_child[v];
            unhang(s, child);
            if (v != top) /* those of top keep their distance */
                list_n = move_subtree(s, child, list_n, cost + shift - s->cost[v], count - s->count[v]);
            s->next_child[child] = orphans;
            orphans = child;
        }
        for (uint32_t u = s->first_member[v]; u != NONE; u = s->next_member[u])
            s->shift[u] += shift;
    }
    for (uint32_t k = 0; k < cycle_n; k++)
        if (s->cycle[k] != keep)
            absorb(s, keep, s->cycle[k]);
    s->cost[keep] = cost;
    s->count[keep] = count;
    hang(s, keep, parent);
    while (orphans != NONE) {
        uint32_t child = orphans;
        orphans = s->next_child[child];
        hang(s, child, keep);
    }
    s->list[list_n++] = keep;
    s->moved[keep] = 1;
    if (s->rooted[keep])
        set_level(s, keep, level);
    renew_moved(s, list_n, true);
}

static bool is_below(state *s, uint32_t v, uint32_t top)
{
    for (; v != NONE && v != top; s->work++)
        v = s->parent[v];
    return v == top;
}

bool tspi_balance(tspi_balancer *balancer, uint32_t n, const tspi_balance_edge *edges, size_t edges_n,
                  const uint8_t *root, double *ret_x, uint32_t *ret_group, double *ret_level)
{
    state s;

    if (edges_n >= NONE || !state_init(&s, balancer, n, edges, edges_n))
        return false;
    list_arcs(&s.in, n, edges, edges_n, true);
    list_arcs(&s.out, n, edges, edges_n, false);
    s.heap_n = n;
    for (uint32_t v = 0; v < n; v++) {
        s.group[v] = s.first_member[v] = v;
        s.next_member[v] = s.parent[v] = s.first_child[v] = NONE;
        s.members_n[v] = 1;
        s.shift[v] = s.cost[v] = 0;
        s.count[v] = 0;
        s.rooted[v] = root && root[v];
        s.moved[v] = 0;
        s.key[v] = INFINITY;
        heap_place(&s, v, v);
        ret_level[v] = INFINITY;
    }
    for (uint32_t v = 0; v < n; v++)
        renew_key(&s, v);
    while (s.heap_n > 0 && s.key[s.heap[0]] < INFINITY && s.work < BALANCE_WORK) {
        uint32_t b = s.heap[0], e = s.best_edge[b], a = s.group[edges[e].from];
        s.lambda = s.key[b];
        if (is_below(&s, a, b)) {
            contract(&s, b, a, ret_level);
            continue;
        }
        double cost = s.cost[a] + edges[e].w + s.shift[edges[e].from] - s.shift[edges[e].to] - s.cost[b];
        unhang(&s, b);
        hang(&s, b, a);
        renew_moved(&s, move_subtree(&s, b, 0, cost, s.count[a] + 1 - s.count[b]), false);
    }
    for (uint32_t v = 0; v < n; v++) {
        ret_x[v] = s.shift[v];
        ret_group[v] = s.group[v];
    }
    return true;
}
