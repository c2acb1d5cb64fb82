/* Who goes first when cores are short. The lab's processes are put before whatever else the machine does, so that
 * somebody's compiler does not end up in the hop delays; among themselves the nodes and the burners are equal, and the
 * link goes first: it is the network, and a network does not wait behind the hosts for a core. */
#ifndef TSPI_LAB_PRIORITY_H
#define TSPI_LAB_PRIORITY_H

#include <sys/resource.h>

/* Nice values. */
enum { TSPI_PREFER_NODE = -10, TSPI_PREFER_LINK = -15 };

/* Without the right to do so (CAP_SYS_NICE) nothing changes. */
static inline void tspi_prefer_this_process(int nice_value)
{
    if (setpriority(PRIO_PROCESS, 0, nice_value) != 0)
        return;
}

#endif
