/* What the files of the Kafka driver share. */
#ifndef TSPI_TRANSPORT_KAFKA_INSIDE_H
#define TSPI_TRANSPORT_KAFKA_INSIDE_H

#include <librdkafka/rdkafka.h>

#include "transport/kafka.h"

/* A message's frame, its headers and key again as bytes of the wire, and what Kafka puts around them. */
enum { TSPI_KAFKA_MESSAGE_MAX_BYTES = TSPI_MSG_MAX_BYTES + 64 * 1024 };
/* How long a message may wait for its delivery before it counts as lost, and a broker may be out of reach before the
 * run gives it up. */
enum { TSPI_KAFKA_PATIENCE_MS = 5000 };

/* Settings of either side of a client. NULL on failure. */
rd_kafka_conf_t *tspi_kafka_conf_common(const tspi_kafka_settings *settings, tsp_error *err);
rd_kafka_conf_t *tspi_kafka_conf_producer(const tspi_kafka_settings *settings, tsp_error *err);
rd_kafka_conf_t *tspi_kafka_conf_consumer(const tspi_kafka_settings *settings, const char *group, const char *client,
                                          tsp_error *err);
/* Apply the user's own settings and make the client. Takes conf. */
tsp_status tspi_kafka_client(rd_kafka_type_t type, rd_kafka_conf_t *take_conf, const tspi_kafka_settings *settings,
                             rd_kafka_t **ret_client, tsp_error *err);

/* Make topics of so many partitions each, and wait until each has leaders: who subscribes before is told that there is
 * no such topic, and asks again much later. Those that are there already stay. Waits up to timeout_ms. */
tsp_status tspi_kafka_make_topics(rd_kafka_t *client, char *const *topics, uint32_t n, uint32_t partitions,
                                  int timeout_ms, tsp_error *err);

#endif
