/* How far a clock may drift between two instants, in exact integers.
 *
 * The limit is a whole number of ppb. drift_at(t) = floor(rho * t) is taken once an instant, and a tie between two
 * instants of a clock is the difference: along one clock the roundings cancel (TELESCOPE_NS). */
#ifndef TSPI_SOLVE_DRIFT_H
#define TSPI_SOLVE_DRIFT_H

#include <stdint.h>

/* rho_ppb: 0 .. 1e9, so that neither product overflows. */
static inline int64_t tspi_drift_at(int64_t rho_ppb, int64_t t_ns)
{
    int64_t seconds = t_ns / 1000000000, rest = t_ns % 1000000000;

    seconds -= rest < 0;
    rest += rest < 0 ? 1000000000 : 0;
    return rho_ppb * seconds + rho_ppb * rest / 1000000000;
}

/* At most this much between two instants of one clock, t1 <= t2. */
static inline int64_t tspi_drift_tie(int64_t rho_ppb, int64_t t1_ns, int64_t t2_ns)
{
    return tspi_drift_at(rho_ppb, t2_ns) - tspi_drift_at(rho_ppb, t1_ns);
}

#endif
