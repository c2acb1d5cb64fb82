/* What a run on Kafka has beside its nodes: a broker, the run's own or somebody's, and a name that is the run's alone.
 */
#ifndef TSPI_LAB_KAFKA_SIDE_H
#define TSPI_LAB_KAFKA_SIDE_H

#include <signal.h>

#include "lab/broker.h"
#include "lab/spec.h"
#include "transport/kafka.h"

typedef struct {
    tspi_broker own;     /* not running when the broker is somebody's */
    const char *foreign; /* that one; borrowed from the spec; NULL = the run's own */
    char run[40];        /* what topics and groups begin with; "" = the transport is another */
    bool started;
} tspi_kafka_side;

/* What the driver is told. Borrows from kafka. broker: the run's own; NULL = as the spec says. */
tspi_kafka_settings tspi_kafka_side_settings(const tspi_kafka_spec *kafka, const char *broker);

/* Nothing is done for another transport. Start a broker, as node number `index` of the link in netns mode, or see that
 * somebody's answers, and remove what runs that were killed have left there: how much is told to log_fd. ret_tun_fd is
 * set where the broker has a namespace. */
tsp_status tspi_kafka_side_start(tspi_kafka_side *side, const tspi_spec *spec, bool netns, uint32_t index,
                                 const char *folder, int log_fd, const volatile sig_atomic_t *interrupted,
                                 int *ret_tun_fd, tsp_error *err);

/* Whether the run's own broker still runs. */
tsp_status tspi_kafka_side_check(tspi_kafka_side *side, tsp_error *err);

/* Once all nodes are gone: remove the run's topics and groups from somebody's broker, stop an own one. What could not
 * be removed is said in a line to log_fd. */
void tspi_kafka_side_stop(tspi_kafka_side *side, int log_fd);

#endif
