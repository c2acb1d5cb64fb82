/* A clock that goes wrong by a model, for the stamps of a lab or simulated node:
 *
 *   local(t) = t + offset + drift * (t - epoch) + wander(t) + sawtooth(t) + steps and slews up to t
 *
 * Only stamps pass through it. Timers, sleeps and latencies use the true monotonic clock, as in the paper.
 * The same model and seed give the same stamps on every machine. */
#ifndef TSPI_CLOCK_CLOCK_MODEL_H
#define TSPI_CLOCK_CLOCK_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/random.h"

enum { TSPI_CLOCK_STEPS_MAX = 16 };

typedef struct {
    int64_t offset_ns;
    int64_t drift_ppb;   /* rate error; positive = the clock gains */
    int64_t wander_ppb;  /* the rate walks at random: standard deviation of its change over one second */
    int64_t ntp_peak_ns; /* a clock that a daemon disciplines: the error saws between +peak and -peak */
    int64_t ntp_period_ns;
    struct {
        int64_t at_ns; /* after the epoch */
        int64_t size_ns;
        int64_t slew_ppb;          /* how fast: so much a second, as adjtime slews a clock; 0 = at once */
    } steps[TSPI_CLOCK_STEPS_MAX]; /* in order of time */
    uint32_t steps_n;
    uint64_t seed; /* of the wander */
} tspi_clock_model;

typedef struct {
    tspi_clock_model model;
    int64_t epoch_ns; /* true time at which the model starts */
    tspi_random random;
    int64_t wander_until_ns; /* after the epoch: end of the current second */
    double wander_ns;        /* at its start */
    double wander_rate;      /* ns per ns, during it */
} tspi_model_clock;

/* One stamp and the truth that belongs to it. */
typedef struct {
    int64_t true_ns, local_ns; /* Unix ns */
    int64_t late_ns;           /* of local_ns: by how much the stamp was written late; the rest is the clock's offset */
} tspi_stamp;

void tspi_model_clock_init(tspi_model_clock *clock, const tspi_clock_model *model, int64_t epoch_ns);

/* What the clock shows at true time true_ns. Times should not go back by more than the current second of wander. */
tspi_stamp tspi_model_clock_stamp(tspi_model_clock *clock, int64_t true_ns);

/* Whether the model's error is the same at all times. */
bool tspi_clock_model_is_constant(const tspi_clock_model *model);

#endif
