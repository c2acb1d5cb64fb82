/* Calls of services. A stage that calls others holds what it got until all answers are there, and only then treats it:
 * its role's code knows nothing of calls. A call is a CLIENT span here and a SERVER span there; its answer is a message
 * without spans of its own. */
#ifndef TSPI_LAB_CALLS_H
#define TSPI_LAB_CALLS_H

#include "lab/request_table.h"
#include "lab/span_writer.h"

/* SHA-256. */
enum { TSPI_ANSWER_DIGEST_BYTES = 32 };

struct tspi_node;
struct tspi_incoming;

typedef struct {
    tspi_request_table held;
    uint32_t stage; /* row of this node's in the spec */
    uint32_t next;  /* number of the next that is held */
    char name[56];  /* of its CLIENT spans, "call level1" */
} tspi_calls;

/* NULL: out of memory. For a node whose stage calls others. */
tspi_calls *tspi_calls_new(const struct tspi_node *node);
void tspi_calls_clear(tspi_calls *calls); /* what is held is dropped; NULL is fine */
void tspi_calls_free(tspi_calls *calls);  /* NULL is fine */

/* Whether this message has calls made for it before its role sees it. */
bool tspi_calls_wanted(const struct tspi_node *node, const struct tspi_incoming *incoming);
/* Hold it and call; incoming is copied. */
tsp_status tspi_calls_begin(struct tspi_node *node, const struct tspi_incoming *incoming, tsp_error *err);
/* An answer came. When it was the last one, the role gets what was held, with incoming->answers. */
tsp_status tspi_calls_answered(struct tspi_node *node, const struct tspi_incoming *incoming, tsp_error *err);

/* At the service: answer the call with a digest of its text and of what the services gave that it called itself. Ends
 * and writes the SERVER span: its end is stamped before the answer leaves. */
tsp_status tspi_call_answer(struct tspi_node *node, struct tspi_incoming *incoming, tsp_error *err);

#endif
