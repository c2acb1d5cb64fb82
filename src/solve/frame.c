#include "solve/frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/motion.h"
#include "solve/order.h"

/* Hops that say nothing of who is wronged. */
enum { FRAME_NO_WITNESS = TSPI_STORED_SOFT | TSPI_STORED_BOUND | TSPI_STORED_LATE | TSPI_STORED_CONFLICT };

static uint32_t find(uint32_t *up, uint32_t c)
{
    while (up[c] != c)
        c = up[c] = up[up[c]];
    return c;
}

bool tspi_frame_groups(const tspi_hop_store *hops, uint32_t clocks, uint32_t *ret_group, uint32_t *ret_groups_n)
{
    uint32_t *up = malloc(((size_t)clocks + 1) * sizeof *up), n = 0;

    if (!up)
        return false;
    for (uint32_t c = 0; c < clocks; c++)
        up[c] = c;
    for (size_t e = 0; e < hops->edges_n; e++) {
        uint32_t a = find(up, hops->edges[e].from), b = find(up, hops->edges[e].to);
        up[a > b ? a : b] = a > b ? b : a; /* the lowest clock names the group */
    }
    for (uint32_t c = 0; c < clocks; c++) {
        uint32_t first = find(up, c);
        ret_group[c] = first == c ? n++ : ret_group[first];
    }
    *ret_groups_n = n;
    free(up);
    return true;
}

/* Tarjan's strongly connected components, without recursion. */
bool tspi_frame_cycles(const tspi_hop_store *hops, uint32_t clocks, uint16_t without, uint32_t *ret_sets)
{
    size_t n = (size_t)clocks + 1;
    uint32_t *memory = calloc(5 * n, sizeof *memory), *number = memory, *low = memory + n, *stack = memory + 2 * n;
    uint32_t *path = memory + 3 * n, *done = memory + 4 * n; /* done: assigned to a set */
    size_t *next = calloc(n + 1, sizeof *next), *first = calloc(n + 1, sizeof *first);
    uint8_t *live = calloc(hops->edges_n + 1, 1);
    uint32_t count = 0, sets = 0;
    bool ok = memory && next && first && live;

    for (size_t e = 0; ok && e < hops->edges_n; e++) {
        for (size_t k = hops->edges[e].first; k < hops->edges[e].first + hops->edges[e].n && !live[e]; k++)
            live[e] = !(hops->hops[k].flags & without);
        first[hops->edges[e].from + 1]++;
    }
    for (uint32_t c = 0; ok && c < clocks; c++)
        first[c + 1] += first[c];
    for (uint32_t start = 0; ok && start < clocks; start++) {
        uint32_t stack_n = 0, path_n = 0;
        if (number[start])
            continue;
        path[path_n++] = stack[stack_n++] = start;
        number[start] = low[start] = ++count;
        next[start] = first[start];
        while (path_n) {
            uint32_t c = path[path_n - 1];
            if (next[c] < first[c + 1]) {
                size_t e = next[c]++;
                uint32_t to = hops->edges[e].to;
                if (!live[e])
                    continue;
                if (!number[to]) {
                    number[to] = low[to] = ++count;
                    next[to] = first[to];
                    path[path_n++] = stack[stack_n++] = to;
                } else if (!done[to] && number[to] < low[c])
                    low[c] = number[to];
                continue;
            }
            path_n--;
            if (path_n && low[c] < low[path[path_n - 1]])
                low[path[path_n - 1]] = low[c];
            if (low[c] != number[c])
                continue;
            sets++;
            while (stack_n && number[stack[stack_n - 1]] >= number[c])
                done[stack[--stack_n]] = 1;
        }
    }
    free(memory);
    free(next);
    free(first);
    free(live);
    *ret_sets = sets;
    return ok;
}

bool tspi_frame_roots(const tspi_hop_store *hops, uint32_t clocks, const uint32_t *group, uint32_t groups_n,
                      uint32_t fixed, uint8_t *ret_root)
{
    uint64_t *out = calloc(2 * ((size_t)clocks + 1), sizeof *out), *in = out + clocks + 1;
    uint32_t *best = malloc(((size_t)groups_n + 1) * sizeof *best);
    bool ok = out && best;

    for (uint32_t g = 0; ok && g < groups_n; g++)
        best[g] = TSP_NO_CLOCK;
    for (size_t e = 0; ok && e < hops->edges_n; e++) {
        out[hops->edges[e].from] += hops->edges[e].n;
        in[hops->edges[e].to] += hops->edges[e].n;
    }
    for (uint32_t c = 0; ok && c < clocks; c++) {
        uint32_t b = best[group[c]];
        if (b == TSP_NO_CLOCK || c == fixed ||
            (b != fixed && (out[c] < in[c] ? out[c] : in[c]) > (out[b] < in[b] ? out[b] : in[b])))
            best[group[c]] = c;
    }
    for (uint32_t c = 0; ok && c < clocks; c++)
        ret_root[c] = best[group[c]] == c;
    free(out);
    free(best);
    return ok;
}

/* At some instants of the run, the offset of a clock to its group's root. */
static void sample_offsets(const tspi_fit *fit, uint32_t clock, uint32_t root, double *ret_x)
{
    double shift = (double)(fit->origin[clock] - fit->origin[root]);

    for (int k = 0; k < FRAME_INSTANTS; k++) {
        double t = fit->t_first + (fit->t_last - fit->t_first) * (k + 0.5) / FRAME_INSTANTS;
        uint32_t node = tspi_sides_node(&fit->sides, clock, fit->origin[clock] + (int64_t)t);
        ret_x[k] = shift + tspi_curve_at(&fit->curves[node], t);
    }
}

/* How far from each other two clocks are at the worst of the instants, ns. */
static double apart(const double *x, uint32_t a, uint32_t b)
{
    double worst = 0;

    for (size_t k = 0; k < FRAME_INSTANTS; k++)
        worst = fmax(worst, fabs(x[a * (size_t)FRAME_INSTANTS + k] - x[b * (size_t)FRAME_INSTANTS + k]));
    return worst;
}

/* The same, beyond a constant that no one can tell from delays; capped, so that a clock far off weighs no more than
 * one that is merely off. */
static double distance(const double *x, uint32_t a, uint32_t b)
{
    double worst = apart(x, a, b);

    return worst / (worst + FRAME_SAME_NS);
}

/* One that is off the middle itself must be inverted more often than the middle is, by more than chance. */
static bool is_more_wronged(const int64_t *score, uint32_t c, uint32_t than, double apart_ns)
{
    double chance = apart_ns > FRAME_SAME_NS ? FRAME_SIGMA * sqrt((double)(llabs(score[c]) + llabs(score[than]))) : 0;

    return (double)(score[c] - score[than]) > chance;
}

/* Which of several equally central clocks is the frame decides what can be proven: the hops between a wrong clock and
 * a right one bound the two against each other, and against a third only by as much as the third's own hops leave. So
 * among those near the middle it is the one whose hops are most inverted by clocks far from it. Far: FRAME_FAR times
 * as far from the middle as the candidate is itself; a violation with one less far speaks against the candidate. */
static bool most_wronged(const tspi_fit *fit, const double *x, const uint8_t *may_root, uint8_t *ret_root,
                         uint32_t *middle)
{
    const tspi_hop_store *hops = fit->hops;
    int64_t *score = calloc((size_t)fit->clocks + 1, sizeof *score);

    if (!score)
        return false;
    for (size_t e = 0; e < hops->edges_n; e++) {
        const tspi_stored_edge *edge = &hops->edges[e];
        uint32_t centre = middle[fit->group[edge->from]];
        int64_t violated = 0;
        if (centre == TSP_NO_CLOCK || !fit->joined[edge->from] || !fit->joined[edge->to])
            continue;
        for (size_t row = edge->first; row < edge->first + edge->n; row++)
            violated += tspi_stored_slack(&hops->hops[row]) < 0 && !(hops->hops[row].flags & FRAME_NO_WITNESS);
        if (!violated)
            continue;
        double from = apart(x, edge->from, centre), to = apart(x, edge->to, centre);
        score[edge->from] += to > FRAME_FAR * from ? violated : -violated;
        score[edge->to] += from > FRAME_FAR * to ? violated : -violated;
    }
    for (uint32_t c = 0; c < fit->clocks; c++) {
        uint32_t *best = &middle[fit->group[c]];
        if (*best != TSP_NO_CLOCK && may_root[c] && is_more_wronged(score, c, *best, apart(x, c, *best))) {
            ret_root[*best] = 0;
            ret_root[c] = 1;
            *best = c;
        }
    }
    free(score);
    return true;
}

typedef struct {
    uint32_t *member, *first; /* clocks by group; first[g + 1] is where the next group's begin */
    double *x;                /* FRAME_INSTANTS offsets a clock */
    uint32_t *middle;         /* of each group; TSP_NO_CLOCK: its root stays */
    uint8_t *may_root;
} choice;

static void choice_release(choice *c)
{
    free(c->member);
    free(c->first);
    free(c->x);
    free(c->middle);
    free(c->may_root);
}

static bool choice_init(choice *c, const tspi_fit *fit, uint32_t groups_n)
{
    *c = (choice){.member = malloc(((size_t)fit->clocks + 1) * sizeof *c->member),
                  .first = calloc((size_t)groups_n + 2, sizeof *c->first),
                  .x = malloc(((size_t)fit->clocks + 1) * FRAME_INSTANTS * sizeof *c->x),
                  .middle = malloc(((size_t)groups_n + 1) * sizeof *c->middle),
                  .may_root = calloc((size_t)fit->clocks + 1, 1)};
    if (!c->member || !c->first || !c->x || !c->middle || !c->may_root)
        return false;
    for (uint32_t k = 0; k < fit->clocks; k++)
        c->first[fit->group[k] + 2]++;
    for (uint32_t g = 1; g <= groups_n; g++)
        c->first[g + 1] += c->first[g];
    for (uint32_t k = 0; k < fit->clocks; k++)
        c->member[c->first[fit->group[k] + 1]++] = k;
    return true;
}

static double from_all(const tspi_fit *fit, const choice *c, uint32_t group, uint32_t clock)
{
    uint32_t n = c->first[group + 1] - c->first[group];
    uint32_t stride = n / FRAME_COMPARED + 1; /* a bounded sample of the others: a medoid of thousands needs no more */
    double sum = 0;

    for (uint32_t q = c->first[group]; q < c->first[group + 1]; q += stride)
        if (fit->joined[c->member[q]])
            sum += distance(c->x, clock, c->member[q]);
    return sum;
}

/* The clock of a group that is least far from all, among those that may be its root. */
static uint32_t medoid(const tspi_fit *fit, const choice *c, uint32_t group)
{
    uint32_t best = TSP_NO_CLOCK;
    double least = INFINITY;

    for (uint32_t k = c->first[group]; k < c->first[group + 1]; k++) {
        double sum = c->may_root[c->member[k]] ? from_all(fit, c, group, c->member[k]) : INFINITY;
        if (sum < least) {
            least = sum;
            best = c->member[k];
        }
    }
    return best;
}

/* again: the tracks are those of a whole estimate. Then only clocks that do not move may be roots, and the root goes
 * into the choice as the middle unless it moves or is clearly out of it. */
static bool best_roots(const tspi_fit *fit, uint32_t groups_n, uint32_t fixed, bool again, uint8_t *ret_root)
{
    choice c;
    bool ok = choice_init(&c, fit, groups_n);

    for (uint32_t g = 0; ok && g < groups_n; g++) {
        uint32_t root = TSP_NO_CLOCK, *middle = &c.middle[g];
        for (uint32_t k = c.first[g]; k < c.first[g + 1]; k++)
            if (fit->root[c.member[k]])
                root = c.member[k];
        *middle = TSP_NO_CLOCK;
        if (c.first[g + 1] - c.first[g] < 3 || root == fixed)
            continue;
        for (uint32_t k = c.first[g]; k < c.first[g + 1]; k++) {
            uint32_t clock = c.member[k];
            sample_offsets(fit, clock, root, c.x + (size_t)clock * FRAME_INSTANTS);
            c.may_root[clock] = fit->joined[clock] && !(again && tspi_motion_is_there(fit, clock));
        }
        *middle = medoid(fit, &c, g);
        if (again && c.may_root[root] && from_all(fit, &c, g, *middle) > FRAME_BETTER * from_all(fit, &c, g, root))
            *middle = root;
        if (*middle != TSP_NO_CLOCK) {
            ret_root[root] = 0;
            ret_root[*middle] = 1;
        }
    }
    ok = ok && most_wronged(fit, c.x, c.may_root, ret_root, c.middle);
    choice_release(&c);
    return ok;
}

bool tspi_frame_best_roots(const tspi_fit *fit, uint32_t groups_n, uint32_t fixed, uint8_t *ret_root)
{
    return best_roots(fit, groups_n, fixed, false, ret_root);
}

bool tspi_frame_review_roots(const tspi_fit *fit, uint32_t groups_n, uint32_t fixed, uint8_t *ret_root,
                             bool *ret_changed)
{
    uint8_t *before = malloc((size_t)fit->clocks + 1);

    *ret_changed = false;
    if (!before)
        return false;
    memcpy(before, ret_root, fit->clocks);
    bool ok = best_roots(fit, groups_n, fixed, true, ret_root);
    for (uint32_t c = 0; c < fit->clocks; c++)
        *ret_changed = *ret_changed || !before[c] != !ret_root[c];
    free(before);
    return ok;
}
