/* truespan clocks: every clock's offset over time, with bounds that are proofs. */
#include <stdlib.h>
#include <string.h>

#include "cli/clocks_print.h"
#include "cli/command.h"
#include "cli/quorum.h"
#include "cli/terminal.h"

static bool json, csv, keep_going;
static const char *format, *clock_key, *reference, *why, *quorum;
static double max_drift_ppm = 100;
static uint64_t jobs;

static const struct option_spec options[] = {
    {"json", 0, OPTION_FLAG, &json, NULL, "print the answer as JSON", NULL, NULL},
    {"csv", 0, OPTION_FLAG, &csv, NULL, "print every knot of every track as a line of CSV", NULL, NULL},
    {"reference", 'r', OPTION_STRING, &reference, "CLOCK",
     "the clock whose time counts as true; by default the time in which most clocks need no correction", NULL, NULL},
    {"why", 'w', OPTION_STRING, &why, "CLOCK", "print the hops that prove the bounds of this clock", NULL, NULL},
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
    {"keep-going", 0, OPTION_FLAG, &keep_going, NULL, "read past what is broken and say what was left out", NULL, NULL},
    {"jobs", 'j', OPTION_COUNT, &jobs, "N", "threads; 0 = one a core; the answer does not depend on it", NULL, NULL},
    {0},
};

static const struct command_spec spec = {
    .name = "clocks",
    .summary = "Find each clock's offset and drift, with bounds that are proofs",
    .synopsis = "FILE|DIR|- ...",
    .text =
        "Nothing is received before it is sent: so every hop between two clocks bounds their difference, and chains of "
        "hops bound every clock against the reference. Prints for each clock a verdict, its offset (positive: it runs "
        "ahead), the bounds at its last stamp, its drift, and the offset over time.\n\n"
        "proven: the bounds exclude 0. suspected: the estimate is off, but 0 is possible. ok: nothing speaks against "
        "it. unknown: too few hops, hops one way only, or contradictory stamps. What cannot be bounded is called "
        "unbounded. Exit code 1 means that a clock is proven or suspected wrong.",
    .examples =
        "truespan clocks otlp/\n    all clocks of a folder of traces\n"
        "truespan clocks --why inference-0 otlp/\n    the hops that prove its bounds, to be added up by hand\n"
        "truespan clocks --json traces.json | jq '.clocks[] | {clock, verdict, offset_ns}'\n    for a program\n",
    .options = options,
    .operands = "file",
};

static int complain(const char *what)
{
    fprintf(stderr, "truespan clocks: %s\n", what);
    return EXIT_FAILED;
}

static tsp_status print_answer(const tspi_mend *mend, tsp_error *err)
{
    uint32_t clock = TSPI_NONE;

    if (why && (clock = tspi_clock_find(&mend->causal.clocks, why)) == TSPI_NONE)
        return tsp_error_set(err, TSP_EINVAL, "there is no clock '%.60s'; run without --why to see them", why);
    if (json)
        return clocks_print_json(mend, why ? (int64_t)clock : -1, stdout, err);
    if (why)
        return clocks_print_why(mend, clock, stdout, err);
    if (csv)
        clocks_print_csv(mend, stdout);
    else
        clocks_print_table(mend, terminal_speaks_utf8(), stdout);
    return TSP_OK;
}

static void say_what_was_left_out(const tspi_read_report *report)
{
    if (report->first_problem[0])
        fprintf(stderr, "truespan clocks: read past what is broken; first: %s\n", report->first_problem);
}

static int run(int argc, char **argv)
{
    char **operands = calloc((size_t)argc + 1, sizeof *operands);
    int operands_n = 0, rc = operands ? options_parse(&spec, argc, argv, operands, &operands_n) : EXIT_FAILED;
    tspi_mend mend = {0};
    tsp_error err = {0};
    uint32_t agree;

    if (rc >= 0)
        goto out;
    rc = EXIT_FAILED;
    if (!operands_n) {
        complain("want files, folders or - to read. See 'truespan clocks --help'.");
        goto out;
    }
    if (!(max_drift_ppm > 0 && max_drift_ppm <= 1e5)) {
        complain("--max-drift: want more than 0 and at most 100000 ppm");
        goto out;
    }
    if (!quorum_parse(quorum, &agree)) {
        complain("--quorum: want auto or a number from 1");
        goto out;
    }
    if (json && csv) {
        complain("want --json or --csv, not both");
        goto out;
    }
    tspi_mend_options wanted = {.paths = (const char *const *)operands,
                                .paths_n = (size_t)operands_n,
                                .format = format,
                                .clock_key = clock_key,
                                .reference = reference,
                                .max_drift_ppm = max_drift_ppm,
                                .quorum = agree,
                                .threads = (unsigned)jobs,
                                .keep_going = keep_going};
    if (tspi_mend_open(&mend, &wanted, &err) != TSP_OK) {
        complain(err.message);
        goto out;
    }
    say_what_was_left_out(&mend.report);
    if (print_answer(&mend, &err) != TSP_OK) {
        complain(err.message);
        goto out;
    }
    rc = clocks_found(&mend) ? EXIT_FOUND : EXIT_CLEAN;
out:
    tspi_mend_release(&mend);
    free(operands);
    return rc;
}

const struct command command_clocks = {&spec, run};
