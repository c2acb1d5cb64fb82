#include "cli/mend_options.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/quorum.h"
#include "cli/terminal.h"
#include "wire/wire_runs.h"

struct mend_choices mend_chosen = {.max_drift_ppm = 100};

const char *mend_options_fill(char **paths, int paths_n, tspi_mend_options *ret)
{
    const struct mend_choices *c = &mend_chosen;

    *ret = (tspi_mend_options){.paths = (const char *const *)paths,
                               .paths_n = (size_t)paths_n,
                               .format = c->format,
                               .clock_key = c->clock_key,
                               .reference = c->reference,
                               .bounds = c->bounds,
                               .max_drift_ppm = c->max_drift_ppm,
                               .threads = (unsigned)c->jobs,
                               .keep_going = c->keep_going};
    if (!paths_n)
        return "want files, folders or - to read";
    if (!(c->max_drift_ppm > 0 && c->max_drift_ppm <= 1e5))
        return "--max-drift: want more than 0 and at most 100000 ppm";
    if (c->bounds && c->reference)
        return "--bounds makes UTC the reference: leave --reference out";
    return quorum_parse(c->quorum, &ret->quorum) ? NULL : "--quorum: want auto or a number from 1";
}

void mend_options_report(const char *command, const tspi_mend *mend)
{
    char text[1024];
    const char *last;
    size_t len, runs = tspi_runs_among(&mend->report, &last, &len);

    if (runs > 1)
        fprintf(stderr,
                "truespan %s: these are %zu runs read as one, in each of which the clocks were skewed anew: read each "
                "run's "
                "otlp folder alone\n",
                command, runs);
    if (mend->report.first_problem[0])
        fprintf(stderr, "truespan %s: read past what is broken; first: %s\n", command,
                terminal_shown(mend->report.first_problem, text, sizeof text));
    if (mend->bounds_used < mend->bounds.n)
        fprintf(stderr, "truespan %s: %s: %" PRIu64 " of %zu bounds are of clocks that are not in the input\n", command,
                mend->options.bounds, mend->bounds.n - mend->bounds_used, mend->bounds.n);
    if (mend->bounds.unsynchronised)
        fprintf(stderr, "truespan %s: %s: %" PRIu64 " reports of clocks that were not synchronised bound nothing\n",
                command, mend->options.bounds, mend->bounds.unsynchronised);
}
