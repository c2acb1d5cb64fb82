/* Decode: every worker has a number of slots, each generating for one request; the slots take turns, a token each, as
 * a continuously batching server does. What finds no slot waits in line.
 *
 * Where the spec's topology is batch, the line is emptied into batches instead: one begins when enough requests wait,
 * or the first has waited long enough, and the next when all of it are answered. A batch is one CONSUMER span in a
 * trace of its own, with a link to each request's sender, and what is generated lies below it: messaging's way of
 * correlating many with one (semantic-conventions, messaging spans). */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "lab/key_memory.h"
#include "lab/node.h"

struct job {
    struct job *next; /* in the line */
    tspi_lab_head head;
    tspi_lab_span received, chat;
    tspi_session *session;
    tspi_buf prompt, chunk; /* chunk: token pieces not sent yet, each u32 length + bytes */
    uint32_t chunk_tokens, tokens;
    int64_t begun_ns, first_ns; /* monotonic */
    char name[64];              /* of the received span, which outlives its message */
    char conversation[33];      /* in a batch: the request's trace, which the span below the batch is none of */
    int64_t came_ns;
};

/* The batch under way, or gathering. */
struct batch {
    tspi_lab_span span;
    tspi_span_link links[TSPI_BATCH_MAX];
    uint32_t unfinished;
};

struct state {
    struct job **slots; /* NULL = free */
    uint32_t active, turn;
    struct job *line, **line_end;
    uint32_t line_n;
    struct batch *batch; /* owned; NULL = requests are taken one by one */
    tspi_key_memory seen;
    tspi_buf piece;      /* of the step under way */
    uint32_t idle_turns; /* steps in a row that gave nothing; at `active` the engine makes us wait */
};

static struct state *state_of(tspi_node *node)
{
    return node->state;
}

static void job_free(tspi_node *node, struct job *job)
{
    if (!job)
        return;
    if (job->session)
        node->engine->ops->session_free(job->session);
    tspi_buf_release(&job->prompt);
    tspi_buf_release(&job->chunk);
    free(job);
}

static tsp_status init(tspi_node *node, tsp_error *err)
{
    struct state *s = state_of(node);

    s->line_end = &s->line;
    s->slots = calloc(node->spec->engine.slots, sizeof(struct job *));
    if (s->slots && node->spec->topology.shape == TSPI_SHAPE_BATCH) {
        s->batch = calloc(1, sizeof *s->batch);
        if (!s->batch)
            return tsp_error_set(err, TSP_ENOMEM, "out of memory for a batch");
    }
    return s->slots ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory for slots");
}

static void drop_all(tspi_node *node)
{
    struct state *s = state_of(node);

    for (uint32_t k = 0; s->slots && k < node->spec->engine.slots; k++) {
        job_free(node, s->slots[k]);
        s->slots[k] = NULL;
    }
    for (struct job *job = s->line, *next; job; job = next) {
        next = job->next;
        job_free(node, job);
    }
    s->line = NULL;
    s->line_end = &s->line;
    s->active = s->line_n = 0;
    if (s->batch)
        s->batch->unfinished = 0;
}

static tsp_status start(tspi_node *node, struct job *job, uint32_t slot, tsp_error *err)
{
    struct state *s = state_of(node);
    const tspi_sampling sampling = {
        .max_tokens = node->spec->engine.max_tokens,
        .temperature = node->spec->engine.temperature,
        .seed = node->spec->seed + job->head.prompt, /* the same text for the same prompt, as the reference has it */
    };
    tsp_status rc =
        node->engine->ops->session_new(node->engine, job->prompt.data, job->prompt.len, &sampling, &job->session, err);

    if (rc != TSP_OK) {
        job_free(node, job);
        return rc;
    }
    tspi_node_span_begin(node, s->batch ? &s->batch->span : &job->received, "chat", TSPI_KIND_INTERNAL, &job->chat);
    if (s->batch)
        tspi_lab_span_text(&job->chat, "gen_ai.conversation.id", job->conversation);
    tspi_lab_span_text(&job->chat, "gen_ai.operation.name", "chat");
    tspi_lab_span_text(&job->chat, "gen_ai.provider.name", node->engine->ops->name);
    tspi_lab_span_text(&job->chat, "gen_ai.request.model",
                       node->spec->engine.model ? node->spec->engine.model : node->spec->engine.name);
    tspi_lab_span_integer(&job->chat, "gen_ai.request.max_tokens", sampling.max_tokens);
    tspi_lab_span_real(&job->chat, "gen_ai.request.temperature", sampling.temperature);
    job->begun_ns = node->world->monotonic_ns(node->world);
    s->slots[slot] = job;
    s->active++;
    s->idle_turns = 0;
    return TSP_OK;
}

/* When the batch that gathers is to begin; INT64_MAX: not before something else happens. */
static int64_t batch_due_ns(tspi_node *node)
{
    struct state *s = state_of(node);
    const tspi_topology_spec *topology = &node->spec->topology;

    if (!s->batch || s->batch->unfinished || !s->line)
        return INT64_MAX;
    return s->line_n >= topology->width ? s->line->came_ns : s->line->came_ns + topology->wait_ns;
}

/* Open the span of as many as wait, at most the batch's width. */
static void begin_batch(tspi_node *node)
{
    struct state *s = state_of(node);
    struct batch *batch = s->batch;
    uint32_t n = 0;

    tspi_node_span_begin(node, NULL, node->process_name, TSPI_KIND_CONSUMER, &batch->span);
    for (struct job *job = s->line; job && n < node->spec->topology.width; job = job->next) {
        memcpy(batch->links[n].trace_id, job->received.trace_id, sizeof job->received.trace_id);
        tspi_hex_write(job->received.trace_id, sizeof job->received.trace_id, job->conversation);
        batch->links[n++].span_id = job->received.parent_id;
    }
    batch->span.links = batch->links;
    batch->span.links_n = batch->unfinished = n;
    tspi_lab_span_text(&batch->span, "messaging.system", node->world->messaging_system);
    tspi_lab_span_text(&batch->span, "messaging.destination.name", node->stage->name);
    tspi_lab_span_text(&batch->span, "messaging.operation.type", "process");
    tspi_lab_span_text(&batch->span, "messaging.operation.name", "process");
    tspi_lab_span_integer(&batch->span, "messaging.batch.message_count", n);
}

static tsp_status fill_slots(tspi_node *node, tsp_error *err)
{
    struct state *s = state_of(node);
    uint32_t room = UINT32_MAX;

    if (s->batch) {
        if (batch_due_ns(node) > node->world->monotonic_ns(node->world))
            return TSP_OK;
        begin_batch(node);
        room = s->batch->unfinished;
    }
    for (uint32_t k = 0; k < node->spec->engine.slots && s->line && room; k++) {
        if (s->slots[k])
            continue;
        struct job *job = s->line;
        s->line = job->next;
        s->line_n--;
        room--;
        if (!s->line)
            s->line_end = &s->line;
        tsp_status rc = start(node, job, k, err);
        if (rc != TSP_OK)
            return rc;
    }
    return TSP_OK;
}

static tsp_status on_message(tspi_node *node, tspi_incoming *incoming, tsp_error *err)
{
    struct state *s = state_of(node);

    if (incoming->head.kind != TSPI_LAB_PROMPT)
        return tsp_error_set(err, TSP_EPARSE, "%s got a message of kind %d", node->name, incoming->head.kind);
    if (tspi_key_memory_has(&s->seen, tspi_lab_key(&incoming->head))) /* a second copy: seen, not used again */
        return tspi_node_span_end(node, &incoming->span, err);
    tspi_key_memory_add(&s->seen, tspi_lab_key(&incoming->head));
    struct job *job = calloc(1, sizeof *job);
    if (!job)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a job");
    job->head = incoming->head;
    job->received = incoming->span;
    strncpy(job->name, incoming->span.name, sizeof job->name - 1);
    job->received.name = job->name;
    tspi_buf_append(&job->prompt, incoming->body, incoming->len);
    job->came_ns = node->world->monotonic_ns(node->world);
    *s->line_end = job;
    s->line_end = &job->next;
    s->line_n++;
    return fill_slots(node, err);
}

static tsp_status send_chunk(tspi_node *node, struct job *job, bool final, tsp_error *err)
{
    tspi_lab_head head = job->head;

    head.kind = TSPI_LAB_TOKENS;
    head.tokens = job->chunk_tokens;
    head.flags = final ? TSPI_LAB_FINAL : 0;
    tsp_status rc = tspi_node_send(node, &job->chat, &head, job->chunk.data, job->chunk.len, err);
    tspi_buf_clear(&job->chunk);
    job->chunk_tokens = 0;
    job->head.number++;
    return rc;
}

static tsp_status finish(tspi_node *node, struct job *job, tsp_error *err)
{
    tspi_lab_span_integer(&job->chat, "gen_ai.usage.input_tokens", job->head.tokens);
    tspi_lab_span_integer(&job->chat, "gen_ai.usage.output_tokens", job->tokens);
    tspi_lab_span_real(&job->chat, "gen_ai.response.time_to_first_chunk",
                       1e-9 * (double)(job->first_ns - job->begun_ns));
    tsp_status rc = tspi_node_span_end(node, &job->chat, err);
    struct batch *batch = state_of(node)->batch;
    if (rc == TSP_OK && !batch)
        return tspi_node_span_end(node, &job->received, err);
    if (rc == TSP_OK && --batch->unfinished == 0)
        rc = tspi_node_span_end(node, &batch->span, err);
    return rc;
}

static void add_piece(struct job *job, const tspi_buf *piece)
{
    uint8_t len[4] = {(uint8_t)piece->len, (uint8_t)(piece->len >> 8), (uint8_t)(piece->len >> 16),
                      (uint8_t)(piece->len >> 24)};

    tspi_buf_append(&job->chunk, len, sizeof len);
    tspi_buf_append(&job->chunk, piece->data, piece->len);
    job->chunk_tokens++;
    job->tokens++;
}

/* One token of one job. */
static tsp_status step(tspi_node *node, struct job *job, bool *ret_done, bool *ret_waits, tsp_error *err)
{
    tspi_buf *piece = &state_of(node)->piece;

    tspi_buf_clear(piece);
    tsp_status rc = node->engine->ops->step(job->session, piece, ret_done, err);

    *ret_waits = rc == TSP_EAGAIN;
    if (rc != TSP_OK)
        return rc == TSP_EAGAIN ? TSP_OK : rc;
    if (piece->len) {
        if (!job->tokens)
            job->first_ns = node->world->monotonic_ns(node->world);
        add_piece(job, piece);
        node->tokens_seen++;
    }
    if (*ret_done || job->chunk_tokens >= node->spec->engine.chunk_tokens)
        rc = send_chunk(node, job, *ret_done, err);
    if (rc == TSP_OK && *ret_done)
        rc = finish(node, job, err);
    return rc;
}

static bool busy(tspi_node *node)
{
    struct state *s = state_of(node);
    bool must_wait = node->engine->ops->wait_fd && s->idle_turns >= s->active;

    return s->active && !must_wait;
}

static tsp_status work(tspi_node *node, tsp_error *err)
{
    struct state *s = state_of(node);
    uint32_t slots = node->spec->engine.slots;

    while (!s->slots[s->turn % slots])
        s->turn++;
    uint32_t slot = s->turn++ % slots;
    struct job *job = s->slots[slot];
    bool done = false, waits = false;
    tsp_status rc = step(node, job, &done, &waits, err);
    s->idle_turns = waits ? s->idle_turns + 1 : 0;
    if (rc != TSP_OK || !done)
        return rc;
    s->slots[slot] = NULL;
    s->active--;
    job_free(node, job);
    return fill_slots(node, err);
}

/* When the engine's descriptor has turned readable, every slot deserves another look; before that none does, and a turn
 * that looked all the same would keep the processor from the server that we wait for. */
static tsp_status tick(tspi_node *node, int64_t now_ns, tsp_error *err)
{
    struct state *s = state_of(node);
    const struct tspi_engine_ops *ops = node->engine->ops;

    if (ops->wait_fd && s->active && s->idle_turns >= s->active) {
        struct pollfd fd = {.fd = ops->wait_fd(node->engine), .events = POLLIN};
        if (poll(&fd, 1, 0) == 1)
            s->idle_turns = 0;
    }
    return batch_due_ns(node) <= now_ns ? fill_slots(node, err) : TSP_OK;
}

static tsp_status end(tspi_node *node, tsp_error *err)
{
    (void)err;
    drop_all(node);
    return TSP_OK;
}

static void release(tspi_node *node)
{
    if (node->engine)
        drop_all(node);
    tspi_buf_release(&state_of(node)->piece);
    free(state_of(node)->slots);
    free(state_of(node)->batch);
}

const struct tspi_stage_ops tspi_stage_inference = {
    .engine_jobs = TSPI_ENGINE_DECODE,
    .state_size = sizeof(struct state),
    .init = init,
    .on_message = on_message,
    .due_ns = batch_due_ns,
    .tick = tick,
    .busy = busy,
    .work = work,
    .end = end,
    .release = release,
};
