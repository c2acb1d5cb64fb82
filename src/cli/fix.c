/* truespan fix: the same traces with true stamps, and nothing else changed. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/clocks_print.h"
#include "cli/command.h"
#include "cli/fix_print.h"
#include "cli/mend_options.h"

static bool json, annotate;
static const char *output, *late_stamps = "keep";

static const struct option_spec options[] = {
    {"output", 'o', OPTION_FILE, &output, "OUT",
     "where the corrected traces go: a file or - for one input; a folder for several, or for a folder", NULL, NULL},
    {"late-stamps", 0, OPTION_CHOICE, &late_stamps, NULL,
     "what becomes of stamps that were written late, which no clock explains: keep leaves and reports them, clamp "
     "moves each to the latest time that its hops allow",
     "keep|clamp", NULL},
    {"annotate", 0, OPTION_FLAG, &annotate, NULL,
     "add attributes to the spans that are moved: by how much, between which limits, and the stamps as they were", NULL,
     NULL},
    {"json", 0, OPTION_FLAG, &json, NULL, "print what was done as JSON, on standard error when OUT is standard output",
     NULL, NULL},
#include "cli/mend_options.def"
    {"keep-going", 0, OPTION_FLAG, &mend_chosen.keep_going, NULL,
     "read past what is broken, and write also when some stamps contradict each other", NULL, NULL},
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

/* The corrected traces go where standard output goes, by whatever name: - or /dev/stdout. What a device forgets takes
 * both. */
static bool output_is_stdout(void)
{
    struct stat out, named;

    if (!strcmp(output, "-"))
        return true;
    return fstat(STDOUT_FILENO, &out) == 0 && stat(output, &named) == 0 && out.st_dev == named.st_dev &&
           out.st_ino == named.st_ino && (!S_ISCHR(out.st_mode) || isatty(STDOUT_FILENO));
}

static int fix(const tspi_mend_options *wanted, tspi_mend *mend)
{
    FILE *talk = output_is_stdout() ? stderr : stdout;
    tspi_mend_outcome outcome;
    tsp_error err = {0};

    if (tspi_mend_open(mend, wanted, &err) != TSP_OK)
        return command_complain(&spec, err.message);
    mend_options_report(spec.name, mend);
    if (mend->answer.summary.contradictory && !mend_chosen.keep_going) {
        command_complain(&spec,
                         "the stamps contradict each other: no clocks within the drift limit explain them. Nothing was "
                         "written. A higher --max-drift may help; --keep-going sets the worst stamps aside.");
        clocks_print_conflict(mend, stderr);
        return EXIT_FAILED;
    }
    if (tspi_mend_correct(mend, !strcmp(late_stamps, "clamp"), &outcome, &err) != TSP_OK ||
        tspi_mend_write(mend, output, &err) != TSP_OK)
        return command_complain(&spec, err.message);
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
    tspi_mend_options wanted;

    if (rc < 0) {
        const char *problem = mend_options_fill(operands, operands_n, &wanted);
        if (!problem && (!output || !*output))
            problem = "want -o OUT: where the corrected traces go";
        wanted.keep = wanted.thin = true;
        wanted.annotate = annotate;
        rc = problem ? command_complain(&spec, problem) : fix(&wanted, &mend);
        tspi_mend_release(&mend);
    }
    free(operands);
    return rc;
}

const struct command command_fix = {&spec, run};
