/* truespan fix: the same traces with true stamps, and nothing else changed. */
#include <stdlib.h>
#include <string.h>

#include "cli/clocks_print.h"
#include "cli/command.h"
#include "cli/fix_print.h"
#include "cli/quorum.h"

static bool json, keep_going;
static const char *format, *clock_key, *reference, *quorum, *output, *late_stamps = "keep";
static double max_drift_ppm = 100;
static uint64_t jobs;

static const struct option_spec options[] = {
    {"output", 'o', OPTION_FILE, &output, "OUT",
     "where the corrected traces go: a file or - for one input; a folder for several, or for a folder", NULL, NULL},
    {"late-stamps", 0, OPTION_CHOICE, &late_stamps, NULL,
     "what becomes of stamps that were written late, which no clock explains: keep leaves and reports them, clamp "
     "moves "
     "each to the latest time that its hops allow",
     "keep|clamp", NULL},
    {"json", 0, OPTION_FLAG, &json, NULL, "print what was done as JSON, on standard error when OUT is -", NULL, NULL},
    {"reference", 'r', OPTION_STRING, &reference, "CLOCK",
     "the clock whose time counts as true; by default the time in which most clocks need no correction", NULL, NULL},
    {"clock-key", 'k', OPTION_STRING, &clock_key, "KEY",
     "what tells clocks apart: an attribute of the process, several joined by +, or an address with its network's "
     "width, such as ip/24; by default the machine's best name",
     NULL, NULL},
    {"quorum", 'q', OPTION_STRING, &quorum, "N|auto",
     "how many answers of one edge must agree before they bound anything; auto finds it from how often answers are "
     "late "
     "on one clock; 1 believes every hop, also those that look like late stamps",
     NULL, NULL},
    {"max-drift", 0, OPTION_NUMBER, &max_drift_ppm, "PPM", "the most by which a clock's rate may be off", NULL, NULL},
    {"format", 0, OPTION_CHOICE, &format, NULL, "what the input is, where its bytes do not tell", TSPI_FORMAT_CHOICES,
     NULL},
    {"keep-going", 0, OPTION_FLAG, &keep_going, NULL,
     "read past what is broken, and write also when some stamps contradict each other", NULL, NULL},
    {"jobs", 'j', OPTION_COUNT, &jobs, "N", "threads; 0 = one a core; the result does not depend on it", NULL, NULL},
    {0},
};

static const struct command_spec spec = {
    .name = "fix",
    .summary = "Write the same traces with true times: nothing but the stamps changed",
    .synopsis = "FILE|DIR|- ... -o OUT",
    .text =
        "Finds the clocks of all inputs together, and writes each input again with every stamp moved by its clock's "
        "offset at that moment: spans, events and logs. All other bytes stay as they are. A clock that nothing "
        "contradicts is not moved, and without a violation nothing is. Order and durations on one clock are kept, but "
        "for what its drift changes.\n\n"
        "Afterwards the violations left are counted as 'truespan check' counts them. Exit code 0: none; 1: some are "
        "left, such as stamps that were written late, or contradictions on one clock, which no clock explains; 2: "
        "nothing was written.",
    .examples = "truespan fix traces.json -o fixed.json\n    one file\n"
                "truespan fix otlp/*.jsonl -o fixed/\n    several files, one consistent solution\n"
                "truespan fix --late-stamps clamp - -o - < in.json > out.json\n    in a pipeline\n",
    .options = options,
    .operands = "file",
};

static int complain(const char *what)
{
    fprintf(stderr, "truespan fix: %s\n", what);
    return EXIT_FAILED;
}

/* What the command line asks for that cannot be; NULL = all is well. */
static const char *refuse(int operands_n, uint32_t *ret_quorum)
{
    if (!operands_n)
        return "want files or - to read. See 'truespan fix --help'.";
    if (!output || !*output)
        return "want -o OUT: where the corrected traces go";
    if (!(max_drift_ppm > 0 && max_drift_ppm <= 1e5))
        return "--max-drift: want more than 0 and at most 100000 ppm";
    return quorum_parse(quorum, ret_quorum) ? NULL : "--quorum: want auto or a number from 1";
}

static int fix(const tspi_mend_options *wanted, tspi_mend *mend)
{
    FILE *talk = !strcmp(output, "-") ? stderr : stdout;
    tspi_mend_outcome outcome;
    tsp_error err = {0};

    if (tspi_mend_open(mend, wanted, &err) != TSP_OK)
        return complain(err.message);
    if (mend->report.first_problem[0])
        fprintf(stderr, "truespan fix: read past what is broken; first: %s\n", mend->report.first_problem);
    if (mend->answer.summary.contradictory && !keep_going) {
        complain("the stamps contradict each other: no clocks within the drift limit explain them. Nothing was "
                 "written. A higher --max-drift may help; --keep-going sets the worst stamps aside.");
        clocks_print_conflict(mend, stderr);
        return EXIT_FAILED;
    }
    if (tspi_mend_correct(mend, !strcmp(late_stamps, "clamp"), &outcome, &err) != TSP_OK ||
        tspi_mend_write(mend, output, &err) != TSP_OK)
        return complain(err.message);
    if (json)
        fix_print_json(mend, &outcome, talk);
    else
        fix_print_text(mend, &outcome, talk);
    return outcome.left.total ? EXIT_FOUND : EXIT_CLEAN;
}

static int run(int argc, char **argv)
{
    char **operands = calloc((size_t)argc + 1, sizeof *operands);
    int operands_n = 0, rc = operands ? options_parse(&spec, argc, argv, operands, &operands_n) : EXIT_FAILED;
    tspi_mend mend = {0};
    uint32_t agree;

    if (rc < 0) {
        const char *problem = refuse(operands_n, &agree);
        tspi_mend_options wanted = {.paths = (const char *const *)operands,
                                    .paths_n = (size_t)operands_n,
                                    .format = format,
                                    .clock_key = clock_key,
                                    .reference = reference,
                                    .max_drift_ppm = max_drift_ppm,
                                    .quorum = agree,
                                    .threads = (unsigned)jobs,
                                    .keep_going = keep_going,
                                    .keep_stdin = true};
        rc = problem ? complain(problem) : fix(&wanted, &mend);
        tspi_mend_release(&mend);
    }
    free(operands);
    return rc;
}

const struct command command_fix = {&spec, run};
