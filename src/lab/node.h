/* A node: one worker of one stage, with its own clock. Everything it does to the world goes through tspi_world, so the
 * same code runs as a process on real transports and, many at once, in virtual time. Never blocks, never sleeps. */
#ifndef TSPI_LAB_NODE_H
#define TSPI_LAB_NODE_H

#include "base/random.h"
#include "clock/clock_model.h"
#include "engine/engine.h"
#include "lab/calls.h"
#include "lab/lab_message.h"
#include "lab/span_writer.h"
#include "lab/spec.h"
#include "transport/transport.h"

/* What a node may ask of the world. */
typedef struct tspi_world {
    int64_t (*wall_ns)(struct tspi_world *world);      /* true Unix time */
    int64_t (*monotonic_ns)(struct tspi_world *world); /* for timers and latencies */
    /* Deliver content to a worker of a stage; queues it if need be. */
    tsp_status (*send)(struct tspi_world *world, uint32_t stage, uint32_t worker, const tspi_content *content,
                       tsp_error *err);
    const char *messaging_system; /* messaging.system of the spans */
    tspi_write_behind *behind;    /* writes the nodes' files, where one process holds many; NULL = each its own */
    /* NULL = tspi_engine_open. */
    tsp_status (*open_engine)(struct tspi_world *world, const tspi_engine_config *config, tspi_engine **ret_engine,
                              tsp_error *err);
    /* By how much the sent stamp that is being taken is written late; NULL = never. */
    int64_t (*late_ns)(struct tspi_world *world);
    /* A service's work on a call; NULL = it takes what it takes. */
    void (*serve)(struct tspi_world *world);
} tspi_world;

/* A stretch of the experiment: one clock model, one load, one folder for what it leaves. */
typedef struct {
    uint32_t id;
    char folder[4096]; /* "" = spans are made and dropped */
    tspi_clock_model clock;
    enum tspi_arrival arrival;
    double rate_per_s;
    uint32_t concurrency;
    uint32_t requests;   /* stop after as many; 0 = only the duration counts */
    int64_t duration_ns; /* stop issuing after; 0 = only the requests count */
    uint64_t seed;
} tspi_block;

/* What the gateway measured of a block. */
typedef struct {
    uint64_t requests, tokens;
    int64_t elapsed_ns; /* from the first request to the last answer */
    uint64_t foreign;   /* messages that were none of the lab's, at all nodes, since the block before */
} tspi_block_result;

typedef struct tspi_node tspi_node;

/* A message as a stage sees it. */
typedef struct tspi_incoming {
    tspi_lab_head head;
    const uint8_t *body; /* borrowed for the call */
    size_t len;
    tspi_lab_span
        span; /* the CONSUMER span (SERVER, of a call), begun; the stage ends it, or keeps a copy to end later */
    const uint8_t *answers; /* to the calls that were made for it, a digest each; borrowed for the call */
    uint32_t answers_n;
} tspi_incoming;

/* A role's behaviour. All but name, state_size and on_message may be NULL. */
struct tspi_stage_ops {
    unsigned engine_jobs; /* TSPI_ENGINE_* that the stage needs */
    size_t state_size;
    tsp_status (*init)(tspi_node *node, tsp_error *err);
    tsp_status (*begin)(tspi_node *node, tsp_error *err); /* of a block */
    tsp_status (*go)(tspi_node *node, tsp_error *err);    /* every node has begun */
    tsp_status (*on_message)(tspi_node *node, tspi_incoming *incoming, tsp_error *err);
    int64_t (*due_ns)(tspi_node *node); /* when tick wants to be called; INT64_MAX = never */
    tsp_status (*tick)(tspi_node *node, int64_t now_ns, tsp_error *err);
    bool (*busy)(tspi_node *node);                       /* work has something to do */
    tsp_status (*work)(tspi_node *node, tsp_error *err); /* a few ms at the most */
    tsp_status (*end)(tspi_node *node, tsp_error *err);
    void (*release)(tspi_node *node); /* a zeroed state is fine */
};

extern const struct tspi_stage_ops tspi_stage_gateway, tspi_stage_preprocess, tspi_stage_inference,
    tspi_stage_postprocess, tspi_stage_relay, tspi_stage_sink, tspi_stage_service;

struct tspi_node {
    const tspi_spec *spec;        /* borrowed */
    const tspi_stage_spec *stage; /* borrowed, a row of spec */
    uint32_t worker;
    char name[64];     /* "inference-0" */
    tspi_world *world; /* borrowed */
    const struct tspi_stage_ops *ops;
    void *state;         /* owned, of ops->state_size bytes */
    tspi_engine *engine; /* owned; NULL where the stage needs none */
    tspi_calls *calls;   /* owned; NULL where the stage calls nobody */
    tspi_random random;
    tspi_model_clock clock;
    tspi_span_writer spans;
    /* What the spans have in common that a node makes all the time: "process inference", or "answer level1" of a
     * service; "send sink", a row of stage->to. */
    char process_name[56];
    tspi_span_sort process_sort;
    struct tspi_send_sort {
        char name[56];
        tspi_span_sort sort;
    } * send_sorts; /* owned */
    tspi_block block;
    bool in_block;
    bool done; /* the gateway: everything of this block is answered, result is set */
    tspi_block_result result;
    uint64_t requests_seen, tokens_seen; /* for the progress line */
    uint64_t foreign;                    /* messages dropped because no node of a lab wrote them */
    tsp_error foreign_why;               /* of the last one */
};

/* stage: a row of spec->stages. The node borrows spec and world for its life. On failure the node is released. */
tsp_status tspi_node_init(tspi_node *node, const tspi_spec *spec, uint32_t stage, uint32_t worker, tspi_world *world,
                          tsp_error *err);
void tspi_node_release(tspi_node *node);

tsp_status tspi_node_begin(tspi_node *node, const tspi_block *block, tsp_error *err);
tsp_status tspi_node_go(tspi_node *node, tsp_error *err);
tsp_status tspi_node_end(tspi_node *node, tsp_error *err);
/* One that is none of the lab's is counted and dropped. */
tsp_status tspi_node_receive(tspi_node *node, const tspi_msg *msg, tsp_error *err);
/* The same for what the transport could not make a message of. */
void tspi_node_drop_foreign(tspi_node *node, const tsp_error *why);
int64_t tspi_node_due_ns(tspi_node *node);
tsp_status tspi_node_tick(tspi_node *node, tsp_error *err);
bool tspi_node_busy(tspi_node *node);
tsp_status tspi_node_work(tspi_node *node, tsp_error *err);

/* "inference-0": the name of a worker's node. */
void tspi_node_name(const tspi_stage_spec *stage, uint32_t worker, char *ret_name, size_t size);

/* Whether a clock's name is that of a worker of this stage. */
bool tspi_is_clock_of(const char *clock, const char *stage);

/* ------------------------------------------------------------------ for the stages */

/* What this node's clock shows now, with the truth beside it. */
tspi_stamp tspi_node_stamp(tspi_node *node);

/* Begin a span: a child of parent (NULL = a new trace). Its start is stamped now. */
void tspi_node_span_begin(tspi_node *node, const tspi_lab_span *parent, const char *name, enum tspi_span_kind kind,
                          tspi_lab_span *ret_span);
/* Stamp its end and write it. */
tsp_status tspi_node_span_end(tspi_node *node, tspi_lab_span *span, tsp_error *err);
/* The same with a stamp that was taken before. */
tsp_status tspi_node_span_end_at(tspi_node *node, tspi_lab_span *span, const tspi_stamp *end, tsp_error *err);

/* Send to every stage that this one sends to, each with a PRODUCER span below parent whose context travels along. */
tsp_status tspi_node_send(tspi_node *node, const tspi_lab_span *parent, const tspi_lab_head *head, const void *body,
                          size_t len, tsp_error *err);

/* Send to one worker of a stage, in the context of a span that was just begun; the caller ends it. */
tsp_status tspi_node_send_span(tspi_node *node, tspi_lab_span *span, uint32_t stage, uint32_t worker,
                               const tspi_lab_head *head, const void *body, size_t len, tsp_error *err);
/* The same where the span's start is no stamp of this sending. */
tsp_status tspi_node_send_plain(tspi_node *node, const tspi_lab_span *span, uint32_t stage, uint32_t worker,
                                const tspi_lab_head *head, const void *body, size_t len, tsp_error *err);

/* Whether messages of this kind carry a place in a stream. */
bool tspi_node_is_stream(uint8_t kind);
/* If they do, the span shows it as truespan.stream.sequence. */
void tspi_node_show_sequence(tspi_lab_span *span, const tspi_lab_head *head);

#endif
