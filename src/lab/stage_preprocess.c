/* Tokenise: a request's text becomes a prompt piece of the engine. */
#include "lab/key_memory.h"
#include "lab/node.h"

struct state {
    tspi_key_memory seen;
};

static tsp_status on_message(tspi_node *node, tspi_incoming *incoming, tsp_error *err)
{
    struct state *s = node->state;
    tspi_lab_head head = incoming->head;
    tspi_lab_span tokenize;
    tspi_buf piece = {0};
    uint32_t tokens = 0;

    if (head.kind != TSPI_LAB_REQUEST)
        return tsp_error_set(err, TSP_EPARSE, "%s got a message of kind %d", node->name, head.kind);
    if (tspi_key_memory_has(&s->seen, tspi_lab_key(&head))) /* a second copy: seen, not used again */
        return tspi_node_span_end(node, &incoming->span, err);
    tspi_key_memory_add(&s->seen, tspi_lab_key(&head));
    tspi_node_span_begin(node, &incoming->span, "tokenize", TSPI_KIND_INTERNAL, &tokenize);
    tsp_status rc =
        node->engine->ops->tokenize(node->engine, (const char *)incoming->body, incoming->len, &piece, &tokens, err);
    if (rc != TSP_OK)
        goto out;
    tspi_lab_span_integer(&tokenize, "gen_ai.usage.input_tokens", tokens);
    rc = tspi_node_span_end(node, &tokenize, err);
    head.kind = TSPI_LAB_PROMPT;
    head.tokens = tokens;
    if (rc == TSP_OK)
        rc = tspi_node_send(node, &incoming->span, &head, piece.data, piece.len, err);
    if (rc == TSP_OK)
        rc = tspi_node_span_end(node, &incoming->span, err);
out:
    tspi_buf_release(&piece);
    return rc;
}

const struct tspi_stage_ops tspi_stage_preprocess = {
    .engine_jobs = TSPI_ENGINE_TOKENIZE,
    .state_size = sizeof(struct state),
    .on_message = on_message,
};
