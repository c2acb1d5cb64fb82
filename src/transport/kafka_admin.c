/* What the lab asks of a broker beside sending: whether it is there, topics made, topics and groups removed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "transport/kafka_inside.h"

enum { CLEAN_UP_MS = 5000, PROBE_STEP_MS = 200 };

static int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

/* The last thing that went wrong on a connection, for the message of whoever waits in vain. */
struct trouble {
    char text[256];
};

static void on_error(rd_kafka_t *client, int code, const char *reason, void *opaque)
{
    struct trouble *trouble = opaque;

    (void)client;
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        snprintf(trouble->text, sizeof trouble->text, "%s", reason);
}

/* A client for a few questions. */
static tsp_status open_client(const char *broker, struct trouble *trouble, rd_kafka_t **ret_client, tsp_error *err)
{
    const tspi_kafka_settings settings = {.broker = broker};
    rd_kafka_conf_t *conf = tspi_kafka_conf_common(&settings, err);

    if (!conf)
        return TSP_EINVAL;
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_opaque(conf, trouble);
    return tspi_kafka_client(RD_KAFKA_PRODUCER, conf, &settings, ret_client, err);
}

tsp_status tspi_kafka_probe(const char *broker, int64_t timeout_ns, const volatile sig_atomic_t *interrupted,
                            tsp_error *err)
{
    struct trouble trouble = {""};
    rd_kafka_t *client = NULL;
    int64_t deadline_ns = monotonic_ns() + timeout_ns;
    tsp_status rc = open_client(broker, &trouble, &client, err);

    if (rc != TSP_OK)
        return rc;
    for (;;) {
        const struct rd_kafka_metadata *metadata = NULL;
        rd_kafka_resp_err_t got = rd_kafka_metadata(client, 0, NULL, &metadata, PROBE_STEP_MS);
        bool found = got == RD_KAFKA_RESP_ERR_NO_ERROR && metadata->broker_cnt > 0;
        if (metadata)
            rd_kafka_metadata_destroy(metadata);
        if (found)
            break;
        rd_kafka_poll(client, 0); /* lets on_error speak */
        if (interrupted && *interrupted)
            rc = tsp_error_set(err, TSP_EINTERRUPTED, "interrupted");
        else if (monotonic_ns() > deadline_ns)
            rc =
                tsp_error_set(err, TSP_EIO, "no Kafka broker answers at %s within %d s: %s", broker,
                              (int)(timeout_ns / TSP_NS_PER_S), trouble.text[0] ? trouble.text : rd_kafka_err2str(got));
        if (rc != TSP_OK)
            break;
    }
    rd_kafka_destroy(client);
    return rc;
}

/* ------------------------------------------------------------------ making */

/* The first topic that could not be made, if any. */
static tsp_status read_made(rd_kafka_event_t *event, tsp_error *err)
{
    size_t n = 0;

    if (rd_kafka_event_error(event))
        return tsp_error_set(err, TSP_EIO, "Kafka: cannot make topics: %s", rd_kafka_event_error_string(event));
    const rd_kafka_topic_result_t **made =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    for (size_t k = 0; k < n; k++) {
        rd_kafka_resp_err_t got = rd_kafka_topic_result_error(made[k]);
        if (got != RD_KAFKA_RESP_ERR_NO_ERROR && got != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            return tsp_error_set(err, TSP_EIO, "Kafka: cannot make topic %s: %s", rd_kafka_topic_result_name(made[k]),
                                 rd_kafka_topic_result_error_string(made[k]));
    }
    return TSP_OK;
}

static rd_kafka_AdminOptions_t *admin_options(rd_kafka_t *client, rd_kafka_admin_op_t op, int timeout_ms)
{
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(client, op);

    rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, NULL, 0);
    return options;
}

/* A topic lives as long as its run and some more: if a run is killed before it can clean up, what it leaves empties. */
static const char *const topic_settings[][2] = {
    {"cleanup.policy", "delete"},
    {"retention.ms", "3600000"},
};

static rd_kafka_NewTopic_t *new_topic(const char *name, uint32_t partitions, tsp_error *err)
{
    char why[256], largest[32];
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, (int)partitions, 1, why, sizeof why);

    if (!topic) {
        tsp_error_set(err, TSP_EINVAL, "Kafka: no topic can be called '%s': %s", name, why);
        return NULL;
    }
    snprintf(largest, sizeof largest, "%d", TSPI_KAFKA_MESSAGE_MAX_BYTES);
    rd_kafka_NewTopic_set_config(topic, "max.message.bytes", largest);
    for (size_t k = 0; k < sizeof topic_settings / sizeof *topic_settings; k++)
        rd_kafka_NewTopic_set_config(topic, topic_settings[k][0], topic_settings[k][1]);
    return topic;
}

/* Whether the broker's metadata show the topic with all its partitions, each with a leader. */
static bool is_ready(rd_kafka_t *client, const char *name, uint32_t partitions)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(client, name, NULL);
    bool ready = topic && !rd_kafka_metadata(client, 0, topic, &metadata, 1000) && metadata->topic_cnt == 1 &&
                 !metadata->topics[0].err && metadata->topics[0].partition_cnt >= (int)partitions;

    for (int k = 0; ready && k < metadata->topics[0].partition_cnt; k++)
        ready = metadata->topics[0].partitions[k].leader >= 0;
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    if (topic)
        rd_kafka_topic_destroy(topic);
    return ready;
}

static tsp_status await_leaders(rd_kafka_t *client, char *const *topics, uint32_t n, uint32_t partitions,
                                int64_t deadline_ns, tsp_error *err)
{
    for (uint32_t k = 0; k < n;) {
        if (is_ready(client, topics[k], partitions)) {
            k++;
            continue;
        }
        if (monotonic_ns() > deadline_ns)
            return tsp_error_set(err, TSP_EIO, "Kafka: topic %s was made, but has no leader", topics[k]);
        nanosleep(&(struct timespec){0, 10 * TSP_NS_PER_MS}, NULL);
    }
    return TSP_OK;
}

tsp_status tspi_kafka_make_topics(rd_kafka_t *client, char *const *topics, uint32_t n, uint32_t partitions,
                                  int timeout_ms, tsp_error *err)
{
    rd_kafka_NewTopic_t **wanted = calloc(n + 1, sizeof *wanted);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    rd_kafka_AdminOptions_t *options = admin_options(client, RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout_ms);
    int64_t deadline_ns = monotonic_ns() + timeout_ms * TSP_NS_PER_MS;
    tsp_status rc = wanted ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory for topics");

    for (uint32_t k = 0; k < n && rc == TSP_OK; k++)
        if (!(wanted[k] = new_topic(topics[k], partitions, err)))
            rc = TSP_EINVAL;
    if (rc == TSP_OK) {
        rd_kafka_CreateTopics(client, wanted, n, options, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, timeout_ms + 1000);
        rc = event ? read_made(event, err) : tsp_error_set(err, TSP_EIO, "Kafka: no topics within %d ms", timeout_ms);
        if (event)
            rd_kafka_event_destroy(event);
    }
    if (rc == TSP_OK)
        rc = await_leaders(client, topics, n, partitions, deadline_ns, err);
    for (uint32_t k = 0; wanted && k < n; k++)
        if (wanted[k])
            rd_kafka_NewTopic_destroy(wanted[k]);
    free(wanted);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_queue_destroy(queue);
    return rc;
}

/* ------------------------------------------------------------------ removing */

/* "RUN.": what the names of a run's topics and groups begin with. */
static bool is_of_run(const char *name, const char *run)
{
    size_t len = strlen(run);
    return !strncmp(name, run, len) && name[len] == '.';
}

static tsp_status await_answer(rd_kafka_queue_t *queue, const char *what, tsp_error *err)
{
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, CLEAN_UP_MS);
    tsp_status rc = TSP_OK;

    if (!event || rd_kafka_event_error(event))
        rc = tsp_error_set(err, TSP_EIO, "Kafka: cannot remove the run's %s: %s", what,
                           event ? rd_kafka_event_error_string(event) : "no answer");
    if (event)
        rd_kafka_event_destroy(event);
    return rc;
}

static tsp_status remove_topics(rd_kafka_t *client, rd_kafka_queue_t *queue, const char *run, unsigned *topics,
                                tsp_error *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    rd_kafka_resp_err_t got = rd_kafka_metadata(client, 1, NULL, &metadata, CLEAN_UP_MS);
    size_t n = 0;
    tsp_status rc = TSP_OK;

    if (got != RD_KAFKA_RESP_ERR_NO_ERROR)
        return tsp_error_set(err, TSP_EIO, "Kafka: cannot list topics: %s", rd_kafka_err2str(got));
    rd_kafka_DeleteTopic_t **doomed = calloc((size_t)metadata->topic_cnt + 1, sizeof *doomed);
    for (int k = 0; doomed && k < metadata->topic_cnt; k++)
        if (is_of_run(metadata->topics[k].topic, run))
            doomed[n++] = rd_kafka_DeleteTopic_new(metadata->topics[k].topic);
    if (n) {
        rd_kafka_AdminOptions_t *options = admin_options(client, RD_KAFKA_ADMIN_OP_DELETETOPICS, CLEAN_UP_MS);
        rd_kafka_DeleteTopics(client, doomed, n, options, queue);
        rc = await_answer(queue, "topics", err);
        *topics += (unsigned)n;
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_DeleteTopic_destroy_array(doomed, n);
    }
    free(doomed);
    rd_kafka_metadata_destroy(metadata);
    return rc;
}

static tsp_status remove_groups(rd_kafka_t *client, rd_kafka_queue_t *queue, const char *run, tsp_error *err)
{
    const struct rd_kafka_group_list *groups = NULL;
    rd_kafka_resp_err_t got = rd_kafka_list_groups(client, NULL, &groups, CLEAN_UP_MS);
    size_t n = 0;
    tsp_status rc = TSP_OK;

    if (got != RD_KAFKA_RESP_ERR_NO_ERROR)
        return tsp_error_set(err, TSP_EIO, "Kafka: cannot list consumer groups: %s", rd_kafka_err2str(got));
    rd_kafka_DeleteGroup_t **doomed = calloc((size_t)groups->group_cnt + 1, sizeof *doomed);
    for (int k = 0; doomed && k < groups->group_cnt; k++)
        if (is_of_run(groups->groups[k].group, run))
            doomed[n++] = rd_kafka_DeleteGroup_new(groups->groups[k].group);
    if (n) {
        rd_kafka_AdminOptions_t *options = admin_options(client, RD_KAFKA_ADMIN_OP_DELETEGROUPS, CLEAN_UP_MS);
        rd_kafka_DeleteGroups(client, doomed, n, options, queue);
        rc = await_answer(queue, "consumer groups", err);
        rd_kafka_AdminOptions_destroy(options);
        rd_kafka_DeleteGroup_destroy_array(doomed, n);
    }
    free(doomed);
    rd_kafka_group_list_destroy(groups);
    return rc;
}

static tsp_status remove_run(rd_kafka_t *client, const char *run, unsigned *topics, tsp_error *err)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(client);
    tsp_status rc = remove_topics(client, queue, run, topics, err);

    if (rc == TSP_OK)
        rc = remove_groups(client, queue, run, err);
    rd_kafka_queue_destroy(queue);
    return rc;
}

tsp_status tspi_kafka_clean_up(const char *broker, const char *run, tsp_error *err)
{
    struct trouble trouble = {""};
    rd_kafka_t *client = NULL;
    unsigned topics = 0;
    tsp_status rc = open_client(broker, &trouble, &client, err);

    if (rc != TSP_OK)
        return rc;
    rc = remove_run(client, run, &topics, err);
    rd_kafka_destroy(client);
    return rc;
}

/* ------------------------------------------------------------------ what runs that were killed have left */

enum { RUN_BYTES = 64, DEAD_MAX = 64 };

static bool begins_with(const char *name, const char *prefix)
{
    return !strncmp(name, prefix, strlen(prefix));
}

/* Whether some group of the run has a member. */
static bool has_members(const struct rd_kafka_group_list *groups, const char *run)
{
    for (int k = 0; k < groups->group_cnt; k++)
        if (is_of_run(groups->groups[k].group, run) && groups->groups[k].member_cnt > 0)
            return true;
    return false;
}

/* The runs of which there are topics, that are old, and that have no members. Returns how many. */
static size_t list_dead(const struct rd_kafka_metadata *metadata, const struct rd_kafka_group_list *groups,
                        const char *prefix, bool (*is_old)(const char *name, char *ret_run, size_t size),
                        char ret_dead[DEAD_MAX][RUN_BYTES])
{
    size_t n = 0;

    for (int k = 0; k < metadata->topic_cnt && n < DEAD_MAX; k++) {
        const char *topic = metadata->topics[k].topic;
        bool known = false;
        if (!begins_with(topic, prefix) || !is_old(topic, ret_dead[n], RUN_BYTES))
            continue;
        for (size_t other = 0; other < n && !known; other++)
            known = !strcmp(ret_dead[other], ret_dead[n]);
        if (!known && !has_members(groups, ret_dead[n]))
            n++;
    }
    return n;
}

tsp_status tspi_kafka_remove_dead(const char *broker, const char *prefix,
                                  bool (*is_old)(const char *name, char *ret_run, size_t size), unsigned *runs,
                                  unsigned *topics, tsp_error *err)
{
    const struct rd_kafka_metadata *metadata = NULL;
    const struct rd_kafka_group_list *groups = NULL;
    char dead[DEAD_MAX][RUN_BYTES];
    struct trouble trouble = {""};
    rd_kafka_t *client = NULL;
    tsp_status rc = open_client(broker, &trouble, &client, err);

    if (rc != TSP_OK)
        return rc;
    /* Groups that not every broker could tell of may have members: then nothing is removed. */
    rd_kafka_resp_err_t got = rd_kafka_metadata(client, 1, NULL, &metadata, CLEAN_UP_MS);
    if (!got)
        got = rd_kafka_list_groups(client, NULL, &groups, CLEAN_UP_MS);
    if (got)
        rc =
            tsp_error_set(err, TSP_EIO, "Kafka: cannot look for what killed runs have left: %s", rd_kafka_err2str(got));
    size_t n = rc == TSP_OK ? list_dead(metadata, groups, prefix, is_old, dead) : 0;
    for (size_t k = 0; k < n && rc == TSP_OK; k++) {
        rc = remove_run(client, dead[k], topics, err);
        *runs += rc == TSP_OK;
    }
    if (metadata)
        rd_kafka_metadata_destroy(metadata);
    if (groups)
        rd_kafka_group_list_destroy(groups);
    rd_kafka_destroy(client);
    return rc;
}
