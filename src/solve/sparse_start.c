/* A straight line per clock where windows would hold too few hops: minimise the sum of |r - s - d_pair - x_to + x_from|
 * with one free delay d a pair, the same both ways. Iteratively reweighted least squares; the delays are eliminated
 * (each is its pair's weighted mean), and each round's normal equations are solved by conjugate gradients, which need
 * no matrix. Lines are anchored amid their clock's own hops, and slopes have a prior: a clock that speaks for a moment
 * of the run shows an offset, but no drift. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "solve/constants.h"
#include "solve/estimate.h"

typedef struct {
    uint32_t i, j, pair;
    double tau, w; /* time in [-1, 1]; slack */
} sample;

typedef struct {
    sample *samples; /* owned */
    size_t n;
    uint32_t clocks, pairs;
    const uint8_t *root;
    double *weight;                 /* owned, n */
    double *deviation;              /* owned, n */
    double *pair_sum, *pair_weight; /* owned, pairs */
    double *centre;                 /* owned, clocks: the mean tau of its samples, where its line is anchored */
    double rate_prior;              /* of a slope, ns a unit of tau */
    double *memory;                 /* owned: vectors of 2 clocks */
} line_fit;

/* deviation -= its pair's weighted mean. */
static void remove_delays(line_fit *f)
{
    memset(f->pair_sum, 0, f->pairs * sizeof *f->pair_sum);
    memset(f->pair_weight, 0, f->pairs * sizeof *f->pair_weight);
    for (size_t k = 0; k < f->n; k++) {
        f->pair_sum[f->samples[k].pair] += f->weight[k] * f->deviation[k];
        f->pair_weight[f->samples[k].pair] += f->weight[k];
    }
    for (size_t k = 0; k < f->n; k++)
        f->deviation[k] -= f->pair_sum[f->samples[k].pair] / f->pair_weight[f->samples[k].pair];
}

static double line(const line_fit *f, const double *theta, uint32_t clock, double tau)
{
    return theta[2 * clock] + theta[2 * clock + 1] * (tau - f->centre[clock]);
}

/* out = A' W deviation, roots' parameters held at zero. */
static void gather(const line_fit *f, double *out)
{
    memset(out, 0, 2 * f->clocks * sizeof *out);
    for (size_t k = 0; k < f->n; k++) {
        const sample *s = &f->samples[k];
        double v = f->weight[k] * f->deviation[k];
        out[2 * s->j] += v;
        out[2 * s->j + 1] += v * (s->tau - f->centre[s->j]);
        out[2 * s->i] -= v;
        out[2 * s->i + 1] -= v * (s->tau - f->centre[s->i]);
    }
    for (uint32_t c = 0; c < f->clocks; c++)
        if (f->root[c])
            out[2 * c] = out[2 * c + 1] = 0;
}

/* What keeps lines where hops leave them open: levels hardly, slopes by their prior. */
typedef struct {
    double level, slope;
} ridge;

static void apply(line_fit *f, const double *theta, ridge by, double *out)
{
    for (size_t k = 0; k < f->n; k++) {
        const sample *s = &f->samples[k];
        f->deviation[k] = line(f, theta, s->j, s->tau) - line(f, theta, s->i, s->tau);
    }
    remove_delays(f);
    gather(f, out);
    for (uint32_t c = 0; c < f->clocks; c++) {
        out[2 * c] += by.level * theta[2 * c];
        out[2 * c + 1] += by.slope * theta[2 * c + 1];
    }
}

/* A slope of its prior weighs as much as one hop that deviates as hops do on average. */
static ridge find_ridge(const line_fit *f)
{
    double weights = 0, deviations = 0;

    for (size_t k = 0; k < f->n; k++) {
        weights += f->weight[k];
        deviations += f->weight[k] * f->deviation[k] * f->deviation[k];
    }
    return (ridge){2e-9 * weights / f->clocks,
                   fmax(deviations / (double)f->n / (f->rate_prior * f->rate_prior), 2e-9 * weights / f->clocks)};
}

static double dot(const double *a, const double *b, uint32_t n)
{
    double sum = 0;

    for (uint32_t k = 0; k < n; k++)
        sum += a[k] * b[k];
    return sum;
}

/* One weighted fit, from the theta of the last. */
static void solve_weighted(line_fit *f, double *theta, double *r, double *p, double *ap)
{
    uint32_t n = 2 * f->clocks;
    ridge by = find_ridge(f);
    double rr, first;

    for (size_t k = 0; k < f->n; k++)
        f->deviation[k] = f->samples[k].w;
    remove_delays(f);
    gather(f, r);
    first = dot(r, r, n);
    apply(f, theta, by, ap);
    for (uint32_t k = 0; k < n; k++)
        p[k] = r[k] -= ap[k];
    rr = dot(r, r, n);
    for (int round = 0; round < LINE_SOLVER_ROUNDS && rr > 1e-12 * first; round++) {
        apply(f, p, by, ap);
        double step = rr / dot(p, ap, n), last = rr;
        if (!isfinite(step))
            return;
        for (uint32_t k = 0; k < n; k++) {
            theta[k] += step * p[k];
            r[k] -= step * ap[k];
        }
        rr = dot(r, r, n);
        for (uint32_t k = 0; k < n; k++)
            p[k] = r[k] + rr / last * p[k];
    }
}

/* Hops of pairs that are seen both ways, thinned evenly to as many as lines need. */
static bool take_samples(line_fit *f, const tspi_fit *fit)
{
    const tspi_hop_store *hops = fit->hops;
    size_t wanted = (f->clocks ? (size_t)f->clocks : 1) * LINE_HOPS_A_CLOCK;
    size_t stride = hops->n / (wanted < LINE_HOPS ? wanted : LINE_HOPS) + 1;
    double mid = (fit->t_first + fit->t_last) / 2, half = fmax((fit->t_last - fit->t_first) / 2, 1);
    uint32_t *pair_of = calloc(hops->edges_n + 1, sizeof *pair_of);

    f->samples = malloc((hops->n / stride + hops->edges_n + 1) * sizeof *f->samples);
    if (!pair_of || !f->samples) {
        free(pair_of);
        return false;
    }
    for (size_t e = 0; e < hops->edges_n; e++) {
        const tspi_stored_edge *edge = &hops->edges[e], *back = tspi_hop_store_back(hops, edge);
        if (!back)
            continue;
        pair_of[e] = back < edge ? pair_of[back - hops->edges] : f->pairs++;
        for (size_t k = edge->first; k < edge->first + edge->n; k += stride)
            if (!(hops->hops[k].flags & fit->without) && fit->t[k] >= fit->t_first && fit->t[k] <= fit->t_last)
                f->samples[f->n++] = (sample){edge->from, edge->to, pair_of[e], (fit->t[k] - mid) / half, fit->u[k]};
    }
    free(pair_of);
    return true;
}

/* memory is scratch, and zero again afterwards. */
static void find_centres(line_fit *f)
{
    double *n = f->memory;

    for (size_t k = 0; k < f->n; k++) {
        const sample *s = &f->samples[k];
        f->centre[s->i] += s->tau;
        f->centre[s->j] += s->tau;
        n[s->i]++;
        n[s->j]++;
    }
    for (uint32_t c = 0; c < f->clocks; c++) {
        f->centre[c] /= fmax(n[c], 1);
        n[c] = 0;
    }
}

bool tspi_sparse_start(tspi_fit *fit)
{
    line_fit f = {.clocks = fit->clocks, .root = fit->root};
    size_t vector = 2 * (size_t)fit->clocks;
    bool ok = false;

    if (!take_samples(&f, fit))
        goto out;
    ok = true;
    if (f.n < 4 * (size_t)fit->clocks)
        goto out;
    f.weight = malloc(f.n * sizeof *f.weight);
    f.deviation = malloc(f.n * sizeof *f.deviation);
    f.pair_sum = malloc(f.pairs * sizeof *f.pair_sum);
    f.pair_weight = malloc(f.pairs * sizeof *f.pair_weight);
    f.centre = calloc((size_t)f.clocks + 1, sizeof *f.centre);
    f.memory = calloc(5 * vector, sizeof *f.memory);
    ok = f.weight && f.deviation && f.pair_sum && f.pair_weight && f.centre && f.memory;
    if (!ok)
        goto out;
    find_centres(&f);
    f.rate_prior = LINE_RATE_PRIOR * fmax((fit->t_last - fit->t_first) / 2, 1) / 1e9;
    for (size_t k = 0; k < f.n; k++) {
        f.weight[k] = 1;
        f.deviation[k] = f.samples[k].w;
    }
    remove_delays(&f);
    double *theta = f.memory;
    for (int round = 0; round < LINE_ROUNDS; round++) {
        memcpy(theta + 4 * vector, theta, vector * sizeof *theta);
        solve_weighted(&f, theta, theta + vector, theta + 2 * vector, theta + 3 * vector);
        double moved = 0;
        for (size_t k = 0; k < vector; k++)
            moved = fmax(moved, fabs(theta[k] - theta[4 * vector + k]));
        if (moved < LINE_CLOSE_NS)
            break;
        for (size_t k = 0; k < f.n; k++) {
            const sample *s = &f.samples[k];
            f.deviation[k] = s->w - line(&f, theta, s->j, s->tau) + line(&f, theta, s->i, s->tau);
        }
        remove_delays(&f);
        for (size_t k = 0; k < f.n; k++)
            f.weight[k] = 1 / fmax(fabs(f.deviation[k]), LINE_FLOOR_NS);
    }
    for (uint32_t c = 0; ok && c < fit->clocks; c++) {
        if (fit->root[c] || !fit->joined[c])
            continue;
        double half = (fit->t_last - fit->t_first) / 2, most = fit->rho * half;
        double slope = fmin(fmax(theta[2 * c + 1], -most), most);
        double mid = theta[2 * c] - slope * f.centre[c]; /* the line turns about its anchor when its slope is cut */
        double t[2] = {fit->t_first, fit->t_last}, x[2] = {mid - slope, mid + slope};
        ok = tspi_curve_set(&fit->curves[c], t, x, 2);
    }
out:
    free(f.samples);
    free(f.weight);
    free(f.deviation);
    free(f.pair_sum);
    free(f.pair_weight);
    free(f.centre);
    free(f.memory);
    return ok;
}
