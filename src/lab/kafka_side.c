#include "lab/kafka_side.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static const int64_t probe_timeout_ns = 5 * TSP_NS_PER_S;

/* Never the same twice, and not from the seed: two runs may share a broker. */
static tsp_status name_run(char *ret_name, size_t size, tsp_error *err)
{
    uint64_t number;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return tsp_error_sys(err, errno, "cannot make a name for the run");
    snprintf(ret_name, size, "truespan-%016" PRIx64, number);
    return TSP_OK;
}

tspi_kafka_settings tspi_kafka_side_settings(const tspi_kafka_spec *kafka, const char *broker)
{
    return (tspi_kafka_settings){
        .broker = broker ? broker : kafka->broker,
        .acks = kafka->acks,
        .linger_ns = kafka->linger_ns,
        .fetch_wait_max_ns = kafka->fetch_wait_max_ns,
        .extra = (const char *const *)kafka->settings,
        .extra_n = kafka->settings_n,
    };
}

tsp_status tspi_kafka_side_start(tspi_kafka_side *side, const tspi_spec *spec, bool netns, uint32_t index,
                                 const char *folder, const volatile sig_atomic_t *interrupted, int *ret_tun_fd,
                                 tsp_error *err)
{
    *side = (tspi_kafka_side){0};
    if (strcmp(spec->transport, "kafka") != 0)
        return TSP_OK;
    const tspi_broker_config config = {.folder = folder, .port = spec->port, .netns = netns, .index = index};
    const tspi_kafka_settings settings = tspi_kafka_side_settings(&spec->kafka, "127.0.0.1:9092"); /* any */
    tsp_status rc = tspi_kafka_check(&settings, err);
    if (rc == TSP_OK)
        rc = name_run(side->run, sizeof side->run, err);
    if (rc != TSP_OK)
        return rc;
    side->foreign = spec->kafka.broker;
    rc = side->foreign ? tspi_kafka_probe(side->foreign, probe_timeout_ns, interrupted, err)
                       : tspi_broker_start(&side->own, &config, ret_tun_fd, err);
    side->started = rc == TSP_OK;
    return rc;
}

tsp_status tspi_kafka_side_check(tspi_kafka_side *side, tsp_error *err)
{
    return tspi_broker_check(&side->own, err);
}

void tspi_kafka_side_stop(tspi_kafka_side *side, int log_fd)
{
    tsp_error err = {0};

    if (side->started && side->foreign && tspi_kafka_clean_up(side->foreign, side->run, &err) != TSP_OK)
        dprintf(log_fd, "%s\n", err.message);
    side->started = false;
    tspi_broker_stop(&side->own);
}
