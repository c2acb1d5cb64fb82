/* In place of the Kafka transport where the build has no librdkafka. */
#include "transport/kafka.h"

static tsp_status absent(tsp_error *err)
{
    return tsp_error_set(err, TSP_EUNSUPPORTED,
                         "this build has no transport 'kafka': it needs librdkafka (Debian: librdkafka-dev)");
}

tsp_status tspi_kafka_probe(const char *broker, int64_t timeout_ns, const volatile sig_atomic_t *interrupted,
                            tsp_error *err)
{
    (void)broker;
    (void)timeout_ns;
    (void)interrupted;
    return absent(err);
}

tsp_status tspi_kafka_check(const tspi_kafka_settings *settings, tsp_error *err)
{
    (void)settings;
    return absent(err);
}

tsp_status tspi_kafka_clean_up(const char *broker, const char *run, tsp_error *err)
{
    (void)broker;
    (void)run;
    return absent(err);
}

tsp_status tspi_kafka_remove_dead(const char *broker, const char *prefix,
                                  bool (*is_old)(const char *name, char *ret_run, size_t size), unsigned *runs,
                                  unsigned *topics, tsp_error *err)
{
    (void)broker, (void)prefix, (void)is_old, (void)runs, (void)topics;
    return absent(err);
}
