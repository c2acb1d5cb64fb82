/* A node's process comes up: spec, clocks, transport. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lab/child.h"
#include "lab/kafka_side.h"
#include "lab/node_inside.h"
#include "transport/fault.h"

static int64_t world_wall_ns(tspi_world *world)
{
    const struct process *p = (const struct process *)world;
    struct timespec now;

    if (p->epoch_ns)
        return tspi_monotonic_ns() + p->epoch_ns;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * TSP_NS_PER_S + now.tv_nsec;
}

static int64_t world_monotonic_ns(tspi_world *world)
{
    (void)world;
    return tspi_monotonic_ns();
}

/* Stages that this one sends to. */
static uint32_t count_receivers(const struct process *p)
{
    uint32_t n = 0, stage = (uint32_t)(p->node.stage - p->spec.stages);

    for (uint32_t s = 0; s < p->spec.stages_n; s++)
        n += tspi_spec_sends(&p->spec, stage, s);
    return n;
}

static tsp_status open_media(struct process *p, const tspi_node_process_config *config, const char **ret_folder,
                             tsp_error *err)
{
    const tspi_media_driver_config media = {
        .idle_ns = p->spec.aeron.idle_ns, .term_bytes = p->spec.aeron.term_bytes, .log_fd = STDERR_FILENO};

    *ret_folder = config->media_driver;
    if (config->media_driver || strcmp(p->spec.transport, "aeron") != 0)
        return TSP_OK;
    *ret_folder = p->media.folder;
    if (p->remote.folder[0]) { /* the conductor has looked after its own machine */
        tsp_status rc = tspi_media_drivers_fit(1, count_receivers(p) + 2, p->spec.aeron.term_bytes, err);
        if (rc != TSP_OK)
            return rc;
    }
    return tspi_media_driver_start(&p->media, &media, err);
}

/* Names of the stages that send to this one. */
static uint32_t find_senders(const struct process *p, const char *ret_from[TSPI_STAGES_MAX])
{
    uint32_t n = 0, stage = (uint32_t)(p->node.stage - p->spec.stages);

    for (uint32_t s = 0; s < p->spec.stages_n; s++)
        if (tspi_spec_sends(&p->spec, s, stage))
            ret_from[n++] = p->spec.stages[s].name;
    return n;
}

static tsp_status open_transport(struct process *p, const tspi_node_process_config *config, tsp_error *err)
{
    const struct tspi_transport_ops *ops = tspi_transport_find(p->spec.transport);
    const char *from[TSPI_STAGES_MAX];
    const tspi_kafka_settings kafka = tspi_kafka_side_settings(&p->spec.kafka, config->broker);
    tspi_transport_config transport = {
        .host = config->host,
        .port = config->port,
        .inbox = p->node.name,
        .run = config->run,
        .stage = p->node.stage->name,
        .worker = config->worker,
        .workers = p->node.stage->workers,
        .from = from,
        .from_n = find_senders(p, from),
        .kafka = &kafka,
        .aeron = {.idle_ns = p->spec.aeron.idle_ns, .term_bytes = p->spec.aeron.term_bytes},
    };
    char address[512];

    if (!ops)
        return tsp_error_set(err, TSP_EUNSUPPORTED, "this build has no transport '%s'", p->spec.transport);
    tsp_status rc = open_media(p, config, &transport.folder, err);
    if (rc == TSP_OK)
        rc = ops->open(&transport, &p->transport, err);
    if (rc == TSP_OK && config->delay_line) {
        const tspi_fault_config fault = {
            .delay_ns = p->spec.link.delay_ns, .jitter_ns = p->spec.link.jitter_ns, .loss = p->spec.link.loss};
        tspi_random random = tspi_random_split(&p->node.random, "link", 0);
        tspi_transport *inner = p->transport;
        p->transport = NULL;
        rc = tspi_fault_wrap(inner, &fault, &random, &p->transport, err);
    }
    if (rc == TSP_OK)
        rc = p->transport->ops->listen(p->transport, address, sizeof address, err);
    if (rc == TSP_OK)
        rc = tspi_control_send(&p->control, err, "ready %s", address);
    return rc;
}

/* The conductor's files have come: the prompts, if it sent any, are not where its spec says. */
static tsp_status use_sent_prompts(struct process *p, tsp_error *err)
{
    char path[4200];

    if (!p->remote.folder[0] || !p->spec.load.prompts)
        return TSP_OK;
    snprintf(path, sizeof path, "%s/prompts.txt", p->remote.folder);
    free(p->spec.load.prompts);
    p->spec.load.prompts = strdup(path);
    return p->spec.load.prompts ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory");
}

static tsp_status read_spec(struct process *p, const tspi_node_process_config *config, tsp_error *err)
{
    char sent_path[4200];
    const char *path = config->spec_path;
    tspi_buf text = {0};
    tsp_status rc = TSP_OK;

    if (!path) {
        rc = tspi_remote_receive_setup(&p->control, &p->remote, err);
        snprintf(sent_path, sizeof sent_path, "%s/spec.yaml", p->remote.folder);
        path = sent_path;
    }
    if (rc == TSP_OK)
        rc = tspi_buf_read_file(&text, path, 0, err);
    if (rc == TSP_OK)
        rc = tspi_spec_read((char *)text.data, text.len, path, &p->spec, err);
    tspi_buf_release(&text);
    return rc == TSP_OK ? use_sent_prompts(p, err) : rc;
}

tsp_status tspi_node_open(struct process *p, const tspi_node_process_config *config, tsp_error *err)
{
    tsp_status rc = read_spec(p, config, err);

    if (rc != TSP_OK)
        return rc;
    int stage = tspi_spec_stage(&p->spec, config->stage);
    const struct tspi_transport_ops *ops = tspi_transport_find(p->spec.transport);
    if (stage < 0)
        return tsp_error_set(err, TSP_EINVAL, "%s: there is no stage '%s'",
                             config->spec_path ? config->spec_path : "the spec that was sent", config->stage);
    p->epoch_ns = config->epoch_ns;
    p->world = (tspi_world){
        .wall_ns = world_wall_ns,
        .monotonic_ns = world_monotonic_ns,
        .send = tspi_peers_send,
        .messaging_system = ops ? ops->semconv : p->spec.transport,
    };
    rc = tspi_node_init(&p->node, &p->spec, (uint32_t)stage, config->worker, &p->world, err);
    return rc == TSP_OK ? open_transport(p, config, err) : rc;
}
