#include "solve/hunt.h"

#include <math.h>
#include <stdlib.h>

#include "solve/constants.h"
#include "solve/motion.h"
#include "solve/order.h"
#include "solve/parallel.h"

/* What a series says of a change at one place. */
typedef struct {
    uint32_t place; /* window, or BEND_LEADS a window */
    bool alone;     /* between windows that do not follow each other: other series have no such place */
    double ratio;   /* the gain of a change of its own */
    double s, i;    /* score and information, under the rate noise that suits a change there best; */
    double loss;    /* by which that alone worsens the fit */
    double spared;  /* by which leaving out the place's window alone betters it */
} clue;

typedef struct {
    clue *clues; /* owned */
    uint32_t n;
} clues;

typedef struct {
    const tspi_fit *fit;
    tspi_change change;
    clues *all; /* owned, nodes */
} hunt;

static uint32_t parts_of(const hunt *h)
{
    return h->change == TSPI_BEND ? BEND_LEADS : 1;
}

static double least_of(const hunt *h)
{
    return h->change == TSPI_BEND ? BEND_RATIO : STEP_RATIO;
}

/* A jump's size is not known before: any, but not below STEP_SIZE_LEAST; a rate changes like a rate. */
static double gain_of(tspi_change change, double s, double i)
{
    if (!(i > 0))
        return 0;
    return tspi_score_gain(
        s, i, change == TSPI_BEND ? BEND_PRIOR * BEND_PRIOR : fmax(s * s / (i * i), STEP_SIZE_LEAST * STEP_SIZE_LEAST));
}

static double bend_lead(const tspi_trend *trend, uint32_t k, uint32_t part)
{
    return (trend->t[k] - trend->t[k - 1]) * (2 * part + 1) / (2 * BEND_LEADS);
}

/* Takes in what one rate noise says; without, with: the least misfits so far. */
static void weigh(clue *c, tspi_change change, double misfit, double s, double i, double *without, double *with)
{
    double changed = misfit - gain_of(change, s, i);

    *without = fmin(*without, misfit);
    if (changed < *with) {
        *with = changed;
        c->s = s;
        c->i = i;
        c->loss = misfit; /* until without is known */
    }
}

static void weigh_steps(const tspi_trend *trend, double misfit, const tspi_score *score, clue *out, double *without,
                        double *with)
{
    for (uint32_t g = STEP_EDGE; g + STEP_EDGE < trend->n; g++) {
        const tspi_score *left = &score[g];
        double s, i, k = left->cross / left->error_info;
        tspi_score_of(left + 1, -1, &s, &i);
        double left_out = misfit + log(left->error_info) - left->error * left->error / left->error_info;
        weigh(&out[g], TSPI_STEP, left_out, s - k * left->error, i - k * left->cross, &without[g], &with[g]);
    }
}

static void weigh_bends(const tspi_trend *trend, double misfit, const tspi_score *score, clue *out, double *without,
                        double *with)
{
    for (uint32_t k = 2; k + 2 < trend->n; k++)
        for (uint32_t part = 0; part < BEND_LEADS; part++) {
            uint32_t p = k * BEND_LEADS + part;
            double s, i;
            tspi_score_of(&score[k], bend_lead(trend, k, part), &s, &i);
            weigh(&out[p], TSPI_BEND, misfit, s, i, &without[p], &with[p]);
        }
}

/* The changes known already, as shocks. */
static bool known_shocks(const tspi_fit *fit, uint32_t node, tspi_shock **ret_shocks, uint32_t *ret_n)
{
    const tspi_series *s = &fit->series[node];
    const tspi_seen seen = {.node = node, .window = s->window, .at = s->at, .trend = {.n = s->n}};
    tspi_known *known = malloc(((size_t)fit->bends_n + 1) * sizeof *known);

    *ret_n = known ? tspi_motion_known(fit, &seen, false, known) : 0;
    *ret_shocks = malloc(((size_t)*ret_n + 1) * sizeof **ret_shocks);
    for (uint32_t k = 0; *ret_shocks && k < *ret_n; k++)
        (*ret_shocks)[k] = known[k].shock;
    free(known);
    return known && *ret_shocks;
}

/* What a series says of each place. */
static bool follow(const hunt *h, uint32_t node, clues *out)
{
    const tspi_series *s = &h->fit->series[node];
    const uint32_t parts = parts_of(h), places = s->n * parts;
    clue *c = out->clues = calloc(places, sizeof *c);
    double *t = malloc(s->n * (6 * sizeof *t + sizeof(tspi_score)) + 2 * (size_t)places * sizeof *t);
    tspi_shock *shocks = NULL;
    uint32_t shocks_n;
    bool ok = c && t && known_shocks(h->fit, node, &shocks, &shocks_n);

    out->n = 0;
    if (ok) {
        double *y = t + s->n, *scratch = y + s->n, *without = scratch + 4 * s->n, *with = without + places;
        tspi_score *score = (tspi_score *)(with + places);
        for (uint32_t k = 0; k < s->n; k++) {
            t[k] = (s->local[k] - s->local[0]) * 1e-9;
            y[k] = s->total[k] - s->total[s->n / 2];
        }
        double plain = INFINITY;
        for (uint32_t p = 0; p < places; p++)
            without[p] = with[p] = INFINITY;
        for (int q = 0; q < RATE_NOISE_GRID; q++) {
            double noise = pow(10, RATE_NOISE_LEAST + q);
            tspi_trend trend = {s->n, t, y, s->noise, noise, STEP_RATE_PRIOR * STEP_RATE_PRIOR};
            double misfit = tspi_trend_scores(&trend, shocks, shocks_n, scratch, score);
            plain = fmin(plain, misfit);
            (parts > 1 ? weigh_bends : weigh_steps)(&trend, misfit, score, c, without, with);
        }
        for (uint32_t p = 0; p < places; p++) {
            uint32_t k = p / parts;
            if (isinf(with[p]))
                continue;
            c[out->n] = (clue){s->at[k] * parts + p % parts,
                               s->at[k] != s->at[k - 1] + 1,
                               without[p] - with[p],
                               c[p].s,
                               c[p].i,
                               c[p].loss - without[p],
                               plain - without[p]};
            out->n++;
        }
    }
    free(t);
    free(shocks);
    return ok;
}

/* Places are held against each other by what the change and the window left out better together: without its window
 * even a wild rate follows a jump, and a place beside it, which keeps that window, would look likelier. */
static double rank_of(const clue *c)
{
    return c->ratio + c->spared;
}

static const clue *likeliest(const hunt *h, const clues *of)
{
    const clue *best = NULL;

    for (uint32_t k = 0; k < of->n; k++)
        if (of->clues[k].ratio >= least_of(h) && (!best || rank_of(&of->clues[k]) > rank_of(best)))
            best = &of->clues[k];
    return best;
}

static bool hunt_node(void *hunt_, size_t node, unsigned worker)
{
    const hunt *h = hunt_;
    const tspi_series *s = &h->fit->series[node];

    (void)worker;
    if (isnan(s->sigma) || s->n < (h->change == TSPI_BEND ? BEND_WINDOWS : 2 * STEP_EDGE + 3) ||
        h->fit->root[h->fit->node_clock[node]])
        return true;
    return follow(h, (uint32_t)node, &h->all[node]);
}

/* What happened at a place, and when. */
static tspi_find find_at(const hunt *h, double ratio, double spared, uint32_t clock, uint32_t node, uint32_t place,
                         double length, double size)
{
    uint32_t parts = parts_of(h), window = place / parts;
    double before = h->change == TSPI_BEND ? (2 * (place % parts) + 1) / (2.0 * parts) : 0;

    return (tspi_find){
        .ratio = ratio,
        .spared = spared,
        .clock = clock,
        .node = node,
        .window = window,
        .t = h->fit->t_first + length * (window + 0.5 - before),
        .size = size,
    };
}

/* best_rank: of *best. */
static void best_own(const hunt *h, tspi_find *best, double *best_rank)
{
    for (uint32_t node = 0; node < h->fit->nodes; node++) {
        const clue *c = likeliest(h, &h->all[node]);
        if (!c || rank_of(c) <= *best_rank)
            continue;
        *best_rank = rank_of(c);
        *best = find_at(h, c->ratio, c->spared, h->fit->node_clock[node], node, c->place, h->fit->series[node].window,
                        c->s / c->i);
    }
}

/* What all series of a group say of one place. */
typedef struct {
    double s, i, loss, spared;
    uint32_t series;
} sum;

/* The root's own window noise is in all series at once, and makes common scores scatter by more than their information
 * says: as much more as the second differences of a window's sights scatter in common than each by itself. */
static bool inflation(const tspi_fit *fit, const uint32_t *nodes, uint32_t nodes_n, uint32_t windows, double *ret)
{
    size_t own_n = 0, common_n = 0, total = 0;

    for (uint32_t k = 0; k < nodes_n; k++)
        total += fit->series[nodes[k]].n;
    sum *sums = calloc(windows + 1, sizeof *sums);
    double *own = malloc((total + windows + 1) * sizeof *own), *common = own + total;
    for (uint32_t k = 0; sums && own && k < nodes_n; k++) {
        const tspi_series *s = &fit->series[nodes[k]];
        for (uint32_t j = 1; j + 1 < s->n; j++) {
            if (s->at[j + 1] != s->at[j - 1] + 2)
                continue;
            double d = s->total[j + 1] - 2 * s->total[j] + s->total[j - 1];
            double variance = s->noise[j + 1] + 4 * s->noise[j] + s->noise[j - 1];
            sum *at = &sums[s->at[j]];
            own[own_n++] = d * d / variance;
            at->s += d / variance;
            at->i += 1 / variance;
            at->series++;
        }
    }
    for (uint32_t w = 0; sums && own && w < windows; w++)
        if (sums[w].series >= 2)
            common[common_n++] = sums[w].s * sums[w].s / sums[w].i;
    *ret = common_n ? fmax(1, tspi_median(common, common_n) / fmax(tspi_median(own, own_n), 1e-3)) : 1;
    bool ok = sums && own;
    free(sums);
    free(own);
    return ok;
}

static bool hunt_root(const hunt *h, uint32_t root, const uint32_t *nodes, uint32_t nodes_n, tspi_find *best,
                      double *best_rank)
{
    uint32_t places = 0;

    for (uint32_t k = 0; k < nodes_n; k++) {
        const clues *of = &h->all[nodes[k]];
        places = of->n && of->clues[of->n - 1].place >= places ? of->clues[of->n - 1].place + 1 : places;
    }
    sum *sums = calloc(places + 1, sizeof *sums);
    double inflated = 1;
    for (uint32_t k = 0; sums && k < nodes_n; k++)
        for (uint32_t q = 0; q < h->all[nodes[k]].n; q++) {
            const clue *c = &h->all[nodes[k]].clues[q];
            sum *at = &sums[c->place];
            if (c->alone)
                continue;
            at->s += c->s;
            at->i += c->i;
            at->loss += c->loss;
            at->spared += c->spared;
            at->series++;
        }
    bool ok = sums && inflation(h->fit, nodes, nodes_n, places / parts_of(h) + 2, &inflated);
    for (uint32_t p = 0; ok && p < places; p++) {
        if (sums[p].series < 2)
            continue;
        double ratio = gain_of(h->change, sums[p].s, sums[p].i) - sums[p].loss;
        if (ratio / inflated <= least_of(h) || ratio + sums[p].spared <= *best_rank)
            continue;
        *best_rank = ratio + sums[p].spared;
        *best = find_at(h, ratio, sums[p].spared, root, UINT32_MAX, p, h->fit->series[nodes[0]].window,
                        -sums[p].s / sums[p].i);
    }
    free(sums);
    return ok;
}

/* Group by group: the nodes with clues, and the root. */
static bool hunt_roots(const hunt *h, tspi_find *best, double *best_rank)
{
    const tspi_fit *fit = h->fit;
    uint32_t *first = calloc((size_t)fit->clocks + 2, sizeof *first), *nodes = malloc((fit->nodes + 1) * sizeof *nodes);
    bool ok = first && nodes;

    for (uint32_t node = 0; ok && node < fit->nodes; node++)
        if (h->all[node].n)
            first[fit->group[fit->node_clock[node]] + 2]++;
    for (uint32_t g = 1; ok && g <= fit->clocks; g++)
        first[g + 1] += first[g];
    for (uint32_t node = 0; ok && node < fit->nodes; node++)
        if (h->all[node].n)
            nodes[first[fit->group[fit->node_clock[node]] + 1]++] = node;
    for (uint32_t root = 0; ok && root < fit->clocks; root++) {
        uint32_t g = fit->group[root];
        if (fit->root[root] && root != fit->still && first[g + 1] - first[g] >= 2)
            ok = hunt_root(h, root, nodes + first[g], first[g + 1] - first[g], best, best_rank);
    }
    free(first);
    free(nodes);
    return ok;
}

bool tspi_hunt(const tspi_fit *fit, tspi_change change, tspi_find *ret_find)
{
    hunt h = {.fit = fit, .change = change, .all = calloc((size_t)fit->nodes + 1, sizeof *h.all)};
    double rank = 0;
    bool ok = h.all && tspi_parallel(fit->threads, fit->nodes, hunt_node, &h);

    *ret_find = (tspi_find){.ratio = 0};
    if (ok) {
        best_own(&h, ret_find, &rank);
        ok = hunt_roots(&h, ret_find, &rank);
    }
    for (uint32_t node = 0; h.all && node < fit->nodes; node++)
        free(h.all[node].clues);
    free(h.all);
    return ok;
}
