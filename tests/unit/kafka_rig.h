/* A real Apache Kafka broker for the transport's tests, started when first asked for and stopped when the program ends;
 * one for all tests of a program, which keep apart by the names of their runs. */
#ifndef TRUESPAN_KAFKA_RIG_H
#define TRUESPAN_KAFKA_RIG_H

#include <limits.h>
#include <sys/stat.h>

#include "lab/broker.h"
#include "temporary.h"
#include "transport/kafka.h"

/* Java takes its time on a busy machine; the tests' own patience is for a broker that runs. */
static const int64_t kafka_rig_start_ns = 90 * TSP_NS_PER_S;

static struct {
    tspi_broker broker;
    tsp_error err; /* why there is none */
    char *folder;  /* owned */
    bool tried;
} kafka_rig;

static void kafka_rig_stop(void)
{
    char path[PATH_MAX];

    tspi_broker_stop(&kafka_rig.broker);
    snprintf(path, sizeof path, "%s/broker.log", kafka_rig.folder);
    unlink(path);
    rmdir(kafka_rig.folder);
    free(kafka_rig.folder);
}

/* The broker's address, or NULL: kafka_rig.err says why. */
static const char *kafka_rig_broker(void)
{
    if (!kafka_rig.tried) {
        kafka_rig.tried = true;
        if (tspi_broker_available(&kafka_rig.err) != TSP_OK)
            return NULL;
        /* Where nobody minds what a test that is killed leaves. */
        kafka_rig.folder = temporary("broker");
        const tspi_broker_config config = {.folder = kafka_rig.folder};
        if (mkdir(kafka_rig.folder, 0700) != 0 ||
            tspi_broker_start(&kafka_rig.broker, &config, NULL, &kafka_rig.err) != TSP_OK ||
            tspi_kafka_probe(kafka_rig.broker.address, kafka_rig_start_ns, NULL, &kafka_rig.err) != TSP_OK) {
            printf("Bail out! %s\n", kafka_rig.err.message); /* there, but it does not start: that is no skip */
            exit(1);
        }
        atexit(kafka_rig_stop);
    }
    return kafka_rig.broker.pid ? kafka_rig.broker.address : NULL;
}

static tspi_transport *kafka_rig_open(const tspi_transport_config *config)
{
    const tspi_kafka_settings settings = {.broker = kafka_rig_broker()};
    tspi_transport_config mine = *config;
    tspi_transport *t = NULL;
    tsp_error err = {0};

    mine.kafka = &settings;
    if (tspi_transport_find("kafka")->open(&mine, &t, &err) != TSP_OK) {
        printf("Bail out! %s\n", err.message);
        exit(1);
    }
    return t;
}

#endif
