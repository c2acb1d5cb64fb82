#include "solve/frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/motion.h"
#include "solve/order.h"

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

/* How far from each other two clocks are at the worst of the instants, beyond a constant that no one can tell from
 * delays; capped, so that a clock far off weighs no more than one that is merely off. */
static double distance(const double *a, const double *b)
{
    double worst = 0;

    for (int k = 0; k < FRAME_INSTANTS; k++)
        worst = fmax(worst, fabs(a[k] - b[k]));
    return worst / (worst + FRAME_SAME_NS);
}

/* still: only groups whose root moves, and only clocks that do not. */
static bool best_roots(const tspi_fit *fit, uint32_t groups_n, uint32_t fixed, bool still, uint8_t *ret_root)
{
    uint32_t *member = malloc(((size_t)fit->clocks + 1) * sizeof *member);
    uint32_t *first = calloc((size_t)groups_n + 2, sizeof *first);
    double *x = malloc(((size_t)fit->clocks + 1) * FRAME_INSTANTS * sizeof *x);
    bool ok = member && first && x;

    for (uint32_t c = 0; ok && c < fit->clocks; c++)
        first[fit->group[c] + 2]++;
    for (uint32_t g = 1; ok && g <= groups_n; g++)
        first[g + 1] += first[g];
    for (uint32_t c = 0; ok && c < fit->clocks; c++)
        member[first[fit->group[c] + 1]++] = c;
    for (uint32_t g = 0; ok && g < groups_n; g++) {
        uint32_t root = TSP_NO_CLOCK, best = TSP_NO_CLOCK, n = first[g + 1] - first[g];
        double least = INFINITY;
        for (uint32_t k = first[g]; k < first[g + 1]; k++)
            if (fit->root[member[k]])
                root = member[k];
        if (n < 3 || root == fixed || (still && !tspi_motion_is_there(fit, root)))
            continue;
        for (uint32_t k = first[g]; k < first[g + 1]; k++)
            sample_offsets(fit, member[k], root, x + (size_t)member[k] * FRAME_INSTANTS);
        /* Against a bounded sample of the others: a medoid of thousands needs no more. */
        uint32_t stride = n / FRAME_COMPARED + 1;
        for (uint32_t k = first[g]; k < first[g + 1]; k++) {
            double sum = 0;
            if (!fit->joined[member[k]] || (still && tspi_motion_is_there(fit, member[k])))
                continue;
            for (uint32_t q = first[g]; q < first[g + 1]; q += stride)
                if (fit->joined[member[q]])
                    sum += distance(x + (size_t)member[k] * FRAME_INSTANTS, x + (size_t)member[q] * FRAME_INSTANTS);
            if (sum < least) {
                least = sum;
                best = member[k];
            }
        }
        ret_root[root] = 0;
        ret_root[best == TSP_NO_CLOCK ? root : best] = 1;
    }
    free(member);
    free(first);
    free(x);
    return ok;
}

bool tspi_frame_best_roots(const tspi_fit *fit, uint32_t groups_n, uint32_t fixed, uint8_t *ret_root)
{
    return best_roots(fit, groups_n, fixed, false, ret_root);
}

bool tspi_frame_still_roots(const tspi_fit *fit, uint32_t groups_n, uint32_t fixed, uint8_t *ret_root,
                            bool *ret_changed)
{
    uint8_t *before = malloc((size_t)fit->clocks + 1);

    *ret_changed = false;
    if (!before)
        return false;
    memcpy(before, ret_root, fit->clocks);
    bool ok = !(fit->bends_n || fit->jumps_n) || best_roots(fit, groups_n, fixed, true, ret_root);
    for (uint32_t c = 0; c < fit->clocks; c++)
        *ret_changed = *ret_changed || !before[c] != !ret_root[c];
    free(before);
    return ok;
}
