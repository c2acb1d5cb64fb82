#include "test.h"

#include "base/random.h"
#include "lab/spec.h"
#include "lab/spec_line.h"

extern const char tspi_default_spec[];
extern const size_t tspi_default_spec_len;

static tsp_status read_text(const char *text, size_t len, tspi_spec *spec, tsp_error *err)
{
    *err = (tsp_error){0};
    *spec = (tspi_spec){0};
    return tspi_spec_read(text, len, "s.yaml", spec, err);
}

TEST(spec, the_default_is_the_papers_pipeline)
{
    static const char *const roles[] = {"gateway", "preprocess", "inference", "postprocess", "sink"};
    tspi_spec spec;
    tsp_error err = {0};

    CHECK_STATUS(tspi_spec_default(&spec, &err), TSP_OK, &err);
    CHECK_STATUS(tspi_spec_check(&spec, NULL, &err), TSP_OK, &err);
    REQUIRE(spec.stages_n == 5);
    for (uint32_t k = 0; k < 5; k++) {
        CHECK_STR(spec.stages[k].name, roles[k]);
        CHECK_STR(tspi_role_name(spec.stages[k].role), roles[k]);
        CHECK_INT(spec.stages[k].workers, 1);
        CHECK_INT(spec.stages[k].to_n, 1);
        CHECK_INT(spec.stages[k].to[0], (k + 1) % 5);
        CHECK_INT(tspi_spec_stage(&spec, roles[k]), k);
    }
    CHECK_INT(tspi_spec_stage(&spec, "nobody"), -1);
    CHECK_STR(spec.clock_stage, "inference");
    CHECK_STR(spec.transport, "zmq");
    CHECK_STR(spec.engine.name, "tiny");
    CHECK(!spec.engine.model && !spec.load.prompts);
    CHECK_INT(spec.link.delay_ns, 4000000);
    CHECK_INT(spec.link.jitter_ns, 300000);
    CHECK_INT(spec.experiment.sweep_n, 9);
    CHECK_INT(spec.experiment.sweep_ns[8], 10000000);
    CHECK_INT(spec.experiment.health_window_ns, 30 * TSP_NS_PER_S);
    CHECK(spec.experiment.null_run);
    CHECK_INT(spec.clock.offset_ns, 0);
    tspi_spec_release(&spec);
}

TEST(spec, what_is_left_out_stays_as_it_is_by_default)
{
    static const char text[] = "engine: {max_tokens: 7}\nlink:\n  jitter: 0.1ms\nexperiment: {sweep: [ -2ms ]}\n";
    tspi_spec spec;
    tsp_error err;

    CHECK_STATUS(read_text(text, sizeof text - 1, &spec, &err), TSP_OK, &err);
    CHECK_INT(spec.engine.max_tokens, 7);
    CHECK_INT(spec.engine.chunk_tokens, 1);
    CHECK_STR(spec.engine.name, "tiny");
    CHECK_INT(spec.link.jitter_ns, 100000);
    CHECK_INT(spec.link.delay_ns, 4000000);
    CHECK_INT(spec.experiment.sweep_n, 1);
    CHECK_INT(spec.experiment.sweep_ns[0], -2000000);
    CHECK_INT(spec.stages_n, 5);
    tspi_spec_release(&spec);
}

/* ------------------------------------------------------------------ there and back */

static int64_t draw_ns(tspi_random *random, int64_t lo, int64_t hi)
{
    int64_t ns = lo + (int64_t)tspi_random_below(random, (uint64_t)(hi - lo) + 1);
    static const int64_t grain[] = {1, 1000, 1000000, 1000000000};
    int64_t unit = grain[tspi_random_below(random, 4)];

    return ns / unit * unit >= lo ? ns / unit * unit : ns;
}

/* Text that YAML could mistake for something else, or that its reader does not take as it is. */
static char *draw_text(tspi_random *random)
{
    static const char *const texts[] = {
        "plain",
        "",
        "true",
        "null",
        "~",
        "1e3",
        "with: colon # and hash",
        "  blanks  ",
        "quote \" and ' and \\",
        "line\nbreak\ttab",
        "bell \x07 escape \x1b delete \x7f",
        "next line \xc2\x85, mark \xef\xbb\xbf, odd \xef\xbf\xbe",
        "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80",
        "- [a, {b: c}] & * ! | > % @ `",
    };
    return strdup(texts[tspi_random_below(random, sizeof texts / sizeof *texts)]);
}

static uint32_t draw_count(tspi_random *random, uint32_t lo, uint32_t hi)
{
    return lo + (uint32_t)tspi_random_below(random, hi - lo + 1);
}

static void draw_stages(tspi_random *random, tspi_spec *spec)
{
    static const char *const odd_names[] = {"true", "null", "0x1f", "1e9", "no", "a-b", "x_", "12"};

    for (uint32_t k = 0; k < spec->stages_n; k++)
        spec->stages[k].workers = draw_count(random, 1, 64);
    /* A relay between inference and postprocess, and perhaps one that mirrors to nobody. */
    uint32_t relays = (uint32_t)tspi_random_below(random, 3);
    spec->stages = realloc(spec->stages, (spec->stages_n + 2) * sizeof *spec->stages);
    for (uint32_t k = 0; k < relays; k++) {
        tspi_stage_spec *relay = &spec->stages[spec->stages_n], *from = &spec->stages[2];
        *relay = (tspi_stage_spec){.role = TSPI_ROLE_RELAY, .workers = draw_count(random, 1, 9), .calls = -1};
        relay->name = strdup(odd_names[4 * k + tspi_random_below(random, 4)]);
        if (!k)
            relay->to[relay->to_n++] = 3;
        from->to[from->to_n++] = spec->stages_n++;
    }
}

/* Of the rows only what a spec's stages have names for. */
static void draw_sim(tspi_random *random, tspi_sim_spec *sim)
{
    int64_t *const times[] = {&sim->wake_ns,     &sim->wake_spread_ns, &sim->receive_ns,       &sim->send_ns,
                              &sim->tokenize_ns, &sim->token_ns,       &sim->detokenize_ns,    &sim->service_ns,
                              &sim->late_by_ns,  &sim->offset_ns,      &sim->saturated_wait_ns};

    sim->delays = (enum tspi_delays)tspi_random_below(random, TSPI_DELAYS_N);
    sim->delays_file = sim->delays == TSPI_DELAYS_EMPIRICAL ? draw_text(random) : NULL;
    sim->shape = tspi_random_uniform(random, 0.01, 100);
    sim->delays_run = draw_count(random, 1, 1000000);
    for (size_t k = 0; k < sizeof times / sizeof *times; k++)
        *times[k] = draw_ns(random, 0, 60 * TSP_NS_PER_S);
    sim->work_spread = tspi_random_unit(random);
    sim->saturated = tspi_random_unit(random);
    sim->late_stamps = tspi_random_unit(random);
    sim->drift_ppb = draw_ns(random, 0, 10000000);
    sim->wander_ppb = draw_ns(random, 0, 10000000);
    sim->edges_n = draw_count(random, 0, 3);
    sim->congestion_n = draw_count(random, 0, 3);
    sim->edges = calloc(3, sizeof *sim->edges);
    sim->congestion = calloc(3, sizeof *sim->congestion);
    for (uint32_t k = 0; k < sim->edges_n; k++)
        sim->edges[k] = (tspi_sim_edge){strdup(k ? "sink" : "gateway"), k ? strdup("gateway") : NULL, draw_ns(random, 0, 1000000)};
    for (uint32_t k = 0; k < sim->congestion_n; k++)
        sim->congestion[k] = (tspi_sim_congestion){
            k ? strdup("sink") : NULL,   strdup("gateway"),           draw_ns(random, 0, INT64_C(1) << 50),
            draw_ns(random, 1, 1000000), draw_ns(random, 0, 1000000), draw_ns(random, 0, 1000000)};
}

static void check_text(const char *what, const char *got, const char *want)
{
    if (!got != !want || (got && strcmp(got, want) != 0))
        TEST_FAIL("%s: got \"%s\", want \"%s\"", what, got ? got : "(null)", want ? want : "(null)");
}

static void check_sim(const tspi_sim_spec *got, const tspi_sim_spec *want)
{
    tspi_sim_spec a = *got, b = *want;

    CHECK_INT(got->edges_n, want->edges_n);
    for (uint32_t k = 0; k < want->edges_n && k < got->edges_n; k++) {
        check_text("edges.from", got->edges[k].from, want->edges[k].from);
        check_text("edges.to", got->edges[k].to, want->edges[k].to);
        CHECK_INT(got->edges[k].delay_ns, want->edges[k].delay_ns);
    }
    CHECK_INT(got->congestion_n, want->congestion_n);
    for (uint32_t k = 0; k < want->congestion_n && k < got->congestion_n; k++) {
        check_text("congestion.from", got->congestion[k].from, want->congestion[k].from);
        check_text("congestion.to", got->congestion[k].to, want->congestion[k].to);
        CHECK_INT(got->congestion[k].at_ns, want->congestion[k].at_ns);
        CHECK_INT(got->congestion[k].for_ns, want->congestion[k].for_ns);
        CHECK_INT(got->congestion[k].delay_ns, want->congestion[k].delay_ns);
        CHECK_INT(got->congestion[k].spread_ns, want->congestion[k].spread_ns);
    }
    check_text("delays_file", got->delays_file, want->delays_file);
    a.delays_file = b.delays_file = NULL;
    a.edges = b.edges = NULL;
    a.congestion = b.congestion = NULL;
    CHECK(!memcmp(&a, &b, sizeof a));
}

static void draw_kafka(tspi_random *random, tspi_spec *spec)
{
    static const char *const acks[] = {"all", "1", "0"};
    uint32_t n = draw_count(random, 0, 4);

    if (tspi_random_below(random, 2))
        spec->kafka.broker = strdup(tspi_random_below(random, 2) ? "broker.example:9092" : "[::1]:1,10.0.0.1:65535");
    free(spec->kafka.acks);
    spec->kafka.acks = strdup(acks[tspi_random_below(random, 3)]);
    spec->kafka.linger_ns = draw_ns(random, 0, 60 * TSP_NS_PER_S);
    spec->kafka.fetch_wait_max_ns = draw_ns(random, TSP_NS_PER_MS, 60 * TSP_NS_PER_S);
    spec->kafka.warm_up_ns = draw_ns(random, 0, 3600 * TSP_NS_PER_S);
    spec->kafka.settings = calloc(n + 1, sizeof *spec->kafka.settings);
    for (; spec->kafka.settings_n < n; spec->kafka.settings_n++) {
        char *text = draw_text(random), setting[600];
        snprintf(setting, sizeof setting, "client.rack=%.500s", text);
        free(text);
        spec->kafka.settings[spec->kafka.settings_n] = strdup(setting);
    }
}

static void draw_spec(tspi_random *random, tspi_spec *spec)
{
    const int64_t day = 24 * 3600 * TSP_NS_PER_S;

    tspi_spec_default(spec, NULL);
    free(spec->name);
    spec->name = draw_text(random);
    spec->seed = tspi_random_u64(random) >> tspi_random_below(random, 63);
    spec->nodes = (enum tspi_nodes)tspi_random_below(random, 3);
    spec->port = (uint16_t)tspi_random_below(random, 60000);
    if (tspi_random_below(random, 2))
        spec->engine.model = draw_text(random);
    spec->engine.max_tokens = draw_count(random, 1, 100000);
    spec->engine.chunk_tokens = draw_count(random, 1, 100000);
    spec->engine.slots = draw_count(random, 1, 256);
    spec->engine.temperature = tspi_random_uniform(random, 0, 10);
    spec->load.arrival = (enum tspi_arrival)tspi_random_below(random, 3);
    spec->load.phases_n = draw_count(random, 0, 3);
    for (uint32_t k = 0; k < spec->load.phases_n; k++) {
        spec->load.phases[k].at_ns = draw_ns(random, 0, day) + k * day;
        spec->load.phases[k].rate_per_s = 0.001 + tspi_random_exponential(random, 100);
    }
    draw_sim(random, &spec->sim);
    spec->load.rate_per_s = 0.001 + tspi_random_exponential(random, 100);
    spec->load.concurrency = draw_count(random, 1, 100000);
    if (tspi_random_below(random, 2))
        spec->load.prompts = draw_text(random);
    spec->link.delay_ns = draw_ns(random, 0, 60 * TSP_NS_PER_S);
    spec->link.jitter_ns = draw_ns(random, 0, spec->link.delay_ns);
    spec->link.loss = tspi_random_uniform(random, 0, 0.99);
    spec->link.rate_mbit = tspi_random_uniform(random, 0, 1e6);
    spec->clock.offset_ns = draw_ns(random, -day, day);
    spec->clock.drift_ppb = draw_ns(random, -100000000, 100000000);
    spec->clock.wander_ppb = draw_ns(random, 0, 10000000);
    if (tspi_random_below(random, 2)) {
        spec->clock.ntp_peak_ns = draw_ns(random, 1, 3600 * TSP_NS_PER_S);
        spec->clock.ntp_period_ns = draw_ns(random, TSP_NS_PER_S, day);
    }
    spec->clock.steps_n = draw_count(random, 0, TSPI_CLOCK_STEPS_MAX);
    for (uint32_t k = 0; k < spec->clock.steps_n; k++) {
        spec->clock.steps[k].at_ns = draw_ns(random, 0, day) + k * day;
        spec->clock.steps[k].size_ns = draw_ns(random, -day, day);
        spec->clock.steps[k].slew_ppb = (int64_t)tspi_random_below(random, 100000001);
    }
    draw_kafka(random, spec);
    spec->experiment.sweep_n = draw_count(random, 1, TSPI_SWEEP_MAX);
    for (uint32_t k = 0; k < spec->experiment.sweep_n; k++)
        spec->experiment.sweep_ns[k] = k * TSP_NS_PER_MS + draw_ns(random, 0, TSP_NS_PER_MS - 1);
    spec->experiment.duration_ns = draw_ns(random, TSP_NS_PER_S / 10, 7 * day);
    spec->experiment.requests = draw_count(random, 0, 100000000);
    spec->experiment.rounds = draw_count(random, 1, 1000);
    spec->experiment.null_run = tspi_random_below(random, 2);
    spec->experiment.go_on = tspi_random_below(random, 2);
    spec->experiment.throughput_pairs = draw_count(random, 0, 1000);
    spec->experiment.throughput_requests = draw_count(random, 1, 1000000);
    spec->experiment.health_window_ns = draw_ns(random, TSP_NS_PER_S / 10, day);
    spec->experiment.bucket_ns = draw_ns(random, 0, day);
    draw_stages(random, spec);
    tspi_topology_set(spec, tspi_shape_name((enum tspi_shape)tspi_random_below(random, TSPI_SHAPES_N)), NULL);
    if (spec->topology.shape == TSPI_SHAPE_BATCH) {
        spec->topology.width = draw_count(random, 1, spec->engine.slots);
        spec->topology.wait_ns = draw_ns(random, 0, 60 * TSP_NS_PER_S);
    }
    free(spec->clock_stage);
    spec->clock_stage = strdup(spec->stages[tspi_random_below(random, spec->stages_n)].name);
}

static void check_stages(const tspi_spec *got, const tspi_spec *want)
{
    CHECK_INT(got->stages_n, want->stages_n);
    for (uint32_t k = 0; k < want->stages_n && k < got->stages_n; k++) {
        CHECK_STR(got->stages[k].name, want->stages[k].name);
        CHECK_INT(got->stages[k].role, want->stages[k].role);
        CHECK_INT(got->stages[k].workers, want->stages[k].workers);
        CHECK_INT(got->stages[k].to_n, want->stages[k].to_n);
        CHECK_INT(got->stages[k].calls, want->stages[k].calls);
        CHECK_INT(got->stages[k].is_made, want->stages[k].is_made);
        CHECK(!memcmp(got->stages[k].to, want->stages[k].to, want->stages[k].to_n * sizeof *want->stages[k].to));
    }
}

static void check_kafka(const tspi_spec *got, const tspi_spec *want)
{
    check_text("kafka.broker", got->kafka.broker, want->kafka.broker);
    check_text("kafka.acks", got->kafka.acks, want->kafka.acks);
    CHECK_INT(got->kafka.linger_ns, want->kafka.linger_ns);
    CHECK_INT(got->kafka.fetch_wait_max_ns, want->kafka.fetch_wait_max_ns);
    CHECK_INT(got->kafka.warm_up_ns, want->kafka.warm_up_ns);
    CHECK_INT(got->kafka.settings_n, want->kafka.settings_n);
    for (uint32_t k = 0; k < want->kafka.settings_n && k < got->kafka.settings_n; k++)
        check_text("kafka.settings", got->kafka.settings[k], want->kafka.settings[k]);
}

static void check_same(const tspi_spec *got, const tspi_spec *want)
{
    check_text("name", got->name, want->name);
    check_text("transport", got->transport, want->transport);
    check_text("engine.name", got->engine.name, want->engine.name);
    check_text("engine.model", got->engine.model, want->engine.model);
    check_text("load.prompts", got->load.prompts, want->load.prompts);
    check_text("clock.stage", got->clock_stage, want->clock_stage);
    check_sim(&got->sim, &want->sim);
    CHECK(!memcmp(&got->topology, &want->topology, sizeof want->topology));
    CHECK_INT(got->load.phases_n, want->load.phases_n);
    CHECK(!memcmp(got->load.phases, want->load.phases, want->load.phases_n * sizeof *want->load.phases));
    CHECK_INT(got->experiment.bucket_ns, want->experiment.bucket_ns);
    CHECK(got->seed == want->seed);
    CHECK_INT(got->nodes, want->nodes);
    CHECK_INT(got->port, want->port);
    CHECK_INT(got->engine.max_tokens, want->engine.max_tokens);
    CHECK_INT(got->engine.chunk_tokens, want->engine.chunk_tokens);
    CHECK_INT(got->engine.slots, want->engine.slots);
    CHECK(got->engine.temperature == want->engine.temperature);
    CHECK_INT(got->load.arrival, want->load.arrival);
    CHECK(got->load.rate_per_s == want->load.rate_per_s);
    CHECK_INT(got->load.concurrency, want->load.concurrency);
    CHECK_INT(got->link.delay_ns, want->link.delay_ns);
    CHECK_INT(got->link.jitter_ns, want->link.jitter_ns);
    CHECK(got->link.loss == want->link.loss);
    CHECK(got->link.rate_mbit == want->link.rate_mbit);
    CHECK_INT(got->clock.offset_ns, want->clock.offset_ns);
    CHECK_INT(got->clock.drift_ppb, want->clock.drift_ppb);
    CHECK_INT(got->clock.wander_ppb, want->clock.wander_ppb);
    CHECK_INT(got->clock.ntp_peak_ns, want->clock.ntp_peak_ns);
    CHECK_INT(got->clock.ntp_period_ns, want->clock.ntp_period_ns);
    CHECK_INT(got->clock.steps_n, want->clock.steps_n);
    CHECK(!memcmp(got->clock.steps, want->clock.steps, want->clock.steps_n * sizeof *want->clock.steps));
    CHECK_INT(got->experiment.sweep_n, want->experiment.sweep_n);
    for (uint32_t k = 0; k < want->experiment.sweep_n; k++)
        CHECK_INT(got->experiment.sweep_ns[k], want->experiment.sweep_ns[k]);
    CHECK_INT(got->experiment.duration_ns, want->experiment.duration_ns);
    CHECK_INT(got->experiment.requests, want->experiment.requests);
    CHECK_INT(got->experiment.rounds, want->experiment.rounds);
    CHECK_INT(got->experiment.null_run, want->experiment.null_run);
    CHECK_INT(got->experiment.go_on, want->experiment.go_on);
    CHECK_INT(got->experiment.throughput_pairs, want->experiment.throughput_pairs);
    CHECK_INT(got->experiment.throughput_requests, want->experiment.throughput_requests);
    CHECK_INT(got->experiment.health_window_ns, want->experiment.health_window_ns);
    check_kafka(got, want);
    check_stages(got, want);
}

TEST(spec, random_specs_come_back)
{
    tspi_random random;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 300; round++) {
        tspi_spec spec, back;
        tspi_buf yaml = {0};
        tsp_error err = {0};

        draw_spec(&random, &spec);
        CHECK_STATUS(tspi_spec_check(&spec, NULL, &err), TSP_OK, &err);
        tspi_spec_write(&spec, &yaml);
        tsp_status rc = read_text((char *)yaml.data, yaml.len, &back, &err);
        CHECK_STATUS(rc, TSP_OK, &err);
        if (rc == TSP_OK) {
            check_same(&back, &spec);
            tspi_spec_release(&back);
        } else
            printf("# %.*s\n", (int)yaml.len, (char *)yaml.data);
        tspi_buf_release(&yaml);
        tspi_spec_release(&spec);
    }
}

/* ------------------------------------------------------------------ bad input */

#define STAGES                                                                                                         \
    "stages:\n"                                                                                                        \
    "  - {name: g, role: gateway, to: [p]}\n"                                                                          \
    "  - {name: p, role: preprocess, to: [i]}\n"                                                                       \
    "  - {name: i, role: inference, to: [o]}\n"                                                                        \
    "  - {name: o, role: postprocess, to: [s]}\n"                                                                      \
    "  - {name: s, role: sink, to: [g]}\n"                                                                             \
    "clock: {stage: i}\n"

TEST(spec, a_pipeline_of_other_names_is_fine)
{
    tspi_spec spec;
    tsp_error err;

    CHECK_STATUS(read_text(STAGES, sizeof STAGES - 1, &spec, &err), TSP_OK, &err);
    tspi_spec_release(&spec);
}

/* Every message says where (line) and what (key), and fits one line. */
TEST(spec, bad_specs_are_refused_by_line_and_key)
{
    static const struct {
        const char *text, *where, *what;
    } rows[] = {
        {"nam: x\n", "line 1", "nam"},
        {"name: x\nengine:\n  name: tiny\n  tokens: 3\n", "line 4", "tokens"},
        {"name: x\n\n# remark\nlink: {delay: 4ms, speed: 3}\n", "line 4", "speed"},
        {"stages:\n  - name: a\n    rolle: sink\n", "line 3", "rolle"},
        {"seed: many\n", "line 1", "seed"},
        {"seed: -1\n", "line 1", "seed"},
        {"seed: 99999999999999999999999\n", "line 1", "seed"},
        {"name: x\nengine:\n  max_tokens: lots\n", "line 3", "max_tokens"},
        {"engine: [1, 2]\n", "line 1", "engine"},
        {"engine: tiny\n", "line 1", "engine"},
        {"experiment:\n  sweep: 3ms\n", "line 2", "sweep"},
        {"experiment:\n  null_run: perhaps\n", "line 2", "null_run"},
        {"experiment:\n  on_failure: panic\n", "line 2", "on_failure"},
        {"name:\n  - 3\n", "line 2", "name"},
        {"kafka:\n  broker: localhost\n", "line 2", "HOST:PORT"},
        {"kafka: {broker: 'a:1,b'}\n", "line 1", "kafka.broker"},
        {"kafka:\n  acks: 2\n", "line 2", "kafka.acks"},
        {"kafka:\n  linger: 5\n", "line 2", "kafka.linger"},
        {"kafka:\n  settings:\n    - a=b\n    - ab\n", "line 4", "kafka.settings[1]"},
        {"engine:\n  max_tokens: 0\n", "line 2", "engine.max_tokens"},
        {"engine: {slots: 1000}\n", "line 1", "engine.slots"},
        {"engine:\n  temperature: -0.1\n", "line 2", "engine.temperature"},
        {"engine:\n  temperature: .nan\n", "line 2", "temperature"},
        {"load:\n  rate: 0\n", "line 2", "load.rate"},
        {"load:\n  rate: nan\n", "line 2", "load.rate"},
        {"load:\n  arrival: burst\n", "line 2", "load.arrival"},
        {"nodes: docker\n", "line 1", "nodes"},
        {"port: 70000\n", "line 1", "port"},
        {"port: 65533\n", "line 1", "port"},
        {"link:\n  delay: 4\n", "line 2", "link.delay"},
        {"link:\n  delay: 4 parsecs\n", "line 2", "link.delay"},
        {"link:\n  delay: -1ms\n", "line 2", "link.delay"},
        {"link:\n  delay: 2h\n", "line 2", "link.delay"},
        {"link:\n  loss: 1\n", "line 2", "link.loss"},
        {"link:\n  delay: 1ms\n  jitter: 2ms\n", "line 3", "link.jitter"},
        {"clock:\n  stage: nobody\n", "line 2", "clock.stage"},
        {"clock:\n  offset: 3 days\n", "line 2", "clock.offset"},
        {"clock:\n  ntp_peak: 1ms\n", "line 2", "clock"},
        {"clock:\n  steps:\n    - at: 3s\n      size: 1ms\n    - at: 2s\n      size: 1ms\n", "line 5",
         "clock.steps[1]"},
        {"clock:\n  steps:\n    - size: 1ms\n", "line 3", "clock.steps[0]"},
        {"clock:\n  steps:\n    - at: 1s\n", "line 3", "clock.steps[0]"},
        {"sim:\n  edges:\n    - {to: sink, delay: 1ms}\n    - {from: gatewy, delay: 1ms}\n", "line 4",
         "sim.edges[1].from"},
        {"sim:\n  congestion:\n    - {at: 1s, for: 1s, delay: 1ms, to: nobody}\n", "line 3", "sim.congestion[0].to"},
        {"sim:\n  edges:\n    - {from: sink, to: preprocess, delay: 1ms}\n", "line 3", "no message goes from 'sink'"},
        {"sim:\n  congestion:\n    - {at: 1s, for: 1s, delay: 1ms, from: gateway, to: sink}\n", "line 3",
         "sim.congestion[0]"},
        {"sim:\n  delays_file: x.txt\n", "line 2", "empirical"},
        {"topology:\n  shape: ring\n", "line 2", "topology.shape"},
        {"topology:\n  shape: tree\n  fan: 2\n", "line 3", "topology.fan"},
        {"topology:\n  width: 2\n", "line 2", "topology.width"},
        {"topology: {shape: hub, wait: 1ms}\n", "line 1", "topology.wait"},
        {"topology:\n  shape: tree\n  width: 65\n", "line 3", "topology.width"},
        {"topology:\n  shape: tree\n  width: 64\n  depth: 8\n", "line 2", "100000"},
        {"topology:\n  shape: mesh\n  width: 2\n", "line 2", "none can call"},
        {"topology:\n  shape: mesh\n  width: 100\n  fan: 64\n  depth: 3\n", "line 2", "calls"},
        {"topology:\n  shape: hub\n  width: 2\n", "line 2", "cannot visit"},
        {"topology:\n  shape: batch\n  width: 16\n", "line 3", "topology.width"},
        {"topology:\n  shape: batch\n  width: 16\n  depth: 1\n", "line 4", "topology.depth"},
        {"experiment:\n  sweep: []\n", "line 2", "experiment.sweep"},
        {"experiment:\n  sweep: [1ms, 2, 3ms]\n", "line 2", "experiment.sweep[1]"},
        {"experiment:\n  sweep:\n    - 1ms\n    - 2ms\n    - 1000us\n", "line 5", "experiment.sweep[2]"},
        {"experiment:\n  duration: 1ms\n", "line 2", "experiment.duration"},
        {"experiment: {rounds: 0}\n", "line 1", "experiment.rounds"},
        {"stages: []\n", "line 1", "stages"},
        {"stages:\n  - name: gateway\n    to: [gateway]\n  - name: sink\n    to: [gateway]\n", "line 3",
         "stages[0].to[0]"},
        {"stages:\n  - name: gateway\n    to: [nobody]\n  - name: sink\n    to: [gateway]\n", "line 3",
         "stages[0].to[0]"},
        {"stages:\n  - name: gateway\n    to: [sink]\n  - name: sink\n    to: [gateway]\n", "line 3",
         "stages[0].to[0]"},
        {"stages:\n  - name: gateway\n  - name: gateway\n", "line 3", "stages[1].name"},
        {"stages:\n  - name: a b\n  - name: sink\n", "line 2", "stages[0].name"},
        {"stages:\n  - name: \"-\"\n    role: gateway\n  - name: sink\n", "line 2", "stages[0].name"},
        {"stages:\n  - role: gateway\n  - name: sink\n", "line 2", "stages[0]"},
        {"stages:\n  - name: g\n    role: king\n  - name: sink\n", "line 3", "stages[0].role"},
        {"stages:\n  - name: g\n    role: service\n  - name: sink\n", "line 3", "stages[0].role"},
        {"stages:\n  - name: gateway\n    workers: 100001\n  - name: sink\n", "line 3", "stages[0].workers"},
        {"stages:\n  - name: gateway\n  - name: sink\n    to: [gateway]\n", "line 2", "stages[0]"},
        {STAGES "load: {rate: fast}\n", "line 8", "rate"},
        /* two inference stages */
        {"stages:\n  - {name: g, role: gateway, to: [p]}\n  - {name: p, role: preprocess, to: [i, j]}\n"
         "  - {name: i, role: inference, to: [o]}\n  - {name: j, role: inference, to: [o]}\n"
         "  - {name: o, role: postprocess, to: [s]}\n  - {name: s, role: sink, to: [g]}\nclock: {stage: i}\n",
         "line 2", "stages"},
        /* no sink */
        {"stages:\n  - {name: g, role: gateway, to: [p]}\n  - {name: p, role: preprocess, to: [r]}\n"
         "  - {name: r, role: relay}\nclock: {stage: r}\n",
         "line 2", "stages"},
        /* relays in a ring */
        {"stages:\n  - {name: g, role: gateway, to: [p]}\n  - {name: p, role: preprocess, to: [i]}\n"
         "  - {name: i, role: inference, to: [r, o]}\n  - {name: o, role: postprocess, to: [s]}\n"
         "  - {name: r, role: relay, to: [q]}\n  - {name: q, role: relay, to: [r]}\n"
         "  - {name: s, role: sink, to: [g]}\nclock: {stage: i}\n",
         "line 6", "stages[4]"},
        /* the same target twice: everything would arrive twice */
        {"stages:\n  - {name: g, role: gateway, to: [p]}\n  - {name: p, role: preprocess, to: [i, i]}\n"
         "  - {name: i, role: inference, to: [o]}\n  - {name: o, role: postprocess, to: [s]}\n"
         "  - {name: s, role: sink, to: [g]}\nclock: {stage: i}\n",
         "line 3", "stages[1].to[1]"},
        {"", "empty", ""},
        {"\n\n# only a remark\n", "empty", ""},
        {"---\n...\n", "line", ""},
        {"a: b: c\n", "line 1", ""},
        {"engine: {name: tiny\nload: 3\n", "line", ""},
        {"\tname: x\n", "line", ""},
        {"name: \"open\n", "line", ""},
        {"- 1\n- 2\n", "line", ""},
        {"just text\n", "line", ""},
        {"name: *nowhere\n", "line", ""},
        {"name: a\nname: b\n", "line 2", "name"},
        {"\x01\x02\x03\x04", "line", ""},
        {"\xff\xfe\xfd", "line", ""},
        {"name: \xff\xfe\n", "line", ""},
    };

    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
        tspi_spec spec;
        tsp_error err;
        tsp_status rc = read_text(rows[k].text, strlen(rows[k].text), &spec, &err);
        if (rc == TSP_OK) {
            TEST_FAIL("accepted: %s", rows[k].text);
            tspi_spec_release(&spec);
            continue;
        }
        if (!strstr(err.message, rows[k].where) || !strstr(err.message, rows[k].what) || strchr(err.message, '\n') ||
            !strstr(err.message, "s.yaml"))
            TEST_FAIL("want '%s' and '%s' in '%s' for:\n# %s", rows[k].where, rows[k].what, err.message, rows[k].text);
    }
}

TEST(spec, more_targets_than_stages_are_refused)
{
    tspi_buf text = {0};
    tspi_spec spec;
    tsp_error err;

    tspi_buf_puts(&text, "stages:\n  - name: gateway\n    to: [p");
    for (int k = 0; k < 5000; k++)
        tspi_buf_puts(&text, ", p");
    tspi_buf_puts(&text, "]\n  - name: p\n    role: preprocess\n");
    CHECK_STATUS(read_text((char *)text.data, text.len, &spec, &err), TSP_EINVAL, &err);
    CHECK_CONTAINS(err.message, "line 3");
    tspi_buf_release(&text);
}

TEST(spec, too_many_stages_and_steps_are_refused)
{
    tspi_buf text = {0};
    tspi_spec spec;
    tsp_error err;

    tspi_buf_puts(&text, "stages:\n");
    for (int k = 0; k < 2000; k++)
        tspi_buf_printf(&text, "  - {name: s%d, role: relay, to: [s%d]}\n", k, k + 1);
    CHECK_STATUS(read_text((char *)text.data, text.len, &spec, &err), TSP_EINVAL, &err);
    CHECK_CONTAINS(err.message, "stages");
    tspi_buf_clear(&text);
    tspi_buf_puts(&text, "clock:\n  steps:\n");
    for (int k = 0; k < 2000; k++)
        tspi_buf_printf(&text, "    - {at: %ds, size: 1ms}\n", k);
    CHECK_STATUS(read_text((char *)text.data, text.len, &spec, &err), TSP_EINVAL, &err);
    CHECK_CONTAINS(err.message, "clock.steps");
    tspi_buf_clear(&text);
    tspi_buf_puts(&text, "experiment:\n  sweep: [0ms");
    for (int k = 1; k < 2000; k++)
        tspi_buf_printf(&text, ", %dms", k);
    tspi_buf_puts(&text, "]\n");
    CHECK_STATUS(read_text((char *)text.data, text.len, &spec, &err), TSP_EINVAL, &err);
    CHECK_CONTAINS(err.message, "experiment.sweep");
    tspi_buf_release(&text);
}

TEST(spec, deep_wide_and_huge_input_ends)
{
    tspi_buf text = {0};
    tspi_spec spec;
    tsp_error err;

    for (int k = 0; k < 100000; k++)
        tspi_buf_putc(&text, '[');
    CHECK(read_text((char *)text.data, text.len, &spec, &err) != TSP_OK);
    tspi_buf_clear(&text);
    tspi_buf_puts(&text, "name: ");
    for (int k = 0; k < 4000000; k++)
        tspi_buf_putc(&text, 'x');
    if (read_text((char *)text.data, text.len, &spec, &err) == TSP_OK)
        tspi_spec_release(&spec);
    /* Aliases that double ten levels deep: a thousand million items if they were copied out. */
    tspi_buf_clear(&text);
    tspi_buf_puts(&text, "a: &a0 [x, x, x, x, x, x, x, x]\n");
    for (int k = 1; k < 10; k++)
        tspi_buf_printf(&text, "b%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", k, k, k - 1, k - 1,
                        k - 1, k - 1, k - 1, k - 1, k - 1, k - 1);
    CHECK(read_text((char *)text.data, text.len, &spec, &err) != TSP_OK);
    tspi_buf_release(&text);
}

/* The default's text with bytes, lines and words changed at random: read or refused, never worse. */
TEST(spec, bent_specs_never_crash)
{
    static const char *const words[] = {"[",    "]",   "{",  "}",    ":",
                                        "- ",   "\n",  "  ", "&a",   "*a",
                                        "!",    "|",   "\t", "\x80", "99999999999999999999",
                                        "-1",   "nan", "ms", "0ms",  "gateway",
                                        "sink", "#"};
    tspi_random random;
    int accepted = 0;

    tspi_random_seed(&random, seed);
    for (int round = 0; round < 3000; round++) {
        char *text = malloc(tspi_default_spec_len + 256);
        size_t len = tspi_default_spec_len;
        tspi_spec spec;
        tsp_error err;

        memcpy(text, tspi_default_spec, len);
        for (uint64_t bends = 1 + tspi_random_below(&random, 4); bends; bends--) {
            size_t at = tspi_random_below(&random, len), drop = tspi_random_below(&random, 3) ? 0 : 1;
            const char *word = words[tspi_random_below(&random, sizeof words / sizeof *words)];
            size_t word_len = strlen(word);
            if (tspi_random_below(&random, 4) == 0) {
                drop = tspi_random_below(&random, 40);
                drop = drop > len - at - 1 ? len - at - 1 : drop;
            }
            memmove(text + at + word_len, text + at + drop, len - at - drop);
            memcpy(text + at, word, word_len);
            len += word_len - drop;
        }
        if (read_text(text, len, &spec, &err) == TSP_OK) {
            accepted++;
            tspi_spec_release(&spec);
        } else
            CHECK(err.message[0] && !strchr(err.message, '\n'));
        free(text);
    }
    CHECK(accepted > 30 && accepted < 2900);
}

/* ------------------------------------------------------------------ lines of keys */

TEST(spec_line, keys_are_found_where_they_stand)
{
    static const char text[] =
        "# remark\na: 1\nb:\n  c: {d: 2, e: [3, 4]}\n  f:\n    - 5\n    - g: 6\n      h:\n        - 7\n";
    static const struct {
        const char *path;
        size_t line;
    } rows[] = {{"a", 2},        {"b", 4},           {"b.c", 4},    {"b.c.d", 4}, {"b.c.e[1]", 4}, {"b.f[0]", 6},
                {"b.f[1].g", 7}, {"b.f[1].h[0]", 9}, {"b.f[2]", 0}, {"z", 0},     {"", 0}};

    for (size_t k = 0; k < sizeof rows / sizeof *rows; k++)
        if (tspi_spec_line(text, sizeof text - 1, rows[k].path) != rows[k].line)
            TEST_FAIL("'%s' is at line %zu, want %zu", rows[k].path,
                      tspi_spec_line(text, sizeof text - 1, rows[k].path), rows[k].line);
}
