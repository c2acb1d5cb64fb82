/* truespan clocks: every clock's offset over time, with bounds that are proofs. */
#include <stdlib.h>
#include <string.h>

#include "cli/clocks_print.h"
#include "cli/command.h"
#include "cli/mend_options.h"
#include "cli/terminal.h"
#include "health/audit.h"

static bool json, csv, ascii;
static const char *why;

static const struct option_spec options[] = {
    {"json", 0, OPTION_FLAG, &json, NULL, "print the answer as JSON", NULL, NULL},
    {"csv", 0, OPTION_FLAG, &csv, NULL, "print every knot of every track as a line of CSV", NULL, NULL},
    {"why", 'w', OPTION_STRING, &why, "CLOCK", "print the hops that prove the bounds of this clock", NULL, NULL},
    {"ascii", 0, OPTION_FLAG, &ascii, NULL, "draw offsets over time in ASCII, also where the locale has UTF-8", NULL,
     NULL},
#include "cli/mend_options.def"
    {"keep-going", 0, OPTION_FLAG, &mend_chosen.keep_going, NULL, "read past what is broken and say what was left out",
     NULL, NULL},
    {0},
};

static const struct command_spec spec = {
    .name = "clocks",
    .summary = "Find each clock's offset and drift, with bounds that are proofs",
    .synopsis = "FILE|DIR|- ...",
    .text =
        "Nothing is received before it is sent: so every hop between two clocks bounds their difference, and chains of "
        "hops bound every clock against the reference. Prints for each clock a verdict, its offset (positive: it runs "
        "ahead) with its standard error, the bounds at its last stamp, its drift, and the offset over time.\n\n"
        "proven: the bounds exclude 0. suspected: hops are violated, the estimate is off, but 0 is possible. ok: "
        "nothing speaks against "
        "it. unknown: too few hops, hops one way only, contradictory stamps, or the other clocks do not tell which of "
        "two is wrong that are apart. What cannot be bounded is called unbounded. Exit code 1 means that a clock is "
        "proven or suspected wrong.",
    .examples =
        "truespan clocks otlp/\n    all clocks of a folder of traces\n"
        "truespan clocks --why inference-0 otlp/\n    the hops that prove its bounds, to be added up by hand\n"
        "truespan clocks --bounds chrony.csv otlp/\n    against UTC, by what chrony knows of some of the clocks\n"
        "truespan clocks --json traces.json | jq '.clocks[] | {clock, verdict, offset_ns}'\n    for a program\n",
    .options = options,
    .operands = "file",
};

static tsp_status print_found(const tspi_mend *mend, const tsp_check *check, tsp_error *err)
{
    uint32_t clock = TSPI_NONE;

    if (why && (clock = tspi_clock_find(&mend->causal.clocks, why)) == TSPI_NONE)
        return tsp_error_set(err, TSP_EINVAL, "there is no clock '%.60s'; run without --why to see them", why);
    if (json)
        return clocks_print_json(mend, check, why ? (int64_t)clock : -1, stdout, err);
    if (why)
        return clocks_print_why(mend, clock, stdout, err);
    if (csv)
        clocks_print_csv(mend, stdout);
    else
        clocks_print_table(mend, check, terminal_draws() ? terminal_columns() : 0, !ascii && terminal_speaks_utf8(),
                           stdout);
    return TSP_OK;
}

static tsp_status print_answer(const tspi_mend *mend, tsp_error *err)
{
    bool wanted = !csv && (json || !why);
    tsp_check *check = NULL;
    tsp_status rc = wanted ? tspi_audit_pairs_of(mend, &check, err) : TSP_OK;

    if (rc == TSP_OK)
        rc = print_found(mend, check, err);
    tsp_check_free(check);
    return rc;
}

static int run(int argc, char **argv)
{
    char **operands = calloc((size_t)argc + 1, sizeof *operands);
    int operands_n = 0, rc = operands ? options_parse(&spec, argc, argv, operands, &operands_n) : EXIT_FAILED;
    tspi_mend mend = {0};
    tspi_mend_options wanted;
    tsp_error err = {0};

    if (rc >= 0)
        goto out;
    const char *problem = mend_options_fill(operands, operands_n, &wanted);
    if (!problem && json && csv)
        problem = "want --json or --csv, not both";
    if (problem) {
        rc = command_complain(&spec, problem);
        goto out;
    }
    if (tspi_mend_open(&mend, &wanted, &err) != TSP_OK) {
        rc = command_complain(&spec, err.message);
        goto out;
    }
    mend_options_report(spec.name, &mend);
    if (print_answer(&mend, &err) != TSP_OK)
        rc = command_complain(&spec, err.message);
    else
        rc = clocks_found(&mend) ? EXIT_FOUND : EXIT_CLEAN;
out:
    tspi_mend_release(&mend);
    free(operands);
    return rc;
}

const struct command command_clocks = {&spec, run};
