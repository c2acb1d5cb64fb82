/* The request producer: issues requests by the block's arrival process and measures how long their answers take, on the
 * true monotonic clock. Its root span of a request runs from the arrival to the last acknowledgement. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/hex.h"
#include "lab/node.h"
#include "lab/prompts.h"

/* A request that hears nothing for so long is lost, and with it the run: no figure is made of half a pipeline. */
static const int64_t answer_timeout_ns = 60 * TSP_NS_PER_S;

struct asked {
    tspi_lab_span root;
    int64_t asked_ns, first_ns; /* monotonic; first_ns 0 = no text yet */
    uint32_t prompt;
    bool answered;
};

struct state {
    tspi_prompts prompts;
    tspi_random random; /* of this block: arrivals and choice of prompts */
    /* Requests from the oldest without its answer on: request k is at k % asked_cap. */
    struct asked *asked;
    uint32_t asked_n, asked_cap, oldest, in_flight; /* asked_cap: 0 or a power of two */
    bool issuing;
    int64_t begun_ns, next_ns, heard_ns;
    tspi_buf log; /* a line of JSON a request */
    int log_fd;
};

static struct state *state_of(tspi_node *node)
{
    return node->state;
}

static int64_t now_of(tspi_node *node)
{
    return node->world->monotonic_ns(node->world);
}

static tsp_status init(tspi_node *node, tsp_error *err)
{
    state_of(node)->log_fd = -1;
    return tspi_prompts_load(node->spec->load.prompts, &state_of(node)->prompts, err);
}

static tsp_status begin(tspi_node *node, tsp_error *err)
{
    struct state *s = state_of(node);
    char path[4200];
    tspi_random root;

    tspi_random_seed(&root, node->block.seed);
    s->random = tspi_random_split(&root, "requests", node->worker);
    s->asked_n = s->oldest = s->in_flight = 0;
    s->issuing = false;
    s->next_ns = INT64_MAX;
    if (!node->block.folder[0])
        return TSP_OK;
    snprintf(path, sizeof path, "%s/requests.jsonl", node->block.folder);
    s->log_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    return s->log_fd < 0 ? tsp_error_sys(err, errno, "cannot open '%s'", path) : TSP_OK;
}

/* ------------------------------------------------------------------ asking */

static struct asked *asked_at(struct state *s, uint32_t request)
{
    return &s->asked[request & (s->asked_cap - 1)];
}

static bool grow(struct state *s)
{
    uint32_t cap = s->asked_cap ? 2 * s->asked_cap : 64;
    struct asked *asked = calloc(cap, sizeof *asked);

    if (!asked)
        return false;
    for (uint32_t k = s->oldest; k != s->asked_n; k++)
        asked[k & (cap - 1)] = *asked_at(s, k);
    free(s->asked);
    s->asked = asked;
    s->asked_cap = cap;
    return true;
}

static struct asked *new_asked(struct state *s)
{
    if (s->asked_n - s->oldest == s->asked_cap && !grow(s))
        return NULL;
    struct asked *asked = asked_at(s, s->asked_n++);
    *asked = (struct asked){0};
    return asked;
}

/* What is answered need not be remembered: a run may ask for days. */
static void forget_answered(struct state *s)
{
    while (s->oldest != s->asked_n && asked_at(s, s->oldest)->answered)
        s->oldest++;
}

static tsp_status ask(tspi_node *node, int64_t arrival_ns, tsp_error *err)
{
    struct state *s = state_of(node);
    uint32_t prompt = (uint32_t)tspi_random_below(&s->random, s->prompts.n);
    struct asked *asked = new_asked(s);
    size_t len;
    const char *text = tspi_prompt(&s->prompts, prompt, &len);

    if (!asked)
        return tsp_error_set(err, TSP_ENOMEM, "out of memory for requests");
    const tspi_lab_head head = {
        .kind = TSPI_LAB_REQUEST,
        .origin = (uint16_t)node->worker,
        .block = node->block.id,
        .request = s->asked_n - 1,
        .prompt = prompt,
    };
    asked->asked_ns = arrival_ns;
    asked->prompt = prompt;
    tspi_node_span_begin(node, NULL, "generate", TSPI_KIND_INTERNAL, &asked->root);
    s->in_flight++;
    return tspi_node_send(node, &asked->root, &head, text, len, err);
}

/* Requests per second so long after the block's start. */
static double rate_at(const tspi_node *node, int64_t since_ns)
{
    const tspi_spec *spec = node->spec;
    double rate = node->block.rate_per_s;

    for (uint32_t k = 0; k < spec->load.phases_n && spec->load.phases[k].at_ns <= since_ns; k++)
        rate = spec->load.phases[k].rate_per_s;
    return rate;
}

/* A worker's share of all arrivals. The gap of a Poisson process is exponential; latency counts from the arrival that
 * was due, not from when this loop got round to it. */
static int64_t next_gap_ns(tspi_node *node, int64_t since_ns)
{
    double mean = 1e9 * node->stage->workers / rate_at(node, since_ns);

    if (node->block.arrival == TSPI_ARRIVAL_CONSTANT)
        return (int64_t)mean;
    return (int64_t)tspi_random_exponential(&state_of(node)->random, mean);
}

static void check_done(tspi_node *node)
{
    struct state *s = state_of(node);

    if (s->issuing || s->in_flight)
        return;
    node->done = true;
    node->result.requests = s->asked_n;
    node->result.elapsed_ns = now_of(node) - s->begun_ns;
}

/* Whether the block wants one more request at time now. */
static bool wants_more(tspi_node *node, int64_t now_ns)
{
    struct state *s = state_of(node);

    if (node->block.requests && s->asked_n >= node->block.requests)
        s->issuing = false;
    if (node->block.duration_ns && now_ns - s->begun_ns >= node->block.duration_ns)
        s->issuing = false;
    return s->issuing;
}

static tsp_status go(tspi_node *node, tsp_error *err)
{
    struct state *s = state_of(node);

    s->begun_ns = s->heard_ns = now_of(node);
    s->issuing = true;
    if (node->block.arrival != TSPI_ARRIVAL_CLOSED) {
        s->next_ns = s->begun_ns + next_gap_ns(node, 0);
        return TSP_OK;
    }
    tsp_status rc = TSP_OK;
    for (uint32_t k = 0; k < node->block.concurrency && rc == TSP_OK && wants_more(node, s->begun_ns); k++)
        rc = ask(node, now_of(node), err);
    return rc;
}

static int64_t due_ns(tspi_node *node)
{
    struct state *s = state_of(node);
    int64_t due = s->in_flight ? s->heard_ns + answer_timeout_ns : INT64_MAX;

    return s->next_ns < due ? s->next_ns : due;
}

static tsp_status tick(tspi_node *node, int64_t now_ns, tsp_error *err)
{
    struct state *s = state_of(node);
    tsp_status rc = TSP_OK;

    while (s->next_ns <= now_ns && rc == TSP_OK) {
        if (!wants_more(node, s->next_ns)) {
            s->next_ns = INT64_MAX;
            check_done(node);
            break;
        }
        if (!s->in_flight)
            s->heard_ns = now_ns;
        rc = ask(node, s->next_ns, err);
        s->next_ns += next_gap_ns(node, s->next_ns - s->begun_ns);
    }
    if (rc == TSP_OK && s->in_flight && now_ns - s->heard_ns >= answer_timeout_ns)
        rc = tsp_error_set(err, TSP_ECLOSED, "%u of %u requests got no answer within %d s", s->in_flight, s->asked_n,
                           (int)(answer_timeout_ns / TSP_NS_PER_S));
    return rc;
}

/* ------------------------------------------------------------------ hearing */

static void log_answer(struct state *s, const tspi_incoming *incoming, const struct asked *asked, int64_t now_ns)
{
    char digest[65] = "";

    if (incoming->len == 32)
        tspi_hex_write(incoming->body, 32, digest);
    digest[64] = '\0';
    tspi_buf_printf(&s->log,
                    "{\"request\":%u,\"prompt\":%u,\"tokens\":%u,\"latency_ns\":%" PRId64 ",\"ttft_ns\":%" PRId64
                    ",\"sha256\":\"%s\"}\n",
                    incoming->head.request, asked->prompt, incoming->head.tokens, now_ns - asked->asked_ns,
                    asked->first_ns - asked->asked_ns, digest);
}

static tsp_status write_log(tspi_node *node, tsp_error *err)
{
    struct state *s = state_of(node);
    size_t done = 0;

    while (s->log_fd >= 0 && done < s->log.len) {
        ssize_t n = write(s->log_fd, s->log.data + done, s->log.len - done);
        if (n < 0 && errno != EINTR)
            return tsp_error_sys(err, errno, "cannot write '%s/requests.jsonl'", node->block.folder);
        done += n > 0 ? (size_t)n : 0;
    }
    tspi_buf_clear(&s->log);
    return TSP_OK;
}

static tsp_status answered(tspi_node *node, tspi_incoming *incoming, struct asked *asked, tsp_error *err)
{
    struct state *s = state_of(node);

    asked->answered = true;
    s->in_flight--;
    node->requests_seen++;
    node->tokens_seen += incoming->head.tokens;
    node->result.tokens += incoming->head.tokens;
    tspi_lab_span_integer(&asked->root, "gen_ai.usage.output_tokens", incoming->head.tokens);
    tsp_status rc = tspi_node_span_end(node, &asked->root, err);
    forget_answered(s);
    if (rc == TSP_OK && s->log.len > 64 * 1024)
        rc = write_log(node, err);
    if (rc == TSP_OK && node->block.arrival == TSPI_ARRIVAL_CLOSED && wants_more(node, now_of(node)))
        rc = ask(node, now_of(node), err);
    check_done(node);
    return rc;
}

static tsp_status on_message(tspi_node *node, tspi_incoming *incoming, tsp_error *err)
{
    struct state *s = state_of(node);
    int64_t now_ns = now_of(node);
    tsp_status rc;

    if (incoming->head.kind != TSPI_LAB_ACK_FIRST && incoming->head.kind != TSPI_LAB_ACK_DONE)
        return tsp_error_set(err, TSP_EPARSE, "%s got a message of kind %d", node->name, incoming->head.kind);
    if (incoming->head.request >= s->asked_n)
        return tsp_error_set(err, TSP_EPARSE, "%s got an answer to request %u, which it never asked", node->name,
                             incoming->head.request);
    s->heard_ns = now_ns;
    rc = tspi_node_span_end(node, &incoming->span, err);
    if (rc != TSP_OK || incoming->head.request < s->oldest)
        return rc;
    struct asked *asked = asked_at(s, incoming->head.request);
    if (asked->answered)
        return TSP_OK;
    if (!asked->first_ns)
        asked->first_ns = now_ns;
    if (incoming->head.kind == TSPI_LAB_ACK_FIRST)
        return TSP_OK;
    if (s->log_fd >= 0)
        log_answer(s, incoming, asked, now_ns);
    return answered(node, incoming, asked, err);
}

static tsp_status end(tspi_node *node, tsp_error *err)
{
    struct state *s = state_of(node);
    tsp_status rc = write_log(node, err);

    if (s->log_fd >= 0 && close(s->log_fd) != 0 && rc == TSP_OK)
        rc = tsp_error_sys(err, errno, "cannot write '%s/requests.jsonl'", node->block.folder);
    s->log_fd = -1;
    s->issuing = false;
    s->next_ns = INT64_MAX;
    s->in_flight = 0;
    return rc;
}

static void release(tspi_node *node)
{
    struct state *s = state_of(node);

    if (s->log_fd > 0)
        close(s->log_fd);
    tspi_buf_release(&s->log);
    free(s->asked);
    tspi_prompts_release(&s->prompts);
}

const struct tspi_stage_ops tspi_stage_gateway = {
    .state_size = sizeof(struct state),
    .init = init,
    .begin = begin,
    .go = go,
    .on_message = on_message,
    .due_ns = due_ns,
    .tick = tick,
    .end = end,
    .release = release,
};
