#include "sim/sim_world.h"

#include <stdlib.h>

#include "base/due_queue.h"
#include "sim/sim_delay.h"
#include "transport/virtual.h"

/* Messages taken in one go before timers and work get their turn, as in the lab's process. */
enum { RECEIVE_BURST = 64 };
/* How many events pass before go_on is asked; and how many nodes while they open their files. */
enum { EVENTS_A_LOOK = 4096, NODES_A_LOOK = 1024 };
/* Virtual time between the end of a block and the next. */
static const int64_t pause_ns = 100 * TSP_NS_PER_MS;

struct sim_node {
    tspi_world base; /* first: the node's callbacks get a pointer to it */
    tspi_sim_world *world;
    tspi_node node;
    uint32_t stage, number;
    tspi_random_ahead random; /* of its work and its wakings */
    int64_t now_ns;           /* while it has its turn: how far it is. Otherwise until when it is busy */
    int64_t turn_ns;          /* when its next turn is; INT64_MAX = none is planned */
    tspi_msg *inbox, **inbox_end;
};

struct tspi_sim_world {
    const tspi_spec *spec;
    struct sim_node *nodes; /* by stage, then worker */
    uint32_t nodes_n, gateways_n;
    uint32_t first_of[TSPI_STAGES_MAX + 1]; /* row of each stage's first worker */
    tspi_virtual_net *net;
    tspi_sim_delay *delay;
    tspi_answers *answers; /* borrowed */
    tspi_write_behind *behind;
    tspi_due_queue turns; /* planned; to = row of nodes; one that is no longer its node's turn_ns counts for nothing */
    int64_t now_ns, block_ns;
    bool saturated;
    tsp_error *err; /* of the block under way */
};

/* ------------------------------------------------------------------ what a node sees of the world */

static int64_t world_wall_ns(tspi_world *base)
{
    return TSPI_SIM_EPOCH_NS + ((struct sim_node *)base)->now_ns;
}

static int64_t world_monotonic_ns(tspi_world *base)
{
    return ((struct sim_node *)base)->now_ns;
}

/* A piece of work that takes so long in the mean. */
static void spend(struct sim_node *n, int64_t mean_ns)
{
    double spread = n->world->spec->sim.work_spread, mean = (double)mean_ns;

    if (mean_ns <= 0)
        return;
    double ns = mean * (1 - spread) + (spread > 0 ? tspi_random_ahead_exponential(&n->random, mean * spread) : 0);
    n->now_ns += (int64_t)ns;
}

static void spend_on_engine(void *ctx, enum tspi_work work)
{
    struct sim_node *n = ctx;
    const tspi_sim_spec *sim = &n->world->spec->sim;

    spend(n, work == TSPI_WORK_TOKENIZE ? sim->tokenize_ns
             : work == TSPI_WORK_TOKEN  ? sim->token_ns
                                        : sim->detokenize_ns);
}

static tsp_status world_send(tspi_world *base, uint32_t stage, uint32_t worker, const tspi_content *content,
                             tsp_error *err)
{
    struct sim_node *n = (struct sim_node *)base;
    tspi_sim_world *world = n->world;

    if (worker >= world->spec->stages[stage].workers)
        return tsp_error_set(err, TSP_EINVAL, "no worker %u of stage '%s'", worker, world->spec->stages[stage].name);
    tspi_msg *msg = tspi_msg_of(content);
    if (!msg)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a message of %zu bytes", content->payload_len);
    spend(n, world->spec->sim.send_ns);
    return tspi_virtual_send(world->net, n->number, world->first_of[stage] + worker, msg, n->now_ns, err);
}

static tsp_status world_open_engine(tspi_world *base, const tspi_engine_config *config, tspi_engine **ret_engine,
                                    tsp_error *err)
{
    struct sim_node *n = (struct sim_node *)base;

    (void)config;
    return tspi_answers_engine(n->world->answers, spend_on_engine, n, ret_engine, err);
}

static int64_t world_late_ns(tspi_world *base)
{
    struct sim_node *n = (struct sim_node *)base;
    const tspi_sim_spec *sim = &n->world->spec->sim;

    if (tspi_random_ahead_unit(&n->random) >= sim->late_stamps)
        return 0;
    return (int64_t)tspi_random_ahead_exponential(&n->random, (double)sim->late_by_ns);
}

static void world_serve(tspi_world *base)
{
    struct sim_node *n = (struct sim_node *)base;

    spend(n, n->world->spec->sim.service_ns);
}

static int64_t delay_of(void *ctx, uint32_t from, uint32_t to, size_t bytes, int64_t sent_ns)
{
    tspi_sim_world *world = ctx;

    return tspi_sim_delay_draw(world->delay, world->nodes[from].stage, world->nodes[to].stage, from, bytes,
                               sent_ns - world->block_ns);
}

/* ------------------------------------------------------------------ life */

static tsp_status make_node(tspi_sim_world *world, uint32_t stage, uint32_t worker, const tspi_random *root,
                            tsp_error *err)
{
    struct sim_node *n = &world->nodes[world->nodes_n];

    *n = (struct sim_node){
        .base = {.wall_ns = world_wall_ns,
                 .monotonic_ns = world_monotonic_ns,
                 .send = world_send,
                 .messaging_system = "virtual",
                 .behind = world->behind,
                 .open_engine = world_open_engine,
                 .serve = world_serve,
                 .late_ns = world->spec->sim.late_stamps > 0 ? world_late_ns : NULL},
        .world = world,
        .stage = stage,
        .number = world->nodes_n,
        .turn_ns = INT64_MAX,
    };
    tspi_random work = tspi_random_split(root, "work", n->number);
    n->random = tspi_random_ahead_of(&work);
    n->inbox_end = &n->inbox;
    tsp_status rc = tspi_node_init(&n->node, world->spec, stage, worker, &n->base, err);
    world->nodes_n += rc == TSP_OK;
    return rc;
}

static tsp_status make_nodes(tspi_sim_world *world, tsp_error *err)
{
    const tspi_spec *spec = world->spec;
    tspi_random root;
    tsp_status rc = TSP_OK;

    tspi_random_seed(&root, spec->seed);
    for (uint32_t s = 0; s < spec->stages_n; s++)
        world->first_of[s + 1] = world->first_of[s] + spec->stages[s].workers;
    world->nodes = calloc(world->first_of[spec->stages_n] + 1, sizeof *world->nodes);
    if (!world->nodes)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for %u nodes", world->first_of[spec->stages_n]);
    tspi_random delays = tspi_random_split(&root, "link", 0);
    rc = tspi_sim_delay_new(spec, &delays, &world->delay, err);
    for (uint32_t s = 0; s < spec->stages_n && rc == TSP_OK; s++)
        for (uint32_t w = 0; w < spec->stages[s].workers && rc == TSP_OK; w++) {
            rc = make_node(world, s, w, &root, err);
            world->gateways_n += spec->stages[s].role == TSPI_ROLE_GATEWAY;
        }
    return rc;
}

tsp_status tspi_sim_world_new(const tspi_spec *spec, tspi_answers *answers, tspi_sim_world **ret_world, tsp_error *err)
{
    tspi_sim_world *world = calloc(1, sizeof *world);

    if (!world)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for a world");
    world->spec = spec;
    world->answers = answers;
    uint32_t nodes = 0;
    for (uint32_t s = 0; s < spec->stages_n; s++)
        nodes += spec->stages[s].workers;
    world->behind = tspi_write_behind_new(nodes);
    world->net = tspi_virtual_net_new(&(tspi_virtual_config){.ctx = world, .delay_ns = delay_of});
    tsp_status rc = world->net && world->behind ? make_nodes(world, err)
                                                : tsp_error_set(err, TSP_ENOMEM, "out of memory for a network");
    if (rc != TSP_OK) {
        tspi_sim_world_free(world);
        return rc;
    }
    *ret_world = world;
    return TSP_OK;
}

static void empty_inbox(struct sim_node *n)
{
    for (tspi_msg *msg = n->inbox, *next; msg; msg = next) {
        next = msg->next;
        tspi_msg_free(msg);
    }
    n->inbox = NULL;
    n->inbox_end = &n->inbox;
}

void tspi_sim_world_free(tspi_sim_world *world)
{
    if (!world)
        return;
    for (uint32_t k = 0; k < world->nodes_n; k++) {
        tspi_node_release(&world->nodes[k].node);
        empty_inbox(&world->nodes[k]);
    }
    free(world->nodes);
    tspi_due_release(&world->turns, NULL);
    tspi_virtual_net_free(world->net);
    tspi_sim_delay_free(world->delay);
    tspi_write_behind_free(world->behind);
    free(world);
}

/* ------------------------------------------------------------------ turns */

static tsp_status plan_turn(struct sim_node *n, int64_t at_ns, tsp_error *err)
{
    if (at_ns >= n->turn_ns)
        return TSP_OK;
    n->turn_ns = at_ns;
    if (tspi_due_push(&n->world->turns, at_ns, NULL, n->number))
        return TSP_OK;
    return tsp_error_set(err, TSP_ENOMEM, "out of memory for a turn");
}

/* When an idle node that is woken at at_ns gets going. */
static int64_t awake_ns(struct sim_node *n, int64_t at_ns)
{
    const tspi_sim_spec *sim = &n->world->spec->sim;
    double ns = (double)sim->wake_ns;

    if (sim->wake_spread_ns)
        ns += tspi_random_ahead_exponential(&n->random, (double)sim->wake_spread_ns);
    if (n->world->saturated && tspi_random_ahead_unit(&n->random) < sim->saturated)
        ns += tspi_random_ahead_exponential(&n->random, (double)sim->saturated_wait_ns);
    return at_ns + (int64_t)ns;
}

static tsp_status arrive(tspi_sim_world *world, tsp_error *err)
{
    uint32_t to;

    world->now_ns = tspi_virtual_due_ns(world->net);
    tspi_msg *msg = tspi_virtual_next(world->net, &to);
    struct sim_node *n = &world->nodes[to];
    msg->next = NULL;
    *n->inbox_end = msg;
    n->inbox_end = &msg->next;
    /* A node at work looks into its inbox when it is done; one that is being woken anyway will see it then. */
    if (n->now_ns > world->now_ns)
        return plan_turn(n, n->now_ns, err);
    return plan_turn(n, awake_ns(n, world->now_ns), err);
}

static tsp_status receive_some(struct sim_node *n, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (int k = 0; k < RECEIVE_BURST && n->inbox && rc == TSP_OK; k++) {
        tspi_msg *msg = n->inbox;
        n->inbox = msg->next;
        if (!n->inbox)
            n->inbox_end = &n->inbox;
        rc = tspi_node_receive(&n->node, msg, err);
        tspi_msg_free(msg);
        spend(n, n->world->spec->sim.receive_ns);
    }
    return rc;
}

static tsp_status take_turn(struct sim_node *n, tsp_error *err)
{
    n->now_ns = n->turn_ns;
    n->turn_ns = INT64_MAX;
    tsp_status rc = receive_some(n, err);
    if (rc == TSP_OK)
        rc = tspi_node_tick(&n->node, err);
    bool busy = rc == TSP_OK && tspi_node_busy(&n->node);
    if (busy)
        rc = tspi_node_work(&n->node, err);
    if (rc != TSP_OK)
        return rc;
    if (busy || n->inbox)
        return plan_turn(n, n->now_ns, err);
    int64_t due_ns = tspi_node_due_ns(&n->node);
    if (due_ns == INT64_MAX)
        return TSP_OK;
    return plan_turn(n, due_ns > n->now_ns ? awake_ns(n, due_ns) : n->now_ns, err);
}

/* The next event, message or turn; *ret_idle: there is none. */
static tsp_status next_event(tspi_sim_world *world, bool *ret_idle, tsp_error *err)
{
    const tspi_due *turn = tspi_due_first(&world->turns);
    int64_t turn_ns = turn ? turn->due_ns : INT64_MAX, message_ns = tspi_virtual_due_ns(world->net);

    *ret_idle = turn_ns == INT64_MAX && message_ns == INT64_MAX;
    if (*ret_idle)
        return TSP_OK;
    if (message_ns <= turn_ns)
        return arrive(world, err);
    struct sim_node *n = &world->nodes[tspi_due_pop(&world->turns).to];
    world->now_ns = turn_ns;
    return n->turn_ns == turn_ns ? take_turn(n, err) : TSP_OK;
}

/* ------------------------------------------------------------------ a block */

static bool all_answered(const tspi_sim_world *world)
{
    uint32_t done = 0;

    for (uint32_t s = 0; s < world->spec->stages_n; s++)
        if (world->spec->stages[s].role == TSPI_ROLE_GATEWAY)
            for (uint32_t k = world->first_of[s]; k < world->first_of[s + 1]; k++)
                done += world->nodes[k].node.done;
    return done == world->gateways_n;
}

static tspi_progress progress_of(const tspi_sim_world *world)
{
    tspi_progress progress = {0, 0};

    for (uint32_t s = 0; s < world->spec->stages_n; s++)
        if (world->spec->stages[s].role == TSPI_ROLE_GATEWAY)
            for (uint32_t k = world->first_of[s]; k < world->first_of[s + 1]; k++) {
                progress.requests += world->nodes[k].node.requests_seen;
                progress.tokens += world->nodes[k].node.tokens_seen;
            }
    return progress;
}

/* Clocks that the experiment leaves alone have errors of their own, if the spec wants them. */
static void set_clock(struct sim_node *n, const tspi_block *block)
{
    const tspi_sim_spec *sim = &n->world->spec->sim;
    int clock_stage = tspi_spec_stage(n->world->spec, n->world->spec->clock_stage);
    tspi_random root, random;

    if ((!sim->offset_ns && !sim->drift_ppb && !sim->wander_ppb) || (int)n->stage == clock_stage)
        return;
    tspi_random_seed(&root, n->world->spec->seed);
    random = tspi_random_split(&root, "clock", n->number);
    const tspi_clock_model model = {
        .offset_ns = (int64_t)((double)sim->offset_ns * tspi_random_normal(&random)),
        .drift_ppb = (int64_t)((double)sim->drift_ppb * tspi_random_normal(&random)),
        .wander_ppb = sim->wander_ppb,
        .seed = tspi_random_u64(&random) + block->id,
    };
    tspi_model_clock_init(&n->node.clock, &model, TSPI_SIM_EPOCH_NS + n->world->block_ns);
}

static tsp_status look(const tspi_sim_world *world,
                       tsp_status (*go_on)(void *ctx, const tspi_progress *progress, tsp_error *err), void *ctx,
                       tsp_error *err)
{
    tspi_progress progress = progress_of(world);

    return go_on(ctx, &progress, err);
}

static tsp_status begin_all(tspi_sim_world *world, const tspi_block *block,
                            tsp_status (*go_on)(void *ctx, const tspi_progress *progress, tsp_error *err), void *ctx,
                            tsp_error *err)
{
    tsp_status rc = TSP_OK;

    world->block_ns = world->now_ns;
    tspi_sim_delay_begin(world->delay);
    for (uint32_t k = 0; k < world->nodes_n && rc == TSP_OK; k++) {
        struct sim_node *n = &world->nodes[k];
        n->now_ns = world->now_ns;
        n->turn_ns = INT64_MAX;
        rc = tspi_node_begin(&n->node, block, err);
        set_clock(n, block);
        if (rc == TSP_OK && k % NODES_A_LOOK == NODES_A_LOOK - 1)
            rc = look(world, go_on, ctx, err);
    }
    for (uint32_t k = 0; k < world->nodes_n && rc == TSP_OK; k++) {
        rc = tspi_node_go(&world->nodes[k].node, err);
        if (rc == TSP_OK)
            rc = plan_turn(&world->nodes[k], world->nodes[k].now_ns, err);
    }
    return rc;
}

/* Until every request is answered, and nothing is under way any more that would still be recorded (a mirrored branch,
 * say). */
static tsp_status run(tspi_sim_world *world,
                      tsp_status (*go_on)(void *ctx, const tspi_progress *progress, tsp_error *err), void *ctx,
                      tsp_error *err)
{
    tsp_status rc = TSP_OK;
    bool idle = false;

    for (uint64_t events = 1; rc == TSP_OK && !idle; events++) {
        rc = next_event(world, &idle, err);
        if (rc == TSP_OK && events % EVENTS_A_LOOK == 0)
            rc = look(world, go_on, ctx, err);
    }
    if (rc == TSP_OK && !all_answered(world))
        rc = tsp_error_set(err, TSP_ECLOSED, "requests are left without an answer, and nothing is under way any more");
    return rc;
}

/* What a stopped block leaves must not reach the next. */
static void drop_everything(tspi_sim_world *world)
{
    for (uint32_t k = 0; k < world->nodes_n; k++) {
        struct sim_node *n = &world->nodes[k];
        empty_inbox(n);
        world->now_ns = n->now_ns > world->now_ns ? n->now_ns : world->now_ns;
    }
    while (tspi_virtual_due_ns(world->net) != INT64_MAX) {
        uint32_t to;
        tspi_msg_free(tspi_virtual_next(world->net, &to));
    }
    tspi_due_release(&world->turns, NULL);
    world->now_ns += pause_ns;
}

static void add_results(const tspi_sim_world *world, tspi_block_result *result)
{
    *result = (tspi_block_result){0};
    for (uint32_t k = 0; k < world->nodes_n; k++) {
        const tspi_node *node = &world->nodes[k].node;
        if (node->stage->role != TSPI_ROLE_GATEWAY)
            continue;
        result->requests += node->result.requests;
        result->tokens += node->result.tokens;
        if (node->result.elapsed_ns > result->elapsed_ns)
            result->elapsed_ns = node->result.elapsed_ns;
    }
}

tsp_status tspi_sim_world_block(tspi_sim_world *world, const tspi_block *block, bool saturated,
                                tsp_status (*go_on)(void *ctx, const tspi_progress *progress, tsp_error *err),
                                void *ctx, tspi_block_result *ret_result, tsp_error *err)
{
    world->saturated = saturated;
    tsp_status rc = begin_all(world, block, go_on, ctx, err);
    if (rc == TSP_OK)
        rc = run(world, go_on, ctx, err);
    add_results(world, ret_result);
    for (uint32_t k = 0; k < world->nodes_n; k++) {
        tsp_status ended = tspi_node_end(&world->nodes[k].node, rc == TSP_OK ? err : NULL);
        rc = rc == TSP_OK ? ended : rc;
    }
    tsp_status written = tspi_write_behind_drain(world->behind, rc == TSP_OK ? err : NULL);
    rc = rc == TSP_OK ? written : rc;
    drop_everything(world);
    return rc;
}
