/* All nodes of a pipeline in one process and in virtual time: the same code as in the lab's processes. */
#include "test.h"

#include <malloc.h>
#include <sys/stat.h>

#include "base/due_queue.h"
#include "base/hex.h"
#include "lab/node.h"
#include "lab/reference.h"

enum { NODES_MAX = 12 };

struct world {
    tspi_world base;
    int64_t now_ns;
    tspi_due_queue wires; /* of messages; to = row in nodes */
    tspi_node nodes[NODES_MAX];
    uint32_t stage_of[NODES_MAX], nodes_n;
    tspi_random random;
    double twice;    /* share of messages that arrive a second time, behind the first */
    int64_t late_ns; /* at the most so much behind */
    char folder[64];
};

static const int64_t start_ns = INT64_C(1790000000000000000);

static int64_t wall_ns(tspi_world *base)
{
    return start_ns + ((struct world *)base)->now_ns;
}

static int64_t monotonic_ns(tspi_world *base)
{
    return ((struct world *)base)->now_ns;
}

static tsp_status world_send(tspi_world *base, uint32_t stage, uint32_t worker, const tspi_content *content,
                             tsp_error *err)
{
    struct world *w = (struct world *)base;
    uint32_t to = 0;

    while (to < w->nodes_n && (w->stage_of[to] != stage || w->nodes[to].worker != worker))
        to++;
    if (to == w->nodes_n)
        return tsp_error_set(err, TSP_EINVAL, "no such worker");
    if (tspi_random_unit(&w->random) < w->twice) {
        int64_t late_ns = w->late_ns ? (int64_t)tspi_random_below(&w->random, (uint64_t)w->late_ns) : 0;
        tspi_due_push(&w->wires, w->now_ns + 4 * TSP_NS_PER_MS + late_ns, tspi_msg_of(content), to);
    }
    tspi_due_push(&w->wires, w->now_ns + 4 * TSP_NS_PER_MS, tspi_msg_of(content), to);
    return TSP_OK;
}

static const char *const kinds[] = {"otlp", "truth"};

static void open_world(struct world *w, const tspi_spec *spec)
{
    tsp_error err = {0};
    char path[128];

    memset(w, 0, sizeof *w);
    w->base = (tspi_world){
        .wall_ns = wall_ns, .monotonic_ns = monotonic_ns, .send = world_send, .messaging_system = "virtual"};
    tspi_random_seed(&w->random, seed);
    for (uint32_t s = 0; s < spec->stages_n; s++)
        for (uint32_t worker = 0; worker < spec->stages[s].workers; worker++) {
            w->stage_of[w->nodes_n] = s;
            CHECK_STATUS(tspi_node_init(&w->nodes[w->nodes_n++], spec, s, worker, &w->base, &err), TSP_OK, &err);
        }
    snprintf(w->folder, sizeof w->folder, "node-XXXXXX");
    if (!mkdtemp(w->folder))
        TEST_FAIL("no folder");
    for (int k = 0; k < 2; k++) {
        snprintf(path, sizeof path, "%s/%s", w->folder, kinds[k]);
        mkdir(path, 0777);
    }
}

static void discard(void *msg)
{
    tspi_msg_free(msg);
}

static void close_world(struct world *w)
{
    char path[256];

    for (uint32_t k = 0; k < w->nodes_n; k++) {
        for (int kind = 0; kind < 2; kind++) {
            snprintf(path, sizeof path, "%s/%s/%s.jsonl", w->folder, kinds[kind], w->nodes[k].name);
            unlink(path);
        }
        tspi_node_release(&w->nodes[k]);
    }
    for (int kind = 0; kind < 2; kind++) {
        snprintf(path, sizeof path, "%s/%s", w->folder, kinds[kind]);
        rmdir(path);
    }
    snprintf(path, sizeof path, "%s/requests.jsonl", w->folder);
    unlink(path);
    rmdir(w->folder);
    tspi_due_release(&w->wires, discard);
}

/* One node's turn, as the process's loop gives it. */
static tsp_status turn(struct world *w, tspi_node *node, bool *ret_busy, tsp_error *err)
{
    tsp_status rc = tspi_node_tick(node, err);

    if (rc == TSP_OK && tspi_node_busy(node)) {
        *ret_busy = true;
        w->now_ns += 20000;
        rc = tspi_node_work(node, err);
    }
    return rc;
}

/* A block from begin to end. */
static tsp_status run_block(struct world *w, const tspi_block *block, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    for (uint32_t k = 0; k < w->nodes_n && rc == TSP_OK; k++)
        rc = tspi_node_begin(&w->nodes[k], block, err);
    for (uint32_t k = 0; k < w->nodes_n && rc == TSP_OK; k++)
        rc = tspi_node_go(&w->nodes[k], err);
    while (rc == TSP_OK && (!w->nodes[0].done || w->wires.n)) {
        int64_t next_ns = w->wires.n ? tspi_due_first(&w->wires)->due_ns : INT64_MAX;
        bool busy = false;
        for (uint32_t k = 0; k < w->nodes_n && rc == TSP_OK; k++)
            rc = turn(w, &w->nodes[k], &busy, err);
        for (uint32_t k = 0; k < w->nodes_n; k++) {
            int64_t due_ns = tspi_node_due_ns(&w->nodes[k]);
            next_ns = due_ns < next_ns ? due_ns : next_ns;
        }
        if (!busy && next_ns > w->now_ns &&
            next_ns != INT64_MAX) /* never: the block is over, time goes on in the next */
            w->now_ns = next_ns;
        while (rc == TSP_OK && w->wires.n && tspi_due_first(&w->wires)->due_ns <= w->now_ns) {
            tspi_due due = tspi_due_pop(&w->wires);
            rc = tspi_node_receive(&w->nodes[due.to], due.thing, err);
            tspi_msg_free(due.thing);
        }
    }
    for (uint32_t k = 0; k < w->nodes_n; k++) {
        tsp_status ended = tspi_node_end(&w->nodes[k], rc == TSP_OK ? err : NULL);
        rc = rc == TSP_OK ? ended : rc;
    }
    return rc;
}

static tspi_block make_block(const struct world *w)
{
    tspi_block block = {
        .id = 1, .arrival = TSPI_ARRIVAL_POISSON, .rate_per_s = 200, .concurrency = 4, .requests = 40, .seed = seed};

    block.clock.offset_ns = 5 * TSP_NS_PER_MS;
    snprintf(block.folder, sizeof block.folder, "%s", w->folder);
    return block;
}

static void read_file(const struct world *w, const char *name, tspi_buf *ret_text)
{
    char path[256];
    tsp_error err = {0};

    snprintf(path, sizeof path, "%s/%s", w->folder, name);
    CHECK_STATUS(tspi_buf_read_file(ret_text, path, 0, &err), TSP_OK, &err);
    tspi_buf_putc(ret_text, '\0');
}

/* Every answer is the single-process reference's. */
static void check_outputs(const struct world *w, const tspi_spec *spec, uint32_t requests)
{
    tspi_prompts prompts;
    uint8_t(*reference)[32] = NULL;
    const char *note;
    tspi_buf text = {0};
    tsp_error err = {0};
    uint32_t n = 0;

    CHECK_STATUS(tspi_prompts_load(NULL, &prompts, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_reference_outputs(spec, &prompts, NULL, &reference, &note, &err), TSP_OK, &err);
    read_file(w, "requests.jsonl", &text);
    for (char *line = strtok((char *)text.data, "\n"); line && reference; line = strtok(NULL, "\n"), n++) {
        const char *prompt = strstr(line, "\"prompt\":"), *digest = strstr(line, "\"sha256\":\"");
        char want[65] = "";
        REQUIRE(prompt && digest);
        tspi_hex_write(reference[strtoul(prompt + 9, NULL, 10) % prompts.n], 32, want);
        CHECK(!strncmp(digest + 10, want, 64));
    }
    CHECK_INT(n, requests);
    free(reference);
    tspi_prompts_release(&prompts);
    tspi_buf_release(&text);
}

static void make_spec(tspi_spec *spec)
{
    tsp_error err = {0};

    CHECK_STATUS(tspi_spec_default(spec, &err), TSP_OK, &err);
    spec->seed = seed;
    spec->engine.max_tokens = 6;
    spec->stages[2].workers = spec->stages[3].workers = 2;
}

TEST(node, a_pipeline_in_virtual_time_answers_as_the_reference)
{
    static const enum tspi_arrival arrivals[] = {TSPI_ARRIVAL_POISSON, TSPI_ARRIVAL_CONSTANT, TSPI_ARRIVAL_CLOSED};
    static struct world w;

    for (int k = 0; k < 3; k++) {
        tspi_spec spec;
        tsp_error err = {0};
        make_spec(&spec);
        spec.engine.chunk_tokens = 1 + (uint32_t)k;
        spec.engine.temperature = 0.5 * k;
        open_world(&w, &spec);
        tspi_block block = make_block(&w);
        block.arrival = arrivals[k];
        CHECK_STATUS(run_block(&w, &block, &err), TSP_OK, &err);
        CHECK_INT(w.nodes[0].result.requests, 40);
        CHECK(w.nodes[0].result.tokens > 40 && w.nodes[0].result.elapsed_ns > 0);
        check_outputs(&w, &spec, 40);
        close_world(&w);
        tspi_spec_release(&spec);
    }
}

/* Nothing in a node asks the machine for time or chance: the same seed leaves the same bytes. */
TEST(node, the_same_seed_leaves_the_same_bytes)
{
    static const char *const files[] = {"requests.jsonl", "otlp/gateway-0.jsonl", "otlp/inference-1.jsonl",
                                        "truth/postprocess-0.jsonl"};
    static struct world w[2];
    tspi_spec spec;
    tsp_error err = {0};

    make_spec(&spec);
    for (int k = 0; k < 2; k++) {
        open_world(&w[k], &spec);
        tspi_block block = make_block(&w[k]);
        CHECK_STATUS(run_block(&w[k], &block, &err), TSP_OK, &err);
    }
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        tspi_buf text[2] = {{0}, {0}};
        for (int k = 0; k < 2; k++)
            read_file(&w[k], files[f], &text[k]);
        CHECK(text[0].len > 100 && text[0].len == text[1].len && !memcmp(text[0].data, text[1].data, text[0].len));
        tspi_buf_release(&text[0]);
        tspi_buf_release(&text[1]);
    }
    close_world(&w[0]);
    close_world(&w[1]);
    tspi_spec_release(&spec);
}

/* A transport that delivers at least once: answers stay whole, and every request is answered once. */
static void check_twice(int64_t late_ns)
{
    static struct world w;
    tspi_spec spec;
    tsp_error err = {0};

    make_spec(&spec);
    open_world(&w, &spec);
    w.twice = 0.3;
    w.late_ns = late_ns;
    tspi_block block = make_block(&w);
    CHECK_STATUS(run_block(&w, &block, &err), TSP_OK, &err);
    CHECK_INT(w.nodes[0].result.requests, 40);
    check_outputs(&w, &spec, 40);
    close_world(&w);
    tspi_spec_release(&spec);
}

TEST(node, messages_that_come_twice_change_no_answer)
{
    check_twice(0);
}

/* Also when all of its request is answered by then: it is no new request. */
TEST(node, messages_that_come_again_much_later_change_no_answer)
{
    check_twice(2 * TSP_NS_PER_S);
}

/* A node remembers what is under way, not what has been: a run may take days. */
TEST(node, memory_does_not_grow_with_the_requests)
{
    static struct world w;
    tspi_spec spec;
    tsp_error err = {0};
    size_t held[3] = {0};

    make_spec(&spec);
    spec.engine.max_tokens = 1;
    open_world(&w, &spec);
    for (uint32_t k = 0; k < 3; k++) {
        tspi_block block = make_block(&w);
        block.id = 1 + k;
        block.folder[0] = '\0';
        block.arrival = k ? TSPI_ARRIVAL_POISSON : TSPI_ARRIVAL_CLOSED;
        block.requests = k == 2 ? 3000 : 300;
        CHECK_STATUS(run_block(&w, &block, &err), TSP_OK, &err);
        CHECK_INT(w.nodes[0].result.requests, block.requests);
        struct mallinfo2 heap = mallinfo2();
        held[k] = heap.uordblks + heap.hblkhd;
    }
    if (held[2] > held[1] + 64 * 1024)
        TEST_FAIL("%zu bytes more are held after ten times as many requests", held[2] - held[1]);
    close_world(&w);
    tspi_spec_release(&spec);
}

/* What no stage expects is an error; what is none of the lab's is counted and dropped, as is a message of another
 * block. Never a crash. */
TEST(node, hostile_messages_are_refused)
{
    static struct world w;
    tspi_random random;
    tspi_spec spec;
    int refused = 0;

    tspi_random_seed(&random, seed);
    make_spec(&spec);
    open_world(&w, &spec);
    tspi_block block = make_block(&w);
    for (uint32_t k = 0; k < w.nodes_n; k++)
        CHECK_INT(tspi_node_begin(&w.nodes[k], &block, NULL), TSP_OK);
    for (int round = 0; round < 20000; round++) {
        uint8_t payload[TSPI_LAB_HEAD_BYTES + 64];
        tspi_node *node = &w.nodes[tspi_random_below(&random, w.nodes_n)];
        const tspi_lab_head head = {
            .kind = (uint8_t)(1 + tspi_random_below(&random, TSPI_LAB_ACK_DONE)),
            .flags = (uint8_t)tspi_random_below(&random, 2),
            .block = 1 + (tspi_random_below(&random, 8) == 0),
            .request = (uint32_t)tspi_random_below(&random, 50),
            .prompt = (uint32_t)tspi_random_u64(&random),
            .number = (uint32_t)tspi_random_below(&random, 3),
            .tokens = (uint32_t)tspi_random_u64(&random),
        };
        size_t len = TSPI_LAB_HEAD_BYTES + tspi_random_below(&random, 64);
        tspi_msg *msg = tspi_msg_new(0);
        tspi_random_bytes(&random, payload, sizeof payload);
        tspi_lab_head_write(&head, payload);
        if (tspi_random_below(&random, 2)) /* a length that may fit */
            memset(payload + TSPI_LAB_HEAD_BYTES + 1, 0, 3);
        bool has_parent = tspi_random_below(&random, 10) != 0, cut = tspi_random_below(&random, 10) == 0;
        if (has_parent)
            tspi_msg_add_header(msg, "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", 55);
        len = cut ? len / 3 : len;
        tspi_msg_set_payload(msg, payload, len);
        tsp_error err = {0};
        uint64_t foreign = node->foreign;
        tsp_status rc = tspi_node_receive(node, msg, &err);
        tspi_msg_free(msg);
        refused += rc != TSP_OK;
        bool is_foreign = len < TSPI_LAB_HEAD_BYTES || !has_parent; /* of whichever block */
        CHECK_INT(node->foreign - foreign, is_foreign);
        if (is_foreign || head.block != 1)
            CHECK_INT(rc, TSP_OK);
        if (rc != TSP_OK)
            CHECK(err.message[0]);
        if (tspi_node_busy(node))
            tspi_node_work(node, NULL);
    }
    CHECK(refused > 1000);
    for (uint32_t k = 0; k < w.nodes_n; k++)
        CHECK_INT(tspi_node_end(&w.nodes[k], NULL), TSP_OK);
    close_world(&w);
    tspi_spec_release(&spec);
}
