/* truespan lab: run the experiment, show its table, leave its folder. `truespan lab node` is one node of it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/experiment_options.h"
#include "cli/experiment_run.h"
#include "lab/all_transports.h"
#include "lab/node_process.h"
#include "transport/transport.h"

static const struct option_spec options[] = {
#include "cli/experiment_options.def"
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

static tsp_status check_transport(const tspi_spec *spec, tsp_error *err)
{
    if (strcmp(spec->transport, TSPI_TRANSPORT_ALL) != 0 && !tspi_transport_find(spec->transport))
        return tsp_error_set(err, TSP_EUNSUPPORTED, "this build has no transport '%s'; it has %s", spec->transport,
                             tspi_transport_names());
    return TSP_OK;
}

static int run_node(int argc, char **argv)
{
    const char *spec = NULL, *stage = NULL, *host = "127.0.0.1", *media_driver = NULL, *run_name = NULL, *broker = NULL;
    uint64_t worker = 0, port = 0, control = UINT64_MAX, epoch_ns = 0;
    bool delay_line = false, remote = false;
    const struct option_spec node_options[] = {
        {"spec", 0, OPTION_FILE, &spec, "FILE", "The run's spec", NULL, NULL},
        {"stage", 0, OPTION_STRING, &stage, "NAME", "The stage that this node works for", NULL, NULL},
        {"worker", 0, OPTION_COUNT, &worker, "K", "Which of its workers, from 0", NULL, NULL},
        {"host", 0, OPTION_STRING, &host, "ADDRESS", "Address that the other nodes reach", NULL, NULL},
        {"port", 0, OPTION_COUNT, &port, "P", "Port of the inbox; 0 = any free one", NULL, NULL},
        {"control", 0, OPTION_COUNT, &control, "FD",
         "Descriptor of the stream of commands; standard input and output when left out", NULL, NULL},
        {"media-driver", 0, OPTION_FOLDER, &media_driver, "DIR",
         "Folder of the media driver that all nodes share (Aeron); without one the node starts its own", NULL, NULL},
        {"remote", 0, OPTION_FLAG, &remote, NULL,
         "The conductor is on another machine: it sends the spec, and what blocks leave is sent back", NULL, NULL},
        {"run", 0, OPTION_STRING, &run_name, "NAME", "What the run's topics and groups begin with", NULL, NULL},
        {"broker", 0, OPTION_STRING, &broker, "HOST:PORT", "The Kafka broker, when the spec names none", NULL, NULL},
        {"epoch", 0, OPTION_COUNT, &epoch_ns, "NS",
         "True time is the monotonic clock and this; when left out it is the machine's own", NULL, NULL},
        {"delay-line", 0, OPTION_FLAG, &delay_line, NULL, "Make the link's delay in the transport's wrapper", NULL,
         NULL},
        {0},
    };
    const struct command_spec node_command = {
        .name = "lab node",
        .summary = "Run one node of a lab, commanded by its conductor",
        .synopsis = "--stage NAME --spec FILE|--remote",
        .text = "What `truespan lab` starts for each worker of each stage. src/lab/control.h describes the commands.",
        .options = node_options,
    };
    char *operands[64];
    int operands_n = 0;
    tsp_error err = {0};

    int code = options_parse(&node_command, argc, argv, operands, &operands_n);
    if (code >= 0)
        return code;
    if (!spec == !remote || !stage || operands_n || port > 65535 || worker >= TSPI_WORKERS_MAX) {
        fputs("truespan lab node: want --stage NAME, and --spec FILE or --remote\n", stderr);
        return EXIT_FAILED;
    }
    const tspi_node_process_config config = {
        .spec_path = spec,
        .stage = stage,
        .worker = (uint32_t)worker,
        .host = host,
        .port = (uint16_t)port,
        .media_driver = media_driver,
        .run = run_name,
        .broker = broker,
        .epoch_ns = (int64_t)epoch_ns,
        .delay_line = delay_line,
        .control_in_fd = control == UINT64_MAX ? STDIN_FILENO : (int)control,
        .control_out_fd = control == UINT64_MAX ? STDOUT_FILENO : (int)control,
    };
    if (tspi_node_process_run(&config, &err) == TSP_OK)
        return EXIT_CLEAN;
    return experiment_fail("lab", &err);
}

static int run(int argc, char **argv)
{
    tspi_spec spec = {0};
    tsp_error err = {0};
    char *operands[64];
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
    tsp_status rc = experiment_load_spec(operands_n ? operands[0] : NULL, &spec, &err);
    if (rc == TSP_OK)
        rc = check_transport(&spec, &err);
    if (rc == TSP_OK)
        rc = tspi_spec_check(&spec, NULL, &err);
    code = rc == TSP_OK ? experiment_run("lab", &spec, &tspi_lab_runner) : experiment_fail("lab", &err);
    tspi_spec_release(&spec);
    return code;
}

const struct command command_lab = {&spec_of_command, run};
