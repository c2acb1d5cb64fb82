/* What the files of the Kafka driver share: the settings of its clients, the two halves (a node's producer, its inbox),
 * and what both hear of the broker. */
#ifndef TSPI_TRANSPORT_KAFKA_INSIDE_H
#define TSPI_TRANSPORT_KAFKA_INSIDE_H

#include <librdkafka/rdkafka.h>
#include <time.h>

#include "transport/kafka.h"

/* A message's frame, its headers and key again as bytes of the wire, and what Kafka puts around them. */
enum { TSPI_KAFKA_MESSAGE_MAX_BYTES = TSPI_MSG_MAX_BYTES + 64 * 1024 };
/* How long a message may wait for its delivery before it counts as lost, and a broker may be out of reach before the
 * run gives it up. */
enum { TSPI_KAFKA_PATIENCE_MS = 5000 };
enum { TSPI_KAFKA_KEY_BYTES = 8, TSPI_KAFKA_NAME_BYTES = 250 };

/* ------------------------------------------------------------------ settings */

/* A copy that owns its text; release it also after a failure. false: no memory. */
bool tspi_kafka_settings_copy(const tspi_kafka_settings *from, tspi_kafka_settings *ret_to);
void tspi_kafka_settings_release(tspi_kafka_settings *settings);
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

/* ------------------------------------------------------------------ what is heard of the broker */

/* Written by callbacks, all of which run inside of calls of the driver's one thread. */
typedef struct {
    int64_t down_ns;      /* when all connections were found lost; 0 = they are not */
    uint64_t undelivered; /* messages */
    char trouble[256];    /* the last thing that went wrong on a connection */
    char loss[640];       /* why the first message was not delivered, or the client is beyond help */
} tspi_kafka_news;

/* What librdkafka's error callback says of a client. */
void tspi_kafka_note_error(tspi_kafka_news *news, rd_kafka_t *client, int code, const char *reason);

/* ------------------------------------------------------------------ sending */

typedef struct {
    rd_kafka_t *producer;
    struct tspi_kafka_peer {
        rd_kafka_topic_t *topic;
        int32_t partition;
    } * peers;
    uint32_t peers_n;
    uint64_t out; /* messages without a delivery report yet */
    tspi_kafka_news *news;
} tspi_kafka_sender;

/* sender stays where it is until it is closed; so does news. */
tsp_status tspi_kafka_sender_open(tspi_kafka_sender *sender, const tspi_kafka_settings *settings, tspi_kafka_news *news,
                                  tsp_error *err);
/* A handle for partition of topic. */
tsp_status tspi_kafka_sender_add(tspi_kafka_sender *sender, const char *topic, int32_t partition, uint32_t *ret_peer,
                                 tsp_error *err);
/* As tspi_transport_ops.send. */
tsp_status tspi_kafka_sender_send(tspi_kafka_sender *sender, uint32_t peer, tspi_msg *msg, tsp_error *err);
/* As tspi_transport_ops.post. */
tsp_status tspi_kafka_sender_post(tspi_kafka_sender *sender, uint32_t peer, const tspi_content *content,
                                  tsp_error *err);
/* Waits a moment for what is under way. A sender that is all zero is fine. */
void tspi_kafka_sender_close(tspi_kafka_sender *sender);

/* ------------------------------------------------------------------ receiving */

/* Records taken from librdkafka in one look. */
enum { TSPI_KAFKA_BATCH = 64 };

typedef struct {
    /* A group's members are sorted by ids that begin with the member's name: the k-th worker is the k-th member. */
    char group[TSPI_KAFKA_NAME_BYTES], member[TSPI_KAFKA_NAME_BYTES];
    uint32_t worker; /* of the group: wants the partition of this number */
    char **topics;   /* borrowed */
    uint32_t topics_n;
    rd_kafka_t *consumer;
    rd_kafka_queue_t *queue;
    int wait_fd;                  /* borrowed; an eventfd that librdkafka signals */
    tspi_msg *early, **early_end; /* what came while open still waited for its place */
    bool in_place, misplaced;     /* in the group: as wanted; otherwise than wanted, after it was as wanted */
    rd_kafka_message_t *batch[TSPI_KAFKA_BATCH];
    uint32_t batch_n, batch_at; /* taken from librdkafka, and of these given to the caller */
    tspi_kafka_news *news;
} tspi_kafka_inbox;

/* Subscribe and wait until the group has given the inbox its place, until deadline_ns (CLOCK_MONOTONIC). group, member,
 * worker, topics, wait_fd and news are set; inbox stays where it is until it is closed. */
tsp_status tspi_kafka_inbox_open(tspi_kafka_inbox *inbox, const tspi_kafka_settings *settings, int64_t deadline_ns,
                                 tsp_error *err);
/* As tspi_transport_ops.recv. */
tsp_status tspi_kafka_inbox_recv(tspi_kafka_inbox *inbox, tspi_msg **ret_msg, tsp_error *err);
/* As tspi_transport_ops.deliver; *ret_n is 0. */
tsp_status tspi_kafka_inbox_deliver(tspi_kafka_inbox *inbox, uint32_t max, tspi_on_msg on_msg, void *ctx,
                                    uint32_t *ret_n, tsp_error *err);
/* Leaves the group. An inbox that is all zero is fine. */
void tspi_kafka_inbox_close(tspi_kafka_inbox *inbox);

static inline int64_t tspi_kafka_monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

#endif
