/* When a block may end: when every message that was sent has been received, and nobody has work from one.
 *
 * All nodes are asked how many they sent and received, again and again. An answer is no snapshot: nodes count at
 * different times. But when all that had been sent at the end of one round had been received at the end of the round
 * before, nothing was under way between the two, and nothing can come of it.
 * Source: F. Mattern, Algorithms for distributed termination detection, Distributed Computing 2 (1987), four counters.
 */
#include "lab/child.h"
#include "lab/conductor_inside.h"

/* Between two rounds; and how long numbers may stand still before what is missing is given up: messages may be lost on
 * purpose, or with a transport's connection. A busy machine may let a node wait for seconds. */
static const int64_t round_ns = 2 * TSP_NS_PER_MS, patience_ns = 5 * TSP_NS_PER_S,
                     lossy_patience_ns = 200 * TSP_NS_PER_MS;

tsp_status tspi_conductor_settle(tspi_conductor *conductor, tsp_error *err)
{
    const tspi_spec *spec = conductor->spec;
    int64_t patient_ns = (spec->link.loss > 0 ? lossy_patience_ns : patience_ns) + 4 * spec->link.delay_ns;
    int64_t moved_ns = tspi_monotonic_ns();
    uint64_t received = 0, sent = UINT64_MAX;

    while (!tspi_is_interrupted(conductor)) {
        conductor->counted.sent = conductor->counted.received = 0;
        conductor->counted.at_work = 0;
        tsp_status rc = tspi_ask_all(conductor, "count", "counted", err);
        if (rc != TSP_OK)
            return rc;
        int64_t now_ns = tspi_monotonic_ns();
        if (!conductor->counted.at_work && conductor->counted.sent <= received)
            break;
        if (conductor->counted.sent != sent || conductor->counted.received != received)
            moved_ns = now_ns;
        else if (now_ns - moved_ns > patient_ns)
            break;
        bool complete = conductor->counted.sent <= conductor->counted.received;
        sent = conductor->counted.sent;
        received = conductor->counted.received;
        if (!complete) { /* else the next round may say so at once */
            rc = tspi_conductor_listen(conductor, now_ns + round_ns, err);
            if (rc != TSP_OK)
                return rc;
        }
    }
    return TSP_OK;
}
