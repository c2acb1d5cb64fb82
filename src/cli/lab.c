/* truespan lab: run the experiment, show its table, leave its folder. `truespan lab node` is one node of it. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/duration.h"
#include "cli/command.h"
#include "cli/lab_table.h"
#include "lab/experiment.h"
#include "lab/node_process.h"
#include "lab/summary.h"
#include "report/lab_html.h"
#include "transport/transport.h"

static struct {
    const char *transport, *sweep, *stage, *engine, *model, *prompts, *nodes, *output, *step;
    double drift_ppm, wander_ppm, rate;
    int64_t duration_ns, hop_delay_ns, jitter_ns;
    uint64_t requests, seed;
    bool json, quick;
    bool drift_seen, wander_seen, rate_seen, duration_seen, delay_seen, jitter_seen, requests_seen, seed_seen;
} o;

static const struct option_spec options[] = {
    {"transport", 't', OPTION_CHOICE, &o.transport, "T", "What carries the messages; this build has zmq",
     "zmq|kafka|aeron|all", NULL},
    {"sweep", 0, OPTION_STRING, &o.sweep, "D,D,...",
     "Skews to try, one point each; 0ms is the baseline of the prediction and of the throughput", NULL, NULL},
    {"stage", 0, OPTION_STRING, &o.stage, "NAME", "The stage whose clocks are skewed (inference)", NULL, NULL},
    {"drift", 0, OPTION_NUMBER, &o.drift_ppm, "PPM", "Drift of those clocks, besides the skew", NULL, &o.drift_seen},
    {"wander", 0, OPTION_NUMBER, &o.wander_ppm, "PPM", "Random walk of their rate, a second", NULL, &o.wander_seen},
    {"step", 0, OPTION_STRING, &o.step, "D@T", "A step of size D at time T of each block; negative is back", NULL,
     NULL},
    {"duration", 'd', OPTION_DURATION, &o.duration_ns, "D", "How long each point of the sweep runs, in all its blocks",
     NULL, &o.duration_seen},
    {"requests", 'n', OPTION_COUNT, &o.requests, "N", "Run each point for N requests instead", NULL, &o.requests_seen},
    {"rate", 'r', OPTION_NUMBER, &o.rate, "R", "Requests per second", NULL, &o.rate_seen},
    {"hop-delay", 0, OPTION_DURATION, &o.hop_delay_ns, "D", "One-way delay between nodes (4ms)", NULL, &o.delay_seen},
    {"jitter", 0, OPTION_DURATION, &o.jitter_ns, "D", "Half width of that delay's uniform jitter (300us)", NULL,
     &o.jitter_seen},
    {"engine", 'e', OPTION_STRING, &o.engine, "E", "tiny, llama, or the URL of an OpenAI-compatible server", NULL,
     NULL},
    {"model", 'm', OPTION_FILE, &o.model, "FILE", "Model file of the engine, or the model's name at a URL", NULL, NULL},
    {"prompts", 0, OPTION_FILE, &o.prompts, "FILE", "Requests' texts, one a line", NULL, NULL},
    {"seed", 0, OPTION_COUNT, &o.seed, "N", "Seed of arrivals, choices, jitter and the order of blocks", NULL,
     &o.seed_seen},
    {"nodes", 0, OPTION_CHOICE, &o.nodes, "HOW",
     "How nodes are separated: a network namespace each (needs root), or processes on loopback", "auto|netns|process",
     NULL},
    {"quick", 0, OPTION_FLAG, &o.quick, NULL, "Leave out the saturated run and the comparison of throughput", NULL,
     NULL},
    {"output", 'o', OPTION_FOLDER, &o.output, "DIR", "Folder for what the run leaves; must be new or empty", NULL,
     NULL},
    {"json", 0, OPTION_FLAG, &o.json, NULL, "Print summary.json instead of the table", NULL, NULL},
    {0},
};

static const struct command_spec spec_of_command = {
    .name = "lab",
    .summary = "Run a real inference pipeline with skewed clocks and measure what that does to its traces",
    .synopsis = "[SPEC.yaml]",
    .text =
        "Runs the experiment of arXiv 2604.21361 on real parts: a gateway, a tokeniser, a language model, a "
        "detokeniser "
        "and a sink, one process a node, over a real messaging system, with a clock skew at one stage. The skew goes "
        "into the stamps of the spans only. The spans are written as OpenTelemetry traces and read back as any trace "
        "is; the truth is kept beside them and not looked at.\n\n"
        "As root every node gets a network namespace, and a userspace link between them delays each packet by 4 ms "
        "(--hop-delay); otherwise nodes are processes on loopback and the delay is made in the transport's wrapper. "
        "The "
        "output says which.\n\n"
        "The pipeline stays up for the whole sweep. Each point runs in several blocks, shuffled among the other "
        "points' blocks. Then, for every skew, pairs of closed-loop blocks with the skew on and off compare the "
        "throughput. The last row, a run without skew on saturated cores, shows what is not skew.\n\n"
        "The folder holds spec.yaml, summary.json, report.html and a folder a point with otlp/ (one file a node), "
        "truth.jsonl, requests.jsonl and run.log. docs/spec.md lists the keys of SPEC.yaml; options override it.",
    .examples = "truespan lab\n    the whole experiment, about three and a half minutes\n"
                "truespan lab --sweep 0ms,5ms --duration 6s --quick\n    two points in a quarter of a minute\n"
                "truespan lab --engine llama --model SmolLM2-135M-Instruct.Q4_1.gguf --rate 4\n    a larger model\n"
                "truespan check truespan-run-*/zmq-5ms/otlp\n    audit what a run left\n",
    .options = options,
    .operands = "file",
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

static int fail(const tsp_error *err)
{
    fprintf(stderr, "truespan lab: %s\n", err->message);
    return EXIT_FAILED;
}

/* ------------------------------------------------------------------ options over the spec */

static void set_text(char **to, const char *from)
{
    if (from) {
        free(*to);
        *to = strdup(from);
    }
}

static tsp_status parse_sweep(tspi_spec *spec, const char *text, tsp_error *err)
{
    char item[64];

    spec->experiment.sweep_n = 0;
    for (const char *at = text; *at;) {
        size_t len = strcspn(at, ",");
        int64_t ns;
        snprintf(item, sizeof item, "%.*s", (int)(len < 63 ? len : 63), at);
        if (!tspi_duration_parse(item, &ns))
            return tsp_error_set(err, TSP_EINVAL, "--sweep: '%s' is no duration: write 0ms,3ms,5ms", item);
        if (llabs(ns) > INT64_C(86400) * TSP_NS_PER_S)
            return tsp_error_set(err, TSP_EINVAL, "--sweep: '%s' is more than a day", item);
        if (spec->experiment.sweep_n == TSPI_SWEEP_MAX)
            return tsp_error_set(err, TSP_EINVAL, "--sweep: more than %d points", TSPI_SWEEP_MAX);
        for (uint32_t k = 0; k < spec->experiment.sweep_n; k++)
            if (spec->experiment.sweep_ns[k] == ns)
                return tsp_error_set(err, TSP_EINVAL, "--sweep: '%s' stands twice", item);
        spec->experiment.sweep_ns[spec->experiment.sweep_n++] = ns;
        at += len;
        if (*at == ',' && !*++at)
            return tsp_error_set(err, TSP_EINVAL, "--sweep: nothing behind the last comma");
    }
    return spec->experiment.sweep_n ? TSP_OK : tsp_error_set(err, TSP_EINVAL, "--sweep: no skew given");
}

static tsp_status parse_step(tspi_spec *spec, const char *text, tsp_error *err)
{
    char size[64];
    const char *at = strchr(text, '@');
    int64_t size_ns, at_ns;

    snprintf(size, sizeof size, "%.*s", at ? (int)(at - text < 63 ? at - text : 63) : 0, text);
    if (!at || !tspi_duration_parse(size, &size_ns) || !tspi_duration_parse(at + 1, &at_ns) || at_ns < 0)
        return tsp_error_set(err, TSP_EINVAL, "--step: '%s' is no step: write SIZE@TIME, such as -3ms@5s", text);
    spec->clock.steps_n = 1;
    spec->clock.steps[0].at_ns = at_ns;
    spec->clock.steps[0].size_ns = size_ns;
    return TSP_OK;
}

static tsp_status check_ranges(const tspi_spec *spec, tsp_error *err)
{
    if (o.rate_seen && !(o.rate >= 0.001 && o.rate <= 1e6))
        return tsp_error_set(err, TSP_EINVAL, "--rate: %g is not between 0.001 and 1000000", o.rate);
    if (o.duration_seen && o.duration_ns < TSP_NS_PER_S / 10)
        return tsp_error_set(err, TSP_EINVAL, "--duration: at least 100ms");
    if (o.delay_seen && (o.hop_delay_ns < 0 || o.hop_delay_ns > 60 * TSP_NS_PER_S))
        return tsp_error_set(err, TSP_EINVAL, "--hop-delay: between 0ms and 60s");
    if (o.jitter_seen && o.jitter_ns < 0)
        return tsp_error_set(err, TSP_EINVAL, "--jitter: cannot be negative");
    if (fabs(o.drift_ppm) > 100000 || o.wander_ppm < 0 || o.wander_ppm > 10000)
        return tsp_error_set(err, TSP_EINVAL, "--drift or --wander: no clock is that bad");
    if (o.requests > 100000000)
        return tsp_error_set(err, TSP_EINVAL, "--requests: at most 100000000");
    if (!strcmp(spec->transport, "all"))
        return tsp_error_set(err, TSP_EUNSUPPORTED,
                             "--transport all wants kafka and aeron too, and this build has only "
                             "zmq");
    if (!tspi_transport_find(spec->transport))
        return tsp_error_set(err, TSP_EUNSUPPORTED, "this build has no transport '%s'; it has zmq", spec->transport);
    return TSP_OK;
}

static tsp_status override(tspi_spec *spec, tsp_error *err)
{
    tsp_status rc = TSP_OK;

    set_text(&spec->transport, o.transport);
    set_text(&spec->clock_stage, o.stage);
    set_text(&spec->engine.name, o.engine);
    set_text(&spec->engine.model, o.model);
    set_text(&spec->load.prompts, o.prompts);
    if (o.sweep)
        rc = parse_sweep(spec, o.sweep, err);
    if (rc == TSP_OK && o.step)
        rc = parse_step(spec, o.step, err);
    if (rc == TSP_OK)
        rc = check_ranges(spec, err);
    if (rc != TSP_OK)
        return rc;
    if (o.drift_seen)
        spec->clock.drift_ppb = llround(o.drift_ppm * 1000);
    if (o.wander_seen)
        spec->clock.wander_ppb = llround(o.wander_ppm * 1000);
    if (o.duration_seen) {
        spec->experiment.duration_ns = o.duration_ns;
        spec->experiment.requests = 0;
    }
    if (o.requests_seen)
        spec->experiment.requests = (uint32_t)o.requests;
    if (o.rate_seen)
        spec->load.rate_per_s = o.rate;
    if (o.delay_seen) {
        spec->link.delay_ns = o.hop_delay_ns;
        if (!o.jitter_seen && spec->link.jitter_ns > spec->link.delay_ns)
            spec->link.jitter_ns = spec->link.delay_ns;
    }
    if (o.jitter_seen)
        spec->link.jitter_ns = o.jitter_ns;
    if (o.seed_seen)
        spec->seed = o.seed;
    if (o.nodes)
        spec->nodes = !strcmp(o.nodes, "netns")     ? TSPI_NODES_NETNS
                      : !strcmp(o.nodes, "process") ? TSPI_NODES_PROCESS
                                                    : TSPI_NODES_AUTO;
    if (o.quick) {
        spec->experiment.null_run = false;
        spec->experiment.throughput_pairs = 0;
    }
    return tspi_spec_check(spec, NULL, err);
}

static tsp_status load_spec(const char *path, tspi_spec *spec, tsp_error *err)
{
    tspi_buf text = {0};
    tsp_status rc;

    if (!path)
        return tspi_spec_default(spec, err);
    rc = tspi_buf_read_file(&text, path, 16 * 1024 * 1024, err);
    if (rc == TSP_OK)
        rc = tspi_spec_read((char *)text.data, text.len, path, spec, err);
    tspi_buf_release(&text);
    return rc;
}

/* 1 an empty folder, 0 one that is not, -1 no folder. */
static int is_empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    int empty = 1;

    if (!folder)
        return -1;
    for (struct dirent *entry; empty && (entry = readdir(folder));)
        empty = !strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..");
    closedir(folder);
    return empty;
}

/* A folder that is new or empty; no -o: named after the time. */
static tsp_status pick_folder(char *ret_folder, size_t size, tsp_error *err)
{
    time_t now = time(NULL);
    struct tm local;

    if (o.output)
        snprintf(ret_folder, size, "%s", o.output);
    else
        strftime(ret_folder, size, "truespan-run-%Y%m%d-%H%M%S", localtime_r(&now, &local));
    for (size_t len = strlen(ret_folder); len > 1 && ret_folder[len - 1] == '/'; len--)
        ret_folder[len - 1] = '\0';
    if (!*ret_folder || strlen(ret_folder) > 3800 || strchr(ret_folder, '\n'))
        return tsp_error_set(err, TSP_EINVAL, "-o: no path for a folder, or one too long");
    if (mkdir(ret_folder, 0777) == 0)
        return TSP_OK;
    if (errno != EEXIST)
        return tsp_error_sys(err, errno, "cannot make the folder '%s'", ret_folder);
    int empty = is_empty_folder(ret_folder);
    if (empty < 0 && errno == ENOTDIR)
        return tsp_error_set(err, TSP_EINVAL, "'%s' is a file: -o wants a folder", ret_folder);
    if (empty < 0)
        return tsp_error_sys(err, errno, "cannot read the folder '%s'", ret_folder);
    if (!empty)
        return tsp_error_set(err, TSP_EINVAL, "the folder '%s' is not empty: give -o a new one", ret_folder);
    return TSP_OK;
}

/* ------------------------------------------------------------------ running */

static void show_progress(void *ctx, const tspi_experiment_progress *progress)
{
    char eta[32] = "";

    (void)ctx;
    if (!progress->blocks_n) {
        fprintf(stderr, "\r\033[K%s ...", progress->phase);
        return;
    }
    if (progress->eta_s >= 0)
        snprintf(eta, sizeof eta, "  about %d:%02d left", (int)progress->eta_s / 60, (int)progress->eta_s % 60);
    fprintf(stderr, "\r\033[K%s: block %u of %u, %" PRIu64 " requests, %.0f tokens/s%s", progress->phase,
            progress->block, progress->blocks_n, progress->requests, progress->tokens_per_s, eta);
    fflush(stderr);
}

static tsp_status write_results(const tspi_spec *spec, const tspi_lab_result *result, tspi_buf *json, tsp_error *err)
{
    char path[4200];
    tspi_buf html = {0};

    tspi_summary_write(spec, result, json);
    tspi_lab_html(spec, result, &html);
    snprintf(path, sizeof path, "%s/summary.json", result->folder);
    tsp_status rc = tspi_buf_ok(json) && tspi_buf_ok(&html) ? TSP_OK : tsp_error_set(err, TSP_ENOMEM, "out of memory");
    if (rc == TSP_OK)
        rc = tspi_file_replace(path, json->data, json->len, err);
    snprintf(path, sizeof path, "%s/report.html", result->folder);
    if (rc == TSP_OK)
        rc = tspi_file_replace(path, html.data, html.len, err);
    tspi_buf_release(&html);
    return rc;
}

static bool found_violations(const tspi_lab_result *result)
{
    for (size_t k = 0; k < result->runs_n; k++)
        if (result->runs[k].negative)
            return true;
    return false;
}

static int run_experiment(const tspi_spec *spec, const char *folder)
{
    bool tty = isatty(STDERR_FILENO);
    const tspi_experiment_options experiment = {
        .folder = folder, .on_progress = tty ? show_progress : NULL, .interrupted = &interrupted};
    tspi_lab_result result = {0};
    tspi_buf json = {0};
    tsp_error err = {0};
    int code = EXIT_FAILED;

    tsp_status rc = tspi_experiment_run(spec, &experiment, &result, &err);
    if (tty)
        fputs("\r\033[K", stderr);
    if (rc == TSP_OK && !result.runs_n)
        rc = tsp_error_set(&err, TSP_EINTERRUPTED, "interrupted before the first block was whole");
    if (rc == TSP_OK)
        rc = write_results(spec, &result, &json, &err);
    if (rc != TSP_OK)
        fail(&err);
    else {
        if (o.json)
            fwrite(json.data, 1, json.len, stdout);
        else
            lab_table_print(spec, &result, stdout);
        code = result.partial ? EXIT_FAILED : found_violations(&result) ? EXIT_FOUND : EXIT_CLEAN;
    }
    tspi_buf_release(&json);
    tspi_lab_result_release(&result);
    return code;
}

static int run_node(int argc, char **argv)
{
    const char *spec = NULL, *stage = NULL, *host = "127.0.0.1";
    uint64_t worker = 0, port = 0, control = UINT64_MAX;
    bool delay_line = false;
    const struct option_spec node_options[] = {
        {"spec", 0, OPTION_FILE, &spec, "FILE", "The run's spec", NULL, NULL},
        {"stage", 0, OPTION_STRING, &stage, "NAME", "The stage that this node works for", NULL, NULL},
        {"worker", 0, OPTION_COUNT, &worker, "K", "Which of its workers, from 0", NULL, NULL},
        {"host", 0, OPTION_STRING, &host, "ADDRESS", "Address that the other nodes reach", NULL, NULL},
        {"port", 0, OPTION_COUNT, &port, "P", "Port of the inbox; 0 = any free one", NULL, NULL},
        {"control", 0, OPTION_COUNT, &control, "FD",
         "Descriptor of the stream of commands; standard input and output when left out", NULL, NULL},
        {"delay-line", 0, OPTION_FLAG, &delay_line, NULL, "Make the link's delay in the transport's wrapper", NULL,
         NULL},
        {0},
    };
    const struct command_spec node_command = {
        .name = "lab node",
        .summary = "Run one node of a lab, commanded by its conductor",
        .synopsis = "--spec FILE --stage NAME",
        .text = "What `truespan lab` starts for each worker of each stage. src/lab/control.h describes the commands.",
        .options = node_options,
    };
    char *operands[64];
    int operands_n = 0;
    tsp_error err = {0};

    int code = options_parse(&node_command, argc, argv, operands, &operands_n);
    if (code >= 0)
        return code;
    if (!spec || !stage || operands_n || port > 65535 || worker >= TSPI_WORKERS_MAX) {
        fputs("truespan lab node: want --spec FILE and --stage NAME\n", stderr);
        return EXIT_FAILED;
    }
    const tspi_node_process_config config = {
        .spec_path = spec,
        .stage = stage,
        .worker = (uint32_t)worker,
        .host = host,
        .port = (uint16_t)port,
        .delay_line = delay_line,
        .control_in_fd = control == UINT64_MAX ? STDIN_FILENO : (int)control,
        .control_out_fd = control == UINT64_MAX ? STDOUT_FILENO : (int)control,
    };
    if (tspi_node_process_run(&config, &err) == TSP_OK)
        return EXIT_CLEAN;
    return fail(&err);
}

static int run(int argc, char **argv)
{
    tspi_spec spec = {0};
    tsp_error err = {0};
    char folder[4096], *operands[64];
    int operands_n = 0;

    if (argc > 1 && !strcmp(argv[1], "node"))
        return run_node(argc - 1, argv + 1);
    if (argc > 64) {
        fputs("truespan lab: too many arguments\n", stderr);
        return EXIT_FAILED;
    }
    int code = options_parse(&spec_of_command, argc, argv, operands, &operands_n);
    if (code >= 0)
        return code;
    if (operands_n > 1) {
        fprintf(stderr, "truespan lab: one SPEC.yaml, not %d\n", operands_n);
        return EXIT_FAILED;
    }
    tsp_status rc = load_spec(operands_n ? operands[0] : NULL, &spec, &err);
    if (rc == TSP_OK)
        rc = override(&spec, &err);
    if (rc == TSP_OK)
        rc = pick_folder(folder, sizeof folder, &err);
    if (rc == TSP_OK) {
        struct sigaction action = {.sa_handler = on_signal};
        sigaction(SIGINT, &action, NULL);
        sigaction(SIGTERM, &action, NULL);
        code = run_experiment(&spec, folder);
        rmdir(folder); /* only if nothing was left in it */
    } else
        code = fail(&err);
    tspi_spec_release(&spec);
    return code;
}

const struct command command_lab = {&spec_of_command, run};
