/* truespan report: one page that shows what the clocks did, and the same as tracks for Perfetto. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/mend_options.h"
#include "cli/report_make.h"

static bool spans_given;
static const char *output, *perfetto, *title;
static uint64_t spans = REPORT_SPANS;

static const struct option_spec options[] = {
    {"output", 'o', OPTION_FILE, &output, "FILE", "the page; - is standard output", NULL, NULL},
    {"perfetto", 'p', OPTION_FILE, &perfetto, "FILE",
     "tracks for Perfetto and chrome://tracing, a clock each, as stamped and corrected; - is standard output", NULL,
     NULL},
    {"title", 0, OPTION_STRING, &title, "TEXT", "what the page is called; by default the names of the inputs", NULL,
     NULL},
    {"spans", 0, OPTION_COUNT, &spans, "N",
     "how many spans the page carries, those of the worst traces first (60000; tracks: 200000); 0 = all", NULL,
     &spans_given},
#include "cli/mend_options.def"
    {"keep-going", 0, OPTION_FLAG, &mend_chosen.keep_going, NULL, "read past what is broken", NULL, NULL},
    {0},
};

static const struct command_spec spec = {
    .name = "report",
    .summary = "Show what the clocks did: one page for any browser, or tracks for Perfetto",
    .synopsis = "RUN|FILE|DIR|- ... -o REPORT.html",
    .text =
        "Writes one file that holds everything it shows and loads nothing: each clock's offset with its bounds, the "
        "causal graph with its violations and margins, traces as stamped and as corrected one above the other, the "
        "worst first, and causality_health over time. Of a folder that lab or sim left (RUN) also the sweep: the rate "
        "of negative spans against skew beside its prediction, and the throughput with the skew on and off.\n\n"
        "Every figure is that of check --json, clocks --json, fix --json and summary.json; a table stands behind every "
        "chart.\n\n"
        "--perfetto writes Chrome's trace events instead, or as well: a process for the stamps as they are and one for "
        "the corrected ones, in each a track a clock, and an arrow a hop.\n\n"
        "Exit code 1 means that a violation was found.",
    .examples = "truespan report trace.json -o report.html\n    a download from Jaeger, a Collector's file, a Zipkin "
                "answer\n"
                "truespan report truespan-run-20260101-120000 -o report.html\n    what a lab left\n"
                "truespan report otlp/ --perfetto tracks.json\n    to be opened at ui.perfetto.dev\n",
    .options = options,
    .operands = "file",
};

static int complain(const char *what)
{
    fprintf(stderr, "truespan report: %s\n", what);
    return EXIT_FAILED;
}

static const char *refuse(int operands_n)
{
    if (!operands_n)
        return "want a run's folder, files, folders or - to read. See 'truespan report --help'.";
    if (!(output && *output) && !(perfetto && *perfetto))
        return "want -o REPORT.html or --perfetto OUT.json: where the result goes";
    if (output && perfetto && !strcmp(output, "-") && !strcmp(perfetto, "-"))
        return "standard output takes the page or the tracks, not both";
    return NULL;
}

static int make(const report_request *request)
{
    tspi_buf page = {0}, tracks = {0};
    tsp_error err = {0};
    bool found = false;
    tsp_status rc = report_make(request, output ? &page : NULL, perfetto ? &tracks : NULL, &found, &err);

    if (rc == TSP_OK && output)
        rc = report_put(&page, output, &err);
    if (rc == TSP_OK && perfetto)
        rc = report_put(&tracks, perfetto, &err);
    tspi_buf_release(&page);
    tspi_buf_release(&tracks);
    if (rc != TSP_OK)
        return complain(err.message);
    return found ? EXIT_FOUND : EXIT_CLEAN;
}

static int run(int argc, char **argv)
{
    char **operands = calloc((size_t)argc + 1, sizeof *operands);
    int operands_n = 0, rc = operands ? options_parse(&spec, argc, argv, operands, &operands_n) : EXIT_FAILED;

    if (rc < 0) {
        report_request request = {
            .spans = spans, .track_spans = spans_given ? spans : REPORT_TRACK_SPANS, .title = title};
        const char *problem = refuse(operands_n);
        if (!problem)
            problem = mend_options_fill(operands, operands_n, &request.read);
        rc = problem ? complain(problem) : make(&request);
    }
    free(operands);
    return rc;
}

const struct command command_report = {&spec, run};
