/* Apache Kafka as a transport: what its driver is told besides tspi_transport_config, and what the lab does with a
 * broker beside sending. Without librdkafka the functions say that this build lacks it. */
#ifndef TSPI_TRANSPORT_KAFKA_H
#define TSPI_TRANSPORT_KAFKA_H

#include <signal.h>

#include "transport/transport.h"

typedef struct tspi_kafka_settings {
    const char *broker;        /* HOST:PORT, or several with commas */
    const char *acks;          /* "all" (a message is written once, in order), "1" or "0"; NULL = all */
    int64_t linger_ns;         /* how long a producer waits for more messages before it sends: linger.ms */
    int64_t fetch_wait_max_ns; /* how long a broker may hold an empty fetch: fetch.wait.max.ms; 0 = 500 ms */
    const char *const *extra;  /* librdkafka's own settings, "name=value" each, after all others; may be NULL */
    uint32_t extra_n;
} tspi_kafka_settings;

/* Whether a broker answers, within timeout_ns. interrupted (may be NULL) ends the wait with TSP_EINTERRUPTED. */
tsp_status tspi_kafka_probe(const char *broker, int64_t timeout_ns, const volatile sig_atomic_t *interrupted,
                            tsp_error *err);

/* Whether librdkafka takes these settings: the broker is not asked. */
tsp_status tspi_kafka_check(const tspi_kafka_settings *settings, tsp_error *err);

/* Remove the topics and the consumer groups that a run made. Waits a few seconds at the most. */
tsp_status tspi_kafka_clean_up(const char *broker, const char *run, tsp_error *err);

/* The same for runs that were killed: those whose names begin with prefix, of which is_old says that they must long be
 * up if they live, and in none of whose groups there is a member. is_old: fills ret_run from the name of a topic or a
 * group. Adds to the counts. */
tsp_status tspi_kafka_remove_dead(const char *broker, const char *prefix,
                                  bool (*is_old)(const char *name, char *ret_run, size_t size), unsigned *runs,
                                  unsigned *topics, tsp_error *err);

#endif
