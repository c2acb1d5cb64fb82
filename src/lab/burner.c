#include "lab/burner.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "lab/priority.h"

static void burn(void)
{
    volatile uint64_t sum = 0;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGINT, SIG_IGN);
    tspi_prefer_this_process(TSPI_PREFER_NODE);
    for (uint64_t k = 0;; k++)
        sum = tspi_hash_mix(sum + k);
}

tsp_status tspi_burners_start(tspi_burners *burners, tsp_error *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    *burners = (tspi_burners){0};
    for (long k = 0; k < cores && k < TSPI_BURNERS_MAX; k++) {
        pid_t pid = fork();
        if (pid == 0)
            burn();
        if (pid < 0) {
            tsp_status rc = tsp_error_sys(err, errno, "cannot start a process");
            tspi_burners_stop(burners);
            return rc;
        }
        burners->pids[burners->n++] = pid;
    }
    return TSP_OK;
}

void tspi_burners_stop(tspi_burners *burners)
{
    for (int k = 0; k < burners->n; k++)
        kill(burners->pids[k], SIGKILL);
    for (int k = 0; k < burners->n; k++)
        waitpid(burners->pids[k], NULL, 0);
    burners->n = 0;
}
