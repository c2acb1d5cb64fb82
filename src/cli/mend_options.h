/* The options that `clocks` and `fix` share: one table of rows (mend_options.def), one way of reading them. */
#ifndef TSPI_CLI_MEND_OPTIONS_H
#define TSPI_CLI_MEND_OPTIONS_H

#include "cli/options.h"
#include "mend/mend.h"

/* What the command line said. keep_going has a row in each command's own table, since what it risks differs. */
struct mend_choices {
    const char *reference, *bounds, *clock_key, *quorum, *format;
    double max_drift_ppm;
    uint64_t jobs;
    bool keep_going;
};
extern struct mend_choices mend_chosen;

/* The options as the library wants them, with paths to read. What they ask for that cannot be, or NULL. */
const char *mend_options_fill(char **paths, int paths_n, tspi_mend_options *ret_options);

/* What was left out of reading and of the bounds, to standard error. */
void mend_options_report(const char *command, const tspi_mend *mend);

#endif
