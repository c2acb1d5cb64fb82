/* The part of a spec that only the transport kafka reads. */
#ifndef TSPI_LAB_SPEC_KAFKA_H
#define TSPI_LAB_SPEC_KAFKA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "lab/spec_reader.h"

enum { TSPI_KAFKA_SETTINGS_MAX = 64 };

typedef struct {
    char *broker; /* owned; HOST:PORT of one that is there; NULL = the lab starts its own */
    char *acks;   /* owned; "all", "1" or "0" */
    int64_t linger_ns, fetch_wait_max_ns;
    int64_t warm_up_ns; /* how long the broker runs under load before anything counts */
    char **settings;    /* owned; librdkafka's own, "name=value" */
    uint32_t settings_n;
} tspi_kafka_spec;

struct raw_kafka;
void tspi_kafka_spec_get(tspi_spec_reader *in, const struct raw_kafka *raw, tspi_kafka_spec *kafka);
void tspi_kafka_spec_write(const tspi_kafka_spec *kafka, tspi_buf *out);
void tspi_kafka_spec_release(tspi_kafka_spec *kafka);

/* Whether text names brokers: HOST:PORT, or several with commas between them. */
bool tspi_kafka_spec_is_broker(const char *text);

#endif
