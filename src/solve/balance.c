/* Parametric shortest paths (Young, Tarjan & Orlin 1991).
 *
 * Give every edge the length w - lambda and let lambda rise. The shortest ways from a source are a tree, which is
 * rebuilt one edge at a time, in the order of the lambda at which an edge begins to shorten the way to its head. When
 * an edge would hang a vertex below its own descendant, the tree path between them and the edge are a cycle of mean
 * lambda: the minimum-mean cycle. Its vertices' distances make its slacks equal; they are frozen relative to each
 * other, the cycle becomes one group, and lambda rises on. When no edge is left that could shorten anything, everything
 * that can be balanced is.
 *
 * No cycle has a mean below the shortest edge: there lambda begins, with the tree that Dijkstra finds. The source is
 * the best connected vertex. In a well-connected graph its group soon swallows most of the others, and as it never
 * moves, a contraction touches what joins it and what hangs below that, not all that is in it. What a source does not
 * reach gets another; edges between the regions of two sources are on no cycle and are left out.
 *
 * A group is a linked list of the caller's vertices; `shift` is a member's offset within it. A group's distance is
 * cost - lambda * count. Each vertex knows which edge into it will be the first to shorten the way to its group. Edges
 * that have become inner ones are dropped from the lists when they are met. */
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

/* The edges into (or out of) each vertex. */
typedef struct {
    arc *arcs;
    uint32_t *first, *end; /* of a vertex; first: n + 1 */
} arc_lists;

typedef struct {
    uint32_t n;
    const tspi_balance_edge *edges;
    double lambda;
    uint64_t work; /* edges and members looked at */
    /* Vertices. */
    arc_lists in, out;
    uint32_t *group, *next_member;
    double *shift;
    double *key; /* lambda at which best_edge shortens the way to the vertex's group; INFINITY: never */
    uint32_t *best_edge;
    uint32_t *heap, *heap_at; /* by key */
    uint32_t heap_n;
    uint32_t *list; /* of groups that move, and so do they: */
    uint8_t *moved;
    /* Groups, each with the name of one of its vertices. */
    uint32_t *first_member;
    uint32_t *parent, *first_child, *next_child, *prev_child;
    double *cost;
    int32_t *count;
    uint8_t *rooted;
    uint32_t *subtree; /* being moved */
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
    uint32_t **words[] = {&s->group,      &s->next_member,  &s->best_edge, &s->heap,        &s->heap_at, &s->list,
                          &s->subtree,    &s->first_member, &s->parent,    &s->first_child, &s->in.end,  &s->out.end,
                          &s->next_child, &s->prev_child,   &s->in.first,  &s->out.first};
    double **doubles[] = {&s->shift, &s->key, &s->cost};
    size_t words_n = sizeof words / sizeof *words, doubles_n = sizeof doubles / sizeof *doubles;
    size_t need = (words_n + 1) * ((n + 1) * sizeof(uint32_t) + 16) + doubles_n * (n * sizeof(double) + 16) +
                  2 * (m * sizeof(arc) + 16) + 2 * ((size_t)n + 16);

    if (balancer->cap < need) {
        free(balancer->memory);
        balancer->memory = malloc(need);
        balancer->cap = balancer->memory ? need : 0;
        if (!balancer->memory)
            return false;
    }
    char *at = balancer->memory;
    *s = (state){.n = n, .edges = edges};
    for (size_t k = 0; k < words_n; k++)
        *words[k] = carve(&at, (n + 1) * sizeof **words[k]);
    for (size_t k = 0; k < doubles_n; k++)
        *doubles[k] = carve(&at, n * sizeof **doubles[k]);
    s->count = carve(&at, n * sizeof *s->count);
    s->in.arcs = carve(&at, m * sizeof(arc));
    s->out.arcs = carve(&at, m * sizeof(arc));
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
    }
    for (uint32_t e = 0; e < m; e++) {
        uint32_t at = in ? edges[e].to : edges[e].from, other = in ? edges[e].from : edges[e].to;
        lists->arcs[lists->end[at]++] = (arc){other, e, edges[e].w};
    }
}

/* A binary heap of vertices by key; ties go to the lower number, so that the result depends on the input alone. */
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

static inline void offer_key(state *s, uint32_t v, double key, uint32_t e)
{
    if (key < s->key[v] || (key == s->key[v] && e < s->best_edge[v] && key < INFINITY)) {
        s->key[v] = key;
        s->best_edge[v] = e;
    }
}

/* The best of the edges into v. */
static void renew_key(state *s, uint32_t v)
{
    uint32_t k = s->in.first[v], end = s->in.end[v], b = s->group[v];

    s->key[v] = INFINITY;
    s->best_edge[v] = NONE;
    s->work += end - k + 1;
    while (k < end) {
        const arc *at = &s->in.arcs[k];
        uint32_t a = s->group[at->other];
        if (a == b) {
            s->in.arcs[k] = s->in.arcs[--end];
            continue;
        }
        offer_key(s, v, arc_key(s, at->w + s->shift[at->other] - s->shift[v], a, b, s->key[v]), at->edge);
        k++;
    }
    s->in.end[v] = end;
    heap_fix(s, v);
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

static uint32_t list_members(state *s, uint32_t group, uint32_t list_n)
{
    for (uint32_t v = s->first_member[group]; v != NONE; v = s->next_member[v]) {
        s->list[list_n++] = v;
        s->moved[v] = 1;
    }
    return list_n;
}

/* Add to the cost and count of a group and of all below it, and append their members to the list. */
static uint32_t move_subtree(state *s, uint32_t group, uint32_t list_n, double cost, int32_t count)
{
    uint32_t n = 0;

    s->subtree[n++] = group;
    for (uint32_t done = 0; done < n; done++) {
        uint32_t g = s->subtree[done];
        s->cost[g] += cost;
        s->count[g] += count;
        list_n = list_members(s, g, list_n);
        for (uint32_t child = s->first_child[g]; child != NONE; child = s->next_child[child])
            s->subtree[n++] = child;
    }
    return list_n;
}

/* What the group of u moving means to vertex v, the head of an edge out of it. fewer: counts may have fallen, so that
 * v's old best edge may have become worse. */
static void offer_arc(state *s, uint32_t u, const arc *at, bool fewer)
{
    uint32_t v = at->other, a = s->group[u], b = s->group[v], best = s->best_edge[v];

    if (s->moved[v]) /* in the list itself */
        return;
    if (a == b ? best == at->edge : fewer && best != NONE && s->moved[s->edges[best].from]) {
        renew_key(s, v);
        return;
    }
    double key = a == b ? INFINITY : arc_key(s, at->w + s->shift[u] - s->shift[v], a, b, s->key[v]);
    if (key <= s->key[v] && key < INFINITY) {
        offer_key(s, v, key, at->edge);
        heap_fix(s, v);
    }
}

static void offer_from(state *s, uint32_t u, bool fewer)
{
    uint32_t k = s->out.first[u], end = s->out.end[u];

    s->work += end - k + 1;
    while (k < end) {
        const arc *at = &s->out.arcs[k];
        offer_arc(s, u, at, fewer);
        if (s->group[at->other] == s->group[u])
            s->out.arcs[k] = s->out.arcs[--end];
        else
            k++;
    }
    s->out.end[u] = end;
}

/* After the groups of the listed vertices moved: their keys, and those of the heads of their edges. */
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

/* Hand the members of b to a. */
static void absorb(state *s, uint32_t a, uint32_t b, double *level)
{
    uint32_t last = s->first_member[b];
    bool is_new = s->rooted[b] && !s->rooted[a];

    if (s->rooted[a])
        set_level(s, b, level);
    for (;; last = s->next_member[last]) {
        s->group[last] = a;
        if (s->next_member[last] == NONE)
            break;
    }
    s->next_member[last] = s->first_member[a];
    s->first_member[a] = s->first_member[b];
    s->rooted[a] |= s->rooted[b];
    if (is_new)
        set_level(s, a, level);
}

/* Children of b, which is about to become a part of a, hang below a from now on. */
static uint32_t hand_children(state *s, uint32_t a, uint32_t b, double shift, uint32_t list_n)
{
    uint32_t child;

    while ((child = s->first_child[b]) != NONE) {
        unhang(s, child);
        hang(s, child, a);
        list_n = move_subtree(s, child, list_n, shift, s->count[a] - s->count[b]);
    }
    return list_n;
}

/* The tree path from top down to bottom closes into a cycle of mean lambda: make it one group, in the place of top. At
 * this lambda no distance changes, and for the members of top nothing does. */
static void contract(state *s, uint32_t top, uint32_t bottom, double *level)
{
    uint32_t list_n = 0, above;

    for (uint32_t v = bottom; v != top; v = above) {
        double lead = s->lambda * (s->count[v] - s->count[top]), shift = s->cost[v] - s->cost[top] - lead;
        above = s->parent[v];
        unhang(s, v);
        list_n = hand_children(s, top, v, -lead, list_n);
        list_n = list_members(s, v, list_n);
        for (uint32_t u = s->first_member[v]; u != NONE; u = s->next_member[u])
            s->shift[u] += shift;
        absorb(s, top, v, level);
    }
    renew_moved(s, list_n, true);
}

static bool is_below(state *s, uint32_t v, uint32_t top)
{
    for (; v != NONE && v != top; s->work++)
        v = s->parent[v];
    return v == top;
}

static void begin(state *s, const uint8_t *root, double *ret_level)
{
    s->heap_n = s->n;
    for (uint32_t v = 0; v < s->n; v++) {
        s->group[v] = s->first_member[v] = v;
        s->next_member[v] = s->parent[v] = s->first_child[v] = s->best_edge[v] = NONE;
        s->shift[v] = s->cost[v] = 0;
        s->count[v] = 0;
        s->rooted[v] = root && root[v];
        s->moved[v] = 0;
        s->key[v] = INFINITY;
        heap_place(s, v, v);
        ret_level[v] = INFINITY;
    }
}

/* The vertex with the most edges both ways. */
static uint32_t best_connected(const state *s)
{
    uint32_t best = 0, most = 0;

    for (uint32_t v = 0; v < s->n; v++) {
        uint32_t in = s->in.end[v] - s->in.first[v], out = s->out.end[v] - s->out.first[v];
        if ((in < out ? in : out) > most) {
            most = in < out ? in : out;
            best = v;
        }
    }
    return best;
}

/* The tree at the least lambda (Dijkstra): key is the distance there. ret_region: number of the source that reached a
 * vertex, from 1. Returns how many there are. */
static uint32_t first_tree(state *s, uint32_t *ret_region)
{
    uint32_t regions = 0;

    memset(ret_region, 0, s->n * sizeof *ret_region);
    while (s->heap_n > 0) {
        uint32_t v = s->heap[0];
        if (s->key[v] == INFINITY) { /* no edge leads on */
            v = regions++ ? v : best_connected(s);
            s->key[v] = 0;
        }
        heap_remove(s, v);
        ret_region[v] = regions;
        for (uint32_t k = s->out.first[v]; k < s->out.end[v]; k++) {
            const arc *at = &s->out.arcs[k];
            double key = s->key[v] + (at->w - s->lambda);
            if (ret_region[at->other] || !(key < s->key[at->other]))
                continue;
            s->key[at->other] = key;
            s->parent[at->other] = v;
            s->cost[at->other] = s->cost[v] + at->w;
            s->count[at->other] = s->count[v] + 1;
            heap_fix(s, at->other);
        }
    }
    return regions;
}

static void drop_between(const state *s, arc_lists *lists, const uint32_t *region)
{
    for (uint32_t v = 0; v < s->n; v++)
        for (uint32_t k = lists->first[v]; k < lists->end[v];) {
            if (region[v] == region[lists->arcs[k].other])
                k++;
            else
                lists->arcs[k] = lists->arcs[--lists->end[v]];
        }
}

static void plant(state *s, const tspi_balance_edge *edges, size_t edges_n)
{
    uint32_t *region = s->subtree;

    s->lambda = INFINITY;
    for (size_t e = 0; e < edges_n; e++)
        s->lambda = fmin(s->lambda, edges[e].w);
    if (first_tree(s, region) > 1) {
        drop_between(s, &s->in, region);
        drop_between(s, &s->out, region);
    }
    for (uint32_t v = 0; v < s->n; v++) {
        if (s->parent[v] != NONE)
            hang(s, v, s->parent[v]);
        s->key[v] = INFINITY;
        heap_place(s, v, v);
    }
    s->heap_n = s->n;
    for (uint32_t v = 0; v < s->n; v++)
        renew_key(s, v);
}

bool tspi_balance(tspi_balancer *balancer, uint32_t n, const tspi_balance_edge *edges, size_t edges_n,
                  const uint8_t *root, double *ret_x, uint32_t *ret_group, double *ret_level)
{
    state s;

    if (edges_n >= NONE || !state_init(&s, balancer, n, edges, edges_n))
        return false;
    list_arcs(&s.in, n, edges, edges_n, true);
    list_arcs(&s.out, n, edges, edges_n, false);
    begin(&s, root, ret_level);
    plant(&s, edges, edges_n);
    while (s.heap_n > 0 && s.key[s.heap[0]] < INFINITY && s.work < BALANCE_WORK) {
        uint32_t v = s.heap[0], e = s.best_edge[v], b = s.group[v], a = s.group[edges[e].from];
        s.lambda = s.key[v];
        if (is_below(&s, a, b)) {
            contract(&s, b, a, ret_level);
            continue;
        }
        double cost = s.cost[a] + edges[e].w + s.shift[edges[e].from] - s.shift[v] - s.cost[b];
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
