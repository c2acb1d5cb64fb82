#include "lab/kafka_side.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static const int64_t probe_timeout_ns = 5 * TSP_NS_PER_S;

/* "truespan-", the Unix second of its start in eight hex digits, eight of chance. Never the same twice, and not from
 * the seed: two runs may share a broker. */
static const char run_prefix[] = "truespan-";

static tsp_status name_run(char *ret_name, size_t size, tsp_error *err)
{
    uint32_t number;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        return tsp_error_sys(err, errno, "cannot make a name for the run");
    snprintf(ret_name, size, "%s%08" PRIx32 "%08" PRIx32, run_prefix, (uint32_t)time(NULL), number);
    return TSP_OK;
}

/* How old a run must be before its silence means that it is dead: it has long been up by then, and its workers are in
 * its groups as long as they live. */
enum { UP_BY_S = 300 };

/* The run that a topic or a group belongs to, if it was begun long enough ago. */
static bool old_run(const char *name, char *ret_run, size_t size)
{
    size_t len = strspn(name + sizeof run_prefix - 1, "0123456789abcdef");
    unsigned begun;

    if (len != 16 || name[sizeof run_prefix - 1 + len] != '.' ||
        sscanf(name + sizeof run_prefix - 1, "%8x", &begun) != 1)
        return false;
    snprintf(ret_run, size, "%.*s", (int)(sizeof run_prefix - 1 + len), name);
    return (int64_t)begun + UP_BY_S < (int64_t)time(NULL);
}

/* A run that was killed outright could not remove its topics from somebody's broker. What cannot be removed now is left
 * for another day. */
static void remove_left_over(const char *broker, int log_fd)
{
    tsp_error err = {0};
    unsigned runs = 0, topics = 0;

    if (tspi_kafka_remove_dead(broker, run_prefix, old_run, &runs, &topics, &err) != TSP_OK)
        dprintf(log_fd, "%s\n", err.message);
    if (runs)
        dprintf(log_fd, "removed from the broker at %s: %u topics of %u run%s that had been killed\n", broker, topics,
                runs, runs == 1 ? "" : "s");
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
                                 const char *folder, int log_fd, const volatile sig_atomic_t *interrupted,
                                 int *ret_tun_fd, tsp_error *err)
{
    *side = (tspi_kafka_side){0};
    if (strcmp(spec->transport, "kafka") != 0)
        return TSP_OK;
    const tspi_broker_config config = {
        .folder = folder, .host = tspi_spec_own_address(spec), .port = spec->port, .netns = netns, .index = index};
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
    if (rc == TSP_OK && side->foreign)
        remove_left_over(side->foreign, log_fd);
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
