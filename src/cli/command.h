/* A command of truespan: one file src/cli/NAME.c defines `const struct command command_NAME`, and its word stands in
 * the list of src/cli/meson.build. Everything else (dispatch, help, man page, completion) follows from its option
 * table. */
#ifndef TSPI_CLI_COMMAND_H
#define TSPI_CLI_COMMAND_H

#include "cli/options.h"

/* Exit codes, the same for every command. */
enum {
    EXIT_CLEAN = 0,  /* done, nothing wrong found */
    EXIT_FOUND = 1,  /* done, violations found */
    EXIT_FAILED = 2, /* could not do it */
};

struct command {
    const struct command_spec *spec;
    /* argv[0] is the command's name. Returns the exit code. */
    int (*run)(int argc, char **argv);
};

/* Says on stderr what is wrong, in the command's name, and returns EXIT_FAILED. Names within it command no terminal. */
int command_complain(const struct command_spec *command, const char *what);

#endif
