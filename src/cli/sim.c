/* truespan sim: the lab's experiment in virtual time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/experiment_options.h"
#include "cli/experiment_run.h"
#include "sim/sim_runner.h"

static const struct option_spec options[] = {
#include "cli/experiment_options.def"
    {"time-limit", 0, OPTION_DURATION, &tspi_sim_time_limit_ns, "D",
     "Stop after so much real time; the blocks that are whole by then make the table, which says that it is partial",
     NULL, NULL},
    {0},
};

static const struct command_spec spec_of_command = {
    .name = "sim",
    .summary = "Run the lab's experiment in virtual time: hours of drift, thousands of nodes, in seconds",
    .synopsis = "[SPEC.yaml]",
    .text =
        "Runs the nodes of `truespan lab`, the same code, on a clock, a network and a processor that are made: no time "
        "passes but what messages and work are said to take. The folder it leaves is the lab's (otlp/, truth.jsonl, "
        "requests.jsonl, summary.json, report.html), and is read back as any trace is. The same spec and seed leave "
        "the "
        "same bytes of OTLP on every machine.\n\n"
        "What work takes stands under `sim:` in the spec; what is built in was measured in a run of the lab. There, "
        "too, "
        "are other distributions of delays, more delay in one direction, congestion, late stamps and errors of every "
        "clock. Answers come from the spec's engine, each computed once, and are compared with the single-process "
        "reference as in the lab. --transport and --nodes are taken and change nothing.\n\n"
        "docs/sim.md tells more, docs/spec.md lists the keys of SPEC.yaml; options override it.",
    .examples =
        "truespan sim\n    the lab's experiment in a few seconds\n"
        "truespan sim --sweep 6ms --drift -1 --duration 2h --quick\n    a clock that drifts back for two hours\n"
        "truespan check truespan-run-*/virtual-5ms/otlp\n    audit what it left\n",
    .options = options,
    .operands = "file",
};

static int run(int argc, char **argv)
{
    tspi_spec spec = {0};
    tsp_error err = {0};
    char *operands[64];
    int operands_n = 0;

    if (argc > 64) {
        fputs("truespan sim: too many arguments\n", stderr);
        return EXIT_FAILED;
    }
    int code = options_parse(&spec_of_command, argc, argv, operands, &operands_n);
    if (code >= 0)
        return code;
    if (operands_n > 1) {
        fprintf(stderr, "truespan sim: one SPEC.yaml, not %d\n", operands_n);
        return EXIT_FAILED;
    }
    tsp_status rc = experiment_load_spec(operands_n ? operands[0] : NULL, &spec, &err);
    if (rc == TSP_OK && tspi_sim_time_limit_ns < 0)
        rc = tsp_error_set(&err, TSP_EINVAL, "--time-limit: cannot be negative");
    if (rc == TSP_OK) {
        free(spec.transport);
        spec.transport = strdup("virtual");
        rc = spec.transport ? tspi_spec_check(&spec, NULL, &err) : TSP_ENOMEM;
    }
    code = rc == TSP_OK ? experiment_run("sim", &spec, &tspi_sim_runner) : experiment_fail("sim", &err);
    tspi_spec_release(&spec);
    return code;
}

const struct command command_sim = {&spec_of_command, run};
