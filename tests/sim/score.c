#include "score.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOPS_APART_NS 1e8 /* and more: of shapes with steps, 50 traces a second */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double quantile(const double *sorted, size_t n, double part)
{
    return n ? sorted[(size_t)(part * (double)(n - 1))] : NAN;
}

/* Within a second of a true step the truth is two-valued, and not scored. */
static bool near_step(const hop_sim *sim, uint32_t clock, int64_t stamp)
{
    const hop_sim_clock *c = &sim->truth[clock];

    for (size_t k = 0; k + 1 < c->n; k++)
        if (c->t[k] == c->t[k + 1] && fabs(hop_sim_true_time(sim, clock, stamp) - c->t[k]) < 1e9)
            return true;
    return false;
}

static bool is_right(const hop_sim *sim, uint32_t clock)
{
    for (size_t k = 0; k < sim->truth[clock].n; k++)
        if (sim->truth[clock].x[k] != 0)
            return false;
    return true;
}

static void score_steps(const hop_sim *sim, uint32_t clock, const tsp_clock_result *result, sim_score *score)
{
    const hop_sim_clock *c = &sim->truth[clock];

    score->steps += (uint32_t)result->steps_n;
    for (size_t k = 0; k + 1 < c->n; k++) {
        if (c->t[k] != c->t[k + 1])
            continue;
        score->steps_true++;
        for (size_t q = 0; q < result->steps_n; q++) {
            const tsp_step *step = &result->steps[q];
            double before = (double)(step->at_ns - sim->origin) - c->x[k];
            double after = (double)(step->after_ns - sim->origin) - c->x[k + 1];
            if (before <= c->t[k] + 1 && after >= c->t[k] - 1) {
                score->steps_found++;
                score->step_error_us =
                    fmax(score->step_error_us, fabs((double)step->size_ns - (c->x[k + 1] - c->x[k])) / 1e3);
                break;
            }
        }
    }
}

typedef struct {
    double begin, until;
} stretch;

/* The clock's stretch between steps that begins at `begin`. */
static stretch stretch_at(const hop_sim *sim, uint32_t clock, double begin)
{
    const hop_sim_clock *c = &sim->truth[clock];

    for (size_t k = 0; k + 1 < c->n; k++)
        if (c->t[k] == c->t[k + 1] && c->t[k] > begin)
            return (stretch){begin, c->t[k]};
    return (stretch){begin, sim->span_ns};
}

/* Time is what the frame's clock shows over its longest stretch between steps. Of stretches that are equally long but
 * for what lies between two hops, traffic chooses: the one over which the solver says that the clock is right. */
static stretch frame_stretch(const hop_sim *sim, uint32_t frame, const tsp_clock_result *result)
{
    stretch best = stretch_at(sim, frame, 0);
    int64_t least = INT64_MAX;

    for (stretch s = best; s.until < sim->span_ns;) {
        s = stretch_at(sim, frame, s.until);
        if (s.until - s.begin > best.until - best.begin)
            best = s;
    }
    double longest = best.until - best.begin;
    for (stretch s = {0, 0}; s.until < sim->span_ns;) {
        s = stretch_at(sim, frame, s.until);
        for (size_t k = 0; k < result->knots_n && s.until - s.begin > longest - HOPS_APART_NS; k++) {
            double t = hop_sim_true_time(sim, frame, result->knots[k].at_ns);
            int64_t off = result->knots[k].offset_ns;
            if (t <= s.begin || t >= s.until || off == TSP_NO_VALUE || (off < 0 ? -off : off) >= least)
                continue;
            least = off < 0 ? -off : off;
            best = s;
        }
    }
    return best;
}

/* What the frame's clock is ahead by at a true time, its steps taken out: time is what it shows over that stretch. */
static double frame_offset(const hop_sim *sim, uint32_t frame, const stretch *of, double t)
{
    const hop_sim_clock *c = &sim->truth[frame];
    double x = hop_sim_offset_at(sim, frame, t);

    for (size_t k = 0; k + 1 < c->n; k++)
        if (c->t[k] == c->t[k + 1] && (c->t[k] <= t) != (c->t[k] <= of->begin))
            x -= (c->x[k + 1] - c->x[k]) * (c->t[k] <= t ? 1 : -1);
    return x;
}

static void score_clock(const hop_sim *sim, uint32_t frame, const stretch *of, uint32_t clock,
                        const tsp_clock_result *result, sim_score *score, double *errors, double *widths,
                        size_t *widths_n)
{
    for (size_t k = 0; k < result->knots_n; k++) {
        const tsp_knot *knot = &result->knots[k];
        double truth = hop_sim_offset(sim, clock, knot->at_ns) -
                       frame_offset(sim, frame, of, hop_sim_true_time(sim, clock, knot->at_ns));
        bool open = knot->lo_ns == TSP_UNBOUNDED_LO || knot->hi_ns == TSP_UNBOUNDED_HI;
        if (near_step(sim, clock, knot->at_ns))
            continue;
        score->knots++;
        score->one_sided += open;
        score->covered += (knot->lo_ns == TSP_UNBOUNDED_LO || (double)knot->lo_ns <= truth + 2) &&
                          (knot->hi_ns == TSP_UNBOUNDED_HI || (double)knot->hi_ns >= truth - 2);
        if (knot->offset_ns != TSP_NO_VALUE)
            errors[score->estimated++] = fabs((double)knot->offset_ns - truth) / 1e3;
        if (!open)
            widths[(*widths_n)++] = ((double)knot->hi_ns - (double)knot->lo_ns) / 2e3;
    }
    bool accused = result->verdict == TSP_CLOCK_PROVEN || result->verdict == TSP_CLOCK_SUSPECTED;
    score->proven += result->verdict == TSP_CLOCK_PROVEN;
    score->suspected += result->verdict == TSP_CLOCK_SUSPECTED;
    score->accused += accused && is_right(sim, clock);
    score->convicted += result->verdict == TSP_CLOCK_PROVEN && is_right(sim, clock);
    score->wrong += !is_right(sim, clock);
    score_steps(sim, clock, result, score);
}

bool sim_score_solver(const hop_sim *sim, const tsp_solver *solver, sim_score *ret_score)
{
    tsp_solver_summary_row summary;
    size_t knots = 0, widths_n = 0;

    memset(ret_score, 0, sizeof *ret_score);
    tsp_solver_summary(solver, &summary);
    ret_score->hops = sim->n;
    ret_score->before = summary.violations_before;
    ret_score->after = summary.violations_after;
    ret_score->after_lies = summary.violations_lies;
    for (uint32_t c = 0; c < sim->clocks; c++) {
        tsp_clock_result result;
        if (tsp_solver_clock(solver, c, &result, NULL) == TSP_OK)
            knots += result.knots_n;
    }
    double *errors = malloc((knots + 1) * sizeof *errors), *widths = malloc((knots + 1) * sizeof *widths);
    uint32_t frame = summary.reference < sim->clocks ? summary.reference : 0;
    tsp_clock_result time = {0};
    tsp_solver_clock(solver, frame, &time, NULL);
    const stretch of = frame_stretch(sim, frame, &time);
    for (uint32_t c = 0; errors && widths && c < sim->clocks; c++) {
        tsp_clock_result result;
        if (tsp_solver_clock(solver, c, &result, NULL) != TSP_OK)
            continue;
        if (c == frame && !result.steps_n)
            score_steps(sim, c, &result, ret_score);
        else
            score_clock(sim, frame, &of, c, &result, ret_score, errors, widths, &widths_n);
    }
    bool ok = errors && widths;
    if (ok) {
        qsort(errors, ret_score->estimated, sizeof *errors, by_value);
        qsort(widths, widths_n, sizeof *widths, by_value);
        ret_score->p50_us = quantile(errors, ret_score->estimated, 0.5);
        ret_score->p99_us = quantile(errors, ret_score->estimated, 0.99);
        ret_score->worst_us = quantile(errors, ret_score->estimated, 1);
        ret_score->half_width_us = quantile(widths, widths_n, 0.5);
    }
    free(errors);
    free(widths);
    return ok;
}

static void score_labels(const hop_sim *sim, const tsp_solver *solver, sim_score *score)
{
    for (size_t k = 0; k < sim->n; k++) {
        bool late = sim->late[k] & 1, labelled = tsp_solver_hop_label(solver, k) == TSP_HOP_LATE;
        score->late_true += late;
        score->late_labelled += labelled;
        score->late_right += late && labelled;
    }
}

bool sim_score_run(const hop_sim *sim, unsigned threads, uint32_t quorum, sim_score *ret_score)
{
    tsp_solver_config config = {
        .clocks = sim->clocks, .reference = sim->reference, .threads = threads, .quorum = quorum};
    tsp_solver *solver = NULL;
    tsp_error err = {0};
    struct timespec start, end;
    bool ok;

    clock_gettime(CLOCK_MONOTONIC, &start);
    if (tsp_solver_new(&config, &solver, &err) != TSP_OK ||
        tsp_solver_add_hops(solver, sim->hops, sim->n, &err) != TSP_OK || tsp_solver_run(solver, &err) != TSP_OK) {
        printf("# %s\n", err.message);
        tsp_solver_free(solver);
        return false;
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    ok = sim_score_solver(sim, solver, ret_score);
    ret_score->seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
    score_labels(sim, solver, ret_score);
    tsp_solver_free(solver);
    return ok;
}
