#include "lab/calls.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/node.h"

/* Before a call's text: stage and worker of the caller, number of what it holds, row of the call in that. An answer:
 * the last two, and the digest. All u32 little-endian. */
enum { CALL_BYTES = 16, ANSWER_BYTES = 8 };

struct call {
    uint32_t worker;
    bool is_answered;
    tspi_lab_span span;
};

struct held {
    tspi_request request; /* its key is its number */
    tspi_incoming incoming;
    uint8_t *body;      /* owned */
    uint8_t *answers;   /* owned: a digest a call, in the order of the calls */
    struct call *calls; /* owned */
    uint32_t calls_n, asked, answered;
};

static void put(uint8_t *at, uint32_t value)
{
    for (int k = 0; k < 4; k++)
        at[k] = (uint8_t)(value >> 8 * k);
}

static uint32_t get(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* ------------------------------------------------------------------ life */

tspi_calls *tspi_calls_new(const tspi_node *node)
{
    tspi_calls *calls = calloc(1, sizeof *calls);
    const char *called = node->spec->stages[node->stage->calls].name;

    if (!calls)
        return NULL;
    calls->stage = (uint32_t)(node->stage - node->spec->stages);
    snprintf(calls->name, sizeof calls->name, "call %s", called);
    return calls;
}

static void release_held(tspi_request *request)
{
    struct held *held = (struct held *)request;

    free(held->body);
    free(held->answers);
    free(held->calls);
}

void tspi_calls_clear(tspi_calls *calls)
{
    if (calls)
        tspi_request_table_clear(&calls->held, release_held);
}

void tspi_calls_free(tspi_calls *calls)
{
    tspi_calls_clear(calls);
    free(calls);
}

/* ------------------------------------------------------------------ calling */

/* How often the call may still be passed on: a mesh has no end of its own. */
static uint32_t levels_left(const tspi_node *node, const tspi_lab_head *head)
{
    if (head->kind == TSPI_LAB_CALL)
        return head->number;
    return node->spec->topology.depth ? node->spec->topology.depth : TSPI_TREE_DEPTH_MAX;
}

bool tspi_calls_wanted(const tspi_node *node, const tspi_incoming *incoming)
{
    return node->calls && (incoming->head.kind == TSPI_LAB_REQUEST || incoming->head.kind == TSPI_LAB_CALL) &&
           levels_left(node, &incoming->head) > 0;
}

/* The text that a message is about: a call's own head is not passed on. */
static const uint8_t *text_of(const tspi_incoming *incoming, size_t *ret_len)
{
    size_t skip = incoming->head.kind == TSPI_LAB_CALL ? CALL_BYTES : 0;

    *ret_len = incoming->len - skip;
    return incoming->body + skip;
}

/* What is called one after another hears what the one before it gave. */
static tsp_status call(tspi_node *node, struct held *held, uint32_t row, const uint8_t *last, tsp_error *err)
{
    struct call *c = &held->calls[row];
    tspi_lab_head head = held->incoming.head;
    size_t len, last_len = last ? TSPI_ANSWER_DIGEST_BYTES : 0;
    const uint8_t *text = text_of(&held->incoming, &len);
    uint8_t small[512],
        *body = CALL_BYTES + len + last_len <= sizeof small ? small : malloc(CALL_BYTES + len + last_len);

    if (!body)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a call");
    head.number = levels_left(node, &held->incoming.head) - 1;
    head.kind = TSPI_LAB_CALL;
    head.flags = 0;
    head.tokens = 0;
    put(body, node->calls->stage);
    put(body + 4, node->worker);
    put(body + 8, (uint32_t)held->request.key);
    put(body + 12, row);
    memcpy(body + CALL_BYTES, text, len);
    if (last)
        memcpy(body + CALL_BYTES + len, last, last_len);
    tspi_node_span_begin(node, &held->incoming.span, node->calls->name, TSPI_KIND_CLIENT, &c->span);
    tspi_lab_span_text(&c->span, "rpc.system.name", node->world->messaging_system);
    tspi_lab_span_text(&c->span, "rpc.method", node->spec->stages[node->stage->calls].name);
    tsp_status rc = tspi_node_send_span(node, &c->span, (uint32_t)node->stage->calls, c->worker, &head, body,
                                        CALL_BYTES + len + last_len, err);
    if (body != small)
        free(body);
    return rc;
}

static struct held *hold(tspi_node *node, const tspi_incoming *incoming)
{
    uint32_t workers[TSPI_CALLS_MAX];
    uint32_t n =
        tspi_topology_callees(node->spec, node->calls->stage, node->worker, tspi_lab_key(&incoming->head), workers);
    struct held *held = (struct held *)tspi_request_add(&node->calls->held, node->calls->next, sizeof *held);

    if (!held)
        return NULL;
    node->calls->next++;
    held->incoming = *incoming;
    held->body = malloc(incoming->len + 1);
    held->answers = malloc((size_t)n * TSPI_ANSWER_DIGEST_BYTES);
    held->calls = calloc(n, sizeof *held->calls);
    if (!held->body || !held->answers || !held->calls)
        return NULL; /* what there is stays in the table, and goes with it */
    memcpy(held->body, incoming->body, incoming->len);
    held->incoming.body = held->body;
    held->calls_n = n;
    for (uint32_t k = 0; k < n; k++)
        held->calls[k].worker = workers[k];
    return held;
}

/* A hub visits its spokes one after another, as an agent uses tools; all others call all at once. */
static bool takes_turns(const tspi_node *node)
{
    return node->spec->topology.shape == TSPI_SHAPE_HUB && node->stage->role == TSPI_ROLE_SERVICE;
}

tsp_status tspi_calls_begin(tspi_node *node, const tspi_incoming *incoming, tsp_error *err)
{
    tsp_status rc = TSP_OK;
    struct held *held = hold(node, incoming);

    if (!held)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message that waits for answers");
    uint32_t at_once = takes_turns(node) ? 1 : held->calls_n;
    while (held->asked < at_once && rc == TSP_OK)
        rc = call(node, held, held->asked++, NULL, err);
    return rc;
}

static tsp_status drop_foreign(tspi_node *node, const char *what)
{
    tsp_error why = {0};

    tsp_error_set(&why, TSP_EPARSE, "it is no %s", what);
    tspi_node_drop_foreign(node, &why);
    return TSP_OK;
}

tsp_status tspi_calls_answered(tspi_node *node, const tspi_incoming *incoming, tsp_error *err)
{
    if (!node->calls || incoming->len != ANSWER_BYTES + TSPI_ANSWER_DIGEST_BYTES)
        return drop_foreign(node, "answer");
    struct held *held = (struct held *)tspi_request_find(&node->calls->held, get(incoming->body));
    uint32_t row = get(incoming->body + 4);
    if (!held || row >= held->asked || held->calls[row].is_answered)
        return TSP_OK; /* a second copy */
    uint8_t *answer = held->answers + (size_t)row * TSPI_ANSWER_DIGEST_BYTES;
    memcpy(answer, incoming->body + ANSWER_BYTES, TSPI_ANSWER_DIGEST_BYTES);
    held->calls[row].is_answered = true;
    held->answered++;
    tsp_status rc = tspi_node_span_end_at(node, &held->calls[row].span, &incoming->span.start, err);
    if (rc == TSP_OK && held->asked < held->calls_n)
        rc = call(node, held, held->asked++, answer, err);
    if (rc != TSP_OK || held->answered < held->calls_n)
        return rc;
    tspi_request_remove(&node->calls->held, &held->request);
    held->incoming.answers = held->answers;
    held->incoming.answers_n = held->calls_n;
    rc = node->ops->on_message(node, &held->incoming, err);
    release_held(&held->request);
    free(held);
    return rc;
}

/* ------------------------------------------------------------------ answering */

static bool digest(const tspi_incoming *incoming, uint8_t ret_digest[TSPI_ANSWER_DIGEST_BYTES])
{
    EVP_MD_CTX *sha = EVP_MD_CTX_new();
    size_t len;
    const uint8_t *text = text_of(incoming, &len);
    bool good = sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) && EVP_DigestUpdate(sha, text, len) &&
                EVP_DigestUpdate(sha, incoming->answers_n ? incoming->answers : text,
                                 (size_t)incoming->answers_n * TSPI_ANSWER_DIGEST_BYTES) &&
                EVP_DigestFinal_ex(sha, ret_digest, NULL);

    EVP_MD_CTX_free(sha);
    return good;
}

tsp_status tspi_call_answer(tspi_node *node, tspi_incoming *incoming, tsp_error *err)
{
    uint8_t body[ANSWER_BYTES + TSPI_ANSWER_DIGEST_BYTES];
    tspi_lab_head head = incoming->head;

    if (head.kind != TSPI_LAB_CALL)
        return tsp_error_set(err, TSP_EPARSE, "%s got a message of kind %d", node->name, head.kind);
    if (incoming->len < CALL_BYTES || get(incoming->body) >= node->spec->stages_n ||
        get(incoming->body + 4) >= node->spec->stages[get(incoming->body)].workers)
        return drop_foreign(node, "call");
    if (node->world->serve)
        node->world->serve(node->world);
    if (!digest(incoming, body + ANSWER_BYTES))
        return tsp_error_set(err, TSP_EIO, "cannot compute SHA-256");
    memcpy(body, incoming->body + 8, ANSWER_BYTES);
    head.kind = TSPI_LAB_ANSWER;
    tspi_stamp end = tspi_node_stamp(node);
    tsp_status rc = tspi_node_send_plain(node, &incoming->span, get(incoming->body), get(incoming->body + 4), &head,
                                         body, sizeof body, err);
    return rc == TSP_OK ? tspi_node_span_end_at(node, &incoming->span, &end, err) : rc;
}
