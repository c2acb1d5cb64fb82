/* Processes that keep every core busy, for runs in which whatever shows is not skew. */
#ifndef TSPI_LAB_BURNER_H
#define TSPI_LAB_BURNER_H

#include <sys/types.h>

#include "truespan/base.h"

enum { TSPI_BURNERS_MAX = 256 };

typedef struct {
    pid_t pids[TSPI_BURNERS_MAX];
    int n;
} tspi_burners;

/* One a core. They end with this process, too. */
tsp_status tspi_burners_start(tspi_burners *burners, tsp_error *err);
void tspi_burners_stop(tspi_burners *burners);

#endif
