/* What a stamp of the lab clock costs beside a bare clock_gettime, in processor time and alternating blocks: the median
 * block of each.
 * Target: at most 60 ns with any model. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "clock/clock_model.h"
#include "truespan/base.h"

enum { BLOCKS = 41, STAMPS = 100000, WAYS = 4 };

static const char *const names[WAYS] = {"bare clock_gettime", "offset alone", "offset, drift, one step",
                                        "everything: wander, sawtooth, 16 steps"};

/* So that the work is not thought away. */
static volatile int64_t sum;

static int64_t read_clock(clockid_t id)
{
    struct timespec now;
    clock_gettime(id, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void make_models(tspi_clock_model *models)
{
    models[1].offset_ns = 5 * TSP_NS_PER_MS;
    models[2] = models[1];
    models[2].drift_ppb = 20000;
    models[2].steps_n = 1;
    models[3] = models[2];
    models[3].wander_ppb = 100;
    models[3].ntp_peak_ns = TSP_NS_PER_MS;
    models[3].ntp_period_ns = 17 * TSP_NS_PER_S;
    for (models[3].steps_n = 0; models[3].steps_n < TSPI_CLOCK_STEPS_MAX; models[3].steps_n++)
        models[3].steps[models[3].steps_n].size_ns = 1000;
}

int main(void)
{
    static double cost_ns[WAYS][BLOCKS];
    tspi_clock_model models[WAYS] = {{0}, {0}, {0}, {0}};
    tspi_model_clock clocks[WAYS];

    make_models(models);
    for (int way = 0; way < WAYS; way++)
        tspi_model_clock_init(&clocks[way], &models[way], read_clock(CLOCK_REALTIME));
    for (int block = 0; block < BLOCKS; block++)
        for (int way = 0; way < WAYS; way++) {
            int64_t begun_ns = read_clock(CLOCK_THREAD_CPUTIME_ID);
            if (way == 0)
                for (int k = 0; k < STAMPS; k++)
                    sum += read_clock(CLOCK_REALTIME);
            else
                for (int k = 0; k < STAMPS; k++)
                    sum += tspi_model_clock_stamp(&clocks[way], read_clock(CLOCK_REALTIME)).local_ns;
            cost_ns[way][block] = (double)(read_clock(CLOCK_THREAD_CPUTIME_ID) - begun_ns) / STAMPS;
        }
    for (int way = 0; way < WAYS; way++) {
        qsort(cost_ns[way], BLOCKS, sizeof **cost_ns, by_size);
        printf("%-40s %6.1f ns (best block %.1f)\n", names[way], cost_ns[way][BLOCKS / 2], cost_ns[way][0]);
    }
    return 0;
}
