/* What stages say to each other: a fixed head and a body. Travels as a transport message's payload; the trace context
 * travels beside it in the header "traceparent". */
#ifndef TSPI_LAB_LAB_MESSAGE_H
#define TSPI_LAB_LAB_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "truespan/base.h"

enum tspi_lab_kind {
    TSPI_LAB_REQUEST = 1, /* body: the prompt's text */
    TSPI_LAB_PROMPT,      /* body: a prompt piece of the engine */
    TSPI_LAB_TOKENS,      /* body: token pieces, each u32 length + bytes */
    TSPI_LAB_TEXT,        /* body: UTF-8 */
    TSPI_LAB_ACK_FIRST,   /* the sink has the first text of this request */
    TSPI_LAB_ACK_DONE,    /* the sink has all of it; body: SHA-256 of the text */
    TSPI_LAB_CALL,        /* to a service (calls.c) */
    TSPI_LAB_ANSWER,      /* and back */
    TSPI_LAB_KINDS_END,
};

enum tspi_lab_flags {
    TSPI_LAB_FINAL = 1, /* no more of this request follows */
};

typedef struct {
    uint8_t kind, flags;
    uint16_t origin;  /* worker of the gateway that asked */
    uint32_t block;   /* of the plan: what arrives late is told apart */
    uint32_t request; /* counted from 0 in its block and origin */
    uint32_t prompt;  /* index in the prompts file */
    uint32_t number;  /* of the message in its stream, from 0; in CALL: how often it may be passed on */
    uint32_t tokens;  /* in TOKENS and TEXT: carried here; in ACK_DONE: all of the request's */
} tspi_lab_head;

enum { TSPI_LAB_HEAD_BYTES = 28 };

void tspi_lab_head_write(const tspi_lab_head *head, uint8_t ret_bytes[TSPI_LAB_HEAD_BYTES]);
tsp_status tspi_lab_head_read(const uint8_t *bytes, size_t len, tspi_lab_head *ret_head, tsp_error *err);

/* Key of a request's messages: all of them keep their order and meet the same worker of a stage. */
static inline uint64_t tspi_lab_key(const tspi_lab_head *head)
{
    return (uint64_t)head->block << 48 ^ (uint64_t)head->origin << 32 ^ head->request;
}

#endif
