#include "clock/clock_model.h"

#include <math.h>

#include "truespan/base.h"

void tspi_model_clock_init(tspi_model_clock *clock, const tspi_clock_model *model, int64_t epoch_ns)
{
    *clock = (tspi_model_clock){.model = *model, .epoch_ns = epoch_ns};
    tspi_random_seed(&clock->random, model->seed);
}

/* The rate is constant within a second, and takes a normal step at its end: a random walk of frequency. */
static double wander_at(tspi_model_clock *clock, int64_t since_ns)
{
    while (since_ns >= clock->wander_until_ns) {
        if (clock->wander_until_ns)
            clock->wander_ns += clock->wander_rate * (double)TSP_NS_PER_S;
        clock->wander_rate += 1e-9 * (double)clock->model.wander_ppb * tspi_random_normal(&clock->random);
        clock->wander_until_ns += TSP_NS_PER_S;
    }
    return clock->wander_ns + clock->wander_rate * (double)(since_ns - (clock->wander_until_ns - TSP_NS_PER_S));
}

static double sawtooth_at(const tspi_clock_model *model, int64_t since_ns)
{
    double phase = fmod((double)since_ns / (double)model->ntp_period_ns, 1.0);

    /* Starts at zero, drifts up for most of the period, is slewed down in its last fifth. */
    double up = phase < 0.4 ? phase / 0.4 : phase < 0.6 ? 1.0 - (phase - 0.4) / 0.1 : (phase - 0.6) / 0.4 - 1.0;
    return (double)model->ntp_peak_ns * up;
}

/* How much of a step is done since_ns after the epoch. */
static int64_t step_at(int64_t at_ns, int64_t size_ns, int64_t slew_ppb, int64_t since_ns)
{
    if (!slew_ppb)
        return size_ns;
    __int128 done_ns = (__int128)slew_ppb * (since_ns - at_ns) / 1000000000;
    int64_t whole_ns = size_ns < 0 ? -size_ns : size_ns;

    if (done_ns > whole_ns)
        done_ns = whole_ns;
    return size_ns < 0 ? -(int64_t)done_ns : (int64_t)done_ns;
}

tspi_stamp tspi_model_clock_stamp(tspi_model_clock *clock, int64_t true_ns)
{
    const tspi_clock_model *model = &clock->model;
    int64_t since_ns = true_ns - clock->epoch_ns, x = model->offset_ns;

    /* ppb times ns needs 128 bits after two hours at 1000 ppm. */
    if (model->drift_ppb)
        x += (int64_t)((__int128)model->drift_ppb * since_ns / 1000000000);
    if (model->wander_ppb && since_ns >= 0)
        x += llrint(wander_at(clock, since_ns));
    if (model->ntp_period_ns > 0)
        x += llrint(sawtooth_at(model, since_ns > 0 ? since_ns : 0));
    for (uint32_t k = 0; k < model->steps_n && model->steps[k].at_ns <= since_ns; k++)
        x += step_at(model->steps[k].at_ns, model->steps[k].size_ns, model->steps[k].slew_ppb, since_ns);
    return (tspi_stamp){.true_ns = true_ns, .local_ns = true_ns + x};
}

bool tspi_clock_model_is_constant(const tspi_clock_model *model)
{
    return !model->drift_ppb && !model->wander_ppb && !model->ntp_period_ns && !model->steps_n;
}
