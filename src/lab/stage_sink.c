/* Collect the text of every request; acknowledge the first and the last of it to the gateway, which closes the loop. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "lab/key_memory.h"
#include "lab/node.h"
#include "lab/request_table.h"

enum { SHA256_BYTES = 32 };

struct answer {
    tspi_request request;
    tspi_buf text;
    uint32_t tokens;
};

struct state {
    tspi_request_table answers;
    tspi_key_memory done;
};

static void release_answer(tspi_request *request)
{
    tspi_buf_release(&((struct answer *)request)->text);
}

static tsp_status acknowledge(tspi_node *node, tspi_incoming *incoming, struct answer *answer, bool done,
                              tsp_error *err)
{
    tspi_lab_head head = incoming->head;
    unsigned char digest[SHA256_BYTES];

    head.kind = done ? TSPI_LAB_ACK_DONE : TSPI_LAB_ACK_FIRST;
    head.flags = 0;
    head.number = 0;
    head.tokens = answer->tokens;
    if (done && !EVP_Digest(answer->text.len ? (void *)answer->text.data : "", answer->text.len, digest, NULL,
                            EVP_sha256(), NULL))
        return tsp_error_set(err, TSP_EIO, "cannot compute SHA-256");
    return tspi_node_send(node, &incoming->span, &head, digest, done ? sizeof digest : 0, err);
}

static tsp_status collect(tspi_node *node, tspi_incoming *incoming, struct answer *answer, tsp_error *err)
{
    const tspi_lab_head *head = &incoming->head;
    tsp_status rc = TSP_OK;

    answer->request.number++;
    answer->tokens += head->tokens;
    tspi_buf_append(&answer->text, incoming->body, incoming->len);
    if (!head->number)
        rc = acknowledge(node, incoming, answer, false, err);
    if (rc == TSP_OK && head->flags & TSPI_LAB_FINAL)
        rc = acknowledge(node, incoming, answer, true, err);
    return rc;
}

static tsp_status on_message(tspi_node *node, tspi_incoming *incoming, tsp_error *err)
{
    struct state *s = node->state;
    const tspi_lab_head *head = &incoming->head;
    uint64_t key = tspi_lab_key(head);

    if (head->kind != TSPI_LAB_TEXT)
        return tsp_error_set(err, TSP_EPARSE, "%s got a message of kind %d", node->name, head->kind);
    struct answer *answer = (struct answer *)tspi_request_find(&s->answers, key);
    bool is_new = !answer && !head->number && !tspi_key_memory_has(&s->done, key);
    if (is_new)
        answer = (struct answer *)tspi_request_add(&s->answers, key, sizeof *answer);
    if (is_new && !answer)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for an answer");
    if (answer && head->number > answer->request.number)
        return tsp_error_set(err, TSP_EPARSE, "%s got message %u of request %u before message %u", node->name,
                             head->number, head->request, answer->request.number);
    tsp_status rc = TSP_OK;
    if (answer && head->number == answer->request.number) {
        rc = collect(node, incoming, answer, err);
        if (head->flags & TSPI_LAB_FINAL) {
            tspi_key_memory_add(&s->done, key);
            tspi_request_remove(&s->answers, &answer->request);
            release_answer(&answer->request);
            free(answer);
        }
    }
    return rc == TSP_OK ? tspi_node_span_end(node, &incoming->span, err) : rc;
}

static tsp_status end(tspi_node *node, tsp_error *err)
{
    struct state *s = node->state;

    (void)err;
    tspi_request_table_clear(&s->answers, release_answer);
    return TSP_OK;
}

static void release(tspi_node *node)
{
    end(node, NULL);
}

const struct tspi_stage_ops tspi_stage_sink = {
    .state_size = sizeof(struct state),
    .on_message = on_message,
    .end = end,
    .release = release,
};
