#include "solve/agree.h"

#include <math.h>

#include "solve/constants.h"
#include "solve/order.h"

/* A clock's offset to the frame at a moment, ns: the estimate, as far as its bounds allow. t: ns since the origin. */
static double offset_at(const tsp_solver *solver, uint32_t clock, uint32_t root, double t)
{
    const tspi_fit *fit = &solver->fit;
    int64_t at = fit->origin[clock] + (int64_t)t, lo, hi;
    uint32_t node = tspi_sides_node(&fit->sides, clock, at);
    double x = (double)(fit->origin[clock] - fit->origin[root]) + tspi_curve_at(&fit->curves[node], t);

    tspi_bounds_at(&solver->graph, &solver->bounds, node, at, &lo, &hi);
    if (lo != TSP_UNBOUNDED_LO)
        x = fmax(x, (double)lo);
    return hi != TSP_UNBOUNDED_HI ? fmin(x, (double)hi) : x;
}

/* The same, the median over the run. */
static double usual_offset(const tsp_solver *solver, uint32_t clock, uint32_t root)
{
    double x[FRAME_INSTANTS];

    for (int k = 0; k < FRAME_INSTANTS; k++)
        x[k] = offset_at(solver, clock, root,
                         solver->fit.t_first + (solver->fit.t_last - solver->fit.t_first) * (k + 0.5) / FRAME_INSTANTS);
    return tspi_median(x, FRAME_INSTANTS);
}

/* The noise of a clock's estimate, ns; not known: INFINITY. */
static double noise_of(const tspi_fit *fit, uint32_t clock)
{
    double most = 0;

    for (uint32_t node = tspi_sides_first(&fit->sides, clock); node < tspi_sides_first(&fit->sides, clock + 1); node++)
        most = fmax(most, isnan(fit->series[node].sigma) ? INFINITY : fit->series[node].sigma);
    return most;
}

bool tspi_solver_agrees(const tsp_solver *solver, uint32_t clock, int64_t at, int64_t proven_ns)
{
    const tspi_fit *fit = &solver->fit;
    uint32_t named = solver->has_utc ? solver->config.clocks : solver->config.reference, root = 0;
    uint32_t others = 0, agree = 0, differ = 0, surely = 0;

    while (!solver->root[root] || solver->group[root] != solver->group[clock])
        root++;
    if (root == named)
        return true;
    bool known = fit->joined[clock];
    double offset = known ? offset_at(solver, clock, root, tspi_fit_local(fit, clock, at)) : (double)proven_ns;
    double own_noise = known ? noise_of(fit, clock) : 0;
    for (uint32_t c = 0; c < solver->clocks; c++) {
        if (fit->group[c] != fit->group[clock] || c == clock || c == root)
            continue;
        others++;
        if (!fit->joined[c])
            continue;
        double x = usual_offset(solver, c, root), noise = noise_of(fit, c), far = fabs(x - offset);
        bool nearer = far > FRAME_NEARER * fabs(x);
        agree += nearer;
        differ += !nearer && noise < fabs(offset) && fmin(far, fabs(x)) < fabs(offset);
        surely += far > FRAME_FAR * fabs(x) + SUSPECT_SIGMA * fmax(noise, own_noise);
    }
    return !others || surely > others / 2 || (agree > others / 2 && !differ);
}
