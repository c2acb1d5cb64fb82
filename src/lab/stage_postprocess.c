/* Detokenise: token pieces become text, whole characters only, one message of text for each message of tokens. */
#include <stdlib.h>

#include "lab/key_memory.h"
#include "lab/node.h"
#include "lab/request_table.h"

struct stream {
    tspi_request request;
    tspi_engine *engine;
    tspi_detokenizer *detokenizer;
};

struct state {
    tspi_request_table streams;
    tspi_key_memory done;
    tspi_buf text; /* of the message under way */
};

static void release_stream(tspi_request *request)
{
    struct stream *stream = (struct stream *)request;

    if (stream->detokenizer)
        stream->engine->ops->detokenizer_free(stream->detokenizer);
}

static tsp_status stream_of(tspi_node *node, const tspi_lab_head *head, struct stream **ret_stream, tsp_error *err)
{
    struct state *s = node->state;
    struct stream *stream = (struct stream *)tspi_request_find(&s->streams, tspi_lab_key(head));

    *ret_stream = stream;
    if (stream || head->number || tspi_key_memory_has(&s->done, tspi_lab_key(head)))
        return TSP_OK;
    stream = (struct stream *)tspi_request_add(&s->streams, tspi_lab_key(head), sizeof *stream);
    if (!stream)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a stream");
    stream->engine = node->engine;
    *ret_stream = stream;
    return node->engine->ops->detokenizer_new(node->engine, &stream->detokenizer, err);
}

static tsp_status detokenize(tspi_node *node, struct stream *stream, const uint8_t *at, size_t left, tspi_buf *text,
                             tsp_error *err)
{
    while (left >= 4) {
        size_t len = (size_t)at[0] | (size_t)at[1] << 8 | (size_t)at[2] << 16 | (size_t)at[3] << 24;
        if (len > left - 4)
            break;
        tsp_status rc = node->engine->ops->detokenize(stream->detokenizer, at + 4, len, text, err);
        if (rc != TSP_OK)
            return rc;
        at += 4 + len;
        left -= 4 + len;
    }
    return left ? tsp_error_set(err, TSP_EPARSE, "%s got token pieces that do not fit their message", node->name)
                : TSP_OK;
}

static tsp_status on_message(tspi_node *node, tspi_incoming *incoming, tsp_error *err)
{
    struct state *s = node->state;
    tspi_lab_head head = incoming->head;
    tspi_buf *text = &s->text;
    struct stream *stream;

    if (head.kind != TSPI_LAB_TOKENS)
        return tsp_error_set(err, TSP_EPARSE, "%s got a message of kind %d", node->name, head.kind);
    tsp_status rc = stream_of(node, &head, &stream, err);
    if (rc != TSP_OK)
        return rc;
    if (!stream || head.number < stream->request.number) /* a second copy: seen, not used again */
        return tspi_node_span_end(node, &incoming->span, err);
    if (head.number > stream->request.number)
        return tsp_error_set(err, TSP_EPARSE, "%s got message %u of request %u before message %u", node->name,
                             head.number, head.request, stream->request.number);
    stream->request.number++;
    tspi_buf_clear(text);
    rc = detokenize(node, stream, incoming->body, incoming->len, text, err);
    head.kind = TSPI_LAB_TEXT;
    if (rc == TSP_OK)
        rc = tspi_node_send(node, &incoming->span, &head, text->data, text->len, err);
    if (rc == TSP_OK)
        rc = tspi_node_span_end(node, &incoming->span, err);
    if (head.flags & TSPI_LAB_FINAL) {
        tspi_key_memory_add(&s->done, stream->request.key);
        tspi_request_remove(&s->streams, &stream->request);
        release_stream(&stream->request);
        free(stream);
    }
    return rc;
}

static tsp_status end(tspi_node *node, tsp_error *err)
{
    struct state *s = node->state;

    (void)err;
    tspi_request_table_clear(&s->streams, release_stream);
    return TSP_OK;
}

static void release(tspi_node *node)
{
    end(node, NULL);
    tspi_buf_release(&((struct state *)node->state)->text);
}

const struct tspi_stage_ops tspi_stage_postprocess = {
    .engine_jobs = TSPI_ENGINE_DETOKENIZE,
    .state_size = sizeof(struct state),
    .on_message = on_message,
    .end = end,
    .release = release,
};
