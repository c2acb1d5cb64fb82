/* How messages travel between nodes. One interface, one driver a messaging system, each over its real client library;
 * wrappers (fault.h) add delay, jitter and loss to any of them.
 *
 * A node has one inbox, and one peer handle for every inbox that it sends to. Messages with the same key, from one
 * node to one inbox, arrive in the order they were sent. No call but listen blocks. One thread uses a transport. */
#ifndef TSPI_TRANSPORT_TRANSPORT_H
#define TSPI_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "truespan/base.h"

/* A message: headers (name, value; any bytes) and a payload, held as the one frame that travels:
 * u32 little-endian length of the header block; per header u16 name length, u32 value length, name, value; payload.
 * Headers are added before the payload. */
typedef struct tspi_msg {
    uint64_t key;
    uint8_t *frame; /* owned */
    size_t len, cap;
    size_t payload_at;
    struct tspi_msg *next; /* for the queue of whoever owns the message */
    /* Gives back a frame that belongs to the driver's library, whose handle stands behind the message; NULL: ours. */
    void (*release)(void *handle);
    bool is_common_size; /* its block is kept for the next message */
} tspi_msg;

enum { TSPI_MSG_MAX_BYTES = 16 * 1024 * 1024 };

tspi_msg *tspi_msg_new(uint64_t key); /* NULL: out of memory */
void tspi_msg_free(tspi_msg *msg);    /* NULL is fine */
tsp_status tspi_msg_add_named(tspi_msg *msg, const char *name, size_t name_len, const void *value, size_t len);
static inline tsp_status tspi_msg_add_header(tspi_msg *msg, const char *name, const void *value, size_t len)
{
    return tspi_msg_add_named(msg, name, strlen(name), value, len); /* the length of a literal costs nothing here */
}
tsp_status tspi_msg_set_payload(tspi_msg *msg, const void *payload, size_t len);
/* The value of a header, borrowed; NULL when there is none. */
const void *tspi_msg_find(const tspi_msg *msg, const char *name, size_t name_len, size_t *ret_len);
static inline const void *tspi_msg_header(const tspi_msg *msg, const char *name, size_t *ret_len)
{
    return tspi_msg_find(msg, name, strlen(name), ret_len);
}
/* Headers in their order: *at is 0 before the first; false after the last. Name (not terminated) and value are
 * borrowed.
 */
typedef struct {
    const char *name;
    const void *value;
    size_t name_len, len;
} tspi_msg_header_view;
bool tspi_msg_next_header(const tspi_msg *msg, size_t *at, tspi_msg_header_view *ret_view);
static inline const uint8_t *tspi_msg_payload(const tspi_msg *msg, size_t *ret_len)
{
    *ret_len = msg->len - msg->payload_at;
    return msg->frame + msg->payload_at;
}
/* A message from a frame that arrived; frame is copied. TSP_EPARSE when it is no frame. */
tsp_status tspi_msg_parse(const void *frame, size_t len, tspi_msg **ret_msg, tsp_error *err);
/* What is to be sent, where its sender has it: borrowed for the call. */
typedef struct {
    uint64_t key;
    const tspi_msg_header_view *headers;
    size_t headers_n;
    const void *payload;
    size_t payload_len;
} tspi_content;
/* A message of it. NULL: out of memory, or over the limit. */
tspi_msg *tspi_msg_of(const tspi_content *content);
/* The same as tspi_msg_parse in two steps, for a driver that gets a frame in pieces: a message whose frame of len bytes
 * the caller fills (NULL: no memory, or over the limit), then the check. */
tspi_msg *tspi_msg_for_frame(size_t len);
/* A message around a frame that stays where the library has it: the driver puts its handle of handle_size bytes into
 * *ret_handle, and sets frame and len; then tspi_msg_check. When freed: release(handle). */
tspi_msg *tspi_msg_around(size_t handle_size, void (*release)(void *handle), void **ret_handle);
tsp_status tspi_msg_check(tspi_msg *msg, tsp_error *err);

typedef struct tspi_transport tspi_transport;

/* What a receiver does with a message, which it borrows for the call. false: give me no more. */
typedef bool (*tspi_on_msg)(void *ctx, const tspi_msg *msg);

typedef struct {
    const char *host;   /* address of this node that others reach, "10.77.0.3"; "ipc" = Aeron's shared memory */
    uint16_t port;      /* of the inbox; 0 = any free one */
    const char *inbox;  /* name of the inbox, unique in the run: "inference-0" */
    const char *folder; /* for the driver's own files; may be NULL. Aeron: the folder of the media driver */
    struct {
        int64_t idle_ns;     /* the longest sleep between two looks for a message; 0 = 100 us */
        uint32_t term_bytes; /* of each of a stream's three buffers; 0 = the media driver's own choice */
    } aeron;

    /* Where the messaging system keeps things of its own (a broker's topics): whose they are and what they are called.
     */
    const char *run;         /* unique name of the run; NULL for what keeps nothing */
    const char *stage;       /* the inbox belongs to a worker of this stage; NULL = the inbox is a stage of its own */
    uint32_t worker;         /* from 0 */
    uint32_t workers;        /* of the stage; 0 as 1 */
    const char *const *from; /* stages that send to this inbox; NULL = whoever has its address */
    uint32_t from_n;
    const struct tspi_kafka_settings *kafka; /* transport/kafka.h; may be NULL with any other driver */
} tspi_transport_config;

struct tspi_transport_ops {
    const char *scheme;  /* "zmq", "kafka", "aeron" */
    const char *semconv; /* messaging.system, as the OpenTelemetry conventions spell it where they do */
    bool at_least_once;  /* a message may arrive twice; false = exactly once while both ends live */
    tsp_status (*open)(const tspi_transport_config *config, tspi_transport **ret_transport, tsp_error *err);
    /* Open the inbox; ret_address is what others pass to connect. Where the messaging system must find a place for the
     * inbox first, this takes as long as that does (some seconds); every other call returns at once. */
    tsp_status (*listen)(tspi_transport *t, char *ret_address, size_t size, tsp_error *err);
    /* A handle, counted from 0, for the inbox at address. The inbox need not be there yet. */
    tsp_status (*connect)(tspi_transport *t, const char *address, uint32_t *ret_peer, tsp_error *err);
    /* TSP_OK or TSP_ECLOSED: the driver owns msg now. TSP_EAGAIN (queues full) or any other error: the caller still
     * does. */
    tsp_status (*send)(tspi_transport *t, uint32_t peer, tspi_msg *msg, tsp_error *err);
    /* The same without a message: content is written to where the library wants it. TSP_EAGAIN and other errors:
     * nothing is sent. NULL = it is done by send: use tspi_transport_post. */
    tsp_status (*post)(tspi_transport *t, uint32_t peer, const tspi_content *content, tsp_error *err);
    /* TSP_EAGAIN: nothing there. The message belongs to the caller. */
    tsp_status (*recv)(tspi_transport *t, tspi_msg **ret_msg, tsp_error *err);
    /* Give on_msg what is there, max messages at most, without making them the caller's: they are read where the driver
     * has them. ret_n: how many. TSP_EAGAIN: there was none. on_msg may send, but not receive. NULL = it is done by
     * recv: use tspi_transport_deliver. */
    tsp_status (*deliver)(tspi_transport *t, uint32_t max, tspi_on_msg on_msg, void *ctx, uint32_t *ret_n,
                          tsp_error *err);
    /* A descriptor that turns readable when there may be something to receive or to do; -1 = there is none, only
     * due_ns. Sleep on it only after recv or deliver said TSP_EAGAIN: it may be edge-triggered. */
    int (*wait_fd)(tspi_transport *t);
    /* When recv and poll must be called again (CLOCK_MONOTONIC ns); INT64_MAX = only when wait_fd says so. NULL =
     * never.
     */
    int64_t (*due_ns)(tspi_transport *t);
    tsp_status (*poll)(tspi_transport *t, int64_t now_ns, tsp_error *err); /* NULL = nothing to do */
    void (*close)(tspi_transport *t);                                      /* half-open is fine */
};

/* Every driver's own struct begins with this. */
struct tspi_transport {
    const struct tspi_transport_ops *ops;
};

/* As tspi_transport_ops.post, over any driver. TSP_OK: it is sent, or will be. */
tsp_status tspi_transport_post_message(tspi_transport *t, uint32_t peer, const tspi_content *content, tsp_error *err);
static inline tsp_status tspi_transport_post(tspi_transport *t, uint32_t peer, const tspi_content *content,
                                             tsp_error *err)
{
    return (t->ops->post ? t->ops->post : tspi_transport_post_message)(t, peer, content, err);
}

/* As tspi_transport_ops.deliver, over any driver. TSP_EPARSE: what came was no message, and is dropped; there may be
 * more. */
tsp_status tspi_transport_deliver(tspi_transport *t, uint32_t max, tspi_on_msg on_msg, void *ctx, uint32_t *ret_n,
                                  tsp_error *err);

/* The driver of a scheme, or NULL. */
const struct tspi_transport_ops *tspi_transport_find(const char *scheme);

/* The schemes that this build has, for messages: "zmq, kafka". */
const char *tspi_transport_names(void);

extern const struct tspi_transport_ops tspi_transport_zmq;
extern const struct tspi_transport_ops tspi_transport_kafka; /* where the build has librdkafka */
extern const struct tspi_transport_ops tspi_transport_aeron; /* where the build has Aeron */

#endif
