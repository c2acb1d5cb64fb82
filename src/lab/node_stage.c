/* What a node offers its stage's code: stamps of its clock, spans, messages sent. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "lab/node.h"
#include "lab/traceparent.h"

bool tspi_node_is_stream(uint8_t kind)
{
    return kind == TSPI_LAB_TOKENS || kind == TSPI_LAB_TEXT;
}

void tspi_node_show_sequence(tspi_lab_span *span, const tspi_lab_head *head)
{
    if (tspi_node_is_stream(head->kind))
        tspi_lab_span_integer(span, "truespan.stream.sequence", head->number);
}

void tspi_node_drop_foreign(tspi_node *node, const tsp_error *why)
{
    node->foreign++;
    node->foreign_why = *why;
}

tspi_stamp tspi_node_stamp(tspi_node *node)
{
    return tspi_model_clock_stamp(&node->clock, node->world->wall_ns(node->world));
}

void tspi_node_span_begin(tspi_node *node, const tspi_lab_span *parent, const char *name, enum tspi_span_kind kind,
                          tspi_lab_span *ret_span)
{
    tspi_lab_span_init(ret_span, name, kind);
    if (parent) {
        memcpy(ret_span->trace_id, parent->trace_id, sizeof parent->trace_id);
        ret_span->parent_id = parent->span_id;
    } else {
        tspi_random_bytes(&node->random, ret_span->trace_id, sizeof ret_span->trace_id);
        ret_span->trace_id[15] |= 1; /* never all zero */
    }
    ret_span->span_id = tspi_random_u64(&node->random) | 1;
    ret_span->start = tspi_node_stamp(node);
}

tsp_status tspi_node_span_end(tspi_node *node, tspi_lab_span *span, tsp_error *err)
{
    const tspi_stamp end = tspi_node_stamp(node);

    return tspi_node_span_end_at(node, span, &end, err);
}

tsp_status tspi_node_span_end_at(tspi_node *node, tspi_lab_span *span, const tspi_stamp *end, tsp_error *err)
{
    span->end = *end;
    if (span->start.late_ns && span->end.local_ns < span->start.local_ns) /* no span ends before it is begun */
        span->end.late_ns = span->start.local_ns - span->end.local_ns;
    span->end.local_ns += span->end.late_ns;
    return tspi_span_writer_add(&node->spans, span, err);
}

/* A start that is written late: what the span says is later than what happened. */
static void write_late(tspi_lab_span *span, int64_t late_ns)
{
    span->start.local_ns += late_ns;
    span->start.late_ns = late_ns;
}

tsp_status tspi_node_send_plain(tspi_node *node, const tspi_lab_span *span, uint32_t stage, uint32_t worker,
                                const tspi_lab_head *head, const void *body, size_t len, tsp_error *err)
{
    enum { ROOM = 256 };                                                 /* enough for most bodies */
    tspi_trace_context context = {.span_id = span->span_id, .flags = 3}; /* sampled, random trace id */
    char traceparent[TSPI_TRACEPARENT_LEN + 1];
    uint8_t room[TSPI_LAB_HEAD_BYTES + ROOM];
    uint8_t *payload = len <= ROOM ? room : malloc(TSPI_LAB_HEAD_BYTES + len);

    if (!payload)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message of %zu bytes", len);
    memcpy(context.trace_id, span->trace_id, sizeof context.trace_id);
    tspi_traceparent_write(&context, traceparent);
    tspi_lab_head_write(head, payload);
    if (len)
        memcpy(payload + TSPI_LAB_HEAD_BYTES, body, len);
    const tspi_msg_header_view header = {"traceparent", traceparent, sizeof "traceparent" - 1, TSPI_TRACEPARENT_LEN};
    const tspi_content content = {tspi_lab_key(head), &header, 1, payload, TSPI_LAB_HEAD_BYTES + len};
    tsp_status rc = node->world->send(node->world, stage, worker, &content, err);
    if (payload != room)
        free(payload);
    return rc;
}

tsp_status tspi_node_send_span(tspi_node *node, tspi_lab_span *span, uint32_t stage, uint32_t worker,
                               const tspi_lab_head *head, const void *body, size_t len, tsp_error *err)
{
    tsp_status rc = tspi_node_send_plain(node, span, stage, worker, head, body, len, err);

    if (rc == TSP_OK && node->world->late_ns)
        write_late(span, node->world->late_ns(node->world));
    return rc;
}

/* The send stamp is the PRODUCER span's start, taken before the message leaves; its end is when the transport has it.
 */
static tsp_status send_to(tspi_node *node, const tspi_lab_span *parent, uint32_t edge, const tspi_lab_head *head,
                          const void *body, size_t len, tsp_error *err)
{
    uint32_t stage = node->stage->to[edge];
    const tspi_stage_spec *to = &node->spec->stages[stage];
    tspi_lab_span span;
    uint32_t worker =
        to->role == TSPI_ROLE_GATEWAY ? head->origin : (uint32_t)(tspi_hash_mix(tspi_lab_key(head)) % to->workers);

    tspi_node_span_begin(node, parent, node->send_sorts[edge].name, TSPI_KIND_PRODUCER, &span);
    span.sort = &node->send_sorts[edge].sort;
    tspi_node_show_sequence(&span, head);
    tsp_status rc = tspi_node_send_span(node, &span, stage, worker, head, body, len, err);
    return rc == TSP_OK ? tspi_node_span_end(node, &span, err) : rc;
}

tsp_status tspi_node_send(tspi_node *node, const tspi_lab_span *parent, const tspi_lab_head *head, const void *body,
                          size_t len, tsp_error *err)
{
    for (uint32_t e = 0; e < node->stage->to_n; e++) {
        tsp_status rc = send_to(node, parent, e, head, body, len, err);
        if (rc != TSP_OK)
            return rc;
    }
    return TSP_OK;
}
