#include "lab/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lab/traceparent.h"

static const struct tspi_stage_ops *const roles[TSPI_ROLES_N] = {
    [TSPI_ROLE_GATEWAY] = &tspi_stage_gateway,     [TSPI_ROLE_PREPROCESS] = &tspi_stage_preprocess,
    [TSPI_ROLE_INFERENCE] = &tspi_stage_inference, [TSPI_ROLE_POSTPROCESS] = &tspi_stage_postprocess,
    [TSPI_ROLE_RELAY] = &tspi_stage_relay,         [TSPI_ROLE_SINK] = &tspi_stage_sink,
    [TSPI_ROLE_SERVICE] = &tspi_stage_service,
};

void tspi_node_name(const tspi_stage_spec *stage, uint32_t worker, char *ret_name, size_t size)
{
    snprintf(ret_name, size, "%s-%" PRIu32, stage->name, worker);
}

bool tspi_is_clock_of(const char *clock, const char *stage)
{
    size_t len = strlen(stage);

    return !strncmp(clock, stage, len) && clock[len] == '-' && clock[len + 1] &&
           clock[len + 1 + strspn(clock + len + 1, "0123456789")] == '\0';
}

/* ------------------------------------------------------------------ life */

static tsp_status open_engine(tspi_node *node, tsp_error *err)
{
    if (!node->ops->engine_jobs)
        return TSP_OK;
    const tspi_engine_config config = {
        .name = node->spec->engine.name,
        .model = node->spec->engine.model,
        .jobs = node->ops->engine_jobs,
        .max_sessions = node->spec->engine.slots,
    };
    if (node->world->open_engine)
        return node->world->open_engine(node->world, &config, &node->engine, err);
    return tspi_engine_open(&config, &node->engine, err);
}

/* host.id is a machine's identity, and a lab node is a machine of its own: 32 hex digits from the seed and the name,
 * shaped like /etc/machine-id. */
static tsp_status open_writer(tspi_node *node, tsp_error *err)
{
    char host_id[33], service[64];
    tspi_random identity = tspi_random_split(&node->random, "host.id", 0);

    for (int k = 0; k < 4; k++)
        snprintf(host_id + 8 * k, 9, "%08" PRIx32, (uint32_t)tspi_random_u64(&identity));
    snprintf(service, sizeof service, "%s", node->stage->name);
    const char *const resource[][2] = {
        {"service.name", service},
        {"service.namespace", "truespan-lab"},
        {"service.instance.id", node->name},
        {"service.version", TSP_VERSION},
        {"host.id", host_id},
        {"host.name", node->name},
        {"telemetry.sdk.name", "truespan"},
        {"telemetry.sdk.language", "c"},
    };
    return tspi_span_writer_init(&node->spans, resource, sizeof resource / sizeof *resource, err);
}

static bool make_sort(const tspi_node *node, const char *name, enum tspi_span_kind kind, const char *destination,
                      const char *operation, tspi_span_sort *ret_sort)
{
    tspi_lab_span span;

    tspi_lab_span_init(&span, name, kind);
    if (kind == TSPI_KIND_SERVER) {
        tspi_lab_span_text(&span, "rpc.system.name", node->world->messaging_system);
        tspi_lab_span_text(&span, "rpc.method", destination);
    } else {
        tspi_lab_span_text(&span, "messaging.system", node->world->messaging_system);
        tspi_lab_span_text(&span, "messaging.destination.name", destination);
        tspi_lab_span_text(&span, "messaging.operation.type", operation);
        tspi_lab_span_text(&span, "messaging.operation.name", operation);
    }
    return tspi_span_sort_make(ret_sort, &span);
}

static bool make_sorts(tspi_node *node)
{
    const tspi_stage_spec *stage = node->stage;

    bool is_service = stage->role == TSPI_ROLE_SERVICE;

    snprintf(node->process_name, sizeof node->process_name, "%s %s", is_service ? "answer" : "process", stage->name);
    bool ok = make_sort(node, node->process_name, is_service ? TSPI_KIND_SERVER : TSPI_KIND_CONSUMER, stage->name,
                        "process", &node->process_sort);
    node->send_sorts = calloc(stage->to_n + 1, sizeof *node->send_sorts);
    for (uint32_t e = 0; node->send_sorts && e < stage->to_n && ok; e++) {
        struct tspi_send_sort *send = &node->send_sorts[e];
        const char *to = node->spec->stages[stage->to[e]].name;
        snprintf(send->name, sizeof send->name, "send %s", to);
        ok = make_sort(node, send->name, TSPI_KIND_PRODUCER, to, "send", &send->sort);
    }
    return ok && node->send_sorts;
}

tsp_status tspi_node_init(tspi_node *node, const tspi_spec *spec, uint32_t stage, uint32_t worker, tspi_world *world,
                          tsp_error *err)
{
    tspi_random root;

    *node = (tspi_node){.spec = spec, .stage = &spec->stages[stage], .worker = worker, .world = world};
    node->spans.spans_fd = node->spans.truth_fd = -1;
    node->ops = roles[node->stage->role];
    tspi_node_name(node->stage, worker, node->name, sizeof node->name);
    tspi_random_seed(&root, spec->seed);
    node->random = tspi_random_split(&root, node->name, 0);
    tspi_model_clock_init(&node->clock, &(tspi_clock_model){0}, world->wall_ns(world));
    node->state = calloc(1, node->ops->state_size ? node->ops->state_size : 1);
    if (node->state && node->stage->calls >= 0)
        node->calls = tspi_calls_new(node);
    bool has_calls = node->calls || node->stage->calls < 0;
    tsp_status rc = node->state && has_calls && make_sorts(node)
                        ? TSP_OK
                        : tsp_error_set(err, TSP_ENOMEM, "out of memory for a node");
    if (rc == TSP_OK)
        rc = open_writer(node, err);
    if (rc == TSP_OK)
        rc = open_engine(node, err);
    if (rc == TSP_OK && node->ops->init)
        rc = node->ops->init(node, err);
    if (rc != TSP_OK) {
        tsp_error_note(err, "node %s", node->name);
        tspi_node_release(node);
    }
    return rc;
}

void tspi_node_release(tspi_node *node)
{
    tspi_span_writer_release(&node->spans); /* first: what it has yet to write names sorts */
    if (node->state && node->ops->release)
        node->ops->release(node);
    free(node->state);
    for (uint32_t e = 0; node->send_sorts && e < node->stage->to_n; e++)
        tspi_span_sort_release(&node->send_sorts[e].sort);
    free(node->send_sorts);
    tspi_span_sort_release(&node->process_sort);
    tspi_calls_free(node->calls);
    node->calls = NULL;
    node->state = NULL;
    node->send_sorts = NULL;
    tspi_engine_close(node->engine);
    node->engine = NULL;
}

tsp_status tspi_node_begin(tspi_node *node, const tspi_block *block, tsp_error *err)
{
    /* Ids of their own for every block: a node that was started anew must not repeat those of the one before it. */
    tspi_random root;
    tspi_random_seed(&root, node->spec->seed);
    node->random = tspi_random_split(&root, node->name, block->id);
    node->block = *block;
    node->done = false;
    node->result = (tspi_block_result){0};
    /* Only the chosen stage's clocks go wrong; each worker's wander is its own. */
    tspi_clock_model model = {0};
    if (!strcmp(node->stage->name, node->spec->clock_stage)) {
        model = block->clock;
        model.seed += node->worker;
    }
    tspi_model_clock_init(&node->clock, &model, node->world->wall_ns(node->world));
    node->spans.behind = node->world->behind;
    tsp_status rc = tspi_span_writer_open(&node->spans, block->folder, node->name, err);
    if (rc == TSP_OK && node->ops->begin)
        rc = node->ops->begin(node, err);
    node->in_block = rc == TSP_OK;
    return rc;
}

tsp_status tspi_node_go(tspi_node *node, tsp_error *err)
{
    return node->ops->go ? node->ops->go(node, err) : TSP_OK;
}

tsp_status tspi_node_end(tspi_node *node, tsp_error *err)
{
    tsp_status rc = node->in_block && node->ops->end ? node->ops->end(node, err) : TSP_OK;

    node->in_block = false;
    tspi_calls_clear(node->calls);
    tsp_status closed = tspi_span_writer_close(&node->spans, rc == TSP_OK ? err : NULL);
    return rc == TSP_OK ? closed : rc;
}

/* ------------------------------------------------------------------ events */

/* The receive stamp is taken first of all: what follows is this node's own work. */
tsp_status tspi_node_receive(tspi_node *node, const tspi_msg *msg, tsp_error *err)
{
    tspi_stamp received = tspi_node_stamp(node);
    tspi_incoming incoming;
    tspi_trace_context context;
    size_t len, header_len;
    const uint8_t *payload = tspi_msg_payload(msg, &len);
    const char *traceparent = tspi_msg_header(msg, "traceparent", &header_len);
    tsp_error why = {0};
    tsp_status rc = tspi_lab_head_read(payload, len, &incoming.head, &why);

    if (rc == TSP_OK && (!traceparent || !tspi_traceparent_parse(traceparent, header_len, &context)))
        rc = tsp_error_set(&why, TSP_EPARSE, "it lacks a valid traceparent");
    if (rc != TSP_OK) {
        tspi_node_drop_foreign(node, &why);
        return TSP_OK;
    }
    if (!node->in_block || incoming.head.block != node->block.id)
        return TSP_OK; /* a straggler of a block that is over */
    tspi_lab_span_init(&incoming.span, node->process_name,
                       incoming.head.kind == TSPI_LAB_CALL ? TSPI_KIND_SERVER : TSPI_KIND_CONSUMER);
    incoming.span.sort = &node->process_sort;
    incoming.span.start = received;
    incoming.answers = NULL;
    incoming.answers_n = 0;
    memcpy(incoming.span.trace_id, context.trace_id, sizeof context.trace_id);
    incoming.span.parent_id = context.span_id;
    incoming.span.parent_is_remote = true;
    incoming.span.span_id = tspi_random_u64(&node->random) | 1;
    incoming.body = payload + TSPI_LAB_HEAD_BYTES;
    incoming.len = len - TSPI_LAB_HEAD_BYTES;
    tspi_node_show_sequence(&incoming.span, &incoming.head);
    if (incoming.head.kind == TSPI_LAB_ANSWER)
        return tspi_calls_answered(node, &incoming, err);
    if (tspi_calls_wanted(node, &incoming))
        return tspi_calls_begin(node, &incoming, err);
    return node->ops->on_message(node, &incoming, err);
}

int64_t tspi_node_due_ns(tspi_node *node)
{
    return node->in_block && node->ops->due_ns ? node->ops->due_ns(node) : INT64_MAX;
}

tsp_status tspi_node_tick(tspi_node *node, tsp_error *err)
{
    if (!node->in_block || !node->ops->tick)
        return TSP_OK;
    return node->ops->tick(node, node->world->monotonic_ns(node->world), err);
}

bool tspi_node_busy(tspi_node *node)
{
    return node->in_block && node->ops->busy && node->ops->busy(node);
}

tsp_status tspi_node_work(tspi_node *node, tsp_error *err)
{
    return node->ops->work(node, err);
}
