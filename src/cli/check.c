#include "truespan/check.h"

#include <stdlib.h>
#include <string.h>

#include "cli/check_print.h"
#include "cli/command.h"
#include "cli/report_make.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/wrap.h"
#include "health/audit.h"

static bool json, keep_going, ascii;
static const char *format, *clock_key, *reference, *trace, *html, *solve = "auto";
static double max_drift_ppm = 100;
static uint64_t examples = 5, edges_shown = 12, jobs, window;
static bool examples_given;

static const struct option_spec options[] = {
    {"json", 0, OPTION_FLAG, &json, NULL, "print the answer as JSON", NULL, NULL},
    {"format", 0, OPTION_CHOICE, &format, NULL,
     "what the input is, where its bytes do not tell: one of auto, otlp-proto, otlp-proto-framed, otlp-json, jaeger, "
     "zipkin",
     "auto|otlp-proto|otlp-proto-framed|otlp-json|jaeger|zipkin", NULL},
    {"clock-key", 'k', OPTION_STRING, &clock_key, "KEY",
     "what tells clocks apart: an attribute of the process, several joined by +, or an address with its network's "
     "width, "
     "such as ip/24; by default the machine's best name",
     NULL, NULL},
    {"reference", 'r', OPTION_STRING, &reference, "CLOCK",
     "the clock whose time counts as true; by default the one that leaves most clocks right", NULL, NULL},
    {"max-drift", 0, OPTION_NUMBER, &max_drift_ppm, "PPM", "the most by which a clock's rate may be off", NULL, NULL},
    {"solve", 0, OPTION_CHOICE, &solve, NULL,
     "when to solve for the clocks, which costs more than reading where hops are many: auto (up to 5 million, or half "
     "a million where nothing is violated), always, never",
     "auto|always|never", NULL},
    {"examples", 'n', OPTION_COUNT, &examples, "N", "how many violations to show, the worst first", NULL,
     &examples_given},
    {"trace", 't', OPTION_STRING, &trace, "ID", "show one trace as a tree, with the offending pairs marked", NULL,
     NULL},
    {"html", 0, OPTION_FILE, &html, "FILE",
     "write a page that shows it, too, as `truespan report` does; the input, all of it in memory then, is read once",
     NULL, NULL},
    {"ascii", 0, OPTION_FLAG, &ascii, NULL, "draw offsets and bars in ASCII, also where the locale has UTF-8", NULL,
     NULL},
    {"window", 0, OPTION_COUNT, &window, "N",
     "hold N spans at once; when there are more, traces not heard of for N/2 spans are put aside in a file ($TMPDIR, "
     "else /var/tmp), and of more hops (40,000 at least) the solver gets a summary; by default as many as half of the "
     "memory holds",
     NULL, NULL},
    {"keep-going", 0, OPTION_FLAG, &keep_going, NULL, "read past what is broken and say what was left out", NULL, NULL},
    {"edges", 0, OPTION_COUNT, &edges_shown, "N", "how many edges and clocks the tables show, the worst first; 0 = all",
     NULL, NULL},
    {"jobs", 'j', OPTION_COUNT, &jobs, "N", "threads; 0 = one a core; the answer does not depend on it", NULL, NULL},
    {0},
};

static const struct command_spec spec = {
    .name = "check",
    .summary = "Audit traces: every causality violation, its cause, and the clocks behind it",
    .synopsis = "FILE|DIR|- ...",
    .text =
        "Reads traces whatever they are (OTLP protobuf and JSON, Jaeger, Zipkin; gzip or zstd) and compares every pair "
        "of "
        "stamps of which one must lie before the other: a parent's start and its child's, a send and its receive, a "
        "server's end and its client's. A pair on two clocks is a hop; a hop received before it is sent is a "
        "violation.\n\n"
        "Each violation gets a cause: clock (one clock is ahead of the other), step (a clock jumped), late_stamp (a "
        "stamp "
        "written after the fact), instrumentation (a contradiction on one clock) or unknown. A clock is never blamed "
        "for "
        "what one clock alone shows, for answers alone, or for fewer than eight hops.\n\n"
        "Where the clocks were solved, each has a line with its offset over time. On a terminal the worst trace is "
        "drawn "
        "as bars of time, too, the time by which a stamp is off hatched.\n\n"
        "Clocks are told apart by the machine's best name; --clock-key chooses another. The answer says which was "
        "used.",
    .examples =
        "truespan check traces.json\n    audit what Jaeger, a Collector, Tempo or Zipkin wrote\n"
        "truespan check --clock-key ip/24 --json traces/ | jq .violations\n    a clock a subnet, for a program\n"
        "truespan check --trace 5b8efff798038103d269b633813fc60c traces.pb.gz\n    one trace as a tree\n",
    .options = options,
    .operands = "file",
};

static void print_input(const tsp_check *check, FILE *screen)
{
    const tsp_check_totals *t = tsp_check_totals_of(check);
    size_t n;
    const tsp_check_clock *clocks = tsp_check_clocks(check, &n);
    wrap w;
    FILE *out = wrap_begin(&w, screen);
    char files[32], bytes[32], spans[32], traces[32], clocks_n[32], hops[32];

    format_count(t->files, files, sizeof files);
    format_bytes(t->bytes, bytes, sizeof bytes);
    format_count(t->spans, spans, sizeof spans);
    format_count(t->traces, traces, sizeof traces);
    format_count(t->clocks, clocks_n, sizeof clocks_n);
    format_count(t->hops, hops, sizeof hops);
    fprintf(out, "%s span%s in %s trace%s (%s file%s, %s); %s clock%s", spans, t->spans == 1 ? "" : "s", traces,
            t->traces == 1 ? "" : "s", files, t->files == 1 ? "" : "s", bytes, clocks_n, t->clocks == 1 ? "" : "s");
    /* The keys in use, each once; a handful at the most. */
    unsigned said = 0;
    for (size_t k = 0; k < n && said < 5; k++) {
        bool seen = false;
        for (size_t j = 0; j < k && !seen; j++)
            seen = !strcmp(clocks[j].key, clocks[k].key);
        if (!seen)
            fprintf(out, "%s%s", said++ ? ", " : ", told apart by ", clocks[k].key);
    }
    fprintf(out, "; %s hop%s between them\n", hops, t->hops == 1 ? "" : "s");
    wrap_end(&w);
}

static void cause_row(table *t, const char *name, uint64_t n, const char *what)
{
    char text[32];

    if (!n)
        return;
    format_count(n, text, sizeof text);
    table_add(t, name);
    table_add(t, text);
    table_add(t, what);
}

static void print_violations(const tsp_check *check, FILE *out)
{
    static const char *const meaning[TSP_CAUSES_N] = {
        "one clock is ahead of the other", "a clock jumped", "stamps written after the fact: no skew",
        "contradictions on one clock: no skew", "cannot be known from this input"};
    const tsp_check_totals *t = tsp_check_totals_of(check);
    char total[32];
    table causes;

    if (!t->violations) {
        fputs("\nNo violation.\n", out);
        return;
    }
    format_count(t->violations, total, sizeof total);
    fprintf(out, "\n%s violation%s\n", total, t->violations == 1 ? "" : "s");
    table_init(&causes, "lrl");
    cause_row(&causes, "hard", t->hard, "received before sent, between two clocks");
    cause_row(&causes, "soft", t->soft, "answers that end after their call, between two clocks");
    cause_row(&causes, "same clock", t->same_clock, "either, on one clock");
    cause_row(&causes, "negative duration", t->negative_duration, "spans that end before they start");
    cause_row(&causes, "token order", t->token_order, "numbered tokens stamped out of order");
    table_print(&causes, 2, out);
    table_release(&causes);
    fputs("\nCause\n", out);
    table_init(&causes, "lrl");
    for (int cause = 0; cause < TSP_CAUSES_N; cause++)
        cause_row(&causes, tsp_cause_name((tsp_cause)cause), t->causes[cause], meaning[cause]);
    table_print(&causes, 2, out);
    table_release(&causes);
}

/* The cause of most of an edge's violations. */
static const char *main_cause(const tsp_check_edge *edge)
{
    int best = 0;

    if (!edge->violations)
        return "";
    for (int cause = 1; cause < TSP_CAUSES_N; cause++)
        if (edge->causes[cause] > edge->causes[best])
            best = cause;
    return tsp_cause_name((tsp_cause)best);
}

static void print_edges(const tsp_check *check, const check_screen *screen, FILE *out)
{
    static const int spare[] = {7, 5, -1};
    size_t n;
    const tsp_check_edge *edges = tsp_check_edges(check, &n);
    uint64_t shown = edges_shown && edges_shown < n ? edges_shown : n;
    char text[32];
    table t;

    if (!n)
        return;
    fputs("\nEdges, the worst first\n", out);
    table_init(&t, "llrrrrrrl");
    static const char *const heads[] = {"from",   "to",     "hops",   "violations", "worst",
                                        "median", "margin", "to 1 %", "cause"};
    for (size_t k = 0; k < sizeof heads / sizeof heads[0]; k++)
        table_add(&t, heads[k]);
    for (size_t k = 0; k < shown; k++) {
        table_add(&t, edges[k].from);
        table_add(&t, edges[k].to);
        format_count(edges[k].hops, text, sizeof text);
        table_add(&t, text);
        format_count(edges[k].violations, text, sizeof text);
        table_add(&t, text);
        format_ns(edges[k].worst_ns, text, sizeof text);
        table_add(&t, edges[k].worst_ns ? text : "");
        format_ns(edges[k].slack_p50_ns, text, sizeof text);
        table_add(&t, text);
        format_ns(edges[k].margin_ns, text, sizeof text);
        table_add(&t, text);
        format_ns(edges[k].margin_1pct_ns, text, sizeof text);
        table_add(&t, text);
        table_add(&t, main_cause(&edges[k]));
    }
    table_fit(&t, 2, screen->columns, spare);
    table_squeeze(&t, 2, screen->columns, 2, screen->utf8);
    table_print(&t, 2, out);
    table_release(&t);
    if (shown < n)
        fprintf(out, "  ... and %llu more (--edges 0 shows all)\n", (unsigned long long)(n - shown));
}

static void print_examples(const tsp_check *check, FILE *out)
{
    size_t n;
    const tsp_check_example *rows = tsp_check_examples(check, &n);
    char by[32];
    table t;

    if (!n)
        return;
    fputs("\nExamples\n", out);
    table_init(&t, "llrlll");
    for (size_t k = 0; k < n; k++) {
        format_ns(rows[k].by_ns, by, sizeof by);
        table_addf(&t, "trace %s", rows[k].trace_id);
        table_addf(&t, "span %s", rows[k].span_id);
        table_add(&t, by);
        table_add(&t, rows[k].kind);
        table_addf(&t, "%s -> %s", rows[k].from, rows[k].to);
        table_add(&t, tsp_cause_name(rows[k].cause));
    }
    table_print(&t, 2, out);
    table_release(&t);
}

static void print_advice(const tsp_check *check, FILE *screen)
{
    size_t n;
    const char *const *lines = tsp_check_advice(check, &n);
    wrap w;
    FILE *out = wrap_begin(&w, screen);

    if (n)
        fputc('\n', out);
    for (size_t k = 0; k < n; k++) {
        char *line = strdup(lines[k]);
        if (line)
            terminal_clean(line);
        fprintf(out, "%s\n", line ? line : "(memory is exhausted: a line is missing)");
        free(line);
    }
    wrap_end(&w);
}

static void print_answer(const tsp_check *check)
{
    const check_screen screen = {.columns = terminal_draws() ? terminal_columns() : 0,
                                 .utf8 = !ascii && terminal_speaks_utf8(),
                                 .colour = terminal_wants_colour()};

    if (json) {
        check_print_json(check, stdout);
        return;
    }
    if (trace) {
        check_print_tree(check, trace, &screen, stdout);
        return;
    }
    print_input(check, stdout);
    print_violations(check, stdout);
    print_edges(check, &screen, stdout);
    check_print_clocks(check, edges_shown, &screen, stdout);
    check_print_worst(check, &screen, stdout);
    if (examples_given)
        print_examples(check, stdout);
    print_advice(check, stdout);
}

/* With a page, the input is read and solved as the page needs it, and the answer is made of the same. */
static tsp_status audit(const tsp_check_options *wanted, tspi_mend *mend, tsp_check **ret_check, tsp_error *err)
{
    const tspi_mend_options read = {.paths = wanted->paths,
                                    .paths_n = wanted->paths_n,
                                    .format = wanted->format,
                                    .clock_key = wanted->clock_key,
                                    .reference = wanted->reference,
                                    .max_drift_ppm = wanted->max_drift_ppm,
                                    .threads = wanted->threads,
                                    .keep_going = wanted->keep_going};

    if (!html)
        return tsp_check_run(wanted, ret_check, err);
    tsp_status rc = tspi_mend_open(mend, &read, err);
    return rc == TSP_OK ? tspi_audit_of_mend(mend, wanted, ret_check, err) : rc;
}

static bool write_page(const tsp_check_options *wanted, tspi_mend *mend)
{
    const report_request request = {.read = mend->options, .mend = mend, .solve = wanted->solve, .spans = REPORT_SPANS};
    tsp_error err = {0};

    if (report_write(&request, html, &err) == TSP_OK)
        return true;
    tsp_error_note(&err, "--html");
    command_complain(&spec, err.message);
    return false;
}

/* What the command line asks for that cannot be; NULL = all is well. */
static const char *refuse(int operands_n)
{
    if (!operands_n)
        return "want files, folders or - to read. See 'truespan check --help'.";
    if (!(max_drift_ppm > 0 && max_drift_ppm <= 1e5))
        return "--max-drift: want more than 0 and at most 100000 ppm";
    if (html && !strcmp(html, "-"))
        return "--html: standard output takes the answer: want a file, or 'truespan report - -o -' for the page alone";
    if (html && window)
        return "--html: a page needs the whole input in memory: leave --window out";
    return NULL;
}

static int run(int argc, char **argv)
{
    char **operands = calloc((size_t)argc + 1, sizeof *operands);
    int operands_n = 0, rc = operands ? options_parse(&spec, argc, argv, operands, &operands_n) : EXIT_FAILED;
    tsp_check *check = NULL;
    tspi_mend mend = {0};
    tsp_error err = {0};

    if (rc >= 0)
        goto out;
    if (refuse(operands_n)) {
        rc = command_complain(&spec, refuse(operands_n));
        goto out;
    }
    tsp_check_options wanted = {.paths = (const char *const *)operands,
                                .paths_n = (size_t)operands_n,
                                .format = format,
                                .clock_key = clock_key,
                                .reference = reference,
                                .trace = trace,
                                .max_drift_ppm = max_drift_ppm,
                                .examples = (size_t)examples,
                                .window = (size_t)window,
                                .threads = (unsigned)jobs,
                                .keep_going = keep_going,
                                .worst_trace = !json && terminal_draws(),
                                .solve = !strcmp(solve, "always")  ? TSP_CHECK_SOLVE_ALWAYS
                                         : !strcmp(solve, "never") ? TSP_CHECK_SOLVE_NEVER
                                                                   : TSP_CHECK_SOLVE_AUTO};
    if (audit(&wanted, &mend, &check, &err) != TSP_OK) {
        rc = command_complain(&spec, err.message);
        goto out;
    }
    print_answer(check);
    const tsp_check_totals *totals = tsp_check_totals_of(check);
    rc = totals->violations ? EXIT_FOUND : EXIT_CLEAN;
    if (!totals->spans && totals->left_out_stretches + totals->left_out_spans) {
        fputs("truespan check: all was left out: no span of the input could be read; without --keep-going it says "
              "where\n",
              stderr);
        rc = EXIT_FAILED;
    }
    if (html && !write_page(&wanted, &mend))
        rc = EXIT_FAILED;
out:
    tspi_mend_release(&mend);
    tsp_check_free(check);
    free(operands);
    return rc;
}

const struct command command_check = {&spec, run};
